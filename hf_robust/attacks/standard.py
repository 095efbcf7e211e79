"""The standard evaluation: a fixed, versioned list of attacks as one cascade, whose name says its resources."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hf_robust.attacks.arguments import STANDARD, AttackArguments
from hf_robust.attacks.attack import Attack, AttackOrForeign
from hf_robust.attacks.cascade import Cascade
from hf_robust.attacks.engine.classifier import Classifier
from hf_robust.attacks.languages import ENGLISH_ONLY, MISSPELLING
from hf_robust.attacks.parts.constraints import NoStopWords
from hf_robust.attacks.quality import Quality
from hf_robust.attacks.recipes import ATTACKS
from hf_robust.attacks.resources import Resources
from hf_robust.lexicons import Lexicon, load_lexicon
from hf_robust.words import ENGLISH, NLTK_STOP_WORDS, UNSPACED

logger = logging.getLogger(__name__)

VERSION = "standard-v1"
POPULATION_BUDGET = 1000
"""Queries for each example of the population search, which has no limit of its own."""
RESOURCE_FLAGS = (
    *("lexicon", "pos_tagger", "sentence_encoder", "masked_lm", "language_model", "word_vectors"),
    *("language", "frozen_columns", "protect"),
)
"""Flags that name the resources and the words that may change: all that is in the title."""
NO_GRADIENTS = "no_gradients"
"""Part of the title if the classifier has no gradients by word, so that attacks which need them are left out."""


class Member(NamedTuple):
    """An attack of the standard.

    Attributes:
        reason: why it is a member.
        needs: the flag of the resource without which it is left out; empty for what every run has.
        query_budget: maximum number of queries for each example; None for no limit.
    """

    name: str
    reason: str
    needs: str = ""
    query_budget: int | None = None


MEMBERS = (
    Member("deepwordbug", "Misspelt words, one character each. It is cheap and needs no table."),
    Member("a2t", "Substitutes by table, words ranked by gradient: few queries, and at most a tenth of the words."),
    Member(
        "hotflip",
        "Any word of the vocabulary, chosen by gradient and bounded by the distance of word vectors. Without word "
        "vectors nothing keeps the meaning, so it is left out.",
        needs="word_vectors",
    ),
    Member("textbugger", "Misspelt words and look-alike characters beside the five nearest substitutes."),
    Member("textfooler", "Up to 50 substitutes by table, words ranked by deletion: the attack of most papers."),
    Member(
        "pwws",
        "Words ranked by saliency and by the gain of their substitute. Its substitutes are WordNet's, so it is a "
        "member where the table is WordNet.",
        needs="wordnet",
    ),
    Member("bae", "Substitutes by a masked language model, which no table has.", needs="masked_lm"),
    Member(
        "faster_genetic",
        f"A population search: combinations that a greedy search misses, within {POPULATION_BUDGET:,} queries.",
        query_budget=POPULATION_BUDGET,
    ),
)
"""``standard-v1``, cheap to dear. A change of this list is a new version."""


def member_names() -> list[str]:
    """Names of the attacks of the standard."""
    return [member.name for member in MEMBERS]


def standard(resources: Resources, flags: AttackArguments, variant: Callable[[Attack], Attack]) -> Cascade:
    """Build the cascade of the members that the resources and the language allow.

    Args:
        variant: the flags that hold for every attack (language, protected spans), and TextAttack's bugs fixed, which
            also makes all searches climb margins.

    Raises:
        ValueError: there is no table of substitutes, or another resource is missing.
    """
    described = _resources(resources, flags)
    own = copy(resources)  # what is described is loaded and shared
    if flags.language == ENGLISH:
        own.stop_words = NLTK_STOP_WORDS  # and not the installed list, of which there are several
    members = []
    for member in MEMBERS:
        if _is_possible(member, own, flags.language):
            attack = replace(ATTACKS[member.name](own), query_budget=member.query_budget, time_limit=None)
            members.append(variant(attack))
    quality = Quality(resources.encoder, resources.language_model, _antonyms(flags.language))
    return Cascade(STANDARD, tuple(members), _title(described), described, quality, flags.attack_seed)


def fitted(attacks: Mapping[str, AttackOrForeign], classifier: Classifier) -> dict[str, AttackOrForeign]:
    """The attacks; the standard without those by gradient if the classifier has none, which its title then says."""
    return {
        name: _fitted(attack, classifier) if isinstance(attack, Cascade) else attack
        for name, attack in attacks.items()
    }


def _fitted(cascade: Cascade, classifier: Classifier) -> Cascade:
    try:
        classifier.check_saliency()
    except ValueError as error:
        logger.warning("%s: attacks by gradient are left out, and its name says %s: %s", STANDARD, NO_GRADIENTS, error)
        members = tuple(member for member in cascade.members if not member.needs_gradient)
        return replace(cascade, members=members, title=f"{cascade.title}+{NO_GRADIENTS}")
    return cascade


def _is_possible(member: Member, resources: Resources, language: str) -> bool:
    if language != ENGLISH and (member.name in ENGLISH_ONLY or (member.name in MISSPELLING and language in UNSPACED)):
        return False
    if member.needs == "wordnet":
        return _is_wordnet(resources.synonyms)
    return not member.needs or getattr(resources, member.needs) is not None


def _is_wordnet(lexicon: Lexicon | None) -> bool:
    return lexicon is not None and lexicon.name == "wordnet"


def _antonyms(language: str) -> Lexicon | None:
    """WordNet's antonyms, which only count successes; None with a warning where there are none."""
    try:
        return load_lexicon("wordnet", "antonym", language)
    except ValueError as error:
        logger.warning("%s: antonyms among the successes are not counted: %s", STANDARD, error)
        return None


