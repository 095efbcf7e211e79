"""From flags to votes over random substitutions: the vote that is attacked, and the vote that is certified."""

from __future__ import annotations

from typing import Any

from hf_robust.attacks import AttackArguments, Vote, choose_examples
from hf_robust.callbacks import CertifyCallback
from hf_robust.certify import Smoothing
from hf_robust.certify.arguments import CertifyArguments
from hf_robust.lexicons import Lexicon, load_lexicon
from hf_robust.words import Protection


def attacked_vote(flags: AttackArguments, synonyms: Lexicon | None = None) -> Vote | None:
    """Return the vote that is attacked instead of the plain model; None without ``--attack_votes``.

    Args:
        synonyms: ``--lexicon``, if it is loaded already.
    """
    if not flags.attack_votes:
        return None
    sampler = Smoothing(synonyms or load_lexicon(flags.lexicon), flags.attack_seed, protection=flags.protection())
    return Vote(sampler, flags.attack_votes)


def certify_callback(
    flags: CertifyArguments,
    synonyms: Lexicon | None,
    dataset: Any,
    max_length: int,
    token_budget: int | None,
    protection: Protection | None = None,
) -> CertifyCallback | None:
    """Return the callback that certifies rows of ``dataset``; None without ``--certify``.

    Raises:
        ValueError: there are no rows, or the lexicon covers none of their words.
    """
    if flags.certify == "no" or synonyms is None:
        return None
    if dataset is None:
        raise ValueError(f"--certify {flags.certify} needs rows to certify: add --do_eval.")
    return CertifyCallback(
        Smoothing(synonyms, flags.certify_seed, protection=protection),
        flags.settings(),
        choose_examples(dataset, flags.certify_num_examples, flags.certify_seed),
        strategy=flags.certify,
        max_length=max_length,
        token_budget=token_budget,
    )
