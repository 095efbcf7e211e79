"""The pso attack: swap words for words with the same sememes, found by a particle swarm."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.particle_swarm import ParticleSwarm
from hf_robust.attacks.parts.sememes import SameSememes
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


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
