"""Additions of the trainer to its model card: requested tags, the start model, and a warning if the published
checkpoint predicts differently from the evaluated model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_robust.models.architecture import architecture
from hf_robust.modules.saved_inference import SavedInference
from hf_robust.runs import is_training, read_card, size_in_words, write_evaluation, write_model_origin

logger = logging.getLogger(__name__)

_MARK = "<!-- note on the published model written by hf_robust -->"


def keep_training_card(output_dir: Path) -> bool:
    """Whether the folder already has the model card of a training run, which an evaluation must not overwrite."""
    readme = output_dir / "README.md"
    keep = readme.is_file() and is_training(read_card(output_dir))
    if keep:
        logger.warning("%s belongs to a training run, and this run trained nothing: the file stays unchanged.", readme)
    return keep


def complete_card(
    output_dir: Path, model: Any, tags: Sequence[str], saved: SavedInference | None, trained: bool = True
) -> None:
    """Complete the card that the Trainer has written.

    Args:
        model: the trained model; without a name in its configuration it started from random weights.
        tags: the requested tags.
        saved: the difference between the evaluated model and plain ``from_pretrained``; None if there is none.
        trained: whether this run trained the model; an evaluation has no hyperparameters.
    """
    keep_tags(output_dir, tags)
    start = str(getattr(model.config, "_name_or_path", "") or "")
    size = size_in_words(architecture(model))
    if trained:
        write_model_origin(output_dir, start, size)
    else:
        write_evaluation(output_dir, start, size)
    write_card_note(output_dir, saved)


def write_card_note(output_dir: Path, saved: SavedInference | None) -> None:
    """Add the note on the saved model to the card in ``output_dir``, once; without ``saved`` there is no note."""
    if saved is None:
        return
    readme = output_dir / "README.md"
    card = readme.read_text(encoding="utf-8")
    if _MARK not in card:
        readme.write_text(f"{card.rstrip()}\n\n{_MARK}\n## The published model\n\n{saved.note}\n", encoding="utf-8")


def keep_tags(output_dir: Path, tags: Sequence[str]) -> None:
    """Add missing requested tags to the card, because PEFT drops them when it updates the card."""
    card = ModelCard.load(output_dir / "README.md")
    if not set(tags) <= set(card.data.tags or []):
        card.data.tags = list(dict.fromkeys([*(card.data.tags or []), *tags]))
        card.save(output_dir / "README.md")
