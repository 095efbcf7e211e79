"""The run card, ``run_card.json``: everything needed to trust, compare or repeat a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from hf_robust.runs.command import flags_of, is_training_script
from hf_robust.runs.files import RUN_CARD_FILE
from hf_robust.runs.json_files import read_json, write_json
from hf_robust.runs.redaction import redact

_PACKAGES = ("torch", "transformers", "accelerate", "datasets", "peft", "nltk", "hf_robust")

SCRIPT_LENGTH = 128
"""The default of the script's ``--max_seq_length``, run_glue's own."""

Described = dict[str, Any]
"""Description of a lexicon or an attack, by ``Lexicon.describe()`` or ``Attack.describe()``."""


UNKNOWN_METHOD = "checkpoint"
"""The method on the card of a measurement, if the measured model has no run card."""


class RunCard(TypedDict, total=False):
    """The keys of a run card. Older cards lack some keys, so readers use ``get``.

    Training runs have ``training`` and ``final_step``; folders of commands that measure have neither (`is_training`).
    """

    method: str
    """Key of METHODS, or `UNKNOWN_METHOD`."""
    citation: str
    """Key of the method's paper in ``hf_robust/hub/citations.bib``."""
    model: str
    """Base model of the training; in the folder of a command, the measured model."""
    architecture: dict[str, Any]
    """``type`` and number of ``parameters`` of the published model; for an adapter those of its base model, and
    ``adapter_parameters``."""
    config: dict[str, Any]
    """Arguments of the method, with the values used for ``auto`` and null.

    Also results: the last learnt adversary weights; ``loss_increase`` (mean over the run) and ``point_moved``
    (maximum) of an adversary in embedding space; ``phi_*`` (importances of words) and ``mask_accuracy_*`` (clean
    accuracy with the expected mask, without a mask, and with sampled masks) of a word mask."""
    found: list[str]
    """Keys of ``config`` whose values follow from the data and the seed of the run."""
    training: dict[str, Any]
    """``TrainingArguments`` that differ from their defaults."""
    data: dict[str, Any]
    """``name, variant, fingerprint, max_length`` (in tokens), ``train_samples, train_cut`` (texts longer than that),
    ``eval_samples, eval_cut, class_shares, attack_split, attack_sample, ...``; of a stream its order,
    ``streaming``, and no count of training rows."""
    lexicons: dict[str, Described]
    """Described lexicons by role."""
    trained_on: list[str]
    """Roles of the lexicons that training used."""
    views: list[dict[str, Any]]
    """Rounds in which training texts were generated."""
    attacks: dict[str, Described]
    """Described attacks by name."""
    victim: dict[str, Any]
    """How a victim that is a function of texts was called: ``outputs``, ``batch_size``, ``rate``, and the number of
    texts ``asked`` and of calls ``retried``."""
    precision: dict[str, str]
    """Data type of the weights (``dtype``), implementation of ``attention``, ``quantization`` of the base model."""
    vote: dict[str, Any]
    """Settings of the attacked vote."""
    certify: dict[str, Any]
    """Settings of the certificates."""
    inference: dict[str, Any]
    """For a method with its own way to predict: ``method``, whether the measurement ``restored`` it, ``note``."""
    label_names: list[str]
    """Label names by id, in folders of commands."""
    label_names_from: str
    """Source of the label names and their order."""
    problem_type: str
    """Kind of the task, if a text has several labels."""
    label_guess: str
    """Guess about the label names, if there was one."""
    label_permutation: str
    """Another label order that fits the predictions better, if there is one."""
    seed: int
    load_best_model_at_end: bool
    best_step: int | None
    final_step: int | None
    """None while training runs, or if it died."""
    versions: dict[str, str]
    hardware: dict[str, Any]
    seconds: dict[str, float]
    """Seconds by phase, summed over all parts of a resumed run."""
    forwards: dict[str, float]
    """Forward passes of batches in training: of the model (``train``), of its ``twin``, of plain training before
    (``baseline``, ``level``), and the total per training batch (``per_step``)."""
    counted_from: int
    """Step from which on seconds and forwards are counted, if the part before it is unknown."""
    command: list[str]
    """Command line to reproduce the run (`redact_command`)."""


def read_card(folder: str | os.PathLike[str]) -> RunCard:
    """Read the run card in a folder; empty if there is none.

    Raises:
        ValueError: the file is broken.
    """
    return cast("RunCard", read_json(Path(folder) / RUN_CARD_FILE))


def write_card(folder: str | os.PathLike[str], card: RunCard) -> None:
    """Write a run card atomically, without access tokens and without folders of this machine."""
    write_json(Path(folder) / RUN_CARD_FILE, redact(card))


def is_training(card: Mapping[str, Any]) -> bool:
    """Whether a run card is of a training run; commands that measure write no training arguments."""
    return "training" in card or "final_step" in card


def max_length_of(card: Mapping[str, Any]) -> int | None:
    """Maximum length of texts in tokens; None if neither the card nor its command says.

    Older cards have only the command. The default holds if the command has all flags, not if it names an args file.
    """
    length = (card.get("data") or {}).get("max_length")
    if length is None and (command := list(map(str, card.get("command") or ()))):
        has_all_flags = is_training_script(command[0]) and not "".join(command[1:2]).endswith(".json")
        length = flags_of(command).get("max_seq_length", SCRIPT_LENGTH if has_all_flags else None)
    return int(str(length)) if str(length).isdecimal() else None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run depends on; absent packages are left out."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def size_in_words(known: Mapping[str, Any]) -> str:
    """The ``architecture`` of a run card as text for tables and cards.

    >>> size_in_words({"type": "bert", "parameters": 4386178, "adapter_parameters": 33026})
    'bert, 4.4 M weights, and 0.033 M in the adapter'
    >>> size_in_words({"type": "bert", "head": "mean", "parameters": 4370434})
    'bert with a mean head, 4.4 M weights'
    """
    kind = f"{known['type']} with a {known['head']} head" if known.get("head") else known["type"]
    size = f"{kind}, {_millions(known['parameters'])} M weights"
    adapter = known.get("adapter_parameters")
    return f"{size}, and {_millions(adapter)} M in the adapter" if adapter else size


def _millions(count: float) -> str:
    return f"{count / 1e6:,.1f}" if count >= 1e5 else f"{count / 1e6:.2g}"
