"""Measure attack success rates at the end of each epoch, without disturbing training."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from hf_robust.adversary import kept_random_state
from hf_robust.attacks import (
    Attack,
    Example,
    Plans,
    Victim,
    attack_on_ranks,
    examples_of,
    of_the_data,
    require_candidates,
    weights_hash,
)
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.attacks.requests import Columns
from hf_robust.metrics import (
    AttackRecord,
    AttackSummary,
    UnionSummary,
    read_records,
    union_of_attacks,
    write_records,
)
from hf_robust.metrics.task import logits_of
from hf_robust.reports import HISTORY_FILE, read_history, union_label, write_history_line

logger = logging.getLogger(__name__)

RESULTS_FOLDER = "attack_results"
# The Hub upload leaves out names that start with an underscore.
JOURNAL_FOLDER = "_attack_journal"
STRATEGIES = ("no", "epoch", "end")


class AttackCallback(TrainerCallback):
    r"""Attack the model on held-out examples after each epoch; works on any ``Trainer``, ours or the stock one.

    >>> callback = AttackCallback(attacks, examples, max_length=128).attach(trainer)   # doctest: +SKIP

    ASR = succeeded / (succeeded + failed) and robust accuracy = failed / examples join the metrics of the evaluation
    itself (``eval_<attack>_asr``, ``eval_<attack>_robust_accuracy``, ``eval_<attack>_queries``,
    ``eval_<attack>_seconds``), so they are in ``log_history`` and every tracker, and best-model selection and early
    stopping can name them whatever the order of the callbacks. Of two or more attacks that want another prediction the
    worst case for each example joins them too: ``eval_union_robust_accuracy`` with its interval and N (``_low``,
    ``_high``, ``eval_union_num_examples``). Only the Trainer's own ``eval_dataset`` is followed by an attack, never
    another set that is handed to ``evaluate``. After training the weights that were kept are measured, where their
    own step was not.

    Every rank attacks a share of about the same expected queries, and all see the same numbers. Random state and train
    mode are as before when training goes on. Finished examples are journalled under a key of the weights, the attack
    and the data: a run that was killed does not measure them again, nor does a second evaluation of the same weights.

    Args:
        attacks: attack by the name its metrics carry.
        examples: what is attacked, the same in every epoch; ``idx`` must be distinct.
        strategy: ``epoch`` measures at the end of each epoch (and evaluates there, whatever ``eval_strategy`` says),
            ``end`` at the end of the last, ``no`` never. An evaluation outside training is always measured but for
            ``no``.
        max_length: tokens to which the victim truncates; None for the tokenizer's own.
        token_budget: padded tokens in one batch of queries; None for what suits the device.
        plans_folder: where plans are kept between runs; None keeps them in memory only.
        warm_start: ask each example's last successful text first. Where it still succeeds, one query stands for a
            search: the status is what the search would most likely find, the text and the queries are not.

    Attributes:
        seconds: wall-clock seconds spent on attacks so far, under the key ``attack``.
    """

    def __init__(
        self,
        attacks: Mapping[str, AttackOrForeign],
        examples: Sequence[Example],
        *,
        strategy: str = "epoch",
        max_length: int | None = None,
        token_budget: int | None = None,
        plans_folder: Path | None = None,
        warm_start: bool = False,
    ) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"The attack strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}.")
        if any(not examples_of(attack, examples) for attack in attacks.values()):
            raise ValueError("There is no example to attack; give at least one row of evaluation data.")
        self.attacks, self.examples, self.strategy = dict(attacks), list(examples), strategy
        self.max_length, self.token_budget = max_length, token_budget
        self.plans = Plans(plans_folder)
        self.seconds = {"attack": 0.0}
        self.trainer: Trainer | None = None
        self._at_epoch_end = False
        self._forced = False
        self._main_set = True
        self._warned = False
        self._warm_start = warm_start
        self._kept_victim: Victim | None = None

    def attach(self, trainer: Trainer) -> AttackCallback:
        """Join ``trainer``: its evaluations report the attacks from now on. Returns the callback."""
        if trainer.eval_dataset is None or isinstance(trainer.eval_dataset, dict):
            given = "none" if trainer.eval_dataset is None else "a dict of several"
            raise ValueError(
                f"An attack needs the Trainer's one eval_dataset, got {given}; give --do_eval and its data."
            )
        if trainer.processing_class is None:
            raise ValueError("An attack needs the Trainer's tokenizer, got none; pass processing_class=tokenizer.")
        self.trainer = trainer
        trainer.add_callback(self)
        # A metric that on_evaluate adds never reaches log_history or a tracker; one in the loop's output reaches all.
        evaluation_loop, get_eval_dataloader = trainer.evaluation_loop, trainer.get_eval_dataloader
        create_model_card = trainer.create_model_card

        def loop_with_attacks(
            dataloader: Any, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
        ) -> EvalLoopOutput:
            # The evaluation loop draws from the random state; one that only we asked for must leave no trace of it.
            with kept_random_state() if self._forced else nullcontext():
                output = evaluation_loop(dataloader, *args, metric_key_prefix=metric_key_prefix, **kwargs)
            if metric_key_prefix == "eval" and self._is_due():
                with kept_random_state():
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
            evaluation_loop=loop_with_attacks,
            get_eval_dataloader=noted_eval_dataloader,
            create_model_card=card_of_even_lines,
        )
        return self

    # ---- events ----

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.trainer is None:
            raise ValueError("AttackCallback needs its Trainer; call AttackCallback(...).attach(trainer) instead.")
        if self.attacks and self.strategy != "no":
            self._check(args)
        if state.is_world_process_zero and state.global_step == 0:
            clear_results(args.output_dir)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        last = state.global_step >= state.max_steps
        self._at_epoch_end = bool(self.attacks) and (self.strategy == "epoch" or (self.strategy == "end" and last))
        if self._at_epoch_end and not control.should_evaluate:
            control.should_evaluate = self._forced = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._at_epoch_end = self._forced = False

    # ---- measuring ----

    def _check(self, args: TrainingArguments) -> None:
        """What would end the first measurement, and with it an epoch that is not saved yet, is an error before it."""
        if args.metric_for_best_model is not None and args.eval_strategy == "steps":
            raise ValueError(
                f"--eval_strategy steps with --metric_for_best_model {args.metric_for_best_model} would "
                "also choose by the evaluations that the attacks add at the end of an epoch, where no checkpoint may "
                "be: use --eval_strategy epoch, or --attack_strategy no."
            )
        victim = self._victim()
        for attack in self.attacks.values():
            if isinstance(attack, Attack) and attack.needs_gradient:
                victim.check_saliency()
            require_candidates(attack, self.plans, examples_of(attack, self.examples))

    def _victim(self) -> Victim:
        trainer = self.trainer
        assert trainer is not None
        if self._kept_victim is None or self._kept_victim.model is not trainer.model:
            # Kept from epoch to epoch: it remembers which batches did not fit into memory.
            self._kept_victim = Victim(
                trainer.model,
                trainer.processing_class,
                max_length=self.max_length,
                token_budget=self.token_budget,
                autocast=trainer.accelerator.autocast,
                inference=getattr(trainer, "inference", None),
            )
        return self._kept_victim

    def _is_due(self) -> bool:
        assert self.trainer is not None
        wanted = bool(self.attacks) and self.strategy != "no" and self._main_set
        return wanted and (self._at_epoch_end or not self.trainer.is_in_train)

    def _measure(self, output: EvalLoopOutput) -> None:
        trainer = self.trainer
        assert trainer is not None and output.metrics is not None
        victim, weights = self._victim(), weights_hash(trainer.model)
        measured = {name: self._attack(name, attack, victim, weights) for name, attack in self.attacks.items()}
        records = {name: found for name, (found, _) in measured.items()}
        summaries = {name: AttackSummary.from_records(found, seconds) for name, (found, seconds) in measured.items()}
        union = union_of_attacks(of_the_data(self.attacks, records))
        for name, summary in summaries.items():
            output.metrics.update({f"eval_{key}": value for key, value in summary.metrics(name).items()})
        if union is not None:
            output.metrics.update({f"eval_{key}": value for key, value in union.metrics().items()})
        if trainer.is_world_process_zero():
            self._warn_where_nothing_chooses(output.metrics)
            self._write(records, summaries, union, output)

    def _attack(
        self, name: str, attack: AttackOrForeign, victim: Victim, weights: str
    ) -> tuple[list[AttackRecord], float]:
        trainer = self.trainer
        assert trainer is not None
        args, start = trainer.args, time.perf_counter()
        examples = examples_of(attack, self.examples)
        records, seconds = attack_on_ranks(
            attack,
            victim,
            examples,
            weights,
            journals=Path(args.output_dir) / JOURNAL_FOLDER,
            rank=args.process_index,
            ranks=args.world_size,
            plans=self.plans,
            progress=trainer.is_world_process_zero() and not args.disable_tqdm,
            replayed=self._last_successes(name) if self._warm_start else {},
        )
        self.seconds["attack"] += time.perf_counter() - start
        return records, seconds

    def _last_successes(self, name: str) -> dict[int, Columns]:
        """By ``idx``, the texts that succeeded in the last epoch measured, in this run or the one it goes on from."""
        assert self.trainer is not None
        epoch = float(self.trainer.state.epoch or 0.0)
        folders = (Path(str(self.trainer.args.output_dir)) / RESULTS_FOLDER).glob("epoch-*")
        measured = {float(folder.name.removeprefix("epoch-")): folder / f"{name}.jsonl" for folder in folders}
        earlier = [one for one in measured if one < round(epoch, 4) and measured[one].exists()]
        if not earlier:
            return {}
        records = read_records(measured[max(earlier)])
        return {one.idx: tuple(one.perturbed) for one in records if one.status == "succeeded"}

    def _warn_where_nothing_chooses(self, metrics: Mapping[str, float]) -> None:
        """Once: a rate of nothing is no number, and no comparison with it is ever true."""
        assert self.trainer is not None
        name = str(self.trainer.args.metric_for_best_model or "")
        key = name if name.startswith("eval_") else f"eval_{name}"
        if not self._warned and math.isnan(metrics.get(key, 0.0)):
            self._warned = True
            logger.warning(
                "%s is not a number, since no example was attacked (all clean texts are misclassified or left out): "
                "--metric_for_best_model %s cannot choose these weights; a robust accuracy is always a number.",
                key,
                name,
            )

    def _write(
        self,
        records: Mapping[str, list[AttackRecord]],
        summaries: Mapping[str, AttackSummary],
        union: UnionSummary | None,
        output: EvalLoopOutput,
    ) -> None:
        assert self.trainer is not None
        folder, training = Path(self.trainer.args.output_dir), self.trainer.is_in_train
        epoch, step = self._measured_step()
        history = folder / HISTORY_FILE
        if not training and history.exists() and _is_measured(read_history(history), epoch, step):
            return
        for name, found in records.items():
            write_records(folder / RESULTS_FOLDER / f"epoch-{epoch:g}" / f"{name}.jsonl", found)
        line: dict[str, Any] = {
            "epoch": epoch,
            "step": step,
            "accuracy": accuracy_of(output, of_the_data(self.attacks, summaries)),
            "attacks": {name: summary.history() for name, summary in summaries.items()},
        }
        if union is not None:
            line["union"] = union.history()
        write_history_line(history, line, keep_later=not training)
        tqdm.write(summary_line(line, self.trainer.args.num_train_epochs, summaries))

    def _measured_step(self) -> tuple[float, int]:
        """Epoch and step of the weights that the model has: after training, the best step's where those were kept."""
        assert self.trainer is not None
        state, step = self.trainer.state, self.trainer.state.global_step
        epoch = float(state.epoch or 0.0)
        best = state.best_global_step if self.trainer.args.load_best_model_at_end else None
        if best and best != step and not self.trainer.is_in_train:
            logged = [float(entry["epoch"]) for entry in state.log_history if entry.get("step") == best]
            epoch, step = (logged[-1] if logged else epoch * best / step), best
        return round(epoch, 4), step


