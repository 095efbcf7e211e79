"""Every file that is made when the docs are built, below ``docs/generated``."""

from __future__ import annotations

from pathlib import Path

from docs.generate import api, attacks, commands, methods, notebook, results, rooms
from hf_robust.attacks import ATTACKS
from hf_robust.cli.main import COMMANDS
from hf_robust.trainers import METHODS


def pages() -> dict[str, str | bytes]:
    """File below ``generated/`` -> what it holds."""
    found: dict[str, str | bytes] = {"parts/methods.md": methods.table()}
    found |= {f"methods/{name}.md": methods.page(method) for name, method in METHODS.items()}
    found |= {f"attacks/{name}.md": attacks.page(name) for name in ATTACKS}
    found |= {"parts/attack_flags.md": attacks.flags_of_all()}
    found |= {f"commands/{name}.md": commands.page(name) for name in COMMANDS}
    found |= {"commands/run_glue_robust.md": commands.script_page()}
    return found | results.pages() | rooms.parts() | api.pages() | notebook.pages()


def write_pages(docs: Path) -> None:
    """Write what is not there yet or changed, and remove what is no longer made."""
    folder = docs / "generated"
    made = {folder / name: text for name, text in pages().items()}
    for path, content in made.items():
        new = content if isinstance(content, bytes) else content.encode("utf-8")
        if not path.is_file() or path.read_bytes() != new:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(new)
    for path in folder.rglob("*"):
        if path.is_file() and path not in made:
            path.unlink()
