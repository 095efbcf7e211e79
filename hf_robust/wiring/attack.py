"""``attack``: attack any text classifier in one call."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.attacks import AttackArguments
from hf_robust.attacks.arguments import OF_TRAINING, STANDARD
from hf_robust.lexicons import Lexicon, TableLexicon
from hf_robust.runs import claim_folder, require_writable
from hf_robust.wiring.attack_results import AttackResults, write_attacks
from hf_robust.wiring.checkpoint_attack import AttackOptions, GivenVictim, measure_attacks
from hf_robust.wiring.given_rows import corpus_of
from hf_robust.wiring.opened_victim import FunctionSettings

if TYPE_CHECKING:
    from hf_robust.attacks.engine.outputs import Outputs

_ROLES = {"lexicon": ("synonyms", "synonym"), "antonym_lexicon": ("antonyms", "antonym")}
LexiconLike = str | os.PathLike[str] | Lexicon | Mapping[str, Sequence[str]]
_FIELDS = {field.name for field in dataclasses.fields(AttackArguments)} - set(OF_TRAINING)
_OPTIONS = {field.name for field in dataclasses.fields(AttackOptions)} - {
    "model",
    "output_dir",
    "data",
    "command_line",
    "ranks",
}


def attack(
    victim: Any,
    rows: Any,
    attacks: str | Sequence[str] = STANDARD,
    *,
    lexicon: LexiconLike | None = None,
    antonym_lexicon: LexiconLike | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    retries: int | None = None,
    rate: float | None = None,
    outputs: Outputs | None = None,
    **flags: Any,
) -> AttackResults:
    """Attack any text classifier; ``print`` the results for a table.

    Args:
        victim: a folder, a Hub id, a (model, tokenizer) pair, a ``pipeline("text-classification")``, an estimator with
            ``predict_proba`` or ``predict``, or a function that takes a list of texts (of tuples, for two text
            columns) and returns probabilities or logits [texts, classes], or labels alone (for `hlbb` and
            `paraphrase`). A function may have ``class_names``, the names of its classes.
        rows: a ``datasets.Dataset``, a pandas table, a list of mappings, of (text, label) or of (text, second text,
            label); all of them are attacked unless ``attack_num_examples`` is given. Or a string as for ``--data``.
        attacks: one name of ``ATTACKS``, or several, or "standard", a fixed list of them as one attack.
        lexicon, antonym_lexicon: a ``Lexicon``, a mapping word -> substitutes, or a string as for ``--lexicon``.
        output_dir: folder for the files of `hf-robust attack` and for the journal, from which a call that was
            interrupted continues; None writes nothing.
        batch_size: maximum number of texts in one call of a function. Default: 64.
        retries: how often a call that raised an exception is tried again, after 0.5, 1, 2, ... seconds. Default: 0.
        rate: maximum number of texts per second. Default: no limit.
        outputs: "probabilities", "logits" or "labels". Default: told from the first answer.
        flags: further flags of `hf-robust attack` by name, such as ``attack_query_budget=500``, ``class_names``,
            ``text_column_names`` or ``max_seq_length``.

    Raises:
        ValueError: the victim, the rows or a flag do not fit, or the victim returned neither scores nor labels.
    """
    corpus = None if isinstance(rows, (str, os.PathLike)) else corpus_of(rows, flags.get("label_column_name"))
    if corpus is not None:
        flags.setdefault("attack_num_examples", 0)
    named, in_memory = _lexicons(lexicon, antonym_lexicon)
    folder = None if output_dir is None else Path(output_dir)
    if folder is not None:
        require_writable(folder)
    model = os.fspath(victim) if isinstance(victim, (str, os.PathLike)) else ""
    data = corpus.name if corpus is not None else os.fspath(rows)
    names = [attacks] if isinstance(attacks, str) else list(attacks)
    arguments, options = _by_class({**flags, **named, "attacks": names}, model, folder, data)
    settings = FunctionSettings(batch_size, retries, rate, outputs)
    given = GivenVictim(None if model else victim, settings, corpus, in_memory)
    results = measure_attacks(options, arguments, given)
    if folder is not None:
        write_attacks(results, claim_folder("attack", folder))
    return results


def _lexicons(*given: LexiconLike | None) -> tuple[dict[str, str], dict[str, Lexicon]]:
    """Return the values of the flags of both lexicons, and those in memory by their role."""
    named, in_memory = dict[str, str](), dict[str, Lexicon]()
    for (flag, (role, relation)), value in zip(_ROLES.items(), given, strict=True):
        if isinstance(value, (str, os.PathLike)):
            named[flag] = os.fspath(value)
        elif value is not None:
            in_memory[role] = value if isinstance(value, Lexicon) else TableLexicon(value, relation=relation)
            # A lexicon in memory is named by its source, so that no flag seems to be at its default.
            named[flag] = in_memory[role].source
    return named, in_memory


def _by_class(
    flags: Mapping[str, Any], model: str, folder: Path | None, data: str
) -> tuple[AttackArguments, AttackOptions]:
    """Return the flags of the attacks and the other flags of `hf-robust attack`.

    Raises:
        ValueError: there is no such flag.
    """
    unknown = sorted(set(flags) - _FIELDS - _OPTIONS)
    if unknown:
        raise ValueError(
            f"attack() has no argument {', '.join(unknown)}: it takes the flags of `hf-robust attack`, without dashes."
        )
    options = AttackOptions(model, folder, data, **{name: flags[name] for name in _OPTIONS & flags.keys()})
    return AttackArguments(**{name: flags[name] for name in _FIELDS & flags.keys()}), options
