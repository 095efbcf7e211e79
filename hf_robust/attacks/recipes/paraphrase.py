"""The paraphrase attack: whole texts from a language model, as similar as a sentence encoder demands."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.paraphrases import Paraphrases
from hf_robust.attacks.parts.search import once
from hf_robust.attacks.parts.text_similarity import TextSimilarity
from hf_robust.attacks.resources import Resources


def paraphrase(resources: Resources) -> Attack:
    r"""The best of 20 paraphrases that are similar enough.

    .. math:: x^* = \arg\max_{x' \in P(x),\ S(x, x') \ge \tau} 1 - c(x', y)

    P(x) are 20 draws from the model of ``--paraphraser`` for each text column that is not frozen
    (``ParaphrasingModel``), S is the similarity of whole texts (``TextSimilarity``), :math:`\tau` is
    ``--min_similarity``, and c is the confidence in the label. All accepted paraphrases are asked at once, so the
    attack succeeds if one of them has a wrong label, and victims that give labels alone are attacked too.

    A paraphrase is no swap of words. ``changed`` has the words of the original that an alignment by longest equal runs
    does not find in the paraphrase, so the number of changed words is a number of edits, and its share can be 1.

    Cost: one query for each accepted paraphrase, at most 20 for each column.

    This is the plain form of the sentence-level attacks by paraphrase (Iyyer et al. 2018, arXiv:1804.06059, SCPN),
    without their syntax templates: paraphrase model and encoder are the user's.

    Raises:
        ValueError: there is no paraphraser or no sentence encoder.
    """
    model = resources.needed(resources.paraphraser, "paraphrase", "a language model", "pass --paraphraser")
    encoder = resources.needed(resources.encoder, "paraphrase", "a sentence encoder", "pass --sentence_encoder")
    return Attack(
        name="paraphrase",
        goal=Misclassify(),
        candidates=Paraphrases(model, count=20, seed=resources.seed),
        constraints=[*resources.with_columns(), TextSimilarity(encoder, resources.min_similarity)],
        search=once,
        **resources.limits(),
        scores="margin",
        needs_scores=False,
    )
