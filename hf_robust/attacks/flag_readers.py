"""Which attacks each flag means anything to, so that a flag that nothing reads is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_robust.attacks.arguments import AttackArguments

READ_SYNONYMS = ("synonym", "textfooler", "textbugger", "a2t", "genetic", "faster_genetic", "iga")
"""The attacks that take their substitutes from --lexicon, or --attack_lexicon."""
READ_WORD_VECTORS = ("genetic", "faster_genetic", "iga", "hotflip")
"""The attacks that --word_vectors means anything to."""
_GREEDY = ("synonym", "antonym", "textfooler", "pwws", "deepwordbug", "textbugger", "a2t", "input_reduction", "bae")
_POPULATIONS = ("genetic", "faster_genetic", "iga", "pso")

READERS: Mapping[str, Collection[str]] = {
    "attack_lexicon": READ_SYNONYMS,
    "attack_fixed": (*_GREEDY, *_POPULATIONS, "negation", "checklist", "clare", "hotflip"),
    "attack_ranking": (*_GREEDY, "gradient_mask"),
    "attack_early_exit": _GREEDY,
    "sentence_encoder": ("synonym", "textfooler", "textbugger", "a2t", "bae", "clare"),
    "min_similarity": ("synonym",),
    "masked_lm": ("bae", "clare"),
    "language_model": ("genetic", "faster_genetic"),
    "sememes": ("pso",),
    "name_lists": ("checklist",),
    "antonym_success": ("antonym",),
    "negation_count": ("negation",),
}
"""By flag; a flag of every attack is not among them, nor `--pos_tagger none`, which asks for nothing."""
_OF_EVERY_ATTACK = ("attack_scores", "attack_time_limit", "attack_max_changed")
_OF_MEASURING = ("attack_query_budget", "attack_warm_start", "attack_lexicon")
"""Attacks that make texts to train on have a budget of their own, and draw from --lexicon."""


def is_read(flag: str, attacks: Collection[str]) -> bool:
    """Whether one of these attacks reads a flag."""
    return bool(attacks) if flag not in READERS else any(name in READERS[flag] for name in attacks)


def check_flags_are_read(
    args: AttackArguments, measuring: Sequence[str], making: Sequence[str], protects: bool
) -> None:
    """Refuse flags that are given and mean nothing to this run.

    Args:
        measuring, making: the native attacks that measure the model, and those that make texts to train on.
        protects: whether anything but an attack keeps to ``--protect``: a vote, a certificate, texts to train on.

    Raises:
        ValueError: there is such a flag.
    """
    attacks = [*measuring, *making]
    defaults = vars(type(args)())
    idle = [
        flag
        for flag in dict.fromkeys((*READERS, *_OF_EVERY_ATTACK, *_OF_MEASURING))
        if getattr(args, flag) != defaults[flag] and not is_read(flag, measuring if flag in _OF_MEASURING else attacks)
    ]
    if args.min_similarity != defaults["min_similarity"] and args.sentence_encoder is None:
        idle.append("min_similarity")
    if idle:
        flag = idle[0]
        readers = ", ".join(READERS.get(flag, ())) or "attacks that search for texts"
        given = getattr(args, flag)
        value = "" if given is True else f" {' '.join(given) if isinstance(given, list) else given}"
        also = " with --sentence_encoder" if flag == "min_similarity" else ""
        here = f"the attacks are {', '.join(attacks)}" if attacks else "there is none"
        raise ValueError(
            f"nothing in this run reads --{flag}{value}: it is for {readers}{also}, and {here}; leave it out."
        )
    if args.protect and not (attacks or protects):
        raise ValueError(
            f"--protect {' '.join(args.protect)} binds attacks, votes, certificates and texts to train on, and there "
            "is none of them; add --attacks, or leave it out."
        )
