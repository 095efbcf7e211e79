"""Generation of views: it continues after a crash, repeats no work, and does not change training."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from generate_on_two_ranks import RUNS, STATUSES
from scripted import Scripted
from tiny import (
    SYNONYMS,
    build_model,
    build_tokenizer,
    build_trainer,
    dense_synonyms,
    review_data,
    review_rows,
    synonym_attack,
    table,
)
from transformers import TrainerCallback
from two_ranks import first_error, on_two_ranks

from hf_robust.attacks import ATTACKS, Resources, Victim
from hf_robust.callbacks import RunCardCallback
from hf_robust.data import TextDataset
from hf_robust.runs import journal
from hf_robust.trainers import METHODS
from hf_robust.training import generation
from hf_robust.views import StoredViews, View, ViewRound, tokenizer_hash, write_views
from hf_robust.words import Protection, Text

HERE = Path(__file__).parent


def weights(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], tolerance: float = 0.0) -> bool:
    return first.keys() == second.keys() and all(
        torch.allclose(value, second[name], rtol=0.0, atol=tolerance) for name, value in first.items()
    )


def train(name: str, folder: Path, *, resume: Path | None = None, **options: Any) -> Any:
    trainer = build_trainer(name, folder, **options)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer


def view_lines(folder: Path, view: str = "scripted", number: int = 0) -> list[str]:
    """The views of a round, without the header."""
    return (folder / "_views" / f"{view}-round{number}.jsonl").read_text().splitlines()[1:]


@pytest.fixture(scope="module")
def victim_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("victim")
    build_model(seed=5).save_pretrained(folder)
    return str(folder)


# ---- killed and started again ----


@pytest.mark.parametrize(("name", "options"), [("ada", {}), ("adv_iter", {}), ("a2t", {"num_train_adv_examples": 9})])
def test_a_generation_that_died_goes_on_and_repeats_nothing(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    whole = train(name, tmp_path / "whole", attacks={"scripted": Scripted(STATUSES)}, max_steps=1, **options)
    dying = Scripted(STATUSES, stops_after=5)
    with pytest.raises(RuntimeError, match="power cut"):
        train(name, tmp_path / "again", attacks={"scripted": dying}, max_steps=1, **options)
    going_on = Scripted(STATUSES)
    again = train(name, tmp_path / "again", attacks={"scripted": going_on}, max_steps=1, **options)
    assert len(dying.attacked) == 5 and not set(dying.attacked) & set(going_on.attacked)
    assert set(dying.attacked) | set(going_on.attacked) == set(range(16))
    assert view_lines(tmp_path / "again") == view_lines(tmp_path / "whole")
    assert same(weights(whole), weights(again))
    assert not list((tmp_path / "again" / "cache").rglob("*-of-*.jsonl"))  # the journal is deleted after the round


def test_a_generation_that_was_killed_goes_on(
    victim_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "FLUSH_SECONDS", -1.0)
    child = os.fork()
    if child == 0:
        try:
            killed = Scripted(STATUSES)
            run = killed.run

            def until_killed(*args: Any) -> Any:
                for place, record in enumerate(run(*args)):
                    if place == 6:
                        os.kill(os.getpid(), signal.SIGKILL)
                    yield record

            killed.run = until_killed  # type: ignore[method-assign]
            train("ada", tmp_path / "run", attacks={"scripted": killed}, view_victim=victim_folder)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    attack = Scripted(STATUSES)
    train("ada", tmp_path / "run", attacks={"scripted": attack}, view_victim=victim_folder)
    assert attack.attacked == list(range(6, 16))
    one_go = train("ada", tmp_path / "one", attacks={"scripted": Scripted(STATUSES)}, view_victim=victim_folder)
    assert view_lines(tmp_path / "run") == view_lines(tmp_path / "one")
    assert one_go.view_share == len(view_lines(tmp_path / "one")) / 16


# ---- resumed ----

STEPS: dict[str, Any] = {"save_strategy": "steps", "save_steps": 1, "max_steps": 6}  # two steps an epoch
ROUNDS: dict[str, Any] = {"clean_epochs": 1, "n_rounds": 2, "epochs_per_round": 1}


@pytest.mark.parametrize(("step", "attacked"), [(1, 2), (2, 1), (3, 1), (4, 0), (5, 0)])
def test_a_resumed_run_reads_the_round_it_was_in(step: int, attacked: int, tmp_path: Path) -> None:
    options = {**STEPS, **ROUNDS}
    whole = train("adv_iter", tmp_path / "whole", attacks={"scripted": Scripted(STATUSES)}, **options)
    attack = Scripted(STATUSES)
    checkpoint = tmp_path / "whole" / f"checkpoint-{step}"
    again = train("adv_iter", tmp_path / "again", resume=checkpoint, attacks={"scripted": attack}, **options)
    # The folder of the first run has the rounds before epochs 1 and 2; only a later step needs the second.
    assert len(attack.attacked) <= attacked * 16
    assert same(weights(whole), weights(again))
    newest = [one["round"] for one in again.generation.rounds]
    assert newest == {1: [0, 1], 2: [0, 1], 3: [0, 1], 4: [1], 5: [1]}[step]
    assert view_lines(tmp_path / "again", number=1) == view_lines(tmp_path / "whole", number=1)


def test_views_that_are_gone_are_made_again_only_where_the_weights_are_at_hand(tmp_path: Path) -> None:
    options = {**STEPS, **ROUNDS, "epochs_per_round": 2, "max_steps": 8}
    whole = train("adv_iter", tmp_path / "whole", attacks={"scripted": Scripted(STATUSES)}, **options)
    shutil.rmtree(tmp_path / "whole" / "_views")
    shutil.rmtree(tmp_path / "whole" / "cache")
    for step in (3, 4, 5):  # inside epoch 1, at the end of epoch 1 and inside epoch 2, on the views of epoch 1
        with pytest.raises(
            ValueError, match=r"trained on the views of .*round0.jsonl, which is missing.*start a new run"
        ):
            train(
                "adv_iter",
                tmp_path / f"gone-{step}",
                resume=tmp_path / "whole" / f"checkpoint-{step}",
                attacks={"scripted": Scripted(STATUSES)},
                **options,
            )
    attack = Scripted(STATUSES)
    resume = tmp_path / "whole" / "checkpoint-2"  # where the first round was made
    again = train("adv_iter", tmp_path / "again", resume=resume, attacks={"scripted": attack}, **options)
    assert len(attack.attacked) == 32 and same(weights(whole), weights(again))


def test_a_baseline_is_not_trained_from_weights_that_are_half_trained(victim_folder: str, tmp_path: Path) -> None:
    for own, outcome in (({}, "gone"), ({"view_victim": victim_folder}, "made")):
        whole = train("ada", tmp_path / outcome, attacks={"scripted": Scripted(STATUSES)}, **STEPS, **own)
        shutil.rmtree(tmp_path / outcome / "_views")
        attack, resume = Scripted(STATUSES), tmp_path / outcome / "checkpoint-2"
        options = {**STEPS, **own, "attacks": {"scripted": attack}, "view_cache": str(tmp_path / "other")}
        if outcome == "gone":
            with pytest.raises(ValueError, match=r"which is missing, and the weights of their victim"):
                train("ada", tmp_path / outcome, resume=resume, **options)
        else:
            again = train("ada", tmp_path / outcome, resume=resume, **options)
            assert len(attack.attacked) == 16 and same(weights(whole), weights(again))


def test_a_new_run_in_the_same_folder_does_not_keep_the_views_of_the_old(tmp_path: Path) -> None:
    train("adv_iter", tmp_path, attacks={"scripted": Scripted()}, **{**ROUNDS, "max_steps": 6})
    train("adv_iter", tmp_path, attacks={"other": Scripted()}, max_steps=2)
    assert [path.name for path in (tmp_path / "_views").iterdir()] == ["other-round0.jsonl"]


# ---- done once ----


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of texts in each request to a victim."""
    asked: list[int] = []
    score = Victim.score

    def counted(self: Victim, texts: Any) -> Any:
        asked.append(len(texts))
        return score(self, texts)

    monkeypatch.setattr(Victim, "score", counted)
    return asked


