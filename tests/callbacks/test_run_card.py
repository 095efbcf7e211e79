"""The run card: counted forwards, times, configuration, and nothing private."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import build_model, build_tokenizer, build_trainer, review_data
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from hf_robust.callbacks import RunCardCallback
from hf_robust.callbacks.run_card import method_config
from hf_robust.trainers import METHODS

DATA = {"name": "reviews", "variant": "train: /srv/private/train.jsonl (9 rows)", "fingerprint": "f"}


def card_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run_card.json").read_text())


def run(folder: Path, method: str = "normal", callback: RunCardCallback | None = None, **options: Any) -> Any:
    callback = callback or RunCardCallback(DATA, {}, {}, method, citation=METHODS[method].citation)
    trainer = build_trainer(method, folder, callbacks=[callback], **options)
    trainer.train()
    return trainer


def test_card_has_what_the_design_lists(tmp_path: Path) -> None:
    described = {"synonym": {"name": "synonym", "goal": {"name": "misclassify"}}}
    lexicons = {"synonyms": {"name": "t", "fingerprint": "x"}}
    callback = RunCardCallback(DATA, lexicons, described, "safer", citation="ye2020safer", trained_on=("synonyms",))
    run(tmp_path, "safer", callback, seed=3)
    card = card_of(tmp_path)
    assert (card["method"], card["seed"], card["citation"]) == ("safer", 3, "ye2020safer")
    assert (card["attacks"], card["lexicons"], card["trained_on"]) == (described, lexicons, ["synonyms"])
    assert card["config"]["robust_method"] == "safer" and "learning_rate" not in card["config"]
    assert card["training"] == {
        "learning_rate": 0.1,
        "lr_scheduler_type": "constant",
        "max_steps": 3,
        "optim": "sgd",
        "use_cpu": True,
    }
    assert {"torch", "transformers", "python"} <= set(card["versions"])
    assert card["hardware"]["device"] == "cpu" and card["hardware"]["cpu_count"] >= 1
    assert set(card["seconds"]) == {"train", "evaluate", "attack", "total"}


# Null means none, or the recipe's own limit; the victim of views is described with the views.
NONE_AT_ALL = {"class_weights", "leaked_view_split", "view_victim", "view_file", "view_query_budget"}


@pytest.mark.slow_but("bat_triplet")
@pytest.mark.parametrize("method", METHODS)
def test_the_card_holds_the_settings_that_were_used(tmp_path: Path, method: str) -> None:
    options = {"amda_num_adv": 500} if method == "amda" else {}
    trainer = carded(tmp_path, method, **options)
    trainer.train()
    card = card_of(tmp_path)
    assert {key for key, value in card["config"].items() if value in (None, "auto")} <= NONE_AT_ALL
    assert set(card["config"]) == {*method_config(trainer.args), *trainer.measured_in_training()}


def test_adaptive_weights_and_their_rate_are_on_the_card(tmp_path: Path) -> None:
    trainer = carded(tmp_path, "adaptive_freelb", adv_steps=3)
    before = trainer.increment_weights().tolist()
    trainer.train()
    card = card_of(tmp_path)
    assert card["config"]["adaptive_beta"] == 2.0  # (k + 1) / 2
    assert card["config"]["w"] == pytest.approx(trainer.increment_weights().tolist(), abs=1e-6) != before
    assert card["found"] == ["loss_increase", "point_moved", "w"]
    assert card["config"]["loss_increase"] > 0 and card["config"]["point_moved"] > 0


@pytest.mark.slow
def test_the_flood_level_that_was_measured_is_on_the_card(tmp_path: Path) -> None:
    trainer = carded(tmp_path / "auto", "flooding_x")
    trainer.train()
    card = card_of(tmp_path / "auto")
    assert card["config"]["flood_level"] == trainer.flood_level > 0 and card["found"] == ["flood_level"]
    carded(tmp_path / "given", "flooding_x", flood_level="0.25").train()
    assert card_of(tmp_path / "given")["config"]["flood_level"] == "0.25"
    assert card_of(tmp_path / "given")["found"] == []


@pytest.mark.slow
def test_the_batch_size_that_fits_is_on_the_card(tmp_path: Path) -> None:
    trainer = carded(tmp_path / "found", "normal", auto_find_batch_size=True)
    step, sizes = trainer.training_step, []

    def out_of_memory(model: Any, inputs: Any, *args: Any) -> Any:
        sizes.append(len(inputs["labels"]))
        if sizes[-1] > 5:
            raise RuntimeError("CUDA out of memory.")
        return step(model, inputs, *args)

    trainer.training_step = out_of_memory
    trainer.train()
    assert card_of(tmp_path / "found")["training"]["per_device_train_batch_size"] == 5 == sizes[-1]


def test_the_size_of_the_model_is_noted(tmp_path: Path) -> None:
    trainer = run(tmp_path)
    count = sum(weights.numel() for weights in trainer.model.parameters())
    assert card_of(tmp_path)["architecture"] == {"type": "bert", "parameters": count}


@pytest.mark.parametrize(("method", "per_step"), [("normal", 1), ("bat_triplet", 3)])
def test_forwards_are_counted_in_training_only(tmp_path: Path, method: str, per_step: int) -> None:
    trainer = run(tmp_path, method, eval_data=review_data(8), eval_strategy="steps", eval_steps=1, max_steps=4)
    assert card_of(tmp_path)["forwards"] == {"train": 4 * per_step, "per_step": per_step}
    assert not trainer.model._forward_pre_hooks


class Kill(TrainerCallback):
    """Ends the process, as far as the Trainer can tell, after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def carded(folder: Path, method: str, *more: TrainerCallback, **options: Any) -> Any:
    """A trainer over 20 texts, three batches an epoch, with the card that the script writes."""
    trainer = build_trainer(method, folder, data=review_data(20), num_train_epochs=3, max_steps=-1, **options)
    trainer.add_callback(
        RunCardCallback(
            DATA,
            {},
            {},
            method,
            generation=trainer.generation,
            plain_runs=trainer.plain_runs,
            used_arguments=trainer.used_arguments,
            measured_in_training=trainer.measured_in_training,
        )
    )
    for callback in more:
        trainer.add_callback(callback)
    return trainer


