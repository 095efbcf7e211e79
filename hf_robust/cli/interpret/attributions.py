"""What `hf-robust interpret` does: explain pairs of texts, and say how far the explanations agree."""

from __future__ import annotations

import dataclasses
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hf_robust.data.label_order import model_labels
from hf_robust.interpret import (
    Attribution,
    Consistency,
    Pair,
    consistency,
    integrated_gradients,
    lime,
    predicted_labels,
    substitution_pairs,
)
from hf_robust.interpret.consistency import TOP_K
from hf_robust.reports import ColouredText, draw_interpretation, draw_words, interpretation_table
from hf_robust.runs import claim_folder, portable_path, read_records, redact, versions, write_json
from hf_robust.wiring.checkpoint_attack import load_classifier
from hf_robust.wiring.restored import measured_model, text_length
from hf_robust.wiring.static_attacks import relabelled
from hf_robust.words import Text

ATTRIBUTIONS = ("ig", "lime")
KEEP = ("all", "succeeded", "correct")
RANKINGS = ("signed", "absolute")
INTERPRETATION_FILE = "interpretation.json"


@dataclass
class InterpretOptions:
    """The flags that tasks on pairs of texts share; each takes those it has."""

    model: str
    pairs: list[Path]
    output_dir: Path
    attribution: list[str] = field(default_factory=lambda: ["ig"])
    baseline: str = "pad"
    steps: int = 50
    samples: int = 500
    ranking: str = "signed"
    keep: str = "all"
    num_pairs: int = 300
    seed: int = 0
    max_seq_length: int | None = None
    class_names: list[str] | None = None
    device: str | None = None

    @classmethod
    def of(cls, given: dict[str, Any]) -> InterpretOptions:
        """From parsed flags; what a task has no flag for keeps its default."""
        return cls(**{f.name: given[f.name] for f in dataclasses.fields(cls) if f.name in given})


def measure_consistency(options: InterpretOptions) -> str:
    """Write ``interpretation.json`` and the curve over k; the table.

    Raises:
        ValueError: the files hold no pair to compare, or do not fit the model.
    """
    explained = _Explained(options)
    pairs, counts = explained.pairs()
    results = {}
    for name in options.attribution:
        explain = explained.method(name)
        start = time.perf_counter()
        found = [explain(pair) for pair in tqdm(pairs, desc=name, unit="pair")]
        seconds = (time.perf_counter() - start) / len(pairs)
        measured = consistency(found, absolute=options.ranking == "absolute")
        results[name] = _as_json(measured) | {"seconds_per_pair": seconds}
    card = {
        "model": options.model,
        "pairs": [portable_path(str(path)) for path in options.pairs],
        "counts": counts,
        **explained.labels.describe(),
        "settings": {
            name: getattr(options, name)
            for name in ("baseline", "steps", "samples", "ranking", "keep", "num_pairs", "seed")
        }
        | {"max_length": explained.max_length},
        "versions": versions(),
        "attributions": results,
    }
    card |= explained.measured.card
    folder = claim_folder("interpret-consistency", options.output_dir)
    write_json(folder / INTERPRETATION_FILE, redact(card))
    files = ", ".join(path.stem for path in options.pairs)
    draw_interpretation(results, folder, f"{Path(options.model).name} on pairs of {files}")
    lines = f"{_count_line(counts)}\n{explained.measured.remark}"
    return f"{interpretation_table(results)}\n{lines}Results are in {folder}."


def draw_pairs(options: InterpretOptions) -> str:
    """Write ``word_attributions.png``, ``.svg`` and ``.html``; where they are.

    Both texts of a pair are explained for one class, the one predicted for the original.
    """
    explained = _Explained(options)
    pairs, counts = explained.pairs()
    groups = []
    for pair in pairs:
        found = explained.method(options.attribution[0])(pair)
        groups.append(explained.coloured(pair, found))
    heading = f"{Path(options.model).name}: what {options.attribution[0]} says"
    note = "Blue speaks for the class predicted for the original, orange against it; darkest: strongest of its text."
    paths = draw_words(groups, claim_folder("interpret-words", options.output_dir), heading, note)
    return f"{_count_line(counts)}\n{explained.measured.remark}Written: {', '.join(map(str, paths))}"


