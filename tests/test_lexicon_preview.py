"""`hf-robust lexicon preview`: swaps, stop words, coverage, and words in both tables equal a count by hand."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest

from hf_robust.cli.lexicon import add_flags as add_lexicon_flags
from hf_robust.cli.lexicon import run as lexicon

SYNONYMS = {"good": ["fine"], "cold": ["hot", "chilly"], "film": ["moving picture", "."]}
ANTONYMS = {"is": ["differ from"], "Cold": ["Hot"], "good": ["bad"]}
ROWS = [
    {"premise": "it is", "hypothesis": "the film", "label": "neutral"},
    {"premise": "it is", "hypothesis": "a good film", "label": "entailment"},
    {"premise": "this is", "hypothesis": "so cold", "label": "contradiction"},
]


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    made = {"synonyms.json": json.dumps(SYNONYMS), "antonyms.json": json.dumps(ANTONYMS)}
    made["rows.jsonl"] = "".join(f"{json.dumps(row)}\n" for row in ROWS * 40)
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in made}


def preview(*flags: Any) -> str:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_lexicon_flags(parser)
    return str(lexicon(parser.parse_args(["preview", *map(str, flags)])))


def swaps_of(text: str) -> dict[str, int]:
    return {f"{word} {new}": int(count) for word, new, count in re.findall(r"\| (\w+) \| (.+?) \| (\d+) \| ", text)}


def test_both_tables_beside_each_other(paths: dict[str, str]) -> None:
    text = preview(paths["synonyms.json"], "--data", paths["rows.jsonl"], "--antonym_lexicon", paths["antonyms.json"])
    fickle, obstinate, both = re.split(r"(?m)^(?=antonyms:|1 pairs)", text)
    # 13 words in three rows, of which film, good, film and cold have a synonym.
    assert "covers 30.8 % of the open words (160 of 520) and 120 of 120 texts" in fickle
    assert set(swaps_of(fickle)) == {"good fine", "cold hot", "cold chilly", "film moving picture", "film ."}
    assert abs(swaps_of(fickle)["film ."] - 27) < 17  # four standard deviations of a third of 80 draws
    # is, is, good, is, cold of 13; the neutral rows have no antonym view.
    assert "covers 38.5 % of the open words (200 of 520) and 120 of 120 texts" in obstinate
    found = swaps_of(obstinate)
    assert "80 of 80 texts have one" in obstinate and sum(found.values()) == 80
    assert set(found) == {"is differ from", "good bad", "cold hot"} and abs(found["is differ from"] - 40) < 18
    share = float(re.search(r"([\d.]+) % of 80 swaps are on stop words", obstinate)[1])  # type: ignore[index]
    assert share == pytest.approx(100 * found["is differ from"] / 80, abs=0.06)
    assert both.startswith("1 pairs of a word and a substitute are in both tables")
    assert "| cold | hot | 40 |" in both


def test_matched_views_leave_stop_words_alone(paths: dict[str, str]) -> None:
    flags = ("--relation", "antonym", "--data", paths["rows.jsonl"], "--antonym_views", "matched")
    text = preview(paths["antonyms.json"], *flags, "--pos_tagger", "none")
    assert swaps_of(text) == {"good bad": 40, "cold hot": 40}
    assert "80 of 80 texts have one; 0.0 % of 80 swaps are on stop words" in text
    none = preview(paths["antonyms.json"], *flags, "--pos_tagger", "none", "--skip_labels", "entailment", "--top", 0)
    assert "40 of 80 texts have one" in none and not swaps_of(none)


def test_a_stop_word_is_one_however_its_apostrophe_is_written(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps({"don't": ["refuse"], "film": ["novel"]}))
    rows = [{"sentence": "we don\u2019t", "label": "a"}, {"sentence": "film", "label": "b"}] * 20
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    text = preview(tmp_path / "t.json", "--relation", "antonym", "--data", tmp_path / "rows.jsonl")
    assert "50.0 % of 40 swaps are on stop words" in text


def test_the_split_that_is_trained_on_comes_first(tmp_path: Path, paths: dict[str, str]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for split, text in (("train", "good"), ("validation", "cold")):
        (folder / f"{split}.jsonl").write_text(json.dumps({"sentence": text, "label": 0}) + "\n")
    splits: list[tuple[str, ...]] = [(), ("--split", "validation")]
    flags = (paths["antonyms.json"], "--relation", "antonym", "--data", folder, "--class_names", "bad", "good")
    shown = {split: preview(*flags, *split) for split in splits}
    assert list(swaps_of(shown[()])) == ["good bad"]
    assert list(swaps_of(shown["--split", "validation"])) == ["cold hot"]


def test_a_table_that_covers_nothing_says_so(paths: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text(json.dumps({"unheard": ["heard"]}))
    text = preview(tmp_path / "none.json", "--data", paths["rows.jsonl"], "--num_texts", 6)
    assert (
        "covers 0.0 % of the open words (0 of 26) and 0 of 6 texts" in text
        and "0 of 6 texts have one; 0.0 % of 0" in text
    )


def test_what_cannot_be_shown_is_one_sentence(paths: dict[str, str]) -> None:
    table, data = paths["antonyms.json"], paths["rows.jsonl"]
    with pytest.raises(ValueError, match="--antonym_lexicon needs a TABLE of synonyms: leave out"):
        preview(table, "--relation", "antonym", "--data", data, "--antonym_lexicon", table)
    with pytest.raises(ValueError, match="--skip_labels maybe is no label of this task; its labels are contradiction"):
        preview(table, "--relation", "antonym", "--data", data, "--skip_labels", "maybe")
