"""The population searches beside TextAttack's, reseeded for each example: same status, same text, same queries."""

from __future__ import annotations

import dataclasses
import random
from collections import OrderedDict
from collections.abc import Sequence
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from attack_parts import TAGS, TableTagger, examples
from tiny import build_model, build_tokenizer, table

from hf_robust.attacks import ATTACKS, Example, Resources, Victim, attack_dataset
from hf_robust.attacks.genetic_search import Genetic, ImprovedGenetic
from hf_robust.attacks.particle_swarm import ParticleSwarm
from hf_robust.attacks.requests import Scores
from hf_robust.attacks.word_distance import WordVectors
from hf_robust.lexicons.sememes import SememeTable

if find_spec("textattack") is None:
    pytest.skip("TextAttack is not installed (requirements-textattack.txt)", allow_module_level=True)

from hf_robust.attacks.textattack_import import import_textattack

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


class ToyLanguageModel:
    """Words have fixed log probabilities of their own."""

    name = "toy"

    def words(self, words: Sequence[str]) -> float:
        return float(sum(-random.Random(word.lower()).uniform(0, 8) for word in words))

    def log_probabilities(self, inputs: Sequence[tuple[str, str]]) -> list[float]:
        return [self.words(text.split()) for _, text in inputs]

    def fingerprint(self) -> str:
        return "toy"


class OneTable(Victim):
    """Probabilities in single precision from one table by tokens, so that no noise can come between both sides."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.known: dict[bytes, Any] = {}

    def score(self, texts: Sequence[tuple[str, ...]]) -> Scores:
        found = super().score(texts)
        rows = [
            self.known.setdefault(key, row.astype(np.float32))
            for key, row in zip(found.sequences, found.probabilities, strict=True)
        ]
        return Scores(np.stack(rows) if rows else found.probabilities.astype(np.float32), found.sequences)


@pytest.fixture(scope="module")
def textattack() -> Any:
    return import_textattack()


@pytest.fixture(scope="module")
def target() -> OneTable:
    return OneTable(build_model(), build_tokenizer())


def embedding(textattack: Any) -> Any:
    class Table(textattack.shared.AbstractWordEmbedding):  # type: ignore[misc]
        def word2index(self, word: str) -> int:
            return WORDS.index(word) if word in WORDS else {}[word]

        def index2word(self, index: int) -> str:
            return WORDS[index]

        def nearest_neighbours(self, index: int, topn: int) -> list[int]:
            return [WORDS.index(new) for new in SYNONYMS.get(WORDS[index], [])][:topn]

        def get_mse_dist(self, a: int, b: int) -> float:
            return float(((NUMBERS[a] - NUMBERS[b]) ** 2).sum())

        def get_cos_sim(self, a: int, b: int) -> float:
            raise NotImplementedError

        def __getitem__(self, index: int) -> Any:
            return NUMBERS[index]

    return Table()


def their_parts(textattack: Any, name: str, frozen: bool) -> tuple[Any, list[Any]]:
    """Transformation and constraints of one of TextAttack's recipes, with this file's tables."""
    before, rules = textattack.constraints.pre_transformation, textattack.constraints
    constraints = [] if name == "iga" else [before.RepeatModification()]
    constraints.append(before.StopwordModification(STOP_WORDS))
    if frozen:
        constraints.append(before.InputColumnModification(["premise", "hypothesis"], {"premise"}))
    if name == "pso":
        hownet = textattack.transformations.WordSwapHowNet
        swap = hownet.__new__(hownet)
        vars(swap).update(
            max_candidates=-1,
            candidates_bank=SEMEMES,
            pos_dict={"ADJ": "adj", "NOUN": "noun", "ADV": "adv", "VERB": "verb"},
        )
        return swap, constraints
    vectors = embedding(textattack)
    constraints.append(rules.overlap.MaxWordsPerturbed(max_percent=0.2))
    constraints.append(
        rules.semantics.WordEmbeddingDistance(
            embedding=vectors, max_mse_dist=0.5, compare_against_original=name == "faster_genetic"
        )
    )
    if name == "faster_genetic":
        models = textattack.constraints.grammaticality.language_models
        rule = models.LearningToWriteLanguageModel.__new__(models.LearningToWriteLanguageModel)
        toy = ToyLanguageModel()
        handler = SimpleNamespace(query=lambda sentences, words: [toy.words(words) for words in sentences])
        vars(rule).update(window_size=6, max_log_prob_diff=5.0, compare_against_original=True, query_handler=handler)
        constraints.append(rule)
    return textattack.transformations.WordSwapEmbedding(50 if name == "iga" else 8, vectors), constraints


def theirs(
    textattack: Any,
    monkeypatch: pytest.MonkeyPatch,
    target: Victim,
    name: str,
    search: Any,
    rows: list[Example],
    **how: Any,
) -> list[tuple[str, list[str], int]]:
    class Wrapper(textattack.models.wrappers.ModelWrapper):  # type: ignore[misc]
        model = target.model

        def __call__(self, inputs: list[Any]) -> Any:
            import torch

            return torch.from_numpy(
                target.score([(one,) if isinstance(one, str) else tuple(one) for one in inputs]).probabilities
            )

    def tag(text: Any, index: int) -> str:
        return {"JJ": "ADJ", "NN": "NOUN", "VBD": "VERB", "RB": "ADV"}.get(
            TAGS.get(text.words[index].lower(), "NN"), "X"
        )

    monkeypatch.setattr(textattack.shared.AttackedText, "pos_of_word_index", tag)
    swap, constraints = their_parts(textattack, name, how.get("frozen", False))
    goal = textattack.goal_functions.UntargetedClassification(
        Wrapper(), query_budget=how.get("budget") or float("inf")
    )
    attack = textattack.Attack(goal, constraints, swap, search)
    found = []
    for row in rows:
        random.seed(row.idx)
        np.random.seed(row.idx)
        columns = ("sentence",) if len(row.texts) == 1 else ("premise", "hypothesis")
        result = attack.attack(OrderedDict(zip(columns, row.texts, strict=True)), row.label)
        status = {"Successful": "succeeded", "Failed": "failed", "Skipped": "skipped"}
        texts = list(result.perturbed_result.attacked_text._text_input.values())
        kind = type(result).__name__.removesuffix("AttackResult")
        found.append((status[kind], texts, result.perturbed_result.num_queries))
    return found


def resources(name: str, **changes: Any) -> Resources:
    return Resources(
        synonyms=table(SYNONYMS, "synonym"),
        stop_words=STOP_WORDS,
        tagger=TableTagger(),
        word_vectors=WordVectors(WORDS, NUMBERS, "test"),
        language_model=ToyLanguageModel() if name == "faster_genetic" else None,
        sememes=SememeTable(SEMEMES),
        **changes,
    )


def searches(textattack: Any, name: str, **changes: Any) -> tuple[Any, Any]:
    """Ours and theirs, with smaller populations than the recipes'."""
    methods = textattack.search_methods
    checks = changes.pop("checks", name == "pso")
    sizes = {"pop_size": 12, "max_iters": 5}
    if name == "pso":
        return ParticleSwarm(12, 5, check_turns=checks), methods.ParticleSwarmOptimization(
            **sizes, post_turn_check=checks
        )
    ours = ImprovedGenetic if name == "iga" else Genetic
    search = methods.ImprovedGeneticAlgorithm if name == "iga" else methods.AlzantotGeneticAlgorithm
    return ours(12, 5, check_children=checks, **changes), search(
        **sizes,
        post_crossover_check=checks,
        give_up_if_no_improvement=changes.get("give_up", False),
    )


