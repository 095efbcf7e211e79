"""The hook on seventeen architectures: exact, differentiable, removed, and with errors where it cannot work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, build_architecture, padded_batch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification
from transformers.modeling_layers import GradientCheckpointingLayer

from benchmarks.architectures.configs import full_batch, tiny_config
from hf_robust.adversary import (
    at_look_ups,
    changed_states,
    embedding_width,
    encoder_layers,
    perturbed,
    word_embeddings,
)

Batch = dict[str, Tensor]
CASES = [(kind, side) for kind, architecture in ARCHITECTURES.items() for side in architecture.sides]
POOLS_THE_FIRST_POSITION = {"bert", "roberta", "distilbert", "albert", "electra", "modernbert", "mpnet"}


@pytest.fixture(scope="module")
def models() -> Callable[[str], Any]:
    """A model by architecture, built once."""
    made: dict[str, Any] = {}

    def get(kind: str) -> Any:
        return made.setdefault(kind, None) or made.update({kind: build_architecture(kind)}) or made[kind]

    return get


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest, models: Callable[[str], Any]) -> tuple[str, str, Any, Batch]:
    kind, side = request.param
    return kind, side, models(kind), padded_batch(side)


def offset(batch: Batch, width: int, size: float = 0.1) -> Tensor:
    noise = torch.randn(*batch["input_ids"].shape, width, generator=torch.Generator().manual_seed(0))
    return noise * size * batch["attention_mask"].unsqueeze(-1)


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def plus(delta: Tensor) -> Callable[[Tensor], Tensor]:
    def change(embeddings: Tensor) -> Tensor:
        assert embeddings.shape == delta.shape
        return embeddings + delta

    return change


def test_zero_changes_no_bit_and_anything_else_does(case: tuple[str, str, Any, Batch]) -> None:
    _, _, model, batch = case
    width = embedding_width(model)
    with torch.no_grad():
        plain = model(**batch).logits
        with perturbed(model, plus(offset(batch, width, size=0.0))):
            assert torch.equal(model(**batch).logits, plain)
        with perturbed(model, None):
            assert torch.equal(model(**batch).logits, plain)
        with perturbed(model, plus(offset(batch, width))):
            moved = model(**batch).logits
        assert (moved - plain).abs().amax(1).min() > 1e-4  # each text
        assert torch.equal(model(**batch).logits, plain)
    assert hooks(model) == 0


def test_gradient_reaches_every_real_token_and_no_padding(case: tuple[str, str, Any, Batch]) -> None:
    kind, side, model, batch = case
    delta = offset(batch, embedding_width(model)).requires_grad_()
    with perturbed(model, plus(delta)):
        loss = nn.functional.cross_entropy(model(**batch).logits, torch.tensor([0, 1, 2]), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, delta)
    real = batch["attention_mask"].bool()
    assert gradient.isfinite().all() and gradient[real].abs().amax(-1).min() > 0
    if side == "right" or kind not in POOLS_THE_FIRST_POSITION:
        assert not gradient[~real].any()
    else:  # these classify by position 0, which is padding here: why gradients are masked
        assert gradient[~real].any()


def test_the_gradient_of_a_text_is_its_own(case: tuple[str, str, Any, Batch]) -> None:
    _, _, model, batch = case
    delta = offset(batch, embedding_width(model)).requires_grad_()
    with perturbed(model, plus(delta)):
        loss = model(**batch).logits[0].logsumexp(-1)
    (gradient,) = torch.autograd.grad(loss, delta)
    assert gradient[0].any() and not gradient[1:].any()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_width_is_that_of_the_look_up(kind: str, models: Callable[[str], Any]) -> None:
    assert embedding_width(models(kind)) == ARCHITECTURES[kind].width


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_hooks_go_when_the_pass_raises(kind: str, models: Callable[[str], Any]) -> None:
    model = models(kind)
    with pytest.raises(RuntimeError, match="inside"), perturbed(model, lambda e: e):
        assert hooks(model) > 0
        raise RuntimeError("inside")
    assert hooks(model) == 0


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_only_the_encoder_sees_the_change(kind: str, models: Callable[[str], Any]) -> None:
    model, batch = models(kind), padded_batch()
    seen: list[tuple[str, Tensor]] = []
    layers = {"encoder": model.get_encoder().embed_tokens, "decoder": _decoder(model).embed_tokens}
    assert {id(layer) for layer in layers.values()} <= {id(layer) for layer in word_embeddings(model)}
    with perturbed(model, lambda e: e + 1.0):
        # Registered later, so that each hook receives the changed output.
        handles = [
            layer.register_forward_hook(lambda _m, _i, out, name=name: seen.append((name, out.detach())))
            for name, layer in layers.items()
        ]
        model(**batch)
    changed = dict(seen)
    for handle in handles:
        handle.remove()
    model(**batch)
    with perturbed(model, None):
        plain = {name: layer(batch["input_ids"]) for name, layer in layers.items()}
    assert [name for name, _ in seen] == ["encoder", "decoder"]
    assert torch.allclose(changed["encoder"], plain["encoder"] + 1.0)
    shifted = layers["decoder"](_decoder_ids(model, batch["input_ids"]))
    assert torch.equal(changed["decoder"], shifted)


def _decoder(model: Any) -> Any:
    return model.transformer.decoder if hasattr(model, "transformer") else model.model.decoder


def _decoder_ids(model: Any, ids: Tensor) -> Tensor:
    first = torch.full((len(ids), 1), model.config.decoder_start_token_id)
    return torch.cat([first, ids[:, :-1]], dim=1)


def test_roberta_with_left_padding_is_where_inputs_embeds_is_wrong(models: Callable[[str], Any]) -> None:
    model, batch = models("roberta"), padded_batch("left")
    embeddings = word_embeddings(model)[0](batch["input_ids"])
    plain = model(**batch).logits
    by_embeds = model(inputs_embeds=embeddings, attention_mask=batch["attention_mask"]).logits
    with perturbed(model, lambda e: embeddings):
        by_hook = model(**batch).logits
    assert torch.equal(by_hook, plain) and (by_embeds - plain).abs().max() > 1e-3


# ---- what cannot work ----


class _Images(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels


class _NoEmbeddings(nn.Module):
    """A model that does not say where its embeddings are, as Transformers' base class does."""

    def get_input_embeddings(self) -> nn.Module:
        raise NotImplementedError


