"""The base trainer: auxiliary modules, views and errors, with a method that exists for the test only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny import build_model, build_trainer, review_data
from torch import nn
from transformers import AutoModelForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from hf_robust.modules.auxiliary import STATE_FILE, Auxiliary
from hf_robust.trainers import METHODS, RobustTrainer


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 1.0]))


class ScaledTrainer(RobustTrainer):
    """Cross-entropy weighted by a trained scale, which ascends it."""

    name = "scaled"
    lr = 0.5

    def auxiliary(self) -> Auxiliary:
        return Auxiliary(Scale(), learning_rate=self.lr, maximize=True)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        loss = loss * self._auxiliary.module.weight.mean()
        return (loss, outputs) if return_outputs else loss


def scaled(folder: Path, **options: Any) -> RobustTrainer:
    return build_trainer(ScaledTrainer, folder, **options)


def scale(trainer: RobustTrainer) -> torch.Tensor:
    return trainer.model.robust_aux.weight.detach().clone()


def test_auxiliary_ascends_with_its_own_rate_and_without_decay(tmp_path: Path) -> None:
    trainer = scaled(tmp_path, weight_decay=0.1, max_grad_norm=0.0)
    trainer.train()
    groups = trainer.optimizer.param_groups
    assert [group["maximize"] for group in groups] == [False, False, True]
    assert groups[-1]["weight_decay"] == 0.0 and groups[-1]["initial_lr"] == 0.5
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    # d(loss)/d(weight_i) = task / 2 and loss = task * mean(weight), so each step adds lr * task / 2.
    expected = 1.0
    for loss in losses:
        expected += 0.5 * (loss / expected) / 2
    assert scale(trainer).tolist() == pytest.approx([expected, expected], rel=1e-4)


def test_auxiliary_is_saved_beside_the_checkpoint_and_never_exported(tmp_path: Path) -> None:
    trainer = scaled(tmp_path, save_strategy="steps", save_steps=3)
    trainer.train()
    checkpoint = tmp_path / "checkpoint-3"
    assert torch.equal(safetensors.torch.load_file(checkpoint / STATE_FILE)["weight"], scale(trainer))
    trainer.save_model(str(tmp_path / "export"))
    assert not (tmp_path / "export" / STATE_FILE).exists()
    for folder in (checkpoint, tmp_path / "export"):
        _, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
        assert not info["unexpected_keys"] and not info["missing_keys"]
    assert "robust_aux.weight" in trainer.model.state_dict()


@pytest.mark.slow
def test_resume_restores_the_auxiliary_and_its_optimizer_state_bit_for_bit(tmp_path: Path) -> None:
    options = {
        "optim": "adamw_torch",
        "learning_rate": 1e-3,
        "save_strategy": "steps",
        "save_steps": 2,
        "max_steps": 4,
    }
    whole = scaled(tmp_path, **options)
    whole.train()
    again = scaled(tmp_path / "again", **options)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert torch.equal(scale(whole), scale(again))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_best_model_brings_its_auxiliary_back(tmp_path: Path) -> None:
    seen = iter([3.0, 2.0, 1.0])
    trainer = scaled(
        tmp_path,
        eval_data=review_data(8),
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_score",
        greater_is_better=True,
        compute_metrics=lambda prediction: {"score": next(seen)},
    )
    trainer.train()
    first = safetensors.torch.load_file(tmp_path / "checkpoint-1" / STATE_FILE)["weight"]
    last = safetensors.torch.load_file(tmp_path / "checkpoint-3" / STATE_FILE)["weight"]
    assert torch.equal(scale(trainer), first) and not torch.equal(first, last)


def test_auxiliary_trains_under_peft_and_stays_out_of_the_adapter(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    trainer = scaled(tmp_path, model=peft.get_peft_model(build_model(), config))
    trainer.train()
    assert trainer.model.get_base_model().robust_aux.weight.mean() > 1
    trainer.save_model(str(tmp_path / "adapter"))
    saved = safetensors.torch.load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert saved and not any("robust_aux" in key for key in saved)


def test_a_checkpoint_of_another_method_is_one_sentence(tmp_path: Path) -> None:
    build_trainer("normal", tmp_path, save_strategy="steps", save_steps=3).train()
    with pytest.raises(ValueError, match="holds no robust_state.safetensors.*--robust_method that wrote it"):
        scaled(tmp_path / "again").train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))


def test_arguments_of_another_config_are_one_sentence(tmp_path: Path) -> None:
    freelb, folder = METHODS["freelb"], str(tmp_path)
    given = {
        "a TrainingArguments": TrainingArguments(folder),
        "a PGDConfig": METHODS["pgd"].config(folder),
        "none": None,
    }
    for what, args in given.items():
        sentence = (
            rf"FreeLBTrainer needs args that are a FreeLBConfig, got {what}: pass args=FreeLBConfig\(output_dir="
        )
        with pytest.raises(ValueError, match=sentence):
            freelb(model=build_model(), args=args)
        with pytest.raises(ValueError, match=sentence):
            freelb(build_model(), args)


def test_parts_beside_a_model_that_is_made_anew_are_refused(tmp_path: Path) -> None:
    def trainer_from_init(name: str) -> RobustTrainer:
        args = METHODS[name].config(output_dir=str(tmp_path), use_cpu=True, report_to="none")
        return METHODS[name](model_init=lambda: build_model(), args=args)

    with pytest.raises(
        ValueError, match="pgd has modules that belong to its model.*; pass model=... in place of model_init"
    ):
        trainer_from_init("pgd")
    trainer_from_init("normal")


@pytest.mark.slow
def test_an_optimizer_that_lacks_the_auxiliary_part_is_refused(tmp_path: Path) -> None:
    trainer = scaled(tmp_path)
    trainer.optimizer = torch.optim.SGD([trainer.model.classifier.weight], lr=0.1)
    with pytest.raises(ValueError, match="scaled trains an auxiliary module.*; leave optimizers out"):
        trainer.train()
    again = scaled(tmp_path / "again")
    again.optimizer = torch.optim.SGD(again.model.parameters(), lr=0.1)
    again.train()


def test_views_need_texts(tmp_path: Path) -> None:
    rows = [{"input_ids": [2, 3], "attention_mask": [1, 1], "label": 0}]
    with pytest.raises(ValueError, match="a list has no texts; wrap the rows in hf_robust.data.TextDataset"):
        build_trainer("safer", tmp_path, data=rows)


@pytest.mark.parametrize("remove", [True, False])
def test_extra_columns_reach_the_batch_whatever_remove_unused_columns_says(tmp_path: Path, remove: bool) -> None:
    trainer = build_trainer("bat_triplet", tmp_path, remove_unused_columns=remove, eval_data=review_data(8))
    batch = next(iter(trainer.get_train_dataloader()))
    for view in ("fickle", "obstinate"):
        assert batch[f"{view}_input_ids"].shape == batch[f"{view}_attention_mask"].shape
        assert batch[f"{view}_ok"].shape == (8,)
    assert "fickle_input_ids" not in next(iter(trainer.get_eval_dataloader()))


def test_views_are_drawn_anew_in_each_epoch(tmp_path: Path) -> None:
    trainer = build_trainer("safer", tmp_path, max_steps=4)
    drawn: list[list[int]] = []

    class Note(TrainerCallback):
        def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
            drawn.append([token for i in range(16) for token in trainer.train_dataset[i]["substituted_input_ids"]])

    trainer.add_callback(Note())
    trainer.train()
    assert len(drawn) == 2 and drawn[0] != drawn[1]


def test_loader_workers_draw_the_same_views(tmp_path: Path) -> None:
    batches = []
    for workers in (0, 2):
        trainer = build_trainer("bat_triplet", tmp_path, dataloader_num_workers=workers)
        trainer.train_dataset.set_epoch(3)
        torch.manual_seed(0)
        batches.append(next(iter(trainer.get_train_dataloader())))
    assert batches[0].keys() == batches[1].keys()
    assert all(torch.equal(batches[0][key], batches[1][key]) for key in batches[0])


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_the_trainer_cannot_set_is_one_sentence(seed: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--seed must be at least 0 and below 4294967296, got {seed}."):
        build_trainer("normal", tmp_path, seed=seed)


def test_class_weights_must_fit_the_classes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--class_weights needs 2 values.*got 3"):
        build_trainer("normal", tmp_path, class_weights=[1.0, 1.0, 1.0]).train()
    with pytest.raises(ValueError, match="--class_weights must all be above 0"):
        build_trainer("normal", tmp_path, class_weights=[0.0, 1.0])
    trainer = build_trainer("normal", tmp_path, class_weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="--class_weights needs labels that are class ids"):
        trainer._weighted_loss(torch.zeros(3, 2), torch.ones(3, 2))


class ReversedTrainer(RobustTrainer):
    """Predicts with swapped classes, which reveals a prediction that does not use ``inference``."""

    name = "reversed"

    def inference(self, model: Any, batch: Any) -> Any:
        outputs = model(**batch)
        outputs["logits"] = outputs["logits"].flip(-1)
        return outputs


@pytest.mark.parametrize("labelled", [True, False])
def test_evaluation_and_prediction_go_through_the_inference_transform(tmp_path: Path, labelled: bool) -> None:
    rows = review_data(10)
    if not labelled:
        rows.labels = None
    plain = build_trainer("normal", tmp_path / "plain").predict(rows)
    swapped = build_trainer(ReversedTrainer, tmp_path / "swapped").predict(rows)
    assert (swapped.predictions == plain.predictions[:, ::-1]).all()
    assert (swapped.label_ids is None) == (not labelled)


def test_parts_with_a_value_for_each_device_are_averaged(tmp_path: Path) -> None:
    trainer = build_trainer("normal", tmp_path)
    trainer.log_parts(task=torch.tensor([1.0, 3.0]), pull=torch.tensor(0.5))
    trainer.log({"loss": 1.0})
    entry = trainer.state.log_history[-1]
    assert (entry["loss_task"], entry["loss_pull"]) == (2.0, 0.5)


def test_tags_survive_pefts_update_of_the_card(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from huggingface_hub import ModelCard

    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    trainer = build_trainer("normal", tmp_path, model=peft.get_peft_model(build_model(), config))
    written: list[Path] = []
    trainer.card_writers.append(written.append)
    trainer.save_model()
    trainer.create_model_card(tags=["mine"])
    tags = ModelCard.load(tmp_path / "README.md").data.tags
    assert "mine" in tags and "lora" in tags and written == [tmp_path]


@pytest.mark.slow
def test_where_batches_are_split_the_log_says_what_the_stock_trainer_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its gradients of a classifier are as many times as large as the batch has parts."""
    caplog.set_level("INFO", logger="hf_robust")
    options = {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "max_steps": 1,
        "max_grad_norm": 1e9,
    }
    ours = build_trainer("normal", tmp_path, **options, learning_rate=0.4)
    (line,) = [record.getMessage() for record in caplog.records if "stock Trainer" in record.getMessage()]
    assert "its gradients are 4 times as large" in line
    ours.train()
    given = TrainingArguments(
        **{name: getattr(ours.args, name) for name in [*options, "optim", "lr_scheduler_type", "seed", "use_cpu"]},
        output_dir=str(tmp_path / "stock"),
        learning_rate=0.1,
        report_to="none",
    )
    stock = Trainer(build_model(), given, train_dataset=review_data(), data_collator=ours.data_collator)
    stock.train()
    for name, value in ours.model.state_dict().items():
        assert torch.allclose(value, stock.model.state_dict()[name], rtol=0, atol=1e-6), name


def test_a_batch_in_one_part_needs_no_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="hf_robust")
    build_trainer("normal", tmp_path)
    assert "stock Trainer" not in caplog.text
