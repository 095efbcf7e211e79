"""Picture and table of the rooms of ``hf_robust``, made from their imports."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from docs.generate.text import ROOT, prose
from hf_robust.reports import markdown_table

PACKAGE = ROOT / "hf_robust"
LAYERS = ROOT / "tests" / "test_layers.py"
_LIGHT, _DARK = ("#ffffff", "#3b6ea8", "#1b1b1b"), ("#20252c", "#7fb2e8", "#e6e6e6")


def rooms() -> list[str]:
    """Names of all rooms."""
    return sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] not in "_.")


@cache
def imports() -> dict[str, frozenset[str]]:
    """Room -> the other rooms that its files import, also inside functions; type-checking imports do not count."""
    return {room: _imported((PACKAGE / room).rglob("*.py")) - {room} for room in rooms()}


def _imported(files: Iterable[Path]) -> frozenset[str]:
    names = {name for path in files for name in _modules(path)}
    return frozenset({name.split(".")[1] for name in names if name.startswith("hf_robust.")} & set(rooms()))


def _modules(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    skipped = {id(inner) for block in blocks for inner in ast.walk(block)}
    names: set[str] = set()
    for node in (node for node in ast.walk(tree) if id(node) not in skipped):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def floors() -> dict[str, int]:
    """Room -> floor, from the table in ``tests/test_layers.py``."""
    (table,) = (
        node.value
        for node in ast.parse(LAYERS.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "FLOORS"
    )
    assert table is not None
    return {room: floor for floor, names in enumerate(ast.literal_eval(table)) for room in sorted(names)}


def drawn_arrows() -> list[tuple[str, str]]:
    """Arrows of the picture: imports that are not also reached through rooms of lower floors."""
    below, levels = imports(), floors()

    def reached(start: str, without: str) -> set[str]:
        visited: set[str] = set()
        waiting = [other for other in below[start] if other != without]
        while waiting:
            room = waiting.pop()
            if room not in visited and levels[room] < levels[start]:
                visited.add(room)
                waiting += below[room]
        return visited

    return [(room, other) for room in below for other in sorted(below[room]) if other not in reached(room, other)]


def picture(dark: bool = False) -> str:
    """SVG with a box for each room on its floor, and an arrow to each room that it imports."""
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
        for room, other in drawn_arrows():
            ends = {"patchA": boxes[room], "patchB": boxes[other], "shrinkA": 0, "shrinkB": 2}
            # Curved if it skips a floor, so that it does not cross a box in between.
            bent = f"arc3,rad={0.2 if levels[room] - levels[other] > 1 else 0}"
            look = {"arrowstyle": "-|>", "color": line, "alpha": 0.65, "connectionstyle": bent}
            # Drawn after the boxes, since an arrow ends at the edge of a box.
            axes.annotate("", places[other], places[room], arrowprops={**look, **ends}, zorder=5)
        axes.set(xlim=(0, 1), ylim=(-0.5, len(rows) - 0.5))
        axes.axis("off")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)
    return buffer.getvalue()


def table() -> str:
    """A row for each room, top floor first: its purpose and its imports."""
    levels = floors()
    below = {room: ", ".join(f"`{other}`" for other in sorted(imports()[room])) for room in levels}
    rows = [
        [f"`{room}`", str(levels[room]), prose(purpose(room)), below[room]]
        for room in sorted(levels, key=lambda room: (-levels[room], room))
    ]
    return markdown_table(["room", "floor", "purpose", "imports"], rows)


def purpose(room: str) -> str:
    """The first line of a room's docstring."""
    text = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def parts() -> dict[str, str]:
    """File below ``generated/`` -> text."""
    return {"rooms-light.svg": picture(), "rooms-dark.svg": picture(dark=True), "parts/rooms.md": table()}
