"""The hard-label search: what it promises of each text, and the same search written out one text at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from attack_parts import LetterEncoder, attack, examples, victim
from hypothesis import given, settings
from hypothesis import strategies as st
from population_parts import ToyVictim, rows
from tiny import build_model, table

from hf_robust.attacks import ATTACKS, Attack, Example, Resources, attack_dataset
from hf_robust.attacks.building import with_max_changed
from hf_robust.attacks.engine.black_box import BlackBox
from hf_robust.attacks.engine.plans import make_plan
from hf_robust.attacks.engine.requests import Consult, Score
from hf_robust.attacks.engine.trial import Trial
from hf_robust.attacks.parts.hard_label import HardLabel, _Search
from hf_robust.words import Text

TOY = ToyVictim()
SUBSTITUTES = ["good", "bad", "film", "plot", "warm", "cold", "music", "great", "poor", "story", "actor"]


def hlbb(**changes: Any) -> Attack:
    """The recipe with a rich table, so that a population has something to choose from."""
    words = {word: [other for other in SUBSTITUTES if other != word] for word in SUBSTITUTES}
    which = ATTACKS["hlbb"](Resources(synonyms=table(words, "synonym"), encoder=LetterEncoder()))
    search = HardLabel(**{"size": 8, "iterations": 6, "starts": 40, **changes})
    return dataclasses.replace(which, search=search, needs_candidates=False)


def by_label(asked: list[Any] | None = None) -> BlackBox:
    """The toy as a function that returns labels alone; ``asked`` gets the texts."""

    def predict(texts: list[Any]) -> list[int]:
        if asked is not None:
            asked.extend(texts)
        return [TOY.prediction((text,)) for text in texts]

    return BlackBox(predict, num_classes=2)


def similarity(text: Text, other: Text) -> float:
    first, second = LetterEncoder().encode([text.joined, other.joined]).astype(np.float64)
    cosine = np.clip(first @ second / np.linalg.norm(first) / np.linalg.norm(second), -1, 1)
    return round(float(1 - np.arccos(cosine) / np.pi), 5)


class Naive:
    """The search as the paper has it: every substitute is asked, and nothing is remembered."""

    def __init__(self, which: Attack, example: Example) -> None:
        self.search: Any = which.search
        self.text, self.label = Text(example.texts), example.label
        self.options = make_plan(which, example.texts).swaps
        self.rng = np.random.RandomState(which.seed + example.idx)

    def wrong(self, swaps: dict[int, str]) -> bool:
        return TOY.prediction(self.text.replace(swaps).columns) != self.label

    def near(self, swaps: dict[int, str]) -> float:
        return similarity(self.text, self.text.replace(swaps))

    def without(self, swaps: dict[int, str], index: int) -> dict[int, str]:
        return {other: new for other, new in swaps.items() if other != index}

    def start(self) -> dict[int, str] | None:
        words = sorted(self.options)
        for tried in range(len(words) + self.search.starts if words else 0):
            chosen = [words[place] for place in self.rng.permutation(len(words))[: tried + 1]]
            swaps = {index: self.options[index][self.rng.randint(len(self.options[index]))] for index in chosen}
            if self.wrong(swaps):
                return swaps
        return None

    def reduce(self, swaps: dict[int, str]) -> dict[int, str]:
        while True:
            fewer = {index: self.without(swaps, index) for index in sorted(swaps)}
            good = [index for index, one in fewer.items() if self.wrong(one)]
            if not good:
                return swaps
            for index in sorted(good, key=lambda index: -self.near(fewer[index])):
                if not self.wrong(self.without(swaps, index)):
                    break
                swaps = self.without(swaps, index)

    def mutate(self, swaps: dict[int, str], index: int) -> dict[int, str] | None:
        if self.wrong(self.without(swaps, index)):
            return self.without(swaps, index)
        made = [{**swaps, index: new} for new in self.options[index] if new != swaps[index]]
        made = [one for one in made if self.wrong(one) and self.near(one) >= self.near(swaps)]
        return max(made, key=self.near, default=None)

    def mutated(self, pairs: list[Any]) -> list[dict[int, str]]:
        return [one for one in (self.mutate(*pair) for pair in pairs) if one is not None]

    def run(self) -> tuple[str, ...] | None:
        first = self.start()
        if first is None:
            return None
        first = self.reduce(first)
        words = sorted(first)
        population = [first, *self.mutated([(first, index) for index in words])]
        best, same = max(population, key=self.near), 0
        for _ in range(self.search.iterations if len(words) > 1 else 0):
            if same >= self.search.patience:
                break
            chances = np.exp([self.near(one) for one in population])
            count = self.search.size - 1
            sides = [self.rng.choice(len(population), count, p=chances / chances.sum()) for _ in range(2)]
            children = []
            for pair in zip(*sides, strict=True):
                coins = self.rng.randint(2, size=len(words))
                parents = [population[pair[coin]] for coin in coins]
                child = {i: parent[i] for i, parent in zip(words, parents, strict=True) if i in parent}
                if self.near(child) >= self.near(best) and self.wrong(child):
                    children.append(child)
            drawn = self.rng.randint(len(words), size=len(children))
            population = [best, *self.mutated([(one, words[at]) for one, at in zip(children, drawn, strict=True)])]
            top = max(population, key=self.near)
            best, same = top, same + 1 if top == best else 0
        return self.text.replace(best).columns


def correct(count: int, seed: int = 0) -> list[Example]:
    return [row for row in rows(count, seed=seed) if TOY.prediction(row.texts) == row.label]


def test_the_outcome_is_that_of_the_search_written_out() -> None:
    which, shown = hlbb(), correct(60, seed=5)
    records = attack_dataset(which, by_label(), shown, progress=False)
    found = 0
    for record, example in zip(records, shown, strict=True):
        expected = Naive(which, example).run()
        assert (record.status == "succeeded") == (expected is not None)
        assert tuple(record.perturbed) == (example.texts if expected is None else expected)
        found += len(record.changed) > 1
    assert found > 5 and {record.status for record in records} == {"succeeded", "failed"}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*SUBSTITUTES, "was", "the"]), min_size=1, max_size=8), st.integers(0, 9))
def test_the_label_stays_wrong_and_the_similarity_never_falls(words: list[str], seed: int) -> None:
    text, values = Text((" ".join(words),)), []
    example = Example(0, text.columns, TOY.prediction(text.columns))
    for iterations in (0, 1, 3, 9):
        which = dataclasses.replace(hlbb(iterations=iterations), seed=seed)
        asked: list[Any] = []
        (record,) = attack_dataset(which, by_label(asked), [example], progress=False)
        # A text is asked once, and every text is one query.
        assert record.queries == len(asked) == len(set(asked))
        if record.status == "failed":
            assert record.perturbed == record.original and not values
            continue
        assert TOY.prediction(tuple(record.perturbed)) != example.label == record.original_prediction
        assert all(new in SUBSTITUTES and old in SUBSTITUTES for _, old, new in record.changed)
        values.append(similarity(text, Text(tuple(record.perturbed))))
    assert values == sorted(values)


def answered(steps: Any) -> Any:
    try:
        request = next(steps)
        while True:
            if isinstance(request, Score):
                request = steps.send(by_label().score(request.texts))
            else:
                assert isinstance(request, Consult)
                request = steps.send(request.model(request.inputs))
    except StopIteration as end:
        return end.value


def test_no_word_can_be_restored_after_the_reduction() -> None:
    which, reduced, fewer = hlbb(), 0, 0
    for example in correct(40, seed=2):
        trial = Trial(which, example, make_plan(which, example.texts))
        answered(trial.ask_clean())
        search = _Search(which.search, trial)
        start = answered(search.start())
        if start is None:
            continue
        member = answered(search.reduce(start))
        assert set(member.swaps.items()) <= set(start.swaps.items()) and member.swaps
        fewer += len(member.swaps) < len(start.swaps)
        for index in member.swaps:
            left = {other: new for other, new in member.swaps.items() if other != index}
            assert TOY.prediction(trial.text.replace(left).columns) == example.label
        reduced += 1
    assert reduced > 10 and fewer > 3


def test_it_stays_closer_than_as_many_random_texts() -> None:
    """Doing nothing keeps the label; random texts with the same number of queries are less similar."""
    which, rng = hlbb(), np.random.RandomState(0)
    near, far = [], []
    for record in attack_dataset(which, by_label(), correct(60, seed=5), progress=False):
        if record.status != "succeeded":
            continue
        text, options = Text(tuple(record.original)), make_plan(which, tuple(record.original)).swaps
        found = []
        for _ in range(record.queries):
            chosen = rng.permutation(sorted(options))[: rng.randint(len(options)) + 1]
            made = text.replace({int(index): options[index][rng.randint(len(options[index]))] for index in chosen})
            if TOY.prediction(made.columns) != record.label:
                found.append(similarity(text, made))
        if found:
            near.append(similarity(text, Text(tuple(record.perturbed))))
            far.append(max(found))
    assert len(near) > 15 and np.mean(near) > np.mean(far)
    assert np.mean(np.array(near) >= far) > 0.7


def test_labels_are_all_it_sees() -> None:
    target = victim(build_model(num_labels=3, seed=1))
    shown = examples(target, 20)

    def labels(texts: list[str]) -> list[int]:
        return [int(one.argmax()) for one in target.probabilities([(text,) for text in texts])]

    which = dataclasses.replace(attack("hlbb"), search=HardLabel(size=6, iterations=3, starts=20))
    by_scores = attack_dataset(which, target, shown, progress=False)
    alone = attack_dataset(which, BlackBox(labels, num_classes=3), shown, progress=False)
    assert {record.status for record in alone} == {"succeeded", "failed", "skipped"}
    for one, other in zip(by_scores, alone, strict=True):
        assert (one.status, one.perturbed, one.queries) == (other.status, other.perturbed, other.queries)
        assert other.original_score in (0.0, 1.0) and other.saturated is None


def test_limits_hold() -> None:
    shown = correct(40, seed=5)
    for record in attack_dataset(dataclasses.replace(hlbb(), query_budget=9), by_label(), shown, progress=False):
        assert record.queries <= 9
        assert (record.status == "succeeded") == (TOY.prediction(tuple(record.perturbed)) != record.label)
    records = attack_dataset(with_max_changed(hlbb(), 0.2), by_label(), shown, progress=False)
    assert any(record.status == "succeeded" for record in records)
    for record in records:
        assert len(record.changed) <= np.ceil(0.2 * len(Text(tuple(record.original)).words))


def test_what_is_missing_is_one_sentence() -> None:
    with pytest.raises(
        ValueError, match="the hlbb attack needs a sentence encoder, got none; pass --sentence_encoder"
    ):
        ATTACKS["hlbb"](Resources(synonyms=table({}, "synonym")))
    with pytest.raises(ValueError, match="the hlbb attack needs a synonym lexicon"):
        ATTACKS["hlbb"](Resources(encoder=LetterEncoder()))

    class Broken(LetterEncoder):
        def encode(self, sentences: Any) -> Any:
            return super().encode(sentences) * np.nan

    which = attack("hlbb", encoder=Broken())
    with pytest.raises(ValueError, match="the encoder letters gives embeddings that are not finite: use another one"):
        attack_dataset(which, victim(), examples(victim(), 12), progress=False)
    with pytest.raises(ValueError, match="a population needs at least 2 texts"):
        HardLabel(size=1)