def test_a_second_run_of_the_same_content_asks_the_victim_nothing(
    victim_folder: str, tmp_path: Path, queries: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The attack is still tried on the first text.
    monkeypatch.setattr("hf_robust.training.generation.check_attack", lambda *_: None)
    cache = {"view_cache": str(tmp_path / "cache"), "view_victim": victim_folder}
    first = train("ada", tmp_path / "first", **cache)
    assert sum(queries) > 16
    queries.clear()
    second = train("ada", tmp_path / "second", **cache)
    assert queries == [] and same(weights(first), weights(second))
    assert view_lines(tmp_path / "second", "synonym") == view_lines(tmp_path / "first", "synonym")


OTHERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "seed": lambda _: {"seed": 1, "view_victim": None},
    "lexicon": lambda _: {"attacks": {"synonym": ATTACKS["synonym"](Resources(synonyms=table(SYNONYMS, "synonym")))}},
    "budget": lambda _: {
        "attacks": {"synonym": ATTACKS["synonym"](Resources(synonyms=dense_synonyms(), query_budget=40))}
    },
    "data": lambda _: {"data": review_data(16, seed=1)},
    "weights": lambda folder: {"view_victim": str(folder)},
    "precision": lambda _: {"bf16": True},
    "fraction": lambda _: {"view_fraction": 0.5},
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_content_is_attacked_anew(what: str, victim_folder: str, tmp_path: Path, queries: list[int]) -> None:
    options = {"view_cache": str(tmp_path / "cache"), "view_victim": victim_folder, "max_steps": 1}
    if what == "seed":
        options["view_victim"] = None
    train("ada", tmp_path / "first", model=build_model(dropout=0.1), **options)
    queries.clear()
    build_model(seed=7).save_pretrained(tmp_path / "other")
    train(
        "ada", tmp_path / "second", model=build_model(dropout=0.1), **{**options, **OTHERS[what](tmp_path / "other")}
    )
    assert sum(queries) > 8


def test_views_from_the_cache_are_this_runs_own(victim_folder: str, tmp_path: Path) -> None:
    """Views of another split are a leak even if they come from the cache."""
    cache = {"view_cache": str(tmp_path / "cache"), "view_victim": victim_folder}
    train("ada", tmp_path / "first", attacks={"one": Scripted()}, **cache)
    leak = {"leaked_view_split": "validation", "view_dataset": review_data()}
    attack = Scripted()
    train("ada", tmp_path / "second", attacks={"two": attack}, **cache, **leak)
    assert attack.attacked == []
    found = StoredViews(tmp_path / "second" / "_views" / "two-round0.jsonl")
    assert (found.name, found.header["split"]) == ("two", "validation")


@pytest.mark.parametrize("harm", [lambda text: text[:-9], lambda text: text.replace("very", "vary", 1)])
def test_a_cache_file_that_is_not_whole_is_one_sentence(harm: Any, victim_folder: str, tmp_path: Path) -> None:
    options = {"view_cache": str(tmp_path / "cache"), "view_victim": victim_folder, "max_steps": 1}
    train("ada", tmp_path / "first", attacks={"scripted": Scripted()}, **options)
    (kept,) = (tmp_path / "cache").glob("*.jsonl")
    kept.write_text(harm(kept.read_text()))
    with pytest.raises(ValueError, match="was cut short or edited.*delete it to generate the views again") as caught:
        train("ada", tmp_path / "second", attacks={"scripted": Scripted()}, **options)
    assert str(kept) in str(caught.value)
    kept.unlink()
    train("ada", tmp_path / "second", attacks={"scripted": Scripted()}, **options)


@pytest.mark.parametrize("what", ["columns", "other rows"])
def test_data_that_share_the_attacked_texts_are_no_views_of_another_data_set(
    what: str, victim_folder: str, tmp_path: Path
) -> None:
    cache = {"view_cache": str(tmp_path / "cache"), "view_victim": victim_folder, "max_steps": 1}
    rows, fraction = review_rows(16), 1.0 if what == "columns" else 0.5
    first = train("ada", tmp_path / "first", attacks={"scripted": Scripted()}, view_fraction=fraction, **cache)
    chosen = {one.idx for one in first.generation._examples(0)}
    if what == "columns":
        renamed = [{"text": row["sentence"], "label": row["label"]} for row in rows]
        data = TextDataset(renamed, ("text",), build_tokenizer(), max_length=32)
    else:
        other = next(index for index in range(16) if index not in chosen)
        data = review_data(rows=[*rows[:other], {**rows[other], "sentence": "a good film."}, *rows[other + 1 :]])
    options = {"attacks": {"scripted": Scripted()}, "view_fraction": fraction, "data": data}
    second = train("ada", tmp_path / "second", **options, **cache)
    assert second.generation.rounds[0]["found"] == first.generation.rounds[0]["found"] > 0


# ---- training is left alone ----


def test_a_second_training_begins_without_the_views_of_the_first(tmp_path: Path) -> None:
    trainer = build_trainer("adv_iter", tmp_path, attacks={"scripted": Scripted()}, **ROUNDS, max_steps=4)
    trainer.train()
    assert trainer.view_share > 0
    shares: list[float] = []

    class Shares(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            shares.append(trainer.view_share)

    trainer.add_callback(Shares())
    trainer.train()
    assert shares[:2] == [0.0, 0.0] and min(shares[2:]) > 0  # two steps an epoch, the first of clean texts


def test_a_view_file_in_the_folder_that_the_run_clears_is_refused_and_stays(tmp_path: Path) -> None:
    train("ada", tmp_path, attacks={"scripted": Scripted()}, max_steps=1)
    file = tmp_path / "_views" / "scripted-round0.jsonl"
    with pytest.raises(ValueError, match=r"is in the folder that a new run in .* clears; copy the file elsewhere"):
        train("ada", tmp_path, view_file=[str(file)], max_steps=1)
    assert file.is_file()


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        (
            "ada",
            {"view_fraction": 0.01},
            "--view_fraction 0.01 of 16 texts is no text, so that ada would be plain",
        ),
        ("a2t", {"num_train_adv_examples": 0.01}, "of 16 texts --num_train_adv_examples 0.01 looks for 0"),
    ],
)
def test_a_share_that_is_no_text_is_one_sentence(
    name: str, options: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=sentence):
        train(name, tmp_path, **options)


