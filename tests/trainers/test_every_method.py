"""The contract that every entry of METHODS keeps; a new method gets these tests by being in the dict."""

from __future__ import annotations

import copy
import json
import math
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import (
    KINDS,
    NO_DATA,
    build_legacy_model,
    build_model,
    build_tokenizer,
    build_trainer,
    dense_synonyms,
    model_for,
    review_data,
    weights,
)
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    HfArgumentParser,
    set_seed,
)

from benchmarks.performance.cost import count_passes
from benchmarks.performance.passes import totals
from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.hub.citations import citation, title
from hf_robust.models.architecture import AUXILIARY_ATTRIBUTE
from hf_robust.models.trained import load_trained
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.step_passes import Passes
from hf_robust.views.attacked import CLEAN
from hf_robust.wiring.checkpoints import load_config, load_model

ROOT = Path(__file__).parents[2]

# How far a model that is saved with its adapters merged is from the one that was trained.
MERGED = 1e-5


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], tolerance: float = 0.0) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        if tolerance:
            assert torch.allclose(value, second[name], rtol=0.0, atol=tolerance), name
        else:
            assert torch.equal(value, second[name]), name


def train(name: str, folder: Path, **options: Any) -> Any:
    trainer = build_trainer(name, folder, **options)
    trainer.train()
    return trainer


def count_forwards(trainer: RobustTrainer) -> Counter[str]:
    """Calls of the trainer's model, under ``forward``."""
    counter: Counter[str] = Counter()
    trainer.model.register_forward_pre_hook(lambda *_: counter.update(["forward"]))
    return counter


