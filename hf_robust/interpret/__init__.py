"""Interpretation of a classifier: attributions by word, and their consistency when words are swapped.

Chen and Ji, AAAI 2022 (FLAT), measure the robustness of a model by its predictions and by its interpretations.
"""

from hf_robust.interpret.attribution import Attribution
from hf_robust.interpret.consistency import (
    Consistency,
    Estimate,
    consistency,
    kendall_tau,
    mean_with_interval,
    top_k_intersection,
)
from hf_robust.interpret.gradients import REFERENCES, integrated_gradients
from hf_robust.interpret.importance import (
    Correlation,
    SynonymSpread,
    frequency_correlation,
    read_importances,
    replaced_words,
    substitution_frequency,
    synonym_spread,
    word_frequency,
)
from hf_robust.interpret.pairs import Pair, substitution_pairs
from hf_robust.interpret.perturbation import lime
from hf_robust.interpret.reader import predicted_labels
from hf_robust.interpret.word_types import WordImportances, importances_as_written, importances_by_word

__all__ = [
    "REFERENCES",
    "Attribution",
    "Consistency",
    "Correlation",
    "Estimate",
    "Pair",
    "SynonymSpread",
    "WordImportances",
    "replaced_words",
    "consistency",
    "frequency_correlation",
    "importances_as_written",
    "importances_by_word",
    "integrated_gradients",
    "kendall_tau",
    "lime",
    "mean_with_interval",
    "predicted_labels",
    "read_importances",
    "substitution_frequency",
    "substitution_pairs",
    "synonym_spread",
    "top_k_intersection",
    "word_frequency",
]
