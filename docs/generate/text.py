"""Markdown from help texts and docstrings, and relative links for another folder."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hf_robust.attacks import ATTACKS
from hf_robust.reports import markdown_table
from hf_robust.trainers import METHODS
from hf_robust.wiring.flag_format import FlagFormatter

ROOT = Path(__file__).parents[2]
NOTHING = "–"


def prose(text: str) -> str:
    """Plain text as Markdown: special characters outside backticks are escaped."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part[:1] == "`" else re.sub(r"([\\*_<>\[\]{}$])", r"\\\1", part) for part in parts)


def sentence(idea: str) -> str:
    """A phrase as a sentence; a first word that is a name (`freelb's`, `adv_iter`) is not capitalised."""
    first = re.split(r"[^\w]", idea)[0]
    name = first in METHODS or first in ATTACKS
    return prose(idea if name else idea[:1].upper() + idea[1:]) + "."


def rst_block(text: str) -> str:
    """A docstring (reStructuredText in Google style) as a block of a Markdown page."""
    from sphinx.ext.napoleon import Config, GoogleDocstring

    flag_with_kind = str(GoogleDocstring(text, Config(napoleon_use_ivar=True)))
    return f"`````{{eval-rst}}\n{flag_with_kind.strip()}\n`````"


def paragraphs(docstring: str) -> list[str]:
    """Paragraphs of a docstring; formulas, examples and sections belong to the paragraph before them."""
    blocks: list[str] = []
    for part in docstring.split("\n\n"):
        if blocks and re.match(r"\s|\.\. |>>> |\w+:\n", part):
            blocks[-1] += f"\n\n{part}"
        else:
            blocks.append(part)
    return blocks


def flags_table(actions: Iterable[argparse.Action]) -> str:
    """A row for each flag or argument: its name, what it does, its default."""
    rows = [[_named(action), prose(meaning(action)), default(action)] for action in actions]
    return markdown_table(["flag", "what it does", "default"], rows)


def flag_with_kind(action: argparse.Action) -> str:
    """A flag with the kind of its value, as in ``--help``."""
    return str(FlagFormatter("")._format_action_invocation(action)) if action.option_strings else str(action.metavar)


def _named(action: argparse.Action) -> str:
    """A flag as code, and the kind of its value or its choices as text, which may wrap."""
    name, _, kind = flag_with_kind(action).partition(" ")
    return f"`{name}` {prose(kind.replace(',', ', '))}".strip()


def meaning(action: argparse.Action) -> str:
    """Help of a flag without a last sentence that states the default."""
    return re.sub(r"\s*\bDefault: [^.]*(\.\d[^.]*)*\.$", "", (action.help or "") % {**vars(action), "prog": ""})


def default(action: argparse.Action) -> str:
    """Default of a flag: as its help states it, else its value; "needed" for a required flag."""
    stated = re.search(r"\bDefault: ((?:[^.]|\.(?=\d))*)\.$", action.help or "")
    if stated:
        return prose(stated[1])
    if action.required or not action.option_strings:
        return "needed"
    if action.default in (None, [], "", argparse.SUPPRESS):
        return NOTHING
    values: Any = action.default if isinstance(action.default, list) else [action.default]
    return "`" + " ".join(str(getattr(value, "value", value)) for value in values) + "`"


def flags_of(parser: argparse.ArgumentParser, names: Iterable[str]) -> Iterator[argparse.Action]:
    """Flags of the named fields; fields without a flag are left out."""
    by_name = {option: action for action in parser._actions for option in action.option_strings}
    yield from (by_name[f"--{name}"] for name in names if f"--{name}" in by_name)


def with_moved_links(text: str, written_in: Path, shown_in: Path) -> str:
    """Markdown written for one folder, with its relative links rewritten for another folder.

    A link to a missing file is rewritten too, and the build reports it.
    """

    def link(match: re.Match[str]) -> str:
        target, hash_, place = match[1].partition("#")
        return f"]({os.path.relpath(written_in / target, shown_in)}{hash_}{place})" if target else match[0]

    return re.sub(r"\]\((?!\w+:)([^)\s]+)\)", link, text)
