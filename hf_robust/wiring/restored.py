"""How a saved model is to be measured: as it read and predicted in its run, or, said so, otherwise."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hf_robust.attacks.engine.victim import Inference
from hf_robust.data.length import usable_length
from hf_robust.models.files import find_file
from hf_robust.runs import RUN_CARD_FILE, RunCard, is_training, max_length_of, read_card

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestoredInference:
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
        return f"These are the numbers of the plain model. {self.card['inference']['note']}\n"


def training_card(name: str) -> RunCard:
    """The card of the training that left the model in the folder or of the Hub id ``name``; empty where it has none.

    A checkpoint and a twin lie below the card of their training.
    """
    path = find_file(name, RUN_CARD_FILE)
    if path is not None:
        return read_card(path.parent)
    above: RunCard = read_card(Path(name).resolve().parent) if Path(name).is_dir() else {}
    return above if is_training(above) else {}


def text_length(asked: int | None, name: str, tokenizer: Any, config: Any) -> int:
    """The tokens behind which texts are cut for the model of the folder or Hub id ``name``.

    As asked, else as in its training, by its run card, else as many as tokenizer and model take.

    Raises:
        ValueError: less than one is asked for, or nothing says how many.
    """
    if asked is not None and asked < 1:
        raise ValueError(f"--max_seq_length must be at least 1, got {asked}; leave it out for the default.")
    usable, trained = usable_length(tokenizer, config), max_length_of(training_card(name))
    length = next((one for one in (asked, trained, usable) if one is not None), None)
    if length is None:
        raise ValueError(
            f"neither a run card beside {name} nor its tokenizer says how many tokens it reads; give --max_seq_length."
        )
    if usable is not None and length > usable:
        _say_once(f"{name} can read {usable} tokens, so texts are cut behind these, not {length}.")
        length = usable
    if trained is not None and length != trained:
        _say_once(
            f"{name} was trained on texts cut at {trained} tokens and is measured on texts cut at {length}: its "
            "numbers are not those of its training."
        )
    return length


@cache
def _say_once(sentence: str) -> None:
    """A command asks for the length wherever it reads texts."""
    logger.warning(sentence)


def restore_inference(name: str, model: Any, tokenizer: Any) -> RestoredInference:
    """What predicts for ``model``, which was loaded from the folder or Hub id ``name``.

    What ``inference.json`` beside it says is restored by the method that wrote it (the mask of flat, the mix of
    adpmixup), or is a remark beside the numbers (the vote of dne, which needs its lexicon).

    Raises:
        ValueError: what restores it is missing or broken.
    """
    from hf_robust.modules.saved_inference import fetch_from, read_saved_inference
    from hf_robust.trainers import METHODS

    saved = read_saved_inference(name)
    if saved is None:
        return RestoredInference()
    card: RunCard = {"inference": {"method": saved.method, "restored": saved.settings is not None, "note": saved.note}}
    if saved.settings is None:
        return RestoredInference(None, card)
    if saved.method not in METHODS:
        raise ValueError(f"{name} predicts by the method {saved.method}, which is not known here; update hf_robust.")
    return RestoredInference(METHODS[saved.method].restored(model, tokenizer, fetch_from(name), saved.settings), card)
