"""Inner maximisation in embedding space: perturbations, their start, their step rule, and the ascent."""

from hf_robust.adversary.adversary import Adversary
from hf_robust.adversary.ascent import Step, ascend, climb
from hf_robust.adversary.convex import AdamRule, ConvexWeights, Hull, SparseWeights, SteppedWeights, project_simplex
from hf_robust.adversary.dirichlet import DIRICHLET_DRAWS, dirichlet
from hf_robust.adversary.hook import (
    at_look_ups,
    changed_states,
    embedding_width,
    encoder_layers,
    perturbed,
    sequence_first,
    word_embeddings,
)
from hf_robust.adversary.noise import Noise
from hf_robust.adversary.norms import NORMS, StepRule, TokenSphere, sample_norm, token_norm
from hf_robust.adversary.perturbation import Delta, OffsetVariable, Perturbation, Shift, Variable, embedding_unit
from hf_robust.adversary.replay import DropoutReplay, evaluating, preserved_random_state
from hf_robust.adversary.rounding import CLEAR_COSINE, SMALLEST_COSINE, computing_type, rounding_cosine
from hf_robust.adversary.token_aware import TokenAware

__all__ = [
    "CLEAR_COSINE", "DIRICHLET_DRAWS", "NORMS", "SMALLEST_COSINE", "AdamRule", "Adversary", "ConvexWeights", "Delta",
    "DropoutReplay", "Hull", "Noise", "OffsetVariable", "Perturbation", "Shift", "SparseWeights", "Step",
    "StepRule", "SteppedWeights", "TokenAware", "TokenSphere", "Variable", "ascend", "at_look_ups",
    "changed_states", "climb", "computing_type", "dirichlet", "embedding_unit", "embedding_width", "encoder_layers",
    "evaluating", "perturbed", "preserved_random_state", "project_simplex", "rounding_cosine", "sample_norm",
    "sequence_first", "token_norm", "word_embeddings",
]  # fmt: skip
