"""The textbugger attack: misspell important words, or swap them for a near neighbour."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import AnyOf, FromLexicon
from hf_robust.attacks.parts.characters import Misspell, delete, insert_space, look_alikes, swap_neighbours
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_deletion
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.parts.similarity import SentenceSimilarity
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def textbugger(resources: Resources) -> Attack:
    """Li et al. 2019 (arXiv:1812.05271), as TextAttack 0.3.11 has it.

    Candidates are a space inside the word, a deleted character, two swapped characters (first and last stay),
    look-alike characters and the five nearest neighbours. The whole text stays 0.8 similar (angular) to the original.
    Words are ranked by deletion.

    Differs: neighbours are the first five of ``--lexicon``; the encoder is ``--sentence_encoder``'s, if given, since
    USE is not available.

    Raises:
        ValueError: there is no synonym lexicon, or NLTK's stop words are missing.
    """
    lexicon = resources.neighbours("textbugger", 5, -1.0)
    constraints = resources.with_columns(NoRepeat(), resources.no_stop_words("textbugger"))
    if resources.encoder is not None:
        constraints.append(
            SentenceSimilarity(
                resources.encoder, 0.8, metric="angular", reference="original", window_size=None, skip_short=False
            )
        )
    edits = [Misspell(edit, inner=True) for edit in (insert_space, delete, swap_neighbours, look_alikes)]
    return Attack(
        name="textbugger",
        goal=Misclassify(),
        candidates=AnyOf([*edits, FromLexicon(lexicon, k=5, distinct=False)]),
        constraints=constraints,
        ranking=by_deletion,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
