"""The pso attack: swap words for words with the same sememes, found by a particle swarm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.particle_swarm import ParticleSwarm
from hf_robust.attacks.resources import Resources
from hf_robust.lexicons.sememes import PARTS_OF_SPEECH, SememeTable
from hf_robust.words import TEXTATTACK_WORDS, Tagger

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


def pso(resources: Resources) -> Attack:
    """Zang et al. 2020 (ACL 2020.acl-main.540), as TextAttack 0.3.11 has it, except for ``SameSememes``.

    Substitutes share all sememes of a sense (HowNet) and the part of speech. They come from ``--sememes``, since
    HowNet is not part of this package. No word is changed twice.

    Raises:
        ValueError: there is no table of sememes (a synonym lexicon cannot replace it), or NLTK's stop words are
            missing.
    """
    table = resources.needed(resources.sememes, "pso", "a table of HowNet sememes", "pass --sememes PATH")
    stop_words = resources.no_stop_words("pso")
    constraints = resources.with_columns(NoRepeat(), stop_words, always=True)
    return Attack(
        name="pso",
        goal=Misclassify(),
        candidates=SameSememes(table, resources.tagger),
        constraints=constraints,
        search=ParticleSwarm(size=60, iterations=20),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
