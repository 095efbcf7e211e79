"""TaiChi: the loss by loops, every variant, twins that stay apart, what is saved and resumed, averages of weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from test_every_method import assert_same, train, weights
from tiny import build_model, build_tokenizer, build_trainer, dense_synonyms, review_data, synonym_attack
from torch.nn.functional import cosine_similarity, log_softmax
from transformers import AutoModelForSequenceClassification

from hf_robust.adversary import evaluating
from hf_robust.hub.citations import citation
from hf_robust.models.architecture import AUXILIARY_ATTRIBUTE
from hf_robust.models.trained import load_trained
from hf_robust.modules.auxiliary import PEER_FOLDER, STATE_FILE
from hf_robust.trainers.taichi import TaiChiTrainer
from hf_robust.training.taichi_arguments import VARIANTS, TaiChiConfig
from hf_robust.training.twin import linear_average, twin_of

TWO_MODELS = [name for name, variant in VARIANTS.items() if variant.twin]
ONE_MODEL = [name for name in VARIANTS if name not in TWO_MODELS]


def own_weights(trainer: Any) -> dict[str, torch.Tensor]:
    """The model's, without its twin's."""
    return {key: value for key, value in weights(trainer).items() if AUXILIARY_ATTRIBUTE not in key}


def twin_weights(trainer: Any) -> dict[str, torch.Tensor]:
    return {key: value.detach().clone() for key, value in trainer.twin.state_dict().items()}


def ready(folder: Path, ok: list[float] | None = None, **options: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """A trainer whose views are made, and its first batch, with ``ok`` in place of what the attack achieved."""
    trainer = build_trainer("taichi", folder, **options)
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    trainer.model.train()
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    if ok is not None:
        batch["synonym_ok"] = torch.tensor(ok)
    return trainer, batch


def rows_of(batch: dict[str, torch.Tensor], prefix: str = "") -> dict[str, torch.Tensor]:
    return {key: batch[f"{prefix}{key}"] for key in ("input_ids", "attention_mask")}


def paper_seen(model: Any, rows: dict[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Section 3.2: (W z + b, z) of each text alone, z the mean of what the encoder gives for each of its tokens."""
    found = []
    for ids, mask in zip(rows["input_ids"], rows["attention_mask"], strict=True):
        states = model.base_model(input_ids=ids[mask.bool()].unsqueeze(0)).last_hidden_state[0]
        z = sum(states) / len(states)
        found.append((model.mean_classifier.weight @ z + model.mean_classifier.bias, z))
    return found


