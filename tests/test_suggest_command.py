"""`hf-robust suggest` from a data file and a model's configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import BertConfig

from hf_robust.cli.main import main


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    texts = [f"a fine film number {number} that everyone should see at least once" for number in range(60)]
    return write(tmp_path / "reviews.jsonl", [{"text": text, "label": i % 2} for i, text in enumerate(texts)])


def test_it_describes_the_task_and_names_methods(
    reviews: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    BertConfig(hidden_size=128, num_hidden_layers=2, num_attention_heads=2).save_pretrained(tmp_path / "model")
    assert main(["suggest", "--data", reviews, "--model", str(tmp_path / "model"), "--max_cost", "6"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Your task: single texts, 2 classes, 60 training rows, 12 words in a row, bert, ")
    assert "on SST-2 (" in shown and "| `normal` | 1.0 | " in shown
    assert "60 training rows, measured with" in shown


@pytest.mark.parametrize("name", ["lstm", "cnn"])
def test_a_new_word_model_gets_the_evidence_of_its_kind(
    name: str, reviews: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suggest", "--data", reviews, "--model", name]) == 0
    assert f"Nearest experiment: {name.upper()} on SST-2 (" in capsys.readouterr().out


def test_one_class_is_no_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [{"text": f"some words {number}", "label": 0} for number in range(20)]
    assert main(["suggest", "--data", write(tmp_path / "rows.jsonl", rows)]) == 2
    assert "has fewer than two classes: give other --data, or name the column" in capsys.readouterr().err


def test_pairs_get_the_evidence_of_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [(f"A man in coat {number} plays a guitar.", f"Person {number} is asleep.") for number in range(60)]
    rows: list[dict[str, object]] = [
        {"premise": first, "hypothesis": second, "label": number % 3} for number, (first, second) in enumerate(texts)
    ]
    assert main(["suggest", "--data", write(tmp_path / "pairs.jsonl", rows)]) == 0
    shown = capsys.readouterr().out
    assert "pairs of texts, 3 classes" in shown and "on SNLI (" in shown


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--max_cost", "0"], "--max_cost must be above 0, got 0"),
        (["--max_cost", "nan"], "--max_cost must be above 0, got nan"),
        (["--model", "no/such"], "--model no/such: no configuration of a classifier can be read"),
    ],
)
def test_wrong_flags_are_refused(
    reviews: str, flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suggest", "--data", reviews, *flags]) == 2
    assert f"hf-robust suggest: {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("label", [0.5, [1, 0, 1]])
def test_tasks_without_one_class_for_each_text_are_refused(
    tmp_path: Path, label: object, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, object]] = [{"text": f"some words {number}", "label": label} for number in range(20)]
    assert main(["suggest", "--data", write(tmp_path / "rows.jsonl", rows)]) == 2
    assert "there is no evidence for this task" in capsys.readouterr().err


def test_classes_and_words_are_counted_as_training_counts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels differ by more than spaces, also beside rows without a label; a Chinese text is not one word."""
    labels: list[object] = ["0", "1", "1 ", " 1", "0 ", None]
    rows: list[dict[str, object]] = [
        {"text": f"这部电影非常好看{chr(0x4E00 + number)}", "label": labels[number % 6]} for number in range(60)
    ]
    assert main(["suggest", "--data", write(tmp_path / "films.jsonl", rows)]) == 0
    assert "Your task: single texts, 2 classes, 60 training rows, 4 words in a row" in capsys.readouterr().out
