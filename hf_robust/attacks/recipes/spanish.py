"""The spanish attack: swap words for synonyms of the Spanish WordNet, and listed names and places for others."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.recipes.french import synonyms_and_names
from hf_robust.attacks.resources import Resources


def spanish(resources: Resources) -> Attack:
    """TextAttack 0.3.11's SpanishRecipe (Morris et al. 2020, arXiv:2005.05909): ``french`` for Spanish texts.

    TextAttack's own cannot be built: it asks NLTK for a WordNet "esp", which is named "spa". It differs from the rest
    as ``french`` does.

    Raises:
        ValueError: WordNet or stop words are missing.
    """
    return synonyms_and_names("spanish", resources)