class _Patches(nn.Module):
    """A vision model's embeddings look nothing up."""

    def get_input_embeddings(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 1, 1))


@pytest.mark.parametrize("model", [_Images(), _NoEmbeddings(), _Patches()], ids=["plain", "unsaid", "patches"])
def test_a_model_without_word_embeddings_is_one_sentence(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=f"{type(model).__name__} has no word embeddings to perturb.*; use a model"):
        word_embeddings(model)
    with pytest.raises(ValueError, match="has no word embeddings"), perturbed(model, lambda e: e):
        pass


def test_a_pass_by_inputs_embeds_is_one_sentence(models: Callable[[str], Any]) -> None:
    model = models("bert")
    message = "BertForSequenceClassification's forward pass did not use.*; pass input_ids, not inputs_embeds"
    with pytest.raises(ValueError, match=message), perturbed(model, lambda e: e):
        model(inputs_embeds=torch.zeros(1, 3, 16))
    assert hooks(model) == 0


# ---- PEFT ----


@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": ["query", "value"]},
        {"target_modules": ["query"], "modules_to_save": ["word_embeddings"]},
        {"target_modules": ["query", "word_embeddings"]},
        {"target_modules": ["query", "word_embeddings"], "use_dora": True},
    ],
    ids=["lora", "modules_to_save", "lora_on_embeddings", "dora_on_embeddings"],
)
def test_peft_models_are_perturbed_by_exactly_what_was_asked(options: dict[str, Any]) -> None:
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(
        build_architecture("bert"),
        peft.LoraConfig(task_type="SEQ_CLS", r=2, init_lora_weights=False, **options),
    )
    assert embedding_width(model) == 16
    layer = model.base_model.model.bert.embeddings.word_embeddings
    outputs: list[Tensor] = []
    # Input and output of a change are those of the whole look-up including its adapter.
    asked = torch.full((3, 9, 16), 0.5)
    with perturbed(model, lambda e: asked):
        handle = layer.register_forward_hook(lambda _m, _i, out: outputs.append(out.detach()))
        model(**padded_batch())
    handle.remove()
    assert torch.equal(outputs[0], asked) and hooks(model) == 0


