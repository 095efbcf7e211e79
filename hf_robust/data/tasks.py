"""The GLUE tasks: their text columns, and their label names in GLUE's id order.

Two checkpoints may number the same classes differently, as some MNLI checkpoints do. So names are compared and never
ids.
"""

from typing import NamedTuple


class GlueTask(NamedTuple):
    """One GLUE task: its one or two text columns, and its label names by id (none for a regression)."""

    columns: tuple[str, ...]
    label_names: tuple[str, ...]

    @property
    def is_regression(self) -> bool:
        """Whether the task is a regression: STS-B has scores from 0 to 5."""
        return not self.label_names


GLUE_TASKS: dict[str, GlueTask] = {
    "cola": GlueTask(("sentence",), ("unacceptable", "acceptable")),
    "mnli": GlueTask(("premise", "hypothesis"), ("entailment", "neutral", "contradiction")),
    "mrpc": GlueTask(("sentence1", "sentence2"), ("not_equivalent", "equivalent")),
    "qnli": GlueTask(("question", "sentence"), ("entailment", "not_entailment")),
    "qqp": GlueTask(("question1", "question2"), ("not_duplicate", "duplicate")),
    "rte": GlueTask(("sentence1", "sentence2"), ("entailment", "not_entailment")),
    "sst2": GlueTask(("sentence",), ("negative", "positive")),
    "stsb": GlueTask(("sentence1", "sentence2"), ()),
    "wnli": GlueTask(("sentence1", "sentence2"), ("not_entailment", "entailment")),
}
