"""From data sets to batches: tasks, sources, labels, tokenised splits, paired batches."""

from hf_robust.data.collators import VIEW_COLUMNS, PairedCollator, split_views, stack_rows, valid_rows
from hf_robust.data.dataset import TextDataset
from hf_robust.data.tasks import GLUE_TASKS

__all__ = ["GLUE_TASKS", "VIEW_COLUMNS", "PairedCollator", "TextDataset", "split_views", "stack_rows", "valid_rows"]
