"""Command lines that measure what a check needs, built from the run card.

A run card holds placeholders such as ``DATA_DIR/train.jsonl`` for folders outside the working folder. They stay in
the command for the user to fill in.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.attacks.flag_readers import READERS, is_flag_read
from hf_robust.data.legacy_flags import current_names
from hf_robust.reports.reproduction import program_words
from hf_robust.reports.sanity.evidence import Folder, MeasuredAttack
from hf_robust.reports.training_overlap import drawn_from
from hf_robust.runs import CHECKS_FOLDER, read_json

SOURCES = ("task_name", "validation_file", "dataset_name", "data")
CARRIED = (
    "max_seq_length", "label_column_name", "text_column_names", "class_names", "frozen_columns", "split",
    "skip_labels", "attack_ranking", "attack_time_limit", "attack_early_exit", "attack_fixed", "attack_scores",
    "sememes", "name_lists", "antonym_success", "negation_count", "protect", "attack_max_changed", "language",
    "attack_target",
)  # fmt: skip
"""Flags of the run that change its attacks and that attack descriptions do not hold."""
_SAMPLE = re.compile(r"(-?\d+) rows, seed (\d+)")
_FILE = re.compile(r"validation: (\S+\.(?:csv|tsv|jsonl?|parquet)(?:\.gz)?) \(")
_BY_NAME = ("builtin", "wordnet")


def attack_command(
    folder: Folder, attacks: Sequence[MeasuredAttack], to: str, beside: Sequence[str] = (), **changed: Any
) -> str:
    """`hf-robust attack` command that repeats the attacks of a folder with the flags in ``changed``.

    Args:
        to: name of the output folder under ``checks`` of the run.
        beside: further values of ``--attacks``.
        changed: flags by name; None drops the flag.
    """
    # An attack with a target has its recipe's name in its description, and the target is one of the flags carried.
    names = [str(one.described.get("name", one.name)) for one in attacks]
    flags: dict[str, Any] = {"data": _data(folder), "attacks": [*names, *beside]}
    sample = _SAMPLE.fullmatch(str(folder.run.data.get("attack_sample", "")))
    if sample:
        flags |= {"attack_num_examples": sample[1], "attack_seed": sample[2]}
    command_flags = current_names(flags_of_command(folder.run.card))
    flags |= {
        name: command_flags[name]
        for name in CARRIED
        if name in command_flags and (name not in READERS or is_flag_read(name, names))
    }
    if vote := folder.run.card.get("vote"):
        flags |= {"attack_votes": vote["votes"], "vote_mask_rate": vote.get("mask_rate")}
    for one in attacks:
        flags |= {name: _path_in_command(name, value, command_flags) for name, value in _parts(one.described)}
    if any("scores" not in one.described and not one.described.get("backend") for one in attacks):
        # Older runs had no choice of scores.
        flags["attack_scores"] = "probability"
    flags |= {**changed, "output_dir": (folder.run.path / CHECKS_FOLDER / to).as_posix()}
    words = ["hf-robust", "attack", model_of(folder)]
    for name, value in flags.items():
        if value is not None:
            words += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return shlex.join(words)


def train_command(folder: Folder, to: str, **changed: Any) -> str:
    """Training command of the folder with the flags in ``changed`` and a new output folder; empty if it is unknown."""
    words = program_words(folder.run.card)
    if not folder.trained or not words:
        return ""
    flags = {**changed, "output_dir": f"{folder.run.path.as_posix()}-{to}"}
    return shlex.join([*words, *(word for name, value in flags.items() for word in (f"--{name}", value))])


def model_of(folder: Folder) -> str:
    """Attacked checkpoint: the folder itself for a training, else the model that the command of the attack names."""
    if folder.trained:
        return folder.run.path.as_posix()
    command = [str(word) for word in folder.run.card.get("command") or ()]
    if command[:1] == ["hf-robust"] and len(command) > 2 and not command[2].startswith("-"):
        return command[2]
    return str(folder.run.card.get("model", "MODEL"))


def flags_of_command(card: Mapping[str, Any]) -> dict[str, Any]:
    """Flags of the command in a run card, including those of its args file if that file still exists."""
    words = [str(word) for word in card.get("command") or ()][1:]
    flags: dict[str, Any] = {}
    if words and words[0].endswith(".json"):
        flags = read_json(Path(words.pop(0)))
    name = ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            flags[name] = [value] if equals else []
        elif name:
            flags[name].append(word)
    return flags


def _path_in_command(name: str, value: Any, command_flags: Mapping[str, Any]) -> Any:
    """Path of a described file as the command of the run gives it; a description holds the file name alone."""
    for flag in (name, f"attack_{name}"):
        words = command_flags.get(flag)
        word = str(words[0] if isinstance(words, list) and words else words)
        if Path(word).name == Path(str(value)).name:
            return word
    return value


def _data(folder: Folder) -> str:
    command_flags = flags_of_command(folder.run.card)
    for name in SOURCES:
        if command_flags.get(name):
            return str(command_flags[name][0] if isinstance(command_flags[name], list) else command_flags[name])
    data = folder.run.data
    file = _FILE.search(str(data.get("variant", "")))
    return file[1] if file else str(data.get("name", "DATA")).removeprefix("glue/")


def _parts(described: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Flags that lead to an attack description; of the standard, those of its resources."""
    if members := described.get("members"):
        flags = {name: value for one in members.values() for name, value in _parts({**one, "query_budget": None})}
        flags.pop("pos_tagger", None)  # an attack without a tagger says nothing about the others
        yield from flags.items()
        if described["resources"].get("tagger") == {"name": "none"}:
            yield "pos_tagger", "none"
        return
    candidates = described.get("candidates") or {}
    if described.get("backend"):
        yield "attack_backend", described["backend"]
    if described.get("query_budget"):
        yield "attack_query_budget", described["query_budget"]
    lexicon = drawn_from(described)
    if lexicon and candidates.get("name") != "lemmas":  # PWWS uses WordNet for any --lexicon
        yield ("antonym_lexicon" if lexicon.get("relation") == "antonym" else "lexicon"), source_of(lexicon)
    constraints = {one.get("name"): one for one in described.get("constraints") or ()}
    if lexicon and not lexicon.get("keeps_part_of_speech") and "part_of_speech" not in constraints:
        yield "pos_tagger", "none"
    if described.get("similarity"):
        yield "sentence_encoder", described["similarity"].get("encoder")
        if described.get("name") == "synonym":
            yield "min_similarity", described["similarity"].get("minimum")
    models = {"masked_lm": [candidates, *candidates.get("sources", ())], "language_model": constraints.values()}
    for name, parts in models.items():
        models_of_parts = [part[name] for part in parts if part.get(name)]
        if models_of_parts:
            yield name, models_of_parts[0]
    if "word_distance" in constraints:
        yield "word_vectors", constraints["word_distance"].get("vectors")


def source_of(lexicon: Mapping[str, Any]) -> str:
    """Value of ``--lexicon`` that loads a described lexicon."""
    name = str(lexicon.get("name", ""))
    return name if name in _BY_NAME else str(lexicon.get("source", name))