def seen(model: Any, rows: dict[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(logits, mean of the last hidden states) of each row, one row at a time and without its padding."""
    found = []
    for ids, mask in zip(rows["input_ids"], rows["attention_mask"], strict=True):
        alone = ids[mask.bool()].unsqueeze(0)
        outputs = model(input_ids=alone, output_hidden_states=True)
        found.append((outputs.logits[0], outputs.hidden_states[-1][0].mean(dim=0)))
    return found


def kl(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    p, q = log_softmax(first, -1), log_softmax(second, -1)
    return sum((p[k].exp() * (p[k] - q[k]) for k in range(len(p))), torch.zeros(()))


def ctr(first: list[torch.Tensor], second: list[torch.Tensor], ok: list[bool]) -> torch.Tensor:
    terms = []
    for i, u in enumerate(first):
        others = [cosine_similarity(u, v, dim=0).exp() for j, v in enumerate(second) if j != i]
        if ok[i]:
            terms.append(-cosine_similarity(u, second[i], dim=0) + torch.stack(others).sum().log())
    return torch.stack(terms).mean()


def by_loops(trainer: Any, batch: dict[str, torch.Tensor], seen: Any = seen) -> dict[str, torch.Tensor]:
    """The four terms of ``full``, one text at a time."""
    clean = [seen(model, rows_of(batch)) for model in (trainer.model, trainer.twin)]
    adv = [seen(model, rows_of(batch, "synonym_")) for model in (trainer.model, trainer.twin)]
    ok, labels, count = batch["synonym_ok"].bool().tolist(), batch["labels"].tolist(), len(batch["labels"])
    expected = count * trainer.view_share
    own_ce = [-log_softmax(clean[0][i][0], -1)[labels[i]] for i in range(count)]
    twin_ce = [-log_softmax(adv[1][i][0], -1)[labels[i]] for i in range(count) if ok[i]]
    kl_clean = [kl(clean[0][i][0], clean[1][i][0]) for i in range(count)]
    kl_adv = [kl(adv[1][i][0], adv[0][i][0]) for i in range(count) if ok[i]]
    states = [[[z for _, z in one] for one in both] for both in zip(clean, adv, strict=True)]
    return {
        "clean": torch.stack(own_ce).mean(),
        "adv": torch.stack(twin_ce).sum() / expected,
        "ctr": ctr(states[0][0], states[0][1], ok) + ctr(states[1][1], states[1][0], ok),
        "kl": torch.stack(kl_clean).mean() + torch.stack(kl_adv).sum() / expected,
    }


def parts_of(trainer: Any, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The parts of the loss that are logged; their sum is the loss."""
    parts: dict[str, torch.Tensor] = {}
    trainer.log_parts = parts.update
    loss = trainer.compute_loss(trainer.model, batch)
    assert torch.allclose(loss, torch.stack(list(parts.values())).sum())
    return parts


def gradient(trainer: Any, batch: dict[str, torch.Tensor], model: Any) -> list[torch.Tensor]:
    parameters = [value for name, value in model.named_parameters() if AUXILIARY_ATTRIBUTE not in name]
    loss = trainer.compute_loss(trainer.model, batch)
    return list(torch.autograd.grad(loss, parameters, materialize_grads=True))


SOME = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]


class TestLoss:
    @pytest.mark.parametrize("ok", [[1.0] * 8, SOME])
    def test_full_equals_loops_over_texts(self, ok: list[float], tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, ok)
        for name, expected in by_loops(trainer, batch).items():
            assert parts_of(trainer, batch)[name].item() == pytest.approx(expected.item(), abs=2e-5), name

    @pytest.mark.parametrize("ok", [[1.0] * 8, SOME])
    def test_with_the_papers_head_full_equals_its_formulas(self, ok: list[float], tmp_path: Path) -> None:
        trainer, batch = ready(
            tmp_path, ok, model=build_model(head="mean", dropout=0.0), taichi_beta=0.7, taichi_gamma=1.3
        )
        assert not torch.equal(trainer.model.mean_classifier.weight, trainer.twin.mean_classifier.weight)
        terms = by_loops(trainer, batch, paper_seen)
        expected = terms["clean"] + terms["adv"] + 0.7 * terms["ctr"] + 1.3 * terms["kl"]
        assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected.item(), abs=2e-5)

    def test_equal_vectors_give_log_N_minus_1(self, tmp_path: Path) -> None:
        rows = [{"sentence": "a good film", "label": 1}] * 4
        trainer, batch = ready(
            tmp_path, data=review_data(rows=rows), per_device_train_batch_size=4, taichi_variant="no_kl"
        )
        batch.update({key.replace("input", "synonym_input"): value for key, value in rows_of(batch).items()})
        batch["synonym_input_ids"], batch["synonym_attention_mask"] = batch["input_ids"], batch["attention_mask"]
        batch["synonym_ok"] = torch.ones(4)
        assert parts_of(trainer, batch)["ctr"].item() == pytest.approx(math.log(3), abs=1e-5)  # 1.0986

    def test_a_batch_of_one_has_no_contrast(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, [1.0], per_device_train_batch_size=1)
        parts = parts_of(trainer, batch)
        assert parts["ctr"].item() == 0.0 and all(math.isfinite(part.item()) for part in parts.values())

    def test_the_contrast_is_a_mean_with_negatives_of_the_other_view(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, [1.0] * 8, taichi_variant="no_kl", taichi_tau=0.5)
        clean = [z for _, z in seen(trainer.model, rows_of(batch))]
        adv = [z for _, z in seen(trainer.model, rows_of(batch, "synonym_"))]
        terms = [
            torch.stack([2 * cosine_similarity(clean[i], adv[j], dim=0) for j in range(8) if j != i]).logsumexp(0)
            - 2 * cosine_similarity(clean[i], adv[i], dim=0)
            for i in range(8)
        ]
        assert parts_of(trainer, batch)["ctr"].item() == pytest.approx(torch.stack(terms).mean().item(), abs=1e-5)

    def test_without_adv_the_kl_is_between_one_models_predictions(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, SOME, taichi_variant="no_adv")
        clean, adv = seen(trainer.model, rows_of(batch)), seen(trainer.model, rows_of(batch, "synonym_"))
        terms = [kl(c, a) for (c, _), (a, _), ok in zip(clean, adv, SOME, strict=True) if ok]
        parts = parts_of(trainer, batch)
        assert set(parts) == {"clean", "ctr", "kl"} and parts["kl"].item() > 0
        expected = torch.stack(terms).sum().item() / (8 * trainer.view_share)
        assert parts["kl"].item() == pytest.approx(expected, abs=1e-5)

    def test_the_second_kl_is_at_the_adversarial_text(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, [1.0] * 8, taichi_variant="no_ctr")
        before = parts_of(trainer, batch)["kl"].item()
        batch["synonym_input_ids"], batch["synonym_attention_mask"] = batch["input_ids"], batch["attention_mask"]
        assert parts_of(trainer, batch)["kl"].item() != pytest.approx(before, abs=1e-6)

    def test_code_weights_double_all_but_the_kl(self, tmp_path: Path) -> None:
        plain, doubled = (parts_of(*ready(tmp_path / follow, SOME, follow=follow)) for follow in ("paper", "code"))
        ratios = {name: doubled[name].item() / plain[name].item() for name in plain}
        assert ratios == pytest.approx({"clean": 2.0, "adv": 2.0, "ctr": 2.0, "kl": 1.0})

    def test_weights_scale_their_terms(self, tmp_path: Path) -> None:
        plain = parts_of(*ready(tmp_path / "1", SOME))
        scaled = parts_of(*ready(tmp_path / "2", SOME, taichi_beta=0.25, taichi_gamma=3.0))
        ratios = {name: scaled[name].item() / plain[name].item() for name in plain}
        assert ratios == pytest.approx({"clean": 1.0, "adv": 1.0, "ctr": 0.25, "kl": 3.0})

    def test_failed_rows_are_negatives_only(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, SOME)
        parts = parts_of(trainer, batch)
        batch["synonym_labels"] = torch.where(batch["synonym_ok"].bool(), batch["labels"], 1 - batch["labels"])
        assert parts_of(trainer, batch)["adv"].item() == parts["adv"].item()  # no label of a failed row counts
        batch["synonym_input_ids"] = batch["synonym_input_ids"].clone()
        batch["synonym_input_ids"][2, 1:3] = 6  # row 2 failed: another text there changes the contrast alone
        changed = parts_of(trainer, batch)
        assert {name for name in parts if abs(changed[name].item() - parts[name].item()) > 1e-6} == {"ctr"}

    def test_the_divergence_of_a_model_and_its_equal_is_0(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, [1.0] * 8)
        assert parts_of(trainer, batch)["kl"].item() > 0
        trainer.twin.load_state_dict(own_weights(trainer))
        assert parts_of(trainer, batch)["kl"].item() == pytest.approx(0.0, abs=1e-6)

    def test_swapping_models_and_texts_leaves_the_loss(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, [1.0] * 8)
        trainer.generation.sources["synonym"].share = 1.0  # as the batch: every text has its pair
        before = trainer.compute_loss(trainer.model, batch).item()
        own, other = own_weights(trainer), twin_weights(trainer)
        trainer.twin.load_state_dict(own)
        trainer.model.load_state_dict(
            {**other, **{f"{AUXILIARY_ATTRIBUTE}.{key}": value for key, value in own.items()}}
        )
        swapped = dict(batch)
        for key in ("input_ids", "attention_mask"):
            swapped[key], swapped[f"synonym_{key}"] = batch[f"synonym_{key}"], batch[key]
        assert trainer.compute_loss(trainer.model, swapped).item() == pytest.approx(before, abs=1e-5)
        assert trainer.compute_loss(trainer.model, batch).item() != pytest.approx(before, abs=1e-3)

    def test_without_kl_the_model_knows_nothing_of_its_twin(self, tmp_path: Path) -> None:
        gradients = {}
        for kl_weight in (0.0, 1.0):
            trainer, batch = ready(tmp_path / str(kl_weight), SOME, taichi_gamma=kl_weight)
            before = gradient(trainer, batch, trainer.model)
            with torch.no_grad():
                for parameter in trainer.twin.parameters():
                    parameter.add_(0.05)
            gradients[kl_weight] = before, gradient(trainer, batch, trainer.model)
        assert all(map(torch.equal, *gradients[0.0]))
        assert not all(map(torch.allclose, *gradients[1.0]))

    def test_both_models_learn_from_each_kl(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, [1.0] * 8)
        part = parts_of(trainer, batch)["kl"]
        for model in (trainer.model, trainer.twin):
            (found,) = torch.autograd.grad(part, [model.classifier.weight], retain_graph=True)
            assert found.abs().sum() > 0

    def test_pooling_takes_the_special_tokens_in_and_padding_out(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, [1.0] * 8, taichi_variant="no_kl")
        before = parts_of(trainer, batch)["ctr"].item()
        wide = {key: torch.nn.functional.pad(batch[key], (0, 4)) for key in rows_of(batch)}
        assert parts_of(trainer, {**batch, **wide})["ctr"].item() == pytest.approx(before, abs=1e-5)

    def test_class_weights_and_smoothing_reach_both_models(self, tmp_path: Path) -> None:
        plain = parts_of(*ready(tmp_path / "1", SOME))
        for index, options in enumerate(({"class_weights": [1.0, 5.0]}, {"label_smoothing_factor": 0.3})):
            other = parts_of(*ready(tmp_path / f"o{index}", SOME, **options))
            assert all(abs(other[name].item() - plain[name].item()) > 1e-4 for name in ("clean", "adv"))