def test_generating_equals_reading_the_file_and_none_equals_normal(tmp_path: Path) -> None:
    def run(name: str, method: str = "ada", **options: Any) -> dict[str, torch.Tensor]:
        return weights(train(method, tmp_path / name, model=build_model(dropout=0.1), max_steps=4, **options))

    generated = run("generated")
    files = [str(tmp_path / "generated" / "_views" / "synonym-round0.jsonl")]
    assert same(generated, run("read", view_file=files, attacks={}))
    normal = run("normal", "normal")
    assert same(normal, run("none", view_fraction=0.0)) and not same(normal, generated)


def test_loader_workers_see_the_views(tmp_path: Path) -> None:
    here = weights(train("adv_iter", tmp_path / "here", **ROUNDS, max_steps=4))
    there = weights(train("adv_iter", tmp_path / "there", **ROUNDS, max_steps=4, dataloader_num_workers=1))
    assert same(here, there)


def test_nothing_is_generated_where_nothing_is_trained(tmp_path: Path, queries: list[int]) -> None:
    build_trainer("ada", tmp_path, eval_data=review_data(4)).evaluate()
    for name in ("a2t", "ada", "adv_iter"):
        args = METHODS[name].config(
            output_dir=str(tmp_path), robust_method=name, use_cpu=True, report_to="none", disable_tqdm=True
        )
        trainer = METHODS[name](
            model=build_model(), args=args, eval_dataset=review_data(4), processing_class=build_tokenizer()
        )  # without attacks, which need resources that evaluation does not
        assert "eval_loss" in trainer.evaluate()
    assert queries == [] and not (tmp_path / "_views").exists()


