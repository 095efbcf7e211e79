"""``ChangeListed``: names of people and places become other names of a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates
from hf_robust.lexicons import NameLists
from hf_robust.words import Text

NUM_DRAWS = 3
"""Number of names, or of numbers, that are drawn for each one in a text."""


class Unplanned(Candidates):
    """A source of random or rewritten texts, which has no substitutes for single words unless it says so."""

    planned = False
    name: str

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        return []

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def fingerprint(self) -> str:
        return self.name


@dataclass(frozen=True)
class ChangeListed(Unplanned):
    """Replaces a listed name by three random names of its list; without lists nothing changes.

    Differs from TextAttack, which finds names with flair's tagger: a name is an entry of a list, matched
    case-sensitively and the longest first. So names that are also other words ("Will", "Reading") change too.
    """

    name: str
    lists: NameLists | None

    def rewrites(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Draft]]:
        drafts: list[Draft] = []
        if self.lists is None:
            return drafts
        words, opened, index = draft.text.tokens, set(open_words), 0
        while index < len(words):
            count, others = self._name_at(words, opened, index)
            if others:
                drawn = rng.numpy.randint(0, len(others), NUM_DRAWS)
                drafts += [_replace_words(draft, index, count, others[place]) for place in drawn]
            index += count
        return drafts
        yield

    def _name_at(self, words: list[str], opened: set[int], index: int) -> tuple[int, tuple[str, ...]]:
        """Number of words of the name at ``index``, and all names of its list; 1 and () if there is no name."""
        assert self.lists is not None
        for count in range(min(self.lists.longest, len(words) - index), 0, -1):
            others = self.lists.like(" ".join(words[index : index + count]))
            if others and opened.issuperset(range(index, index + count)):
                return count, others
        return 1, ()

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "lists": self.lists and self.lists.describe()}

    def fingerprint(self) -> str:
        return f"{self.name} {self.lists and self.lists.fingerprint()}"


def _replace_words(draft: Draft, index: int, count: int, new: str) -> Draft:
    swapped = draft.swap(index, new)
    for _ in range(count - 1):
        swapped = swapped.swap(index + len(draft.text.rule.split(new)), "")
    return swapped
