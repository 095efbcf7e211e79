"""Rows whose attack failed: their text in generated views, in files and in training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import Scripted
from tiny import build_model, build_tokenizer, build_trainer, review_data

from hf_robust.attacks import Example, Victim, choose_examples
from hf_robust.callbacks import RunCardCallback
from hf_robust.data import TextDataset
from hf_robust.metrics import AttackRecord
from hf_robust.views import AttackedViews, GenerationContext, View, ViewRound
from hf_robust.views.attacked import FAILED_VIEWS, with_failed_rows
from hf_robust.words import Text

STATUSES = {number: ("succeeded", "failed", "skipped")[number % 3] for number in range(16)}
FOUND = [number for number in range(16) if number % 3 == 0]


class EndedSearches(Scripted):
    """An attack whose failed searches end at a changed text; skipped examples keep the clean text."""

    def run(self, *args: Any) -> Any:
        for record in super().run(*args):
            yield self.ended(record)

    def ended(self, record: AttackRecord) -> AttackRecord:
        if record.status == "skipped":
            return replace(record, perturbed=record.original)
        word = "very" if record.status == "succeeded" else "music"
        return replace(record, perturbed=[f"{text} {word}" for text in record.original], changed=[[0, "a", "a"]])


def generated(failed: str, folder: Path) -> tuple[list[Example], ViewRound]:
    examples = choose_examples(review_data(9), 0, 0)
    victim = Victim(build_model(), build_tokenizer(), max_length=32)
    return examples, AttackedViews(EndedSearches(STATUSES), failed=failed)(victim, examples, GenerationContext(folder))


def test_each_row_has_what_was_asked_for(tmp_path: Path) -> None:
    texts = {}
    for failed in FAILED_VIEWS:
        examples, made = generated(failed, tmp_path / failed)
        assert made.attempts == 9 and all(view.ok for _, view in made)
        assert [row for row, view in made if not view.failed] == [0, 3, 6]
        texts[failed] = {row: view.text.columns[0] for row, view in made}
        assert all(view.changed == () for _, view in made if view.failed and failed == "clean")
    own = {example.idx: example.texts[0] for example in examples}
    found = {row: f"{own[row]} very" for row in (0, 3, 6)}
    assert texts["drop"] == found
    assert texts["clean"] == own | found
    assert texts["last"] == own | found | {row: f"{own[row]} music" for row in (1, 4, 7)}


def test_soft_labels_are_the_victims_at_the_text_that_stands_there(tmp_path: Path) -> None:
    victim = Victim(build_model(), build_tokenizer(), max_length=32)
    for failed in ("clean", "last"):
        _, made = generated(failed, tmp_path / failed)
        rows = victim.probabilities([view.text.columns for _, view in made])
        for (_, view), row in zip(made, rows, strict=True):
            assert view.soft == pytest.approx(row.tolist(), abs=1e-6)


def test_what_changes_the_views_changes_their_key_and_the_default_keeps_it() -> None:
    victim = Victim(build_model(), build_tokenizer(), max_length=32)
    examples = choose_examples(review_data(3), 0, 0)
    keys = {failed: AttackedViews(EndedSearches(), failed=failed).key(victim, examples) for failed in FAILED_VIEWS}
    assert len(set(keys.values())) == 3
    assert keys["drop"] == AttackedViews(EndedSearches()).key(victim, examples)


def test_a_bound_on_successes_leaves_every_failure_before_it(tmp_path: Path) -> None:
    victim = Victim(build_model(), build_tokenizer(), max_length=32)
    examples = choose_examples(review_data(16), 0, 0)
    made = AttackedViews(EndedSearches(STATUSES), wanted=2, failed="clean")(
        victim, examples, GenerationContext(tmp_path)
    )
    assert sum(not view.failed for _, view in made) == 2
    assert sum(view.failed for _, view in made) == 10 == made.attempts - len(FOUND)


# ---- files ----

ROWS = [Example(number, (f"film {number}",), number % 2) for number in range(3)]


def stored_views(failed: str, attempts: int = 3) -> tuple[ViewRound, dict[str, Any]]:
    """A file of three rows, the first of which was fooled."""
    rows = [(0, View(Text(("movie 0",)), True, (0,)))]
    if failed != "drop":
        texts = {1: "film 1" if failed == "clean" else "plot 1", 2: "film 2"}
        rows += [(row, View(Text((text,)), True, (), soft=(1.0, 0.0), failed=True)) for row, text in texts.items()]
    made = ViewRound(rows)
    made.attempts = attempts
    return made, {"how": {"name": "pwws"} if failed == "drop" else {"name": "pwws", "failed_views": failed}}


@pytest.mark.parametrize("failed", FAILED_VIEWS)
def test_a_file_gives_what_it_holds_and_less(failed: str) -> None:
    made, header = stored_views(failed)
    assert with_failed_rows(made, header, failed, ROWS, "file") is made
    dropped = with_failed_rows(made, header, "drop", ROWS, "file")
    assert [row for row, _ in dropped] == [0] and dropped.attempts == 3
    clean = with_failed_rows(made, header, "clean", ROWS, "file")
    assert [(row, view.text.columns[0]) for row, view in clean] == [(0, "movie 0"), (1, "film 1"), (2, "film 2")]
    assert [view.failed for _, view in clean] == [False, True, True]


@pytest.mark.parametrize(
    ("failed", "wanted", "attempts", "lacks"),
    [
        ("drop", "clean", 2, "which rows were attacked"),
        ("drop", "last", 3, "where their searches ended"),
        ("clean", "last", 3, "where their searches ended"),
    ],
)
def test_what_a_file_does_not_say_is_refused(failed: str, wanted: str, attempts: int, lacks: str) -> None:
    made, header = stored_views(failed, attempts)
    with pytest.raises(ValueError, match=rf"made with --failed_views {failed} and does not say {lacks}; give"):
        with_failed_rows(made, header, wanted, ROWS, "file")


# ---- training ----


def trained(name: str, folder: Path, **options: Any) -> Any:
    trainer = build_trainer(name, folder, attacks={"scripted": EndedSearches(STATUSES)}, max_steps=2, **options)
    trainer.add_callback(RunCardCallback({}, {}, {}, name, generation=trainer.generation))
    trainer.train()
    return trainer


def card(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run_card.json").read_text()))


@pytest.mark.parametrize("name", ["ada", "amda", "a2t", "adv_iter", "flat", "semrode", "taichi", "adpmixup"])
def test_every_method_that_attacks_pairs_every_row(name: str, tmp_path: Path) -> None:
    whole = {"a2t": {"num_train_adv_examples": 1.0}, "semrode": {"view_fraction": 1.0}}.get(name, {})
    trainer = trained(name, tmp_path, failed_views="clean", **whole)
    assert trainer.view_share == 1.0
    (made,) = card(tmp_path)["views"]
    assert (made["attempts"], made["found"], made["failed_kept"]) == (16, len(FOUND), 10)
    assert card(tmp_path)["config"]["failed_views"] == "clean"


def test_the_papers_pairs_are_taichis_default_and_no_others() -> None:
    from hf_robust.trainers import METHODS

    fields = {name: method.config.__dataclass_fields__.get("failed_views") for name, method in METHODS.items()}
    defaults = {
        name: METHODS[name].config(output_dir="out").failed_views  # type: ignore[attr-defined]
        for name, one in fields.items()
        if one is not None
    }
    assert {name: default for name, default in defaults.items() if default != "drop"} == {"taichi": "clean"}
    assert {name for name, one in fields.items() if one is not None} == {
        "ada", "amda", "a2t", "adv_iter", "flat", "semrode", "taichi", "adpmixup",
    }  # fmt: skip


@pytest.mark.parametrize("asked", ["drop", "clean"])
def test_a_file_of_both_trains_as_the_attacks_do(asked: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"taichi_variant": "base_adv", "failed_views": asked}
    made = trained("taichi", tmp_path / "made", **options)
    trained("taichi", tmp_path / "both", taichi_variant="base_adv", failed_views="clean")
    file = str(tmp_path / "both" / "_views" / "scripted-round0.jsonl")
    read = trained("taichi", tmp_path / "read", view_file=[file], **options)
    assert made.view_share == read.view_share == (1.0 if asked == "clean" else len(FOUND) / 16)
    for name, value in made.model.state_dict().items():
        assert value.equal(read.model.state_dict()[name]), name


def test_attacks_that_all_failed_are_refused_unless_their_last_texts_differ(tmp_path: Path) -> None:
    all_failed = EndedSearches(dict.fromkeys(range(16), "failed"))
    for failed in ("drop", "clean"):
        trainer = build_trainer("ada", tmp_path / failed, attacks={"scripted": all_failed}, failed_views=failed)
        with pytest.raises(
            ValueError, match="found no adversarial example among 16 texts, so that ada would be plain"
        ):
            trainer.train()
    last = build_trainer("ada", tmp_path / "last", attacks={"scripted": all_failed}, failed_views="last")
    last.train()
    assert last.view_share == 1.0


def test_views_that_the_model_reads_as_their_text_are_paired_too(tmp_path: Path) -> None:
    texts = [
        "a film",
        "the film was very good and warm with music",
    ]  # the attack adds a word after the cut of one text
    rows = [{"sentence": texts[number % 2], "label": number // 2 % 2} for number in range(8)]
    data = TextDataset(rows, ("sentence",), build_tokenizer(), max_length=6)
    shares = {}
    for failed in ("drop", "clean"):
        trainer = build_trainer(
            "ada",
            tmp_path / failed,
            data=data,
            attacks={"scripted": EndedSearches()},
            failed_views=failed,
            max_steps=1,
        )
        trainer.train()
        (made,) = trainer.generation.rounds
        assert (made["attempts"], made["found"], made["unread"]) == (8, 8, 4)
        shares[failed] = trainer.view_share
    assert shares == {"drop": 0.5, "clean": 1.0}


def test_another_word_is_no_choice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="failed_views must be one of drop, clean, last"):
        build_trainer("ada", tmp_path, failed_views="keep")
