"""Loading of a pretrained encoder before it is fine-tuned, with a classification head of random weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from hf_robust.adversary import preserved_random_state
from hf_robust.models.files import loading
from hf_robust.models.weights import new_weights


def load_untuned(name: str, class_names: Sequence[str], seed: int) -> Any:
    """The encoder in a folder or Hub repository, with a head for these classes whose weights are drawn by the seed.

    Raises:
        ValueError: there is no encoder, or it has a trained head.
    """
    classes = dict(enumerate(class_names))
    ids = {label: index for index, label in classes.items()}
    with loading(name, name, "give a folder or a Hub id of a pretrained encoder"), preserved_random_state():
        config = AutoConfig.from_pretrained(name, num_labels=len(classes), id2label=classes, label2id=ids)
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(name, config=config)
    if not new_weights(model):
        raise ValueError(
            f"{name} has a trained classification head, so that it is no model before fine-tuning: give the "
            "pretrained encoder, or name it among the fine-tuned models."
        )
    return model
