"""How a saved model is to be measured: as it predicted in its run, or, said so, as the plain model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hf_robust.attacks.victim import Inference
from hf_robust.runs import RunCard


@dataclass(frozen=True)
class Measured:
    """What predicts for a loaded model.

    Attributes:
        inference: of the method that trained it; None for the model itself.
        card: what the card of a measurement says of it; empty where the model alone is what its run measured.
    """

    inference: Inference | None = None
    card: RunCard = field(default_factory=lambda: RunCard())

    @property
    def remark(self) -> str:
        """What a reader of the numbers has to know, as a line; empty where there is nothing."""
        if not self.card or self.inference is not None:
            return ""
        return f"Measured here is the plain model. {self.card['inference']['note']}\n"


def measured_model(name: str, model: Any, tokenizer: Any) -> Measured:
    """What predicts for ``model``, which was loaded from the folder or Hub id ``name``.

    What ``inference.json`` beside it says is restored by the method that wrote it (the mask of flat, the mix of
    adpmixup), or is a remark beside the numbers (the vote of dne, which needs its lexicon).

    Raises:
        ValueError: what restores it is missing or broken.
    """
    from hf_robust.trainers import METHODS
    from hf_robust.trainers.saved_inference import fetch_from, read_saved_inference

    saved = read_saved_inference(name)
    if saved is None:
        return Measured()
    card: RunCard = {"inference": {"method": saved.method, "restored": saved.settings is not None, "note": saved.note}}
    if saved.settings is None:
        return Measured(None, card)
    if saved.method not in METHODS:
        raise ValueError(f"{name} predicts by the method {saved.method}, which is not known here; update hf_robust.")
    return Measured(METHODS[saved.method].restored(model, tokenizer, fetch_from(name), saved.settings), card)
