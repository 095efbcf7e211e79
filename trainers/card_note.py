"""A note in the model card where the published model predicts otherwise than the run was measured."""

from __future__ import annotations

from pathlib import Path

_MARK = "<!-- note on the published model written by hf_robust -->"


def write_card_note(output_dir: Path, text: str) -> None:
    """Add ``text`` to the card in ``output_dir``, once."""
    readme = output_dir / "README.md"
    card = readme.read_text(encoding="utf-8")
    if _MARK not in card:
        readme.write_text(f"{card.rstrip()}\n\n{_MARK}\n## The published model\n\n{text}\n", encoding="utf-8")
