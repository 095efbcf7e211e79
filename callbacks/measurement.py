"""What measures a model in its Trainer's own evaluations: one evaluation, one history line, training undisturbed."""

from __future__ import annotations

import dataclasses
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput, IntervalStrategy

from hf_robust.adversary import preserved_random_state
from hf_robust.attacks import ATTACKS, Victim
from hf_robust.callbacks.best_metric import Expected, check_best_metric
from hf_robust.metrics import AttackSummary, Guessing
from hf_robust.metrics.keys import is_to_be_lowered
from hf_robust.metrics.task import logits_of
from hf_robust.runs import HISTORY_FILE, clear_results, read_history, write_history_line

logger = logging.getLogger(__name__)

# The Hub upload leaves out names that start with an underscore.
STRATEGIES = ("no", "epoch", "end")

Attached = TypeVar("Attached", bound="Measurement")


class Part(NamedTuple):
    """What one measurement found about one state of the weights, on the main process.

    ``line`` joins the history line, which holds the measurement where it has something under ``key``; ``said`` joins
    the summary line of the epoch; ``write`` is given the epoch as it stands in file names (``epoch-2``) and writes
    what there is of each example. ``answers`` are label and prediction of the clean texts, for an evaluation that
    keeps none.
    """

    key: str
    line: dict[str, Any]
    said: str
    write: Callable[[str], None]
    answers: Sequence[tuple[int, int]] = ()


