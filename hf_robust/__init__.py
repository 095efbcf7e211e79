"""Robust fine-tuning of text classifiers with the Hugging Face ``Trainer``.

>>> from hf_robust import METHODS, ATTACKS, AttackCallback, BatTripletConfig, BatTripletTrainer
>>> METHODS["bat_triplet"] is BatTripletTrainer
True

Names are imported when they are asked for: ``import hf_robust`` imports neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ATTACKS": "attacks",
    "AttackArguments": "attacks",
    "AttackCallback": "callbacks",
    "CertifyCallback": "callbacks",
    "CurvesCallback": "callbacks",
    "METHODS": "trainers",
    "Resources": "attacks",
    "RobustTrainer": "trainers",
    "RobustTrainingArguments": "training.arguments",
    "RunCardCallback": "callbacks",
    "TextDataset": "data",
    "Victim": "attacks",
    "attack": "wiring.attack",
    "attack_dataset": "attacks",
    "build_attacks": "attacks",
    "choose_examples": "attacks",
    "load_lexicon": "lexicons",
}
"""By public name its room; the trainers and configs of METHODS are public too."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"hf_robust.{_HOMES[name]}"), name)
    if name.endswith(("Trainer", "Config")):
        return import_module("hf_robust.trainers").METHODS.public(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
