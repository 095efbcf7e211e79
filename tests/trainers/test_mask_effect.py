"""The measured effect of a word mask on the predictions, for many architectures."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, build_architecture, padded_batch
from tiny import build_model, build_trainer
from torch import nn

from hf_robust.adversary import word_embeddings
from hf_robust.modules.mask_export import MIN_EFFECT, mask_effect
from hf_robust.modules.word_masking import embedding_block

SPECIAL = (0, 2, 3)
CANCELLED = {"modernbert", "funnel"}


def effect(model: Any, batch: dict[str, torch.Tensor], block: bool = False) -> float | None:
    return mask_effect(model, [embedding_block(model)] if block else word_embeddings(model), batch, SPECIAL)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_measure_tells_models_that_cancel_a_mask(kind: str) -> None:
    model, batch = build_architecture(kind), padded_batch(ARCHITECTURES[kind].sides[0])
    found = effect(model, batch)
    assert (
        found is not None
        and (found < MIN_EFFECT / 10) is (kind in CANCELLED)
        and (found >= MIN_EFFECT) is not (kind in CANCELLED)
    )
    assert model.training  # as it was


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "modernbert", "funnel"])
def test_behind_the_embedding_block_no_mask_is_cancelled(kind: str) -> None:
    found = effect(build_architecture(kind), padded_batch("right"), block=True)
    assert found is not None and found >= MIN_EFFECT


def test_deberta_cancels_without_positions_in_its_input_only() -> None:
    batch = padded_batch("right")
    for biased in (True, False):
        found = effect(build_model("deberta-v2", position_biased_input=biased), batch)
        assert found is not None and (found >= MIN_EFFECT) is biased


class Scaled(nn.Module):
    """Logits that are the sum of the words' embeddings to a power, elementwise."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.words, self.power = nn.Embedding(64, 3), power
        nn.init.uniform_(self.words.weight, 0.5, 1.0)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": (self.words(input_ids) ** self.power).sum(1)}


@pytest.mark.parametrize(("power", "expected"), [(1.0, 0.5), (2.0, 0.75), (0.5, 1 - 0.5**0.5)])
def test_the_share_in_closed_form(power: float, expected: float) -> None:
    model = Scaled(power)
    assert mask_effect(model, [model.words], padded_batch("right"), SPECIAL) == pytest.approx(expected, rel=1e-5)


def test_a_model_that_looks_at_no_word_says_nothing() -> None:
    model = Scaled(1.0)
    with torch.no_grad():
        model.words.weight.zero_()
    assert mask_effect(model, [model.words], padded_batch("right"), SPECIAL) is None


def test_measuring_draws_nothing_and_leaves_the_weights(tmp_path: Path) -> None:
    model = build_architecture("bert")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    effect(model, padded_batch("right"))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# ---- flat ----


def test_flat_refuses_a_mask_that_the_next_layer_cancels_and_names_the_block(tmp_path: Path) -> None:
    model = build_model("deberta-v2", position_biased_input=False)
    message = r"--mask_input word has no effect on this Deb.*0\.\d\d% of the.*use --mask_input block \(there: \d+%\)"
    with pytest.raises(ValueError, match=message) as caught:
        build_trainer("flat", tmp_path, model=model)
    assert "\n" not in str(caught.value)
    build_trainer("flat", tmp_path, model=model, mask_input="block").train()


def test_flat_names_another_method_where_the_block_is_no_way_out(tmp_path: Path) -> None:
    model = build_model("deberta-v2", position_biased_input=False)
    # With a normalisation directly after the block.
    model.deberta.encoder.register_forward_pre_hook(lambda module, args: (normalised(args[0]), *args[1:]))
    with pytest.raises(ValueError, match="use another method, such as --robust_method adv_iter"):
        build_trainer("flat", tmp_path, model=model)


def normalised(states: torch.Tensor) -> torch.Tensor:
    return nn.functional.layer_norm(states, states.shape[-1:])


def test_a_model_whose_mask_is_not_cancelled_is_not_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hf_robust"):
        build_trainer("flat", tmp_path, model=build_model("deberta-v2"), n_rounds=0)
        build_trainer("flat", tmp_path, n_rounds=0)
    assert not caplog.records
