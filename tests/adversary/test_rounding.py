"""What 16-bit rounding leaves of a perturbation, at the sizes of the published settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hf_robust.adversary import CLEAR_COSINE, Delta, Shift, rounding_cosine
from hf_robust.trainers import METHODS
from hf_robust.training.adversary_arguments import EmbeddingSpaceArguments

EXAMPLES = Path(__file__).parents[2] / "examples"
IN_EMBEDDING_SPACE = {name for name in METHODS if issubclass(METHODS[name].config, EmbeddingSpaceArguments)}
PRESETS = [(name, preset) for name in sorted(IN_EMBEDDING_SPACE) for preset in METHODS[name].presets]
# Batches of embeddings whose entries spread as BERT's: 8 texts of 32 tokens.
MASK = torch.ones(8, 32, 1)


def embeddings(width: int = 768, spread: float = 0.05, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.randn(8, 32, width, generator=torch.Generator().manual_seed(0)) * spread).to(dtype)


def step_of(name: str, preset: str, folder: Path, **changes: Any) -> Delta:
    """The point after one step of a preset's adversary from the clean text."""
    values = json.loads((EXAMPLES / preset).read_text(encoding="utf-8"))
    config = METHODS[name].config
    settings = {key: value for key, value in values.items() if key.startswith(("adv_", "follow"))}
    args = config(output_dir=str(folder), robust_method=name, **settings, **changes)
    trainer: Any = object.__new__(METHODS[name])
    trainer.args = args
    described = trainer.adversary() if name in ("fgm", "fgsm", "smart", "trades") else args.adversary(passes="climb")
    zeros = torch.zeros(8, 32, 768)
    start = Delta(zeros, MASK, described.rule, described.relative)
    return start.moved((torch.randn(8, 32, 768, generator=torch.Generator().manual_seed(1)),))


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_only_smarts_printed_radius_is_below_what_bfloat16_resolves(name: str, preset: str, tmp_path: Path) -> None:
    cosine = rounding_cosine(step_of(name, preset, tmp_path), embeddings(dtype=torch.bfloat16))
    assert cosine is not None
    assert (cosine < 0.4) if preset == "smart.json" else (cosine > CLEAR_COSINE), float(cosine)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_relative_sizes_meet_larger_embeddings(name: str, preset: str, tmp_path: Path) -> None:
    large = embeddings(spread=5.0, dtype=torch.bfloat16)
    absolute = rounding_cosine(step_of(name, preset, tmp_path), large)
    relative = rounding_cosine(step_of(name, preset, tmp_path, adv_relative=True), large)
    assert absolute is not None and relative is not None
    if preset not in ("smart.json", "smart_code.json"):
        assert relative > CLEAR_COSINE
    assert relative > absolute - 1e-3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_rounds_what_the_first_product_reads(dtype: torch.dtype) -> None:
    plain, offset = embeddings(), torch.randn(8, 32, 768) * 1e-5
    layer = torch.nn.Linear(768, 768, bias=False)
    torch.nn.init.eye_(layer.weight)
    assert rounding_cosine(Shift(offset, MASK), plain) is None
    with torch.autocast("cpu", dtype):
        cosine = rounding_cosine(Shift(offset, MASK), plain)
        reached = (layer(plain + offset).float() - layer(plain).float()).detach()
    expected = torch.nn.functional.cosine_similarity(offset.flatten(), reached.flatten(), dim=0)
    assert cosine is not None and cosine.item() == pytest.approx(expected.item(), abs=1e-3)
    assert expected < CLEAR_COSINE


def test_the_cosine_is_that_of_what_the_model_gets() -> None:
    plain = embeddings(dtype=torch.bfloat16)
    offset = torch.randn(8, 32, 768) * 2e-4
    point = Shift(offset, MASK)
    reached = (point(plain) - plain).float()
    expected = torch.nn.functional.cosine_similarity(offset.flatten(), reached.flatten(), dim=0)
    assert rounding_cosine(point, plain) == pytest.approx(expected.item(), abs=1e-6)


def test_no_perturbation_loses_nothing() -> None:
    cosine = rounding_cosine(Shift(torch.zeros(8, 32, 768), MASK), embeddings(dtype=torch.bfloat16))
    assert cosine is not None and cosine.item() == 1
