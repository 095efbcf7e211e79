"""A fake training script that ends immediately, and helpers for tests of sweeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hf_robust.cli.main import main

SCRIPT = """
import json, os, sys, time
from pathlib import Path

args = json.loads(Path(sys.argv[1]).read_text())
here, out = Path(__file__).parent, Path(args["output_dir"])
control = json.loads((here / "control.json").read_text())
seed, rate = args.get("seed", 42), args.get("learning_rate", 5e-5)
with (here / "started.txt").open("a") as file:
    row = [str(out), args.get("resume_from_checkpoint"), os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()]
    file.write(json.dumps(row) + "\\n")


def write(name, value):
    (out / name).write_text(json.dumps(value))


card = {"method": args.get("robust_method", "normal"), "seed": seed, "config": {}, "data": {"eval_samples": 200}}
write("run_card.json", {**card, "final_step": None})
print("epoch 1")
if seed in control.get("fail", []):
    print("the disk is full")
    sys.exit(3)
if seed in control.get("hang", []):
    (out / "checkpoint-5").mkdir(exist_ok=True)
    for name in ("checkpoint-5/trainer_state.json", "checkpoint-5/optimizer.pt"):
        write(name, {})
    (out / "all_results.json").write_text('{"train_loss": 0.')
    (here / "hanging").touch()
    end = time.monotonic() + 60
    while not (here / "go").exists() and time.monotonic() < end:
        time.sleep(0.02)
end = time.monotonic() + 30
while len((here / "started.txt").read_text().splitlines()) < control.get("together", 0) and time.monotonic() < end:
    time.sleep(0.02)
accuracy = round(max(0.9 - abs(rate - 1e-3) * 100 - seed / 1000, 0.2), 6)
rates = {"asr": accuracy / 2, "robust_accuracy": 0.4, "num_examples": 100, "num_attacked": 80, "queries": 9.5,
         "asr_low": accuracy / 2 - 0.1, "asr_high": accuracy / 2 + 0.1, "seconds": 1.0}
line = {"epoch": 1.0, "step": 5, "accuracy": accuracy, "attacks": {name: rates for name in args.get("attacks", [])}}
if args.get("attacks"):
    write("robustness_history.jsonl", line)
write("run_card.json", {**card, "final_step": 5})
results = {"eval_accuracy": accuracy, "eval_loss": 1 - accuracy, "train_runtime": 2.0}
results |= {f"eval_{name}_asr": rates["asr"] for name in args.get("attacks", [])}
write("all_results.json", results)
sys.exit(control.get("exit", 0))
"""
ARGS = {"model_name_or_path": "m", "train_file": "t.csv", "do_train": True, "do_eval": True, "use_cpu": True}


class Stage:
    """A folder with the stand-in, a sweep file and the sweep's output."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "sweep.json"
        self.output: Any = folder / "out"
        self.flags: list[str] = []
        self.script = folder / "script.py"
        self.script.write_text(SCRIPT)
        self.control()

    def control(self, **how: Any) -> None:
        """How the next runs behave: seeds that ``fail`` or ``hang`` until ``go``, how many are ``together``."""
        (self.folder / "control.json").write_text(json.dumps(how))

    def command(self, *flags: str, **given: Any) -> list[str]:
        """Write the file where one is given, and return the arguments of the command."""
        if given:
            self.file.write_text(json.dumps({"args": ARGS, **given}))
        return [str(self.file), "--output_dir", str(self.output), "--script", str(self.script), *self.flags, *flags]

    def sweep(self, *flags: str, **given: Any) -> int:
        """Run the command."""
        return main(["sweep", *self.command(*flags, **given)])

    def go(self) -> None:
        """Let hanging runs end."""
        (self.folder / "go").touch()

    def started(self) -> list[tuple[str, str | None]]:
        """Every run that was begun: the name without the hash, and the checkpoint that it went on from."""
        return [(Path(folder).name.rpartition("-")[0], checkpoint) for folder, checkpoint, *_ in self._rows()]

    def folders(self) -> list[tuple[str, str]]:
        """The name and the folder of every run that was begun."""
        return [(Path(folder).name.rpartition("-")[0], folder) for folder, *_ in self._rows()]

    def gpus(self) -> list[str | None]:
        """``CUDA_VISIBLE_DEVICES`` of every run that was begun."""
        return [gpus for _, _, gpus, _ in self._rows()]

    def processes(self) -> list[int]:
        """The process of every run that was begun."""
        return [process for *_, process in self._rows()]

    def _rows(self) -> list[list[Any]]:
        file = self.folder / "started.txt"
        return [json.loads(row) for row in file.read_text().splitlines()] if file.exists() else []

    def names(self) -> list[str]:
        return [name for name, _ in self.started()]

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.output / "sweep.json").read_text())
        return found
