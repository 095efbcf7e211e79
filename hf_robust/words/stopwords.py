"""Words that no attack replaces."""

from __future__ import annotations

from importlib.resources import files

STOP_WORDS: frozenset[str] = frozenset(files("hf_robust.words").joinpath("stopwords.txt").read_text("utf-8").split())
"""TextFooler's list (Jin et al. 2020, arXiv:1907.11932), lower case. TextAttack compares with it case-sensitively."""
