"""Markdown from help texts and docstrings, and links that still lead somewhere from another folder."""

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
    """Plain text as Markdown: what is a sign of Markdown outside of backticks is escaped."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part[:1] == "`" else re.sub(r"([\\*_<>\[\]{}$])", r"\\\1", part) for part in parts)


def sentence(idea: str) -> str:
    """A phrase as a sentence; a first word that is a name (`freelb's`, `adv_iter`) stays as it is written."""
    first = re.split(r"[^\w]", idea)[0]
    name = first in METHODS or first in ATTACKS
    return prose(idea if name else idea[:1].upper() + idea[1:]) + "."


def rst_block(text: str) -> str:
    """A docstring, which is reStructuredText in Google's style, as a part of a Markdown page."""
    from sphinx.ext.napoleon import Config, GoogleDocstring

    written = str(GoogleDocstring(text, Config(napoleon_use_ivar=True)))
    return f"`````{{eval-rst}}\n{written.strip()}\n`````"


def paragraphs(docstring: str) -> list[str]:
    """The paragraphs of a docstring; a formula, an example and a section belong to the paragraph that they follow."""
    found: list[str] = []
    for part in docstring.split("\n\n"):
        if found and re.match(r"\s|\.\. |>>> |\w+:\n", part):
            found[-1] += f"\n\n{part}"
        else:
            found.append(part)
    return found


def flags_table(actions: Iterable[argparse.Action]) -> str:
    """A row for each flag or argument: how it is given, what it does, its default."""
    rows = [[_named(action), prose(meaning(action)), default(action)] for action in actions]
    return markdown_table(["flag", "what it does", "default"], rows)


def written(action: argparse.Action) -> str:
    """A flag with the kind of its value, as ``--help`` shows it."""
    return str(FlagFormatter("")._format_action_invocation(action)) if action.option_strings else str(action.metavar)


def _named(action: argparse.Action) -> str:
    """A flag as code, which is not broken, and the kind of its value or its choices, which may be."""
    name, _, kind = written(action).partition(" ")
    return f"`{name}` {prose(kind.replace(',', ', '))}".strip()


def meaning(action: argparse.Action) -> str:
    """The help of a flag without the default that a sentence at its end may name."""
    return re.sub(r"\s*\bDefault: [^.]*(\.\d[^.]*)*\.$", "", (action.help or "") % {**vars(action), "prog": ""})


def default(action: argparse.Action) -> str:
    told = re.search(r"\bDefault: ((?:[^.]|\.(?=\d))*)\.$", action.help or "")
    if told:
        return prose(told[1])
    if action.required or not action.option_strings:
        return "needed"
    if action.default in (None, [], "", argparse.SUPPRESS):
        return NOTHING
    values: Any = action.default if isinstance(action.default, list) else [action.default]
    return "`" + " ".join(str(getattr(value, "value", value)) for value in values) + "`"


def flags_of(parser: argparse.ArgumentParser, names: Iterable[str]) -> Iterator[argparse.Action]:
    """The flags of fields by name, each once; fields that no flag sets are left out."""
    by_name = {option: action for action in parser._actions for option in action.option_strings}
    yield from (by_name[f"--{name}"] for name in names if f"--{name}" in by_name)


def moved(text: str, written_in: Path, shown_in: Path) -> str:
    """Markdown with the relative links of one folder, so that they hold in another.

    A picture or a file that is nowhere is left as it is, for the build to complain of.
    """

    def link(found: re.Match[str]) -> str:
        target, hash_, place = found[1].partition("#")
        return f"]({os.path.relpath(written_in / target, shown_in)}{hash_}{place})" if target else found[0]

    return re.sub(r"\]\((?!\w+:)([^)\s]+)\)", link, text)
