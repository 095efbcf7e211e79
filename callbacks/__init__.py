"""Callbacks: one file for each thing that is measured or written while a model trains."""

from hf_robust.callbacks.attack import AttackCallback, clear_results
from hf_robust.callbacks.curves import CurvesCallback
from hf_robust.callbacks.run_card import RunCardCallback

__all__ = ["AttackCallback", "CurvesCallback", "RunCardCallback", "clear_results"]