def card_of(trainer: Any) -> dict[str, Any]:
    trainer.add_callback(RunCardCallback({}, {}, {}, trainer.name, generation=trainer.generation))
    trainer.train()
    return dict(json.loads((Path(trainer.args.output_dir) / "run_card.json").read_text()))


def test_the_run_card_has_the_rounds_and_their_seconds(tmp_path: Path) -> None:
    card = card_of(build_trainer("ada", tmp_path / "ada", attacks={"scripted": Scripted(STATUSES)}))
    (one,) = card["views"]
    assert (one["view"], one["round"], one["epoch"], one["attempts"], one["found"]) == ("scripted", 0, 0, 16, 6)
    assert one["split"] == "train" and one["how"]["name"] == "scripted" and len(one["victim"]) >= 16
    assert card["seconds"]["baseline"] > 0 and card["seconds"]["generate"] > 0
    assert sum(value for key, value in card["seconds"].items() if key != "total") == pytest.approx(
        card["seconds"]["total"], abs=0.01
    )
    trainer = build_trainer("adv_iter", tmp_path / "iter", attacks={"scripted": Scripted()}, **ROUNDS, max_steps=6)
    first = card_of(trainer)
    assert [(one["round"], one["epoch"]) for one in first["views"]] == [(0, 1), (1, 2)]
    assert first["seconds"]["baseline"] == 0
    trainer.train()
    again = json.loads((tmp_path / "iter" / "run_card.json").read_text())
    assert len(again["views"]) == 2  # only the seconds of this training


