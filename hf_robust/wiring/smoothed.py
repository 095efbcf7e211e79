"""From flags to votes over random substitutions or masks, and to the table that certificates are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_robust.attacks import AttackArguments, Vote, choose_examples
from hf_robust.callbacks import CertifyCallback
from hf_robust.certify import INTERVALS, Draws, RandomMasking, Smoothing
from hf_robust.certify.arguments import CertifyArguments
from hf_robust.lexicons import Lexicon, load_lexicon
from hf_robust.words import UNSPACED, language_name, words_of

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer


def draws_of(flags: AttackArguments, seed: int, synonyms: Lexicon | None, tokenizer: Any) -> Draws:
    """Return the draws of a vote: masked words with ``--vote_mask_rate``, else substitutes.

    Args:
        synonyms: ``--lexicon``, if it is loaded already.

    Raises:
        ValueError: words are masked, and the tokenizer has no mask token.
    """
    if flags.vote_mask_rate is None:
        return table_of(flags, seed, synonyms)
    mask_token = getattr(tokenizer, "mask_token", None)
    return RandomMasking(mask_token, flags.vote_mask_rate, seed, flags.protection(), words_of(flags.language))


def table_of(flags: AttackArguments, seed: int, synonyms: Lexicon | None) -> Smoothing:
    """Return the table of the swaps that certificates are about, and from which a vote draws substitutes."""
    table = synonyms or load_lexicon(flags.lexicon, language=flags.language)
    return Smoothing(table, seed, protection=flags.protection(), word_rule=words_of(flags.language))


def attacked_vote(flags: AttackArguments, synonyms: Lexicon | None, tokenizer: Any) -> Vote | None:
    """Return the vote that is attacked instead of the plain model; None without ``--attack_votes``."""
    if not flags.attack_votes:
        return None
    return Vote(draws_of(flags, flags.attack_seed, synonyms, tokenizer), flags.attack_votes)


def certify_callback(
    trainer: RobustTrainer,
    flags: CertifyArguments,
    attack: AttackArguments,
    synonyms: Lexicon | None,
    max_length: int | None,
) -> CertifyCallback | None:
    """Attach the callback that certifies rows of the evaluation set, and return it; None without ``--certify``.

    Raises:
        ValueError: there are no rows, the draws change none of their words, or the language has no spaces.
    """
    if flags.certify == "no":
        return None
    if trainer.eval_dataset is None:
        raise ValueError(f"--certify {flags.certify} needs rows to certify: add --do_eval.")
    check_certified_language(attack.language)
    by_table = flags.certify_rule == INTERVALS
    callback = CertifyCallback(
        table_of(attack, flags.certify_seed, synonyms)
        if by_table
        else draws_of(attack, flags.certify_seed, synonyms, trainer.processing_class),
        flags.settings(),
        choose_examples(trainer.eval_dataset, flags.certify_num_examples, flags.certify_seed),
        strategy=flags.certify,
        max_length=max_length,
        token_budget=attack.attack_token_budget,
    )
    return callback.attach(trainer)


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


def check_vote_is_drawn(flags: AttackArguments, voted: bool) -> None:
    """Refuse ``--vote_mask_rate`` where no vote is attacked or certified.

    Raises:
        ValueError: the flag has no effect.
    """
    if flags.vote_mask_rate is not None and not voted:
        raise ValueError(
            f"--vote_mask_rate {flags.vote_mask_rate:g} sets how a vote draws, and there is none: add --attack_votes "
            "or a certificate, or leave it out."
        )
