"""`hf-robust interpret consistency` and `words`: explain pairs of texts and compare the explanations."""

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

from hf_robust.cli.output import model_names
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
from hf_robust.runs import (
    CONSISTENCY,
    INTERPRETATION_FILE,
    Ranks,
    claim_folder,
    portable_path,
    read_records,
    redact,
    versions,
    write_json,
)
from hf_robust.wiring.checkpoint_attack import load_classifier
from hf_robust.wiring.restored import restore_inference, text_length
from hf_robust.wiring.static_attacks import relabelled
from hf_robust.words import Text

RANKINGS = ("signed", "absolute")


@dataclass
class InterpretOptions:
    """Flags of the tasks that explain pairs of texts."""

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
    ranks: Ranks = Ranks()
    """The processes that share the pairs."""

    @classmethod
    def from_flags(cls, flags: dict[str, Any]) -> InterpretOptions:
        """Build from parsed flags; a field for which a task has no flag keeps its default."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: flags[name] for name in names if name in flags})


def measure_consistency(options: InterpretOptions) -> str:
    """Write ``interpretation.json`` and the curve over k, and return the table.

    Raises:
        ValueError: the files have no pair to compare, or do not fit the model.
    """
    explainer = _Explainer(options)
    (pairs,), counts = _chosen_pairs([explainer])
    results = {}
    for name in options.attribution:
        attributions, seconds = explainer.explained(pairs, name)
        measured = consistency(attributions, absolute=options.ranking == "absolute")
        results[name] = _as_json(measured) | {"seconds_per_pair": seconds / len(pairs)}
    card = {
        "model": options.model,
        "pairs": [portable_path(str(path)) for path in options.pairs],
        "counts": counts,
        **explainer.labels.describe(),
        "settings": {
            name: getattr(options, name)
            for name in ("baseline", "steps", "samples", "ranking", "keep", "num_pairs", "seed")
        }
        | {"max_length": explainer.max_length},
        "versions": versions(),
        "attributions": results,
    }
    card |= explainer.restored.card
    if not options.ranks.is_first:
        return ""
    folder = claim_folder(CONSISTENCY, options.output_dir)
    write_json(folder / INTERPRETATION_FILE, redact(card))
    files = ", ".join(path.stem for path in options.pairs)
    draw_interpretation(results, folder, f"{Path(options.model).name} on pairs of {files}")
    lines = f"{_count_line(counts)}\n{explainer.restored.remark}"
    return f"{interpretation_table(results)}\n{lines}Results are in {folder}."


def draw_pairs(options: InterpretOptions, models: Sequence[str] = ()) -> str:
    """Write ``word_attributions.png``, ``.svg`` and ``.html``, and return their paths as text.

    Both texts of a pair are explained for one class, the one predicted for the original. Several ``models`` explain
    the same pairs, one below the other (FLAT, Figure 3).
    """
    models = models or [options.model]
    explainers = [_Explainer(dataclasses.replace(options, model=model)) for model in models]
    chosen, counts = _chosen_pairs(explainers)
    method = options.attribution[0]
    explained = [one.explained(pairs, method)[0] for one, pairs in zip(explainers, chosen, strict=True)]
    if not options.ranks.is_first:
        return ""
    names = model_names(models) if len(models) > 1 else [Path(options.model).name]
    groups: list[list[ColouredText]] = [[] for _ in chosen[0]]
    for explainer, name, pairs, attributions in zip(explainers, names, chosen, explained, strict=True):
        prefix = f"{name}, " if len(models) > 1 else ""
        for group, pair, both in zip(groups, pairs, attributions, strict=True):
            group += explainer.coloured(pair, both, prefix)
    heading = f"{', '.join(names)}: attributions by {method}"
    note = (
        "Blue words support the class predicted for the original, orange words oppose it. The darkest word of a text "
        "is its strongest."
    )
    paths = draw_words(groups, claim_folder("interpret-words", options.output_dir), heading, note)
    remarks = "".join(one.restored.remark for one in explainers)
    return f"{_count_line(counts)}\n{remarks}Written: {', '.join(map(str, paths))}"


class _Explainer:
    """A checkpoint, the pairs of texts to explain, and the attribution methods."""

    def __init__(self, options: InterpretOptions) -> None:
        if options.num_pairs < 0:
            raise ValueError(f"--num_pairs must be at least 1, or 0 for all pairs, got {options.num_pairs}.")
        records = {path: _records(path) for path in options.pairs}
        self.options = options
        self.model, self.tokenizer = load_classifier(options.model, options.device)
        self.restored = restore_inference(options.model, self.model, self.tokenizer)
        self.max_length = text_length(options.max_seq_length, options.model, self.tokenizer, self.model.config)
        labels = model_labels(self.model.config, options.class_names)
        if not labels.is_single:
            raise ValueError(
                f"{options.model} is not a single-label classifier, and attributions are for one class: give such a "
                f"model."
            )
        self.labels, self.names = labels, labels.names
        self._records = [
            record
            for path, from_file in records.items()
            for record in relabelled(from_file, path, self.names, "--pairs", options.class_names)
        ]

    def pairs(self) -> tuple[list[Pair], dict[str, int]]:
        """Return all pairs of the files, with the label ids of this model, and counts of what was left out."""
        statuses = ("succeeded",) if self.options.keep == "succeeded" else ("succeeded", "failed")
        return substitution_pairs(self._records, statuses)

    def both_correct(self, pairs: Sequence[Pair]) -> list[bool]:
        """For each pair, whether this model classifies both texts correctly."""
        texts = [text for pair in pairs for text in (pair.original, pair.perturbed)]
        predictions = predicted_labels(self.model, self.tokenizer, texts, **self._inference_options())
        both = zip(predictions[::2], predictions[1::2], strict=True)
        return [first == second == pair.label for pair, (first, second) in zip(pairs, both, strict=True)]

    def _inference_options(self) -> dict[str, Any]:
        return {"max_length": self.max_length, "predict": self.restored.inference}

    def explained(self, pairs: Sequence[Pair], name: str) -> tuple[list[tuple[Attribution, Attribution]], float]:
        """Explain pairs by the attribution method ``name``; return the explanations, and the seconds of all ranks."""
        ranks, explain = self.options.ranks, self.method(name)
        bar = tqdm(total=len(pairs) // ranks.number, desc=name, unit="pair", disable=not ranks.is_first)

        def timed(pair: Pair) -> tuple[tuple[Attribution, Attribution], float]:
            start = time.perf_counter()
            both = explain(pair)
            bar.update()
            return both, time.perf_counter() - start

        with bar:
            results = ranks.map(timed, pairs, lambda pair: sum(len(text.split()) for text in pair.original))
        return [both for both, _ in results], sum(seconds for _, seconds in results)

    def method(self, name: str) -> Callable[[Pair], tuple[Attribution, Attribution]]:
        """Return the function that explains both texts of a pair by the attribution method ``name``."""
        options = self.options
        if name == "ig":
            explain: Callable[..., list[Attribution]] = integrated_gradients
            flags: dict[str, Any] = {"reference": options.baseline, "steps": options.steps}
        else:
            explain, flags = lime, {"samples": options.samples, "seed": options.seed}

        def both(pair: Pair) -> tuple[Attribution, Attribution]:
            texts = [pair.original, pair.perturbed]
            words = {"rule": pair.rule}
            first, second = explain(self.model, self.tokenizer, texts, **self._inference_options(), **flags, **words)
            return first, second

        return both

    def coloured(
        self, pair: Pair, attributions: tuple[Attribution, Attribution], prefix: str = ""
    ) -> list[ColouredText]:
        """Return both texts with their attributions for the class that is predicted for the original."""
        target = int(attributions[0].outputs.argmax())
        texts = zip(("original", "perturbed"), (pair.original, pair.perturbed), attributions, strict=True)
        return [
            ColouredText(
                f"{prefix}example {pair.idx}, {role}: predicted {self.names[int(attribution.outputs.argmax())]}, "
                f"colours for {self.names[target]}",
                tuple(_pieces(Text(columns, pair.rule), attribution.values[target].tolist())),
            )
            for role, columns, attribution in texts
        ]


def _chosen_pairs(explainers: Sequence[_Explainer]) -> tuple[list[list[Pair]], dict[str, int]]:
    """The same pairs for each model, at most ``num_pairs`` drawn by the seed, and counts of what was left out.

    With ``--keep correct`` every model classifies both texts correctly.

    Raises:
        ValueError: there is no pair to compare.
    """
    options = explainers[0].options
    every = [explainer.pairs() for explainer in explainers]
    counts, places = every[0][1], list(range(len(every[0][0])))
    if options.keep == "correct":
        for explainer, (pairs, _) in zip(explainers, every, strict=True):
            correct = explainer.both_correct([pairs[place] for place in places])
            places = [place for place, holds in zip(places, correct, strict=True) if holds]
        counts["both_correct"] = len(places)
    if not places:
        raise ValueError(
            f"--pairs {' '.join(map(str, options.pairs))} has no pair to compare ({_count_line(counts)}): give "
            "results of an attack that replaces words one by one, or another --keep."
        )
    if options.num_pairs and len(places) > options.num_pairs:
        drawn = random.Random(options.seed).sample(range(len(places)), options.num_pairs)
        places = [places[number] for number in sorted(drawn)]
    counts["compared"] = len(places)
    return [[pairs[place] for place in places] for pairs, _ in every], counts


def _records(path: Path) -> list[Any]:
    if not path.is_file():
        raise ValueError(f"--pairs {path} is not a file: give attack_results/<attack>.jsonl of a run.")
    records = read_records(path)
    if not records:
        raise ValueError(f"--pairs {path} has no attack record: give attack_results/<attack>.jsonl of a run.")
    return records


def _pieces(text: Text, values: Sequence[float]) -> list[tuple[str, float | None]]:
    """Split a text into pieces, each word with its value; columns are separated by a bar."""
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
    numbers = dataclasses.asdict(measured)
    numbers["kendall_tau"] = numbers.pop("tau")
    numbers["top_k"] = [{"k": k, **share} for k, share in zip(TOP_K, numbers["top_k"], strict=True)]
    return numbers


def _count_line(counts: dict[str, int]) -> str:
    totals = Counter(counts)
    line = (
        f"{totals['records']:,} records: {totals['other_status']:,} of another status, {totals['unchanged']:,} "
        f"unchanged, "
        f"{totals['not_one_to_one']:,} not word for word, {totals['pairs']:,} pairs"
    )
    line += f", both texts correct in {totals['both_correct']:,}" if "both_correct" in counts else ""
    return line + (f", {totals['compared']:,} compared" if "compared" in counts else "")