# ---- the plain victim ----


@pytest.mark.parametrize(
    "options",
    [{}, {"label_smoothing_factor": 0.1, "class_weights": [1.0, 3.0], "gradient_accumulation_steps": 2, "bf16": True}],
    ids=["plain", "with options"],
)
def test_the_baseline_is_bitwise_a_run_of_normal(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []
    train_plain_victim = generation.train_plain_victim

    def trained_victim(*args: Any) -> Any:
        trained.append(train_plain_victim(*args))
        return trained[-1]

    monkeypatch.setattr(generation, "train_plain_victim", trained_victim)
    train("ada", tmp_path / "spot", model=build_model(dropout=0.1), **options)
    normal = train("normal", tmp_path / "normal", model=build_model(dropout=0.1), **options)
    (baseline,) = trained
    assert same(baseline.state_dict(), weights(normal))
    normal.save_model()
    own = {"view_victim": str(tmp_path / "normal"), "view_cache": str(tmp_path / "another")}
    train("ada", tmp_path / "given", model=build_model(dropout=0.1), **own, **options)
    assert len(trained) == 1
    assert view_lines(tmp_path / "given", "synonym") == view_lines(tmp_path / "spot", "synonym")


def other_classes(folder: Path) -> None:
    build_model(num_labels=3).save_pretrained(folder)


def other_order(folder: Path) -> None:
    model = build_model()
    model.config.id2label = {0: "good", 1: "bad"}
    model.config.label2id = {"good": 0, "bad": 1}
    model.save_pretrained(folder)


def other_vocabulary(folder: Path) -> None:
    model = build_model()
    model.resize_token_embeddings(70)
    model.save_pretrained(folder)


def no_head(folder: Path) -> None:
    build_model().bert.save_pretrained(folder)


def missing(folder: Path) -> None:
    pass


def empty(folder: Path) -> None:
    folder.mkdir()


def another_kind_of_file(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "no such thing"}')


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (other_classes, "has 3 classes and this task 2; give a model that was fine-tuned on this task"),
        (other_order, "has the classes good, bad in this order and this run bad, good; give a model whose"),
        (other_vocabulary, "has a vocabulary of 70 and this model one of 64; give a model with the same tokenizer"),
        (no_head, r"has no trained classification head \(missing: .*; give a fine-tuned model"),
        (missing, "cannot be loaded .*; give a folder or a Hub id of a checkpoint"),
        (empty, "cannot be loaded .*; give a folder or a Hub id of a checkpoint"),
        (another_kind_of_file, "cannot be loaded .*; give a folder or a Hub id of a checkpoint"),
    ],
)
def test_a_victim_of_another_task_is_one_sentence(make: Any, sentence: str, tmp_path: Path) -> None:
    make(tmp_path / "victim")
    model = build_model()
    model.config.id2label, model.config.label2id = {0: "bad", 1: "good"}, {"bad": 0, "good": 1}
    with pytest.raises(ValueError, match=sentence) as caught:
        train("ada", tmp_path / "run", model=model, view_victim=str(tmp_path / "victim"))
    assert "\n" not in str(caught.value) and "--view_victim" in str(caught.value)


