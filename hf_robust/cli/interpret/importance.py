"""`hf-robust interpret importance`: correlate global word importances with word counts, from files alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.data.text_file import read_texts
from hf_robust.interpret import (
    WordImportances,
    frequency_correlation,
    importances_as_written,
    importances_by_word,
    read_importances,
    replaced_words,
    substitution_frequency,
    synonym_spread,
    word_frequency,
)
from hf_robust.lexicons import load_lexicon
from hf_robust.models.files import loading
from hf_robust.reports import draw_importance
from hf_robust.runs import claim_folder, finite, read_records, write_json
from hf_robust.views import View, read_views
from hf_robust.words import ENGLISH, Text, WordRule, words_of

IMPORTANCE_FILE = "importance.json"
FREQUENCIES = ("frequency in the texts", "replacements in attacks")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")

Change = tuple[Iterable[str], Iterable[str]]


def describe_importance(
    importances: Path,
    texts: Path,
    attack_results: Sequence[Path],
    output_dir: Path,
    *,
    text_column_names: str | None = None,
    tokenizer: str | None = None,
    lexicon: str | None = None,
    seed: int = 0,
    language: str = ENGLISH,
) -> tuple[dict[str, dict[str, Any]], Path]:
    """Write ``importance.json`` and ``word_importance.png`` and ``.svg``; return the statistics and the folder.

    The statistics are correlations with counts and, with ``lexicon``, the spread of importance within synonyms.

    Args:
        attack_results: records of attacks, or views that a training on ``texts`` made.
        tokenizer: the model to whose tokens ``importances`` belong; None for the tokenizer in their folder, if any.
        language: of the texts; it decides what a word is, and which WordNet ``lexicon`` names.

    Raises:
        ValueError: a file is missing, malformed or empty, or belongs to other texts or another tokenizer.
    """
    by_token, rule = read_importances(importances), words_of(language)
    rows = read_texts(texts, text_column_names)
    changes = [change for path in attack_results for change in _changes(path, rows, texts)]
    words = [word for columns in (*rows, *(new for _, new in changes)) for word in Text(tuple(columns), rule).tokens]
    phi = _by_word(by_token, importances, tokenizer, words, rule)
    counts = (word_frequency(rows, phi.cased, rule), substitution_frequency(changes, phi.cased, rule))
    statistics: dict[str, dict[str, Any]] = {}
    panels = {}
    for name, counted in zip(FREQUENCIES, counts, strict=True):
        correlation = frequency_correlation(phi.values, counted)
        statistics[name] = {"pearson_r": correlation.r, "words": correlation.words}
        panels[name] = (_points(phi.values, counted), correlation.r)
    if lexicon is not None:
        spread = synonym_spread(phi.values, load_lexicon(lexicon, language=language), seed=seed)
        statistics["spread within synonyms"] = dataclasses.asdict(spread)
    folder = claim_folder("interpret-importance", output_dir)
    draw_importance(panels, folder)
    write_json(folder / IMPORTANCE_FILE, statistics)
    return {name: finite(values) for name, values in statistics.items()}, folder


def _points(importances: Mapping[str, float], counts: Mapping[str, int]) -> list[tuple[int, float]]:
    return [(counts[word], phi) for word, phi in sorted(importances.items()) if counts.get(word, 0) > 0]


def _by_word(
    by_token: Mapping[str, float], path: Path, tokenizer: str | None, words: Sequence[str], rule: WordRule
) -> WordImportances:
    in_folder = any((path.parent / name).is_file() for name in TOKENIZER_FILES)
    source = tokenizer or (str(path.parent) if in_folder else None)
    try:
        if source is None:
            return importances_as_written(by_token)
        return importances_by_word(by_token, _load_tokenizer(source), words, rule)
    except ValueError as error:
        raise ValueError(f"--importances {path}: {error}") from error


def _load_tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    with loading(f"the tokenizer of {name}", name, "give --tokenizer, the folder of the model"):
        return AutoTokenizer.from_pretrained(name)


def _changes(path: Path, rows: Sequence[tuple[str, ...]], texts: Path) -> Iterator[Change]:
    """Yield the texts before and after, from the successes in a file of attack records or from a file of views."""
    if not path.is_file():
        raise ValueError(
            f"--attack_results {path} is not a file: give attack_results/<attack>.jsonl or _views/*.jsonl of a run."
        )
    if not _holds_views(path):
        yield from replaced_words(read_records(path))
        return
    for idx, view in read_views(path, {})[1]:
        if view.ok:
            if idx >= len(rows) or not _is_of(view, rows[idx]):
                raise ValueError(
                    f"--attack_results {path} has a view of row {idx} that does not belong to this row of --texts "
                    f"{texts}: "
                    "give the training texts of that run, in their order."
                )
            yield rows[idx], view.text.columns


def _holds_views(path: Path) -> bool:
    with path.open(encoding="utf-8") as lines:
        first = lines.readline()
    try:
        return "digest" in json.loads(first)
    except (ValueError, TypeError):
        return False


def _is_of(view: View, row: tuple[str, ...]) -> bool:
    """Whether the words that the view did not change are in the row, in the same order."""
    if len(row) != len(view.text.columns):
        return False
    view_words = iter(view.text.tokens)
    unchanged = (word for number, word in enumerate(view.text.like(row).tokens) if number not in view.changed)
    return all(word in view_words for word in unchanged)
