"""Obstinate views by the rule of the attack: its candidates are exactly the views that can be drawn."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from attacks.attack_parts import ANTONYMS, TAGS, attack, texts
from tiny import build_model, build_tokenizer, table

from hf_robust.attacks import Example, Plans, Victim, attack_dataset
from hf_robust.attacks.parts.constraints import NoStopWords
from hf_robust.views import AttackedAntonym, OneAntonym
from hf_robust.words import Text


class RecordingVictim(Victim):
    """A victim with equal probabilities for all texts, so that no antonym succeeds; it records its queries."""

    def __init__(self) -> None:
        model = build_model()
        with torch.no_grad():
            model.classifier.weight.zero_()
        super().__init__(model, build_tokenizer())
        self.asked: set[tuple[str, ...]] = set()

    def score(self, found: Any) -> Any:
        self.asked.update(map(tuple, found))
        return super().score(found)


def drawn(source: AttackedAntonym, text: Text, draws: int = 300) -> set[tuple[str, ...]]:
    views = [source(text, 0, random.Random(seed)) for seed in range(draws)]
    return {view.text.columns for view in views if view.ok}


@pytest.mark.parametrize("options", [{}, {"tagger": None}, {"frozen_columns": frozenset({0})}], ids=str)
def test_views_are_the_candidates_that_the_attack_asks_about(options: dict[str, Any]) -> None:
    which = attack("antonym", **options)
    source = AttackedAntonym(which, Plans())
    both = 0
    for columns in texts(25, 2, seed=3):
        victim = RecordingVictim()
        label = int(victim.probabilities([columns])[0].argmax())
        attack_dataset(which, victim, [Example(0, columns, label)], check_candidates=False)
        found = drawn(source, Text(columns))
        assert found == victim.asked - {columns}
        both += len(found) > 1
    assert both > 10


def test_the_rule_is_stop_words_and_part_of_speech() -> None:
    """Computed by hand: no stop word, and the same tag as the word."""
    which = attack("antonym")
    (stop_words,) = (rule.words for rule in which.constraints if isinstance(rule, NoStopWords))
    source = AttackedAntonym(which, Plans())
    for columns in texts(40, 1, seed=5):
        text = Text(columns)
        expected = {
            text.replace({at: new if word.islower() else new.title() if word.istitle() else new.upper()}).columns
            for at, word in enumerate(text.tokens)
            if word not in stop_words
            for new in ANTONYMS.get(word.lower(), ())
            if TAGS.get(new, "NN") == TAGS.get(word.lower(), "NN")
        }
        assert drawn(source, text) == expected
    assert not drawn(AttackedAntonym(which, Plans(), frozenset({0})), Text(("good film",)))


def test_each_word_is_as_likely_and_then_each_antonym() -> None:
    source, rng = AttackedAntonym(attack("antonym"), Plans()), random.Random(0)
    found = Counter(source(Text(("good warm",)), 0, rng).text.columns[0] for _ in range(4000))
    # "chilly" is an adverb here and so no candidate for "warm".
    assert set(found) == {"bad warm", "awful warm", "poor warm", "good cold"}
    assert abs(found["good cold"] - 2000) < 130 and abs(found["bad warm"] - 667) < 100  # four standard deviations


def test_words_behind_the_cut_are_not_drawn() -> None:
    source = AttackedAntonym(attack("antonym"), Plans())
    views = [source(Text(("good warm cold",)), 0, random.Random(seed), read={1}) for seed in range(20)]
    assert {(view.changed, view.text.columns) for view in views} == {((1,), ("good cold cold",))}
    assert not source(Text(("good film",)), 0, random.Random(0), read={1}).ok
    rows = [(Text(("good film",)), 0, read) for read in (None, {0}, {1})]
    assert source.prepare(iter(rows), 3) == 2


def test_plans_are_made_once_and_shared_with_the_attack(tmp_path: Path) -> None:
    which = attack("antonym")
    rows = [(Text(columns), index % 2) for index, columns in enumerate(texts(12))]
    tagger: Any = next(rule.tagger for rule in which.constraints if hasattr(rule, "tagger"))
    source = AttackedAntonym(which, Plans(tmp_path), frozenset({1}))
    planned = [(*row, None) for row in rows]
    count = source.prepare(iter(planned), len(rows))
    assert count == sum(label == 0 and bool(source.candidates(text)) for text, label in rows)
    calls = tagger.calls
    assert calls > 0
    before = [source(text, label, random.Random(1)) for text, label in rows]
    again = AttackedAntonym(which, Plans(tmp_path), frozenset({1}))
    assert again.prepare(iter(planned), len(rows)) == count and tagger.calls == calls
    for other in (again, pickle.loads(pickle.dumps(source))):  # noqa: S301, loader workers get it so
        assert [other(text, label, random.Random(1)) for text, label in rows] == before
    for text, label in rows:
        if label == 0:
            assert Plans(tmp_path).get(which, Example(0, text.columns, 0)).swaps == source.candidates(text)


def test_the_authors_rule_draws_stop_words_too() -> None:
    lexicon = table({"is": ["differ"], "good": ["bad"]}, "antonym")
    text = Text(("it is good",))
    assert drawn(OneAntonym(lexicon), text) == {("it differ good",), ("it is bad",)}  # type: ignore[arg-type]
    assert drawn(AttackedAntonym(attack("antonym", antonyms=lexicon, tagger=None), Plans()), text) == {("it is bad",)}
