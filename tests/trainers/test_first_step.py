"""The step that is tried before texts are attacked: it changes nothing, and refuses what would fail later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_trainer, weights

from hf_robust.trainers import METHODS
from hf_robust.training import generation
from hf_robust.training.first_step import check_first_step
from hf_robust.training.view_arguments import GenerationArguments

GENERATING = [name for name, method in METHODS.items() if issubclass(method.config, GenerationArguments)]


@pytest.mark.parametrize("name", GENERATING)
def test_it_changes_nothing(name: str, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, model=build_model(dropout=0.3))
    trainer.model.eval()
    before, state = weights(trainer), torch.get_rng_state()
    steps: list[bool] = []
    compute_loss = trainer.compute_loss

    def watched(*args: Any, **kwargs: Any) -> Any:
        steps.append(trainer.model.training)
        return compute_loss(*args, **kwargs)

    trainer.compute_loss = watched
    sources = trainer.generation.sources.values()
    check_first_step(trainer, sources)
    assert steps == [True]
    assert all(torch.equal(value, before[key]) for key, value in weights(trainer).items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert torch.equal(state, torch.get_rng_state()) and not trainer.model.training
    assert trainer.means.take() == {} and not any(source.share or source.pool for source in sources)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(RuntimeError("sizes 16 and 15."), "RuntimeError: sizes 16 and 15"), (ValueError("no layers."), "no layers")],
)
def test_a_failing_step_is_one_sentence_before_a_victim_is_trained(
    error: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build_trainer("ada", tmp_path)
    monkeypatch.setattr(generation, "train_plain_victim", lambda *_: pytest.fail("a victim was trained"))

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise error

    trainer.compute_loss = fails
    message = rf"^ada cannot train this BertForSequenceClassification \({reason}\); use another model or method\.$"
    with pytest.raises(ValueError, match=message):
        trainer.train()


def test_the_step_meets_the_views(tmp_path: Path) -> None:
    """An error that only rows with a view can cause."""
    trainer = build_trainer("taichi", tmp_path)

    def fails(*args: Any) -> Any:
        raise RuntimeError("a view was paired")

    trainer._paired = fails
    with pytest.raises(ValueError, match="taichi cannot train .*a view was paired"):
        trainer.train()
