"""SAFER and RanMASK: the label is trained on one view of the text and not on the text itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_trainer


@pytest.mark.parametrize(
    ("method", "view", "settings"), [("safer", "substituted", {}), ("ranmask", "masked", {"ranmask_rate": 0.5})]
)
def test_loss_is_cross_entropy_on_the_view_alone(
    method: str, view: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    trainer = build_trainer(method, tmp_path, **settings)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    logits = trainer.model(batch[f"{view}_input_ids"], batch[f"{view}_attention_mask"]).logits
    expected = torch.nn.functional.cross_entropy(logits, batch["labels"])
    assert trainer.compute_loss(trainer.model, dict(batch)).item() == pytest.approx(expected.item(), abs=1e-6)
    shuffled = {**batch, "input_ids": batch["input_ids"].flip(0)}
    assert trainer.compute_loss(trainer.model, shuffled).item() == pytest.approx(expected.item(), abs=1e-6)
