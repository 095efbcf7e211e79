"""The bert_attack attack: a masked language model that sees the whole text replaces important words."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.constraints import MaxChangedWords, NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.pieces import InPlace
from hf_robust.attacks.parts.ranking import by_unknown
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.parts.similarity import SentenceSimilarity
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def bert_attack(resources: Resources) -> Attack:
    r"""BERT-Attack of Li et al. 2020 (arXiv:2004.09984), as TextAttack 0.3.11 has it.

    .. math:: I_i = o_y(S) - o_y(S_{\setminus w_i})

    Words are ranked by :math:`I_i`, with ``[UNK]`` in place of word i, and replaced in this order by the best of 8
    candidates, until the prediction changes. At most 40 % of the words change, NLTK's stop words do not, and the whole
    text stays 0.2 similar (cosine) to the original. ``InPlace`` has the candidates.

    Differs: the masked language model is ``--masked_lm``'s (TextAttack uses bert-base-uncased); the encoder is
    ``--sentence_encoder``'s, if given, since USE is not available. The paper's 48 candidates, ranked by perplexity,
    come with ``--attack_fixed``. Antonyms are not filtered, which the paper does for sentiment.

    Raises:
        ValueError: there is no masked language model, or NLTK's stop words are missing.
    """
    from hf_robust.attacks.models.unmasked_lm import UnmaskedLM

    masked_lm = resources.needed(resources.masked_lm, "bert_attack", "a masked language model", "pass --masked_lm")
    constraints = resources.with_columns(NoRepeat(), resources.no_stop_words("bert_attack"))
    constraints.append(MaxChangedWords(share=0.4))
    if resources.encoder is not None:
        constraints.append(
            SentenceSimilarity(
                resources.encoder, 0.2, metric="cosine", reference="original", window_size=None, skip_short=False
            )
        )
    return Attack(
        name="bert_attack",
        goal=Misclassify(),
        candidates=InPlace(UnmaskedLM(masked_lm), k=8, stop_words=resources.common_words("bert_attack")),
        constraints=constraints,
        ranking=by_unknown,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
