"""Dropout of a model: the fields of its configuration that set it, and its layers."""

from __future__ import annotations

from typing import Any

from torch import nn

from hf_robust.models.architecture import parts_of


def dropout_fields(config: Any) -> list[tuple[Any, str]]:
    """The fields that hold a share of dropout, each with the part of the configuration that has it.

    >>> from transformers import DistilBertConfig
    >>> [name for _, name in dropout_fields(DistilBertConfig())]
    ['dropout', 'attention_dropout', 'qa_dropout', 'seq_classif_dropout']
    """
    return [
        (part, name)
        for part in (config, *parts_of(config).values())
        for name, value in vars(part).items()
        if isinstance(value, float) and ("dropout" in name or "pdrop" in name)
    ]


def has_dropout_layers(model: nn.Module) -> bool:
    """Whether a layer of the model drops a share above 0; attention that drops its weights itself has no such layer.

    >>> [has_dropout_layers(nn.Sequential(nn.Linear(2, 2), nn.Dropout(share))) for share in (0.1, 0.0)]
    [True, False]
    """
    return any(isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p > 0 for layer in model.modules())


def set_dropout(config: Any, share: float) -> None:
    """Give all fields that set dropout the same share; models made of the configuration then have it."""
    for part, name in dropout_fields(config):
        setattr(part, name, share)