class TestVariants:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_terms_and_models(self, variant: str, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, SOME, taichi_variant=variant)
        expected = {
            "full": {"clean", "adv", "ctr", "kl"},
            "no_kl": {"clean", "ctr"},
            "no_ctr": {"clean", "adv", "kl"},
            "no_adv": {"clean", "ctr", "kl"},
            "adversarial": {"adv", "ctr"},
            "base_adv": {"adv"},
            "base_adv_soft": {"adv"},
            "linear_average": {"clean", "adv"},
        }
        assert set(parts_of(trainer, batch)) == expected[variant]
        assert (trainer._auxiliary is None) == (variant in ONE_MODEL)

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_a_batch_without_views_keeps_every_parameter_in_the_graph(self, variant: str, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, [0.0] * 8, taichi_variant=variant)
        loss = trainer.compute_loss(trainer.model, batch)
        found = torch.autograd.grad(loss, list(trainer.model.parameters()), allow_unused=True)
        assert all(one is not None and torch.isfinite(one).all() for one in found)
        if not VARIANTS[variant].clean:
            assert loss.item() == 0.0 and not any(one.any() for one in found)

    @pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "full"])
    def test_trains_and_saves(self, variant: str, tmp_path: Path) -> None:
        trainer = train("taichi", tmp_path, taichi_variant=variant)
        assert all(math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
        trainer.save_model(str(tmp_path / "export"))
        _, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export", output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]
        assert (tmp_path / "export" / PEER_FOLDER).exists() == (variant in TWO_MODELS)

    def test_base_adv_is_cross_entropy_on_views_alone(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, SOME, taichi_variant="base_adv")
        logits = [logits for logits, _ in seen(trainer.model, rows_of(batch, "synonym_"))]
        terms = [-log_softmax(logits[i], -1)[batch["labels"][i]] for i in range(8) if SOME[i]]
        expected = torch.stack(terms).sum().item() / (8 * trainer.view_share)
        assert parts_of(trainer, batch)["adv"].item() == pytest.approx(expected, abs=1e-5)

    def test_soft_targets_are_the_victims_probabilities_at_the_view(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, taichi_variant="base_adv_soft")
        victim = trainer.generation._plain_victim()
        with torch.no_grad(), evaluating(victim):
            expected = victim(**rows_of(batch, "synonym_")).logits.softmax(-1)
        ok = batch["synonym_ok"].bool()
        assert torch.allclose(batch["synonym_soft"][ok], expected[ok], atol=1e-4)
        logits = [logits for logits, _ in seen(trainer.model, rows_of(batch, "synonym_"))]
        terms = [-(batch["synonym_soft"][i] * log_softmax(logits[i], -1)).sum() for i in range(8) if ok[i]]
        found = parts_of(trainer, batch)["adv"].item()
        assert found == pytest.approx(torch.stack(terms).sum().item() / (8 * trainer.view_share), abs=1e-5)

    def test_adversarial_swaps_the_roles(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, SOME, taichi_variant="adversarial")
        clean = [z for _, z in seen(trainer.model, rows_of(batch))]
        adv = [z for _, z in seen(trainer.model, rows_of(batch, "synonym_"))]
        expected = ctr(adv, clean, [bool(one) for one in SOME]).item()
        assert parts_of(trainer, batch)["ctr"].item() == pytest.approx(expected, abs=1e-5)


class TestTwoModels:
    def test_the_twin_has_the_same_encoder_and_another_head(self) -> None:
        model = build_model(seed=3)
        state = torch.random.get_rng_state()
        first, second, other = (twin_of(model, seed) for seed in (0, 0, 1))
        assert torch.equal(torch.random.get_rng_state(), state)
        own, drawn = model.state_dict(), first.state_dict()
        assert_same(drawn, second.state_dict())
        heads = {key for key in own if not key.startswith("bert.")}
        assert heads == {"classifier.weight", "classifier.bias"}
        assert all(torch.equal(own[key], drawn[key]) for key in own.keys() - heads)
        assert not torch.equal(own["classifier.weight"], drawn["classifier.weight"])
        assert not torch.equal(other.classifier.weight, first.classifier.weight)  # type: ignore[union-attr]

    @pytest.mark.slow
    def test_no_ctr_no_kl_is_two_models_apart(self, tmp_path: Path) -> None:
        normal = train("normal", tmp_path / "normal")
        both = train("taichi", tmp_path / "both", taichi_variant="linear_average")
        views = {"view_file": [str(tmp_path / "both" / "_views" / "synonym-round0.jsonl")]}
        start = {"taichi_variant": "base_adv", "model": twin_of(build_model(), 0)}
        adv = train("taichi", tmp_path / "adv", **views, **start)
        assert_same(own_weights(both), weights(normal))
        assert_same(twin_weights(both), weights(adv))
        off = train("taichi", tmp_path / "off", taichi_beta=0.0, taichi_gamma=0.0)
        assert_same(own_weights(off), weights(normal), tolerance=1e-6)
        assert_same(twin_weights(off), weights(adv), tolerance=1e-6)

    def test_each_is_clipped_by_its_own_norm(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, [1.0] * 8, max_grad_norm=0.1)
        (1000 * trainer.compute_loss(trainer.model, batch)).backward()
        trainer._clip_grad_norm(trainer.model)
        for model in (trainer.model, trainer.twin):
            own = [value.grad for name, value in model.named_parameters() if AUXILIARY_ATTRIBUTE not in name]
            assert torch.nn.utils.get_total_norm(own).item() == pytest.approx(0.1, rel=1e-3)

    def test_the_training_loop_clips_through_that_method(self, tmp_path: Path) -> None:
        calls: list[int] = []
        trainer = build_trainer("taichi", tmp_path)
        clip = trainer._clip_grad_norm
        trainer._clip_grad_norm = lambda model: calls.append(1) or clip(model)  # type: ignore[method-assign]
        trainer.train()
        assert len(calls) == 3

    def test_mixed_precision_reaches_the_twin(self, tmp_path: Path) -> None:
        trainer, batch = ready(tmp_path, bf16=True)
        precisions: dict[str, set[torch.dtype]] = {"own": set(), "twin": set()}
        for name, model in {"own": trainer.model, "twin": trainer.twin}.items():
            layer = model.bert.encoder.layer[0].intermediate.dense
            layer.register_forward_hook(lambda _, __, output, name=name: precisions[name].add(output.dtype))
        prepared = trainer.accelerator.prepare_model(trainer.model)
        trainer.compute_loss(prepared, batch)
        assert precisions == {"own": {torch.bfloat16}, "twin": {torch.bfloat16}}
        assert trainer._twin(**rows_of(batch)).logits.dtype == torch.float32

    def test_both_have_the_same_optimizer_settings(self, tmp_path: Path) -> None:
        trainer = build_trainer("taichi", tmp_path, weight_decay=0.1)
        decay = {
            id(value): group["weight_decay"]
            for group in trainer.create_optimizer().param_groups
            for value in group["params"]
        }
        own = {key: value for key, value in trainer.model.named_parameters() if AUXILIARY_ATTRIBUTE not in key}
        for name, other in trainer.twin.named_parameters():
            assert decay[id(other)] == decay[id(own[name])]
        assert set(decay.values()) == {0.0, 0.1}

    def test_export_holds_the_model_and_its_twin_a_folder_below(self, tmp_path: Path) -> None:
        trainer = train("taichi", tmp_path)
        trainer.save_model(str(tmp_path / "export"))
        batch = build_tokenizer()(["a good film", "a bad plot"], padding=True, return_tensors="pt")
        trainer.model.eval()
        for folder, model in {"export": trainer.model, f"export/{PEER_FOLDER}": trainer.twin}.items():
            loaded, info = AutoModelForSequenceClassification.from_pretrained(
                tmp_path / folder, output_loading_info=True
            )
            assert not info["missing_keys"] and not info["unexpected_keys"]
            assert torch.equal(loaded.eval()(**batch).logits, model(**batch).logits)
            assert (tmp_path / folder / "tokenizer.json").exists()

    def test_resuming_brings_the_twin_back(self, tmp_path: Path) -> None:
        options = {"optim": "adamw_torch", "learning_rate": 1e-3, "save_strategy": "steps", "save_steps": 2}
        whole = train("taichi", tmp_path / "whole", max_steps=4, **options)
        checkpoint = tmp_path / "whole" / "checkpoint-2"
        assert (checkpoint / STATE_FILE).exists() and not (checkpoint / PEER_FOLDER).exists()
        again = build_trainer("taichi", tmp_path / "again", model=build_model(seed=9), max_steps=4, **options)
        again.train(resume_from_checkpoint=str(checkpoint))
        assert_same(twin_weights(whole), twin_weights(again))

    def test_evaluation_sees_the_model_and_clean_texts_alone(self, tmp_path: Path) -> None:
        trainer = build_trainer("taichi", tmp_path, eval_data=review_data(8, seed=1))
        before = trainer.evaluate()["eval_loss"]
        with torch.no_grad():
            for parameter in trainer.twin.parameters():
                parameter.add_(1.0)
        assert trainer.evaluate()["eval_loss"] == before
        assert build_trainer("normal", tmp_path, eval_data=review_data(8, seed=1)).evaluate()["eval_loss"] == before

    def test_lora_trains_both_adapters_and_nothing_frozen(self, tmp_path: Path) -> None:
        peft = pytest.importorskip("peft")
        config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])
        trainer = build_trainer("taichi", tmp_path, model=peft.get_peft_model(build_model(), config))
        before = twin_weights(trainer)
        trainer.train()
        moved = {key for key, value in twin_weights(trainer).items() if not torch.equal(value, before[key])}
        assert moved and all("lora_" in key or "classifier.modules_to_save" in key for key in moved)
        assert any("lora_B" in key for key in moved)


