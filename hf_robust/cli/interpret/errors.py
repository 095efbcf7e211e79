"""`hf-robust interpret errors`: errors that a new model fixed, introduced and left, by slice (GradMask, Section 5)."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.cli.flags import add_class_names, add_text_length
from hf_robust.cli.output import add_output_flag, write_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hf_robust.data.labels import Labels
    from hf_robust.metrics import AttackRecord, Predicted, Slice, SliceReport
    from hf_robust.wiring.measured_checkpoint import Checkpoint

BATCH = 8
"""The Trainer's own batch size of an evaluation."""
_OF_DATA = (
    "split", "label_column_name", "text_column_names", "class_names", "max_seq_length", "device", "batch_size",
    "num_examples", "seed",
)  # fmt: skip
"""Flags that say how models are measured, and so need --data."""


def add_errors_flags(parser: argparse.ArgumentParser) -> None:
    for flag, what in (("--baseline", "The baseline"), ("--new", "The new model")):
        parser.add_argument(
            flag, required=True, metavar="MODEL",
            help=f"{what}: folder or Hub id of a fine-tuned classifier, which is shown --data; or, without --data, "
            "attack_results/<attack>.jsonl of its run, whose predictions on the clean texts are read.",
        )  # fmt: skip
    parser.add_argument("--data", help="Texts for both models: a file, a GLUE task, a folder, or a Hub id.")
    parser.add_argument("--split", help="Split of --data. Default: validation.")
    parser.add_argument("--label_column_name", help="Column of the labels. Default: label.")
    parser.add_argument("--text_column_names", help="One or two text columns, comma separated.")
    add_class_names(parser)
    add_text_length(parser)
    parser.add_argument("--num_examples", type=int, help="At most so many texts, drawn by the seed. Default: all.")
    parser.add_argument("--seed", type=int, help="Draws the texts. Default: 0.")
    parser.add_argument(
        "--batch_size", type=int, help=f"Texts of a batch; each batch is a step of the speed. Default: {BATCH}."
    )
    parser.add_argument("--device", help="Where the models run. Default: a GPU where there is one.")
    parser.add_argument(
        "--slices", type=Path, metavar="FILE",
        help='A JSON object of slices of your own beside ours: {"numbers": ["one", "two", "at least"], "question": '
        '{"pattern": "\\\\?$"}, "long hypothesis": {"longer_than": 12, "column": 2}}.',
    )  # fmt: skip
    parser.add_argument(
        "--printed_words",
        action="store_true",
        help="Slices by the words that the paper prints, without ours.",
    )
    add_output_flag(parser, "tables, numbers and pictures")


class _Compared(NamedTuple):
    """Two models' predictions on the same texts, and what is known of them."""

    baseline: Sequence[AttackRecord] | Sequence[Predicted]
    new: Sequence[AttackRecord] | Sequence[Predicted]
    names: Sequence[str]
    card: Mapping[str, Any]
    table: str = ""
    """Both models side by side, and what to know of them; empty for files of results."""


def errors(options: argparse.Namespace) -> str:
    """Tables of both models, of each slice and of each class; with ``--output_dir`` bars of them.

    Raises:
        ValueError: a model, the data, a file of results or of slices cannot be read, or they do not fit together.
    """
    from hf_robust.metrics import error_transition
    from hf_robust.reports import class_figure, transition_figure, transition_tables
    from hf_robust.runs import portable_path

    own = {} if options.slices is None else _given_slices(options.slices)
    chosen = _slices(options, own)
    found = _of_files(options) if options.data is None else _of_models(options)
    try:
        reports = error_transition(found.baseline, found.new, chosen)
    except ValueError as error:
        raise ValueError(f"--baseline {options.baseline} and --new {options.new}: {error}") from error
    sources = {flag: portable_path(str(getattr(options, flag))) for flag in ("baseline", "new")}
    numbers = {**sources, "printed_words": options.printed_words, "own_slices": own, **found.card}
    text = f"{found.table}{transition_tables(reports, found.names)}{_empty(reports)}"
    figures: dict[str, Figure] = {}
    if reports["all"].transition.union:
        figures["errors"] = transition_figure(reports, "errors of either model")
    else:
        text += "\nNeither model makes an error, so there is no picture of them.\n"
    figures["classes"] = class_figure(reports, found.names)
    numbers["slices"] = {name: report.to_json() for name, report in reports.items()}
    return write_result(options.output_dir, "errors", text, numbers, figures)


def _given_slices(path: Path) -> dict[str, Any]:
    """What ``--slices`` holds; two slices of one name would be one, so they are refused."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} is named twice")
        return dict(pairs)

    try:
        given = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except OSError:
        raise ValueError(f"--slices {path} is no file; give a JSON object of slices by name.") from None
    except ValueError as error:
        raise ValueError(f"--slices {path} cannot be read: {error}; give a JSON object of slices by name.") from error
    if not isinstance(given, dict) or not given:
        raise ValueError(f"--slices {path} must be a JSON object of slices by name, got {given!r:.60}.")
    return given


def _slices(options: argparse.Namespace, given: Mapping[str, Any]) -> dict[str, Slice]:
    """Ours and those of the user's own."""
    from hf_robust.metrics import custom_slices, slices
    from hf_robust.metrics.transition import WHOLE

    ours = dict(slices(options.printed_words))
    taken = [name for name in given if name in ours or name == WHOLE]
    if taken:
        raise ValueError(
            f"--slices {options.slices} names {taken[0]!r}, as one of ours is called; choose another name."
        )
    try:
        return {**ours, **custom_slices(given)}
    except ValueError as error:
        raise ValueError(f"--slices {options.slices}: {error}") from error


