"""Visual perturbations: letters become letters that look like them, each with a probability (VIPER)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.engine.trial import Trial
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap

_UNICODE = unicodedata.ucd_3_2_0
"""The same in all versions of Python, so that results do not depend on Python's own version of Unicode."""
_BEHIND_ASCII, _END = 0x80, 0x10000
NEIGHBOURS = 20
"""Maximum number of neighbours of a letter, as in the paper."""


@cache
def visual_neighbours(letter: str) -> tuple[str, ...]:
    """The up to 20 characters whose description is the letter's with a mark, in the same case, simple marks first.

    >>> "".join(visual_neighbours("w")), visual_neighbours("5")
    ('ŵẁẃẅẇẉẘ', ())
    """
    name = _UNICODE.name(letter, "") if letter.isascii() and letter.isalpha() else ""
    if not name:
        return ()
    marked = f"{name} WITH "
    found = [sign for sign in map(chr, range(_BEHIND_ASCII, _END)) if _UNICODE.name(sign, "").startswith(marked)]
    return tuple(sorted(found, key=lambda sign: (len(_UNICODE.name(sign).split()), sign))[:NEIGHBOURS])


@dataclass(frozen=True)
class VisualNeighbours(Candidates):
    r"""Proposes one text for each of the ``probabilities`` p: each letter of an open word is replaced with probability
    p by one of its ``visual_neighbours``, all equally likely.

    Each letter draws :math:`u \sim U(0, 1)` and its neighbour once, and is replaced where :math:`u < p`. So each text
    alone is a draw of VIPER(p), and a larger p adds replacements and takes none back.
    """

    planned = False
    probabilities: tuple[float, ...]

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        return []
        yield  # makes this method a generator, as in all sources

    def rewrites(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Draft]]:
        drawn = {index: _draws(draft.text.tokens[index], rng) for index in sorted(open_words)}
        drafts: list[Draft] = []
        for probability in self.probabilities:
            swaps = {}
            for index, letters in drawn.items():
                new = "".join(seen if share < probability else letter for letter, seen, share in letters)
                if new != draft.text.tokens[index]:
                    swaps[index] = new
            if swaps and (not drafts or swaps != drafts[-1].swaps):
                drafts.append(draft.swap_many(swaps))
        return drafts
        yield  # makes this method a generator, as in all sources

    def describe(self) -> dict[str, Any]:
        return {"name": "visual_neighbours", "probabilities": list(self.probabilities), "neighbours": NEIGHBOURS}

    def fingerprint(self) -> str:
        return f"visual_neighbours {self.probabilities} {NEIGHBOURS} {_UNICODE.unidata_version}"


def _draws(word: str, rng: RandomStates) -> list[tuple[str, str, float]]:
    """Each character with the neighbour that may replace it and its draw; 1.0, which replaces nothing, without one."""
    found = []
    for letter in word:
        neighbours = visual_neighbours(letter)
        place = rng.numpy.randint(len(neighbours)) if neighbours else 0
        found.append((letter, neighbours[place], rng.numpy.random_sample()) if neighbours else (letter, letter, 1.0))
    return found


def weakest_first(trial: Trial) -> Steps[str]:
    """Score the candidates one by one, those with the fewest changed characters first, up to the first success.

    A text of which the model reads the same tokens as of the clean one, as of a tokenizer that removes accents, is no
    candidate: if all are such, the search ends without one.
    """
    clean, num_read = trial.text.joined, 0
    drafts = yield from trial.neighbours(trial.clean)
    # A letter becomes one character, so characters compare place by place.
    for draft in sorted(drafts, key=lambda draft: sum(map(str.__ne__, clean, draft.text.joined))):
        if trial.limit_reached:
            return trial.limit_reached
        scored = yield from trial.ask([draft.text])
        num_read += scored.sequences[0] != trial.before.sequence
        trial.record_decision(scored)
        if scored.reached[0] or scored.scores[0] > trial.score:
            trial.take(draft, scored.row(0))
        if scored.reached[0]:
            return "success"
    trial.num_candidates = num_read
    return "exhausted"
