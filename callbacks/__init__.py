"""Callbacks that measure or write something while a model trains, one file each."""

from hf_robust.callbacks.attack import AttackCallback
from hf_robust.callbacks.certify import CertifyCallback
from hf_robust.callbacks.curves import CurvesCallback
from hf_robust.callbacks.run_card import RunCardCallback
from hf_robust.callbacks.trackers import TrackersCallback
from hf_robust.callbacks.weights import AdversaryWeightsCallback
from hf_robust.runs import clear_results

__all__ = [
    "AdversaryWeightsCallback",
    "AttackCallback",
    "CertifyCallback",
    "CurvesCallback",
    "RunCardCallback",
    "TrackersCallback",
    "clear_results",
]
