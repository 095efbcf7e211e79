"""Attacks on real data: the runner's bookkeeping and the tables, on results that the test makes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.performance import identity
from benchmarks.study import attack_tables, run, run_attacks
from hf_robust.cli.main import build_parser
from hf_robust.metrics import AttackRecord, AttackSummary, union_of_attacks
from hf_robust.runs import finite

pytestmark = pytest.mark.slow

EXPERIMENTS = sorted((run.ROOT / "benchmarks" / "experiments").glob("attacks_*.json"))
RECIPES = ("textfooler", "pwws", "deepwordbug", "textbugger")


@pytest.fixture(autouse=True)
def no_packaged_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "packaged_model", lambda name: f"models/{name}")


# ---- the runner ----


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiments_are_commands_that_parse(path: Path) -> None:
    command = run_attacks.attack_command(path, Path("model"), Path("data"), Path("out"))
    options = build_parser(command[2:]).parse_args(command[2:])
    assert not any("{" in token for token in command)
    assert tuple(options.attacks[:4]) == RECIPES
    name = run_attacks.dataset_of(path)
    assert options.data == f"data/{name}/test.jsonl.gz" and name in attack_tables.TITLES
    assert options.attack_num_examples == (0 if name == "trec" else 500)
    assert run_attacks.training_arguments(path, Path("data"))["do_train"] is True


def test_a_trial_overrides_examples_and_attacks() -> None:
    command = run_attacks.attack_command(EXPERIMENTS[0], Path("m"), Path("d"), Path("o"), 3, ["pwws", "file:{data}/x"])
    options = build_parser(command[2:]).parse_args(command[2:])
    assert options.attack_num_examples == 3 and options.attacks == ["pwws", "file:d/x"]


def write_model(folder: Path, **card: Any) -> None:
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "trainer_state.json"):
        (folder / name).write_text("")
    training = {"num_train_epochs": 2.0, "learning_rate": 1e-4}  # the rest as transformers has it
    stated = {"method": "normal", "seed": 1, "training": training, "data": {"train_samples": 6920}, "command": ["x"]}
    (folder / "run_card.json").write_text(json.dumps({**stated, **card}))
    (folder / "all_results.json").write_text(json.dumps({"eval_accuracy": 0.875, "train_loss": 1.0}))


def experiment(folder: Path) -> Path:
    args = {"num_train_epochs": 2, "learning_rate": 1e-4, "train_file": "{data}/sst2/train.jsonl.gz"}
    attack = {"data": "{data}/sst2/test.jsonl.gz", "attacks": ["pwws"], "attack_num_examples": 5}
    path = folder / "attacks_sst2.json"
    path.write_text(json.dumps({"methods": ["normal"], "seeds": [1], "args": args, "attack": attack}))
    return path


def steps_taken(monkeypatch: pytest.MonkeyPatch, work: Path) -> list[list[str]]:
    """Instead of running them, note the steps and leave what they would."""
    steps: list[list[str]] = []

    def step(arguments: list[str], log: Path) -> None:
        steps.append(arguments)
        if arguments[0] == "run_glue_robust.py":
            write_model(Path(json.loads(Path(arguments[1]).read_text())["output_dir"]))
            return
        output = Path(arguments[arguments.index("--output_dir") + 1])
        (output / "attack_results").mkdir(parents=True)
        (output / "attack_results" / "pwws.jsonl").write_text("a text of the data")
        for name in run_attacks.KEPT_FILES:
            (output / name).write_text("{}")

    monkeypatch.setattr(run_attacks, "run_step", step)
    return steps


@pytest.mark.parametrize("given", [True, False])
def test_a_model_is_trained_only_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    steps = steps_taken(monkeypatch, tmp_path)
    models = tmp_path / "models"
    if given:
        write_model(models / "sst2")
    else:
        (models / "sst2").mkdir(parents=True)
        (models / "sst2" / "run_card.json").write_text("{}")  # a training that has not ended
    flags = ["--data", "data", "--models", str(models), "--work", str(tmp_path / "work")]
    code = run_attacks.main([str(experiment(tmp_path)), *flags, "--results", str(tmp_path / "results")])
    assert code == 0 and [step[0] for step in steps] == ["run_glue_robust.py"] * (not given) + ["-m"]
    used = models / "sst2" if given else tmp_path / "work" / "attacks_sst2" / "sst2"
    assert steps[-1][3] == str(used)
    kept = tmp_path / "results" / "attacks_sst2"
    assert {path.name for path in kept.iterdir()} == {*run_attacks.KEPT_FILES, run_attacks.TRAINING_FILE}
    training = json.loads((kept / run_attacks.TRAINING_FILE).read_text())
    assert training["eval_accuracy"] == 0.875 and "command" not in training
    assert training["training"]["num_train_epochs"] == 2.0
    assert training["training"]["per_device_train_batch_size"] == 8  # transformers' own, which the card leaves out


def test_a_model_of_another_training_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path / "models" / "sst2", training={"learning_rate": 1e-4})  # 3 epochs, by transformers' default
    flags = ["--data", "data", "--models", str(tmp_path / "models"), "--work", str(tmp_path)]
    assert run_attacks.main([str(experiment(tmp_path)), *flags]) == 1
    assert "trained with num_train_epochs 3.0 and the experiment says 2; train it again" in capsys.readouterr().out
    with pytest.raises(run_attacks.BenchmarkError, match="no run card"):
        run_attacks.check_training(tmp_path, {})


def test_a_step_that_fails_names_its_log(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "_log.txt"
    with pytest.raises(run_attacks.BenchmarkError, match="ended with code 3; see .*_log.txt"):
        run_attacks.run_step(["-c", "print('why'); raise SystemExit(3)"], log)
    assert log.read_text() == "why\n"


def test_the_other_runner_leaves_these_experiments_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["run.py", str(experiment(tmp_path)), "--data", "data"])
    run.main()
    printed = capsys.readouterr().out
    assert (
        "attacks_sst2.json is left out; run it by benchmarks.study.run_attacks" in printed
        and "0 runs to do" in printed
    )


# ---- the tables ----


def records(letters: str) -> list[AttackRecord]:
    """One example a letter: s succeeded, f failed, - skipped; each of 4 words, one of them changed by a success."""
    status = {"s": "succeeded", "f": "failed", "-": "skipped"}
    return [
        AttackRecord(
            idx=index, label=1, status=status[letter], original=["a b c d"], perturbed=["x b c d"],
            changed=[[0, "a", "x"]] if letter == "s" else [], queries=10, original_prediction=int(letter != "-"),
            perturbed_prediction=0, original_score=1.0, perturbed_score=0.0, stop="", num_candidates=1,
        )
        for index, letter in enumerate(letters)
    ]  # fmt: skip


def write_results(results: Path, name: str, letters: dict[str, str], similarity: Any = None) -> None:
    folder = results / f"attacks_{name}"
    folder.mkdir(parents=True)
    found = {attack: records(row) for attack, row in letters.items()}
    ours = {attack: row for attack, row in found.items() if not attack.startswith("file_")}
    union = union_of_attacks(ours)
    described = {
        attack: {"candidates": {"name": "synonyms" if attack in ours else "file"}, "similarity": similarity}
        for attack in found
    }
    summary = {
        "data": {"eval_samples": len(next(iter(letters.values())))},
        "attacks": described,
        "results": {attack: vars(AttackSummary.from_records(row, 12.25)) for attack, row in found.items()},
        "union": union.history() if union else None,
    }
    (folder / "attack_summary.json").write_text(json.dumps(finite(summary), allow_nan=False))
    training = {"data": {"train_samples": 6920}, "training": {"num_train_epochs": 2.0}}
    (folder / "training.json").write_text(json.dumps(training))


def table_rows(text: str) -> dict[str, list[str]]:
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_nothing_measured_gives_no_section(tmp_path: Path) -> None:
    assert attack_tables.compact(tmp_path) == attack_tables.full(tmp_path) == ""


def test_the_table_of_a_data_set(tmp_path: Path) -> None:
    letters = {"textfooler": "sssf-", "pwws": "sfff-", "deepwordbug": "ffff-", "file_sst2": "sfff"}
    write_results(tmp_path, "sst2", letters)
    rows = table_rows(attack_tables.full(tmp_path))
    # Wilson by hand for 3 of 4: (0.75 + z^2/8 -+ z sqrt(0.1875/4 + z^2/64)) / (1 + z^2/4), z = 1.959964
    assert rows["textfooler"] == [
        "5", "4", "75.0 [30.1, 95.4]", "20.0 [3.6, 62.4]", "10.0", "25.0", "1.0", "12.2",
    ]  # fmt: skip
    assert rows["none (clean text)"][3].startswith("80.0 [37.6, ")
    assert rows["deepwordbug"][2].startswith("0.0 [0.0, ") and rows["deepwordbug"][5:7] == ["–", "–"]
    worst = rows["worst of textfooler, pwws, deepwordbug"]
    assert worst[3] == "20.0 [3.6, 62.4]" and worst[2] == "–"
    assert rows["AdvGLUE"][:4] == ["4", "4", "25.0 [4.6, 69.9]", "75.0 [30.1, 95.4]"]


def test_the_compact_table_has_two_columns_a_data_set(tmp_path: Path) -> None:
    write_results(tmp_path, "mrpc", {"textfooler": "ssff", "pwws": "sfff"})
    write_results(tmp_path, "sst2", {"textfooler": "ffff", "textbugger": "ssss", "file_sst2": "sf"})
    text = attack_tables.compact(tmp_path)
    rows = table_rows(text)
    assert rows["attack"] == ["SST-2: ASR", "SST-2: robust accuracy", "MRPC: ASR", "MRPC: robust accuracy"]
    assert [cell.split(" ")[0] for cell in rows["textfooler"]] == ["0.0", "100.0", "50.0", "50.0"]
    assert rows["pwws"][:2] == ["–", "–"] and rows["textbugger"][2:] == ["–", "–"]
    assert [cell.split(" ")[0] for cell in rows["worst of all these"]] == ["–", "0.0", "–", "50.0"]
    assert rows["AdvGLUE (its own texts)"][0] == "–" and rows["AdvGLUE (its own texts)"][1].startswith("50.0")
    assert "SST-2: 6,920 rows, 2 epochs, 4 test examples, " in text
    assert "benchmarks/results/attacks_sst2/asr_by_budget.svg" in text and "No sentence encoder" in text
    assert "](results/attacks_mrpc/asr_by_budget.svg)" in attack_tables.full(tmp_path)


def test_an_encoder_is_not_said_to_be_missing_where_one_was_asked(tmp_path: Path) -> None:
    write_results(tmp_path, "trec", {"textfooler": "sf"}, similarity={"encoder": "x"})
    assert "No sentence encoder" not in attack_tables.compact(tmp_path)


def test_nothing_attacked_leaves_dashes(tmp_path: Path) -> None:
    write_results(tmp_path, "trec", {"textfooler": "--"})
    assert table_rows(attack_tables.full(tmp_path))["textfooler"][1:6] == ["0", "–", "0.0 [0.0, 65.8]", "–", "–"]


def compared(recipe: str, **changes: Any) -> dict[str, Any]:
    counts = {"examples": 200, "agree": 198, "noise": 2, "disagrees": 0, "queries_a": 6120, "queries_b": 6118}
    return {"recipe": recipe, "data": "sst2/test.jsonl.gz", **counts, "queries_compared": True, **changes}


def test_identity_of_several_files(tmp_path: Path) -> None:
    folder = tmp_path / "attack_identity"
    folder.mkdir()
    plain = {"textattack": "0.3.11", "settings": {"sentence_encoder": None, "stock": False}}
    pwws = compared("pwws", agree=197, disagrees=1)
    (folder / "a.json").write_text(json.dumps({**plain, "results": [compared("textfooler"), pwws]}))
    encoder = {"textattack": "0.3.11", "settings": {"sentence_encoder": "mini", "stock": True}}
    synonym = compared("synonym", queries_compared=False)
    (folder / "b.json").write_text(json.dumps({**encoder, "results": [synonym]}))
    text = attack_tables.full(tmp_path)
    assert "3 recipes were compared with TextAttack 0.3.11 on 600 pairs" in text
    assert "same on 593; 6 differ by float noise alone, 1 disagree." in text
    rows = table_rows(text)
    assert rows["textfooler"] == ["sst2/test.jsonl.gz", "200", "198", "2", "0", "6,120", "6,118", "–"]
    assert rows["synonym"][6:] == ["6,118 (fewer by design)", "sentence encoder mini, TextAttack's own wrapper"]
    assert "on 600 pairs" in attack_tables.compact(tmp_path) and "| recipe" not in attack_tables.compact(tmp_path)


def test_disagreements_without_texts_keep_their_numbers() -> None:
    ours, theirs = (record.to_json() for record in records("sf"))
    found = [{"idx": 0, "verdict": "noise", "a": ours, "b": theirs}]
    kept = identity.without_texts({"agree": 1, "disagreements": found})
    assert "b c d" not in json.dumps(kept) and kept["agree"] == 1
    (one,) = kept["disagreements"]
    assert one["verdict"] == "noise" and (one["a"]["status"], one["b"]["status"]) == ("succeeded", "failed")


# ---- what is committed ----


def test_committed_results_hold_no_texts_and_no_paths_of_a_machine() -> None:
    folders = [*run.RESULTS.glob("attacks_*"), run.RESULTS / "attack_identity"]
    for path in (path for folder in folders for path in folder.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'"(original|perturbed|sentence\d?)":', text), f"{path.name} holds texts of the data"
        assert not re.search(r'"/|(?:/home|/root|/tmp|/work)/', text), f"{path.name} names a folder of one machine"


def test_scripts_run_from_the_checkout() -> None:
    names = ["performance.identity", "performance.throughput", "study.run", "study.run_attacks"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # One process for all: the imports take most of the time.
    code = """if True:
        import contextlib, runpy, sys
        for name in sys.argv[1:]:
            sys.argv = [name, "--help"]
            with contextlib.suppress(SystemExit):
                runpy.run_module(f"benchmarks.{name}", run_name="__main__")
            print("end of", name)
    """
    command = [sys.executable, "-c", code, *names]
    finished = subprocess.run(command, cwd=run.ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    for name in names:
        text, _, finished.stdout = finished.stdout.partition(f"end of {name}\n")
        assert "usage:" in text and "--data" in text, name
