"""Imports go down only: each room may import the rooms that its row names, and no other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOOR_0 = {"adversary", "words", "lexicons", "losses", "metrics", "models"}
FLOOR_1 = {"data", "attacks", "views", "interpret", "certify"}
MAY_IMPORT: dict[str, set[str]] = {
    "adversary": set(),
    "words": set(),
    "lexicons": {"words", "metrics"},
    "losses": set(),
    "metrics": {"words"},
    "models": {"lexicons", "losses", "words"},
    "runs": {"metrics", "words"},
    "data": FLOOR_0,
    "attacks": FLOOR_0 | {"runs"},
    "views": FLOOR_0 | {"runs", "attacks"},
    "certify": FLOOR_0 | {"runs"},
    "interpret": FLOOR_0,
    "trainers": FLOOR_0 | FLOOR_1 | {"runs"},
    "callbacks": FLOOR_0 | FLOOR_1 | {"runs", "reports"},
    "reports": {"metrics", "words", "runs", "attacks"},
    "hub": {"reports", "metrics", "models", "runs"},
    "sweep": {"parsing", "attacks", "reports", "metrics", "runs"},
}


def rooms() -> list[str]:
    return sorted(path.name for path in (ROOT / "hf_robust").iterdir() if path.is_dir() and path.name[0] != "_")


def top_floor() -> set[str]:
    """Modules beside the rooms: the command line and what it shares with the script."""
    return {path.stem for path in (ROOT / "hf_robust").glob("*.py")} - {"__init__"}


def imported_parts(path: Path) -> set[str]:
    """Rooms and top-floor modules of hf_robust that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: imports are absolute here"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("hf_robust.")} & {*rooms(), *top_floor()}


def test_every_room_has_a_row() -> None:
    assert set(rooms()) == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_downwards_only(room: str) -> None:
    for path in (ROOT / "hf_robust" / room).rglob("*.py"):
        upwards = imported_parts(path) - MAY_IMPORT[room] - {room}
        assert not upwards, f"{path.name}: {room} may not import {', '.join(sorted(upwards))}"