def _empty(reports: Mapping[str, SliceReport]) -> str:
    """A line about slices that hold no text, whose numbers are dashes."""
    names = [repr(name) for name, report in reports.items() if not report.transition.num_examples]
    return f"\nNo text is in the slice {', '.join(names)}.\n" if names else ""


# ---- from files of results ----


def _of_files(options: argparse.Namespace) -> _Compared:
    from hf_robust.runs import read_records
    from hf_robust.wiring.static_attacks import label_names_beside

    unread = [flag for flag in _OF_DATA if getattr(options, flag) is not None]
    if unread:
        raise ValueError(f"--{unread[0]} is about texts to show to models; give them by --data, or leave it out.")
    paths = {"baseline": Path(options.baseline), "new": Path(options.new)}
    for flag, path in paths.items():
        if not path.is_file():
            raise ValueError(
                f"--{flag} {path} is no file of results (attack_results/<attack>.jsonl of a run); to compare models, "
                "give the texts to show them by --data."
            )
    baseline, new = (read_records(path) for path in paths.values())
    return _Compared(baseline, new, label_names_beside(paths["baseline"]) or (), {})


# ---- from models and data ----


def _of_models(options: argparse.Namespace) -> _Compared:
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
                f"--{flag} {source} is a file; with --data give a folder or Hub id of a model, or leave --data out."
            )
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(AttackOptions) if hasattr(options, f.name)}
    own = AttackOptions(**{**given, "model": options.baseline, "output_dir": options.output_dir or Path()})
    baseline, new = (
        _measured(flag, Checkpoint.load(source, options.data, own), options, batch_size)
        for flag, source in sources.items()
    )
    # The new model's numbers of the classes are brought to the baseline's.
    order = renumbered(new.labels, baseline.labels)
    rows = [
        one._replace(label=order[one.label], original_prediction=order[one.original_prediction]) for one in new.rows
    ]
    measured = {"baseline": baseline.numbers, "new": new.numbers}
    card = {"data": portable_path(options.data), "batch_size": batch_size, "models": measured}
    table = markdown_table(_HEADER, [baseline.cells, new.cells])
    device = new.numbers["device"]
    legend = (
        f"Accuracy and loss (mean cross-entropy) with 95 % intervals. Speed is of batches of {batch_size} on this "
        f"machine's {device}, tokenising left out: models of one architecture are equally fast, whatever it says.\n"
    )
    return _Compared(
        baseline.rows, rows, baseline.labels.names, card, f"{table}\n{legend}{baseline.remark}{new.remark}\n"
    )


_HEADER = ["", "model", "texts", "loss ↓", "accuracy, % ↑", "texts / s", "steps / s"]


class _Side(NamedTuple):
    """What one of the two models says of the texts."""

    labels: Labels
    rows: list[Predicted]
    numbers: dict[str, Any]
    cells: list[str]
    remark: str


def _measured(flag: str, checkpoint: Checkpoint, options: argparse.Namespace, batch_size: int) -> _Side:
    from hf_robust.cli.output import model_names
    from hf_robust.metrics import Predicted
    from hf_robust.reports import percent

    examples = checkpoint.examples(options.num_examples or 0, options.seed or 0)
    answers = checkpoint.timed_answers(examples, batch_size)
    rows = [
        Predicted(one.idx, one.label, one.texts, prediction)
        for one, prediction in zip(examples, answers.predictions, strict=True)
    ]
    loss, accuracy, speed = answers.loss, answers.accuracy, len(rows) / answers.seconds
    steps = answers.steps / answers.seconds
    numbers = {
        "num_examples": len(rows),
        **{f"loss{end}": value for end, value in zip(("", "_low", "_high"), loss, strict=True)},
        **{f"accuracy{end}": value for end, value in zip(("", "_low", "_high"), accuracy, strict=True)},
        "seconds": answers.seconds,
        "texts_per_second": speed,
        "steps_per_second": steps,
        "device": checkpoint.victim.device.type,
        **checkpoint.describe(),
    }
    (name,) = model_names([checkpoint.source])
    mark = checkpoint.guessing(answers).mark
    right = percent(accuracy.value, accuracy[1:]) + (f" ({mark})" if mark else "")
    between = f"{loss.value:.4f} [{loss.low:.4f}, {loss.high:.4f}]"
    cells = [flag, name, f"{len(rows):,}", between, right, f"{speed:,.1f}", f"{steps:,.1f}"]
    return _Side(checkpoint.splits.labels, rows, numbers, cells, checkpoint.remarks(flag, answers))
