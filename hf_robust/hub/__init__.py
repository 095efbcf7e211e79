"""What is published with a model: its card, with the papers to cite."""

from hf_robust.hub.card import add_robustness
from hf_robust.hub.citations import citation
from hf_robust.hub.loading import add_loading

__all__ = ["add_loading", "add_robustness", "citation"]
