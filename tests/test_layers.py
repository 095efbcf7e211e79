"""The house: eight floors of rooms whose imports go down only, and no circle of files."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS: list[set[str]] = [
    {"words", "losses", "adversary", "metrics"},
    {"data", "lexicons", "models", "runs"},
    {"attacks", "certify", "interpret"},
    {"views", "modules"},
    {"training", "reports"},
    {"trainers", "callbacks", "hub"},
    {"wiring"},
    {"sweep", "reproduce", "cli"},
]
SIDEWAYS = {
    ("metrics", "words"), ("data", "lexicons"), ("hub", "reports"), ("callbacks", "reports"), ("cli", "sweep"),
    ("reproduce", "sweep"), ("cli", "reproduce"),
}  # fmt: skip
"""Arrows between rooms of one floor: these and no others."""
SUBROOMS = {"attacks": {"recipes", "engine", "parts", "models", "textattack"}}
MOST_ROOMS = 27


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def modules() -> dict[str, Path]:
    """Each file of hf_robust by its dotted name."""
    found = {}
    for path in (ROOT / "hf_robust").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    for room in ("trainers", "callbacks"):  # links, which rglob does not follow
        for path in (ROOT / room).glob("*.py"):
            found[f"hf_robust.{room}" + ("" if path.stem == "__init__" else f".{path.stem}")] = path
    return found


MODULES = modules()


def imports_of(path: Path) -> set[str]:
    """Files of hf_robust that a file imports, inside functions too; not where only a type checker looks."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    skipped = {id(inner) for block in blocks for inner in ast.walk(block)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: imports are absolute here"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                names.add(inside if inside in MODULES else node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & set(MODULES)


GRAPH = {name: imports_of(path) for name, path in MODULES.items()}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_is_on_one_floor_and_there_are_few() -> None:
    rooms = sorted({room_of(name) for name in MODULES} - {""})
    assert rooms == sorted(room for floor in FLOORS for room in floor)
    for room, below in SUBROOMS.items():
        folder = ROOT / "hf_robust" / room
        assert {path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "_"} == below
    assert len(rooms) + sum(map(len, SUBROOMS.values())) <= MOST_ROOMS and len(FLOORS) <= 8


def test_no_module_stands_beside_the_rooms() -> None:
    assert [path.name for path in (ROOT / "hf_robust").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("room", [room for floor in FLOORS for room in sorted(floor)])
def test_imports_go_down_only(room: str) -> None:
    for name in MODULES:
        if room_of(name) != room:
            continue
        for other in {room_of(imported) for imported in GRAPH[name]} - {room, ""}:
            down = floor_of(other) < floor_of(room)
            assert down or (room, other) in SIDEWAYS, f"{name}: {room} may not import {other}"


def test_no_circle_of_files() -> None:
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle: {' -> '.join([*way[way.index(name) :], name])}"
        if name not in done:
            for other in GRAPH[name]:
                visit(other, (*way, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())