# ---- the name of the number ----


def _resources(resources: Resources, flags: AttackArguments) -> dict[str, dict[str, Any]]:
    """What the attacks draw on, by role; what is not given is left out."""
    described: dict[str, dict[str, Any]] = {}
    if flags.language != ENGLISH:
        words = NoStopWords(resources.stop_words or frozenset())
        described["language"] = {"name": flags.language, "fingerprint": words.fingerprint()}
    table = resources.synonyms
    if table is not None:
        source = _without_folder(table.source)
        described["lexicon"] = {"name": table.name, "source": source, "fingerprint": table.fingerprint()}
    tagger = resources.tagger
    described["tagger"] = {"name": "none" if tagger is None else tagger.name}
    for role in ("encoder", "masked_lm", "word_vectors", "language_model"):
        part = getattr(resources, role)
        if part is not None:
            described[role] = {"name": _without_folder(part.name), "fingerprint": part.fingerprint()}
    if resources.frozen_columns:
        described["frozen_columns"] = {"columns": sorted(resources.frozen_columns)}
    if protection := flags.protection():
        described["protected"] = protection.describe()
    return described


def _title(described: dict[str, dict[str, Any]]) -> str:
    """``standard-v1/`` and the resources: NLTK's WordNet 3.0 and tagger by name, all else with a hash of its content.

    A language has the hash of its stop words. Those of English are part of this package.

    >>> _title({"lexicon": {"name": "wordnet", "source": "WordNet 3.0 (nltk)"}, "tagger": {"name": "nltk x"}})
    'standard-v1/wordnet'
    """
    parts = [part for role, entry in described.items() if (part := _part(role, entry))]
    return f"{VERSION}/{'+'.join(parts)}"


def _part(role: str, entry: dict[str, Any]) -> str:
    if role == "language":
        return f"{entry['name']}({_short(entry)})"
    if role == "lexicon":
        if entry["source"] == "WordNet 3.0 (nltk)":
            return "wordnet"
        name = entry["name"] if entry["name"] in ("wordnet", "builtin") else entry["source"]
        return f"{name}({_short(entry)})"
    if role == "tagger" and entry["name"].startswith("nltk "):
        return ""
    return "no_tagger" if entry == {"name": "none"} else f"{role}({_short(entry)})"


def _without_folder(name: str) -> str:
    """A file or folder by its last name, since the folders of one machine are no part of a result."""
    return Path(name).name if Path(name).exists() else name


def _short(entry: dict[str, Any]) -> str:
    content = entry.get("fingerprint") or hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    return str(content)[:8]
