"""The command that reproduces a run, from its run card, and what the user has to fill in first."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from hf_robust.runs import PLACEHOLDERS, TRAIN_COMMAND, is_training_script

# Flags of the original run alone: where it was resumed, published and tracked.
_LEFT_OUT = ("resume_from_checkpoint", "push_to_hub", "baseline_run", "report_to", "run_name", "cache_dir")
_LEFT_OUT_PREFIX = "hub_"


class Reproduction(NamedTuple):
    """A command line, empty if it is unknown, and a sentence on what it needs, empty if nothing."""

    command: str
    note: str


def reproduction(card: Mapping[str, Any]) -> Reproduction:
    """The command that reproduces a run, and a note on what to fill in.

    Older run cards hold only the name of an args file and not its flags; then there is only a note.
    """
    given = [str(word) for word in card.get("command") or ()]
    if not given:
        return Reproduction("", "")
    if _is_script(given[0]) and "".join(given[1:2]).endswith(".json"):
        return Reproduction(
            "", f"The flags of this run were in the file `{given[1]}`, which the run card does not hold."
        )
    text = shlex.join(program_words(card))
    notes = []
    if names := list(dict.fromkeys(PLACEHOLDERS.findall(text))):
        listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        stand = "stands for a folder" if len(names) == 1 else "stand for folders"
        notes.append(f"{listed} {stand} of the original machine: replace with your own.")
    if given[0].endswith(".py") and not is_training_script(given[0]):
        notes.append("The script is not part of hf_robust.")
    return Reproduction(text, " ".join(notes))


def program_words(card: Mapping[str, Any]) -> list[str]:
    """Words of the command in a run card, with its program and without the flags of the original run alone.

    The training script is named by its installed command, which needs no checkout. The number of processes stays the
    same, since the batch size is per process.
    """
    words = [str(word) for word in card.get("command") or ()]
    if not words or not _is_script(words[0]):
        return words
    processes = int((card.get("hardware") or {}).get("processes") or 1)
    start = ["torchrun", f"--nproc_per_node={processes}"] if processes > 1 else []
    if is_training_script(words[0]):
        program = [*start, "-m", TRAIN_COMMAND] if start else [TRAIN_COMMAND]
    else:
        program = [*(start or ["python"]), words[0]]
    return [*program, *_reusable(words[1:])]


def _is_script(program: str) -> bool:
    return program.endswith(".py") or is_training_script(program)


def _reusable(words: list[str]) -> list[str]:
    reusable, keep = [], True
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name = word[2:].partition("=")[0].replace("-", "_")
            keep = name not in _LEFT_OUT and not name.startswith(_LEFT_OUT_PREFIX)
        if keep:
            reusable.append(word)
    return reusable
