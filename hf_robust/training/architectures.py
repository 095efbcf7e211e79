"""Refuses an architecture that a method does not train, by the model's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer


def check_architecture(method: type[RobustTrainer], config: Any) -> None:
    """Refuse, before anything is loaded or trained, an architecture that is not among the method's.

    Raises:
        ValueError: the method names its architectures, and the model's is another.
    """
    kind = str(getattr(config, "model_type", "")) or type(config).__name__
    if method.architectures and kind not in method.architectures:
        raise ValueError(
            f"{method.name} trains models of the types {' and '.join(method.architectures)}, and this one is of type "
            f"{kind}: give such a model, or another --robust_method."
        )
