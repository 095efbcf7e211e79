"""adpmixup: exact mixes row by row, the entropies' formula, a shared head, files in PEFT's form."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import build_architecture, padded_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import (
    FILLERS,
    AnyChange,
    build_model,
    build_tokenizer,
    build_trainer,
    review_data,
    review_rows,
    synonym_attack,
    table,
)
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from hf_robust.attacks import ATTACKS, Resources
from hf_robust.data import split_views
from hf_robust.models.lora import ALL_LINEAR
from hf_robust.models.trained import load_trained
from hf_robust.modules.adapters import CLEAN, Adapters, find_heads, find_targets, load_adapters
from hf_robust.trainers import METHODS
from hf_robust.trainers.adpmixup import mixed_outputs, mixing_shares
from hf_robust.training.plain_victim import plain_copy

LOGITS = st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=3)


def batch_of(*texts: str) -> dict[str, Tensor]:
    return dict(build_tokenizer()(list(texts), padding=True, return_tensors="pt"))


BATCH = batch_of("a good film", "a bad plot with the cold ending", "warm music", "the actor was very poor")


def adapted(kind: str = "bert", names: tuple[str, ...] = (CLEAN, "one"), seed: int = 0) -> tuple[Any, Adapters]:
    model = build_model(kind).eval()
    adapters = Adapters(
        model, names, find_targets(model, [ALL_LINEAR]), rank=2, alpha=4.0, dropout=0.1, seed=seed
    ).eval()
    generator = torch.Generator().manual_seed(seed)
    for value in adapters.up.values():
        value.data.copy_(torch.randn(value.shape, generator=generator))
    return model, adapters


def with_deltas(kind: str, adapters: Adapters, shares: Tensor) -> Any:
    """A plain model whose weights are the mix of the products, written out."""
    model = build_model(kind).eval()
    for target in adapters.targets:
        weight = model.get_submodule(target).weight
        for share, name in zip(shares.tolist(), adapters.names, strict=True):
            key = f"{name}|{target}".replace(".", "/")
            weight.data += share * 2.0 * adapters.up[key].data @ adapters.down[key].data
    return model


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_each_row_has_exactly_the_mix_of_delta_matrices(kind: str) -> None:
    model, adapters = adapted(kind)
    shares = torch.tensor([[1.0, 0.0], [0.3, 0.7], [0.0, 1.0], [0.5, 0.5]])
    with torch.no_grad(), adapters.sharing(shares):
        mixed = model(**BATCH).logits
    for row, share in enumerate(shares):
        with torch.no_grad():
            expected = with_deltas(kind, adapters, share)(**BATCH).logits[row]
        assert torch.allclose(mixed[row], expected, rtol=0.0, atol=1e-5)
    factors = copy.deepcopy(adapters)
    for key in [key for key in factors.up if key.startswith("clean")]:
        other = key.replace("clean", "one", 1)
        for part in (factors.up, factors.down):
            part[key].data = 0.5 * part[key].data + 0.5 * part[other].data
    wrong = with_deltas(kind, factors, torch.tensor([1.0, 0.0]))(**BATCH).logits[3]
    assert not torch.allclose(mixed[3], wrong, atol=1e-2)  # mixing A and B is another model


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_layer_adds_the_mixed_delta_matrix(kind: str) -> None:
    model, adapters = adapted(kind)
    shares = torch.tensor([[0.2, 0.8], [0.9, 0.1], [1.0, 0.0]])
    with torch.no_grad(), adapters.sharing(shares):
        for target in adapters.targets:
            layer = model.get_submodule(target)
            x = torch.randn(3, 5, layer.in_features, generator=torch.Generator().manual_seed(1))
            for row in range(3):
                delta = sum(
                    shares[row, k] * adapters.weight_change(name, target) for k, name in enumerate(adapters.names)
                )
                expected = nn.functional.linear(x[row], layer.weight + delta, layer.bias)
                assert torch.allclose(layer(x)[row], expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_beta_1_equals_the_clean_adapter_and_so_does_no_share(kind: str) -> None:
    model, adapters = adapted(kind)
    with torch.no_grad():
        alone = model(**BATCH).logits
        with adapters.sharing(torch.tensor([[1.0, 0.0]] * 4)):
            assert torch.equal(model(**BATCH).logits, alone)
        with adapters.sharing(adapters.alone("one", 4)):
            assert not torch.allclose(model(**BATCH).logits, alone, atol=1e-3)
        assert torch.allclose(alone, with_deltas(kind, adapters, torch.tensor([1.0, 0.0]))(**BATCH).logits, atol=1e-5)


@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
@settings(max_examples=15, deadline=None)
def test_equal_adapters_give_the_same_output_for_any_beta(betas: list[float]) -> None:
    model, adapters = adapted()
    for key in [key for key in adapters.up if key.startswith("one")]:
        for part in (adapters.up, adapters.down):
            part[key].data.copy_(part[key.replace("one", "clean", 1)].data)
    beta = torch.tensor(betas)
    with torch.no_grad():
        alone = model(**BATCH).logits
        with adapters.sharing(torch.stack([beta, 1 - beta], dim=1)):
            assert torch.allclose(model(**BATCH).logits, alone, rtol=0.0, atol=1e-5)


def entropy(logits: list[float]) -> float:
    powers = [math.exp(value - max(logits)) for value in logits]
    return -sum(p / sum(powers) * math.log(p / sum(powers)) for p in powers if p / sum(powers) > 0)


@given(LOGITS, st.lists(LOGITS, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_the_formula(clean: list[float], attacked: list[list[float]]) -> None:
    (shares,) = mixing_shares(torch.tensor([clean]), torch.tensor([[one] for one in attacked])).tolist()
    betas = [entropy(one) / (entropy(clean) + entropy(one)) for one in attacked]
    expected = [sum(betas) / len(betas), *((1 - beta) / len(betas) for beta in betas)]
    assert shares == pytest.approx(expected, abs=2e-3)
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)


def test_the_surer_adapter_weighs_more_and_two_certain_ones_equally() -> None:
    sure, unsure = [9.0, 0.0], [0.1, 0.0]
    shares = mixing_shares(torch.tensor([sure, unsure, [1e4, 0.0]]), torch.tensor([[unsure, sure, [1e4, 0.0]]]))
    assert shares[0, 0] > 0.99 and shares[1, 0] < 0.01 and shares[2].tolist() == [0.5, 0.5]


def test_inference_mixes_by_the_adapters_own_predictions_whatever_the_batch() -> None:
    model, adapters = adapted(names=(CLEAN, "one", "two"))
    with torch.no_grad():
        whole = mixed_outputs(adapters, model, BATCH)["logits"]
        logits = []
        for name in adapters.names:
            with adapters.sharing(adapters.alone(name, 4)):
                logits.append(model(**BATCH).logits)
        with adapters.sharing(mixing_shares(logits[0], torch.stack(logits[1:]))):
            assert torch.equal(model(**BATCH).logits, whole)
        rows = [
            mixed_outputs(adapters, model, {key: value[row : row + 1] for key, value in BATCH.items()})["logits"]
            for row in range(4)
        ]
    assert torch.allclose(torch.cat(rows), whole, atol=1e-5)


def test_mixing_outputs_averages_probabilities_and_clean_is_one_forward() -> None:
    model, adapters = adapted()
    labels = torch.tensor([0, 1, 1, 0])
    with torch.no_grad():
        parts = []
        for name in adapters.names:
            with adapters.sharing(adapters.alone(name, 4)):
                parts.append(model(**BATCH).logits)
        shares = mixing_shares(parts[0], torch.stack(parts[1:]))
        found = mixed_outputs(adapters, model, {**BATCH, "labels": labels}, "outputs")
        expected = sum(shares[:, k : k + 1] * part.softmax(-1) for k, part in enumerate(parts))
        assert torch.allclose(found["logits"].softmax(-1), expected, atol=1e-6)
        assert found["loss"] == pytest.approx(nn.functional.nll_loss(expected.log(), labels).item(), abs=1e-5)
        assert torch.equal(mixed_outputs(adapters, model, BATCH, "clean")["logits"], parts[0])


def two_attacks(folder: Path, **options: Any) -> Any:
    other = table({"film": ["movie", "plot"], "good": ["bad"], "bad": ["good"], "a": ["the"]}, "synonym")
    attacks = {"synonym": synonym_attack(), "other": ATTACKS["synonym"](Resources(synonyms=other))}
    return build_trainer("adpmixup", folder, attacks=attacks, lora_dropout=0.0, **options)


@pytest.mark.parametrize("rows", ["both", "attacked"])
def test_the_loss_is_each_adapters_own_mean_and_the_head_is_shared(rows: str, tmp_path: Path) -> None:
    trainer = two_attacks(tmp_path, per_device_train_batch_size=16, adpmixup_rows=rows)
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    main, views = split_views(batch, trainer.view_names)
    trainer.model.eval()
    expected = 0.0
    for name, part in {CLEAN: main, **views}.items():
        sums, count = 0.0, 0
        for own in [part] if name == CLEAN or rows == "attacked" else [main, part]:
            kept = own.get("ok", torch.ones(16)).bool()
            held = {key: value[kept] for key, value in own.items() if key not in ("ok", "labels")}
            with torch.no_grad(), trainer.adapters.sharing(trainer.adapters.alone(name, int(kept.sum()))):
                logits = trainer.model(**held).logits
            sums += nn.functional.cross_entropy(logits, own["labels"][kept], reduction="sum").item()
            count += int(kept.sum())
        expected += sums / count
    assert loss.item() == pytest.approx(expected, abs=1e-5)  # the batch is the whole training set
    loss.backward()
    trained = [key for key, value in trainer.model.named_parameters() if value.grad is not None]
    heads = ("classifier", "bert.pooler")
    assert all(key.startswith((*heads, "robust_aux")) for key in trained)
    assert {key.split(".")[0] for key in trained} == {"classifier", "bert", "robust_aux"}


def right_share(trainer: Any, rows: list[dict[str, Any]], alone: str | None) -> float:
    """The share of the rows that one adapter, or the mix, has right."""
    batch, labels = batch_of(*[row["sentence"] for row in rows]), torch.tensor([row["label"] for row in rows])
    trainer.model.eval()
    with torch.no_grad():
        if alone is None:
            logits = trainer.inference(trainer.model, batch)["logits"]
        else:
            with trainer.adapters.sharing(trainer.adapters.alone(alone, len(labels))):
                logits = trainer.model(**batch).logits
    return (logits.argmax(1) == labels).float().mean().item()


@pytest.mark.slow
def test_the_mix_keeps_the_clean_accuracy_where_an_attack_turns_texts_into_those_of_the_other_class(
    tmp_path: Path,
) -> None:
    opposites = table({"good": ["bad"], "bad": ["good"], "warm": ["cold"], "cold": ["warm"]}, "synonym")
    turned = replace(ATTACKS["synonym"](Resources(synonyms=opposites)), goal=AnyChange())
    words = {"good": 1, "bad": 0, "warm": 1, "cold": 0}
    clean = [{"sentence": f"the {noun} was {word}", "label": words[word]} for noun in FILLERS[:6] for word in words]
    right = {}
    for rows in ("both", "attacked"):
        trainer = build_trainer(
            "adpmixup", tmp_path / rows, attacks={"synonym": turned},
            data=review_data(rows=clean), adpmixup_rows=rows, optim="adamw_torch", learning_rate=0.01, max_steps=40,
            lora_dropout=0.0, logging_steps=40,
        )  # fmt: skip
        trainer.train()
        right[rows] = {name: right_share(trainer, clean, name) for name in (CLEAN, "synonym", None)}
    both, attacked = right["both"], right["attacked"]
    assert min(both[CLEAN], attacked[CLEAN]) == 1.0
    assert both[None] >= both[CLEAN] - 0.05
    # The control: an adapter that saw the attack's texts alone has learnt the other class, and is as sure of it.
    assert attacked["synonym"] < 0.2 and attacked[None] < 0.8


def test_an_adapter_without_rows_has_a_zero_gradient(tmp_path: Path) -> None:
    trainer = build_trainer("adpmixup", tmp_path, view_fraction=0.0, lora_dropout=0.0)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    assert math.isfinite(loss.item())
    for key, value in trainer.adapters.up.items():
        assert value.grad is not None and bool(value.grad.any()) == key.startswith("clean")


@pytest.mark.slow
def test_without_views_it_is_normal_training_of_a_lora_model(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    options = {"lora_dropout": 0.0, "lora_rank": 2, "lora_alpha": 4.0, "view_fraction": 0.0}
    ours = build_trainer("adpmixup", tmp_path / "ours", **options)
    config = peft.LoraConfig(
        task_type="SEQ_CLS",
        r=2,
        lora_alpha=4.0,
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=["pooler"],
        modules_to_save=["classifier", "pooler"],
    )
    model = peft.get_peft_model(build_model(), config)
    layers = {name: layer for name, layer in model.named_modules() if hasattr(layer, "lora_A")}
    for name, layer in layers.items():
        key = f"clean|{name.removeprefix('base_model.model.')}".replace(".", "/")
        layer.lora_A["default"].weight.data.copy_(ours.adapters.down[key].data)
    theirs = build_trainer("normal", tmp_path / "theirs", model=model)
    ours.train()
    theirs.train()
    with torch.no_grad():
        first, second = ours.model.eval()(**BATCH).logits, theirs.model.eval()(**BATCH).logits
    assert torch.allclose(first, second, rtol=0.0, atol=1e-5)


@pytest.mark.slow
def test_saved_adapters_load_with_peft_and_with_load_adapters(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    build_model().save_pretrained(tmp_path / "base")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    trainer = build_trainer("adpmixup", tmp_path / "run", model=model, max_steps=4)
    trainer.train()
    trainer.save_model(str(tmp_path / "export"))
    trainer.model.eval()
    folders = [tmp_path / "export" / "adapters" / name for name in (CLEAN, "synonym")]
    with torch.no_grad():
        for folder in folders:
            base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
            loaded = peft.PeftModel.from_pretrained(base, folder).eval()
            with trainer.adapters.sharing(trainer.adapters.alone(folder.name, 4)):
                assert torch.allclose(loaded(**BATCH).logits, trainer.model(**BATCH).logits, atol=1e-6)
        base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base").eval()
        adapters = load_adapters(base, folders)
        again = mixed_outputs(adapters, base, BATCH)["logits"]
        assert torch.equal(again, trainer.inference(trainer.model, dict(BATCH))["logits"])


def test_the_transposed_layers_of_gpt2_are_adapted_alike(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    build_architecture("gpt2").save_pretrained(tmp_path / "base")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base").eval()
    targets = find_targets(model, [ALL_LINEAR])
    assert {target.rsplit(".", 1)[-1] for target in targets} == {"c_attn", "c_proj", "c_fc"} and len(targets) == 8
    adapters = Adapters(model, [CLEAN], targets, rank=2, alpha=4.0, dropout=0.0, seed=0).eval()
    for value in adapters.up.values():
        torch.nn.init.normal_(value, std=0.1)
    batch = padded_batch()
    with torch.no_grad():
        wanted = model(**batch).logits
        adapters.save(tmp_path / "adapters", model, find_heads(model))
        assert torch.allclose(load_trained(str(tmp_path / "adapters" / CLEAN))(**batch).logits, wanted, atol=1e-6)
        plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base").eval()
        assert (plain(**batch).logits - wanted).abs().max() > 1e-2
        with adapters.merged(model, CLEAN):
            plain.load_state_dict(model.state_dict())
        assert torch.allclose(plain(**batch).logits, wanted, atol=1e-5)
        adapters.unmerge(plain, CLEAN)
        for name, value in model.state_dict().items():
            assert torch.allclose(plain.state_dict()[name], value, atol=1e-6), name


@pytest.mark.slow
def test_saving_leaves_the_weights_and_a_checkpoint_holds_the_encoder_as_it_was(tmp_path: Path) -> None:
    trainer = build_trainer("adpmixup", tmp_path, save_strategy="steps", save_steps=3)
    before = {key: value.clone() for key, value in trainer.model.state_dict().items() if key.startswith("bert.e")}
    trainer.train()
    trainer.save_model(str(tmp_path / "export"))
    assert all(torch.equal(value, trainer.model.state_dict()[key]) for key, value in before.items())
    states = [
        AutoModelForSequenceClassification.from_pretrained(tmp_path / folder).state_dict()
        for folder in ("checkpoint-3", "export")
    ]
    assert all(torch.equal(value, states[0][key]) for key, value in before.items())
    changed = {key.split(".")[-2] for key, value in before.items() if not torch.equal(value, states[1][key])}
    assert changed == {"query", "key", "value", "dense"}


def test_adapters_of_other_modules_are_one_sentence(tmp_path: Path) -> None:
    folders = []
    for targets in (["query", "value"], ["query"]):
        model = build_model()
        found = find_targets(model, targets)
        Adapters(model, [CLEAN], found, rank=2, alpha=4.0, dropout=0.0, seed=0).save(
            tmp_path / targets[-1], model, find_heads(model)
        )
        folders.append(tmp_path / targets[-1] / CLEAN)
    with pytest.raises(ValueError, match=r"need the same target_modules, and .*query.*train them in one run"):
        load_adapters(build_model(), folders)
    described = json.loads((folders[0] / "adapter_config.json").read_text())
    assert described["modules_to_save"] == ["classifier", "bert.pooler"]


@pytest.mark.slow
def test_a_copy_of_the_model_has_no_adapters_and_the_victim_trains_wholly(tmp_path: Path) -> None:
    trainer = build_trainer("adpmixup", tmp_path)
    for value in trainer.adapters.up.values():
        value.data.fill_(1.0)
    with torch.no_grad():
        assert torch.equal(plain_copy(trainer.model).eval()(**BATCH).logits, build_model().eval()(**BATCH).logits)
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    (record,) = trainer.generation.rounds
    plain = build_trainer("ada", tmp_path / "ada")
    plain.callback_handler.on_epoch_begin(plain.args, plain.state, plain.control)
    assert record["victim"] == plain.generation.rounds[0]["victim"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora_rank": 0}, "--lora_rank must be at least 1, got 0"),
        ({"adpmixup_mixing": "heads"}, "--adpmixup_mixing must be one of weights, outputs, clean, got 'heads'"),
        (
            {"lora_target_modules": ["nothing"]},
            "--lora_target_modules nothing names no layer of this model.*query",
        ),
    ],
)
def test_bad_flags_are_one_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer("adpmixup", tmp_path, **options)


def test_shares_of_another_batch_are_one_sentence() -> None:
    model, adapters = adapted()
    with pytest.raises(ValueError, match=r"have shares for 3 rows and the layer .* got 4"):
        with adapters.sharing(torch.ones(3, 2)):
            model(**BATCH)
    assert adapters._shares[False] is None


@pytest.mark.slow
def test_evaluation_and_prediction_go_through_the_mix(tmp_path: Path) -> None:
    trainer = build_trainer("adpmixup", tmp_path, eval_data=review_data(8), learning_rate=0.5)
    trainer.train()
    trainer.model.eval()
    logits = torch.from_numpy(trainer.predict(review_data(8)).predictions)
    batch = batch_of(*(review_data(8).texts(row)[0] for row in range(8)))
    with torch.no_grad():
        assert torch.allclose(logits, trainer.inference(trainer.model, batch)["logits"], atol=1e-5)
        assert not torch.equal(logits, trainer.model(**batch).logits)


@pytest.mark.slow
def test_a_model_in_half_precision_is_adapted(tmp_path: Path) -> None:
    trainer = build_trainer("adpmixup", tmp_path, model=build_model().bfloat16(), eval_data=review_data(8))
    trainer.train()
    assert all(value.dtype == torch.float32 for value in trainer.adapters.parameters())
    assert math.isfinite(trainer.evaluate()["eval_loss"])


@pytest.mark.slow
def test_a_folder_called_checkpoints_is_an_export(tmp_path: Path) -> None:
    trainer = build_trainer("adpmixup", tmp_path)
    trainer.train()
    trainer.save_model(str(tmp_path / "checkpoints"))
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoints").eval()
    with torch.no_grad():
        assert torch.allclose(loaded(**BATCH).logits, trainer.model.eval()(**BATCH).logits, atol=1e-5)
    assert (tmp_path / "checkpoints" / "adapters" / "clean").is_dir()


def test_adapters_without_views_are_not_mixed_in(tmp_path: Path) -> None:
    trainer = build_trainer("adpmixup", tmp_path, view_fraction=0.0)
    trainer.train()
    trainer.model.eval()
    with torch.no_grad():
        assert torch.equal(trainer.inference(trainer.model, BATCH)["logits"], trainer.model(**BATCH).logits)


def test_one_attack_of_two_without_a_view_is_one_sentence(tmp_path: Path) -> None:
    rare = ATTACKS["synonym"](Resources(synonyms=table({"dreadful": ["poor"]}, "synonym")))
    rows = [*review_rows(14), {"sentence": "a dreadful film.", "label": 0}, {"sentence": "the plot.", "label": 1}]
    trainer = build_trainer(
        "adpmixup", tmp_path, data=review_data(rows=rows), attacks={"often": synonym_attack(), "rare": rare}
    )
    with pytest.raises(ValueError, match="rare found no adversarial example.*leave it out of"):
        trainer.train()


@pytest.mark.parametrize("options", [{"robust_method": "taichi", "taichi_variant": "linear_average"}, {}])
def test_checkpoints_that_predict_otherwise_are_not_published(options: dict[str, Any], tmp_path: Path) -> None:
    config = METHODS[options.get("robust_method", "adpmixup")].config
    with pytest.raises(ValueError, match="--hub_strategy every_save would publish checkpoints.*--hub_strategy end"):
        config(output_dir=str(tmp_path), use_cpu=True, push_to_hub=True, **options)
    config(output_dir=str(tmp_path), use_cpu=True, push_to_hub=True, hub_strategy="end", **options)


def test_an_encoder_of_random_weights_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build_model().save_pretrained(tmp_path / "base")
    build_trainer(
        "adpmixup", tmp_path / "a", model=AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    )
    assert "weights are random" not in caplog.text
    build_trainer("adpmixup", tmp_path / "b")
    assert "adpmixup does not train the encoder, and its weights are random; start from a checkpoint." in caplog.text
