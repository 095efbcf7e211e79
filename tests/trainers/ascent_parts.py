"""Shared parts of the tests of embedding-space methods: losses, gradients and points, and naive versions of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tiny import build_trainer
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

Batch = dict[str, Tensor]
Gradients = dict[str, Tensor]

STREAMED = ("freelb", "freelb_pp", "tavat")
CLIMBING = ("pgd", "adaptive_pgd", "adaptive_freelb", "adaptive_tavat")
METHODS_HERE = ("fgm", "fgsm", *STREAMED, *CLIMBING)


def prepared(name: str, folder: Path, **options: Any) -> tuple[Any, Batch]:
    """An untrained trainer in training mode, and its first batch."""
    trainer = build_trainer(name, folder, **options)
    trainer.model.train()
    return trainer, dict(trainer._prepare_inputs(next(iter(trainer.get_train_dataloader()))))


def gradients_of(trainer: Any, batch: Batch) -> tuple[float, Gradients]:
    """The loss of a batch, and the gradients that a step on it would leave."""
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    found = {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}
    trainer.model.zero_grad()
    return loss.item(), found


def naive_gradients(trainer: Any, loss: Tensor) -> tuple[float, Gradients]:
    parameters = {name: p for name, p in trainer.model.named_parameters() if "robust_aux" not in name}
    return loss.item(), dict(
        zip(parameters, torch.autograd.grad(loss, list(parameters.values()), retain_graph=True), strict=True)
    )


def assert_close(first: tuple[float, Gradients], second: tuple[float, Gradients], tolerance: float = 1e-6) -> None:
    assert abs(first[0] - second[0]) < tolerance, (first[0], second[0])
    own = {name: value for name, value in first[1].items() if "robust_aux" not in name}
    assert own.keys() == {name for name in second[1] if "robust_aux" not in name}
    for name, value in own.items():
        assert torch.allclose(value, second[1][name], rtol=1e-4, atol=tolerance), name


def rows_of(batch: Batch, *rows: int) -> Batch:
    return {key: value[list(rows)] for key, value in batch.items()}


def with_more_padding(batch: Batch, count: int = 5) -> Batch:
    return {key: value if value.dim() == 1 else pad(value, (0, count)) for key, value in batch.items()}


def points_of(trainer: Any, batch: Batch) -> list[Tensor]:
    """The offsets (B, L, E) added to the embeddings in each training pass of a step."""
    points: list[Tensor] = []
    original = trainer.task_loss

    def recording(model: Any, inputs: Batch, at: Any = None, **forward: Any) -> Any:
        zeros = torch.zeros(*inputs["input_ids"].shape, trainer.embedding_space._width)
        points.append(zeros if at is None else at(zeros).detach())
        return original(model, inputs, at=at, **forward)

    trainer.task_loss = recording
    try:
        gradients_of(trainer, batch)
    finally:
        del trainer.task_loss
    return points


# ---- by hand, without hooks: BERT takes embeddings exactly ----


def sample_losses_at(trainer: Any, batch: Batch, delta: Tensor) -> Tensor:
    embeddings = trainer.model.get_input_embeddings()(batch["input_ids"]) + delta
    logits = trainer.model(inputs_embeds=embeddings, attention_mask=batch["attention_mask"]).logits
    return cross_entropy(logits, batch["labels"], reduction="none")


def loss_at(trainer: Any, batch: Batch, delta: Tensor) -> Tensor:
    return sample_losses_at(trainer, batch, delta).mean()


def gradient_at(trainer: Any, batch: Batch, delta: Tensor) -> Tensor:
    """(B, L, E) gradients, each row from a separate pass."""
    found = []
    for row in range(len(delta)):
        leaf = delta[row : row + 1].clone().requires_grad_()
        found.append(torch.autograd.grad(sample_losses_at(trainer, rows_of(batch, row), leaf).sum(), leaf)[0])
    return torch.cat(found) * batch["attention_mask"].unsqueeze(-1)


def l2_points(
    trainer: Any, batch: Batch, start: Tensor, steps: int, alpha: float, radius: float = 0.0
) -> list[Tensor]:
    """The points 0..steps of a projected ascent, row by row."""
    points = [start]
    for _ in range(steps):
        moved = []
        for value, gradient in zip(points[-1], gradient_at(trainer, batch, points[-1]), strict=True):
            value = value + alpha * gradient / gradient.norm()
            moved.append(value * radius / value.norm() if radius and value.norm() > radius else value)
        points.append(torch.stack(moved))
    return points


def start_of(trainer: Any, batch: Batch) -> Tensor:
    """The initial noise of a step; other tests cover its distribution."""
    return trainer.embedding_space.start(batch).value


def zeros_of(trainer: Any, batch: Batch) -> Tensor:
    return torch.zeros_like(start_of(trainer, batch))


def forwards_of(trainer: Any, batch: Batch) -> int:
    calls: list[int] = []
    handle = trainer.model.register_forward_pre_hook(lambda *_: calls.append(1))
    gradients_of(trainer, batch)
    handle.remove()
    return len(calls)


def weights_after(name: str, folder: Path, **options: Any) -> Gradients:
    """The weights of a short run."""
    trainer = build_trainer(name, folder, **options)
    trainer.train()
    return {key: value.detach().clone() for key, value in trainer.model.state_dict().items()}


def assert_same(first: Gradients, second: Gradients, tolerance: float = 1e-6) -> None:
    own = {key for key in first if "robust_aux" not in key}
    assert own == {key for key in second if "robust_aux" not in key}
    for key in own:
        assert torch.allclose(first[key], second[key], rtol=0.0, atol=tolerance), key


def mean(losses: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()
