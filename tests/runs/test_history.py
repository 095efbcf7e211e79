"""Histories: a round trip, incomplete last lines, and errors for malformed files."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.runs import attack_names, read_history, write_history_line


def line(epoch: float, asr: float = 0.5) -> dict[str, object]:
    return {"epoch": epoch, "step": int(10 * epoch), "accuracy": 0.9, "attacks": {"synonym": {"asr": asr}}}


def test_lines_come_back(tmp_path: Path) -> None:
    for epoch in (1.0, 2.0):
        write_history_line(tmp_path, line(epoch))
    assert read_history(tmp_path) == [line(1.0), line(2.0)]
    assert read_history(tmp_path / "robustness_history.jsonl") == read_history(tmp_path)


@given(st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0]), min_size=1, max_size=8))
def test_resuming_replaces_the_same_and_later_epochs(epochs: list[float]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        expected: list[tuple[float, float]] = []
        for number, epoch in enumerate(epochs):
            write_history_line(folder, line(epoch, asr=number / 10))
            expected = [(old, asr) for old, asr in expected if old < epoch] + [(epoch, number / 10)]
        found = [(one["epoch"], one["attacks"]["synonym"]["asr"]) for one in read_history(folder)]
    assert found == expected


def test_nan_is_null_in_the_file_and_nan_in_memory(tmp_path: Path) -> None:
    write_history_line(tmp_path, line(1.0, asr=math.nan))
    written = json.loads((tmp_path / "robustness_history.jsonl").read_text(), parse_constant=pytest.fail)
    assert written["attacks"]["synonym"]["asr"] is None
    assert math.isnan(read_history(tmp_path)[0]["attacks"]["synonym"]["asr"])


def test_nothing_but_the_history_is_left_beside_it(tmp_path: Path) -> None:
    write_history_line(tmp_path, line(1.0))
    assert [path.name for path in tmp_path.iterdir()] == ["robustness_history.jsonl"]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_torn_last_line_is_left_out_with_a_warning(tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    for epoch in (1.0, 2.0):
        write_history_line(tmp_path, line(epoch))
    file = tmp_path / "robustness_history.jsonl"
    file.write_text(file.read_text()[: -1 - cut])
    with caplog.at_level(logging.WARNING):
        assert read_history(tmp_path) == [line(1.0)]
    assert "line 2 is incomplete" in caplog.text
    write_history_line(tmp_path, line(2.0, asr=0.25))
    assert read_history(tmp_path) == [line(1.0), line(2.0, asr=0.25)]


def test_complete_last_line_without_a_newline_counts(tmp_path: Path) -> None:
    (tmp_path / "robustness_history.jsonl").write_text(json.dumps(line(1.0)))
    assert read_history(tmp_path) == [line(1.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"epoch": 1\n{"epoch": 2, "step": 2}\n', "line 1: not JSON"),
        ("[1]\n", "line 1: expected an object with epoch, step and attacks, got list"),
        ('{"step": 1}\n', "'epoch' must be a number, got None"),
        ('{"epoch": 1, "step": "x"}\n', "'step' must be a number, got 'x'"),
        ('{"epoch": 1, "step": 1, "attacks": [1]}\n', "'attacks' must map each attack's name"),
        ('{"epoch": 1, "step": 1, "attacks": {"a": {"queries": 1}}}\n', "attack 'a' needs numbers and an 'asr'"),
        ('{"epoch": 1, "step": 1, "attacks": {"a": {"asr": "high"}}}\n', "attack 'a' needs numbers and an 'asr'"),
    ],
)
def test_malformed_histories_are_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "robustness_history.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_history(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_history_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist; give a run folder in which attacks were measured"):
        read_history(tmp_path)


def test_attack_names_in_order_of_appearance(tmp_path: Path) -> None:
    first = {**line(1.0), "attacks": {"b": {"asr": 0.1}}}
    second = {**line(2.0), "attacks": {"a": {"asr": 0.1}, "b": {"asr": 0.1}}}
    assert attack_names([first, second]) == ["b", "a"]
