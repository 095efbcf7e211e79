"""``SameSememes``: substitutes that share their sememes with the word (HowNet)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap
from hf_robust.lexicons.sememes import PARTS_OF_SPEECH, SememeTable
from hf_robust.words import Tagger

_PART_OF_TAG = {"JJ": "adj", "JJR": "adj", "JJS": "adj", "NN": "noun", "NNS": "noun"}
_PART_OF_TAG |= {"RB": "adv", "RBR": "adv", "RBS": "adv", "WRB": "adv"}
_PART_OF_TAG |= dict.fromkeys(("VB", "VBD", "VBG", "VBN", "VBP", "VBZ"), "verb")


@dataclass(frozen=True)
class SameSememes(Candidates):
    """Proposes the table's substitutes for the word's part of speech in the text: single words in the word's case.

    Proper nouns have no substitutes. ``tagger`` None proposes the substitutes of every part of speech. Differs from
    TextAttack: tags are NLTK's, not flair's, and are those of the clean text, so swaps of other words do not matter.
    """

    table: SememeTable
    tagger: Tagger | None

    @property
    def lookup(self) -> Candidates:
        return self

    @property
    def flag(self) -> str:
        return "--sememes"

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        text, words, indices = draft.text, draft.text.tokens, list(open_words)
        tags = text.rule.tagger(self.tagger)(words) if self.tagger is not None and indices else None
        swaps: list[Swap] = []
        for index in indices:
            parts = PARTS_OF_SPEECH if tags is None else (_PART_OF_TAG.get(tags[index], ""),)
            for part in parts:
                cased = text.substitutes(index, partial(self.table, part=part))
                swaps += [(index, new) for new in cased if new != words[index] and len(text.rule.split(new)) == 1]
        return swaps
        yield  # makes this a generator, as every source's is

    def describe(self) -> dict[str, Any]:
        tagger = self.tagger.name if self.tagger is not None else None
        return {"name": "same_sememes", "table": self.table.describe(), "tagger": tagger}

    def fingerprint(self) -> str:
        tagger = self.tagger.name if self.tagger is not None else None
        return f"same_sememes {self.table.fingerprint()} {tagger}"