@pytest.mark.parametrize(
    ("method", "options", "passes"),
    [
        ("normal", {}, {"train": 7.5, "per_step": 1.0}),  # of 8, 8 and 4 texts
        ("normal", {"gradient_accumulation_steps": 2}, {"train": 7.5, "per_step": 1.0}),
        ("taichi", {}, {"train": 15.0, "twin": 15.0, "baseline": 7.5, "per_step": 5.0}),
        ("smart", {"smart_mu": 1.0}, {"train": 30.0, "per_step": 4.0}),  # the teacher predicts without dropout
        (
            "trades",
            {"adv_steps": 2},
            {"train": 30.0, "per_step": 4.0},
        ),  # an ascent without dropout is no measured pass
        ("flooding_x", {}, {"train": 7.5, "level": 7.5, "per_step": 2.0}),
    ],
)
def test_all_passes_of_training_are_counted(
    tmp_path: Path, method: str, options: dict[str, Any], passes: dict[str, float]
) -> None:
    carded(tmp_path, method, **options).train()
    found = card_of(tmp_path)
    if method == "flooding_x":  # its plain run ends where its batches agree no longer
        ratio = found["forwards"]["level"] / 7.5
        assert 0 < ratio <= 1 and found["forwards"]["per_step"] == pytest.approx(1 + ratio, abs=1e-3)
        assert found["seconds"]["level"] > 0
    else:
        assert found["forwards"] == passes
    assert found["seconds"]["total"] == pytest.approx(
        sum(found["seconds"].values()) - found["seconds"]["total"], abs=0.01
    )


def test_a_batch_and_its_views_in_one_pass_are_two(tmp_path: Path) -> None:
    trainer = carded(tmp_path, "ada")
    trainer.train()
    share, forwards = trainer.view_share, card_of(tmp_path)["forwards"]
    assert share > 0.5 and forwards["train"] == pytest.approx(7.5 * (1 + share)) and forwards["baseline"] == 7.5
    assert forwards["per_step"] == pytest.approx(2 + share, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options"), [("taichi", {}), ("adv_iter", {"n_rounds": 3, "clean_epochs": 0, "epochs_per_round": 1})]
)
def test_after_a_kill_the_card_is_that_of_both_parts(tmp_path: Path, method: str, options: dict[str, Any]) -> None:
    carded(tmp_path / "whole", method, **options).train()
    whole = card_of(tmp_path / "whole")
    saving = {"save_strategy": "steps", "save_steps": 4, **options}
    with pytest.raises(KeyboardInterrupt):
        carded(tmp_path / "killed", method, Kill(6), **saving).train()
    assert card_of(tmp_path / "killed")["final_step"] is None
    kept = json.loads((tmp_path / "killed" / "checkpoint-4" / "trainer_state.json").read_text())
    before = kept["stateful_callbacks"]["hf_robust_spent"]["seconds"]
    resumed = carded(tmp_path / "killed", method, **saving)
    # A resumed model is another object, as in another process.
    resumed.train(resume_from_checkpoint=str(tmp_path / "killed" / "checkpoint-4"))
    card = card_of(tmp_path / "killed")
    assert card["forwards"] == whole["forwards"] and "counted_from" not in card
    assert [{k: v for k, v in one.items() if k != "seconds"} for one in card["views"]] == [
        {k: v for k, v in one.items() if k != "seconds"} for one in whole["views"]
    ]
    for phase in ("train", "generate", "total"):
        assert card["seconds"][phase] > before[phase] > 0, phase
    assert card["seconds"].get("baseline", 0) == pytest.approx(before.get("baseline", 0), abs=0.01)