class Measurement(TrainerCallback, ABC):
    """Something measured on held-out examples after each epoch; works on any ``Trainer``, ours or the stock one.

    Its numbers join the metrics of the evaluation itself, so they are in ``log_history`` and every tracker, and
    best-model selection and early stopping can name them whatever the order of the callbacks. Several measurements of
    one Trainer share its evaluations and write one history line together. Only the Trainer's own ``eval_dataset`` is
    followed by a measurement, never another set that is handed to ``evaluate``. After training the weights that were
    kept are measured, where their own step was not. Random state and train mode are as before when training goes on.

    A subclass says what is measured in ``_measure``, what must hold before any training in ``_check``, and whether
    there is anything to measure in ``_has_work``.

    Args:
        strategy: ``epoch`` measures at the end of each epoch (and evaluates there, whatever ``eval_strategy`` says),
            ``end`` at the end of the last, ``no`` never. An evaluation outside training is always measured but for
            ``no``.
        max_length: tokens to which the victim truncates; None for the tokenizer's own.
        token_budget: padded tokens in one batch of queries; None for what suits the device.
    """

    one: ClassVar[str]
    """What the errors call it: "An attack"."""
    many: ClassVar[str]
    flag: ClassVar[str]
    """The flag that gives the strategy."""

    def __init__(self, strategy: str, max_length: int | None, token_budget: int | None) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"{self.flag} must be one of {', '.join(STRATEGIES)}, got {strategy!r}.")
        self.strategy, self.max_length, self.token_budget = strategy, max_length, token_budget
        self.trainer: Trainer | None = None
        self._evaluations: _Evaluations | None = None
        self._at_epoch_end = False
        self._kept_victim: Victim | None = None

    def attach(self: Attached, trainer: Trainer) -> Attached:
        """Join ``trainer``: its evaluations report this measurement from now on. Returns the callback."""
        if trainer.eval_dataset is None or isinstance(trainer.eval_dataset, dict):
            given = "none" if trainer.eval_dataset is None else "a dict of several"
            raise ValueError(
                f"{self.one} needs the Trainer's one eval_dataset, got {given}; give --do_eval and its data."
            )
        if trainer.processing_class is None:
            raise ValueError(f"{self.one} needs the Trainer's tokenizer, got none; pass processing_class=tokenizer.")
        self.trainer = trainer
        trainer.add_callback(self)
        self._evaluations = _Evaluations.of(trainer)
        self._evaluations.measurements.append(self)
        return self

    # ---- what a subclass says ----

    @abstractmethod
    def _has_work(self) -> bool:
        """Whether there is anything to measure, whatever the strategy."""

    @abstractmethod
    def joined(self, expected: Expected) -> Expected:
        """What evaluations hold with what this measurement adds to them."""

    @abstractmethod
    def _check(self) -> None:
        """Raise before training what would end the first measurement, and with it an epoch that is not saved yet."""

    @abstractmethod
    def _measure(self, output: EvalLoopOutput) -> Part | None:
        """Measure the model as it is and add to ``output.metrics``; the part is asked for on the main process only."""

    def _new_victim(self, *given: Any, **options: Any) -> Victim:
        return Victim(*given, **options)

    # ---- events ----

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        trainer = self._its_trainer()
        if self._wanted():
            self._check_choice(args)
            check_best_metric(args.metric_for_best_model, expected_of(trainer))
            if args.greater_is_better and is_to_be_lowered(str(args.metric_for_best_model)):
                logger.warning(
                    "--metric_for_best_model %s is better where it is lower, and greater_is_better is True: the worst "
                    "weights are kept.",
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
        self._at_epoch_end = self._wanted() and (self.strategy == "epoch" or last)
        if self._at_epoch_end and not control.should_evaluate:
            control.should_evaluate = self._evaluations.forced = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        assert self._evaluations is not None
        self._at_epoch_end = self._evaluations.forced = False

    # ---- when and with what ----

    def is_due(self) -> bool:
        """Whether the evaluation under way, of the main set, is one that is measured."""
        assert self.trainer is not None
        return self._wanted() and (self._at_epoch_end or not self.trainer.is_in_train)

    def _wanted(self) -> bool:
        return self._has_work() and self.strategy != "no"

    def _check_choice(self, args: TrainingArguments) -> None:
        if args.metric_for_best_model is not None and args.eval_strategy == "steps":
            raise ValueError(
                f"--eval_strategy steps with --metric_for_best_model {args.metric_for_best_model} would "
                f"also choose by the evaluations that {self.many} add at the end of an epoch, where no checkpoint may "
                f"be: use --eval_strategy epoch, or {self.flag} no."
            )

    def _its_trainer(self) -> Trainer:
        if self.trainer is None:
            name = type(self).__name__
            raise ValueError(f"{name} needs its Trainer; call {name}(...).attach(trainer) first.")
        return self.trainer

    def _victim(self) -> Victim:
        trainer = self._its_trainer()
        if self._kept_victim is None or self._kept_victim.model is not trainer.model:
            # Kept from epoch to epoch: it remembers which batches did not fit into memory.
            self._kept_victim = self._new_victim(
                trainer.model,
                trainer.processing_class,
                max_length=self.max_length,
                token_budget=self.token_budget,
                autocast=trainer.accelerator.autocast,
                inference=getattr(trainer, "inference", None),
            )
        return self._kept_victim


class _Evaluations:
    """The evaluations of one Trainer, joined by all measurements that are attached to it.

    Attributes:
        measurements: in the order in which they were attached.
        forced: the evaluation to come is one that only a measurement asked for.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.measurements: list[Measurement] = []
        self.forced = False
        self._main_set = True
        # A metric that on_evaluate adds never reaches log_history or a tracker; one in the loop's output reaches all.
        evaluation_loop, get_eval_dataloader = trainer.evaluation_loop, trainer.get_eval_dataloader
        create_model_card = trainer.create_model_card

        def measured_loop(
            dataloader: Any, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
        ) -> EvalLoopOutput:
            # The evaluation loop draws from the random state; one that only we asked for must leave no trace of it.
            with preserved_random_state() if self.forced else nullcontext():
                output = evaluation_loop(dataloader, *args, metric_key_prefix=metric_key_prefix, **kwargs)
            if metric_key_prefix == "eval" and self._main_set:
                self._measure(output)
            return output

        def noted_eval_dataloader(eval_dataset: Any = None) -> Any:
            self._main_set = eval_dataset is None or eval_dataset is trainer.eval_dataset
            return get_eval_dataloader(eval_dataset)

        def card_of_even_lines(*args: Any, **kwargs: Any) -> None:
            log_history = trainer.state.log_history
            trainer.state.log_history = even_evaluations(log_history)
            try:
                create_model_card(*args, **kwargs)
            finally:
                trainer.state.log_history = log_history

        vars(trainer).update(
            evaluation_loop=measured_loop,
            get_eval_dataloader=noted_eval_dataloader,
            create_model_card=card_of_even_lines,
            measured_evaluations=self,
        )

    @classmethod
    def of(cls, trainer: Trainer) -> _Evaluations:
        """Those of ``trainer``, which are joined at the first call."""
        found = vars(trainer).get("measured_evaluations")
        return found if isinstance(found, cls) else cls(trainer)

    def _measure(self, output: EvalLoopOutput) -> None:
        parts = []
        for measurement in self.measurements:
            if measurement.is_due():
                with saved_where_it_fails(self.trainer), preserved_random_state():
                    part = measurement._measure(output)
                parts += [] if part is None else [part]
        if parts and self.trainer.is_world_process_zero():
            with saved_where_it_fails(self.trainer):
                self._write(parts, output)

    def _write(self, parts: Sequence[Part], output: EvalLoopOutput) -> None:
        trainer = self.trainer
        epoch, step = measured_step(trainer)
        history = Path(str(trainer.args.output_dir)) / HISTORY_FILE
        line: dict[str, Any] = {"epoch": epoch, "step": step, "accuracy": accuracy_of(output, {}), "attacks": {}}
        if not trainer.is_in_train and history.exists():
            lines = read_history(history)
            if not step and any(earlier["step"] and earlier["epoch"] >= epoch for earlier in lines):
                # Step 0 is of weights that this process did not train: the lines may be of these or others.
                logger.warning(
                    "%s is of a training run, and these weights were not trained by this process: it stays as it is, "
                    "and what was measured (%s) is in the metrics alone; give another --output_dir to keep it.",
                    history,
                    ", ".join(part.key for part in parts),
                )
                return
            # For the same reason a line of step 0 is replaced, and not added to.
            line = next((earlier for earlier in lines if step and earlier["step"] == step), line)
        new = [part for part in parts if not line.get(part.key)]
        for part in new:
            part.write(f"epoch-{epoch:g}")
            line |= part.line
        if new:
            write_history_line(history, line, keep_later=not trainer.is_in_train)
            answers = next((part.answers for part in new if part.answers), ())
            mark = guessing_of(output, line["accuracy"], int(trainer.model.config.num_labels), answers).mark
            said = [f"epoch {epoch:g}/{trainer.args.num_train_epochs:g}", f"accuracy {100 * line['accuracy']:.1f}"]
            tqdm.write("  ".join([*said, *([f"({mark})"] if mark else []), *(part.said for part in new)]))


@contextmanager
def saved_where_it_fails(trainer: Trainer) -> Iterator[None]:
    """Save what was trained, as the Trainer does, before an error inside ends the training; also where the user does.

    The Trainer measures first and saves then. On several ranks the one that fails may not be the one that saves.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if trainer.is_in_train:
            step = trainer.state.global_step
            logger.warning(
                "The measurement after step %d ended with %s. What was trained is saved as checkpoint-%d in %s: go on "
                "with --resume_from_checkpoint, which measures the epochs to come; this one is not measured, and so "
                "is not the best.",
                step,
                type(error).__name__,
                step,
                trainer.args.output_dir,
            )
            trainer._save_checkpoint(trainer.model_wrapped, trial=None)
        raise


def expected_of(trainer: Trainer) -> Expected:
    """What the evaluations of a Trainer will hold, with all that is attached to it."""
    strategy = IntervalStrategy(trainer.args.eval_strategy)
    found = Expected(
        getattr(trainer.compute_metrics, "names", None),
        known=ATTACKS,
        # Without evaluations of its own the Trainer has those that a measurement asks for at the end of an epoch.
        eval_strategy="epoch" if strategy is IntervalStrategy.NO else strategy.value,
    )
    for measurement in _Evaluations.of(trainer).measurements:
        found = measurement.joined(found)
    return found


def measured_step(trainer: Trainer) -> tuple[float, int]:
    """Epoch and step of the weights that the model has: after training, the best step's where those were kept."""
    state, step = trainer.state, trainer.state.global_step
    epoch = float(state.epoch or 0.0)
    best = state.best_global_step if trainer.args.load_best_model_at_end else None
    if best and best != step and not trainer.is_in_train:
        logged = [float(entry["epoch"]) for entry in state.log_history if entry.get("step") == best]
        epoch, step = (logged[-1] if logged else epoch * best / step), best
    return round(epoch, 4), step


def even_evaluations(log_history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The log with the same metrics in every evaluation during training, a dash where one was not measured.

    The Trainer's model card makes a table of them, and fails where a later line has a column that the first lacks.
    """
    ends = [index for index, entry in enumerate(log_history) if "train_runtime" in entry]
    during = [index for index in range(ends[0] if ends else 0) if "eval_loss" in log_history[index]]
    columns = list(dict.fromkeys(key for index in during for key in log_history[index]))
    even = [dict(entry) for entry in log_history]
    for index in during:
        even[index] = {key: log_history[index].get(key, "–") for key in columns}
    return even


def accuracy_of(output: EvalLoopOutput, summaries: Mapping[str, AttackSummary]) -> float:
    """Accuracy of an evaluation: the task's metric, else from its predictions, else over the attacked rows alone."""
    if output.metrics is not None and "eval_accuracy" in output.metrics:
        return float(output.metrics["eval_accuracy"])
    if output.predictions is None or output.label_ids is None:
        return next((summary.extra["accuracy"] for summary in summaries.values()), math.nan)
    labels, answers = _labels_and_answers(output)
    return float((answers == labels).mean())


def guessing_of(
    output: EvalLoopOutput, accuracy: float, num_labels: int, attacked: Sequence[tuple[int, int]] = ()
) -> Guessing:
    """The accuracy of an evaluation beside the larger class of its rows; one that cannot be judged has no mark.

    Args:
        accuracy: of the classifier that is measured; a vote's is not that of the evaluation itself.
        num_labels: classes of the model.
        attacked: label and prediction of the attacked texts, where the evaluation kept no predictions.
    """
    if output.predictions is None or output.label_ids is None:
        return Guessing.of([label for label, _ in attacked], [answer for _, answer in attacked], num_labels)
    labels, answers = _labels_and_answers(output)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or answers.shape != labels.shape:
        return Guessing(math.nan, None, math.nan, num_labels)
    plain = Guessing.of(labels.tolist(), answers.tolist(), num_labels)
    one_answer = plain.one_answer and accuracy == plain.accuracy
    return dataclasses.replace(plain, accuracy=accuracy, one_answer=one_answer)


def _labels_and_answers(output: EvalLoopOutput) -> tuple[NDArray[Any], NDArray[Any]]:
    # With --eval_do_concat_batches False both are lists of batches.
    logits = logits_of(output.predictions)
    labels = np.concatenate(output.label_ids) if isinstance(output.label_ids, list) else np.asarray(output.label_ids)
    # A stock Trainer's preprocess_logits_for_metrics may have taken the argmax already.
    return labels, logits if logits.ndim == 1 else logits.argmax(-1)
