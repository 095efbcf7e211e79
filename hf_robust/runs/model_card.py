"""What the model card says of where training started, which the Trainer says wrongly of folders and of new models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_robust.runs.redaction import portable_path

FROM_SCRATCH_SENTENCE = "This model was trained from scratch on "
"""What the Trainer writes of a model that was loaded from a folder, too."""
EMPTY_BASE_SENTENCE = "This model is a fine-tuned version of [](https://huggingface.co/) on "
"""What it writes of a model that was made from a configuration."""


def write_model_origin(output_dir: Path, start: str, size: str) -> None:
    """Say in ``README.md`` what training started from: a folder's checkpoint by its name, or nothing.

    Args:
        start: the configuration's ``_name_or_path``: a folder, a Hub id, empty for a model that was made new.
        size: type and number of weights of the model, in words.
    """
    readme = Path(output_dir) / "README.md"
    card = ModelCard.load(readme)
    said = FROM_SCRATCH_SENTENCE
    if start:
        said = f"This model was fine-tuned from a local checkpoint (`{portable_path(start)}`: {size}) on "
    if not start or _is_local(start):
        card.text = card.text.replace(EMPTY_BASE_SENTENCE, said).replace(FROM_SCRATCH_SENTENCE, said)
    drop_local_base_model(card.data)
    card.save(readme)


def drop_local_base_model(data: Any) -> None:
    """Take a folder named as base model (by PEFT) out of a card's data: only a Hub id means anything to others."""
    base = data.base_model
    if isinstance(base, str) and _is_local(base):
        data.base_model = None
        data.tags = [tag for tag in data.tags or [] if not (tag.startswith("base_model:") and base in tag)]


def _is_local(name: str) -> bool:
    return os.path.isabs(name) or Path(name).is_dir()
