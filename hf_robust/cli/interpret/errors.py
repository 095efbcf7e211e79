"""`hf-robust interpret errors`: errors that a new model fixes, introduces or keeps (GradMask, Section 5)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.cli.flags import (
    DATA_SOURCES,
    add_class_names,
    add_column_flags,
    add_device,
    add_seed,
    add_text_length,
    from_flags,
)
from hf_robust.cli.output import add_output_flag, write_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hf_robust.data.labels import Labels
    from hf_robust.metrics import AttackRecord, Predicted, Slice, SliceReport
    from hf_robust.wiring.measured_checkpoint import Checkpoint

BATCH = 8
"""Default batch size of the Trainer's evaluation."""
_DATA_FLAGS = (
    "split", "label_column_name", "text_column_names", "class_names", "max_seq_length", "device", "batch_size",
    "num_examples", "seed",
)  # fmt: skip
"""Flags that need --data."""


def add_errors_flags(parser: argparse.ArgumentParser) -> None:
    models = parser.add_argument_group("models")
    for flag, role in (("--baseline", "Baseline model"), ("--new", "New model")):
        models.add_argument(
            flag, required=True, metavar="MODEL",
            help=f"{role}: with --data the folder or Hub id of a fine-tuned classifier; without --data a file "
            "attack_results/<attack>.jsonl of its run, from which the predictions on the clean texts are read.",
        )  # fmt: skip
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data", metavar="DATA", help=f"Labelled texts for both models: {DATA_SOURCES}. Needed if they are models."
    )
    add_column_flags(data)
    add_class_names(data)
    add_text_length(data)
    data.add_argument(
        "--num_examples", type=int, help="Maximum number of texts of --data, drawn by --seed. Default: all."
    )
    add_seed(data, "for the choice of texts", default=None)
    data.add_argument(
        "--batch_size", type=int, help=f"Texts in a batch, for the measured steps per second. Default: {BATCH}."
    )
    add_device(data, "the models run")
    results = parser.add_argument_group("results")
    results.add_argument(
        "--slices", type=Path, metavar="FILE",
        help='JSON object of additional slices, by words, pattern or length: {"numbers": ["one", "two", "at least"], '
        '"question": {"pattern": "\\\\?$"}, "long hypothesis": {"longer_than": 12, "column": 2}}. Default: none.',
    )  # fmt: skip
    results.add_argument(
        "--printed_words",
        action="store_true",
        help="Define the built-in slices by the paper's word lists, without the words that were added to them.",
    )
    add_output_flag(results, "tables, numbers and pictures")


class _Comparison(NamedTuple):
    """Predictions of two models on the same texts, and what to print and store about the models."""

    baseline: Sequence[AttackRecord] | Sequence[Predicted]
    new: Sequence[AttackRecord] | Sequence[Predicted]
    names: Sequence[str]
    card: Mapping[str, Any]
    table: str = ""
    """Table of both models, with notes; empty for files of results."""


def errors(options: argparse.Namespace) -> str:
    """Return tables of both models, of the slices and of the classes; with ``--output_dir`` draw them as bars.

    Raises:
        ValueError: a model, the data, a file of results or of slices cannot be read, or they do not fit together.
    """
    from hf_robust.metrics import error_transition
    from hf_robust.reports import class_figure, transition_figure, transition_tables
    from hf_robust.runs import portable_path

    user_slices = {} if options.slices is None else _read_slices(options.slices)
    slices = _all_slices(options, user_slices)
    compared = _compare_files(options) if options.data is None else _compare_models(options)
    try:
        reports = error_transition(compared.baseline, compared.new, slices)
    except ValueError as error:
        raise ValueError(f"--baseline {options.baseline} and --new {options.new}: {error}") from error
    sources = {flag: portable_path(str(getattr(options, flag))) for flag in ("baseline", "new")}
    numbers = {**sources, "printed_words": options.printed_words, "own_slices": user_slices, **compared.card}
    text = f"{compared.table}{transition_tables(reports, compared.names)}{_note_on_empty(reports)}"
    figures: dict[str, Figure] = {}
    if reports["all"].transition.union:
        figures["errors"] = transition_figure(reports, "errors of either model")
    else:
        text += "\nNeither model makes an error, so there is no picture of them.\n"
    figures["classes"] = class_figure(reports, compared.names)
    numbers["slices"] = {name: report.to_json() for name, report in reports.items()}
    return write_result(options.output_dir, "errors", text, numbers, figures)


