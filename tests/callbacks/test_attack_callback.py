"""The attack callback: its numbers reach everything that reads metrics, and training does not notice it."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scripted import record as scripted_record
from tiny import ANTONYMS, SYNONYMS, build_model, build_tokenizer, build_trainer, review_data, review_rows, table
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_utils import EvalLoopOutput
from two_ranks import on_two_ranks

from hf_robust.attacks import ATTACKS, Example, Resources
from hf_robust.attacks.control import control_of
from hf_robust.attacks.engine.reading import READINGS
from hf_robust.attacks.static import labelled_file
from hf_robust.callbacks import AttackCallback, RunCardCallback
from hf_robust.callbacks.attack import rates_in_words
from hf_robust.callbacks.predictions import accuracy_of
from hf_robust.metrics import AttackRecord, AttackSummary, ClassCounts, ConfidenceSequence, judged_by, wilson_interval
from hf_robust.metrics.task import glue_metrics
from hf_robust.reports import guessing_warnings, results_table
from hf_robust.reports.guessing import guessing_of
from hf_robust.reports.sanity.completeness import complete_run
from hf_robust.reports.sanity.evidence import gather_evidence
from hf_robust.runs import load_run, read_history, read_records

HERE = Path(__file__).parent
ROWS = 12


def attacks(*names: str) -> dict[str, Any]:
    resources = Resources(synonyms=table(SYNONYMS, "synonym"), antonyms=table(ANTONYMS, "antonym"))
    return {name: ATTACKS[name](resources) for name in names or ("synonym", "antonym")}


def examples(count: int = ROWS) -> list[Example]:
    data = review_data(count, seed=5)
    return [Example(index, data.texts(index), int(data.label(index))) for index in range(count)]


def attacked(folder: Path, *, callback: dict[str, Any] | None = None, **options: Any) -> Any:
    """A trainer of two epochs of two steps whose callback attacks ``ROWS`` rows."""
    settings = {"max_steps": -1, "num_train_epochs": 2, "learning_rate": 0.05, **options}
    trainer = build_trainer("normal", folder, eval_data=review_data(ROWS, seed=5), **settings)
    given = {"attacks": attacks(), "examples": examples(), "max_length": 32, **(callback or {})}
    trainer.attacker = AttackCallback(given.pop("attacks"), given.pop("examples"), **given).attach(trainer)
    return trainer


def evaluations(trainer: Any) -> list[dict[str, Any]]:
    return [entry for entry in trainer.state.log_history if "eval_loss" in entry]


def count_forwards(model: torch.nn.Module) -> Counter[str]:
    counter: Counter[str] = Counter()
    model.register_forward_pre_hook(lambda *_: counter.update(["forward"]))
    return counter


def assert_same_results(first: list[AttackRecord], second: list[AttackRecord]) -> None:
    """Equal but for the noise of scores that were computed in other batches."""
    assert len(first) == len(second) == ROWS
    for mine, theirs in zip(first, second, strict=True):
        for key, value in mine.to_json().items():
            other = theirs.to_json()[key]
            assert other == (pytest.approx(value, abs=1e-5) if key.endswith("_score") else value), key


@pytest.mark.parametrize("batches", [False, True])
def test_the_history_counts_the_classes_of_the_evaluation(batches: bool, tmp_path: Path) -> None:
    options = {"compute_metrics": glue_metrics(None, False), "eval_do_concat_batches": not batches}
    trainer = attacked(tmp_path, callback={"examples": examples(2)}, **options)
    trainer.train()
    labels = [example.label for example in examples()]
    for line in read_history(tmp_path):
        counts = ClassCounts.from_json(line["classes"])
        assert counts.labels == (labels.count(0), labels.count(1)) and sum(counts.predictions) == ROWS
        assert sum(counts.correct) / ROWS == pytest.approx(line["accuracy"])
    assert counts.predictions == tuple(trainer.compute_metrics.counts.sum(axis=1))


def test_a_second_set_of_examples_is_attacked_under_names_of_its_own(tmp_path: Path) -> None:
    """Its numbers are those of a run that attacks it alone, and the worst case is over the first set."""
    other = [Example(index, *row) for index, row in enumerate((one.texts, one.label) for one in examples(20)[ROWS:])]
    of_file = {**attacks("synonym", "antonym"), "file": labelled_file("file", "f", examples(3))}
    both = attacked(tmp_path / "both", callback={"attacks": of_file, "mismatched": other})
    both.train()
    alone = attacked(tmp_path / "alone", callback={"examples": other})
    alone.train()
    first = attacked(tmp_path / "first")
    first.train()
    lines = {name: read_history(tmp_path / name) for name in ("both", "alone", "first")}
    for both_line, alone_line, first_line in zip(*lines.values(), strict=True):
        names = ["synonym", "antonym", "file", "synonym_mm", "antonym_mm"]
        assert list(both_line["attacks"]) == names and both_line["accuracy"] == first_line["accuracy"]
        for name in ("synonym", "antonym"):
            for key, value in alone_line["attacks"][name].items():
                if key != "seconds":
                    assert both_line["attacks"][f"{name}_mm"][key] == pytest.approx(value, nan_ok=True), key
            assert both_line["attacks"][name]["num_examples"] == ROWS
        assert both_line["attacks"]["synonym_mm"]["num_examples"] == len(other)
        assert both_line.get("union") == first_line.get("union")
    assert [record.original for record in read_records(tmp_path / "both/attack_results/epoch-2/synonym_mm.jsonl")] == [
        list(example.texts) for example in other
    ]
    assert {f"eval_{name}_asr" for name in names} <= evaluations(both)[-1].keys()
    assert list(both.attacker.describe()) == names


def test_numbers_reach_log_history_state_file_and_history(tmp_path: Path) -> None:
    trainer = attacked(tmp_path, eval_strategy="epoch")
    trainer.train()
    trainer.save_state()
    history = read_history(tmp_path)
    state = json.loads((tmp_path / "trainer_state.json").read_text())["log_history"]
    assert [line["epoch"] for line in history] == [1.0, 2.0] and [line["step"] for line in history] == [2, 4]
    for line, entry in zip(history, evaluations(trainer), strict=True):
        for name in ("synonym", "antonym"):
            for key in ("asr", *(["robust_accuracy"] if name == "synonym" else ["remains_asr"]), "queries"):
                value = entry[f"eval_{name}_{key}"]
                assert value == pytest.approx(line["attacks"][name][key], nan_ok=True)
            assert line["attacks"][name]["num_examples"] == ROWS and entry[f"eval_{name}_seconds"] >= 0
    assert [row["eval_synonym_queries"] for row in state if "eval_loss" in row] == [
        entry["eval_synonym_queries"] for entry in evaluations(trainer)
    ]


def test_results_hold_every_example_and_give_the_rates(tmp_path: Path) -> None:
    attacked(tmp_path).train()
    for line in read_history(tmp_path):
        for name, rates in line["attacks"].items():
            records = read_records(tmp_path / "attack_results" / f"epoch-{line['epoch']:g}" / f"{name}.jsonl")
            assert [record.idx for record in records] == list(range(ROWS))
            statuses = Counter(record.status for record in records)
            tried = statuses["succeeded"] + statuses["failed"]
            assert rates["num_attacked"] == tried
            if tried:
                assert rates["asr"] == pytest.approx(statuses["succeeded"] / tried)
            if name == "antonym":
                assert "robust_accuracy" not in rates
            else:
                assert rates["robust_accuracy"] == pytest.approx(statuses["failed"] / ROWS)


def test_the_worst_case_over_attacks_is_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipes = attacks("synonym", "antonym")
    swapped = ATTACKS["synonym"](Resources(synonyms=table(ANTONYMS, "synonym")))
    recipes["swapped"] = dataclasses.replace(swapped, name="swapped", max_changed=1)
    trainer = attacked(tmp_path, callback={"attacks": recipes})
    trainer.train()
    (_, last), entries = read_history(tmp_path), evaluations(trainer)
    folder = tmp_path / "attack_results" / "epoch-2"
    found = [read_records(folder / f"{name}.jsonl") for name in ("synonym", "swapped")]
    robust = sum(a.status == b.status == "failed" for a, b in zip(*found, strict=True))
    assert 0 < robust < min(sum(record.status == "failed" for record in one) for one in found)
    low, high = wilson_interval(robust, ROWS)
    rates = {"robust_accuracy": robust / ROWS, "robust_accuracy_low": low, "robust_accuracy_high": high}
    assert last["union"].pop("attacks") == ["synonym", "swapped"]
    assert last["union"] == pytest.approx({"num_examples": ROWS, **rates})
    for key in (*rates, "num_examples"):
        assert entries[1][f"eval_union_{key}"] == pytest.approx(last["union"][key])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch 2/"))
    assert line.endswith(f"worst of synonym, swapped: under attack {100 * robust / ROWS:.0f} ({ROWS} examples)")


def test_one_attack_of_the_kind_has_no_union(tmp_path: Path) -> None:
    trainer = attacked(tmp_path)
    assert not any("union" in key for key in trainer.evaluate())
    assert "union" not in read_history(tmp_path)[0]


def test_nothing_attacked_cannot_choose_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = attacked(
        tmp_path,
        eval_strategy="epoch",
        save_strategy="epoch",
        metric_for_best_model="synonym_asr",
        greater_is_better=False,
        learning_rate=0.0,
    )
    predicted = trainer.predict(review_data(ROWS, seed=5)).predictions.argmax(-1)
    wrong = [example._replace(label=1 - int(label)) for example, label in zip(examples(), predicted, strict=True)]
    trainer.attacker.examples = wrong
    trainer.train()
    assert [math.isnan(entry["eval_synonym_asr"]) for entry in evaluations(trainer)] == [True, True]
    assert trainer.state.best_global_step in (None, 0)
    said = [record.message for record in caplog.records if "is not a number" in record.message]
    assert len(said) == 1 and said[0].startswith("eval_synonym_asr is not a number, since no text was changed")


def test_the_line_says_how_many_texts_have_a_substitute() -> None:
    def line(*stops: str) -> str:
        found = [scripted_record(number, "failed", stop=stop) for number, stop in enumerate(stops)]
        return rates_in_words("synonym", AttackSummary.from_records(found), {})

    every = "synonym: ASR 0 %, accuracy 100 -> under attack 100 (2 of 2"
    assert line("exhausted", "exhausted").startswith(every)
    some = "synonym: ASR 0 %, accuracy 100 -> under attack 100, a substitute in 1 of 2 texts (2 of 2"
    assert line("exhausted", "no_candidates").startswith(some)
    none = "synonym: ASR n/a, accuracy 100 -> under attack –, a substitute in 0 of 2 texts (2 of 2"
    assert line("no_candidates", "no_candidates").startswith(none)


@pytest.mark.parametrize("strategy", ["end", "epoch"])
def test_the_weights_that_are_kept_are_measured(tmp_path: Path, strategy: str) -> None:
    """With strategy end, training measures the last weights; where the best are kept, those are measured after it."""
    trainer = attacked(
        tmp_path,
        callback={"strategy": strategy},
        num_train_epochs=3,
        learning_rate=0.3,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_chosen",
        callbacks=[RunCardCallback({}, {}, {}, "normal")],
    )
    evaluation_loop, scores = trainer.evaluation_loop, iter([0.1, 0.9, 0.5, 0.5, 0.5])

    def scored(*args: Any, **kwargs: Any) -> Any:
        output = evaluation_loop(*args, **kwargs)
        output.metrics["eval_chosen"] = next(scores)
        return output

    vars(trainer)["evaluation_loop"] = scored
    trainer.train()
    trainer.save_state()
    assert trainer.state.best_global_step == 4
    metrics = trainer.evaluate()
    history = read_history(tmp_path)
    assert [line["step"] for line in history] == ([4, 6] if strategy == "end" else [2, 4, 6])
    run = load_run(tmp_path)
    assert run.measured_exactly and run.published["epoch"] == 2.0
    assert run.published["attacks"]["synonym"]["asr"] == pytest.approx(metrics["eval_synonym_asr"], nan_ok=True)
    best = attacked(
        tmp_path / "best", model=AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint-4")
    )
    best.evaluate()
    files = [tmp_path / "attack_results" / "epoch-2", tmp_path / "best" / "attack_results" / "epoch-0"]
    assert_same_results(*(read_records(folder / "synonym.jsonl") for folder in files))
    trainer.evaluate()
    assert read_history(tmp_path) == history


def test_the_trainers_card_bears_epochs_without_an_attack(tmp_path: Path) -> None:
    """Its table of epochs takes its columns from the first line, and fails at a later one that has more."""
    trainer = attacked(tmp_path, callback={"strategy": "end"}, eval_strategy="epoch")
    trainer.train()
    logged = [dict(entry) for entry in trainer.state.log_history]
    trainer.create_model_card()
    assert trainer.state.log_history == logged
    card = (tmp_path / "README.md").read_text()
    header, _, first, second = next(block for block in card.split("\n\n") if "| Synonym Asr |" in block).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (header, first, second)]
    place = cells[0].index("Synonym Asr")
    assert cells[1][place] == "–"
    assert float(cells[2][place]) == pytest.approx(evaluations(trainer)[-1]["eval_synonym_asr"], abs=1e-4)


def test_bf16_does_not_reuse_float32(tmp_path: Path) -> None:
    attacked(tmp_path).evaluate()
    half = attacked(tmp_path, bf16=True)
    counter = count_forwards(half.model)
    half.evaluate()
    assert counter["forward"] > 2
    again = count_forwards(half.model)
    half.evaluate()
    assert again["forward"] == 2


def test_a_file_of_texts_is_attacked_in_every_epoch(tmp_path: Path) -> None:
    rows = [Example(index, ("a film was good.",), index % 2) for index in range(5)]
    recipes = {"file_texts": labelled_file("file_texts", "texts.jsonl", rows), **attacks("synonym")}
    trainer = attacked(tmp_path, callback={"attacks": recipes})
    trainer.train()
    for line in read_history(tmp_path):
        assert line["attacks"]["file_texts"]["num_examples"] == line["attacks"]["file_texts"]["num_attacked"] == 5
        assert line["attacks"]["file_texts"]["robust_accuracy"] in (0.4, 0.6)  # one text under both labels
        assert line["attacks"]["synonym"]["num_examples"] == ROWS and "union" not in line
    alone = attacked(tmp_path / "alone", callback={"attacks": {"file_texts": recipes["file_texts"]}, "examples": []})
    assert "eval_file_texts_robust_accuracy" in alone.evaluate()


def test_numbers_reach_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    attacked(tmp_path, report_to="tensorboard").train()
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert {"eval/synonym_asr", "eval/antonym_asr"} <= set(events.Tags()["scalars"])


@pytest.mark.parametrize("first", [True, False])
def test_best_model_and_early_stopping_in_any_order(
    tmp_path: Path, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASR by epoch 0.5 0.3 0.4: the third is no better, so patience 1 stops there and epoch 2 is the best."""
    trainer = attacked(
        tmp_path,
        num_train_epochs=5,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_synonym_asr",
        greater_is_better=False,
        callbacks=[EarlyStoppingCallback(1)] if first else None,
    )
    rates = iter([0.5, 0.3, 0.4, 0.2, 0.1, 0.1])
    monkeypatch.setattr(
        trainer.attacker, "_measure", lambda output: output.metrics.update(eval_synonym_asr=next(rates))
    )
    if not first:
        trainer.add_callback(EarlyStoppingCallback(1))
    trainer.train()
    assert trainer.state.epoch == 3.0 and trainer.state.best_metric == 0.3
    assert Path(trainer.state.best_model_checkpoint).name == "checkpoint-4"


