"""``run_card.json``: everything one needs to know to trust, compare or repeat a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from hf_robust.runs.command import flags_of
from hf_robust.runs.files import RUN_CARD_FILE
from hf_robust.runs.json_files import read_json, write_json
from hf_robust.runs.redaction import redact

_PACKAGES = ("torch", "transformers", "accelerate", "datasets", "peft", "nltk", "hf_robust")

SCRIPT_LENGTH = 128
"""The default of the script's ``--max_seq_length``, run_glue's own."""

Described = dict[str, Any]
"""What a lexicon or an attack says of itself: ``Lexicon.describe()``, ``Attack.describe()``."""


class RunCard(TypedDict, total=False):
    """The keys of a run card. A card of an older version lacks some, so readers use ``get``.

    A training has ``training`` and ``final_step``; a folder that a command measured has neither (`is_training`).
    """

    method: str
    """Key of METHODS; ``checkpoint`` where the model that was measured has no run card."""
    citation: str
    """Key of the method's paper in ``hf_robust/hub/citations.bib``."""
    model: str
    """What training started from; in a folder of a command, what was measured."""
    architecture: dict[str, Any]
    """``type`` and number of ``parameters`` of what is published; of an adapter those of its base model, its own are
    ``adapter_parameters``."""
    config: dict[str, Any]
    """The method's arguments, with what was used in the place of ``auto`` and null, the last learnt weights, and of an
    adversary in embedding space ``loss_increase`` (mean over the run) and ``point_moved`` (the most); of a word mask
    ``phi_*`` (which words it keeps) and ``mask_accuracy_*`` (clean accuracy with it, without, and with draws)."""
    found: list[str]
    """Those of them that followed from this run's data and seed."""
    training: dict[str, Any]
    """Training arguments that differ from their defaults."""
    data: dict[str, Any]
    """``name, variant, fingerprint, max_length`` (in tokens), ``train_samples, train_cut`` (texts longer than that),
    ``eval_samples, eval_cut, class_shares, attack_split, attack_sample, ...``"""
    lexicons: dict[str, Described]
    """By role."""
    trained_on: list[str]
    """The roles that training drew on, not an attack alone."""
    views: list[dict[str, Any]]
    """Rounds in which texts to train on were generated."""
    attacks: dict[str, Described]
    """By name."""
    vote: dict[str, Any]
    """The vote that the attacks met."""
    certify: dict[str, Any]
    """How the vote was certified."""
    inference: dict[str, Any]
    """Where the model that was measured predicted beyond its weights: ``method``, whether ``restored``, ``note``."""
    label_names: list[str]
    """By id, where a command measured."""
    label_names_from: str
    """Who gave these names and their order."""
    label_guess: str
    """What was guessed about them."""
    label_permutation: str
    """Where the predictions speak for another order: which."""
    seed: int
    load_best_model_at_end: bool
    best_step: int | None
    final_step: int | None
    """None while training goes on, or where it died."""
    versions: dict[str, str]
    hardware: dict[str, Any]
    seconds: dict[str, float]
    """By phase, all parts of a run that was gone on with together."""
    forwards: dict[str, float]
    """Forward passes in training, in whole batches: of the model (``train``), its ``twin``, plain trainings before it
    (``baseline``, ``level``), and all of them together for each batch that was trained on (``per_step``)."""
    counted_from: int
    """The step from which on seconds and forwards are known, where nothing is known of the part before it."""
    command: list[str]
    """To be pasted: `redact_command`."""


def read_card(folder: str | os.PathLike[str]) -> RunCard:
    """The run card in a folder; empty where there is none.

    Raises:
        ValueError: the file is broken.
    """
    return cast("RunCard", read_json(Path(folder) / RUN_CARD_FILE))


def write_card(folder: str | os.PathLike[str], card: RunCard) -> None:
    """Write a run card, whole or not at all, without access tokens and without folders of this machine."""
    write_json(Path(folder) / RUN_CARD_FILE, redact(card))


def is_training(card: Mapping[str, Any]) -> bool:
    """Whether a run card is of a training run; a command that measures notes no training arguments."""
    return "training" in card or "final_step" in card


def max_length_of(card: Mapping[str, Any]) -> int | None:
    """The tokens behind which a run cut its texts; None where neither its card nor the command in it says.

    Cards of earlier versions hold the command alone. Its flag has a default, but may have been in an args file.
    """
    noted = (card.get("data") or {}).get("max_length")
    if noted is None and (command := list(map(str, card.get("command") or ()))):
        whole = command[0].endswith("run_glue_robust.py") and not "".join(command[1:2]).endswith(".json")
        noted = flags_of(command).get("max_seq_length", SCRIPT_LENGTH if whole else None)
    return int(str(noted)) if str(noted).isdecimal() else None


def versions() -> dict[str, str]:
    """Installed versions of what a run depends on, Python included; absent packages are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def size_in_words(known: Mapping[str, Any]) -> str:
    """The ``architecture`` of a run card as tables and cards say it.

    >>> size_in_words({"type": "bert", "parameters": 4386178, "adapter_parameters": 33026})
    'bert, 4.4 M weights, and 0.033 M in the adapter'
    >>> size_in_words({"type": "bert", "head": "mean", "parameters": 4370434})
    'bert with a mean head, 4.4 M weights'
    """
    kind = f"{known['type']} with a {known['head']} head" if known.get("head") else known["type"]
    said = f"{kind}, {_millions(known['parameters'])} M weights"
    adapter = known.get("adapter_parameters")
    return f"{said}, and {_millions(adapter)} M in the adapter" if adapter else said


def _millions(count: float) -> str:
    return f"{count / 1e6:,.1f}" if count >= 1e5 else f"{count / 1e6:.2g}"
