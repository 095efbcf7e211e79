"""What the trainer itself adds to its model card: the tags asked for, what training started from, and a note where the
published model predicts otherwise than the run was measured."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_robust.models.architecture import architecture
from hf_robust.modules.saved_inference import SavedInference
from hf_robust.runs import is_training, read_card, size_in_words, write_model_origin

logger = logging.getLogger(__name__)

_MARK = "<!-- note on the published model written by hf_robust -->"


def keeps_card(output_dir: Path) -> bool:
    """Whether the folder has the model card of a training, which one who only evaluates there knows nothing of."""
    readme = output_dir / "README.md"
    kept = readme.is_file() and is_training(read_card(output_dir))
    if kept:
        logger.warning("%s is of a training run, and nothing was trained now: it stays as it is.", readme)
    return kept


def complete_card(output_dir: Path, model: Any, tags: Sequence[str], saved: SavedInference | None) -> None:
    """Complete the card that the Trainer has written.

    Args:
        model: what was trained; one without a name in its configuration was made new.
        tags: those that the card was asked to have.
        saved: how the run predicts where plain ``from_pretrained`` does not.
    """
    keep_tags(output_dir, tags)
    start = str(getattr(model.config, "_name_or_path", "") or "")
    write_model_origin(output_dir, start, size_in_words(architecture(model)))
    write_card_note(output_dir, saved)


def write_card_note(output_dir: Path, saved: SavedInference | None) -> None:
    """Add to the card in ``output_dir``, once, what the saved model lacks; nothing where it lacks nothing."""
    if saved is None:
        return
    readme = output_dir / "README.md"
    card = readme.read_text(encoding="utf-8")
    if _MARK not in card:
        readme.write_text(f"{card.rstrip()}\n\n{_MARK}\n## The published model\n\n{saved.note}\n", encoding="utf-8")


def keep_tags(output_dir: Path, tags: Sequence[str]) -> None:
    """Give the card the tags that it was asked to have: PEFT's update of it drops them."""
    card = ModelCard.load(output_dir / "README.md")
    if not set(tags) <= set(card.data.tags or []):
        card.data.tags = list(dict.fromkeys([*(card.data.tags or []), *tags]))
        card.save(output_dir / "README.md")
