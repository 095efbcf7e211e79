"""Write and draw the weights that an adaptive method learns over its adversary's increments."""

from __future__ import annotations

import logging
from typing import Any

from transformers import IntervalStrategy, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.reports import LEAST_MOVED, clear_adversary_weights, draw_adversary_weights, largest_move
from hf_robust.runs import adversary_weight_lines, write_adversary_weights

logger = logging.getLogger(__name__)


class AdversaryWeightsCallback(TrainerCallback):
    """Keeps ``adversary_weights.jsonl`` and its pictures in the output folder, from what the method logs.

    At the end of each epoch, at each evaluation and at the end of training, on the main process, where something was
    logged since. The Trainer restores its log with a checkpoint, so a resumed run has the earlier lines too. Where
    the run logs nothing, a warning says so before the first step, and nothing is written. A picture that cannot be
    drawn is a warning, and so are, at the end, weights that were to be learnt and hardly moved the perturbation.
    """

    def __init__(self) -> None:
        self._written = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._written = 0
        if not state.is_world_process_zero:
            return
        if not adversary_weight_lines(state.log_history):
            # Else an earlier run's weights would lie beside this run's results.
            clear_adversary_weights(str(args.output_dir))
        by_steps = args.logging_strategy == IntervalStrategy.STEPS
        if args.logging_strategy == IntervalStrategy.NO:
            logger.warning(
                "The adversary's weights are not logged under --logging_strategy no; pass steps or epoch to have "
                "their curve."
            )
        elif by_steps and state.logging_steps > state.max_steps and not args.logging_first_step:
            logger.warning(
                "The adversary's weights are logged every %s steps and the run has %s; lower --logging_steps to have "
                "their curve.",
                state.logging_steps,
                state.max_steps,
            )

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._update(args, state)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._update(args, state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._update(args, state)
        if state.is_world_process_zero:
            _say_little_moved(args, largest_move(adversary_weight_lines(state.log_history)))

    def _update(self, args: TrainingArguments, state: TrainerState) -> None:
        if not state.is_world_process_zero:
            return
        lines = adversary_weight_lines(state.log_history)
        if len(lines) == self._written:
            return
        write_adversary_weights(str(args.output_dir), lines)
        self._written = len(lines)
        try:
            draw_adversary_weights(str(args.output_dir))
        except (ValueError, OSError) as error:
            logger.warning("The adversary's weights were not drawn: %s", error)


def _say_little_moved(args: TrainingArguments, moved: float) -> None:
    """Warn where a run differs from its frozen control in name only."""
    rate = getattr(args, "w_lr", 0.0)
    if rate and moved < LEAST_MOVED:
        logger.warning(
            "The learnt weights moved the perturbation by %.2g %% of its norm at most (--w_lr %g), so that what this "
            "run shows is what frozen weights (--w_lr 0) show: raise --w_lr; where increment_alignment is near 1, no "
            "weights can move it much.",
            100 * moved,
            rate,
        )
