"""Attacks: parts, recipes, and the engine that runs an attack on many examples. torch is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hf_robust.attacks.arguments import AttackArguments
from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.building import build_attacks
from hf_robust.attacks.cascade import Cascade
from hf_robust.attacks.engine.coverage import describe_with_coverage, log_coverage, require_candidates, table_coverage
from hf_robust.attacks.engine.examples import choose_examples
from hf_robust.attacks.engine.journal import attack_key, journal_seconds
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.probe import check_attack
from hf_robust.attacks.engine.scheduler import attack_dataset
from hf_robust.attacks.labels_and_columns import resolve_frozen_columns, resolve_skip_labels
from hf_robust.attacks.recipes import ATTACKS, check_recipes, goal_of
from hf_robust.attacks.resources import Resources
from hf_robust.attacks.standard import fitted
from hf_robust.attacks.static import examples_of, results_on_data

if TYPE_CHECKING:
    from hf_robust.attacks.engine.ranks import attack_on_ranks
    from hf_robust.attacks.engine.victim import Victim
    from hf_robust.attacks.engine.voting import Vote, VotingVictim
    from hf_robust.attacks.models.encoder import SentenceEncoder, load_encoder
    from hf_robust.attacks.models.language_model import CausalLanguageModel, load_language_model
    from hf_robust.attacks.models.masked_lm import MaskedLM, load_masked_lm
    from hf_robust.models.weights import weights_hash

_NEED_TORCH = {
    "CausalLanguageModel": "hf_robust.attacks.models.language_model",
    "MaskedLM": "hf_robust.attacks.models.masked_lm",
    "SentenceEncoder": "hf_robust.attacks.models.encoder",
    "Victim": "hf_robust.attacks.engine.victim",
    "Vote": "hf_robust.attacks.engine.voting",
    "VotingVictim": "hf_robust.attacks.engine.voting",
    "attack_on_ranks": "hf_robust.attacks.engine.ranks",
    "load_encoder": "hf_robust.attacks.models.encoder",
    "load_language_model": "hf_robust.attacks.models.language_model",
    "load_masked_lm": "hf_robust.attacks.models.masked_lm",
    "weights_hash": "hf_robust.models.weights",
}


def __getattr__(name: str) -> Any:
    if name in _NEED_TORCH:
        return getattr(import_module(_NEED_TORCH[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ATTACKS",
    "Attack",
    "AttackArguments",
    "Cascade",
    "CausalLanguageModel",
    "Example",
    "MaskedLM",
    "Plans",
    "Resources",
    "SentenceEncoder",
    "Victim",
    "Vote",
    "VotingVictim",
    "attack_dataset",
    "attack_key",
    "attack_on_ranks",
    "build_attacks",
    "check_attack",
    "check_recipes",
    "choose_examples",
    "describe_with_coverage",
    "examples_of",
    "fitted",
    "goal_of",
    "journal_seconds",
    "load_encoder",
    "load_language_model",
    "load_masked_lm",
    "log_coverage",
    "require_candidates",
    "resolve_frozen_columns",
    "resolve_skip_labels",
    "results_on_data",
    "table_coverage",
    "weights_hash",
]
