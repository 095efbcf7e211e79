"""Which attacks read each flag, so that a flag without effect is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from hf_robust.attacks.arguments import STANDARD
from hf_robust.attacks.languages import check_attacks
from hf_robust.attacks.standard import member_names
from hf_robust.words import ENGLISH

if TYPE_CHECKING:
    from hf_robust.attacks.arguments import AttackArguments

READ_SYNONYMS = (
    *("synonym", "textfooler", "textbugger", "a2t", "genetic", "faster_genetic", "iga", "kuleshov", "hlbb"),
)
"""Attacks that take their substitutes from --lexicon or --attack_lexicon."""
READ_WORD_VECTORS = ("genetic", "faster_genetic", "iga", "kuleshov", "hotflip")
"""Attacks that read --word_vectors."""
_GREEDY = (
    *("synonym", "antonym", "textfooler", "pwws", "deepwordbug", "textbugger", "a2t", "input_reduction"),
    *("bae", "bert_attack", "french", "spanish", "chinese"),
)
_POPULATIONS = ("genetic", "faster_genetic", "iga", "pso", "leap")
_BEAMS = ("kuleshov", "pruthi", "clare", "hotflip")
_BAD_CHARACTERS = ("homoglyphs", "invisible_characters", "deletion_characters", "reordering_characters")

READERS: Mapping[str, Collection[str]] = {
    "attack_lexicon": READ_SYNONYMS,
    "attack_fixed": (*_GREEDY, *_POPULATIONS, *_BAD_CHARACTERS, *_BEAMS, "negation", "checklist"),
    "attack_ranking": (*_GREEDY, "gradient_mask", "gcg"),
    "attack_early_exit": (*_GREEDY, *_BAD_CHARACTERS),
    "sentence_encoder": (
        *("synonym", "textfooler", "textbugger", "a2t", "bae", "bert_attack", "clare", "hlbb", "paraphrase"),
    ),
    "min_similarity": ("synonym", "paraphrase"),
    "masked_lm": ("bae", "bert_attack", "clare", "chinese"),
    "language_model": ("genetic", "faster_genetic", "kuleshov"),
    "paraphraser": ("paraphrase",),
    "sememes": ("pso", "chinese"),
    "similar_characters": ("chinese",),
    "name_lists": ("checklist", "french", "spanish"),
    "antonym_success": ("antonym",),
    "negation_count": ("negation",),
    "num_bad_characters": _BAD_CHARACTERS,
}
"""Flag -> attacks that read it. Flags of every attack are left out, and `--pos_tagger none`, which adds nothing."""
_OF_THE_STANDARD = ("attack_lexicon", "sentence_encoder", "masked_lm", "language_model", "attack_until_interval")
"""Flags that the standard reads: its resources, and the width of its interval. It has no other choice, so that numbers
of one name are comparable."""
_OF_EVERY_ATTACK = ("attack_scores", "attack_time_limit", "attack_max_changed")
_CLIMB_NO_SCORE = ("hlbb",)
"""Attacks that do not read `--attack_scores`."""
_OF_MEASURING = (
    *("attack_query_budget", "attack_warm_start", "attack_lexicon"),
    *("attack_until_interval", "attack_target", "attack_mismatched"),
)
"""Flags of attacks that measure. Attacks that generate training texts have their own budget and use --lexicon."""


def is_flag_read(flag: str, attacks: Collection[str]) -> bool:
    """Whether at least one of these attacks reads the flag."""
    if STANDARD in attacks and flag in _OF_THE_STANDARD:
        return True
    chosen = [name for name in attacks if name != STANDARD]
    if flag == "attack_scores":
        chosen = [name for name in chosen if name not in _CLIMB_NO_SCORE]
    return bool(chosen) if flag not in READERS else any(name in READERS[flag] for name in chosen)


def reads_synonyms(attacks: Collection[str]) -> bool:
    """Whether one of these attacks, or of those of the standard, takes substitutes from the lexicon."""
    return any(name in READ_SYNONYMS for name in with_members(attacks))


def with_members(attacks: Collection[str]) -> list[str]:
    """Names of the attacks, with those of the standard in its place."""
    return [member for name in attacks for member in (member_names() if name == STANDARD else [name])]


def check_flags_are_read(
    args: AttackArguments, measuring_attacks: Sequence[str], view_attacks: Sequence[str], protects: bool
) -> None:
    """Refuse flags that were passed and have no effect in this run.

    Args:
        measuring_attacks: native attacks that measure the model.
        view_attacks: native attacks that generate training texts.
        protects: whether a vote, a certificate or a source of training texts reads ``--protect``.

    Raises:
        ValueError: a flag has no effect.
    """
    attacks = [*measuring_attacks, *view_attacks]
    defaults = vars(type(args)())
    unread = [
        flag
        for flag in dict.fromkeys((*READERS, *_OF_EVERY_ATTACK, *_OF_MEASURING))
        if getattr(args, flag) != defaults[flag]
        and not is_flag_read(flag, measuring_attacks if flag in _OF_MEASURING else attacks)
    ]
    if args.min_similarity != defaults["min_similarity"] and args.sentence_encoder is None:
        unread.append("min_similarity")
    if unread:
        flag = unread[0]
        readers = ", ".join(READERS.get(flag, ())) or "attacks that search for texts"
        readers += f" by scores, not {', '.join(_CLIMB_NO_SCORE)}" * (flag == "attack_scores" and bool(attacks))
        readers += ", and the standard has no choice but its resources" * (STANDARD in attacks)
        value = getattr(args, flag)
        shown = "" if value is True else f" {' '.join(value) if isinstance(value, list) else value}"
        condition = " with --sentence_encoder" if flag == "min_similarity" else ""
        present = f"the attacks are {', '.join(attacks)}" if attacks else "there is none"
        raise ValueError(
            f"nothing in this run reads --{flag}{shown}: it is for {readers}{condition}, and {present}; leave it out."
        )
    check_attacks(args.language, attacks)
    if args.language != ENGLISH and not (attacks or protects):
        raise ValueError(
            f"--language {args.language} decides the words of attacks, votes, certificates and texts to train on, and "
            "there is none of them; add --attacks, or leave it out."
        )
    if args.protect and not (attacks or protects):
        raise ValueError(
            f"--protect {' '.join(args.protect)} binds attacks, votes, certificates and texts to train on, and there "
            "is none of them; add --attacks, or leave it out."
        )
