"""The rooms of ``hf_robust`` and who imports whom, read from the imports: a picture and a table."""

from __future__ import annotations

import ast
import io
from functools import cache
from pathlib import Path

from docs.generate.text import ROOT, prose
from hf_robust.reports import markdown_table

PACKAGE = ROOT / "hf_robust"
TOP = "commands"
"""Modules beside the rooms: the command line, and what it shares with the script."""
_LIGHT, _DARK = ("#ffffff", "#3b6ea8", "#1b1b1b"), ("#20252c", "#7fb2e8", "#e6e6e6")


def rooms() -> list[str]:
    return sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] not in "_.")


@cache
def imports() -> dict[str, frozenset[str]]:
    """Room -> the other rooms that its files import, lazily or at once."""
    found = {room: _imported((PACKAGE / room).rglob("*.py")) - {room} for room in rooms()}
    return {**found, TOP: _imported(PACKAGE.glob("*.py")) - {TOP}}


def _imported(files: object) -> frozenset[str]:
    names = {name for path in files for name in _modules(path)}  # type: ignore[attr-defined]
    parts = {name.split(".")[1] for name in names if name.startswith("hf_robust.")}
    beside = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    return frozenset(part if part in rooms() else TOP for part in parts & {*rooms(), *beside})


def _modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def floors() -> dict[str, int]:
    """Room -> 0 where it imports no other, else one above the highest room that it imports.

    Where rooms import each other they stand on one floor.
    """
    below = imports()

    def reach(room: str, seen: tuple[str, ...] = ()) -> int:
        return max((1 + reach(one, (*seen, room)) for one in below[room] if one not in (*seen, room)), default=0)

    return {room: reach(room) for room in below}


def shown_arrows() -> list[tuple[str, str]]:
    """The arrows of the picture: those that no way over rooms of lower floors stands for."""
    below, levels = imports(), floors()

    def reached(start: str, without: str) -> set[str]:
        seen: set[str] = set()
        waiting = [one for one in below[start] if one != without]
        while waiting:
            room = waiting.pop()
            if room not in seen and levels[room] < levels[start]:
                seen.add(room)
                waiting += below[room]
        return seen

    return [(room, one) for room in below for one in sorted(below[room]) if one not in reached(room, one)]


def picture(dark: bool = False) -> str:
    """Boxes on floors, arrows from a room to those that it imports, as SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ground, line, ink = _DARK if dark else _LIGHT
    levels = floors()
    rows = [[room for room in levels if levels[room] == floor] for floor in range(max(levels.values()) + 1)]
    places = {
        room: ((index + 0.5) / len(row) + 0.04 * (floor % 3 - 1), floor)
        for floor, row in enumerate(rows)
        for index, room in enumerate(row)
    }
    with matplotlib.rc_context({"svg.hashsalt": "rooms", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure, axes = pyplot.subplots(figsize=(8, 1 + 0.85 * len(rows)))
        boxes = {}
        for room, (x, y) in places.items():
            style = {"boxstyle": "round,pad=0.45", "facecolor": ground, "edgecolor": line}
            text = axes.text(x, y, room, ha="center", va="center", color=ink, bbox=style, fontsize=11)
            boxes[room] = text.get_bbox_patch()
        for room, other in shown_arrows():
            ends = {"patchA": boxes[room], "patchB": boxes[other], "shrinkA": 0, "shrinkB": 2}
            # Bent where it passes a floor, so that it does not run through a box that stands between.
            bent = f"arc3,rad={0.2 if levels[room] - levels[other] > 1 else 0}"
            look = {"arrowstyle": "-|>", "color": line, "alpha": 0.65, "connectionstyle": bent}
            # Above the boxes, so that a box has its place when an arrow is cut at its edge.
            axes.annotate("", places[other], places[room], arrowprops={**look, **ends}, zorder=5)
        axes.set(xlim=(0, 1), ylim=(-0.5, len(rows) - 0.5))
        axes.axis("off")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)
    return buffer.getvalue()


def table() -> str:
    """A row for each room, from the top: what it is for, and which rooms it imports."""
    levels = floors()
    below = {room: ", ".join(f"`{one}`" for one in sorted(imports()[room])) for room in levels}
    rows = [
        [f"`{room}`", str(levels[room]), prose(purpose(room)), below[room]]
        for room in sorted(levels, key=lambda room: (-levels[room], room))
    ]
    return markdown_table(["room", "floor", "what it is for", "imports"], rows)


def purpose(room: str) -> str:
    """The first line of a room's docstring."""
    if room == TOP:
        return "The command line, and what it shares with the script: the modules beside the rooms."
    text = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def parts() -> dict[str, str]:
    """File below ``generated/`` -> text."""
    return {"rooms-light.svg": picture(), "rooms-dark.svg": picture(dark=True), "parts/rooms.md": table()}
