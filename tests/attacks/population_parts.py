"""What the tests of the population searches share: tables, a model by formula, and small searches."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from attack_parts import TAGS, TableTagger, texts
from tiny import table

from hf_robust.attacks import ATTACKS, Attack, Example, Resources
from hf_robust.attacks.engine.requests import Scores
from hf_robust.attacks.parts.genetic_search import Genetic, ImprovedGenetic
from hf_robust.attacks.parts.levy_swarm import LevySwarm
from hf_robust.attacks.parts.particle_swarm import ParticleSwarm
from hf_robust.attacks.parts.word_distance import WordVectors
from hf_robust.lexicons.sememes import SememeTable
from hf_robust.metrics import AttackRecord
from hf_robust.words import Text

NAMES = ("genetic", "faster_genetic", "iga", "pso", "leap")
SWARMS = {"pso": ParticleSwarm, "leap": LevySwarm}
OUTCOMES = Path(__file__).with_name("population_outcomes.json")
SYNONYMS = {
    "good": ["fine", "great", "warm", "poor"],
    "bad": ["awful", "poor", "cold", "fine"],
    "film": ["movie", "plot", "story"],
    "plot": ["story", "ending", "film"],
    "warm": ["tender", "good", "cold"],
    "cold": ["chilly", "bad", "awful"],
    "music": ["actor", "ending"],
    "was": ["is"],
    "fine": ["good", "great"],
    "poor": ["bad", "awful"],
    "story": ["plot", "ending"],
    "actor": ["music", "story", "movie"],
}
STOP_WORDS = frozenset(["the", "and", "with", "very"])
WORDS = sorted({*SYNONYMS, *(new for words in SYNONYMS.values() for new in words)})
NUMBERS = np.random.default_rng(5).normal(scale=0.16, size=(len(WORDS), 8)).astype(np.float32)
PARTS = {"JJ": "adj", "NN": "noun", "VBD": "verb", "RB": "adv"}
SEMEMES = {word: {PARTS[TAGS[word]]: news} for word, news in SYNONYMS.items() if TAGS.get(word) in PARTS}

# (columns, first column frozen, query budget, crossed texts checked)
SETTINGS: list[tuple[int, bool, int | None, bool]] = [
    (1, False, None, False),
    (2, True, None, True),
    (1, False, 40, True),
    (2, False, 97, False),
]


@cache
def value(word: str, least: float, most: float) -> float:
    """A number of each word's own, in sixteenths, so that sums of some are exact."""
    return round(16 * random.Random(word.lower()).uniform(least, most)) / 16


class ToyLanguageModel:
    """Words have fixed log probabilities of their own."""

    name = "toy"

    def words(self, words: Sequence[str]) -> float:
        return sum(value(word, -8, 0) for word in words)

    def log_probabilities(self, inputs: Sequence[tuple[str, str]]) -> list[float]:
        return [self.words(text.split()) for _, text in inputs]

    first_pieces = log_probabilities

    def fingerprint(self) -> str:
        return "toy"


class Synsets:
    """A thesaurus with the synonyms as lemmas."""

    def lemmas(self, word: str) -> list[str]:
        return SYNONYMS.get(word.lower(), [])

    def describe(self) -> dict[str, Any]:
        return {"name": "synsets"}

    def fingerprint(self) -> str:
        return "synsets"


class ToyVictim:
    """A classifier of two classes by formula: words have weights, which their neighbours' pull about.

    No noise of batching; remembers every text it was asked for.
    """

    device = "cpu"
    num_classes = 2
    multi_label = labels_only = False

    def __init__(self) -> None:
        self.queries, self.asked = 0, list[tuple[str, ...]]()

    @contextmanager
    def measuring(self, seed: int = 0) -> Iterator[None]:
        yield

    def words_read(self, text: Text) -> None:
        """It reads all words."""

    def readable(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        return columns

    def score(self, texts: Sequence[tuple[str, ...]]) -> Scores:
        self.queries += len(texts)
        self.asked += texts
        rows = np.array([self.row(columns) for columns in texts], dtype=np.float32).reshape(-1, 2)
        return Scores(rows, [" | ".join(columns).encode() for columns in texts])

    def row(self, columns: tuple[str, ...]) -> list[float]:
        words = Text(columns).tokens
        total = sum(value(word, -3, 3) for word in words)
        total += sum(value(first + second, -1, 1) for first, second in zip(words, words[1:], strict=False))
        second_class = 1 / (1 + float(np.exp(-total / 2)))
        return [1 - second_class, second_class]

    def prediction(self, columns: tuple[str, ...]) -> int:
        return int(np.argmax(self.row(columns)))


def rows(count: int, columns: int = 1, seed: int = 0) -> list[Example]:
    """Examples that the toy classifies correctly, but for every fifth, and of which it is fairly sure."""
    toy = ToyVictim()
    found = sorted(texts(3 * count, columns, seed), key=lambda one: min(toy.row(one)))[:count]
    return [Example(3 * index, one, toy.prediction(one) ^ (index % 5 == 4)) for index, one in enumerate(found)]


def resources(name: str, **changes: Any) -> Resources:
    parts = {
        "synonyms": table(SYNONYMS, "synonym"),
        "stop_words": STOP_WORDS,
        "tagger": TableTagger(),
        "word_vectors": WordVectors(WORDS, NUMBERS, "test"),
        "language_model": ToyLanguageModel() if name == "faster_genetic" else None,
        "sememes": SememeTable(SEMEMES),
        "thesaurus": Synsets(),
    }
    return Resources(**{**parts, **changes})


def small(name: str, checks: bool | None = None, **changes: Any) -> Any:
    """The search of a recipe with a population of 12 and 5 iterations."""
    if name in SWARMS:
        return SWARMS[name](12, 5, check_turns=True if checks is None else checks, **changes)
    kind = ImprovedGenetic if name == "iga" else Genetic
    return kind(12, 5, check_children=bool(checks), **changes)


def attack(name: str, search: Any = None, **changes: Any) -> Attack:
    """A recipe with a small search."""
    which = ATTACKS[name](resources(name, **changes))
    return dataclasses.replace(which, search=small(name) if search is None else search)


def in_setting(name: str, setting: tuple[int, bool, int | None, bool]) -> tuple[Attack, list[Example]]:
    """The attack and the examples of one of SETTINGS."""
    columns, frozen, budget, checks = setting
    changes = {"frozen_columns": frozenset({0} if frozen else ()), "query_budget": budget}
    return attack(name, small(name, checks), **changes), rows(20, columns, seed=columns)


def outcome(record: AttackRecord) -> list[Any]:
    return [record.status, record.perturbed, record.queries]


def stored() -> dict[str, list[Any]]:
    """TextAttack 0.3.11's outcomes by recipe and setting."""
    found: dict[str, list[Any]] = json.loads(OUTCOMES.read_text(encoding="utf-8"))
    return found


def key(name: str, setting: tuple[int, bool, int | None, bool]) -> str:
    return f"{name} {json.dumps(setting)}"
