"""Correct the model card's statement on the base model, which the Trainer gets wrong for local and new models."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_robust.runs.redaction import portable_path

FROM_SCRATCH_SENTENCE = "This model was trained from scratch on "
"""Sentence that the Trainer also writes for a model loaded from a folder."""
EMPTY_BASE_SENTENCE = "This model is a fine-tuned version of [](https://huggingface.co/) on "
"""Sentence that the Trainer writes for a model made from a configuration."""
_ANY_ORIGIN = re.compile(
    r"^This model (?:was trained from scratch|is a fine-tuned version of \[.*\)) on ", re.MULTILINE
)
_HYPERPARAMETERS = re.compile(r"^## Training procedure\n.*?^### (?=Framework versions$)", re.MULTILINE | re.DOTALL)


def write_model_origin(output_dir: Path, start: str, size: str) -> None:
    """Write into ``README.md`` whether training started from a local checkpoint or from scratch.

    Args:
        start: the configuration's ``_name_or_path``: a folder, a Hub id, or empty for a new model.
        size: type and number of weights of the model, as text.
    """
    readme = Path(output_dir) / "README.md"
    card = ModelCard.load(readme)
    sentence = FROM_SCRATCH_SENTENCE
    if start:
        sentence = f"This model was fine-tuned from a local checkpoint (`{portable_path(start)}`: {size}) on "
    if not start or _is_local(start):
        card.text = card.text.replace(EMPTY_BASE_SENTENCE, sentence).replace(FROM_SCRATCH_SENTENCE, sentence)
    drop_local_base_model(card.data)
    card.save(readme)


def write_evaluation(output_dir: Path, model: str, size: str) -> None:
    """Write into ``README.md`` that the model was evaluated and not trained, and take the hyperparameters out.

    Args:
        model: the configuration's ``_name_or_path``, as in :func:`write_model_origin`.
        size: type and number of weights of the model, as text.
    """
    readme = Path(output_dir) / "README.md"
    card = ModelCard.load(readme)
    name = f"`{portable_path(model)}`" if _is_local(model) else f"[{model}](https://huggingface.co/{model})"
    sentence = f"This model is {name if model else 'new'} ({size}). It was not trained further, and evaluated on "
    card.text = _HYPERPARAMETERS.sub("## ", _ANY_ORIGIN.sub(lambda _: sentence, card.text))
    drop_local_base_model(card.data)
    card.save(readme)


def drop_local_base_model(data: Any) -> None:
    """Remove a local folder named as base model (by PEFT) from the card's data; only a Hub id helps other readers."""
    base = data.base_model
    if isinstance(base, str) and _is_local(base):
        data.base_model = None
        data.tags = [tag for tag in data.tags or [] if not (tag.startswith("base_model:") and base in tag)]


def _is_local(name: str) -> bool:
    return os.path.isabs(name) or Path(name).is_dir()