def _is_measured(history: Sequence[Mapping[str, Any]], epoch: float, step: int) -> bool:
    """Whether weights seen after training have a line; step 0 is of weights that this process did not train."""
    return any(line["step"] == step or (not step and line["epoch"] >= epoch) for line in history)


def clear_results(output_dir: str | None) -> None:
    """Remove what an earlier run measured in this folder: it is of other weights than a new run's."""
    folder = Path(str(output_dir))
    (folder / HISTORY_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder / RESULTS_FOLDER, ignore_errors=True)


def summary_line(line: Mapping[str, Any], epochs: float, summaries: Mapping[str, AttackSummary]) -> str:
    """One epoch in one line, rates in percent."""
    parts = [f"epoch {line['epoch']:g}/{epochs:g}", f"accuracy {100 * line['accuracy']:.1f}"]
    for name, summary in summaries.items():
        rates = f"ASR {'n/a' if math.isnan(summary.asr) else f'{100 * summary.asr:.1f} %'}"
        if "remains_asr" not in summary.extra:  # where a failed attack is the good outcome, F/N has no meaning
            rates += f", under attack {100 * summary.robust_accuracy:.1f}"
        parts.append(
            f"{name}: {rates} ({summary.num_examples} examples, {summary.queries:.1f} queries each, "
            f"{summary.seconds:.0f} s)"
        )
    if union := line.get("union"):
        parts.append(f"{union_label(union)}: under attack {100 * union['robust_accuracy']:.1f}")
    return "  ".join(parts)


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
    # With --eval_do_concat_batches False both are lists of batches.
    logits = logits_of(output.predictions)
    labels = np.concatenate(output.label_ids) if isinstance(output.label_ids, list) else np.asarray(output.label_ids)
    # A stock Trainer's preprocess_logits_for_metrics may have taken the argmax already.
    return float(((logits if logits.ndim == 1 else logits.argmax(-1)) == labels).mean())
