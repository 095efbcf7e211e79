"""The builtin lexicon, written for this project: common words of reviews, for the demo corpus and for tests."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources

from hf_robust.lexicons.base import TableLexicon

Groups = tuple[tuple[str, ...], ...]


@lru_cache(maxsize=1)
def synonym_groups() -> Groups:
    """Groups of interchangeable words of one part of speech, most common word first, also groups with an opposite."""
    content = _content()
    sides = [side for pair in content["antonyms"] for side in pair]
    return tuple(tuple(group) for group in [*content["synonyms"], *sides])


@lru_cache(maxsize=1)
def opposite_groups() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Pairs of synonym groups with opposite meanings; for opinions the positive group comes first."""
    return tuple((tuple(left), tuple(right)) for left, right in _content()["antonyms"])


def builtin_lexicon(relation: str = "synonym") -> TableLexicon:
    """The builtin lexicon: synonyms are the other words of a word's groups, antonyms the words of opposite groups.

    Both keep the part of speech.
    """
    table: dict[str, list[str]] = {}
    if relation == "antonym":
        for left, right in opposite_groups():
            for side, other in ((left, right), (right, left)):
                for word in side:
                    table.setdefault(word, []).extend(other)
    else:
        for group in synonym_groups():
            for word in group:
                table.setdefault(word, []).extend(group)
    return TableLexicon(
        table, name="builtin", relation=relation, keeps_part_of_speech=True, source="hf_robust/lexicons/builtin.json"
    )


def _content() -> dict[str, list]:  # type: ignore[type-arg]
    text = resources.files("hf_robust.lexicons").joinpath("builtin.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]
