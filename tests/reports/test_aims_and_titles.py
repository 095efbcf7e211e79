"""Aims of attacks, names of runs and data, and colours of attacks, all read from run cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import make_run

from hf_robust.attacks import ATTACKS
from hf_robust.reports.aims import has_clean_texts, is_static
from hf_robust.reports.captions import attacked_in_words, data_title, run_title, wrapped
from hf_robust.reports.compare import differences
from hf_robust.reports.groups import group_by_seed
from hf_robust.reports.palette import _KNOWN, COLOURS, attack_styles
from hf_robust.runs import SCRIPT_LENGTH, load_run, max_length_of


def test_texts_that_were_brought_along() -> None:
    file, replay = ({"candidates": {"name": name}} for name in ("file", "replay"))
    assert (is_static(file), is_static(replay), is_static({})) == (True, True, False)
    assert (has_clean_texts(file), has_clean_texts(replay), has_clean_texts({})) == (False, True, True)


# ---- titles ----


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ({}, ""),
        ({"name": "demo", "attack_split": "validation"}, "demo (validation)"),
        ({"name": "glue/sst2", "attack_split": "validation", "variant": "validation: glue/sst2, validation (9 rows)"},
         "glue/sst2 (validation)"),
        ({"name": "reviews", "attack_split": "validation",
          "variant": "train: train.jsonl.gz (400 rows); validation: dev.jsonl.gz (116 rows)"},
         "reviews (dev.jsonl.gz)"),
        # Older cards call the data by the file that was trained on.
        ({"name": "train.jsonl.gz", "attack_split": "validation",
          "variant": "train: train.jsonl.gz (400 rows); validation: test.jsonl.gz (116 rows)"}, "test.jsonl.gz"),
        ({"name": "train.jsonl.gz", "attack_split": "validation"}, "train.jsonl.gz (validation)"),
    ],
)  # fmt: skip
def test_titles_name_what_was_measured(tmp_path: Path, data: dict[str, Any], title: str) -> None:
    run = load_run(make_run(tmp_path, [(1, 1)], data=data, method="safer"))
    assert data_title(run) == title and run_title(run) == (f"safer on {title}" if title else "safer")


# ---- styles ----


def test_every_attack_has_a_look_of_its_own_and_keeps_it_in_any_company() -> None:
    assert set(_KNOWN) == set(ATTACKS)
    every = attack_styles(ATTACKS)
    assert len(set(every.values())) == len(ATTACKS)
    assert all(attack_styles([name])[name] == every[name] for name in ATTACKS)
    assert len({colour for colour, _ in list(attack_styles(_KNOWN[: len(COLOURS)]).values())}) == len(COLOURS)


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=40))
def test_styles_of_unknown_attacks_are_distinct_and_leave_the_known_alone(names: list[str]) -> None:
    styles = attack_styles([*names, "synonym"])
    assert list(styles) == list(dict.fromkeys([*names, "synonym"]))  # the order of the legend
    assert len(set(styles.values())) == len(styles) and styles["synonym"] == attack_styles(["synonym"])["synonym"]
    assert styles == {name: attack_styles(["synonym", *reversed(names)])[name] for name in styles}
    for name in names[:1]:
        assert attack_styles([name])[name] == attack_styles(["antonym", name])[name]


# ---- captions ----


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({"a": [{"num_examples": 120, "num_attacked": 81}]}, "attacked of N = 120: a 81"),
        ({name: [{"num_examples": 120, "num_attacked": 81}] for name in "ab"},
         "attacked of N = 120: 81 by each attack"),
        ({"a": [{"num_examples": 120, "num_attacked": 81}], "b": [{"num_examples": 7, "num_attacked": 7}]},
         "attacked: a 81 of 120, b 7 of 7"),
        ({"a": [{"num_examples": 120.0}]}, "examples given to attacks: N = 120"),
        ({"a": [{}]}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_captions_have_the_numbers_of_attacked_examples(results: dict[str, Any], said: str) -> None:
    assert attacked_in_words(results) == said


def test_captions_are_broken_and_hold_no_mathematics() -> None:
    assert wrapped(["", "one two", "three"], 5) == "one\ntwo\nthree" and wrapped([r"$\frac$"], 40) == r"\$\frac\$"


# ---- the model's cut ----


@pytest.mark.parametrize(
    ("card", "length"),
    [
        ({"data": {"max_length": 48}}, 48),
        ({"command": ["run_glue_robust.py", "--max_seq_length", "64"]}, 64),
        ({"command": ["run_glue_robust.py", "--max_seq_length=64"], "data": {"max_length": 32}}, 32),
        ({"command": ["run_glue_robust.py", "_arguments.json"]}, None),
        ({"command": ["run_glue_robust.py", "--do_train"]}, SCRIPT_LENGTH),
        ({"command": ["hf-robust", "attack", "MODEL"]}, None),
        ({}, None),
    ],
)
def test_the_cut_is_read_from_the_card_or_from_its_command(
    tmp_path: Path, card: dict[str, Any], length: int | None
) -> None:
    assert max_length_of(load_run(make_run(tmp_path, [(1, 1)], **card)).card) == length


def test_runs_of_other_lengths_do_not_compare_and_are_no_seeds_of_each_other(tmp_path: Path) -> None:
    def run(name: str, seed: int, **data: int) -> Any:
        known = {"name": "reviews", "fingerprint": "f1", **data}
        return load_run(make_run(tmp_path / name, [(1, 1)], seed=seed, data=known))

    short, long, unknown = run("short", 0, max_length=48), run("long", 1, max_length=128), run("unknown", 2)
    assert differences([short, long]) == ["texts were cut at 48 and at 128 tokens (short, long)"]
    assert differences([short, unknown]) == [] and differences([long, run("other", 3, max_length=128)]) == []
    assert len(group_by_seed([short, long])) == 2
