"""Base class of what measures a model inside its Trainer's own evaluations, without disturbing training."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from tqdm import tqdm
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput, IntervalStrategy

from hf_robust.adversary import preserved_random_state
from hf_robust.attacks import ATTACKS, Victim
from hf_robust.attacks.arguments import STANDARD
from hf_robust.callbacks.best_metric import ExpectedMetrics, check_best_metric
from hf_robust.callbacks.predictions import accuracy_of, class_counts, guessing_of_evaluation
from hf_robust.metrics.keys import lower_is_better
from hf_robust.runs import HISTORY_FILE, clear_results, read_history, write_history_line

logger = logging.getLogger(__name__)

# The Hub upload leaves out names that start with an underscore.
STRATEGIES = ("no", "epoch", "end")

Attached = TypeVar("Attached", bound="Measurement")


class Part(NamedTuple):
    """Result of one measurement of one state of the weights, on the main process.

    Attributes:
        key: key of the history line under which the measurement stands; if the line has it, it is measured already.
        line: what is added to the history line.
        summary: what is added to the line that is printed for the epoch.
        write: writes the results of each example; its argument is the epoch as in file names (``epoch-2``).
        predictions: label and prediction of each clean text, for an evaluation that keeps no predictions.
    """

    key: str
    line: dict[str, Any]
    summary: str
    write: Callable[[str], None]
    predictions: Sequence[tuple[int, int]] = ()


class Measurement(TrainerCallback, ABC):
    """A measurement on held-out examples after each epoch, for any ``Trainer``, ours or the stock one.

    Its numbers are added to the metrics of the evaluation itself, so that they are in ``log_history`` and every
    tracker, and best-model selection and early stopping can use them in any order of callbacks. Several measurements
    of one Trainer share its evaluations and write one history line together. Only evaluations of the Trainer's own
    ``eval_dataset`` are measured, never another data set that ``evaluate`` is called with. After training the weights
    that are kept (the best or the last) are measured, unless they were measured at their step. Training goes on with
    the random state and the train mode that it had before.

    A subclass measures in ``_measure``, checks before training in ``_check``, and says in ``_has_work`` whether there
    is anything to measure.

    Args:
        strategy: ``epoch`` measures at the end of each epoch (and evaluates there, whatever ``eval_strategy`` is),
            ``end`` at the end of the last epoch, ``no`` never. Evaluations outside training are measured unless it is
            ``no``.
        max_length: number of tokens to which the victim truncates; None for the tokenizer's own.
        token_budget: number of padded tokens in one batch of queries; None for a number that suits the device.
    """

    singular: ClassVar[str]
    """What errors call one measurement: "An attack"."""
    plural: ClassVar[str]
    """What errors call several measurements: "the attacks"."""
    flag: ClassVar[str]
    """Flag of the strategy."""

    def __init__(self, strategy: str, max_length: int | None, token_budget: int | None) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"{self.flag} must be one of {', '.join(STRATEGIES)}, got {strategy!r}.")
        self.strategy, self.max_length, self.token_budget = strategy, max_length, token_budget
        self.trainer: Trainer | None = None
        self._evaluations: _Evaluations | None = None
        self._at_epoch_end = False
        self._cached_victim: Victim | None = None

    def attach(self: Attached, trainer: Trainer) -> Attached:
        """Add this measurement to the evaluations of ``trainer``, and return the callback."""
        if trainer.eval_dataset is None or isinstance(trainer.eval_dataset, dict):
            data = "none" if trainer.eval_dataset is None else "a dict of several"
            raise ValueError(
                f"{self.singular} needs a Trainer with one eval_dataset, got {data}; pass --do_eval and its data."
            )
        if trainer.processing_class is None:
            raise ValueError(
                f"{self.singular} needs the Trainer's tokenizer, got none; pass processing_class=tokenizer."
            )
        self.trainer = trainer
        trainer.add_callback(self)
        self._evaluations = _Evaluations.of(trainer)
        self._evaluations.measurements.append(self)
        return self

    # ---- overridden by subclasses ----

    @abstractmethod
    def _has_work(self) -> bool:
        """Whether there is anything to measure under some strategy."""

    @abstractmethod
    def extended(self, expected: ExpectedMetrics) -> ExpectedMetrics:
        """The expected metrics together with those of this measurement."""

    @abstractmethod
    def _check(self) -> None:
        """Raise before training the errors that would end the first measurement, when its epoch is not saved yet."""

    @abstractmethod
    def _measure(self, output: EvalLoopOutput) -> Part | None:
        """Measure the current model and add to ``output.metrics``; only the main process needs to return a part."""

    def _new_victim(self, *args: Any, **options: Any) -> Victim:
        return Victim(*args, **options)

    # ---- events ----

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        trainer = self._attached_trainer()
        if self._is_active():
            self._check_choice(args)
            check_best_metric(args.metric_for_best_model, expected_of(trainer))
            if args.greater_is_better and lower_is_better(str(args.metric_for_best_model)):
                logger.warning(
                    "A lower --metric_for_best_model %s is better, but greater_is_better is True: the worst weights "
                    "will be kept.",
                    args.metric_for_best_model,
                )
            self._check()
        if state.is_world_process_zero:
            clear_results(str(args.output_dir), state.global_step)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        assert self._evaluations is not None
        last = state.global_step >= state.max_steps
        self._at_epoch_end = self._is_active() and (self.strategy == "epoch" or last)
        if self._at_epoch_end and not control.should_evaluate:
            control.should_evaluate = self._evaluations.forced = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        assert self._evaluations is not None
        self._at_epoch_end = self._evaluations.forced = False

    # ---- when and with what ----

    def is_due(self) -> bool:
        """Whether the current evaluation of the main data set is to be measured."""
        assert self.trainer is not None
        return self._is_active() and (self._at_epoch_end or not self.trainer.is_in_train)

    def _is_active(self) -> bool:
        return self._has_work() and self.strategy != "no"

    def _check_choice(self, args: TrainingArguments) -> None:
        if args.metric_for_best_model is not None and args.eval_strategy == "steps":
            raise ValueError(
                f"--eval_strategy steps with --metric_for_best_model {args.metric_for_best_model} would also use the "
                f"evaluations that {self.plural} add at the end of an epoch, where there may be no checkpoint: pass "
                f"--eval_strategy epoch, or {self.flag} no."
            )

    def _attached_trainer(self) -> Trainer:
        if self.trainer is None:
            name = type(self).__name__
            raise ValueError(f"{name} needs its Trainer; call {name}(...).attach(trainer) first.")
        return self.trainer

    def _victim(self) -> Victim:
        trainer = self._attached_trainer()
        if self._cached_victim is None or self._cached_victim.model is not trainer.model:
            # Reused in each epoch, since it remembers which batches did not fit into memory.
            self._cached_victim = self._new_victim(
                trainer.model,
                trainer.processing_class,
                max_length=self.max_length,
                token_budget=self.token_budget,
                autocast=trainer.accelerator.autocast,
                inference=getattr(trainer, "inference", None),
            )
        return self._cached_victim


class _Evaluations:
    """The evaluations of one Trainer with all measurements that are attached to it.

    Attributes:
        measurements: in the order in which they were attached.
        forced: whether only a measurement needs the next evaluation, and not the Trainer.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.measurements: list[Measurement] = []
        self.forced = False
        self._main_set = True
        # Metrics added in on_evaluate never reach log_history or trackers; metrics in the loop's output do.
        evaluation_loop, get_eval_dataloader = trainer.evaluation_loop, trainer.get_eval_dataloader
        create_model_card = trainer.create_model_card

        def measured_loop(
            dataloader: Any, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
        ) -> EvalLoopOutput:
            # The evaluation loop draws random numbers; an evaluation that only we need must not change training.
            with preserved_random_state() if self.forced else nullcontext():
                output = evaluation_loop(dataloader, *args, metric_key_prefix=metric_key_prefix, **kwargs)
            if metric_key_prefix == "eval" and self._main_set:
                self._measure(output)
            return output

        def watched_eval_dataloader(eval_dataset: Any = None) -> Any:
            self._main_set = eval_dataset is None or eval_dataset is trainer.eval_dataset
            return get_eval_dataloader(eval_dataset)

        def card_with_equal_columns(*args: Any, **kwargs: Any) -> None:
            log_history = trainer.state.log_history
            trainer.state.log_history = with_equal_columns(log_history)
            try:
                create_model_card(*args, **kwargs)
            finally:
                trainer.state.log_history = log_history

        vars(trainer).update(
            evaluation_loop=measured_loop,
            get_eval_dataloader=watched_eval_dataloader,
            create_model_card=card_with_equal_columns,
            measured_evaluations=self,
        )

    @classmethod
    def of(cls, trainer: Trainer) -> _Evaluations:
        """The evaluations of ``trainer``, which are wrapped at the first call."""
        evaluations = vars(trainer).get("measured_evaluations")
        return evaluations if isinstance(evaluations, cls) else cls(trainer)

    def _measure(self, output: EvalLoopOutput) -> None:
        parts = []
        due = [measurement for measurement in self.measurements if measurement.is_due()]
        if due:
            save_last_weights(self.trainer)
        for measurement in due:
            with saved_on_failure(self.trainer), preserved_random_state():
                part = measurement._measure(output)
            parts += [] if part is None else [part]
        if parts and self.trainer.is_world_process_zero():
            with saved_on_failure(self.trainer):
                self._write(parts, output)

    def _write(self, parts: Sequence[Part], output: EvalLoopOutput) -> None:
        trainer = self.trainer
        epoch, step = measured_step(trainer)
        history = Path(str(trainer.args.output_dir)) / HISTORY_FILE
        line: dict[str, Any] = {"epoch": epoch, "step": step, "accuracy": accuracy_of(output, {}), "attacks": {}}
        if not trainer.is_in_train and history.exists():
            lines = read_history(history)
            if not step and any(earlier["step"] and earlier["epoch"] >= epoch for earlier in lines):
                # At step 0 this process trained nothing: the lines may be of these weights or of others.
                logger.warning(
                    "%s belongs to a training run, and this process did not train these weights: the file is not "
                    "changed, and the measurement (%s) is only in the metrics; pass another --output_dir to keep it.",
                    history,
                    ", ".join(part.key for part in parts),
                )
                return
            # For the same reason a line of step 0 is replaced, not extended.
            line = next((earlier for earlier in lines if step and earlier["step"] == step), line)
        new = [part for part in parts if not line.get(part.key)]
        for part in new:
            part.write(f"epoch-{epoch:g}")
            line |= part.line
        num_labels = int(trainer.model.config.num_labels)
        if (counts := class_counts(output, num_labels)) is not None:
            line["classes"] = counts.to_json()
        if new:
            write_history_line(history, line, keep_later=not trainer.is_in_train)
            predictions = next((part.predictions for part in new if part.predictions), ())
            mark = guessing_of_evaluation(output, line["accuracy"], num_labels, predictions).mark
            summary = [f"epoch {epoch:g}/{trainer.args.num_train_epochs:g}", f"accuracy {100 * line['accuracy']:.1f}"]
            tqdm.write("  ".join([*summary, *([f"({mark})"] if mark else []), *(part.summary for part in new)]))


