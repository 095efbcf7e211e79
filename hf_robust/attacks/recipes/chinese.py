"""The chinese attack: words of the same sememes or a masked language model, homophones and look-alikes."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import AnyOf, Candidates
from hf_robust.attacks.parts.characters import SimilarCharacters
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.contextual import Replace
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_weighted_saliency
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.parts.sememes import SameSememes
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def chinese(resources: Resources) -> Attack:
    r"""TextAttack 0.3.11's ChineseRecipe (Morris et al. 2020, arXiv:2005.05909; there is no paper of its own).

    Words are visited by falling weighted saliency, :math:`\mathrm{softmax}(s)_i\, d_i` (see ``by_weighted_saliency``).
    Each is swapped for the best of three kinds of substitutes, as far as they are given: words that share the sememes
    of a sense (``--sememes``), the 50 likeliest words of a masked language model (``--masked_lm``), and the word with
    one character replaced by a homophone or a look-alike (``--similar_characters``). Stop words stay, and no word
    changes twice.

    Differs from TextAttack, whose recipe cannot be built from its wheel (a file is missing, and HowNet and XLM-R are
    downloaded): the rest of it gives the same results with swaps of single characters alone, and the whole is not
    promised. Words are separated by ICU, not jieba. Sememes are those of a table, not OpenHowNet's similarity. The
    masked language model reads its own mask at the word's place, where TextAttack's reads "[MASK]" as letters and the
    token at the word's number. One character is replaced at a time, where TextAttack's look-alikes keep the earlier
    ones.

    Raises:
        ValueError: none of the three is given, or stop words are missing.
    """
    sources: list[Candidates] = []
    if resources.sememes is not None:
        sources.append(SameSememes(resources.sememes, None))
    if resources.masked_lm is not None:
        sources.append(Replace(resources.masked_lm, k=50, min_confidence=0.0))
    if resources.similar_characters is not None:
        sources.append(SimilarCharacters(resources.similar_characters))
    resources.needed(sources or None, "chinese", "substitutes", "pass --sememes, --masked_lm or --similar_characters")
    return Attack(
        name="chinese",
        goal=Misclassify(),
        candidates=AnyOf(sources),
        constraints=resources.with_columns(NoRepeat(), resources.no_stop_words("chinese")),
        ranking=by_weighted_saliency,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