def _read_slices(path: Path) -> dict[str, Any]:
    """Read ``--slices``; a name that occurs twice is refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the name {twice!r} occurs twice")
        return dict(pairs)

    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except OSError:
        raise ValueError(
            f"--slices {path} is not a file: give a JSON file with an object of slices by name."
        ) from None
    except ValueError as error:
        raise ValueError(f"--slices {path} cannot be read: {error}; give a JSON object of slices by name.") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"--slices {path} must be a JSON object of slices by name, got {content!r:.60}.")
    return content


def _all_slices(options: argparse.Namespace, user_slices: Mapping[str, Any]) -> dict[str, Slice]:
    """Return the built-in slices and those of the user."""
    from hf_robust.metrics import custom_slices, slices
    from hf_robust.metrics.transition import WHOLE

    built_in = dict(slices(options.printed_words))
    taken = [name for name in user_slices if name in built_in or name == WHOLE]
    if taken:
        raise ValueError(
            f"--slices {options.slices} has the name {taken[0]!r}, which is a built-in slice: choose another name."
        )
    try:
        return {**built_in, **custom_slices(user_slices)}
    except ValueError as error:
        raise ValueError(f"--slices {options.slices}: {error}") from error


def _note_on_empty(reports: Mapping[str, SliceReport]) -> str:
    """Return a line about slices without texts, whose numbers are dashes."""
    names = [repr(name) for name, report in reports.items() if not report.transition.num_examples]
    return f"\nNo text is in the slice {', '.join(names)}.\n" if names else ""


# ---- from files of results ----


def _compare_files(options: argparse.Namespace) -> _Comparison:
    from hf_robust.runs import read_records
    from hf_robust.wiring.static_attacks import label_names_of_run

    unread = [flag for flag in _DATA_FLAGS if getattr(options, flag) is not None]
    if unread:
        raise ValueError(f"--{unread[0]} is used with --data only: add --data, or leave --{unread[0]} out.")
    paths = {"baseline": Path(options.baseline), "new": Path(options.new)}
    for flag, path in paths.items():
        if not path.is_file():
            raise ValueError(
                f"--{flag} {path} is not a file of results, and without --data it must be one "
                "(attack_results/<attack>.jsonl of a run): give such a file, or a model and --data."
            )
    baseline, new = (read_records(path) for path in paths.values())
    return _Comparison(baseline, new, label_names_of_run(paths["baseline"]) or (), {})


# ---- from models and data ----


def _compare_models(options: argparse.Namespace) -> _Comparison:
    from hf_robust.reports import markdown_table
    from hf_robust.runs import portable_path
    from hf_robust.wiring.checkpoint_attack import AttackOptions
    from hf_robust.wiring.measured_checkpoint import Checkpoint, renumbered

    batch_size = BATCH if options.batch_size is None else options.batch_size
    if batch_size < 1:
        raise ValueError(f"--batch_size must be at least 1, got {batch_size}.")
    sources = {"baseline": options.baseline, "new": options.new}
    for flag, source in sources.items():
        if Path(source).is_file():
            raise ValueError(
                f"--{flag} {source} is a file, and with --data it must be a folder or Hub id of a model: give a "
                f"model, or "
                "leave --data out."
            )
    data_options = from_flags(AttackOptions, options, model=options.baseline, output_dir=options.output_dir or Path())
    baseline, new = (
        _measure(flag, Checkpoint.load(source, options.data, data_options), options, batch_size)
        for flag, source in sources.items()
    )
    # Write the new model's label ids in the baseline's numbering.
    order = renumbered(new.labels, baseline.labels)
    rows = [
        row._replace(label=order[row.label], original_prediction=order[row.original_prediction]) for row in new.rows
    ]
    measured = {"baseline": baseline.numbers, "new": new.numbers}
    card = {"data": portable_path(options.data), "batch_size": batch_size, "models": measured}
    table = markdown_table(_HEADER, [baseline.cells, new.cells])
    device = new.numbers["device"]
    legend = (
        f"Accuracy and loss (mean cross-entropy) with 95 % intervals. Speed is measured on this machine's {device} in "
        f"batches of {batch_size}, without tokenisation; for models of one architecture a difference is noise.\n"
    )
    return _Comparison(
        baseline.rows, rows, baseline.labels.names, card, f"{table}\n{legend}{baseline.remark}{new.remark}\n"
    )


_HEADER = ["", "model", "texts", "loss ↓", "accuracy, % ↑", "texts / s", "steps / s"]


class _ModelScores(NamedTuple):
    """Predictions and numbers of one of the two models."""

    labels: Labels
    rows: list[Predicted]
    numbers: dict[str, Any]
    cells: list[str]
    remark: str


def _measure(flag: str, checkpoint: Checkpoint, options: argparse.Namespace, batch_size: int) -> _ModelScores:
    from hf_robust.cli.output import model_names
    from hf_robust.metrics import Predicted
    from hf_robust.reports import percent

    examples = checkpoint.examples(options.num_examples or 0, options.seed or 0)
    outputs = checkpoint.timed_outputs(examples, batch_size)
    rows = [
        Predicted(example.idx, example.label, example.texts, prediction)
        for example, prediction in zip(examples, outputs.predictions, strict=True)
    ]
    loss, accuracy, speed = outputs.loss, outputs.accuracy, len(rows) / outputs.seconds
    steps = outputs.steps / outputs.seconds
    numbers = {
        "num_examples": len(rows),
        **{f"loss{end}": value for end, value in zip(("", "_low", "_high"), loss, strict=True)},
        **{f"accuracy{end}": value for end, value in zip(("", "_low", "_high"), accuracy, strict=True)},
        "seconds": outputs.seconds,
        "texts_per_second": speed,
        "steps_per_second": steps,
        "device": checkpoint.victim.device.type,
        **checkpoint.describe(),
    }
    (name,) = model_names([checkpoint.source])
    mark = checkpoint.guessing(outputs).mark
    accuracy_cell = percent(accuracy.value, accuracy[1:]) + (f" ({mark})" if mark else "")
    loss_cell = f"{loss.value:.4f} [{loss.low:.4f}, {loss.high:.4f}]"
    cells = [flag, name, f"{len(rows):,}", loss_cell, accuracy_cell, f"{speed:,.1f}", f"{steps:,.1f}"]
    return _ModelScores(checkpoint.splits.labels, rows, numbers, cells, checkpoint.remarks(flag, outputs))