class TestThePapersHead:
    """What every method keeps (``test_every_method.py``), of the two models and their twin heads."""

    def test_what_is_saved_is_two_models_that_load_alone(self, tmp_path: Path) -> None:
        trainer = train("taichi", tmp_path, model=build_model(head="mean"))
        trainer.save_model()
        for folder, model in ((tmp_path, trainer.model), (tmp_path / PEER_FOLDER, trainer.twin)):
            again = load_trained(str(folder))
            batch = rows_of(ready(tmp_path / "again")[1])
            with torch.no_grad():
                assert torch.equal(again.eval()(**batch).logits, model.eval()(**batch).logits)
        assert not torch.equal(trainer.model.mean_classifier.weight, trainer.twin.mean_classifier.weight)

    def test_resume_equals_the_uninterrupted_run(self, tmp_path: Path) -> None:
        options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
        whole = train("taichi", tmp_path / "whole", model=build_model(head="mean"), **options)
        rest = build_trainer("taichi", tmp_path / "rest", model=build_model(head="mean", seed=3), **options)
        rest.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
        assert_same(weights(whole), weights(rest))

    def test_accumulation_equals_a_large_batch(self, tmp_path: Path) -> None:
        options: dict[str, Any] = {"max_steps": 2, "taichi_beta": 0.0}
        large = train("taichi", tmp_path / "large", model=build_model(head="mean"), **options)
        options |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
        small = train("taichi", tmp_path / "small", model=build_model(head="mean"), **options)
        assert_same(weights(large), weights(small), tolerance=1e-6)

    @pytest.mark.slow
    def test_two_ranks_equal_one_process(self, two_ranks: dict[str, Any], tmp_path: Path) -> None:
        first, second = two_ranks["taichi_mean"]
        assert_same(first, second)
        options: dict[str, Any] = {"max_steps": 2, "taichi_beta": 0.0, "synonyms": dense_synonyms()}
        assert_same(weights(train("taichi", tmp_path, model=build_model(head="mean"), **options)), first, 1e-6)


