"""Universal triggers: the same few words in front of every text of a class, found on some rows, measured on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.engine.requests import Columns, Insertion, Steps
from hf_robust.attacks.parts.candidates import Candidates
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.insertion import WithInsertion
from hf_robust.words import TEXTATTACK_WORDS, Text

if TYPE_CHECKING:
    from hf_robust.attacks.engine.trial import Trial
    from hf_robust.attacks.engine.victim import Victim

LENGTH, CANDIDATES, WIDTH, MOST_ROUNDS = 3, 40, 1, 20
"""Words of a trigger, candidates of each word, and width of the beam, as in the released code; and a stop."""
FIRST = "the"
"""The word of a first trigger, as in the paper."""
_OBJECTIVE = "miss"


class Trigger(NamedTuple):
    """A trigger of one class.

    Attributes:
        words: its words, apart by spaces.
        objective: mean of ``log(1 - p_label)`` of the rows with it, in nats; 0 if no row can be classified correctly.
        tried: number of triggers that were scored on all rows.
        queries: number of texts that were scored.
    """

    words: str
    objective: float
    tried: int
    queries: int


def find_trigger(
    victim: Victim,
    examples: Sequence[Example],
    *,
    length: int = LENGTH,
    candidates: int = CANDIDATES,
    width: int = WIDTH,
) -> Trigger:
    r"""Wallace et al. 2019 (arXiv:1908.07125), Section 2: a trigger that changes the prediction of a class's texts.

    With the rows x of one class y it maximises :math:`J(t) = \frac1n\sum_x \log(1 - p_y(t \oplus x))`, t before the
    text. For two classes this is the paper's objective, minus the cross-entropy of the other class; with more it is
    reached by any other class. From "the the the", each round computes the ``candidates`` best words of each place,

    .. math:: \arg\max_{w \in V}\; (e_w - e_{t_i}) \cdot \nabla_{e_{t_i}} J(t),

    then goes through the places from left to right and scores the candidates of each text of a beam on all rows. It
    ends when a round does not raise J. Words are those of ``Victim.vocabulary``, of one token each.

    Differs from the paper: all rows are one batch, where the code draws batches of 128 and keeps the last trigger; and
    a trigger is only replaced by a better one. For sentiment the paper leaves out the words of a sentiment lexicon;
    here every word of the vocabulary is allowed, so a trigger of such words changes what the text says.

    Args:
        examples: rows of one class.
        width: width of the beam; 1, as in the code, takes the best candidate of a place before the next place.

    Raises:
        ValueError: the tokenizer is not a fast one or has no whole words, or there is no row.
    """
    _check_class(examples)
    vocabulary = victim.vocabulary.words
    words = (FIRST if FIRST in vocabulary else vocabulary[0],) * length
    begun, tried = victim.queries, 1
    (best,) = _objectives(victim, examples, [words])
    for _ in range(MOST_ROUNDS):
        before, beam = best, [(best, words)]
        for place, flips in enumerate(_candidates(victim, examples, words, candidates)):
            options = {(*found[:place], new, *found[place + 1 :]) for _, found in beam for new in flips}
            new = sorted(options.difference(found for _, found in beam))
            tried += len(new)
            beam += zip(_objectives(victim, examples, new), new, strict=True)
            beam = sorted(beam, key=lambda scored: -scored[0])[:width]
        best, words = beam[0]
        if best <= before:
            break
    return Trigger(" ".join(words), best, tried, victim.queries - begun)


def random_trigger(
    victim: Victim, examples: Sequence[Example], tried: int, seed: int, length: int = LENGTH
) -> Trigger:
    """The control: the best of ``tried`` triggers of random words, by the same objective on the same rows."""
    _check_class(examples)
    rng, vocabulary, begun = np.random.RandomState(seed), victim.vocabulary.words, victim.queries
    drawn = [tuple(vocabulary[row] for row in rows) for rows in rng.randint(len(vocabulary), size=(tried, length))]
    objectives = list(_objectives(victim, examples, drawn))
    best = int(np.argmax(objectives))
    return Trigger(" ".join(drawn[best]), objectives[best], tried, victim.queries - begun)


def with_trigger(columns: Columns, words: str) -> Insertion:
    """The text with a trigger before its last column: before the hypothesis of a pair, as in the paper."""
    *before, text = columns
    return Insertion((*before, f"{words} {text}"), len(before), 0, len(words))


@dataclass(frozen=True)
class Triggers(Candidates):
    """The triggers that an attack puts before texts, by label id."""

    planned = False
    words: Mapping[int, str]

    def describe(self) -> dict[str, Any]:
        return {"name": "triggers", "words": {str(label): words for label, words in self.words.items()}}

    def fingerprint(self) -> str:
        return str(sorted(self.words.items()))


def trigger_attack(name: str, triggers: Mapping[int, str]) -> Attack:
    """The attack that puts the trigger of its class before each text: two queries, one for the clean text."""

    def trigger(trial: Trial) -> Steps[str]:
        if trial.limit_reached:
            return trial.limit_reached
        draft = WithInsertion(trial.clean, with_trigger(trial.text.columns, triggers[trial.example.label]))
        scored = yield from trial.ask([draft.text])
        trial.num_candidates += 1
        trial.take(draft, scored.row(0))
        return "success" if scored.reached[0] else "exhausted"

    return Attack(name=name, goal=Misclassify(), candidates=Triggers(dict(triggers)), search=trigger, scores=None)


def _check_class(examples: Sequence[Example]) -> None:
    if len({example.label for example in examples}) != 1:
        raise ValueError("a trigger is found on rows of one class; give at least one row, and each class alone.")


def _candidates(victim: Victim, examples: Sequence[Example], words: Sequence[str], k: int) -> list[list[str]]:
    """The ``k`` best words of each place of a trigger, by the mean gradient over the rows."""
    added = [with_trigger(example.texts, " ".join(words)) for example in examples]
    # TextAttack's words, since each word of the vocabulary is one of them.
    texts = [Text(insertion.columns, TEXTATTACK_WORDS) for insertion in added]
    numbers = [
        [row for row, word in enumerate(text.words) if word.column == insertion.column][: len(words)]
        for text, insertion in zip(texts, added, strict=True)
    ]
    return victim.common_flips(texts, [example.label for example in examples], numbers, k, _OBJECTIVE)


def _objectives(victim: Victim, examples: Sequence[Example], triggers: Sequence[Sequence[str]]) -> Iterator[float]:
    """J of each trigger, in float64."""
    for words in triggers:
        scores = victim.score([with_trigger(example.texts, " ".join(words)).columns for example in examples])
        assert scores.logits is not None
        logits = np.asarray(scores.logits, dtype=np.float64)
        others = np.delete(logits, examples[0].label, axis=1)
        values = np.logaddexp.reduce(others, axis=1) - np.logaddexp.reduce(logits, axis=1)
        yield float(values.mean())