# ---- the leak, reproduced on request ----


def test_views_of_an_evaluation_split_must_be_asked_for_and_are_told_of(tmp_path: Path) -> None:
    settings = {
        "leaked_view_split": "validation",
        "view_dataset": review_data(6, seed=3),
        "attacks": {"scripted": Scripted()},
    }
    trainer = build_trainer("ada", tmp_path, **settings)
    card = card_of(trainer)
    assert card["views"][0]["split"] == "validation" and card["views"][0]["attempts"] == 6
    rows = [trainer.train_dataset[number] for number in range(16)]
    carried = [row for row in rows if row["scripted_ok"]]
    expected = [(f"{row['sentence']} very", row["label"]) for row in review_rows(6, seed=3)]
    encode = trainer.train_dataset.dataset.encode
    assert len(carried) == 6 and trainer.view_share == 6 / 16
    assert sorted((row["scripted_input_ids"], row["scripted_labels"]) for row in carried) == sorted(
        (encode((text,))["input_ids"], label) for text, label in expected
    )
    assert any(row["scripted_labels"] != row["label"] for row in carried)


def test_rows_of_a_split_and_its_name_go_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="views of the train split and view_dataset do not go together"):
        build_trainer("ada", tmp_path, view_dataset=review_data(6))
    with pytest.raises(ValueError, match=r"views of the test split and view_dataset do not go together \(got none\)"):
        build_trainer("ada", tmp_path, leaked_view_split="test")


# ---- wrong input ----


@pytest.mark.parametrize("name", ["a2t", "ada", "adv_iter"])
def test_no_adversarial_example_at_all_is_one_sentence(name: str, tmp_path: Path) -> None:
    in_vain = {"scripted": Scripted({number: "failed" for number in range(16)})}
    with pytest.raises(
        ValueError, match=f"scripted found no adversarial example among 16 texts, so that {name} would be"
    ):
        train(name, tmp_path, attacks=in_vain)
    assert (
        len((tmp_path / "_views" / "scripted-round0.jsonl").read_text().splitlines()) == 1
    )  # only the header: no views


def test_a_later_round_that_finds_nothing_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Fading(Scripted):
        def run(self, *args: Any) -> Any:
            if len(self.attacked) >= 16:
                self.statuses = {number: "failed" for number in range(16)}
            yield from super().run(*args)

    trainer = train("adv_iter", tmp_path, attacks={"fading": Fading(name="fading")}, **ROUNDS, max_steps=6)
    assert trainer.view_share == 0 and [one["found"] for one in trainer.generation.rounds] == [16, 0]
    assert "fading found no adversarial example in this round" in caplog.text


def test_view_files_that_change_what_is_protected_are_refused(tmp_path: Path) -> None:
    train("ada", tmp_path / "made", max_steps=1)
    files = [str(tmp_path / "made" / "_views" / "synonym-round0.jsonl")]
    for protected, refused in ((["film", "movie", "good", "bad", "warm", "cold"], True), (["unheard"], False)):
        given = {"view_file": files, "attacks": {}, "protection": Protection((), protected), "max_steps": 1}
        trainer = build_trainer("ada", tmp_path / f"read-{refused}", **given)
        if refused:
            with pytest.raises(ValueError, match="views of .*round0.jsonl change text that --protect protects"):
                trainer.train()
        else:
            trainer.train()
    assert trainer.state.global_step == 1


