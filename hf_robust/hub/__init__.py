"""What is published with a model: its card, with the papers to cite."""

from hf_robust.hub.card import add_robustness
from hf_robust.hub.citations import citation

__all__ = ["add_robustness", "citation"]