def test_a_third_part_adds_up_with_the_first_two(tmp_path: Path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 2}
    for step, start in ((3, None), (5, "checkpoint-2"), (9, "checkpoint-4")):
        trainer = carded(tmp_path, "normal", *([Kill(step)] if step < 9 else []), **saving)
        try:
            trainer.train(resume_from_checkpoint=start and str(tmp_path / start))
        except KeyboardInterrupt:
            continue
    assert card_of(tmp_path)["forwards"] == {"train": 7.5, "per_step": 1.0}


def test_where_nothing_was_kept_the_card_says_from_where_it_counts(tmp_path: Path) -> None:
    build_trainer("normal", tmp_path, max_steps=2, save_strategy="steps", save_steps=2).train()  # without a card
    trainer = build_trainer("normal", tmp_path, callbacks=[RunCardCallback(DATA, {}, {}, "normal")], max_steps=5)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    card = card_of(tmp_path)
    assert card["forwards"] == {"train": 3, "per_step": 1.0} and card["counted_from"] == 2


def test_forwards_per_step_after_resuming(tmp_path: Path) -> None:
    run(tmp_path, max_steps=2, save_strategy="steps", save_steps=2)
    callback = RunCardCallback(DATA, {}, {}, "normal")
    trainer = build_trainer("normal", tmp_path, callbacks=[callback], max_steps=5)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert card_of(tmp_path)["forwards"] == {"train": 5, "per_step": 1.0}  # those of both parts


def test_seconds_add_up_and_take_what_they_are_told(tmp_path: Path) -> None:
    told = {"attack": 0.25}
    callback = RunCardCallback(DATA, {}, {}, "normal", seconds=told)
    trainer = build_trainer("normal", tmp_path, callbacks=[callback])
    callback.on_train_begin(trainer.args, trainer.state, trainer.control, model=trainer.model)
    metrics = {"eval_runtime": 5.0, "eval_synonym_seconds": 3.0, "eval_loss": 9.0}
    told["attack"] += 2.0  # 3 s in the metrics: one of them in an earlier run
    callback.on_evaluate(trainer.args, trainer.state, trainer.control, metrics=metrics)
    callback._began -= 10
    callback.on_train_end(trainer.args, trainer.state, trainer.control, model=trainer.model)
    seconds = card_of(tmp_path)["seconds"]
    assert seconds["attack"] == 2.0 and seconds["evaluate"] == 3.0
    assert seconds["train"] == pytest.approx(seconds["total"] - 5.0, abs=0.01) and seconds["total"] >= 10


def test_attack_seconds_of_an_earlier_run_are_not_this_runs(tmp_path: Path) -> None:
    callback = RunCardCallback(DATA, {}, {}, "normal")
    trainer = build_trainer("normal", tmp_path, callbacks=[callback])
    callback.on_train_begin(trainer.args, trainer.state, trainer.control, model=trainer.model)
    metrics = {"eval_runtime": 1.0, "eval_synonym_seconds": 300.0}
    callback.on_evaluate(trainer.args, trainer.state, trainer.control, metrics=metrics)
    callback.on_train_end(trainer.args, trainer.state, trainer.control, model=trainer.model)
    assert card_of(tmp_path)["seconds"]["attack"] == 1.0


def test_a_run_that_dies_leaves_a_card(tmp_path: Path) -> None:
    class Dies(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("power cut")

    trainer = build_trainer("normal", tmp_path, callbacks=[RunCardCallback(DATA, {}, {}, "normal"), Dies()])
    with pytest.raises(RuntimeError, match="power cut"):
        trainer.train()
    assert card_of(tmp_path)["method"] == "normal"


def test_best_step_is_noted(tmp_path: Path) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    run(tmp_path, eval_data=review_data(8), load_best_model_at_end=True, **options)
    card = card_of(tmp_path)
    assert card["load_best_model_at_end"] is True and card["best_step"] in (1, 2, 3)


def test_nothing_private_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "hf_" + "Z" * 34
    monkeypatch.setattr(
        sys, "argv", ["/srv/private/run.py", "--hub_token", token, "--train_file", "/srv/private/t.csv"]
    )
    run(tmp_path, hub_token=token)
    text = (tmp_path / "run_card.json").read_text()
    assert token not in text and "/srv/private" not in text
    assert card_of(tmp_path)["command"] == ["run.py", "--train_file", "DATA_DIR/t.csv"]
    assert card_of(tmp_path)["data"]["variant"] == "train: train.jsonl (9 rows)"


def test_stock_trainer_works_too(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    options = {"max_steps": 2, "report_to": "none", "use_cpu": True, "save_strategy": "no", "disable_tqdm": True}
    Trainer(
        model=build_model(),
        args=TrainingArguments(output_dir=str(tmp_path), **options),
        train_dataset=review_data(8),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[RunCardCallback(DATA, {}, {}, "stock")],
    ).train()
    card = card_of(tmp_path)
    assert card["config"] == {} and card["forwards"]["train"] == 2
