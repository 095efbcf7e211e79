"""Flags that nothing reads are refused; the table of who reads what is what recipes really do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_attack_arguments import all_resources, parse

from hf_robust.attacks import ATTACKS
from hf_robust.attacks.arguments import AttackArguments
from hf_robust.attacks.building import _with_flags
from hf_robust.attacks.flag_readers import READ_WORD_VECTORS, READERS, check_flags_are_read, is_flag_read
from hf_robust.attacks.languages import ONE_LANGUAGE

# What a recipe asks of its resources for the flag.
PARTS = {
    "attack_lexicon": "synonyms",
    "sentence_encoder": "encoder",
    "masked_lm": "masked_lm",
    "language_model": "language_model",
    "paraphraser": "paraphraser",
    "sememes": "sememes",
    "name_lists": "names",
    "antonym_success": "antonym_success",
    "negation_count": "negation_official_count",
    "min_similarity": "min_similarity",
    "num_bad_characters": "num_bad_characters",
    "similar_characters": "similar_characters",
}
VARIANTS: dict[str, Any] = {"attack_fixed": True, "attack_ranking": "random", "attack_early_exit": True}


class RecordingResources:
    """Resources that note which parts a recipe asked for."""

    def __init__(self, name: str) -> None:
        self._parts, self.used = all_resources(name), set()

    def __getattr__(self, part: str) -> Any:
        self.used |= {"synonyms", part} if part == "neighbours" else {part}
        return getattr(self._parts, part)


def parts_used_by(name: str) -> set[str]:
    recorded = RecordingResources(name)
    ATTACKS[name](recorded)  # type: ignore[arg-type]
    return recorded.used


def test_every_flag_has_a_test() -> None:
    assert set(READERS) == set(PARTS) | set(VARIANTS)


@pytest.mark.parametrize("flag", PARTS)
def test_a_resource_is_asked_for_by_its_readers_alone(flag: str) -> None:
    found = {name for name in ATTACKS if PARTS[flag] in parts_used_by(name)}
    if flag == "min_similarity":
        assert found <= set(READERS[flag])
    else:
        assert found == set(READERS[flag])
    assert {name for name in ATTACKS if "word_vectors" in parts_used_by(name)} == set(READ_WORD_VECTORS)


@pytest.mark.parametrize("flag", VARIANTS)
def test_a_variant_changes_its_readers_alone(flag: str) -> None:
    plain, other = AttackArguments(), replace(AttackArguments(), **{flag: VARIANTS[flag]})
    found = set()
    for name, recipe in ATTACKS.items():
        attack = recipe(all_resources(name))
        if _with_flags(attack, plain).fingerprint() != _with_flags(attack, other).fingerprint():
            found.add(name)
    assert found == set(READERS[flag])


@pytest.mark.parametrize(
    ("flags", "measuring", "making", "message"),
    [
        (["--attack_ranking", "random"], ["negation"], [], "reads --attack_ranking random: it is for .*are negation;"),
        (["--antonym_success", "remains"], ["synonym"], [], "it is for antonym, and the attacks are synonym"),
        (["--attack_scores", "margin"], [], [], "for attacks that search for texts, and there is none"),
        (["--attack_fixed"], ["gradient_mask"], [], "reads --attack_fixed: it is for synonym"),
        (["--attack_lexicon", "t.json"], ["pwws"], ["textfooler"], "the attacks are pwws, textfooler"),
        (["--attack_query_budget", "9"], [], ["textfooler"], "reads --attack_query_budget 9"),
        (["--masked_lm", "m"], ["pwws"], [], "for bae, bert_attack, clare"),
        (["--attack_scores", "margin"], ["hlbb"], [], "for attacks that search for texts by scores, not hlbb"),
        (["--min_similarity", "0.9"], ["synonym"], [], "for synonym, paraphrase with --sentence_encoder"),
        (["--attack_max_changed", "0.1"], [], [], "reads --attack_max_changed 0.1"),
    ],
)
def test_flags_that_nothing_reads_are_refused(
    flags: list[str], measuring: list[str], making: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_flags_are_read(parse(*flags), measuring, making, protects=False)


@pytest.mark.parametrize("flag", READERS)
def test_one_reader_among_others_is_enough(flag: str) -> None:
    reader, other = next(iter(READERS[flag])), "gradient_mask"
    assert is_flag_read(flag, [other, reader]) and not is_flag_read(flag, [])
    extra = {"sentence_encoder": "e"} if flag == "min_similarity" else {}
    values = {"antonym_success": "remains", "negation_count": "official", "min_similarity": 0.5}
    values |= {"name_lists": ["x"], "paraphraser": ["x"], "num_bad_characters": 2}
    extra |= {"language": ONE_LANGUAGE[reader]} if reader in ONE_LANGUAGE else {}
    arguments = AttackArguments(**{**extra, flag: VARIANTS.get(flag, values.get(flag, "x"))})
    check_flags_are_read(arguments, [other, reader], [], protects=False)
