"""The population searches beside TextAttack's, reseeded for each example: same status, same text, same queries.

``POPULATION_OUTCOMES=write`` stores TextAttack's outcomes, against which the suite checks where it is not installed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
from collections import OrderedDict
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from attack_parts import TAGS
from population_parts import (
    NAMES,
    NUMBERS,
    OUTCOMES,
    SEMEMES,
    SETTINGS,
    STOP_WORDS,
    SYNONYMS,
    WORDS,
    Synsets,
    ToyLanguageModel,
    ToyVictim,
    attack,
    in_setting,
    key,
    outcome,
    rows,
    small,
    stored,
)

from hf_robust.attacks import Example, attack_dataset
from hf_robust.attacks.parts.constraints import MaxChangedWords

if find_spec("textattack") is None:
    pytest.skip("TextAttack is not installed (requirements-textattack.txt)", allow_module_level=True)

from hf_robust.attacks.textattack.importing import import_textattack

UNIVERSAL = {"JJ": "ADJ", "NN": "NOUN", "VBD": "VERB", "RB": "ADV"}


@pytest.fixture(scope="module")
def textattack() -> Any:
    return import_textattack()


@pytest.fixture(autouse=True)
def tagged_by_table(textattack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of flair."""

    def tag(text: Any, index: int) -> str:
        return UNIVERSAL.get(TAGS.get(text.words[index].lower(), "NN"), "X")

    monkeypatch.setattr(textattack.shared.AttackedText, "pos_of_word_index", tag)


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


def swaps_and_rules(textattack: Any, name: str, frozen: bool) -> tuple[Any, list[Any]]:
    """Transformation and constraints of one of TextAttack's recipes, with the tests' tables."""
    rules = textattack.constraints
    before = rules.pre_transformation
    if name == "leap":
        from benchmarks.performance.textattack_recipes import LemmaSwap

        found = [before.MaxModificationRate(max_rate=0.16), before.StopwordModification(STOP_WORDS)]
        columns = before.InputColumnModification(["premise", "hypothesis"], {"premise"})
        return LemmaSwap(Synsets()), [*found, columns] if frozen else found
    found = [] if name == "iga" else [before.RepeatModification()]
    found.append(before.StopwordModification(STOP_WORDS))
    if frozen:
        found.append(before.InputColumnModification(["premise", "hypothesis"], {"premise"}))
    if name == "pso":
        hownet = textattack.transformations.WordSwapHowNet
        swap = hownet.__new__(hownet)
        parts = {"ADJ": "adj", "NOUN": "noun", "ADV": "adv", "VERB": "verb"}
        vars(swap).update(max_candidates=-1, candidates_bank=SEMEMES, pos_dict=parts)
        return swap, found
    vectors = embedding(textattack)
    found.append(rules.overlap.MaxWordsPerturbed(max_percent=0.2))
    against_original = name == "faster_genetic"
    found.append(
        rules.semantics.WordEmbeddingDistance(vectors, max_mse_dist=0.5, compare_against_original=against_original)
    )
    if name == "faster_genetic":
        kind = rules.grammaticality.language_models.LearningToWriteLanguageModel
        rule, toy = kind.__new__(kind), ToyLanguageModel()
        handler = SimpleNamespace(query=lambda sentences, words: [toy.words(words) for words in sentences])
        vars(rule).update(window_size=6, max_log_prob_diff=5.0, compare_against_original=True, query_handler=handler)
        found.append(rule)
    return textattack.transformations.WordSwapEmbedding(50 if name == "iga" else 8, vectors), found


def their_search(textattack: Any, name: str, checks: bool, give_up: bool = False) -> Any:
    methods, sizes = textattack.search_methods, {"pop_size": 12, "max_iters": 5}
    if name in ("pso", "leap"):
        kind = methods.ParticleSwarmOptimization if name == "pso" else methods.ParticleSwarmOptimizationLEAP
        return kind(**sizes, post_turn_check=checks)
    kind = methods.ImprovedGeneticAlgorithm if name == "iga" else methods.AlzantotGeneticAlgorithm
    return kind(**sizes, post_crossover_check=checks, give_up_if_no_improvement=give_up)


def theirs(
    textattack: Any,
    name: str,
    search: Any,
    examples: list[Example],
    frozen: bool = False,
    budget: int | None = None,
    parts: Any = None,
) -> list[list[Any]]:
    """TextAttack's outcomes, numpy and random reseeded with each example's number."""
    target = ToyVictim()

    class Wrapper(textattack.models.wrappers.ModelWrapper):  # type: ignore[misc]
        model = target

        def __call__(self, inputs: list[Any]) -> Any:
            return target.score([(one,) if isinstance(one, str) else tuple(one) for one in inputs]).probabilities

    swap, rules = parts or swaps_and_rules(textattack, name, frozen)
    limit = float("inf") if budget is None else budget
    goal = textattack.goal_functions.UntargetedClassification(Wrapper(), query_budget=limit)
    which = textattack.Attack(goal, rules, swap, search)
    found = []
    for row in examples:
        random.seed(row.idx)
        np.random.seed(row.idx)
        columns = ("sentence",) if len(row.texts) == 1 else ("premise", "hypothesis")
        result = which.attack(OrderedDict(zip(columns, row.texts, strict=True)), row.label)
        kind = type(result).__name__.removesuffix("AttackResult")
        last = result.perturbed_result
        status = {"Successful": "succeeded", "Failed": "failed", "Skipped": "skipped"}[kind]
        found.append([status, list(last.attacked_text._text_input.values()), last.num_queries])
    return found


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", NAMES)
def test_both_engines_agree(textattack: Any, name: str, setting: tuple[int, bool, int | None, bool]) -> None:
    _, frozen, budget, checks = setting
    which, examples = in_setting(name, setting)
    expected = theirs(textattack, name, their_search(textattack, name, checks), examples, frozen, budget)
    if os.environ.get("POPULATION_OUTCOMES") == "write":
        kept = stored() if OUTCOMES.exists() else {}
        lines = {**kept, key(name, setting): expected}
        body = ",\n".join(f"{json.dumps(one)}: {json.dumps(lines[one])}" for one in sorted(lines))
        OUTCOMES.write_text(f"{{\n{body}\n}}\n", encoding="utf-8")
    records = attack_dataset(which, ToyVictim(), examples, progress=False)
    assert [outcome(record) for record in records] == expected
    assert stored()[key(name, setting)] == expected


@pytest.mark.parametrize("name", ["genetic", "iga"])
def test_both_engines_give_up_alike(textattack: Any, name: str) -> None:
    examples = rows(20)
    records = attack_dataset(attack(name, small(name, give_up=True)), ToyVictim(), examples, progress=False)
    expected = theirs(textattack, name, their_search(textattack, name, False, give_up=True), examples)
    assert [outcome(record) for record in records] == expected


def test_turns_are_checked_alike(textattack: Any) -> None:
    examples, name = rows(20, 2), "pso"
    swap, rules = swaps_and_rules(textattack, name, frozen=False)
    rules.append(textattack.constraints.overlap.MaxWordsPerturbed(max_percent=0.2))
    which = attack(name)
    which = dataclasses.replace(which, constraints=[*which.constraints, MaxChangedWords(share=0.2)])
    records = attack_dataset(which, ToyVictim(), examples, progress=False)
    expected = theirs(textattack, name, their_search(textattack, name, True), examples, parts=(swap, rules))
    assert [outcome(record) for record in records] == expected
