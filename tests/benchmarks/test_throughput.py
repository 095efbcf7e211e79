"""The throughput benchmark's arithmetic on a tiny model; nothing here looks at how long anything took."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from attacks.attack_parts import SYNONYMS, texts, victim
from hypothesis import given
from hypothesis import strategies as st
from tiny import build_model

from benchmarks.performance import stopwatch, throughput, throughput_options, throughput_runs
from hf_robust.attacks import Example
from hf_robust.attacks.engine.tokens import TextTokenizer

BUDGETS = (32, 64, 256)


@pytest.fixture
def flags(model_folder: Callable[..., Path], tmp_path: Path) -> list[str]:
    """The tiny model, 24 rows with two thirds of the labels as it predicts them, and a table of synonyms."""
    found = texts(24)
    predicted = victim().probabilities(found).argmax(-1)
    rows = [
        {"sentence": one[0], "label": int(label) ^ (number % 3 == 2)}
        for number, (one, label) in enumerate(zip(found, predicted, strict=True))
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "table.json").write_text(json.dumps(SYNONYMS))
    files = ["--model", model_folder(), "--data", tmp_path / "rows.jsonl", "--lexicon", tmp_path / "table.json"]
    files += ["--output", tmp_path / "out" / "throughput.json", "--device", "cpu", "--pos_tagger", "none"]
    return [*map(str, files), "--num", "6", "--recipes", "textfooler", "--budgets", *map(str, BUDGETS)]


def result_of(flags: list[str]) -> dict[str, Any]:
    assert throughput.main(flags) == 0
    found: dict[str, Any] = json.loads(Path(flags[flags.index("--output") + 1]).read_text())
    return found


def check_ratio(ratio: dict[str, float], above: dict[str, Any], below: dict[str, Any], per: str | None = None) -> None:
    for clock in ("seconds", "cpu_seconds"):
        counts = above[per] / below[per] if per else 1.0
        assert ratio[clock] == pytest.approx(above[clock] / below[clock] / counts)


@pytest.mark.slow
def test_without_textattack(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise ValueError("it is not installed.")

    monkeypatch.setattr(throughput, "import_textattack", missing)
    threads = torch.get_num_threads()
    found = result_of([*flags, "--against", "textattack", "--scale", "28", "6", "--threads", "1", "1"])
    assert torch.get_num_threads() == threads
    printed = capsys.readouterr().out
    assert "TextAttack is left out: it is not installed." in printed and "| textfooler | native first | 6 |" in printed
    assert found["versions"]["textattack"] == "not run" and found["machine"]["threads"] == 1
    assert not any("/" in str(value) for value in found["settings"].values())
    (recipe,) = found["recipes"]
    check_engine(recipe)
    check_bound(recipe)
    check_options(found["options"], recipe)
    # One of the rows is a single word, which no rotation changes.
    assert [(row["examples"], row["distinct_texts"]) for row in found["scale"]] == [(6, 6), (28, 27)]
    assert all(row["seconds_per_example"] == row["seconds"] / row["examples"] for row in found["scale"])


def check_engine(recipe: dict[str, Any]) -> None:
    runs = recipe["runs"]
    assert list(runs) == ["native first", "native plan kept", "native one at a time"]
    for label, run in runs.items():
        assert run["examples"] == run["attacked"] == recipe["agreeing"][label] == 6
        assert run["queries"] == runs["native first"]["queries"] >= run["forwarded"] > 0
        assert run["asr"] == run["succeeded"] / 6
        for clock in ("seconds", "cpu_seconds"):
            assert len(recipe["rounds"][label][clock]) == 2
            assert np.mean(recipe["rounds"][label][clock]) == pytest.approx(run[clock])
    assert runs["native one at a time"]["forwards"] > runs["native first"]["forwards"]
    check_ratio(recipe["ratios"]["plan kept / first"], runs["native plan kept"], runs["native first"])


def check_bound(recipe: dict[str, Any]) -> None:
    rows, best = recipe["bound_budgets"], recipe["bound"]
    assert set(rows) == {"packed", "equal lengths", "1 threads"}
    assert all([row["budget"] for row in found] == list(BUDGETS) for found in rows.values())
    assert best["seconds"] == min(row["seconds"] for row in rows["packed"])
    for label in ("native first", "native plan kept"):
        check_ratio(recipe["ratios"][f"{label} / bound"], recipe["runs"][label], best)
    every = [row for found in rows.values() for row in found]
    assert {(row["sequences"], row["tokens"]) for row in every} == {(best["sequences"], best["tokens"])}
    assert best["sequences"] * best["forwarded_each"] == pytest.approx(recipe["runs"]["native first"]["forwarded"])
    assert best["forwarded_each"] >= 1
    assert all(row["padded_tokens"] == row["tokens"] for row in rows["equal lengths"])
    assert all(row["padded_tokens"] >= row["tokens"] for row in every)


def check_options(rows: list[dict[str, Any]], recipe: dict[str, Any]) -> None:
    plain = rows[0]
    assert (
        plain["option"] == throughput_options.IDENTICAL
        and plain["queries"] == recipe["runs"]["native first"]["queries"]
    )
    bf16 = throughput_options.has_bf16(torch.device("cpu"))
    assert len(rows) == 5 + bf16 == len({row["option"] for row in rows}) and plain["same_status"] == 6
    assert bf16 == (throughput_options.BF16 in {row["option"] for row in rows})
    for row in rows:
        check_ratio(row["speed_up"], plain, row)
        assert row["queries_ratio"] == row["queries"] / plain["queries"]
        assert row["asr_difference"] == pytest.approx(row["asr"] - plain["asr"])
        assert 6 - row["same_status"] >= abs(row["succeeded"] - plain["succeeded"])
        assert (row["replayed"] > 0) == (row["option"] == "--attack_warm_start")
        assert (row["gradients"] > 0) == row["option"].endswith("gradient")


@pytest.mark.skipif(find_spec("textattack") is None, reason="TextAttack is not installed")
def test_with_textattack(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    throughput.import_textattack()
    import nltk

    monkeypatch.setattr(nltk.corpus, "stopwords", SimpleNamespace(words=lambda language: []))
    found = result_of([*flags, "--against", "textattack", "--shipped_num", "2", "--rounds", "1"])
    (recipe,) = found["recipes"]
    runs, ratios = recipe["runs"], recipe["ratios"]
    longest = max(len(one.ids) for one in TextTokenizer(victim().tokenizer, 64).encode(texts(24)))
    assert found["padded_to"] == {"shipped": 64, "data": longest}
    assert [runs[label]["padded_to"] for label in throughput.PADDED] == [64, longest, None]
    assert [runs[label]["examples"] for label in throughput.PADDED] == [2, 6, 6]
    assert all(recipe["agreeing"][label] == runs[label]["examples"] for label in throughput.PADDED)
    first, dynamic = runs["native first"], runs["TextAttack dynamic"]
    assert dynamic["queries"] == first["queries"] and dynamic["forwards"] > first["forwards"]
    check_ratio(ratios["TextAttack as shipped / native first"], runs["TextAttack as shipped"], first, per="queries")
    check_ratio(ratios["TextAttack dynamic / native one at a time"], dynamic, runs["native one at a time"])


@pytest.mark.parametrize("num", ["0", "7"])
def test_only_rows_that_are_classified_correctly_are_attacked(num: str, flags: list[str]) -> None:
    args = throughput.parse([*flags, "--num", num])[1]
    case, rows, _ = throughput.prepare(args)
    predicted = case.victim.probabilities([row.texts for row in case.examples]).argmax(-1)
    assert [row.label for row in case.examples] == predicted.tolist()
    assert len(rows) == 24 and len(case.examples) == (int(num) or 16)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--num", "20"], "the model classifies only 16 correctly"),
        (["--rounds", "0"], "--rounds must be at least 1, got 0"),
        (["--scale", "5", "0"], "--scale must be at least 1, got 5 0"),
        (["--recipes", "nope"], "invalid choice: 'nope'"),
    ],
)
def test_wrong_flags(wrong: list[str], message: str, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        throughput.main([*flags, *wrong])
    assert message in capsys.readouterr().err


def test_the_bound_forwards_what_the_victim_forwarded() -> None:
    target = throughput_runs.RecordingVictim(build_model(), victim().tokenizer)
    target.score([*texts(8), *texts(8)])
    assert len(target.recorded) == target.forwarded == 8
    seen: list[int] = []
    target.model.register_forward_hook(lambda module, inputs, output: seen.append(len(output.logits)))
    row = throughput_runs.Bound(target, target.recorded.values()).run(40)
    # The first batch goes through once more, before the clock starts.
    assert sum(seen) - seen[0] == 8 and len(seen) == row["batches"] + 1


def test_the_bound_takes_other_threads_for_its_run_only() -> None:
    target = throughput_runs.RecordingVictim(build_model(), victim().tokenizer)
    target.score([("the",)])
    before, seen = torch.get_num_threads(), []
    target.model.register_forward_pre_hook(lambda module, inputs: seen.append(torch.get_num_threads()))
    throughput_runs.Bound(target, target.recorded.values()).run(40, threads=before + 1)
    assert seen == [before + 1] * 2 and torch.get_num_threads() == before


@given(st.lists(st.integers(1, 30)), st.integers(1, 100))
def test_batches_of_equal_length(lengths: list[int], budget: int) -> None:
    parts = list(throughput_runs.of_equal_length(lengths, budget))
    assert sorted(place for part in parts for place in part) == list(range(len(lengths)))
    for part in parts:
        assert len({lengths[place] for place in part}) == 1
        assert len(part) == 1 or sum(lengths[place] for place in part) <= budget


def test_texts_that_come_round_again_are_rotated() -> None:
    case: Any = SimpleNamespace(new_victim=victim)
    rows = [Example(9, ("a good film",), 0), Example(4, ("the plot",), 1)]
    found = throughput_options._examples(case, rows, 5)
    assert [one.texts[0] for one in found] == ["a good film", "the plot", "good film a", "plot the", "film a good"]
    assert [one.idx for one in found] == list(range(5))
    assert [one.label for one in found] == victim().probabilities([one.texts for one in found]).argmax(-1).tolist()


def test_a_shaken_model_differs_and_leaves_the_model_alone() -> None:
    model = build_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again, none = (throughput_options.shaken(model, noise, 3).state_dict() for noise in (0.1, 0.1, 0.0))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert all(torch.equal(value, none[name]) for name, value in before.items())
    assert any(not torch.equal(value, before[name]) for name, value in first.items())


def test_means_and_ratios() -> None:
    assert stopwatch.mean_row([{"a": 1, "b": 2, "c": None}, {"a": 1, "b": 5, "c": None}]) == {
        "a": 1,
        "b": 3.5,
        "c": None,
    }
    above, below = {"seconds": 6.0, "cpu_seconds": 4.0, "n": 2}, {"seconds": 2.0, "cpu_seconds": 0.0, "n": 1}
    assert stopwatch.ratio_of_times(above, below) == {"seconds": 3.0, "cpu_seconds": None}
    assert stopwatch.ratio_of_times(above, below, "n")["seconds"] == 1.5
