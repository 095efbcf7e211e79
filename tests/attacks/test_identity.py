"""TextAttack and this package's engine on the same tiny model: same status, same text, same number of queries."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from attack_parts import SYNONYMS, WORDS, examples, masked_lm, resources
from test_language_model import build_lm
from tiny import build_model, build_tokenizer, table

from hf_robust.attacks import ATTACKS, Resources, attack_dataset
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.attacks.parts.characters import SimilarCharacters
from hf_robust.attacks.parts.goals import Target
from hf_robust.attacks.parts.word_distance import WordVectors
from hf_robust.lexicons import TableLexicon
from hf_robust.words import TEXTATTACK_WORDS, Text

if find_spec("textattack") is None:
    pytest.skip("TextAttack is not installed (requirements-textattack.txt)", allow_module_level=True)

from hf_robust.attacks.textattack.importing import import_textattack

import_textattack()

from benchmarks.performance.identity import SharedVictim, difference  # noqa: E402
from benchmarks.performance.textattack_recipes import SideA, side_a  # noqa: E402

BAD_CHARACTERS = ("homoglyphs", "deletion_characters", "reordering_characters")
RECIPES = (
    *("synonym", "textfooler", "pwws", "deepwordbug", "textbugger", "a2t", "input_reduction"),
    *("bert_attack", "kuleshov", "pruthi", "french", "spanish", "chinese"),
)
STOP_WORDS = ("the", "and", "with", "was")
# What the tiny tokenizer reads of these words differs, so that a swap changes more than one token into [UNK].
SIMILAR = table({"o": ["a"], "i": ["l", "1"], "a": ["o", "e"]}, "synonym")


def parts_of_both(**changes: Any) -> Resources:
    """Substitutes of one word each: TextAttack's part-of-speech constraint fails on others."""
    single = {word: [new for new in found if " " not in new] for word, found in SYNONYMS.items()}
    synonyms = table(single, "synonym")
    synonyms.keeps_part_of_speech = False
    # All words but stop words have vectors: TextAttack ends with an error on a text without any.
    words = {*WORDS, *single, *(new for found in single.values() for new in found)} - {*STOP_WORDS}
    cases = sorted(cased for word in words for cased in {word, word.capitalize(), word.upper()})
    numbers = np.random.default_rng(0).normal(scale=0.3, size=(len(cases), 8)).astype(np.float32)
    models = {
        "masked_lm": masked_lm(),
        "language_model": build_lm(),
        "word_vectors": WordVectors(cases, numbers, "test"),
        "similar_characters": SIMILAR,
    }
    without_lists = {"names": None, "locations": None, **changes}
    return resources(synonyms=synonyms, stop_words=frozenset(STOP_WORDS), **models, **without_lists)


def both(name: str, parts: Resources, columns: int, seed: int = 0, rows: int = 40) -> list[tuple[Any, Any]]:
    """Both sides' records, with one table of scores, so that no noise can come between them."""
    target = SharedVictim(build_model(), build_tokenizer())
    chosen = examples(target, rows, columns, seed)
    if name == "chinese":  # TextAttack's side has swaps of single characters alone
        parts = replace(parts, masked_lm=None)
    with target.measuring(seed):
        of_a = list(side_a(name, SideA(parts, target, STOP_WORDS)).run(target, chosen, seed))
        # `synonym` has words of its own, and is TextAttack's in all else.
        which = replace(ATTACKS[name](parts), word_rule=TEXTATTACK_WORDS)
    return list(zip(of_a, attack_dataset(which, target, chosen, seed=seed, progress=False), strict=True))


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("name", RECIPES)
def test_both_engines_agree(name: str, columns: int) -> None:
    pairs = both(name, parts_of_both(), columns)
    assert [(a.idx, found) for a, b in pairs if (found := difference(name, a, b))] == []
    # Input reduction has no failures: whatever is left is a success.
    failed = set() if name == "input_reduction" else {"failed"}
    assert {a.status for a, _ in pairs} == {"succeeded", "skipped", *failed}


@pytest.mark.parametrize("name", BAD_CHARACTERS)
def test_both_engines_perturb_the_same_characters(name: str) -> None:
    pairs = both(name, parts_of_both(num_bad_characters=2), 1, rows=4)
    assert [(a.idx, found) for a, b in pairs if (found := difference(name, a, b))] == []
    assert any(a.perturbed != a.original for a, _ in pairs)


@pytest.mark.parametrize("name", RECIPES)
def test_both_engines_agree_with_a_frozen_column(name: str) -> None:
    # Not seed 0: it has two equal neighbours, and `synonym` orders ties by position, TextAttack by its sets.
    pairs = both(name, parts_of_both(frozen_columns=frozenset({0}), seed=1), 2, seed=1)
    assert [(a.idx, found) for a, b in pairs if (found := difference(name, a, b))] == []
    assert any(a.status == "succeeded" for a, _ in pairs)


@pytest.mark.parametrize("name", ["textfooler", "pwws", "deepwordbug"])
def test_both_engines_agree_on_a_target(name: str) -> None:
    from textattack.goal_functions import TargetedClassification

    parts, label = parts_of_both(), 1
    target = SharedVictim(build_model(num_labels=3), build_tokenizer())
    # TextAttack also attacks texts that are misclassified, which are skipped here.
    rows = [row for row in examples(target, 60) if row.idx % 15 != 12 and row.label != label]
    recipe = side_a(name, SideA(parts, target, STOP_WORDS))
    goal = recipe.attack.goal_function
    goal.__class__, goal.target_class = TargetedClassification, label
    with target.measuring(0):
        of_a = list(recipe.run(target, rows, 0))
    native = replace(ATTACKS[name](parts), word_rule=TEXTATTACK_WORDS, goal=Target(label, "1"))
    of_b = attack_dataset(native, target, rows, seed=0, progress=False)
    assert [(a.idx, found) for a, b in zip(of_a, of_b, strict=True) if (found := difference(name, a, b))] == []
    assert {b.status for b in of_b} == {"succeeded", "failed"}


def test_look_alikes_of_chinese_characters_are_proposed_as_textattack_proposes_them() -> None:
    """On words with one character that has look-alikes: in others TextAttack keeps the changes of earlier ones."""
    from textattack.shared.data import MORPHONYM_LS
    from textattack.transformations import ChineseMorphonymCharacterSwap

    look_alikes: dict[str, list[str]] = {}
    for group in MORPHONYM_LS:
        for character in group:
            look_alikes.setdefault(character, []).extend(other for other in group if other != character)
    ours, theirs = SimilarCharacters(TableLexicon(look_alikes)), ChineseMorphonymCharacterSwap()
    for character in list(look_alikes)[::50]:
        word = f"x{character}"
        proposed = [*ours.substitutes(Text((word,)), 0, RandomStates(0))]
        # Some groups of TextAttack's hold an empty string, which deletes the character.
        assert {*proposed} == {*theirs._get_replacement_words(word)} - {word, "x"}
        assert proposed and len(proposed) == len({*proposed})


def test_the_whole_chinese_recipe_cannot_be_built() -> None:
    """As the docs say: pandas refuses to read its homophones, in a file that the wheel lacks."""
    from textattack.transformations import ChineseHomophoneCharacterSwap

    with pytest.raises((ValueError, FileNotFoundError)):
        ChineseHomophoneCharacterSwap()
