"""Where an attack's substitutes come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hf_robust.words import Text, match_case, split_words

if TYPE_CHECKING:
    from hf_robust.lexicons import Lexicon

Swaps = tuple[int, Sequence[str]]


class Candidates(Protocol):
    """Proposes what may stand for the open words of a text; "" deletes the word."""

    def propose(self, text: Text, open_words: Sequence[int]) -> Iterator[Swaps]: ...

    def describe(self) -> dict[str, Any]: ...

    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class FromLexicon:
    """A lexicon's substitutes in the case of the word they replace, single words only, in the lexicon's order."""

    lexicon: Lexicon

    def propose(self, text: Text, open_words: Sequence[int]) -> Iterator[Swaps]:
        for index in open_words:
            word = text.tokens[index]
            found = dict.fromkeys(match_case(new, word) for new in self.lexicon(word))
            yield index, [new for new in found if new != word and is_one_word(new)]

    def describe(self) -> dict[str, Any]:
        return {"name": f"{self.lexicon.relation}s", "lexicon": self.lexicon.describe()}

    def fingerprint(self) -> str:
        return f"{self.lexicon.relation}s {self.lexicon.fingerprint()}"


def is_one_word(substitute: str) -> bool:
    """Whether a text's words stay as many when one of them becomes ``substitute``.

    >>> is_one_word("well-made"), is_one_word("New York"), is_one_word("'tis"), is_one_word("")
    (True, False, False, False)
    """
    return [word for word, _, _ in split_words(substitute)] == [substitute]