def save_last_weights(trainer: Trainer) -> None:
    """Save the model in its output folder if no training step follows, since the Trainer saves only after measuring.

    A process that is killed during the last measurement then leaves the trained model.
    """
    if trainer.is_in_train and trainer.state.global_step >= trainer.state.max_steps:
        with preserved_random_state():
            trainer.save_model(_internal_call=True)


@contextmanager
def saved_on_failure(trainer: Trainer) -> Iterator[None]:
    """Save a checkpoint if an error or the user ends training inside the block, since the Trainer saves only after
    measuring. On several ranks the one that fails may not be the one that saves. A sharded model is not saved, since
    ranks save it together, and the others go on measuring.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if trainer.is_in_train and not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
            step = trainer.state.global_step
            logger.warning(
                "The measurement after step %d ended with %s. The weights are saved as checkpoint-%d in %s: continue "
                "with --resume_from_checkpoint, which measures the later epochs. This epoch is not measured, and "
                "cannot be the best.",
                step,
                type(error).__name__,
                step,
                trainer.args.output_dir,
            )
            trainer._save_checkpoint(trainer.model_wrapped, trial=None)
        raise


def expected_of(trainer: Trainer) -> ExpectedMetrics:
    """The metrics that the evaluations of a Trainer will have, with those of all measurements attached to it."""
    strategy = IntervalStrategy(trainer.args.eval_strategy)
    expected = ExpectedMetrics(
        getattr(trainer.compute_metrics, "names", None),
        known=(*ATTACKS, STANDARD),
        # If the Trainer never evaluates, measurements still evaluate at the end of each epoch.
        eval_strategy="epoch" if strategy is IntervalStrategy.NO else strategy.value,
    )
    for measurement in _Evaluations.of(trainer).measurements:
        expected = measurement.extended(expected)
    return expected


def measured_step(trainer: Trainer) -> tuple[float, int]:
    """Epoch and step of the model's current weights: after training, those of the best step if it was loaded."""
    state, step = trainer.state, trainer.state.global_step
    epoch = float(state.epoch or 0.0)
    best = state.best_global_step if trainer.args.load_best_model_at_end else None
    if best and best != step and not trainer.is_in_train:
        logged = [float(entry["epoch"]) for entry in state.log_history if entry.get("step") == best]
        epoch, step = (logged[-1] if logged else epoch * best / step), best
    return round(epoch, 4), step


def with_equal_columns(log_history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The log with the same metrics in every evaluation during training, with a dash for those not measured.

    The Trainer's model card makes a table of them, and fails if a later line has a column that the first one lacks.
    """
    ends = [index for index, entry in enumerate(log_history) if "train_runtime" in entry]
    during = [index for index in range(ends[0] if ends else 0) if "eval_loss" in log_history[index]]
    columns = list(dict.fromkeys(key for index in during for key in log_history[index]))
    entries = [dict(entry) for entry in log_history]
    for index in during:
        entries[index] = {key: log_history[index].get(key, "–") for key in columns}
    return entries
