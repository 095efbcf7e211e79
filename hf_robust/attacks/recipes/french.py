"""The french attack: swap words for synonyms of the French WordNet, and listed names and places for others."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import AnyOf, Candidates, Lemmas
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.names import ChangeListed
from hf_robust.attacks.parts.ranking import by_unknown
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def french(resources: Resources) -> Attack:
    r"""TextAttack 0.3.11's FrenchRecipe (Morris et al. 2020, arXiv:2005.05909; there is no paper of its own).

    Words are visited by falling score with the word unknown, :math:`1 - p_y(x_{w_i \to [UNK]})`. Each is swapped for
    the best of the lemmas of all its synsets in the language's WordNet and of three other places or names of the list
    that it is in (``--name_lists PEOPLE PLACES``). Stop words stay, and no word changes twice.

    Differs from TextAttack: names and places are those of lists, not of flair's tagger, and without lists stay (see
    ``ChangeListed``). With ``--language fr`` words and stop words are the language's. With TextAttack's words, the
    same WordNet and no lists, results are equal.

    Raises:
        ValueError: WordNet or stop words are missing.
    """
    return synonyms_and_names("french", resources)


def synonyms_and_names(name: str, resources: Resources) -> Attack:
    """The parts of the recipes of French and Spanish."""
    thesaurus = resources.needed(resources.thesaurus, name, "a WordNet of the language", "pass --language")
    sources: list[Candidates] = [Lemmas(thesaurus)]
    if resources.locations is not None:
        sources.append(ChangeListed("change_location", resources.locations))
    if resources.names is not None:
        sources.append(ChangeListed("change_name", resources.names))
    return Attack(
        name=name,
        goal=Misclassify(),
        candidates=AnyOf(sources),
        constraints=resources.with_columns(NoRepeat(), resources.no_stop_words(name)),
        ranking=by_unknown,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
