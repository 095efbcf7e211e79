"""Cost of a whole training of the methods that train on texts made beforehand: victim and making of texts counted.

    python -m benchmarks.performance.cost_trainings --data DIR [--model bert_tiny] [--rows 64] [--epochs 4]

Each method trains by the script, at its defaults, on the same rows of ``DIR/sst2``. Counted are the texts in the
forward passes of all models: of the victim's training, of the attacks that make the texts, and of the training itself.
A text costs one, and three where a gradient is computed, since a backward pass counts as two forward passes. Divided
by the cost of `normal` on these rows for as many epochs, this does not depend on the machine. Writes
``benchmarks/results/cost_trainings.json`` after each method; methods that it has in the same setting are not repeated.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.nn.modules.module import register_module_forward_hook
from transformers import PreTrainedModel

import run_glue_robust
from benchmarks.study.packaged import PACKAGED_MODELS, packaged_model
from benchmarks.study.stored import COMMITTED
from hf_robust.data.files import read_rows
from hf_robust.models.passes import are_counted
from hf_robust.runs import read_json, versions, write_json
from hf_robust.trainers import METHODS
from hf_robust.training import generation
from hf_robust.training.view_arguments import GenerationArguments

VICTIM, TEXTS, TRAINING = "victim", "texts", "training"
GRADIENT, NO_GRADIENT = 3, 1
"""Cost of a text in a pass, in forward passes."""


class Work:
    """Cost of the passes of all classifiers, by the phase of the training in which they are made."""

    def __init__(self) -> None:
        self.cost = dict.fromkeys((VICTIM, TEXTS, TRAINING), 0)
        self._phase = TRAINING

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count in this block."""
        with ExitStack() as stack:
            for owner, name, phase in PHASES:
                stack.enter_context(patch.object(owner, name, self._in_phase(phase, getattr(owner, name))))
            handle = register_module_forward_hook(self._count, with_kwargs=True)
            stack.callback(handle.remove)
            yield

    def _in_phase(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            before, self._phase = self._phase, phase
            try:
                return function(*args, **kwargs)
            finally:
                self._phase = before

        return run

    def _count(self, module: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        logits = getattr(output, "logits", None)
        if isinstance(module, PreTrainedModel) and logits is not None and are_counted():
            self.cost[self._phase] += len(logits) * (GRADIENT if torch.is_grad_enabled() else NO_GRADIENT)


PHASES = (
    (generation, "train_plain_victim", VICTIM),
    (generation.GenerateViews, "_generate", TEXTS),
    (generation.GenerateViews, "_check_makers", TEXTS),
)
"""The functions that train a victim, make texts (which calls the first), and try an attack before."""


def methods() -> list[str]:
    """The methods with texts made beforehand."""
    return [name for name in METHODS if issubclass(METHODS[name].config, GenerationArguments)]


def work_of(name: str, model: str, rows: Path, flags: argparse.Namespace) -> dict[str, int]:
    """Cost of a training by phase, in forward passes of one text."""
    work = Work()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--model_name_or_path", model, "--train_file", str(rows), "--validation_file", str(rows)]
        arguments += ["--robust_method", name, "--do_train", "--output_dir", f"{folder}/out", "--use_cpu"]
        arguments += ["--num_train_epochs", str(flags.epochs), "--per_device_train_batch_size", str(flags.batch_size)]
        arguments += ["--max_seq_length", str(flags.length), "--learning_rate", str(flags.learning_rate)]
        arguments += ["--save_strategy", "no", "--report_to", "none", "--disable_tqdm", "True"]
        if name != "normal":
            arguments += ["--view_cache", f"{folder}/views"]
        if "attacks" in METHODS[name].needs:
            arguments += ["--lexicon", flags.lexicon, "--pos_tagger", flags.pos_tagger]
        with work.counted():
            run_glue_robust.main(arguments)
    return work.cost


def measure(flags: argparse.Namespace, path: Path) -> None:
    """Measure the methods that the result file lacks in this setting, and write it after each."""
    model = packaged_model(flags.model) if flags.model in PACKAGED_MODELS else flags.model
    result: dict[str, Any] = {"versions": versions(), "setting": setting_of(flags), "methods": {}}
    stored = read_json(path)
    if stored.get("setting") == result["setting"]:
        result = stored
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "train.jsonl"
        chosen = read_rows(flags.data / "sst2" / "train.jsonl.gz")[: flags.rows]
        rows.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
        normal = work_of("normal", model, rows, flags)[TRAINING]
        for name in flags.methods:
            if name not in result["methods"]:
                work = work_of(name, model, rows, flags)
                shares = {phase: cost / normal for phase, cost in work.items()}
                result["methods"][name] = shares | {"all": sum(work.values()) / normal}
                write_json(path, result)
                print(name, json.dumps(result["methods"][name]), flush=True)


def setting_of(flags: argparse.Namespace) -> dict[str, Any]:
    """What the costs depend on, without paths."""
    return {
        "model": flags.model if flags.model in PACKAGED_MODELS else Path(flags.model).name,
        "data": "SST-2",
        "lexicon": Path(flags.lexicon).name,
        **{
            key: getattr(flags, key)
            for key in ("rows", "epochs", "batch_size", "length", "learning_rate", "pos_tagger")
        },
    }


def main(argv: Sequence[str] | None = None) -> Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2/train.jsonl.gz")
    parser.add_argument("--model", default="bert_tiny", help=f"{', '.join(PACKAGED_MODELS)}, or a folder")
    parser.add_argument("--methods", nargs="+", default=methods(), choices=methods(), metavar="METHOD")
    parser.add_argument("--rows", type=int, default=64, help="training rows")
    parser.add_argument("--epochs", type=int, default=4, help="epochs")
    parser.add_argument("--batch_size", type=int, default=16, help="texts of a batch")
    parser.add_argument("--length", type=int, default=64, help="maximum number of tokens of a text")
    parser.add_argument("--learning_rate", type=float, default=1e-3, help="learning rate; high, since steps are few")
    parser.add_argument("--lexicon", default="wordnet", help="table of the attacks that make texts")
    parser.add_argument("--pos_tagger", default="auto", help="tagger of these attacks, as in the script")
    parser.add_argument("--output", type=Path, default=COMMITTED, help="folder of the result file")
    flags = parser.parse_args(argv)
    path: Path = flags.output / "cost_trainings.json"
    measure(flags, path)
    return path


if __name__ == "__main__":
    main()