@pytest.mark.parametrize("eval_strategy", ["epoch", "no"])
def test_training_does_not_notice_the_attack(tmp_path: Path, eval_strategy: str) -> None:
    options = {"eval_strategy": eval_strategy, "model": build_model(dropout=0.2), "num_train_epochs": 3}
    with_attack = attacked(tmp_path / "with", **options)
    with_attack.train()
    options["model"] = build_model(dropout=0.2)
    without = attacked(tmp_path / "without", callback={"strategy": "no"}, **options)
    without.train()
    assert len(read_history(tmp_path / "with")) == 3
    assert not (tmp_path / "without" / "robustness_history.jsonl").exists()
    for name, value in with_attack.model.state_dict().items():
        assert torch.equal(value, without.model.state_dict()[name]), name
    losses = [[e["loss"] for e in t.state.log_history if "loss" in e] for t in (with_attack, without)]
    assert losses[0] == losses[1]


def test_works_on_a_stock_trainer(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    args = TrainingArguments(
        str(tmp_path), num_train_epochs=2, report_to="none", use_cpu=True, disable_tqdm=True, save_strategy="no"
    )
    trainer = Trainer(
        model=build_model(),
        args=args,
        train_dataset=review_data(16),
        eval_dataset=review_data(ROWS, seed=5),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    AttackCallback(attacks(), examples(), max_length=32).attach(trainer)
    trainer.train()
    assert ["eval_synonym_asr" in entry for entry in evaluations(trainer)] == [True, True]
    assert len(read_history(tmp_path)) == 2


def test_one_summary_line_an_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attacked(tmp_path).train()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2 and lines[0].startswith("epoch 1/2  accuracy ")
    assert all(
        f" of {ROWS} examples attacked, " in line and "queries each" in line and " s)" in line for line in lines
    )
    assert all(re.search(r"synonym: ASR (n/a|\d+ %), accuracy \d+ -> under attack \d+ \(", line) for line in lines)
    assert all(re.search(r"antonym: ASR (n/a|\d+ %) \(raises .+, remains .+, median rise ", line) for line in lines)


def test_a_killed_measurement_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = attacked(tmp_path / "whole")
    cost = count_forwards(whole.model)
    whole.evaluate()
    killed = attacked(tmp_path / "killed")
    calls = Counter[str]()

    def die(*_: Any) -> None:
        calls.update(["forward"])
        if calls["forward"] == cost["forward"] - 1:
            raise KeyboardInterrupt

    handle = killed.model.register_forward_pre_hook(die)
    with pytest.raises(KeyboardInterrupt):
        killed.evaluate()
    handle.remove()
    journalled = sum(
        line.startswith('{"idx"')
        for path in (tmp_path / "killed" / "_attack_journal").glob("*.jsonl")
        for line in path.read_text().splitlines()
    )
    assert journalled >= ROWS  # at least the first attack is on disk
    rest = count_forwards(killed.model)
    killed.evaluate()
    assert rest["forward"] < cost["forward"]
    for name in ("synonym", "antonym"):
        files = [tmp_path / run / "attack_results" / "epoch-0" / f"{name}.jsonl" for run in ("whole", "killed")]
        assert_same_results(*map(read_records, files))


@pytest.mark.slow
def test_a_run_killed_in_an_attack_resumes_without_measuring_again(tmp_path: Path) -> None:
    """Killed in the second epoch's attack: training repeats that epoch bit for bit, so its journal still counts."""

    def run(folder: str, checkpoint: str | None = None, die_at: int | None = None) -> tuple[Any, Counter[str]]:
        trainer = attacked(tmp_path / folder, model=build_model(dropout=0.2), save_strategy="epoch")
        queries: Counter[str] = Counter()

        def note(module: torch.nn.Module, *_: Any) -> None:
            queries.update([f"epoch {trainer.state.global_step // 2}"] if not module.training else [])
            if die_at is not None and queries["epoch 2"] == die_at:
                raise KeyboardInterrupt

        trainer.model.register_forward_pre_hook(note)
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer, queries

    whole, asked = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("killed", die_at=asked["epoch 2"] - 1)
    assert len(read_history(tmp_path / "killed")) == 1
    _, asked_again = run("killed", checkpoint=str(tmp_path / "killed" / "checkpoint-2"))
    assert 0 < asked_again["epoch 2"] < asked["epoch 2"]
    for name in ("synonym", "antonym"):
        files = [tmp_path / folder / "attack_results" / "epoch-2" / f"{name}.jsonl" for folder in ("whole", "killed")]
        assert_same_results(*map(read_records, files))


def test_the_same_weights_are_measured_once(tmp_path: Path) -> None:
    trainer = attacked(tmp_path)
    trainer.train()
    before = read_history(tmp_path)
    counter = count_forwards(trainer.model)
    metrics = trainer.evaluate()
    assert counter["forward"] == 2  # 12 rows in batches of 8, and no query
    assert metrics["eval_synonym_asr"] == pytest.approx(before[-1]["attacks"]["synonym"]["asr"], nan_ok=True)
    assert read_history(tmp_path) == before


def test_other_evaluation_sets_are_not_attacked(tmp_path: Path) -> None:
    trainer = attacked(tmp_path)
    assert "eval_synonym_asr" not in trainer.evaluate(eval_dataset=review_data(4, seed=8))
    assert "test_synonym_asr" not in trainer.predict(review_data(4, seed=8)).metrics
    assert "eval_synonym_asr" in trainer.evaluate()
    assert "eval_synonym_asr" in trainer.evaluate(eval_dataset=trainer.eval_dataset)


def test_strategies(tmp_path: Path) -> None:
    for strategy, epochs in {"epoch": [1.0, 2.0], "end": [2.0]}.items():
        attacked(tmp_path / strategy, callback={"strategy": strategy}).train()
        assert [line["epoch"] for line in read_history(tmp_path / strategy)] == epochs
    trainer = attacked(tmp_path / "no", callback={"strategy": "no"})
    trainer.train()
    assert "eval_synonym_asr" not in trainer.evaluate()


def test_evaluation_between_epochs_is_not_attacked(tmp_path: Path) -> None:
    trainer = attacked(tmp_path, eval_strategy="steps", eval_steps=1)
    trainer.train()
    # Steps 1 to 4, and one evaluation more at each of the two epoch ends.
    assert ["eval_synonym_asr" in entry for entry in evaluations(trainer)] == [False, False, True, False, False, True]


@pytest.mark.slow
def test_resume_keeps_earlier_epochs_and_a_new_run_starts_anew(tmp_path: Path) -> None:
    options = {"save_strategy": "epoch", "eval_strategy": "epoch"}
    attacked(tmp_path, **options).train()
    whole = read_history(tmp_path)
    resumed = attacked(tmp_path, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    again = read_history(tmp_path)
    assert [line["epoch"] for line in again] == [1.0, 2.0]
    # Taken from the journal, and so equal down to the seconds.
    assert [line["attacks"] for line in again] == [line["attacks"] for line in whole]
    assert len(evaluations(resumed)) == 2
    attacked(tmp_path, num_train_epochs=1).train()
    assert [line["epoch"] for line in read_history(tmp_path)] == [1.0]
    assert [path.name for path in (tmp_path / "attack_results").iterdir()] == ["epoch-1"]


@pytest.mark.slow
def test_two_ranks_give_the_results_of_one_process(tmp_path: Path) -> None:
    on_two_ranks(HERE / "attack_on_two_ranks.py", str(tmp_path / "two"), output=tmp_path / "two")
    one = attacked(tmp_path / "one")
    metrics = one.evaluate()
    for rank in (0, 1):
        seen = json.loads((tmp_path / "two" / f"metrics-{rank}.json").read_text())
        for key, value in metrics.items():
            if ("synonym" in key or "antonym" in key) and not key.endswith("_seconds"):
                assert seen[key] == pytest.approx(value, nan_ok=True), key
    for name in ("synonym", "antonym"):
        files = [tmp_path / run / "attack_results" / "epoch-0" / f"{name}.jsonl" for run in ("one", "two")]
        assert_same_results(*map(read_records, files))
    assert len(read_history(tmp_path / "two")) == 1


def test_accuracy_where_the_metrics_have_none() -> None:
    """CoLA has no accuracy; its predictions may come as logits, as unjoined batches, or as class ids."""
    logits, labels = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), np.array([1, 0, 0])
    batches = [logits[:2], logits[2:]], [labels[:2], labels[2:]]
    for predictions, ids in [(logits, labels), ((logits, labels), labels), batches, (np.array([1, 0, 1]), labels)]:
        output = EvalLoopOutput(predictions, ids, {"eval_matthews_correlation": 0.5}, 3)
        assert accuracy_of(output, {}) == pytest.approx(2 / 3)


def test_accuracy_of_several_labels_is_of_whole_sets() -> None:
    logits = np.array([[0.5, -1.0], [1.0, 1.0], [-2.0, -0.1]])
    labels = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    output = EvalLoopOutput(logits, labels, {"eval_f1": 0.5}, 3)
    assert accuracy_of(output, {}) == pytest.approx(2 / 3)


@pytest.mark.slow
def test_what_would_end_the_first_measurement_is_an_error_before_training(tmp_path: Path) -> None:
    """An epoch is saved only after it was attacked, so an attack that cannot work must not cost one."""
    resources = Resources(antonyms=table({"unheard": ["of"]}, "antonym"))
    nothing = {"attacks": {"antonym": ATTACKS["antonym"](resources)}}
    trainer = attacked(tmp_path, callback=nothing)
    with pytest.raises(ValueError, match=f"can change nothing: no open word of {ROWS} texts"):
        trainer.train()
    assert trainer.state.global_step == 0
    trainer = attacked(tmp_path, model=build_model(num_labels=1))
    with pytest.raises(ValueError, match="an attack needs a classifier, got a regression model"):
        trainer.train()
    assert trainer.state.global_step == 0
    best = {"load_best_model_at_end": True, "metric_for_best_model": "loss", "eval_steps": 1, "save_steps": 1}
    trainer = attacked(tmp_path, eval_strategy="steps", save_strategy="steps", **best)
    with pytest.raises(ValueError, match="--eval_strategy steps with --metric_for_best_model loss"):
        trainer.train()
    attacked(tmp_path, callback={"strategy": "no"}, eval_strategy="steps", save_strategy="steps", **best).train()


@pytest.mark.parametrize(
    ("metric", "given", "sentence"),
    [
        ("eval_union_robust_accuracy", {}, "needs at least two attacks that change the prediction, got 1"),
        ("antonym_robust_accuracy", {}, "says nothing, since the antonym attack keeps the prediction"),
        ("synonym_changed_share", {}, "exists only in epochs in which the synonym attack succeeds"),
        ("pwws_asr", {}, "needs its attack: add --attacks pwws"),
        ("certified_accuracy", {}, "it needs --eval_strategy epoch .got epoch. and --certify epoch .got no"),
        ("synonym_asr", {"strategy": "end"}, "--attack_strategy epoch .got end"),
    ],
)
def test_a_metric_that_is_not_measured_chooses_nothing(
    tmp_path: Path, metric: str, given: dict[str, Any], sentence: str
) -> None:
    trainer = attacked(
        tmp_path, callback=given, metric_for_best_model=metric, eval_strategy="epoch", save_strategy="epoch"
    )
    with pytest.raises(ValueError, match=f"--metric_for_best_model {metric.removeprefix('eval_')} .*{sentence}"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_a_search_that_was_blind_is_said_once_an_epoch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = build_model()
    with torch.no_grad():
        model.classifier.weight *= 1000
    climbing = {name: dataclasses.replace(attacks("synonym")["synonym"], scores=name) for name in READINGS}
    trainer = attacked(tmp_path, model=model, callback={"attacks": climbing}, learning_rate=0.0)
    trainer.train()
    said = [record.getMessage() for record in caplog.records if "may only look robust" in record.getMessage()]
    assert len(said) == 2 and all(one.startswith("probability: at ") for one in said)
    for line, entry in zip(read_history(tmp_path), evaluations(trainer), strict=True):
        assert line["attacks"]["probability"]["saturated_share"] == entry["eval_probability_saturated_share"] > 0.5
        assert "saturated_share" not in line["attacks"]["margin"]


def test_choosing_the_worst_weights_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = {"metric_for_best_model": "synonym_asr", "eval_strategy": "epoch", "num_train_epochs": 1}
    assert attacked(tmp_path, **options).args.greater_is_better is False
    attacked(tmp_path, greater_is_better=True, **options).train()
    assert "synonym_asr is better, but greater_is_better is True" in caplog.text


@pytest.mark.parametrize(("metric", "warnings"), [("synonym_asr", 1), ("synonym_robust_accuracy", 0)])
def test_choosing_by_a_rate_that_a_useless_model_wins_is_said_once(
    metric: str, warnings: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attacked(tmp_path, metric_for_best_model=f"eval_{metric}", eval_strategy="epoch", num_train_epochs=1).train()
    said = [record.getMessage() for record in caplog.records if "useless model" in record.getMessage()]
    assert len(said) == warnings and all("--metric_for_best_model synonym_asr may choose" in line for line in said)


def test_errors_are_one_sentence(tmp_path: Path) -> None:
    loose = AttackCallback(attacks(), examples())
    with pytest.raises(ValueError, match=r"AttackCallback\(...\).attach\(trainer\)"):
        build_trainer("normal", tmp_path, callbacks=[loose]).train()
    with pytest.raises(ValueError, match="needs a Trainer with one eval_dataset, got none"):
        AttackCallback(attacks(), examples()).attach(build_trainer("normal", tmp_path))
    with pytest.raises(ValueError, match="no example to attack"):
        AttackCallback(attacks(), [])
    with pytest.raises(ValueError, match="must be one of no, epoch, end, got 'step'"):
        AttackCallback(attacks(), examples(), strategy="step")
    nothing = build_trainer("normal", tmp_path, eval_data=review_data(4))
    nothing.processing_class = None
    with pytest.raises(ValueError, match="processing_class=tokenizer"):
        AttackCallback(attacks(), examples()).attach(nothing)


def test_a_warm_start_asks_the_last_epochs_texts_first(tmp_path: Path) -> None:
    # Nothing is learnt, so that every text which succeeded succeeds again.
    trainer = attacked(tmp_path, callback={"warm_start": True, "attacks": attacks("synonym")}, learning_rate=0.0)
    trainer.train()
    first, second = (read_records(tmp_path / f"attack_results/epoch-{epoch}/synonym.jsonl") for epoch in (1, 2))
    succeeded = [(one, two) for one, two in zip(first, second, strict=True) if one.status == "succeeded"]
    assert succeeded
    for one, two in succeeded:
        assert (two.status, two.stop, two.queries, two.perturbed) == ("succeeded", "warm_start", 2, one.perturbed)
    assert [one.status for one in first] == [two.status for two in second]


# ---- a model that guesses ----


def constant(answer: int = 1) -> Any:
    """A model that gives every text one label."""
    model = build_model()
    torch.nn.init.zeros_(model.classifier.weight)
    model.classifier.bias.data = torch.nn.functional.one_hot(torch.tensor(answer), 2).float()
    return model


def printed_line(folder: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    attacked(folder, learning_rate=0.0, num_train_epochs=1, **options).train()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    return line


def test_a_constant_model_is_marked_on_the_line_of_the_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = printed_line(tmp_path, capsys, model=constant())
    assert "accuracy 50.0  (one class predicted for every text; the larger class has 50.0)  synonym: ASR 0 %" in line
    # The same in the files, which have no card here: from the records.
    found = guessing_of(load_run(tmp_path))
    assert found is not None and found.one_answer and not found.learnt
    assert "| normal †" not in results_table(load_run(tmp_path)) and guessing_warnings(load_run(tmp_path))


LEARNS = {"optim": "adamw_torch", "learning_rate": 0.01, "max_steps": -1, "num_train_epochs": 8}


@pytest.mark.parametrize(("turned", "mark"), [(False, ""), (True, "(below chance, 50.0: are the labels permuted?)  ")])
def test_a_model_that_has_learnt_is_marked_where_labels_have_other_numbers_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], turned: bool, mark: str
) -> None:
    rows = [{**row, "label": int(turned != row["label"])} for row in review_rows(64, seed=9)]
    data = review_data(rows=rows)
    trainer = build_trainer("normal", tmp_path, data=review_data(64), eval_data=data, **LEARNS)
    given = [Example(index, data.texts(index), int(data.label(index))) for index in range(64)]
    AttackCallback(attacks("synonym"), given, max_length=32, strategy="end").attach(trainer)
    trainer.train()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert re.search(rf"accuracy \d+\.\d  {re.escape(mark)}synonym: ASR", line), line
    assert (guessing_warnings(load_run(tmp_path)) == []) is not turned


def test_a_shortening_attack_says_what_it_deleted_and_no_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = printed_line(tmp_path, capsys, model=constant(), callback={"attacks": attacks("input_reduction")})
    assert re.search(r"input_reduction: \d+\.\d % of the words deleted \(6 of 12 examples attacked", line)
    assert "ASR" not in line and "robust_accuracy" not in read_history(tmp_path)[0]["attacks"]["input_reduction"]
    assert rows_of(results_table(load_run(tmp_path)))["input_reduction"][1:4] == ["50 [25, 75]", "–", "–"]


def rows_of(table: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0]: row for row in cells}


def test_a_random_control_takes_the_queries_of_its_attack_in_each_epoch(tmp_path: Path) -> None:
    recipes = attacks("synonym")
    recipes["other"] = dataclasses.replace(recipes["synonym"], name="other", max_changed=1)
    recipes["synonym_random"] = control_of(recipes["synonym"], "synonym")
    trainer = attacked(tmp_path, callback={"attacks": recipes})
    trainer.train()
    for line in read_history(tmp_path):
        folder = tmp_path / "attack_results" / f"epoch-{line['epoch']:g}"
        found, drawn = (read_records(folder / f"{name}.jsonl") for name in ("synonym", "synonym_random"))
        assert all(mine.queries >= other.queries for mine, other in zip(found, drawn, strict=True))
        assert line["union"]["attacks"] == ["synonym", "other"]
    assert "eval_synonym_random_asr" in evaluations(trainer)[-1]
    assert not [flag for flag in complete_run(gather_evidence(tmp_path)).flags if "differs" in flag]


def test_every_epoch_stops_at_the_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    until, rows = ConfidenceSequence(0.5), examples(100)
    attacked(tmp_path, callback={"until": until, "examples": rows}).train()
    history, printed = read_history(tmp_path), capsys.readouterr().out
    for line in history:
        for name, key in (("synonym", "robust_accuracy"), ("antonym", "asr")):
            result = line["attacks"][name]
            records = read_records(tmp_path / "attack_results" / f"epoch-{line['epoch']:g}" / f"{name}.jsonl")
            assert result["num_examples"] == len(records) < result["num_rows"] == 100
            assert (result[f"{key}_low"], result[f"{key}_high"]) == until.interval(*judged_by(records))
            assert f"stopped after {len(records)} of 100 rows" in printed
    assert len({line["attacks"]["synonym"]["until_interval"] for line in history}) == 1
    assert not [flag for flag in complete_run(gather_evidence(tmp_path)).flags if "differs" in flag]


def test_an_interval_that_the_examples_cannot_reach_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--attack_until_interval 3 cannot be reached on {ROWS} rows"):
        attacked(tmp_path, callback={"until": ConfidenceSequence(0.03)})
