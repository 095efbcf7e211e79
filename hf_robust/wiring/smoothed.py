"""From flags to votes over random substitutions: the vote that is attacked, and the vote that is certified."""

from __future__ import annotations

from typing import Any

from hf_robust.attacks import AttackArguments, Vote, choose_examples
from hf_robust.callbacks import CertifyCallback
from hf_robust.certify import Smoothing
from hf_robust.certify.arguments import CertifyArguments
from hf_robust.lexicons import Lexicon, load_lexicon
from hf_robust.words import UNSPACED, language_name, words_of


def attacked_vote(flags: AttackArguments, synonyms: Lexicon | None = None) -> Vote | None:
    """Return the vote that is attacked instead of the plain model; None without ``--attack_votes``.

    Args:
        synonyms: ``--lexicon``, if it is loaded already.
    """
    if not flags.attack_votes:
        return None
    table = synonyms or load_lexicon(flags.lexicon, language=flags.language)
    sampler = Smoothing(table, flags.attack_seed, protection=flags.protection(), word_rule=words_of(flags.language))
    return Vote(sampler, flags.attack_votes)


def certify_callback(
    flags: CertifyArguments, attack: AttackArguments, synonyms: Lexicon | None, dataset: Any, max_length: int | None
) -> CertifyCallback | None:
    """Return the callback that certifies rows of ``dataset``; None without ``--certify``.

    Raises:
        ValueError: there are no rows, the lexicon covers none of their words, or the language has no spaces.
    """
    if flags.certify == "no" or synonyms is None:
        return None
    if dataset is None:
        raise ValueError(f"--certify {flags.certify} needs rows to certify: add --do_eval.")
    check_certified_language(attack.language)
    return CertifyCallback(
        Smoothing(synonyms, flags.certify_seed, protection=attack.protection(), word_rule=words_of(attack.language)),
        flags.settings(),
        choose_examples(dataset, flags.certify_num_examples, flags.certify_seed),
        strategy=flags.certify,
        max_length=max_length,
        token_budget=attack.attack_token_budget,
    )


def check_certified_language(language: str) -> None:
    """Refuse certificates for languages without spaces, where a swap can change which characters form words.

    Raises:
        ValueError: the language has no spaces between words.
    """
    if language in UNSPACED:
        raise ValueError(
            f"a certificate needs words that stay words when others are swapped, and {language_name(language)} has no "
            "spaces between words: attack the vote instead (--attack_votes)."
        )
