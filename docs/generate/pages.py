"""All files that are made below ``docs/generated`` when the docs are built."""

from __future__ import annotations

from pathlib import Path

from docs.generate import api, attacks, commands, methods, notebook, results, rooms
from hf_robust.attacks import ATTACKS
from hf_robust.cli.main import COMMANDS
from hf_robust.trainers import METHODS


def pages() -> dict[str, str | bytes]:
    """File below ``generated/`` -> content."""
    by_file: dict[str, str | bytes] = {"parts/methods.md": methods.table()}
    by_file |= {f"methods/{name}.md": methods.page(method) for name, method in METHODS.items()}
    by_file |= {f"attacks/{name}.md": attacks.page(name) for name in ATTACKS}
    by_file |= {"parts/attack_flags.md": attacks.flags_of_all()}
    by_file |= {f"commands/{name}.md": commands.page(name) for name in COMMANDS}
    by_file |= {"commands/run_glue_robust.md": commands.script_page()}
    return by_file | results.pages() | rooms.parts() | api.pages() | notebook.pages()


def write_pages(docs: Path) -> None:
    """Write new and changed files, and remove files that are no longer made."""
    folder = docs / "generated"
    contents = {folder / name: text for name, text in pages().items()}
    for path, content in contents.items():
        new = content if isinstance(content, bytes) else content.encode("utf-8")
        if not path.is_file() or path.read_bytes() != new:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(new)
    for path in folder.rglob("*"):
        if path.is_file() and path not in contents:
            path.unlink()