@pytest.mark.parametrize("name", METHODS)
class TestEveryMethod:
    def test_trains(self, name: str, tmp_path: Path) -> None:
        trainer = build_trainer(name, tmp_path)
        before = weights(trainer)
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        assert len(losses) == 3 and all(map(math.isfinite, losses))
        assert any(not torch.equal(value, before[key]) for key, value in weights(trainer).items())

    def test_every_parameter_and_every_part_receives_gradient(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainer = build_trainer(name, tmp_path, **METHODS[name].mid_run)
        parts: dict[str, torch.Tensor] = {}
        monkeypatch.setattr(trainer, "log_parts", parts.update)
        trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)  # generates views
        trainer.model.train()
        batch = next(iter(trainer.get_train_dataloader()))
        loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(batch))
        parameters = {key: value for key, value in trainer.model.named_parameters() if value.requires_grad}
        for part_name, part in {"loss": loss, **parts}.items():
            gradients = torch.autograd.grad(part, list(parameters.values()), retain_graph=True, allow_unused=True)
            assert any(g is not None and g.abs().sum() > 0 for g in gradients), part_name
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        assert [key for key, g in zip(parameters, gradients, strict=True) if g is None] == []

    def test_named_parts_are_logged_and_logging_starts_anew(self, name: str, tmp_path: Path) -> None:
        trainer = train(name, tmp_path)
        entries = [entry for entry in trainer.state.log_history if "loss" in entry]
        named = [{key for key in entry if key.startswith("loss_")} for entry in entries]
        assert named[0] == named[-1]
        assert all(math.isfinite(entry[key]) for entry in entries for key in named[0])
        assert trainer.means.take() == {}

    @pytest.mark.slow_but("bat_triplet")
    def test_same_seed_same_weights(self, name: str, tmp_path: Path) -> None:
        runs = [train(name, tmp_path / str(i), model=model_for(name, dropout=0.1)) for i in range(2)]
        assert_same(weights(runs[0]), weights(runs[1]))

    @pytest.mark.slow_but("bat_triplet")
    def test_accumulation_equals_a_large_batch(self, name: str, tmp_path: Path) -> None:
        options: dict[str, Any] = {"max_steps": 2, "synonyms": dense_synonyms(), **METHODS[name].row_wise}
        large = train(name, tmp_path / "large", **options)
        options |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
        small = train(name, tmp_path / "small", **options)
        assert_same(weights(large), weights(small), tolerance=1e-6)

    @pytest.mark.slow
    def test_two_ranks_equal_one_process(self, name: str, two_ranks: dict[str, Any], tmp_path: Path) -> None:
        first, second = two_ranks[name]
        assert_same(first, second)  # the ranks stay in sync
        one = train(name, tmp_path, max_steps=2, synonyms=dense_synonyms(), **METHODS[name].row_wise)
        assert_same(weights(one), first, tolerance=1e-6)

    @pytest.mark.slow_but("bat_triplet")
    def test_bf16_runs(self, name: str, tmp_path: Path) -> None:
        trainer = train(name, tmp_path, bf16=True)
        assert all(math.isfinite(e["loss"]) for e in trainer.state.log_history if "loss" in e)
        assert all(value.dtype == torch.float32 for value in weights(trainer).values() if value.is_floating_point())

    @pytest.mark.slow_but("bat_triplet")
    def test_gradient_checkpointing_equals_none(self, name: str, tmp_path: Path) -> None:
        if not model_for(name).supports_gradient_checkpointing:
            pytest.skip("its architectures have none")
        plain = train(name, tmp_path / "plain")
        saving = train(name, tmp_path / "saving", gradient_checkpointing=True)
        assert_same(weights(plain), weights(saving), tolerance=1e-6)

    @pytest.mark.slow_but("bat_triplet")
    def test_resume_equals_the_uninterrupted_run(self, name: str, tmp_path: Path) -> None:
        options = {"optim": "adamw_torch", "learning_rate": 1e-3, "save_strategy": "steps", "save_steps": 1}
        # Saved under the names that it was loaded under: transformers' own Trainer does not read them back.
        if METHODS[name].architectures:
            model, other = (model_for(name, dropout=0.1, seed=seed) for seed in (0, 9))
        else:
            model, other = (build_legacy_model(tmp_path / f"old-{seed}", dropout=0.1, seed=seed) for seed in (0, 9))
        # Two steps make an epoch: step 1 is inside an epoch, step 2 at its end.
        whole = train(name, tmp_path / "whole", model=model, max_steps=4, **options)
        for step in (1, 2):
            again = build_trainer(name, tmp_path / "again", model=copy.deepcopy(other), max_steps=4, **options)
            again.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
            assert_same(weights(whole), weights(again))

    @pytest.mark.slow_but("bat_triplet")
    def test_export_loads_with_plain_transformers(self, name: str, tmp_path: Path) -> None:
        trainer = train(name, tmp_path)
        trainer.save_model(str(tmp_path / "export"))
        model, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export", output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]
        batch = build_tokenizer()(["a good film", "a bad plot"], padding=True, return_tensors="pt")
        trainer.model.eval()
        if trainer.saved_inference(tmp_path / "export") is None:
            expected = trainer.inference(trainer.model, batch)
        else:
            expected = trainer.model(**batch)
        tolerance = 0.0 if METHODS[name].trains_lora else MERGED
        assert torch.allclose(model.eval()(**batch).logits, expected["logits"], rtol=0.0, atol=tolerance)

    def test_zero_strength_equals_normal(self, name: str, tmp_path: Path) -> None:
        arguments = METHODS[name].zero_strength
        if arguments is None:
            pytest.skip("no arguments make it plain training")
        normal = train("normal", tmp_path / "normal", model=model_for(name))
        zero = weights(train(name, tmp_path / "zero", **arguments))
        assert_same(weights(normal), {key: value for key, value in zero.items() if AUXILIARY_ATTRIBUTE not in key})

    def test_evaluation_calls_the_model_once_per_batch(self, name: str, tmp_path: Path) -> None:
        for options in ({}, METHODS[name].plain_inference):
            trainer = build_trainer(name, tmp_path, eval_data=review_data(20), **options)
            counter = count_forwards(trainer)
            metrics = trainer.evaluate()
            assert counter["forward"] == 3  # 20 rows in batches of 8
        plain = build_trainer("normal", tmp_path, model=model_for(name), eval_data=review_data(20)).evaluate()
        assert metrics["eval_loss"] == plain["eval_loss"]

    def test_without_training_data_the_model_is_evaluated_as_it_was_loaded(self, name: str, tmp_path: Path) -> None:
        # A vote needs no training; all other ways of predicting are what was trained.
        options = METHODS[name].plain_inference if name == "dne" else {}
        trainer = build_trainer(name, tmp_path, data=NO_DATA, eval_data=review_data(20), **options)
        assert not hasattr(trainer.model, AUXILIARY_ATTRIBUTE)
        plain = build_trainer("normal", tmp_path, model=model_for(name), eval_data=review_data(20))
        assert trainer.evaluate()["eval_loss"] == plain.evaluate()["eval_loss"]
        trainer.save_model(str(tmp_path / "again"))
        assert not any(path.is_dir() for path in (tmp_path / "again").iterdir())
        assert_same(
            weights(plain), AutoModelForSequenceClassification.from_pretrained(tmp_path / "again").state_dict()
        )

    def test_passes_of_a_training_step_are_those_that_the_class_counts(self, name: str, tmp_path: Path) -> None:
        every_text = {"failed_views": CLEAN} if hasattr(METHODS[name].config, "failed_views") else {}
        trainer = build_trainer(name, tmp_path, **{**METHODS[name].mid_run, **every_text})
        assert Passes(*totals(count_passes(trainer))) == METHODS[name].step_passes(trainer.args)

    @pytest.mark.slow_but("bat_triplet")
    def test_lora_trains_the_adapter_and_what_is_new_and_reloads(self, name: str, tmp_path: Path) -> None:
        pytest.importorskip("peft")
        # As pre-training leaves it: without a pooler and a head.
        AutoModelForMaskedLM.from_config(build_model().config).save_pretrained(tmp_path / "base")
        args = ModelArguments(model_name_or_path=str(tmp_path / "base"), lora_rank=2)
        model = load_model(args, load_config(args), named_labels(("bad", "good")))
        if METHODS[name].architectures:
            with pytest.raises(ValueError, match=f"{name} trains models of the types .* is of type bert: give such"):
                build_trainer(name, tmp_path, model=model)
            return
        if not METHODS[name].trains_lora:
            with pytest.raises(ValueError, match=f"{name} makes adapters of its own.*merge"):
                build_trainer(name, tmp_path, model=model)
            return
        new = ("lora_", "modules_to_save")
        before = {key: value.clone() for key, value in model.state_dict().items()}
        trainer = train(name, tmp_path, model=model)
        after = weights(trainer)
        moved = {key for key, value in before.items() if not torch.equal(after[key], value)}
        assert all(any(part in key for part in new) for key in moved)
        for part in ("lora_B", "pooler.modules_to_save", "classifier.modules_to_save"):
            assert any(part in key for key in moved), part
        trainer.save_model(str(tmp_path / "adapter"))
        set_seed(5)
        reloaded = load_trained(str(tmp_path / "adapter")).eval()
        batch = build_tokenizer()(["a good film"], return_tensors="pt")
        assert torch.equal(reloaded(**batch).logits, trainer.model.eval()(**batch).logits)

    @pytest.mark.slow_but("bert")
    @pytest.mark.parametrize("kind", KINDS)
    def test_architectures(self, name: str, kind: str, tmp_path: Path) -> None:
        if not METHODS[name].trains_lora and kind.startswith("hf_robust_"):
            with pytest.raises(ValueError, match="adapters need linear layers in the encoder.*has none"):
                build_trainer(name, tmp_path, model=build_model(kind))
            return
        if METHODS[name].architectures and kind not in METHODS[name].architectures:
            with pytest.raises(ValueError, match=f"{name} trains models of the types .* is of type {kind}: give such"):
                build_trainer(name, tmp_path, model=build_model(kind))
            return
        trainer = train(name, tmp_path, model=build_model(kind, dropout=0.1), max_steps=2, learning_rate=0.01)
        assert all(math.isfinite(e["loss"]) for e in trainer.state.log_history if "loss" in e)

    @pytest.mark.slow_but("bat_triplet")
    def test_label_smoothing_and_class_weights_reach_the_task_loss(self, name: str, tmp_path: Path) -> None:
        plain, smooth, weighted = (
            train(name, tmp_path / str(i), max_steps=1, **options)
            for i, options in enumerate([{}, {"label_smoothing_factor": 0.3}, {"class_weights": [1.0, 5.0]}])
        )
        losses = [trainer.state.log_history[0]["loss"] for trainer in (plain, smooth, weighted)]
        assert len(set(losses)) == 3

    def test_config_survives_json(self, name: str, tmp_path: Path) -> None:
        args = METHODS[name].config(output_dir=str(tmp_path), robust_method=name, use_cpu=True, report_to="none")
        own = {key: value for key, value in asdict(args).items() if key in args.to_dict()}
        kept = {key: json.loads(json.dumps(value)) for key, value in own.items() if _is_plain(value)}
        (again,) = HfArgumentParser(METHODS[name].config).parse_dict(kept)
        assert {key: getattr(again, key) for key in kept} == {key: getattr(args, key) for key in kept}

    def test_documented(self, name: str) -> None:
        method = METHODS[name]
        assert method.name == name and method.compute_loss is not RobustTrainer.compute_loss
        text = method.__doc__ or ""
        assert ".. math::" in text and "(B," in text, "the docstring needs the formula and the shapes"
        if name != "normal":
            assert "arXiv" in text and "Differs" in text
        assert f"`{name}`" in (ROOT / "README.md").read_text(encoding="utf-8"), "README needs its row"
        for key, option in method.config.__dataclass_fields__.items():
            assert option.metadata.get("help") or key in _trainer_fields(), f"--{key} needs a help text"

    def test_its_paper_is_bibtex_and_in_the_bibliography_of_the_docs(self, name: str) -> None:
        key = METHODS[name].citation
        if name == "normal":
            assert not key
            return
        entry = citation(key)
        assert re.match(rf"@\w+\{{{key},\n", entry) and re.search(r"^    year = \{\d{4}\},$", entry, re.MULTILINE)
        assert title(key) != key
        (file,) = re.findall(r'bibtex_bibfiles = \["(.*)"\]', (ROOT / "docs" / "conf.py").read_text(encoding="utf-8"))
        assert entry in (ROOT / "docs" / file).read_text(encoding="utf-8")

    def test_facts_are_about_arguments_of_its_own(self, name: str) -> None:
        method = METHODS[name]
        facts = [method.zero_strength or {}, method.plain_inference, method.mid_run, method.row_wise]
        assert {key for fact in facts for key in fact} <= set(method.config.__dataclass_fields__)
        assert set(method.weakened_by.values()) <= set(method.config.__dataclass_fields__)
        assert set(method.needs) <= {"synonyms", "antonyms", "attacks"}

    def test_a_missing_lexicon_is_one_sentence(self, name: str, tmp_path: Path) -> None:
        for need, flag in {"synonyms": "--lexicon", "antonyms": "--antonym_lexicon"}.items():
            if need in METHODS[name].needs:
                with pytest.raises(ValueError, match=f"{name} needs a lexicon of {need}.*{flag}"):
                    build_trainer(name, tmp_path, **{need: None})

    def test_regression_is_for_normal_only(self, name: str, tmp_path: Path) -> None:
        if name == "normal":
            rows = [{"sentence": "a good film", "label": 0.5}, {"sentence": "a bad plot", "label": -0.5}]
            train(name, tmp_path, model=model_for(name, num_labels=1), data=review_data(rows=rows), max_steps=1)
        else:
            with pytest.raises(ValueError, match=f"{name} needs class labels.*--robust_method normal"):
                build_trainer(name, tmp_path, model=model_for(name, num_labels=1))

    @pytest.mark.slow_but("bat_triplet")
    def test_left_padding_runs(self, name: str, tmp_path: Path) -> None:
        trainer = build_trainer(name, tmp_path)
        trainer.processing_class.padding_side = "left"
        trainer.train()
        assert all(math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, list, type(None)))


def _trainer_fields() -> set[str]:
    from transformers import TrainingArguments

    return set(TrainingArguments.__dataclass_fields__)
