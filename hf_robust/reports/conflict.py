"""Clean accuracy of several runs side by side: does adversarial training data reduce it? (TaiChi, Table 4)"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.metrics import wilson_interval
from hf_robust.reports.cells import markdown_table, percent
from hf_robust.reports.compare import differences, require_comparable
from hf_robust.reports.curves import STYLE
from hf_robust.reports.palette import COLOURS
from hf_robust.runs import METRICS_FILE, RUN_CARD_FILE, Run, history_path, load_run, read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class CleanAccuracy:
    """Accuracy of a run on its ``samples`` evaluation texts."""

    name: str
    accuracy: float
    samples: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval."""
        return wilson_interval(round(self.accuracy * self.samples), self.samples)

    def to_json(self) -> dict[str, Any]:
        """Every number by name."""
        low, high = self.interval
        numbers = {"accuracy": self.accuracy, "accuracy_low": low, "accuracy_high": high, "samples": self.samples}
        return {"name": self.name, **numbers}


def clean_accuracies(folders: Sequence[str | Path], force: bool = False) -> tuple[list[CleanAccuracy], list[str]]:
    """Accuracies of the run folders in their order, and the reasons why they are not comparable, if any.

    Accuracies come from ``all_results.json``, else from the line of the published weights in
    ``robustness_history.jsonl``. Runs are comparable if they were evaluated on the same texts, whatever their training
    data.

    Args:
        force: accept runs that are not comparable.

    Raises:
        ValueError: a folder has no accuracy or no number of texts, or the runs are not comparable.
    """
    runs = [_evaluated(Path(folder)) for folder in folders]
    if not force:
        require_comparable(runs)
    names = _names(folders)
    return [_accuracy(name, Path(one)) for name, one in zip(names, folders, strict=True)], differences(runs)


def conflict_table(rows: Sequence[CleanAccuracy], reasons: Sequence[str] = ()) -> str:
    """Markdown table with a row for each run: accuracy with interval, N, and the difference from the first run."""
    warning = "".join(f"> **Not comparable:** {reason}.\n" for reason in reasons)
    cells = [
        [
            row.name,
            percent(row.accuracy, row.interval),
            str(row.samples),
            f"{100 * (row.accuracy - rows[0].accuracy):+.1f}" if index else "–",
        ]
        for index, row in enumerate(rows)
    ]
    table = markdown_table(["run", "clean accuracy, %", "N", "difference from the first, points"], cells)
    return "\n".join(filter(None, [warning, table, "Brackets: 95 % Wilson interval.\n"]))


def conflict_figure(rows: Sequence[CleanAccuracy]) -> Figure:
    """Bar chart of the accuracies with their intervals."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    with rc_context(STYLE):
        figure = Figure(figsize=(max(3.4, 1.2 + 1.0 * len(rows)), 3.2), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        errors = [[abs(row.accuracy - row.interval[end]) for row in rows] for end in (0, 1)]
        axes.bar(range(len(rows)), [row.accuracy for row in rows], width=0.6, yerr=errors, capsize=3, color=COLOURS[1])
        axes.set_xticks(range(len(rows)), [row.name.replace(" (", "\n(") for row in rows])
        axes.set_ylim(0, 1)
        axes.set_ylabel("clean accuracy ↑")
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.grid(visible=False, axis="x")
        counts = ", ".join(f"{count:,}" for count in dict.fromkeys(row.samples for row in rows))
        figure.supxlabel(f"Bars: 95% Wilson intervals. N = {counts}.", fontsize=7, color="#555555")
    return figure


def _evaluated(folder: Path) -> Run:
    """The run with the fingerprint of its evaluation texts alone, since the training texts may differ here."""
    data = read_json(folder / RUN_CARD_FILE).get("data") or {}
    fingerprint = str(data.get("fingerprint") or "").split("-")[-1]
    return Run(folder, [], {"data": {"name": data.get("name"), "fingerprint": fingerprint or None}}, None)


def _accuracy(name: str, folder: Path) -> CleanAccuracy:
    results, samples = read_json(folder / METRICS_FILE), None
    accuracy = results.get("eval_accuracy")
    if accuracy is not None:
        samples = results.get("eval_samples")
    elif history_path(folder).is_file():
        run = load_run(folder)
        accuracy, samples = run.published["accuracy"], run.eval_samples
    if accuracy is None or not math.isfinite(accuracy) or not samples:
        raise ValueError(
            f"{folder} has no accuracy or no number of evaluation texts; give the output folder of a run with "
            f"--do_eval ({METRICS_FILE} with eval_accuracy and eval_samples)."
        )
    return CleanAccuracy(name, float(accuracy), int(samples))


def _names(folders: Sequence[str | Path]) -> list[str]:
    """Method (for TaiChi its variant) of each run, with the folder if several runs share a name."""
    named = []
    for folder in map(Path, folders):
        card = read_json(folder / RUN_CARD_FILE)
        variant = (card.get("config") or {}).get("taichi_variant")
        named.append(str(variant or card.get("method") or folder.resolve().name))
    return [
        f"{name} ({Path(folder).resolve().name})" if named.count(name) > 1 else name
        for name, folder in zip(named, folders, strict=True)
    ]
