"""Measure attack success rates at the end of each epoch, without disturbing training."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers.trainer_utils import EvalLoopOutput

from hf_robust.attacks import (
    Cascade,
    Example,
    Plans,
    Victim,
    Vote,
    VotingVictim,
    attack_key,
    attack_on_ranks,
    check_attack,
    describe_with_coverage,
    examples_of,
    fitted,
    log_coverage,
    results_on_data,
    table_coverage,
    weights_hash,
)
from hf_robust.attacks.arguments import MISMATCHED
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.attacks.control import is_control, with_queries_of, without_controls
from hf_robust.attacks.engine.journal import prediction_of
from hf_robust.attacks.engine.ranks import Measured
from hf_robust.attacks.engine.requests import Columns
from hf_robust.attacks.engine.until import require_reachable, sequence_of
from hf_robust.attacks.static import labelled_file
from hf_robust.callbacks.best_metric import ExpectedMetrics
from hf_robust.callbacks.measurement import Measurement, Part
from hf_robust.callbacks.predictions import accuracy_of
from hf_robust.metrics import (
    AttackRecord,
    AttackSummary,
    ConfidenceSequence,
    Coverage,
    UnionSummary,
    aim_of,
    cascade_history,
    partial_coverage,
    saturation_warning,
    union_of_attacks,
)
from hf_robust.metrics.keys import AttackKeys
from hf_robust.reports import percent, union_label
from hf_robust.reports.aims import has_clean_texts
from hf_robust.reports.cells import points
from hf_robust.reports.stopping import stopping_sentence
from hf_robust.runs import JOURNAL_FOLDER, RESULTS_FOLDER, Ranks, each_record, write_records

logger = logging.getLogger(__name__)


class AttackCallback(Measurement):
    r"""Attack the model on held-out examples after each epoch (``Measurement`` says when).

    >>> callback = AttackCallback(attacks, examples, max_length=128).attach(trainer)   # doctest: +SKIP

    ASR = succeeded / (succeeded + failed) and robust accuracy = failed / examples are added to the metrics of the
    evaluation (``eval_<attack>_asr``, ``eval_<attack>_robust_accuracy``, ``eval_<attack>_queries``,
    ``eval_<attack>_seconds``). ``eval_<attack>_saturated_share`` is the share of queries at which the probability was
    saturated (``AttackRecord``), for attacks that climb a probability; above 5 % each epoch has a warning. With two or
    more attacks whose goal is another prediction, the worst case of each example is added too:
    ``eval_union_robust_accuracy`` with its interval and N (``_low``, ``_high``, ``eval_union_num_examples``).

    With a ``vote`` the attacks query the vote over random substitutions instead of the plain network. The vote's
    accuracy on the evaluation rows is then ``eval_vote_accuracy``, and also the history's ``accuracy``, so that clean
    accuracy and rates are of the same classifier. ``eval_accuracy``, and the ``accuracy`` of a line without an attack,
    are still the plain network's.

    Each rank attacks a share with about the same expected number of queries, and all ranks get the same numbers.
    Finished examples are journalled under a key of the weights, the attack and the data: neither a run that was killed
    nor a second evaluation of the same weights measures them again.

    A stock ``Trainer`` does not restore tensors that are saved under other names (``LayerNorm.gamma``), neither when
    it resumes nor when it loads the best model (transformers 5.17 to 5.23, huggingface/transformers#48805); the
    attacked weights are then not those of the checkpoint. A ``RobustTrainer`` restores them.

    Args:
        attacks: attack by the name in its metrics.
        examples: the examples to attack, the same in every epoch; ``idx`` must be distinct.
        strategy, max_length, token_budget: as in ``Measurement``.
        plans_folder: folder that keeps plans between runs; None keeps them in memory only.
        warm_start: query each example's last successful text first. If it still succeeds, this one query replaces the
            search: the status is most likely that of a search, but the text and the number of queries are not.
        vote: the vote to attack; None for the plain network.
        rows: the evaluation rows, for the clean accuracy of the vote; needed with a vote.
        until: the sequence at whose interval an attack stops; None to attack all examples.
        mismatched: examples of MNLI's second validation set, which every attack without examples of its own attacks
            too, under its name with ``_mm``. Their rates are no part of a worst case over attacks.

    Attributes:
        seconds: wall-clock seconds spent on attacks so far, under the key ``attack``.
    """

    singular, plural, flag = "An attack", "the attacks", "--attack_strategy"

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
        vote: Vote | None = None,
        rows: Sequence[Example] = (),
        until: ConfidenceSequence | None = None,
        mismatched: Sequence[Example] = (),
    ) -> None:
        super().__init__(strategy, max_length, token_budget)
        again = {
            f"{name}{MISMATCHED}": attack
            for name, attack in attacks.items()
            if attack.own_examples is None and not is_control(attack)  # a control has the queries on matched rows
        }
        self.attacks, self.examples = {**attacks, **(again if mismatched else {})}, list(examples)
        self._mismatched = dict.fromkeys(again, list(mismatched)) if mismatched else {}
        if any(not self._examples_of(name) for name in self.attacks):
            raise ValueError("There is no example to attack; pass at least one row of evaluation data.")
        if vote is not None and not rows:
            raise ValueError(
                "A vote needs the evaluation rows for its clean accuracy, got none; pass "
                "rows=choose_examples(dataset, 0, 0)."
            )
        require_reachable(attacks, examples, until)
        if mismatched:
            require_reachable(attacks, mismatched, until)
        self.vote, self.until = vote, until
        if vote is not None:
            attacked = [example for name in self.attacks for example in self._examples_of(name)]
            vote.require_substitutes([example.texts for example in attacked])
        self._clean_rows = labelled_file("vote", "the evaluation rows", rows)
        self.plans = Plans(plans_folder)
        self.seconds = {"attack": 0.0}
        self._warned = False
        self._warm_start = warm_start

    @cached_property
    def coverage(self) -> dict[str, Coverage | None]:
        """Coverage of each attack's examples by its table; None for an attack without a table."""
        return {
            name: table_coverage(attack, self.plans, self._examples_of(name), self._victim())
            for name, attack in self.attacks.items()
        }

    def _examples_of(self, name: str) -> list[Example]:
        return examples_of(self.attacks[name], self._mismatched.get(name, self.examples))

    def _on_the_data(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Results on the examples of the data, by the names of their attacks."""
        return {
            name: one for name, one in results_on_data(self.attacks, results).items() if name not in self._mismatched
        }

    def describe(self) -> dict[str, dict[str, Any]]:
        """Parts of each attack and coverage of its table, for the run card."""
        return {
            name: describe_with_coverage(attack, self.coverage[name], self._mismatched.get(name, self.examples))
            for name, attack in self.attacks.items()
        }

    def _has_work(self) -> bool:
        return bool(self.attacks)

    def _new_victim(self, *args: Any, **options: Any) -> Victim:
        if self.vote is None:
            return super()._new_victim(*args, **options)
        return VotingVictim(*args, vote=self.vote, **options)

    def extended(self, expected: ExpectedMetrics) -> ExpectedMetrics:
        aims = {name: aim_of(attack.describe()) for name, attack in self.attacks.items() if not is_control(attack)}
        with_own_examples = [name for name, attack in self.attacks.items() if attack.own_examples]
        own = [*expected.attacks.static, *with_own_examples]
        keys = AttackKeys({**expected.attacks.aims, **aims}, own, self.vote is not None)
        return dataclasses.replace(expected, attacks=keys, attack_strategy=self.strategy)

    def _check(self) -> None:
        assert self.trainer is not None
        metric = str(self.trainer.args.metric_for_best_model).removeprefix("eval_")
        keys = self.extended(ExpectedMetrics(None)).attacks
        if (reason := keys.misleads(metric)) and self.trainer.is_world_process_zero():
            logger.warning("--metric_for_best_model %s %s.", metric, reason)
        victim = self._victim()
        self.attacks = fitted(self.attacks, victim)
        for name, attack in self.attacks.items():
            check_attack(attack, victim, self.plans, self._examples_of(name))
            if self.trainer.is_world_process_zero():
                log_coverage(attack, self.coverage[name], self._examples_of(name))

    def _measure(self, output: EvalLoopOutput) -> Part | None:
        trainer = self.trainer
        assert trainer is not None and output.metrics is not None
        victim, weights = self._victim(), weights_hash(trainer.model)
        measured: dict[str, Measured] = {}
        records: dict[str, Sequence[AttackRecord]] = {}
        with victim.answers.kept(len(self.attacks) > 1):
            for name, attack in self.attacks.items():
                limited = with_queries_of(attack, records)
                measured[name] = self._attack(name, limited, victim, weights, self._examples_of(name))
                records[name] = measured[name].records
        summaries = {name: self._summary(name, each) for name, each in measured.items()}
        union = union_of_attacks(without_controls(self.attacks, self._on_the_data(records)), self.until)
        for name, summary in summaries.items():
            output.metrics.update({f"eval_{key}": value for key, value in summary.metrics(name).items()})
        if union is not None:
            output.metrics.update({f"eval_{key}": value for key, value in union.metrics().items()})
        accuracy = accuracy_of(output, self._on_the_data(summaries))
        if self.vote is not None:
            clean = self._clean_rows
            rows = self._attack("vote", clean, victim, weights, examples_of(clean, ()))
            accuracy = AttackSummary.from_records(rows.records).extra["accuracy"]
            output.metrics.update(eval_vote_accuracy=accuracy, eval_vote_seconds=rows.seconds)
        if not trainer.is_world_process_zero():
            return None
        self._warn_if_metric_is_nan(output.metrics)
        for warning in filter(None, (saturation_warning(name, summary) for name, summary in summaries.items())):
            logger.warning(warning)
        return self._part(measured, summaries, union, accuracy)

    def _summary(self, name: str, measured: Measured) -> AttackSummary:
        until, number = sequence_of(self.attacks[name], self.until), len(self._examples_of(name))
        return AttackSummary.from_records(measured.records, measured.seconds, until, number)

    def _attack(
        self, name: str, attack: AttackOrForeign, victim: Victim, weights: str, examples: Sequence[Example]
    ) -> Measured:
        trainer = self.trainer
        assert trainer is not None
        args, start = trainer.args, time.perf_counter()
        replayed = self._last_successes(name) if self._warm_start and not isinstance(attack, Cascade) else {}
        measured = attack_on_ranks(
            attack,
            victim,
            examples,
            attack_key(attack, weights, examples, victim.max_length, prediction_of(victim), replayed),
            journals=Path(args.output_dir) / JOURNAL_FOLDER,
            ranks=Ranks(args.process_index, args.world_size),
            plans=self.plans,
            progress=trainer.is_world_process_zero() and not args.disable_tqdm,
            replayed=replayed,
            until=self.until,
        )
        self.seconds["attack"] += time.perf_counter() - start
        return measured

    def _last_successes(self, name: str) -> dict[int, Columns]:
        """Successful texts of the last measured epoch by ``idx``, in this run or the run that it resumes."""
        assert self.trainer is not None
        epoch = float(self.trainer.state.epoch or 0.0)
        folders = (Path(str(self.trainer.args.output_dir)) / RESULTS_FOLDER).glob("epoch-*")
        measured = {float(folder.name.removeprefix("epoch-")): folder / f"{name}.jsonl" for folder in folders}
        earlier = [number for number in measured if number < round(epoch, 4) and measured[number].exists()]
        if not earlier:
            return {}
        records = each_record(measured[max(earlier)])
        return {record.idx: tuple(record.perturbed) for record in records if record.status == "succeeded"}

    def _warn_if_metric_is_nan(self, metrics: Mapping[str, float]) -> None:
        """Warn once if the metric that chooses the best model is not a number, since no comparison with it is true."""
        assert self.trainer is not None
        name = str(self.trainer.args.metric_for_best_model or "")
        key = name if name.startswith("eval_") else f"eval_{name}"
        if not self._warned and math.isnan(metrics.get(key, 0.0)):
            self._warned = True
            logger.warning(
                "%s is not a number, since no text was changed (each clean text is misclassified, left out, or has no "
                "substitute): --metric_for_best_model %s cannot choose these weights.",
                key,
                name,
            )

    def _part(
        self,
        measured: Mapping[str, Measured],
        summaries: Mapping[str, AttackSummary],
        union: UnionSummary | None,
        accuracy: float,
    ) -> Part:
        assert self.trainer is not None
        folder = Path(str(self.trainer.args.output_dir)) / RESULTS_FOLDER
        records = {name: each.records for name, each in measured.items()}
        line = {"accuracy": accuracy, "attacks": {name: summary.history() for name, summary in summaries.items()}}
        for name, attack in self.attacks.items():
            if isinstance(attack, Cascade):
                line["standard"] = cascade_history(attack.describe(), *measured[name][::2], self.until)
        rates = [rates_in_words(name, each, self.attacks[name].describe()) for name, each in summaries.items()]
        if union is not None:
            line["union"] = union.history()
            under = percent(union.robust_accuracy, count=union.num_examples)
            rates.append(f"{union_label(union.history())}: under attack {under} ({union.num_examples} examples)")
        if self.vote is not None:
            rates.insert(0, f"(vote of {self.vote.votes})")

        def write(epoch: str) -> None:
            for name, each in records.items():
                write_records(folder / epoch / f"{name}.jsonl", each)

        on_the_data: Sequence[AttackRecord] = next(iter(self._on_the_data(records).values()), [])
        predictions = [(record.label, record.original_prediction) for record in on_the_data]
        return Part("attacks", line, "  ".join(rates), write, predictions)


def rates_in_words(name: str, summary: AttackSummary, described: Mapping[str, Any]) -> str:
    """The rates of one attack in percent, for the line that is printed for an epoch.

    Args:
        described: ``Attack.describe()``, which has the attack's goal.
    """
    attacked, extra, aim = summary.num_attacked, summary.extra, aim_of(described, name)
    name = described.get("standard", name)
    rate = percent(summary.asr, count=attacked)
    asr = f"ASR {rate} %" if math.isfinite(summary.asr) else "ASR n/a"
    if aim.maximises:  # every example that was classified correctly ends as a success
        text = f"{percent(extra.get('changed_share', math.nan))} % of the words deleted"
    elif aim.keeps_prediction:
        rates = [f"{how} {percent(extra[f'{how}_asr'], count=attacked)} %" for how in ("raises", "remains")]
        rise = extra["median_rise"]
        rates += [f"median rise {points(rise)} points"] if math.isfinite(rise) else []
        text = f"{asr} ({', '.join(rates)})"
    else:
        text = f"{asr}, {_before_and_under(summary, has_clean_texts(described))}"
    if some := partial_coverage(summary.history()):
        text += f", a substitute in {some} texts"
    if cut := extra.get("texts_cut", 0.0):
        text += f", {percent(cut)} % of the texts cut"
    cost = f"{attacked} of {summary.num_examples} examples attacked, {summary.queries:.1f} queries each"
    text = f"{name}: {text} ({cost}, {summary.seconds:.0f} s)"
    stopped = stopping_sentence("it", summary.history())
    return f"{text}; {stopped.rstrip('.')}" if stopped else text


def _before_and_under(summary: AttackSummary, has_clean: bool) -> str:
    """Accuracy on the attack's examples before and under the attack."""
    clean, under = (
        percent(rate, count=summary.num_examples) for rate in (summary.extra["accuracy"], summary.robust_accuracy)
    )
    return f"accuracy {clean} -> under attack {under}" if has_clean else f"accuracy on its texts {under}"
