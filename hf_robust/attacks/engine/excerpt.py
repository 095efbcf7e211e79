"""``Excerpt``: the start of a long text that an attack works on, so that words behind the cut cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.engine.classifier import Classifier
from hf_robust.attacks.engine.requests import Columns
from hf_robust.metrics import AttackRecord
from hf_robust.words import Text

StartReader = Callable[[Columns], Columns]


@dataclass(frozen=True)
class Excerpt:
    """The part of an example that an attack works on, and the ``rest`` of its last column, which stays as it is.

    The part is the ``Classifier.readable`` start, twice as many words as the model reads tokens: plans, texts of a
    search and their words do not depend on what follows. An attack that may change words behind the cut, or that
    deletes words without end, works on the whole text.
    """

    example: Example
    rest: str = ""

    def part_of(self, columns: Columns) -> Columns | None:
        """Another text of the example without the rest; None if it does not end with the rest."""
        if not columns[-1].endswith(self.rest):
            return None
        return (*columns[:-1], columns[-1].removesuffix(self.rest))

    def with_rest(self, record: AttackRecord) -> AttackRecord:
        """The record of the whole example."""
        texts = ([*columns[:-1], columns[-1] + self.rest] for columns in (record.original, record.perturbed))
        original, perturbed = texts
        return replace(record, original=original, perturbed=perturbed)


def excerpt_of(attack: Attack, example: Example, classifier: Classifier | None) -> Excerpt:
    """The part of an example that the attack works on; all of it without a classifier."""
    if classifier is None or not attack.leaves_unread_words or attack.goal.maximises:
        return Excerpt(example)
    reader = start_reader(Text(example.texts, attack.word_rule), classifier)
    start = example.texts if reader is None else reader(example.texts)
    # In a record words of a second column are numbered behind all words of the first.
    if start == example.texts or start[:-1] != example.texts[:-1]:
        return Excerpt(example)
    return Excerpt(example._replace(texts=start), example.texts[-1][len(start[-1]) :])


def start_reader(text: Text, classifier: Classifier) -> StartReader | None:
    """``Classifier.readable`` for a text whose start is enough; None for a text to be read as a whole."""
    start = classifier.readable(text.columns)
    # A start of characters that are hardly any tokens does not fill the model's window.
    is_enough = start != text.columns and classifier.words_read(text.like(start)) is not None
    return classifier.readable if is_enough else None
