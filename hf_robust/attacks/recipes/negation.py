"""The negation attack: add or remove one "not" while the prediction stays (obstinacy)."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.goals import Remain
from hf_robust.attacks.parts.negation_rules import Negations
from hf_robust.attacks.parts.search import once
from hf_robust.attacks.resources import Resources
from hf_robust.words import WordNetVerbs


def negation(resources: Resources) -> Attack:
    """Chen et al. 2022 (BAT), Appendix A.2: all candidates are scored once, and the best one is taken.

    Any candidate that keeps the prediction is a success. So the rate is a "remains" rate and not comparable with the
    antonym attack's default "raises" rate. In the paper this attack shows the trade-off on QQP only, not on MNLI. See
    ``Negations`` for the rules and their differences.

    Raises:
        ValueError: there is no part-of-speech tagger.
    """
    tagger = resources.needed(
        resources.tagger, "negation", "a part-of-speech tagger", "pass --pos_tagger nltk instead of none"
    )
    return Attack(
        name="negation",
        goal=Remain("remains"),
        candidates=Negations(tagger, resources.lemmatizer or WordNetVerbs(), resources.negation_official_count),
        search=once,
        max_changed=1,
        skip_labels=resources.skip_labels,
        **resources.limits(),
        scores="margin",
        constraints=resources.with_columns(always=True),
    )
