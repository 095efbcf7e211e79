"""Titles of all experiments of the claims."""

from __future__ import annotations

from benchmarks.study.embedding_tables import TITLES as EMBEDDING_TITLES
from benchmarks.study.experiment import TITLES as TEXT_TITLES

BAT_TITLES = {
    "snli_bert_tiny": "BERT-tiny on SNLI",
    "snli_minilm": "MiniLM on SNLI",
    "qqp_minilm": "MiniLM on QQP",
    "mrpc_minilm": "MiniLM on MRPC",
}
SWEEP_TITLES = {"bat_snli_sweep": "BERT-tiny on SNLI, sweep", "text_snli_a2t_bert_tiny": "BERT-tiny on SNLI, a2t"}
TITLES = {**BAT_TITLES, **SWEEP_TITLES, **EMBEDDING_TITLES, **TEXT_TITLES, "cost_minilm": "Cost, MiniLM"}


def title(experiment: str) -> str:
    """Title of an experiment."""
    return TITLES.get(experiment, experiment)