def test_an_attack_that_can_change_no_training_text_is_refused_before_a_victim_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "train_plain_victim", lambda *given: pytest.fail("a victim was trained"))
    attack = ATTACKS["synonym"](Resources(synonyms=table({"unheard": ["of"]}, "synonym")))
    with pytest.raises(ValueError, match="the synonym attack can change nothing: no open word of 16 texts"):
        train("ada", tmp_path, attacks={"synonym": attack}, max_steps=1)


def test_the_coverage_of_a_view_attack_is_said_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "hf_robust"):
        trainer = train("ada", tmp_path, max_steps=1)
    (one,) = trainer.generation.rounds
    assert one["coverage"]["rows"] == 16 and one["coverage"]["words"] > 0.4
    assert "synonym attack: a table in memory has substitutes for" in caplog.text


def test_view_files_of_other_data_are_refused_before_the_first_step(tmp_path: Path) -> None:
    train("ada", tmp_path / "made", max_steps=1)
    files = [str(tmp_path / "made" / "_views" / "synonym-round0.jsonl")]
    trainer = build_trainer("ada", tmp_path / "other", view_file=files, attacks={}, data=review_data(16, seed=4))
    with pytest.raises(ValueError, match="holds views of another data set"):
        trainer.train()
    assert trainer.state.global_step == 0
    trainer = build_trainer("ada", tmp_path / "other", view_file=files, attacks={})
    trainer.processing_class.add_tokens(["new"])
    with pytest.raises(ValueError, match="holds views of another tokenizer"):
        trainer.train()
    (tmp_path / "text.txt").write_text("a text")
    with pytest.raises(ValueError, match="is not a file of generated views"):
        build_trainer("ada", tmp_path / "other", view_file=[str(tmp_path / "text.txt")], attacks={})


def test_persistent_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave --dataloader_persistent_workers out"):
        build_trainer("ada", tmp_path, dataloader_persistent_workers=True, dataloader_num_workers=1)