CASES = [
    (name, {"columns": columns, "frozen": frozen, "budget": budget, "checks": checks})
    for name in ("genetic", "faster_genetic", "iga", "pso")
    for columns, frozen, budget, checks in [
        (1, False, None, False),
        (2, True, None, True),
        (1, False, 40, True),
        (2, False, 97, False),
    ]
]


@pytest.mark.parametrize(("name", "how"), CASES)
def test_both_sides_agree(
    textattack: Any, monkeypatch: pytest.MonkeyPatch, target: OneTable, name: str, how: dict[str, Any]
) -> None:
    rows = examples(target, 25, how["columns"], seed=how["columns"])
    frozen = frozenset({0} if how["frozen"] else ())
    which = ATTACKS[name](resources(name, frozen_columns=frozen, query_budget=how["budget"]))
    ours, their_search = searches(textattack, name, checks=how["checks"])
    which = dataclasses.replace(which, search=ours)
    records = attack_dataset(which, target, rows, progress=False)
    expected = theirs(textattack, monkeypatch, target, name, their_search, rows, **how)
    assert [(record.status, record.perturbed, record.queries) for record in records] == expected
    assert {"succeeded", "failed", "skipped"} == {record.status for record in records}


@pytest.mark.parametrize("name", ["genetic", "iga"])
def test_both_sides_give_up_alike(
    textattack: Any, monkeypatch: pytest.MonkeyPatch, target: OneTable, name: str
) -> None:
    rows = examples(target, 15)
    ours, their_search = searches(textattack, name, give_up=True)
    which = dataclasses.replace(ATTACKS[name](resources(name)), search=ours)
    records = attack_dataset(which, target, rows, progress=False)
    expected = theirs(textattack, monkeypatch, target, name, their_search, rows)
    assert [(record.status, record.perturbed, record.queries) for record in records] == expected
