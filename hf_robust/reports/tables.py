"""Markdown tables over several runs: results with intervals or as means over seeds, and their cost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any

from hf_robust.metrics import partial_coverage, texts_covered
from hf_robust.reports.aims import (
    described_in,
    is_obstinate,
    robust_accuracy_applies,
    success_of,
    success_rate_applies,
)
from hf_robust.reports.cells import (
    NOTHING,
    OBSTINACY,
    accuracy_interval,
    accuracy_over_seeds,
    attack_interval,
    attack_over_seeds,
    clean_accuracy_of,
    markdown_table,
    mean_of,
    obstinacy_of,
    percent,
    points,
    rise_over_seeds,
    union_interval,
    union_label,
    union_over_seeds,
)
from hf_robust.reports.compare import differences, require_comparable
from hf_robust.reports.groups import data_name, group_by_seed, group_names, model_name, published_epochs
from hf_robust.reports.guessing import GUESSING_NOTE, dagger
from hf_robust.reports.standard import members_table, standard_in_words, standard_of
from hf_robust.reports.stopping import interval_name, stopping_sentence
from hf_robust.runs import Run, attack_names, load_run


def comparison_table(run_dirs: Sequence[str | Path], force: bool = False) -> str:
    """Results and cost of several runs as Markdown.

    One row for each group of runs that differ only in their seed. Rates of a single run have their 95 % Wilson
    interval, ``41.0 [36.7, 45.4]``; rates of several seeds are mean ± sample standard deviation, ``41.0 ± 1.2``. Rates
    are in percent and those of the published weights.

    Args:
        run_dirs: run folders, in the order of their rows.
        force: accept runs that are not comparable, and write the reasons above the table.

    Raises:
        ValueError: a folder cannot be read, or the runs are not comparable (`hf_robust.reports.compare`).
    """
    if not run_dirs:
        raise ValueError("No run given; name at least one folder with a robustness_history.jsonl.")
    runs = [load_run(folder) for folder in run_dirs]
    if not force:
        require_comparable(runs)
    return table_of_runs(runs)


def table_of_runs(runs: Sequence[Run]) -> str:
    """`comparison_table` of loaded runs; above it the reasons why they are not comparable, if any."""
    attacks = list(dict.fromkeys(name for run in runs for name in attack_names(run.history)))
    groups = group_by_seed(runs)
    warning = "".join(f"> **Not comparable:** {reason}.\n" for reason in differences(runs))
    return "\n".join(filter(None, [warning, _results(groups, attacks), table_note(groups), _cost(groups, attacks)]))


def results_table(run: Run) -> str:
    """Table of clean accuracy and every attack on the published weights of one run, as in the model card.

    Clean accuracy in the row of an attack is measured on the examples of that attack. A line below the table says how
    many texts had a substitute, for attacks that could not change all texts. The standard has a table of its attacks.
    """
    line = run.published
    clean = percent(float(line["accuracy"]), accuracy_interval(run), run.eval_samples)
    header = [
        "attack", "clean accuracy, %", "accuracy under attack, %", "attack success rate, %", "examples", "attacked",
        "queries each",
    ]  # fmt: skip
    rows = [["none (clean text)", clean, NOTHING, NOTHING, str(run.eval_samples or NOTHING), NOTHING, NOTHING]]
    rows += [_attack_row(run, attack, result) for attack, result in line["attacks"].items()]
    if union := line.get("union"):
        worst = percent(union["robust_accuracy"], union_interval(union), union.get("num_examples"))
        rows.append([union_label(union), NOTHING, worst, NOTHING, _count(union, "num_examples"), NOTHING, NOTHING])
    for name, cell in _MORE.items():
        cells = [cell(run, attack) for attack in line["attacks"]]
        if any(one != NOTHING for one in cells):
            header.append(name)
            column = [NOTHING, *cells, *[NOTHING] * bool(union)]
            rows = [[*row, one] for row, one in zip(rows, column, strict=True)]
    coverages = {attack: partial_coverage(result) for attack, result in line["attacks"].items()}
    partial_ones = [
        f"{attack} {coverage}{' (no rates)' * coverage.startswith('0 ')}"
        for attack, coverage in coverages.items()
        if coverage
    ]
    notes = [f"Texts with at least one substitute: {', '.join(partial_ones)}." if partial_ones else ""]
    notes += [stopping_sentence(attack, result) for attack, result in line["attacks"].items()]
    notes += [_left_out(run, attack) for attack in line["attacks"]]
    standard = standard_of(run)
    details = "" if standard is None else f"\n{standard_in_words(standard)}\n\n{members_table(standard)}"
    return markdown_table(header, rows) + "".join(f"\n{note}\n" for note in notes if note) + details


def _left_out(run: Run, attack: str) -> str:
    """How many rows the target of an attack leaves out; empty for an attack without a target."""
    described = described_in(run, attack)
    if "rows_left_out" not in described:
        return ""
    return (
        f"{attack}: {described['rows_left_out']:,} rows left out, whose label is {described['goal']['label']} already."
    )


def _attack_row(run: Run, attack: str, result: dict[str, Any]) -> list[str]:
    clean, interval = clean_accuracy_of(run, attack)
    return [
        str(described_in(run, attack).get("standard", attack)),
        percent(clean, interval, result.get("num_examples")),
        _rate(result, "robust_accuracy") if robust_accuracy_applies(run, attack) else NOTHING,
        _rate(result, "asr") if success_rate_applies(run, attack) else NOTHING,
        _count(result, "num_examples"),
        _count(result, "num_attacked"),
        _decimal(result, "queries"),
    ]


def _obstinate_cell(key: str) -> Callable[[Run, str], str]:
    def cell(run: Run, attack: str) -> str:
        count = run.published["attacks"].get(attack, {}).get("num_attacked")
        value = obstinacy_of(run, attack).get(key, math.nan)
        return percent(value, count=count) if key != "median_rise" else points(value)

    return cell


def _share_cell(key: str) -> Callable[[Run, str], str]:
    return lambda run, attack: percent(float(run.published["attacks"][attack].get(key, math.nan)))


def _texts_cut(run: Run, attack: str) -> str:
    share = float(run.published["attacks"][attack].get("texts_cut", math.nan))
    return percent(share) if share > 0 else NOTHING


_MORE: dict[str, Callable[[Run, str], str]] = {
    **{name: _obstinate_cell(key) for key, name in OBSTINACY.items()},
    "changed words, %": _share_cell("changed_share"),
    "saturated queries, %": _share_cell("saturated_share"),
    "texts cut, %": _texts_cut,
}
"""Columns of `results_table` that are shown if an attack has a number for them."""


def _results(groups: Sequence[Sequence[Run]], attacks: Sequence[str]) -> str:
    columns = {name: cell for attack in attacks for name, cell in _attack_columns(attack, groups).items()}
    unions = [run.published["union"] for group in groups for run in group if "union" in run.published]
    # Each set of attacks has its own union, and so its own column.
    for label in dict.fromkeys(map(union_label, unions)):
        columns[f"{label}: robust accuracy"] = partial(union_over_seeds, label=label)
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        run = group[0]
        row = [name + dagger(group), model_name(run), data_name(run), str(len(group)), published_epochs(group)]
        row.append(accuracy_over_seeds(group))
        rows.append([*row, *(cell(group) for cell in columns.values())])
    return markdown_table(["method", "model", "data", "seeds", "epoch", "accuracy", *columns], rows)


Columns = dict[str, Callable[[Sequence[Run]], str]]
"""Cells of a group of runs by the name of their column."""


def _attack_columns(attack: str, groups: Sequence[Sequence[Run]]) -> Columns:
    """Columns of one attack: names, and functions that write the cell of a group."""
    runs = [run for group in groups for run in group if attack in run.published["attacks"]]
    if not all(success_rate_applies(run, attack) for run in runs):
        return {f"{attack}: words deleted, %": partial(_deleted_over_seeds, attack=attack)}
    rate = partial(attack_over_seeds, attack=attack, key="asr")
    if not any(is_obstinate(run, attack) for run in runs):
        return {f"{attack} ASR": rate, f"{attack}: clean → under attack": partial(_before_and_under, attack=attack)}
    columns: Columns = {
        f"{attack} raises": partial(attack_over_seeds, attack=attack, key="raises_asr"),
        f"{attack} remains": partial(attack_over_seeds, attack=attack, key="remains_asr"),
        f"{attack} median rise, points": partial(rise_over_seeds, attack=attack),
    }
    columns = {name: cell for name, cell in columns.items() if any(cell(group) != NOTHING for group in groups)}
    rules = {success_of(run, attack) for run in runs}
    # With a single known success rule the ASR equals one of these columns; else it gets an additional one.
    same_as_asr = f"{attack} {rules.pop()}" if len(rules) == 1 else ""
    if same_as_asr not in columns:
        return {f"{attack} ASR": rate, **columns}
    return {
        f"{attack} ASR ({name.split()[-1]})" if name == same_as_asr else name: rate if name == same_as_asr else cell
        for name, cell in columns.items()
    }


def _before_and_under(group: Sequence[Run], attack: str) -> str:
    """Clean accuracy on the examples of the attack, an arrow, and accuracy under the attack."""
    under = attack_over_seeds(group, attack, "robust_accuracy")
    clean = mean_of([{"clean": clean_accuracy_of(run, attack)[0]} for run in group], "clean")
    if under == NOTHING or not math.isfinite(clean):
        return under
    counts = [run.published["attacks"].get(attack, {}).get("num_examples") for run in group]
    return f"{percent(clean, count=counts[0] if len(counts) == 1 else None)} → {under}"


def _deleted_over_seeds(group: Sequence[Run], attack: str) -> str:
    results = [run.published["attacks"].get(attack, {}) for run in group]
    return percent(mean_of(results, "changed_share"))


def table_note(groups: Sequence[Sequence[Run]]) -> str:
    """Note that explains the numbers of the tables."""
    text = "Rates in percent. ASR: attack success rate on the examples that are correct before the attack. "
    runs = [run for group in groups for run in group]
    attacked = [(run, attack) for run in runs for attack in run.published["attacks"]]
    if any(starmap(robust_accuracy_applies, attacked)):
        text += "Clean → under attack: accuracy on the examples of the attack, before and after it. "
    if any(starmap(is_obstinate, attacked)):
        text += (
            "For attacks that keep the prediction, as shares of the attacked examples: raises, the changed text gets "
            "a higher confidence; remains, some changed text keeps the prediction. Median rise: median increase of "
            "the label's probability over the successes. "
        )
    if any(len(group) == 1 for group in groups):
        text += f"Brackets: 95 % {interval_name(run.published for run in runs)}. "
    if any(len(group) > 1 for group in groups):
        text += "±: sample standard deviation over seeds. "
    if not all(run.measured_exactly for run in runs):
        text += "*: the published checkpoint was not attacked; the numbers are those of the nearest epoch before it. "
    if any(dagger(group) for group in groups):
        text += GUESSING_NOTE
    return text.strip() + "\n"


def _cost(groups: Sequence[Sequence[Run]], attacks: Sequence[str]) -> str:
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        for attack in attacks:
            results = [run.published["attacks"][attack] for run in group if attack in run.published["attacks"]]
            if results:
                keys = ("num_examples", "num_attacked", "queries", "seconds")
                values = [mean_of(results, key) for key in keys]
                counts = [NOTHING if math.isnan(value) else f"{value:.0f}" for value in values[:2]]
                decimals = [NOTHING if math.isnan(value) else f"{value:.1f}" for value in values[2:]]
                covered_texts = [covered[0] for result in results if (covered := texts_covered(result))]
                with_substitute = f"{statistics.mean(covered_texts):.0f}" if covered_texts else NOTHING
                rows.append([name, attack, *counts, with_substitute, *decimals, _train_seconds(group)])
    header = ["method", "attack", "N", "attacked", "with a substitute", "queries each", "attack seconds"]
    header.append("training seconds")
    if all(row[4] in (NOTHING, row[3]) for row in rows):
        header, rows = [*header[:4], *header[5:]], [[*row[:4], *row[5:]] for row in rows]
    return markdown_table(header, rows) if rows else ""


def _rate(result: dict[str, Any], key: str) -> str:
    count = result.get("num_examples" if key == "robust_accuracy" else "num_attacked")
    return percent(float(result.get(key, math.nan)), attack_interval(result, key), count)


def _count(result: dict[str, Any], key: str) -> str:
    return NOTHING if math.isnan(result.get(key, math.nan)) else f"{result[key]:.0f}"


def _decimal(result: dict[str, Any], key: str) -> str:
    return NOTHING if math.isnan(result.get(key, math.nan)) else f"{result[key]:.1f}"


def _train_seconds(group: Sequence[Run]) -> str:
    known = [float(seconds) for run in group if (seconds := (run.card.get("seconds") or {}).get("train")) is not None]
    return f"{statistics.mean(known):.1f}" if known else NOTHING
