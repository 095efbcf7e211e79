"""Tables and pictures from what runs left in their folders; nothing here runs a model."""

from hf_robust.reports.aims import robust_accuracy_applies
from hf_robust.reports.average import average_figure
from hf_robust.reports.budget import BUDGET_STEM, draw_asr_by_budget
from hf_robust.reports.cells import markdown_table, percent, union_label
from hf_robust.reports.class_bars import class_figure
from hf_robust.reports.compare import IncomparableRunsError, require_comparable
from hf_robust.reports.comparison import comparison_figure, draw_comparison
from hf_robust.reports.conflict import CleanAccuracy, clean_accuracies, conflict_figure, conflict_table
from hf_robust.reports.curves import CURVES_STEM, draw_tradeoff_curves, save_figure, tradeoff_figure
from hf_robust.reports.groups import group_by_seed
from hf_robust.reports.guessing import guessing_warnings
from hf_robust.reports.interpretation import draw_importance, draw_interpretation, interpretation_table
from hf_robust.reports.leaderboard import load_leaderboard, table_of_entries, write_leaderboard
from hf_robust.reports.report import load_runs, write_report
from hf_robust.reports.space import SpacePanel, space_figure
from hf_robust.reports.sweep_figures import front_figure, sweep_figure
from hf_robust.reports.sweeps import (
    Setting,
    default_objectives,
    flag_value,
    front_of,
    load_evaluated,
    metric_label,
    metric_rate,
    metrics_of,
    settings_of,
    sweep_note,
    sweep_table,
    value_text,
)
from hf_robust.reports.tables import comparison_table, results_table, table_of_runs
from hf_robust.reports.transition import transition_figure, transition_tables
from hf_robust.reports.weights import (
    ADVERSARY_WEIGHTS_STEM,
    LEAST_MOVED,
    LINEARISATION_STEM,
    adversary_weights_figure,
    clear_adversary_weights,
    draw_adversary_weights,
    largest_move,
    linearisation_figure,
)
from hf_robust.reports.word_colours import ColouredText, draw_words
from hf_robust.reports.word_mask import mask_in_words

__all__ = [
    "LEAST_MOVED",
    "BUDGET_STEM",
    "CURVES_STEM",
    "LINEARISATION_STEM",
    "ADVERSARY_WEIGHTS_STEM",
    "CleanAccuracy",
    "ColouredText",
    "IncomparableRunsError",
    "SpacePanel",
    "Setting",
    "average_figure",
    "require_comparable",
    "class_figure",
    "clean_accuracies",
    "clear_adversary_weights",
    "comparison_figure",
    "comparison_table",
    "conflict_figure",
    "conflict_table",
    "default_objectives",
    "draw_adversary_weights",
    "draw_asr_by_budget",
    "draw_comparison",
    "draw_importance",
    "draw_interpretation",
    "draw_tradeoff_curves",
    "draw_words",
    "largest_move",
    "flag_value",
    "front_figure",
    "front_of",
    "group_by_seed",
    "interpretation_table",
    "sweep_note",
    "linearisation_figure",
    "load_evaluated",
    "load_leaderboard",
    "load_runs",
    "markdown_table",
    "mask_in_words",
    "metric_rate",
    "metric_label",
    "metrics_of",
    "percent",
    "results_table",
    "robust_accuracy_applies",
    "save_figure",
    "settings_of",
    "space_figure",
    "sweep_figure",
    "sweep_table",
    "table_of_entries",
    "table_of_runs",
    "tradeoff_figure",
    "transition_figure",
    "transition_tables",
    "union_label",
    "value_text",
    "guessing_warnings",
    "adversary_weights_figure",
    "write_leaderboard",
    "write_report",
]
