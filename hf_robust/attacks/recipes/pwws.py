"""The pwws attack: swap words for WordNet synonyms, in the order of their weighted saliency."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import Lemmas
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_weighted_saliency
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


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
