"""The pwws attack: swap words for WordNet synonyms, in the order of their weighted saliency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import Candidates, RandomStates
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_weighted_saliency
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.resources import Resources
from hf_robust.lexicons import Thesaurus
from hf_robust.words import TEXTATTACK_WORDS, Text


@dataclass(frozen=True)
class Lemmas(Candidates):
    """Proposes all lemmas of all synsets of a word, single words only; the case of the word is not restored.

    So an upper-case word may become itself in lower case, which an uncased tokenizer does not distinguish.
    """

    thesaurus: Thesaurus

    @property
    def lookup(self) -> Candidates:
        return self

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        lemmas = dict.fromkeys(self.thesaurus.lemmas(text.keys[index])) if text.keys[index] else {}
        word, split = text.tokens[index], text.rule.split
        return [new for new in lemmas if new != word and "_" not in new and len(split(new)) == 1]

    def describe(self) -> dict[str, Any]:
        return {"name": "lemmas", "lexicon": self.thesaurus.describe()}

    def fingerprint(self) -> str:
        return f"lemmas {self.thesaurus.fingerprint()}"


def pwws(resources: Resources) -> Attack:
    """Ren et al. 2019 (ACL P19-1103), as TextAttack 0.3.11 has it.

    Words are swapped for WordNet synonyms in the order of their weighted saliency; only NLTK's stop words are kept.

    Differs from the paper as TextAttack does: no named entities, and see ``by_weighted_saliency``.

    Raises:
        ValueError: WordNet or NLTK's stop words are missing.
    """
    thesaurus = resources.needed(resources.thesaurus, "pwws", "WordNet", "set NLTK_DATA to a folder that holds it")
    constraints = resources.with_columns(NoRepeat(), resources.no_stop_words("pwws"))
    return Attack(
        name="pwws",
        goal=Misclassify(),
        candidates=Lemmas(thesaurus),
        constraints=constraints,
        ranking=by_weighted_saliency,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
