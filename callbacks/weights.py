"""Write and draw the weights that an adaptive method learns for its adversary's increments."""

from __future__ import annotations

import logging
from typing import Any

from transformers import IntervalStrategy, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.reports import LEAST_MOVED, clear_adversary_weights, draw_adversary_weights, largest_move
from hf_robust.runs import adversary_weight_lines, write_adversary_weights

logger = logging.getLogger(__name__)


class AdversaryWeightsCallback(TrainerCallback):
    """Write ``adversary_weights.jsonl`` and its pictures into the output folder, from the method's log.

    The main process does so at the end of each epoch, at each evaluation and at the end of training, if the log has
    new lines. The Trainer restores its log with a checkpoint, so that a resumed run has the earlier lines too. A
    warning before the first step says if the run logs nothing; then nothing is written. A picture that cannot be drawn
    is a warning. Another warning at the end says if learnt weights hardly moved the perturbation.
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
            # Otherwise the weights of an earlier run would lie beside the results of this run.
            clear_adversary_weights(str(args.output_dir))
        by_steps = args.logging_strategy == IntervalStrategy.STEPS
        if args.logging_strategy == IntervalStrategy.NO:
            logger.warning(
                "The adversary's weights are not logged under --logging_strategy no; pass steps or epoch for their "
                "curve."
            )
        elif by_steps and state.logging_steps > state.max_steps and not args.logging_first_step:
            logger.warning(
                "The adversary's weights are logged every %s steps and the run has %s; lower --logging_steps for "
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
    """Warn if the run does not differ from its control with frozen weights."""
    rate = getattr(args, "w_lr", 0.0)
    if rate and moved < LEAST_MOVED:
        logger.warning(
            "The learnt weights moved the perturbation by at most %.2g %% of its norm (--w_lr %g): this run shows the "
            "same as frozen weights (--w_lr 0). Raise --w_lr; if increment_alignment is near 1, no weights can move "
            "the perturbation much.",
            100 * moved,
            rate,
        )
