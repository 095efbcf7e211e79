"""`hf-robust interpret importance`: global word importances against counts, from files alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.columns import choose_text_columns
from hf_robust.data.dataset import check_texts
from hf_robust.data.files import read_rows
from hf_robust.interpret import (
    frequency_correlation,
    read_importances,
    substitution_frequency,
    synonym_spread,
    word_frequency,
)
from hf_robust.lexicons import load_lexicon
from hf_robust.reports import draw_importance
from hf_robust.runs import claim_folder, finite, read_records, write_json

IMPORTANCE_FILE = "importance.json"
FREQUENCIES = ("frequency in the texts", "replacements in attacks")


def describe_importance(
    importances: Path,
    texts: Path,
    attack_results: Sequence[Path],
    output_dir: Path,
    *,
    text_column_names: str | None = None,
    lexicon: str | None = None,
    seed: int = 0,
) -> tuple[dict[str, dict[str, Any]], Path]:
    """Write ``importance.json``, ``word_importance.png`` and ``.svg``; the correlations and the spread within synonyms
    that are in the file, and its folder.

    Raises:
        ValueError: a file is missing, malformed or empty.
    """
    phi = read_importances(importances)
    missing = [str(path) for path in attack_results if not path.is_file()]
    if missing:
        raise ValueError(f"--attack_results {missing[0]} is no file; give attack_results/<attack>.jsonl of a run.")
    records = [record for path in attack_results for record in read_records(path)]
    counts = (word_frequency(_texts(texts, text_column_names)), substitution_frequency(records))
    found: dict[str, dict[str, Any]] = {}
    panels = {}
    for name, counted in zip(FREQUENCIES, counts, strict=True):
        correlation = frequency_correlation(phi, counted)
        found[name] = {"pearson_r": correlation.r, "words": correlation.words}
        panels[name] = (_points(phi, counted), correlation.r)
    if lexicon is not None:
        found["spread within synonyms"] = dataclasses.asdict(synonym_spread(phi, load_lexicon(lexicon), seed=seed))
    folder = claim_folder("interpret-importance", output_dir)
    draw_importance(panels, folder)
    write_json(folder / IMPORTANCE_FILE, found)
    return {name: finite(values) for name, values in found.items()}, folder


def _points(importances: Mapping[str, float], counts: Mapping[str, int]) -> list[tuple[int, float]]:
    return [(counts[word], phi) for word, phi in sorted(importances.items()) if counts.get(word, 0) > 0]


def _texts(path: Path, names: str | None) -> list[tuple[str, ...]]:
    rows = read_rows(path)
    if not rows:
        raise ValueError(f"--texts {path} holds no row; give the training texts.")
    arguments = DataTrainingArguments(validation_file=str(path), text_column_names=names)
    columns = choose_text_columns(rows, arguments, "label")
    check_texts(rows, columns, path.name)
    return [tuple(row[column] for column in columns) for row in rows]
