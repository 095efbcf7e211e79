"""``BlackBox``: a classifier of which only the scores or the labels of texts are known, such as an endpoint."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import torch

from hf_robust.attacks.engine.answers import SharedAnswers
from hf_robust.attacks.engine.outputs import Outputs, kind_of, probabilities_and_logits, read_answer, rows_of_labels
from hf_robust.attacks.engine.requests import (
    Columns,
    Flip,
    Flips,
    Floats,
    Insertion,
    NewSuffix,
    Scores,
    SuffixSwaps,
    columns_key,
)
from hf_robust.attacks.engine.seeded import seeded
from hf_robust.words import Text

logger = logging.getLogger(__name__)

Predict = Callable[[list[Any]], Any]
FIRST_WAIT = 0.5
"""Seconds before the first retry; each further retry waits twice as long."""


class BlackBox:
    """A function of texts as the classifier under attack: ``predict(texts)`` returns scores or labels.

    ``texts`` is a list of strings, or of tuples of two strings for data of two text columns. The scores
    [texts, classes] are probabilities or logits; those of the first texts tell which, and all later ones must be of
    the same kind. Every distinct text of a request is asked once, longest first, in batches. A text's scores must not
    depend on the other texts.

    Labels alone [texts] are enough for attacks that climb no score (``Attack.needs_scores``). A label is the name of a
    class or its number; as a row of scores it is 1 for this class and 0 for the others.

    It reads all words. There are no gradients, so attacks that need them are refused.

    Args:
        predict: the function; a model that it runs must be in eval mode.
        name: its name in results, errors and journals.
        num_classes: the number of classes, if it is known; else the first answer tells.
        outputs: "probabilities", "logits" or "labels"; None to tell from the first answer.
        batch_size: maximum number of texts in one call.
        retries: how often a call that raised an exception is tried again, after 0.5, 1, 2, ... seconds.
        rate: maximum number of texts per second; None for no limit.

    Attributes:
        queries: number of texts scored so far.
        forwarded: number of texts that were asked, each distinct one of a request once.
        forwards: number of calls that were answered.
        answers: scores shared by the attacks of one evaluation; ``answers.recalled`` counts texts not asked again.
        retried: number of calls that raised an exception and were tried again.
        sharers: number of processes that share the rate.
        class_names: names of the classes by id, which labels are compared with; empty if they are unknown.
        find_classes: returns these names where the function returns labels and the names are unknown; None for none.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        name: str = "the victim",
        num_classes: int | None = None,
        outputs: Outputs | None = None,
        batch_size: int = 64,
        retries: int = 0,
        rate: float | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"--victim_batch_size must be at least 1, got {batch_size}.")
        if retries < 0:
            raise ValueError(f"--victim_retries must be 0 or more, got {retries}.")
        if rate is not None and rate <= 0:
            raise ValueError(f"--victim_rate must be above 0 texts per second, got {rate:g}.")
        self.predict, self.name, self.num_classes, self.outputs = predict, name, num_classes, outputs
        self.batch_size, self.retries, self.rate = batch_size, retries, rate
        self.queries = self.forwarded = self.forwards = self.retried = 0
        self.answers = SharedAnswers()
        self.sharers = 1
        self.class_names: tuple[str, ...] = ()
        self.find_classes: Callable[[], Sequence[str]] | None = None
        self._free_at = 0.0

    @property
    def device(self) -> torch.device:
        """A GPU if there is one, for the models of an attack's parts."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def multi_label(self) -> bool:
        """False: a function returns scores of classes."""
        return False

    @property
    def labels_only(self) -> bool:
        """Whether the function returns labels without scores; False as long as it was not asked."""
        return self.outputs == "labels"

    @property
    def mask_token(self) -> str:
        """Refused, since a function of texts has no mask token.

        Raises:
            ValueError: always.
        """
        return self._refuse("masking words by gradient")

    def words_read(self, text: Text) -> None:
        """None: the function gets all words."""

    def readable(self, columns: Columns) -> Columns:
        """The columns: the function gets whole texts."""
        return columns

    @contextmanager
    def measuring(self, seed: int = 0) -> Iterator[None]:
        """Context with seeded random states, which are restored."""
        with seeded(seed, self.device):
            yield

    def score(self, texts: Sequence[Columns]) -> Scores:
        """Class probabilities, logits and the key of each text's columns.

        Raises:
            ValueError: the function failed in all tries, or did not return scores.
        """
        self.queries += len(texts)
        if not texts:
            return Scores(np.empty((0, self.num_classes or 0), dtype=np.float32), [])
        keys = self.sequences(texts)
        distinct = dict(zip(keys, texts, strict=True))
        known = [key for key in distinct if key in self.answers]
        new = sorted((key for key in distinct if key not in self.answers), key=lambda key: -_size(distinct[key]))
        starts = range(0, len(new), self.batch_size)
        parts = [self._ask([distinct[key] for key in new[start : start + self.batch_size]]) for start in starts]
        if parts:
            self.answers.keep(new, np.concatenate(parts))
        rows = np.concatenate([*parts, self.answers.recall(known)] if known else parts)
        if self.outputs is None:
            self.outputs = kind_of(rows, self.name)
            logger.info("%s returns %s.", self.name, self.outputs)
        places = {key: place for place, key in enumerate([*new, *known])}
        order = [places[key] for key in keys]
        if self.labels_only:
            return Scores(rows[order].astype(np.float32), keys)
        probabilities, logits = probabilities_and_logits(rows, self.outputs, self.name)
        return Scores(probabilities[order], keys, logits=logits[order])

    def sequences(self, texts: Sequence[Columns]) -> list[bytes]:
        """A key of each text's columns."""
        return [columns_key(columns) for columns in texts]

    def check_saliency(self, purpose: str = "ranking words by gradient") -> None:
        """Refused, since a function of texts has no gradients.

        Raises:
            ValueError: always.
        """
        self._refuse(purpose)

    def saliency(self, texts: Sequence[Text], loss: str = "probability") -> list[Floats]:
        """Refused; see ``check_saliency``."""
        return self._refuse("ranking words by gradient")

    def flips(
        self, requests: Sequence[Flips], loss: str = "probability", target: int | None = None
    ) -> list[list[Flip]]:
        """Refused; see ``check_saliency``."""
        return self._refuse("flipping words by gradient")

    def new_suffixes(self, requests: Sequence[NewSuffix]) -> list[Insertion | None]:
        """Refused; see ``check_saliency``."""
        return self._refuse("a suffix of tokens")

    def suffix_swaps(
        self, requests: Sequence[SuffixSwaps], loss: str = "probability", target: int | None = None
    ) -> list[list[Insertion]]:
        """Refused; see ``check_saliency``."""
        return self._refuse("a suffix of tokens")

    def describe(self) -> dict[str, Any]:
        """The black box's entry in the run card; JSON-ready."""
        return {
            "outputs": self.outputs,
            "batch_size": self.batch_size,
            "rate": self.rate,
            "asked": self.forwarded,
            "retried": self.retried,
        }

    def _refuse(self, purpose: str) -> NoReturn:
        given = "labels" if self.labels_only else "scores"
        raise ValueError(
            f"{purpose} needs gradients, and {self.name} gives only {given}; use attacks that need {given} only "
            "(--attack_ranking random replaces a ranking by gradient), or give the model and its tokenizer."
        )

    def _ask(self, texts: Sequence[Columns]) -> Floats:
        """The scores [n, K] of one batch, as the function returned them; of labels, rows of 0 and 1."""
        answer = self._call([columns[0] if len(columns) == 1 else columns for columns in texts])
        rows = read_answer(answer, len(texts), self.name)
        self.forwarded += len(texts)
        self.forwards += 1
        if self.outputs is None and rows.ndim == 1:
            self.outputs = "labels"
            logger.info("%s returns labels alone.", self.name)
        if (rows.ndim == 1) != self.labels_only:
            kind = "labels" if rows.ndim == 1 else "scores"
            raise ValueError(
                f"{self.name} returned {kind} and no {self.outputs}: return the same kind for every text."
            )
        if self.labels_only:
            if not self.class_names and self.find_classes is not None:
                self.class_names = tuple(self.find_classes())
            return rows_of_labels(rows, self.class_names, self.num_classes, self.name)
        if self.num_classes is None:
            self.num_classes = rows.shape[1]
        if rows.shape[1] != self.num_classes:
            raise ValueError(
                f"{self.name} returned scores of {rows.shape[1]} classes and has {self.num_classes}: name each class "
                "once, in the order of the scores."
            )
        return rows

    def _call(self, texts: list[Any]) -> Any:
        """The function's answer; a call that raises is tried again."""
        for failures in range(self.retries + 1):
            self._wait(len(texts))
            try:
                return self.predict(texts)
            except Exception as error:
                if failures == self.retries:
                    tries = f" {self.retries + 1} times" * bool(self.retries)
                    raise ValueError(
                        f"{self.name} failed{tries} on {len(texts)} texts with {type(error).__name__}: {error}"
                    ) from error
                logger.info("%s failed with %s: %s; trying again.", self.name, type(error).__name__, error)
                self.retried += 1
                time.sleep(FIRST_WAIT * 2**failures)
        raise AssertionError("unreachable")

    def _wait(self, count: int) -> None:
        """Wait until ``count`` more texts keep this process's share of the rate."""
        if self.rate is None:
            return
        now = time.monotonic()
        time.sleep(max(self._free_at - now, 0))
        self._free_at = max(now, self._free_at) + count * self.sharers / self.rate


def _size(columns: Columns) -> int:
    return sum(map(len, columns))