class TestLinearAverage:
    def test_ends_are_the_models_themselves(self) -> None:
        clean, twin = build_model(seed=0).state_dict(), build_model(seed=1).state_dict()
        assert_same(linear_average(clean, twin, 1.0), dict(clean))
        assert_same(linear_average(clean, twin, 0.0), dict(twin))
        half = linear_average(clean, twin, 0.5)
        assert_same(half, {key: (value + twin[key]) / 2 for key, value in clean.items()}, tolerance=1e-6)

    def test_other_architectures_are_refused(self) -> None:
        with pytest.raises(ValueError, match="averaged weight by weight.*classifier.*one architecture"):
            linear_average(build_model().state_dict(), build_model(num_labels=3).state_dict(), 0.5)

    def test_the_average_is_what_is_evaluated_and_saved_and_not_what_is_resumed(self, tmp_path: Path) -> None:
        options = {"taichi_variant": "linear_average", "save_strategy": "steps", "save_steps": 2, "max_steps": 2}
        trainer = train("taichi", tmp_path, taichi_lambda=0.3, eval_data=review_data(8, seed=1), **options)
        own, twin = own_weights(trainer), twin_weights(trainer)
        trainer.save_model(str(tmp_path / "export"))
        assert_same(own_weights(trainer), own)
        exported = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export")
        assert_same(exported.state_dict(), linear_average(own, twin, 0.3))
        checkpoint = AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint-2")
        assert_same(checkpoint.state_dict(), own)
        plain = build_trainer("normal", tmp_path / "plain", model=exported, eval_data=review_data(8, seed=1))
        assert trainer.evaluate()["eval_loss"] == pytest.approx(plain.evaluate()["eval_loss"], abs=1e-6)

    def test_lambda_1_saves_the_clean_model(self, tmp_path: Path) -> None:
        trainer = train("taichi", tmp_path, taichi_variant="linear_average")
        trainer.save_model(str(tmp_path / "export"))
        exported = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export")
        assert_same(exported.state_dict(), own_weights(trainer))

    def test_adapters_are_refused(self, tmp_path: Path) -> None:
        peft = pytest.importorskip("peft")
        config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])
        with pytest.raises(ValueError, match="linear_average averages weights.*without --lora_rank"):
            build_trainer(
                "taichi", tmp_path, model=peft.get_peft_model(build_model(), config), taichi_variant="linear_average"
            )


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"taichi_variant": "best"}, "--taichi_variant must be one of full, .*got 'best'"),
            ({"taichi_tau": 0.0}, "--taichi_tau must be at least.*1 is the paper's"),
            ({"taichi_gamma": -1.0}, "--taichi_gamma must be at least 0.0, got -1.0; 0 leaves the divergence out"),
            ({"taichi_beta": -1.0}, "--taichi_beta must be at least 0.0, got -1.0"),
            ({"taichi_variant": "linear_average", "taichi_lambda": 1.5}, "--taichi_lambda must be between 0.0 and 1"),
            ({"taichi_lambda": 0.5}, "--taichi_lambda 0.5 has no effect with --taichi_variant full; leave it out"),
            ({"taichi_variant": "no_kl", "taichi_gamma": 0.5}, "--taichi_gamma 0.5 has no effect with .*no_kl"),
            ({"taichi_variant": "base_adv", "taichi_tau": 0.5}, "--taichi_tau 0.5 has no effect with .*base_adv"),
        ],
    )
    def test_bad_values_are_one_sentence(self, options: dict[str, Any], message: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=message):
            TaiChiConfig(output_dir=str(tmp_path), robust_method="taichi", use_cpu=True, report_to="none", **options)

    def test_two_attacks_are_one_sentence(self, tmp_path: Path) -> None:
        attacks = {"synonym": synonym_attack(), "other": synonym_attack()}
        with pytest.raises(ValueError, match="pairs each text with one adversarial text, and synonym, other give 2"):
            build_trainer("taichi", tmp_path, attacks=attacks)

    def test_views_of_another_split_are_no_pairs(self, tmp_path: Path) -> None:
        options = {"view_dataset": review_data(8, seed=5), "leaked_view_split": "test"}
        with pytest.raises(ValueError, match="trains on pairs, and views of the test split are of other texts"):
            build_trainer("taichi", tmp_path, **options)

    def test_the_citation_is_the_papers(self) -> None:
        assert "Seeking Common Ground" in citation(TaiChiTrainer.citation)
