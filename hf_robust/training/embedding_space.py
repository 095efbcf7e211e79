"""Runs the adversary of a method in its trainer: start, separate ascent passes, streamed training passes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from hf_robust.adversary import (
    Adversary,
    Delta,
    DropoutReplay,
    Noise,
    Step,
    Variable,
    ascend,
    climb,
    embedding_width,
    evaluating,
    perturbed,
)

if TYPE_CHECKING:
    from hf_robust.training.base import Batch, RobustTrainer

Objective = Callable[[Tensor], Tensor]
"""Maps (B, K) logits at a perturbed point to the (B,) losses that the adversary maximises."""

FP16_SCALE = 2.0**10


class PassLoss(NamedTuple):
    """Result of one streamed pass: the mean loss with its graph, and the model's outputs.

    ``gradients`` are those that the ascent follows; None if it follows the loss itself.
    """

    loss: Tensor
    outputs: Any
    gradients: tuple[Tensor, ...] | None = None


class EmbeddingSpace:
    """The adversary on the word embeddings of a trainer's model.

    Raises:
        ValueError: the adversary does not work with the model, the gradient checkpointing or the parallelism.
    """

    def __init__(self, trainer: RobustTrainer, adversary: Adversary) -> None:
        self._trainer, self.adversary = trainer, adversary
        self._width = embedding_width(trainer.model)
        check_adversary_setup(trainer, adversary)
        if adversary.relative and (trainer.row_wise or not trainer.batch_relative):
            # The unit is a mean over the micro-batch, which each rank and each accumulation step computes for itself.
            trainer.batch_relative, trainer.row_wise = True, {**trainer.row_wise, "adv_relative": False}

    # ---- start ----

    def mask(self, batch: Batch) -> Tensor:
        """(B, L) 1 for tokens that the adversary may perturb: real tokens, by setting without special tokens."""
        ids = batch["input_ids"]
        mask: Tensor = batch.get("attention_mask", torch.ones_like(ids))
        if self.adversary.special_tokens:
            return mask
        tokenizer: Any = self._trainer.processing_class
        special = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}
        numbers = torch.tensor([number for number in special if number is not None], device=ids.device)
        return mask * ~torch.isin(ids, numbers)

    def noise(self, draw: int = 0) -> Noise:
        """The noise of this training step."""
        return Noise(self._trainer.args.seed, self._trainer.state.global_step, draw)

    def start(self, batch: Batch) -> Delta:
        """The first perturbation of a batch."""
        return self.adversary.start(batch["input_ids"], self.mask(batch), self._width, self.noise())

    def replay(self, batch: Batch) -> DropoutReplay:
        """New dropout masks for the passes over this batch; the passes share them if the adversary says so."""
        return DropoutReplay(batch["input_ids"].device, self.adversary.same_dropout)

    # ---- separate ascent passes ----

    def climb(
        self,
        batch: Batch,
        objective: Objective,
        start: Variable | None = None,
        steps: int | None = None,
        create_graph: bool = False,
        replay: DropoutReplay | None = None,
    ) -> Iterator[Step]:
        """The steps of an ascent on ``objective``, on the unwrapped model: ranks do not synchronise here.

        Args:
            batch: the batch; its labels are not passed to the model.
            objective: the losses to maximise.
            start: the first point; by default :meth:`start`.
            steps: number of steps; by default the adversary's.
            create_graph: keep the gradients differentiable.
            replay: passes with the same ``replay`` share their dropout masks if the adversary's passes do; by default
                these steps have a new one.

        Raises:
            ValueError: a loss is not finite, or gradient checkpointing is re-entrant.
        """
        trainer, adversary = self._trainer, self.adversary
        check_reentrant(trainer)
        model: Any = trainer.model
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        replay = self.replay(batch) if replay is None else replay

        def losses_at(point: Variable) -> Tensor:
            with (
                evaluating(model) if adversary.eval_mode else nullcontext(),
                replay.again(),
                perturbed(model, point),
            ):
                return objective(model(**inputs)["logits"].float())

        losses: list[Tensor] = []
        first = self.start(batch) if start is None else start
        scale = FP16_SCALE if trainer.args.fp16 else 1.0
        for step in climb(first, adversary.steps if steps is None else steps, losses_at, scale, create_graph):
            losses.append(step.losses.detach().sum())
            yield step
        self._check_finite(losses)

    def worst(
        self,
        batch: Batch,
        objective: Objective,
        start: Variable | None = None,
        steps: int | None = None,
        replay: DropoutReplay | None = None,
    ) -> Variable:
        """The last point of the ascent of :meth:`climb`."""
        (last,) = deque(self.climb(batch, objective, start, steps, replay=replay), maxlen=1)
        return last.after

    # ---- training passes that are ascent steps too ----

    def streamed(
        self,
        model: nn.Module,
        batch: Batch,
        weights: Sequence[float],
        loss_at: Callable[[Variable], PassLoss] | None = None,
        start: Variable | None = None,
        replay: DropoutReplay | None = None,
        clean_first: bool = False,
    ) -> tuple[Tensor, Any]:
        """``sum_t weights[t] * L(delta_t)`` with one pass for each weight, and the outputs of the first pass.

        All passes except the last are backpropagated here, so that one graph at a time is in memory; the returned loss
        has the graph of the last pass and the value of the whole sum. With ``passes="sum"`` all graphs are kept.

        Args:
            model: the model that ``compute_loss`` got.
            batch: the batch.
            weights: weight of the loss of each pass, 1/k for a mean.
            loss_at: a training pass at a point; by default the task loss.
            start: the first point; by default :meth:`start`.
            replay: as in :meth:`climb`.
            clean_first: whether the first point is the clean text; then its pass has no loss increase to measure.
        """
        steps = len(weights)
        replay = self.replay(batch) if replay is None else replay
        points = ascend(self.start(batch) if start is None else start, steps - 1)
        point: Variable = next(points)
        total: Any = 0.0
        outputs: Any = None
        for number, weight in enumerate(weights, start=1):
            # Ranks synchronise their gradients once, in the last backward pass, which the Trainer runs.
            with nullcontext() if number == steps else self._trainer.accelerator.no_sync(model):
                with replay.again(), self._trainer.loss_increase.paused(clean_first and number == 1):
                    if loss_at is None:
                        result = PassLoss(*self._trainer.task_loss(model, batch, at=point))
                    else:
                        result = loss_at(point)
                outputs = result.outputs if outputs is None else outputs
                gradients = (
                    None
                    if number == steps
                    else self._gradients(result, point, weight, self._trainer.mean_divisor(batch))
                )
            keep = number == steps or self.adversary.passes == "sum"
            total = total + weight * (result.loss if keep else result.loss.detach())
            if gradients is not None:
                point = points.send(gradients)
        if steps > 1:
            self._check_finite([total.detach()])
        return total, outputs

    def _gradients(
        self, result: PassLoss, point: Variable, weight: float, divisor: float | Tensor
    ) -> tuple[Tensor, ...]:
        """Gradients of the summed per-sample losses; also backpropagates a streamed pass.

        ``divisor`` is the number by which the mean loss divides the sum.
        """
        if self.adversary.passes == "sum":
            scale = FP16_SCALE if self._trainer.args.fp16 else 1.0
            if result.gradients is not None:
                return result.gradients
            scaled = torch.autograd.grad(result.loss * scale, point.leaves, retain_graph=True)
            return tuple(gradient.float() * (divisor / scale) for gradient in scaled)
        trainer = self._trainer
        share = weight / getattr(trainer, "current_gradient_accumulation_steps", 1)
        trainer.accelerator.backward(result.loss * share)
        if result.gradients is not None:
            return result.gradients
        scaler = trainer.accelerator.scaler
        factor = share * (1.0 if scaler is None else scaler.get_scale())
        scaled = tuple(leaf.grad for leaf in point.leaves if leaf.grad is not None)
        return tuple(gradient.float() * (divisor / factor) for gradient in scaled)

    def _check_finite(self, losses: list[Tensor]) -> None:
        if losses and not bool(torch.stack(losses).isfinite().all()):
            raise ValueError(
                f"{self._trainer.name}: the loss became {[float(loss) for loss in losses]} inside the ascent, and "
                "every step needs a finite one; lower --learning_rate or the adversary's step (--adv_lr), or "
                "train with --bf16 in place of --fp16."
            )


def check_adversary_setup(trainer: Any, adversary: Adversary) -> None:
    """Refuse settings that the adversary's passes do not work with."""
    args = trainer.args
    if adversary.passes != "stream":
        check_reentrant(trainer)
    if args.n_gpu > 1:
        raise ValueError(
            f"{trainer.name} perturbs a whole batch, and DataParallel over {args.n_gpu} GPUs would split it unseen; "
            "start the script with torchrun, or show it one GPU (CUDA_VISIBLE_DEVICES=0)."
        )
    if args.torch_compile:
        raise ValueError(
            f"{trainer.name} perturbs embeddings by a hook that changes from pass to pass, which a compiled model "
            "ignores; leave --torch_compile out."
        )
    if trainer.is_deepspeed_enabled and adversary.passes == "stream":
        raise ValueError(
            f"{trainer.name} backpropagates several times in a step, and DeepSpeed allows one backward pass; "
            "use DDP, or --multi_backward sum if the method has it."
        )
    if not adversary.special_tokens and trainer.processing_class is None:
        raise ValueError(
            f"{trainer.name} got --adv_special_tokens False, but no tokenizer to find the special tokens; "
            "pass processing_class=tokenizer to the trainer."
        )


def check_reentrant(trainer: Any) -> None:
    """Refuse re-entrant gradient checkpointing, which cannot differentiate by the perturbation alone."""
    args = trainer.args
    if args.gradient_checkpointing and (args.gradient_checkpointing_kwargs or {}).get("use_reentrant", False):
        raise ValueError(
            f"{trainer.name} differentiates by the perturbation alone, which re-entrant gradient checkpointing "
            "cannot; pass --gradient_checkpointing_kwargs '{\"use_reentrant\": false}'."
        )