def test_attacks_whose_texts_mean_something_else_are_refused(tmp_path: Path) -> None:
    antonym = ATTACKS["antonym"](Resources(antonyms=table({"good": ["bad"]}, "antonym")))
    with pytest.raises(ValueError, match="--view_attacks antonym changes the label of its texts.*such as textfooler"):
        build_trainer("ada", tmp_path, attacks={"synonym": synonym_attack(), "antonym": antonym})
    with pytest.raises(ValueError, match="ada needs attacks to make its views, got none.*--view_attacks"):
        build_trainer("ada", tmp_path, attacks={})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"view_attacks": []}, "--view_attacks needs one attack or several different ones, got none"),
        ({"view_attacks": ["pwws", "pwws"]}, "--view_attacks needs one attack or several different ones, got .*pwws"),
        ({"view_query_budget": 0}, "view_query_budget"),
        ({"view_fraction": 1.5}, "view_fraction"),
        ({"leaked_view_split": "train"}, "--leaked_view_split must be one of validation, test"),
    ],
)
def test_wrong_flags_are_one_sentence(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        build_trainer("ada", tmp_path, **options)
    assert "\n" not in str(caught.value)


def test_a_data_set_of_pairs_padded_to_full_length_trains(tmp_path: Path) -> None:
    rows = [{"one": row["sentence"], "two": "the film was", "label": row["label"]} for row in review_rows(16)]
    data = TextDataset(rows, ("one", "two"), build_tokenizer(), max_length=12, padding="max_length")
    trainer = train("ada", tmp_path, data=data, label_smoothing_factor=0.1, remove_unused_columns=True)
    assert trainer.view_share > 0 and dataclasses.is_dataclass(trainer.args)


# ---- two ranks ----


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder and the outcome of one launch, which ends with an error on both ranks."""
    folder = tmp_path_factory.mktemp("two_ranks")
    finished = on_two_ranks(HERE / "generate_on_two_ranks.py", str(folder), output=folder, code=1)
    assert (folder / "1.json").is_file(), first_error(finished.stderr)
    return folder, finished


@pytest.mark.slow
def test_two_ranks_fail_together_in_one_sentence(two_ranks: tuple[Path, Any]) -> None:
    _, finished = two_ranks
    assert finished.stderr.count("ValueError: scripted found no adversarial example among 16 texts") >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_share_the_attack_and_equal_one(name: str, two_ranks: tuple[Path, Any], tmp_path: Path) -> None:
    folder, _ = two_ranks
    attack = Scripted(STATUSES)
    one = train(name, tmp_path, attacks={"scripted": attack}, **RUNS[name])
    told = [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
    shares = [told[rank][name] for rank in (0, 1)]
    assert all(shares) and sorted(shares[0] + shares[1]) == sorted(attack.attacked)
    found = [torch.load(folder / f"{name}-{rank}.pt") for rank in (0, 1)]
    assert same(found[0], found[1]) and same(weights(one), found[0], tolerance=1e-6)
    both = [[{**json.loads(line), "soft": None} for line in view_lines(where)] for where in (folder / name, tmp_path)]
    assert both[0] == both[1] and both[0]
    assert told[0]["again"] == told[1]["again"] == []  # from the cache
    assert set(told[0]["shown"]) == {True} and set(told[1]["shown"]) == {False}


# ---- views of words that the model reads ----


def long_views(folder: Path, changed: dict[int, str]) -> tuple[TextDataset, Path]:
    """Texts of ten words, and a file of views that change one of them: a first word, or the last."""
    text = "the film was {} very good and warm with music"
    rows = [{"sentence": text.format(number), "label": number % 2} for number in range(8)]
    data = review_data(rows=rows)
    views = [(row, View(Text((data.texts(row)[0].replace(word, "plot"),)), True, ())) for row, word in changed.items()]
    header = {"name": "kept", "data": data.fingerprint(), "tokenizer": tokenizer_hash(build_tokenizer())}
    made = ViewRound(views)
    made.attempts = len(changed)
    write_views(folder / "kept.jsonl", header, made)
    return data, folder / "kept.jsonl"


def cut(data: TextDataset, length: int) -> TextDataset:
    rows = [{"sentence": data.texts(row)[0], "label": data.label(row)} for row in range(len(data))]
    return TextDataset(rows, ("sentence",), build_tokenizer(), max_length=length)


@pytest.mark.parametrize("name", ["ada", "amda", "semrode", "taichi", "adpmixup"])
def test_views_that_differ_behind_the_cut_alone_are_not_trained_on(name: str, tmp_path: Path) -> None:
    data, file = long_views(tmp_path, {0: "film", 1: "music", 2: "film", 5: "music"})
    kept = {"view_file": [str(file)], "failed_views": "drop"}
    trainer = build_trainer(name, tmp_path / "out", data=cut(data, 8), max_steps=2, **kept)
    card = RunCardCallback({}, {}, {}, name, generation=trainer.generation)
    trainer.add_callback(card)
    trainer.train()
    assert trainer.view_share == 2 / 8
    assert [view.text.columns[0].split()[1] for view in trainer.generation.sources["kept"].pool] == ["plot", "plot"]
    (made,) = json.loads((tmp_path / "out" / "run_card.json").read_text())["views"]
    assert (made["attempts"], made["found"], made["unread"], made["share"]) == (4, 4, 2, 0.25)
    if name != "semrode":  # its views belong to random rows
        assert [trainer.train_dataset[row]["kept_ok"] for row in range(8)] == [1, 0, 1, 0, 0, 0, 0, 0]
    whole = build_trainer(name, tmp_path / "whole", data=data, max_steps=1, **kept)
    whole.train()
    assert whole.view_share == 4 / 8 and whole.generation.rounds[0]["unread"] == 0


def test_views_that_all_differ_behind_the_cut_are_one_sentence(tmp_path: Path) -> None:
    data, file = long_views(tmp_path, {1: "music", 5: "music"})
    trainer = build_trainer("ada", tmp_path / "out", data=cut(data, 8), view_file=[str(file)])
    with pytest.raises(ValueError, match="all views of kept have the same tokens.*raise --max_seq_length"):
        trainer.train()