@pytest.mark.parametrize("kind", ["longformer", "big_bird", "bert"])
def test_padding_that_the_model_appends_itself_is_not_perturbed(kind: str) -> None:
    model = AutoModelForSequenceClassification.from_config(tiny_config(kind)).eval()
    batch = {name: tensor[:, :5] for name, tensor in full_batch().items()}
    shapes = []

    def shift(words: Tensor) -> Tensor:
        shapes.append(tuple(words.shape))
        return words + torch.arange(16.0)

    clean = model(**batch).logits
    with perturbed(model, shift):
        moved = model(**batch).logits
    assert shapes == [(3, 5, 16)] and not torch.allclose(moved, clean, atol=1e-5)
    with at_look_ups(model, batch["input_ids"], shift):
        assert torch.equal(model(**batch).logits, moved)


def test_look_ups_of_other_ids_are_left_alone(models: Callable[[str], Any]) -> None:
    model, batch = models("t5"), padded_batch()
    calls = []
    with at_look_ups(model, batch["input_ids"], lambda words: calls.append(words) or words):
        model(**batch)
        model(**{name: tensor.flip(0) for name, tensor in batch.items()})
    assert len(calls) == 1  # neither the decoder's shifted ids nor the other batch
    message = "there are no gradients by word: T5For.* predicts here without looking its input_ids up"
    with pytest.raises(ValueError, match=message), at_look_ups(model, batch["input_ids"][:1], lambda words: words):
        model(**batch)


def layers_are_checkpointed(kind: str) -> bool:
    model = build_architecture(kind)
    layers = encoder_layers(model)[0] or ()
    # A re-entrant checkpoint of T5 loses the gradient of its position bias; states are mixed in one stack of layers.
    return not model.config.is_encoder_decoder and any(isinstance(one, GradientCheckpointingLayer) for one in layers)


CHECKPOINTED = [kind for kind in ARCHITECTURES if layers_are_checkpointed(kind)]


def call_in_checkpoint(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The call of a layer in transformers before 5.23: its hooks are part of what is computed again."""
    call = partial(nn.Module.__call__, self, **kwargs)
    return self._gradient_checkpointing_func(call, *args) if self.gradient_checkpointing else call(*args)


@pytest.fixture(params=["hooks outside", "hooks inside"])
def checkpoints(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[nn.Module], None]:
    """Makes the layers of a model compute their hooks outside or inside of their checkpoints."""

    def arrange(layer: nn.Module) -> None:
        is_older = "__call__" in vars(GradientCheckpointingLayer)
        if request.param == "hooks outside" and is_older:
            pytest.skip("this transformers computes hooks inside")
        if request.param == "hooks inside" and not is_older:
            monkeypatch.setattr(type(layer), "forward", inspect.unwrap(type(layer).forward))
            monkeypatch.setattr(GradientCheckpointingLayer, "__call__", call_in_checkpoint, raising=False)

    return arrange


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("kind", CHECKPOINTED)
def test_changed_states_have_the_same_gradient_with_checkpoints(
    kind: str, use_reentrant: bool, checkpoints: Callable[[nn.Module], None]
) -> None:
    model, batch = build_architecture(kind), padded_batch()
    stack, depth = encoder_layers(model)
    assert stack is not None and len(stack) == depth
    checkpoints(stack[0])

    def gradients(layer: int) -> list[Tensor | None]:
        recorded: list[Tensor] = []
        with changed_states(model, layer, lambda states: recorded.append(states) or states):  # type: ignore[func-returns-value]
            clean = model(**batch).logits
        with changed_states(model, layer, lambda states: states.tanh() * recorded[0]):
            changed = model(**batch).logits
        model.zero_grad()
        (clean * changed).sum().backward()
        return [parameter.grad for parameter in model.parameters()]

    expected = [gradients(layer) for layer in range(1, depth + 1)]
    model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    for layer, plain in enumerate(expected, start=1):
        for value, wanted in zip(gradients(layer), plain, strict=True):
            assert (value is None) == (wanted is None)
            if value is not None:  # the order of sums differs, whose rounding is relative to their size
                torch.testing.assert_close(value, wanted, rtol=0, atol=1e-6 * max(1.0, float(wanted.abs().max())))
    assert all(layer.gradient_checkpointing for layer in stack)
