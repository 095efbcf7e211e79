"""Certify a vote, or the network itself by interval bounds, at the end of training or of each epoch."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.trainer_utils import EvalLoopOutput

from hf_robust.attacks import Example, Victim
from hf_robust.attacks.engine.journal import classifier_of
from hf_robust.callbacks.best_metric import ExpectedMetrics
from hf_robust.callbacks.measurement import Measurement, Part
from hf_robust.certify import (
    INTERVALS,
    CertifySettings,
    Draws,
    Smoothing,
    certify_key,
    certify_on_ranks,
    check_draws,
)
from hf_robust.certify.intervals import check_bounded
from hf_robust.certify.swaps import certify_swaps
from hf_robust.metrics import Certificate, CertificateSummary
from hf_robust.runs import CERTIFICATES_FOLDER, JOURNAL_FOLDER, Ranks, write_certificates


class CertifyCallback(Measurement):
    r"""Certify held-out examples against every swap of words by a table, or every change of a number of words.

    ``Measurement`` says when.

    >>> callback = CertifyCallback(Smoothing(lexicon), CertifySettings(), examples).attach(trainer)  # doctest: +SKIP

    Ye, Gong and Liu 2020, arXiv:2005.14424, Section 3; Zeng et al. 2021, arXiv:2105.03743, for masks.
    ``eval_certified_accuracy`` is the share of examples whose correct vote no swaps can change (with masks: no change
    of one word), ``eval_smoothed_accuracy`` the share that the vote predicts correctly, and
    ``eval_abstained`` the share on which the vote abstains; the first has an interval (``_low``, ``_high``), and
    ``eval_certify_seconds`` is the time. The certificate is for a vote over many draws: the plain network, which
    ``eval_accuracy`` and the attacks measure, has none. With the rule ``intervals`` it is for the plain network, an
    LSTM or a CNN of this package, ``eval_smoothed_accuracy`` is its accuracy on these examples, and nothing is drawn.

    Each rank certifies a share, and all ranks get the same numbers. Finished examples are journalled under a key of
    the weights, the table, the settings and the data, so that they are voted on once. The history line has the rates
    under ``certified``; ``certificates/epoch-<e>.jsonl`` has the certificate of each example.

    Args:
        smoothing: the table or the mask rate, and the seed of the draws.
        settings: number of draws, and how they are counted; or the rule ``intervals``, for a table.
        examples: the examples to certify, the same in every epoch; ``idx`` must be distinct.
        strategy, max_length, token_budget: as in ``Measurement``.

    Attributes:
        seconds: wall-clock seconds spent on certificates so far, under the key ``certify``.

    Raises:
        ValueError: there is no example, or the draws change none of their words.
    """

    singular, plural, flag = "A certificate", "the certificates", "--certify"

    def __init__(
        self,
        smoothing: Draws,
        settings: CertifySettings,
        examples: Sequence[Example],
        *,
        strategy: str = "end",
        max_length: int | None = None,
        token_budget: int | None = None,
    ) -> None:
        super().__init__(strategy, max_length, token_budget)
        if not examples:
            raise ValueError("There is no example to certify; pass at least one row of evaluation data.")
        check_draws(smoothing, settings)
        smoothing.require_effect([smoothing.text(example.texts) for example in examples])
        self.smoothing, self.settings, self.examples = smoothing, settings, list(examples)
        self.seconds = {"certify": 0.0}

    def describe(self) -> dict[str, Any]:
        """Settings, table and coverage for the run card; JSON-ready."""
        coverage = self.smoothing.coverage(self.smoothing.text(example.texts) for example in self.examples)
        described = {**self.settings.describe(), **self.smoothing.describe(), "coverage": coverage.describe()}
        return {**described, "num_examples": len(self.examples)}

    def _has_work(self) -> bool:
        return True

    def extended(self, expected: ExpectedMetrics) -> ExpectedMetrics:
        return dataclasses.replace(expected, certify=self.strategy)

    def _check(self) -> None:
        self.settings.check_classes(self._num_labels())
        if self.settings.rule == INTERVALS:
            check_bounded(self._victim().model.config)

    def _num_labels(self) -> int:
        config: Any = self._victim().model.config
        return int(config.num_labels)

    def _measure(self, output: EvalLoopOutput) -> Part | None:
        trainer, start = self.trainer, time.perf_counter()
        assert trainer is not None and output.metrics is not None
        certificates, seconds = self._certify(self._victim())
        summary = CertificateSummary.from_certificates(certificates, self.settings.votes, self.settings.alpha, seconds)
        output.metrics.update({f"eval_{key}": value for key, value in summary.metrics().items()})
        self.seconds["certify"] += time.perf_counter() - start
        folder = Path(str(trainer.args.output_dir)) / CERTIFICATES_FOLDER

        def write(epoch: str) -> None:
            write_certificates(folder / f"{epoch}.jsonl", certificates)

        return Part("certified", {"certified": summary.history()}, rates_in_words(summary), write)

    def _certify(self, victim: Victim) -> tuple[list[Certificate], float]:
        """The certificates of all examples in order of ``idx`` and the seconds of the slowest rank, on every rank."""
        trainer = self.trainer
        assert trainer is not None
        args = trainer.args
        ranks = Ranks(args.process_index, args.world_size)
        with victim.measuring(self.smoothing.seed):
            if self.settings.rule == INTERVALS:
                assert isinstance(self.smoothing, Smoothing)
                return certify_swaps(victim, self.examples, self.smoothing, ranks)
            return certify_on_ranks(
                lambda texts: victim.probabilities(texts).argmax(-1),
                self.examples,
                self.smoothing,
                self.settings,
                certify_key(classifier_of(victim), self.examples, self.smoothing, self.settings),
                num_labels=self._num_labels(),
                journals=Path(str(args.output_dir)) / JOURNAL_FOLDER,
                ranks=ranks,
                progress=trainer.is_world_process_zero() and not args.disable_tqdm,
            )


def rates_in_words(summary: CertificateSummary) -> str:
    """The rates of the certificates in percent, for the line that is printed for an epoch."""
    if not summary.votes:
        certified = f"certified accuracy {100 * summary.certified_accuracy:.1f} by interval bounds"
        return f"{certified} ({summary.num_examples} examples, {summary.seconds:.0f} s)"
    cost = f"{summary.num_examples} examples, {summary.votes} votes each, {summary.seconds:.0f} s"
    rates = f"{100 * summary.certified_accuracy:.1f}, of the vote {100 * summary.smoothed_accuracy:.1f}"
    return f"certified accuracy {rates} ({cost})"