class _Explained:
    """A checkpoint, the pairs of texts it is asked about, and how it is asked."""

    def __init__(self, options: InterpretOptions) -> None:
        if options.num_pairs < 0:
            raise ValueError(f"--num_pairs must be at least 1, or 0 for all, got {options.num_pairs}.")
        records = {path: _records(path) for path in options.pairs}
        self.options = options
        self.model, self.tokenizer = load_classifier(options.model, options.device)
        self.measured = measured_model(options.model, self.model, self.tokenizer)
        self.max_length = text_length(options.max_seq_length, options.model, self.tokenizer, self.model.config)
        labels = model_labels(self.model.config, options.class_names)
        if not labels.is_single:
            raise ValueError(f"{options.model} is no classifier of one class each; attributions are by class.")
        self.labels, self.names = labels, labels.names
        self._records = [
            record
            for path, found in records.items()
            for record in relabelled(found, path, self.names, "--pairs", options.class_names)
        ]

    def pairs(self) -> tuple[list[Pair], dict[str, int]]:
        """The pairs to compare, drawn by the seed where there are more than asked for, and what was left out."""
        options = self.options
        statuses = ("succeeded",) if options.keep == "succeeded" else ("succeeded", "failed")
        pairs, counts = substitution_pairs(self._records, statuses)
        if options.keep == "correct":
            pairs = [pair for pair, right in zip(pairs, self._both_right(pairs), strict=True) if right]
            counts["both_correct"] = len(pairs)
        if not pairs:
            raise ValueError(
                f"--pairs {' '.join(map(str, options.pairs))} holds no pair to compare ({_count_line(counts)}); give "
                "results of an attack that swaps words, or another --keep."
            )
        if options.num_pairs and len(pairs) > options.num_pairs:
            places = random.Random(options.seed).sample(range(len(pairs)), options.num_pairs)
            pairs = [pairs[place] for place in sorted(places)]
        counts["compared"] = len(pairs)
        return pairs, counts

    def _both_right(self, pairs: Sequence[Pair]) -> list[bool]:
        texts = [text for pair in pairs for text in (pair.original, pair.perturbed)]
        found = predicted_labels(self.model, self.tokenizer, texts, **self._reading())
        both = zip(found[::2], found[1::2], strict=True)
        return [first == second == pair.label for pair, (first, second) in zip(pairs, both, strict=True)]

    def _reading(self) -> dict[str, Any]:
        return {"max_length": self.max_length, "predict": self.measured.inference}

    def method(self, name: str) -> Callable[[Pair], tuple[Attribution, Attribution]]:
        """What explains both texts of a pair."""
        options = self.options
        if name == "ig":
            explain: Callable[..., list[Attribution]] = integrated_gradients
            flags: dict[str, Any] = {"reference": options.baseline, "steps": options.steps}
        else:
            explain, flags = lime, {"samples": options.samples, "seed": options.seed}

        def both(pair: Pair) -> tuple[Attribution, Attribution]:
            texts = [pair.original, pair.perturbed]
            first, second = explain(self.model, self.tokenizer, texts, **self._reading(), **flags)
            return first, second

        return both

    def coloured(self, pair: Pair, found: tuple[Attribution, Attribution]) -> list[ColouredText]:
        """Both texts with the attributions of the class that is predicted for the original."""
        shown = int(found[0].outputs.argmax())
        texts = zip(("original", "perturbed"), (pair.original, pair.perturbed), found, strict=True)
        return [
            ColouredText(
                f"example {pair.idx}, {role}: predicted {self.names[int(one.outputs.argmax())]}, "
                f"colours for {self.names[shown]}",
                tuple(_pieces(Text(columns), one.values[shown].tolist())),
            )
            for role, columns, one in texts
        ]


def _records(path: Path) -> list[Any]:
    if not path.is_file():
        raise ValueError(f"--pairs {path} is no file; give attack_results/<attack>.jsonl of a run.")
    found = read_records(path)
    if not found:
        raise ValueError(f"--pairs {path} holds no attack record; give attack_results/<attack>.jsonl of a run.")
    return found


def _pieces(text: Text, values: Sequence[float]) -> list[tuple[str, float | None]]:
    """The text with a number at each word; columns are set apart by a bar."""
    pieces: list[tuple[str, float | None]] = []
    for number, column in enumerate(text.columns):
        done = 0
        pieces += [(" | ", None)] if number else []
        for word, value in zip(text.words, values, strict=True):
            if word.column == number:
                pieces += [(column[done : word.start], None), (word.text, value)]
                done = word.end
        pieces.append((column[done:], None))
    return [piece for piece in pieces if piece[0]]


def _as_json(measured: Consistency) -> dict[str, Any]:
    found = dataclasses.asdict(measured)
    found["kendall_tau"] = found.pop("tau")
    found["top_k"] = [{"k": k, **one} for k, one in zip(TOP_K, found["top_k"], strict=True)]
    return found


def _count_line(counts: dict[str, int]) -> str:
    said = Counter(counts)
    line = (
        f"{said['records']:,} records: {said['other_status']:,} of another status, {said['unchanged']:,} unchanged, "
        f"{said['not_one_to_one']:,} not word for word, {said['pairs']:,} pairs"
    )
    line += f", both right in {said['both_correct']:,}" if "both_correct" in counts else ""
    return line + (f", {said['compared']:,} compared" if "compared" in counts else "")
