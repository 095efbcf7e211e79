"""API pages: one for each room with its modules, and an index."""

from __future__ import annotations

from docs.generate.rooms import PACKAGE, purpose, rooms
from docs.generate.text import prose


def pages() -> dict[str, str]:
    """File below ``generated/`` -> text."""
    by_file = {f"api/{room}.md": page(room) for room in rooms()}
    lines = "\n".join(f"- [`hf_robust.{room}`]({room}.md): {prose(purpose(room))}" for room in rooms())
    tree = "```{toctree}\n:hidden:\n\n" + "\n".join(rooms()) + "\n```"
    return {**by_file, "api/index.md": f"# API\n\n{lines}\n\n{tree}\n"}


def page(room: str) -> str:
    """The docstring of a room, then its modules."""
    parts = [f"# hf_robust.{room}", _automodule(f"hf_robust.{room}", members=False)]
    for path in sorted((PACKAGE / room).rglob("*.py")):
        if path.name[0] != "_":
            name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            parts += [f"## {name.removeprefix(f'hf_robust.{room}.')}", _automodule(name)]
    return "\n\n".join(parts) + "\n"


def _automodule(name: str, members: bool = True) -> str:
    options = "   :members:\n" if members else ""
    return f"```{{eval-rst}}\n.. automodule:: {name}\n{options}```"
