"""Scales: the paper's own size, and smaller ones that change the model, rows, epochs and attacked rows alone.

A stand-in for a model comes with the learning rate, and where an item's file says so with the batch size, at which it
learns: those of a model a hundred times larger, on all rows, would leave it where it began. Counts of epochs (clean
epochs, epochs of a round) shrink by one factor, and so do counts of rows. Lengths of an adversary shrink where an
item's file says so, by the scale's own model; another one (``--model``) keeps this factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hf_robust.reproduce.item import Item, shared_file
from hf_robust.runs import Flags

PAPER_SCALE = "paper"
EPOCHS, MODEL = "num_train_epochs", "model_name_or_path"
EPOCH_FLAGS = ("clean_epochs", "epochs_per_round")
ROW_FLAGS = ("mask_per_class",)
LENGTH_FLAGS = ("adv_lr", "adv_init_mag", "adv_max_norm")
CHANGEABLE = ("rows", "eval_rows", "epochs", "attacked", "data", "models", "lengths")
"""What an item's file may change in a scale."""
OWN_MODEL = "{model}"
"""In a scale's flags: the stand-in of the model."""


@dataclass(frozen=True)
class Scale:
    """A size of all runs of an item; None and an empty object change nothing.

    Args:
        models: the paper's name of a model -> flags of its stand-in; empty flags keep the model. A model without an
            entry is left out.
        rows: most rows to train on.
        eval_rows: most rows for clean accuracy.
        epochs: most epochs.
        attacked: most rows for an attack.
        data: the data sets that are run; None: all of the item.
        lengths: factor of an adversary's lengths in the space of word vectors: the mean norm of the stand-in's vectors
            over that of the paper's model. Raw steps (``adv_norm_type none``) have the gradient's length and keep it.
        flags: further models that attacks ask for.
        seconds: measured cost of what each run does once (``run``), of a row in a step of plain training (``row``) and
            of a text under an attack (``text``), with a run on each of two CPU cores.
    """

    name: str
    models: Mapping[str, Flags] | None = None
    rows: int | None = None
    eval_rows: int | None = None
    epochs: int | None = None
    attacked: int | None = None
    data: Sequence[str] | None = None
    lengths: float = 1.0
    flags: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether this is the paper's own size."""
        return self.models is None

    def stand_in(self, instead: str | None) -> str:
        """The smaller model of this scale, or what is given in its place."""
        return instead or next(str(flags[MODEL]) for flags in (self.models or {}).values() if flags)

    def model_flags(self, item: Item, model: str, instead: str | None) -> Flags | None:
        """Flags of a model of the item, or of its stand-in; None if the scale leaves the model out."""
        own = item.models[model]
        if self.models is None:
            return own
        if model not in self.models:
            return None
        stand_in = dict(self.models[model])
        if stand_in and instead:
            stand_in[MODEL] = instead
        return {**own, **stand_in}


def scales() -> dict[str, Scale]:
    """The scales, smallest first."""
    return {name: Scale(name, **fields) for name, fields in shared_file("scales.json").items()}


def scale_of(item: Item, name: str) -> Scale:
    """A scale as it is for an item, whose file may change some of it (``scales``); flags of a model are merged.

    Raises:
        ValueError: the item's file changes a scale that is not there or the paper's own, something that a scale does
            not have, or names data that the item does not have.
    """
    known, own = scales(), dict(item.scales.get(name, {}))
    smaller = [one for one in known if one != PAPER_SCALE]
    for given, allowed in ((item.scales, smaller), (own, CHANGEABLE), (own.get("data", ()), list(item.data))):
        for one in given:
            if one not in allowed:
                raise ValueError(f'"scales" of {item.paper} {item.name} has {one}: use {", ".join(allowed)}.')
    scale = known[name]
    if "models" in own:
        models = dict(scale.models or {})
        own["models"] = models | {model: {**models.get(model, {}), **flags} for model, flags in own["models"].items()}
    return replace(scale, **own)


def shrink(flags: Flags, scale: Scale, rows: int, instead: str | None) -> Flags:
    """Apply the scale to the flags of one run.

    Args:
        rows: rows of the paper's training set.
        instead: a model in place of the scale's stand-in.
    """
    if scale.whole:
        return flags
    small = dict(flags)
    if scale.rows is not None:
        share = min(1.0, scale.rows / rows)
        small["max_train_samples"] = min(scale.rows, small.get("max_train_samples", scale.rows))
        small |= {flag: max(1, round(share * small[flag])) for flag in ROW_FLAGS if flag in small}
    if scale.eval_rows is not None:
        small["max_eval_samples"] = scale.eval_rows
    if scale.epochs is not None and small.get(EPOCHS, 0) > scale.epochs:
        share = scale.epochs / small[EPOCHS]
        small |= {flag: max(1, round(share * small[flag])) for flag in EPOCH_FLAGS if flag in small}
        small[EPOCHS] = scale.epochs
    if scale.attacked is not None and small.get("attacks"):
        small["attack_num_examples"] = min(scale.attacked, small.get("attack_num_examples", scale.attacked))
    if scale.lengths != 1.0 and small.get("adv_norm_type") != "none":
        small |= {flag: round(scale.lengths * small[flag], 6) for flag in LENGTH_FLAGS if flag in small}
    for flag, value in scale.flags.items():
        if flag in small:
            small[flag] = scale.stand_in(instead) if value == OWN_MODEL else value
    return small
