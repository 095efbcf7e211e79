"""The command that makes a run again, from its card: what can be pasted, and what has to be filled in first."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from hf_robust.runs import PLACEHOLDERS

SCRIPT = "run_glue_robust.py"
# They belong to the run that was, not to one like it: where it went on, where it was published and shown.
_LEFT_OUT = ("resume_from_checkpoint", "push_to_hub", "baseline_run", "report_to", "run_name", "cache_dir")
_LEFT_OUT_PREFIX = "hub_"


class Reproduction(NamedTuple):
    """A command line, empty where none is known, and a sentence on what it needs, empty where nothing."""

    command: str
    note: str


def reproduction(card: Mapping[str, Any]) -> Reproduction:
    """What to paste to make a run again, and what to fill in before.

    Cards of before args files were written out name a file alone; then there is no command, and the note says so.
    """
    words = program_words(card)
    if not words:
        return Reproduction("", "")
    script = next((place for place, word in enumerate(words) if word.endswith(".py")), None)
    if script is not None and words[script + 1 : script + 2] and words[script + 1].endswith(".json"):
        file = words[script + 1]
        return Reproduction("", f"The flags of this run were in a file, `{file}`, which its card does not hold.")
    text = shlex.join(words)
    notes = []
    if names := list(dict.fromkeys(PLACEHOLDERS.findall(text))):
        listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        stand = "stands for a folder" if len(names) == 1 else "stand for folders"
        notes.append(f"{listed} {stand} of the machine where it ran: put your own there.")
    if script is not None and words[script] != SCRIPT:
        notes.append("The script is not one of hf_robust.")
    return Reproduction(text, " ".join(notes))


def program_words(card: Mapping[str, Any]) -> list[str]:
    """The command of a card as words that start with a program, without what belongs to the run that was alone.

    Several processes are several again, since the batch size is that of each.
    """
    words = [str(word) for word in card.get("command") or ()]
    if not words or not words[0].endswith(".py"):
        return words
    processes = int((card.get("hardware") or {}).get("processes") or 1)
    start = ["torchrun", f"--nproc_per_node={processes}"] if processes > 1 else ["python"]
    return [*start, words[0], *_kept(words[1:])]


def _kept(words: list[str]) -> list[str]:
    kept, keep = [], True
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name = word[2:].partition("=")[0].replace("-", "_")
            keep = name not in _LEFT_OUT and not name.startswith(_LEFT_OUT_PREFIX)
        if keep:
            kept.append(word)
    return kept
