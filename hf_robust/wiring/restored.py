"""Restore the text length and the inference of a saved model's training, or warn where they differ."""

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
    """The inference with which a loaded model is measured.

    Attributes:
        inference: the inference of the method that trained it; None for the plain model.
        card: entries for the run card; empty if the training run measured the plain model too.
    """

    inference: Inference | None = None
    card: RunCard = field(default_factory=lambda: RunCard())

    @property
    def remark(self) -> str:
        """A line that says so if the plain model is measured instead of the method's inference, else ""."""
        if not self.card or self.inference is not None:
            return ""
        return f"These are the numbers of the plain model. {self.card['inference']['note']}\n"


def training_card(name: str) -> RunCard:
    """Return the run card of the training of a model, from its folder or Hub id ``name``; empty if there is none.

    For a checkpoint or a twin it is in the folder above.
    """
    path = find_file(name, RUN_CARD_FILE)
    if path is not None:
        return read_card(path.parent)
    above: RunCard = read_card(Path(name).resolve().parent) if Path(name).is_dir() else {}
    return above if is_training(above) else {}


def text_length(requested: int | None, name: str, tokenizer: Any, config: Any) -> int:
    """Return the number of tokens after which texts are cut, for the model in the folder or Hub id ``name``.

    It is ``requested``, else the length of the training from the run card, else the limit of tokenizer and model.

    Raises:
        ValueError: ``requested`` is below 1, or no length is known.
    """
    if requested is not None and requested < 1:
        raise ValueError(f"--max_seq_length must be at least 1, got {requested}; leave it out for the default.")
    usable, trained = usable_length(tokenizer, config), max_length_of(training_card(name))
    length = next((value for value in (requested, trained, usable) if value is not None), None)
    if length is None:
        raise ValueError(
            f"neither a run card of {name} nor its tokenizer says how many tokens it reads: give --max_seq_length."
        )
    if usable is not None and length > usable:
        _warn_once(f"{name} reads at most {usable} tokens, so texts are cut at {usable} tokens, not at {length}.")
        length = usable
    if trained is not None and length != trained:
        _warn_once(
            f"{name} was trained on texts cut at {trained} tokens and is measured on texts cut at {length}, so the "
            "numbers of the training do not compare."
        )
    return length


@cache
def _warn_once(sentence: str) -> None:
    """Log a warning once, since a command determines the length several times."""
    logger.warning(sentence)


def restore_inference(name: str, model: Any, tokenizer: Any) -> RestoredInference:
    """Restore the inference of ``model``, which was loaded from the folder or Hub id ``name``.

    The method that wrote ``inference.json`` restores it (the mask of flat, the mix of adpmixup). The vote of dne
    cannot be restored without its lexicon: then the plain model is measured, with a remark.

    Raises:
        ValueError: a file that is needed is missing or broken.
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
        raise ValueError(
            f"{name} needs the inference of the method {saved.method}, which is unknown to this version: update "
            f"hf_robust."
        )
    return RestoredInference(METHODS[saved.method].restored(model, tokenizer, fetch_from(name), saved.settings), card)
