"""Tables of measures beside the attacks, like FLAT's Table 3, TaiChi's Tables 4, 5 and 7, and GradMask's pie charts.

Each is empty if nothing of it was run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study import paper_numbers as paper
from benchmarks.study.checks import NORMAL
from benchmarks.study.embedding_tables import NOTHING, clean, over_seeds, result
from benchmarks.study.experiment import FIXED, OWN, TAU, TOP5, TextExperiment, consistency_of, measure_of
from benchmarks.study.measures import ATTACK, MASKING, PAIRS, TOP, TRANSITION
from benchmarks.study.paired import runs_of
from benchmarks.study.taichi_claims import ABLATIONS, averages
from benchmarks.study.text_claims import SLICES
from hf_robust.interpret import mean_with_interval
from hf_robust.reports import markdown_table, percent

PAIR_KEYS = ("mse_pos", "mse_neg", "kl_pos", "kl_neg", "ctr")
PAIR_COLUMNS = ("MSE(pos) ↓", "MSE(neg) ↑", "KL(pos) ↓", "KL(neg) ↑", "CTR ↓")
RECORDED = "The paper's own numbers, of larger models on its own samples:"


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Mean, and sample standard deviation if there are several seeds."""
    if not values:
        return NOTHING
    text = f"{statistics.mean(values):{form}}"
    return f"{text} ± {statistics.stdev(values):{form}}" if len(values) > 1 else text


def robust_cell(experiment: TextExperiment, method: str, attack: str) -> str:
    """Robust accuracy of a method under an attack."""
    return over_seeds([result(run, attack) for run in experiment.loaded(method)], "robust_accuracy")


def clean_cell(experiment: TextExperiment, method: str) -> str:
    """Clean accuracy of a method."""
    return clean(experiment.loaded(method))


# ---- FLAT, Table 3 ----


def interpretation(experiment: TextExperiment) -> str:
    """After-attack accuracy, tau, top-5 intersection and clean accuracy of each method with attributions."""
    rows = []
    for method in experiment.methods:
        runs = [run for run in runs_of(experiment.folder, method) if consistency_of(run, OWN)]
        if not runs:
            continue
        on_own_pairs = [agreement(runs, OWN, key) for key in (TAU, TOP5)]
        on_fixed_pairs = [agreement(runs, FIXED, key) for key in (TAU, TOP5)]
        pairs = " / ".join(f"{fewest_pairs(runs, where):,}" for where in (OWN, FIXED))
        changed = percent(statistics.mean(consistency_of(run, OWN)["changed_share"] for run in runs))
        cells = [
            robust_cell(experiment, method, ATTACK),
            *on_own_pairs,
            *on_fixed_pairs,
            clean_cell(experiment, method),
            changed,
            pairs,
        ]
        rows.append([method, str(len(runs)), *cells])
    if not rows:
        return ""
    header = ["method", "seeds", f"AA ({ATTACK})", "KT, own pairs", "TI-5, own pairs", "KT, normal's pairs"]
    header += ["TI-5, normal's pairs", "clean accuracy", "changed words", "pairs a seed"]
    return "\n\n".join(
        [LAYOUT_3, markdown_table(header, rows).strip(), completeness(experiment), paper_3(experiment)]
    ).strip()


LAYOUT_3 = (
    "Like FLAT's Table 3: after-attack accuracy (AA), Kendall's tau (KT) and top-5 intersection (TI-5) between the "
    "signed integrated gradients of a text and of its attacked form, for successful and failed attacks. Own pairs are "
    "of an attack on the model itself, so a more robust model has pairs with more changed words; normal's pairs are "
    "the same for all models of a seed. One seed: 95 % bootstrap interval over pairs; several seeds: mean ± standard "
    "deviation."
)


def agreement(runs: Sequence[Path], where: str, key: str) -> str:
    """Mean over seeds with their spread; for one seed with the interval over its pairs."""
    estimates = [mean_with_interval(list(consistency_of(run, where)[key].values())) for run in runs]
    if len(estimates) == 1:
        (only,) = estimates
        return f"{only.mean:.2f} [{only.low:.2f}, {only.high:.2f}]"
    return spread([estimate.mean for estimate in estimates])


def fewest_pairs(runs: Sequence[Path], where: str) -> int:
    """Smallest number of pairs of a run."""
    return min(int(consistency_of(run, where)["num_pairs"]) for run in runs)


def completeness(experiment: TextExperiment) -> str:
    """Share of pairs whose attributions add up to the change in the logit."""
    agreements = [
        consistency_of(run, OWN) for method in experiment.methods for run in runs_of(experiment.folder, method)
    ]
    known = [agreement["complete_share"] for agreement in agreements if agreement.get("complete_share") is not None]
    if not known:
        return ""
    least = percent(min(known))
    return f"The gradients add up to the change in the logit within 1 % for at least {least} % of each run's pairs."


def paper_3(experiment: TextExperiment) -> str:
    """The paper's numbers for this model and data set; empty if it has none."""
    published = paper.FLAT_3.get((experiment.model, experiment.data), {})
    rows = [
        [name, f"{aa:.2f}", f"{tau:.2f}", f"{top:.2f}", f"{accuracy:.2f}"]
        for name, (aa, tau, top, accuracy) in published.items()
    ]
    if not rows:
        return ""
    table = markdown_table(["method", "AA", "KT", "TI-5", "clean"], rows).strip()
    return f"{RECORDED} FLAT (Chen and Ji 2022), Table 3, {experiment.model.upper()}.\n\n{table}"


def curve(experiment: TextExperiment) -> str:
    """Top-k intersection for k = 1 to 10, on both sets of pairs."""
    rows = []
    for method in experiment.methods:
        runs = [run for run in runs_of(experiment.folder, method) if consistency_of(run, OWN)]
        for where, name in ((OWN, "own"), (FIXED, "normal's")) if runs else ():
            by_k = zip(*(consistency_of(run, where)["top_k"] for run in runs), strict=True)
            rows.append([method, name, *(f"{statistics.mean(values):.2f}" for values in by_k)])
    header = ["method", "pairs", *(f"TI-{k}" for k in range(1, 11))]
    text = f"Top-k intersection, mean over seeds (k = {TOP} is above):"
    return f"{text}\n\n{markdown_table(header, rows).strip()}" if rows else ""


# ---- TaiChi, Tables 4 and 7, Figure 5 ----


def label_conflict(experiment: TextExperiment) -> str:
    """Table of training on adversarial texts alone (TaiChi's Table 4)."""
    names = [name for name in (NORMAL, "base_adv", "base_adv_soft") if runs_of(experiment.folder, name)]
    if len(names) < 2:
        return ""
    published = paper.TAICHI_4 if experiment.data == "sst2" else {}
    rows = [
        [
            name,
            str(len(runs_of(experiment.folder, name))),
            clean_cell(experiment, name),
            f"{published[name]}" if published else NOTHING,
        ]
        for name in names
    ]
    text = (
        "Like TaiChi's Table 4: clean accuracy of training on adversarial texts alone, with one-hot and soft labels."
    )
    return f"{text}\n\n{markdown_table(['training', 'seeds', 'clean accuracy', 'paper (PWWS)'], rows).strip()}"


def pair_statistics(experiment: TextExperiment) -> str:
    """Table of distances between pairs (TaiChi's Table 7), with the paper's numbers."""
    reports_by_method = {name: measures_of(experiment, name, PAIRS) for name in experiment.methods}
    rows = []
    for name, reports in reports_by_method.items():
        if reports:
            cells = [spread([report[key] for report in reports], ".3f") for key in PAIR_KEYS]
            pairs = min(int(report["num_pairs"]) for report in reports)
            attacked = robust_cell(experiment, name, ATTACK)
            rows.append([name, str(len(reports)), *cells, clean_cell(experiment, name), attacked, f"{pairs:,}"])
    if not rows:
        return ""
    header = ["method", "seeds", *PAIR_COLUMNS, "clean accuracy", ATTACK, "pairs a seed"]
    parts = [LAYOUT_7, markdown_table(header, rows).strip()]
    if experiment.data == "sst2" and experiment.model == "bert":
        published = [
            [name, *(f"{value:g}" for value in values)]
            for name, values in paper.TAICHI_7.items()
            if name in (NORMAL, "taichi", *ABLATIONS)
        ]
        table = markdown_table(["method", *PAIR_COLUMNS, "clean", ATTACK], published).strip()
        parts.append(f"{RECORDED} TaiChi, Table 7, BERT-base.\n\n{table}")
    return "\n\n".join(parts)


LAYOUT_7 = (
    "Like TaiChi's Table 7: distances between mean-pooled states of a text and its adversarial form (pos), which "
    "succeeded against `normal` with the same seed, and of a text and one with another label (neg, mean over draws). "
    "CTR is the contrastive loss over all pairs as one batch; it depends on the number of pairs."
)


def measures_of(experiment: TextExperiment, method: str, kind: str) -> list[dict[str, Any]]:
    """A measure of each run of a method that has it."""
    return [report for run in runs_of(experiment.folder, method) if (report := measure_of(run, kind))]


def front(experiment: TextExperiment) -> str:
    """TaiChi and the linear averages of a clean and an adversarial model."""
    names = averages(experiment)
    if not names:
        return ""
    shown = [*names, *(name for name in ("taichi",) if runs_of(experiment.folder, name))]
    rows = [
        [
            name,
            str(len(runs_of(experiment.folder, name))),
            clean_cell(experiment, name),
            robust_cell(experiment, name, ATTACK),
        ]
        for name in shown
    ]
    text = "Like TaiChi's Figure 5: averages of weights; the number is the share of the clean model in percent."
    return f"{text}\n\n{markdown_table(['model', 'seeds', 'clean accuracy', ATTACK], rows).strip()}"


# ---- GradMask ----


def slices(experiment: TextExperiment) -> str:
    """Table of error transitions by slice (GradMask's pie charts)."""
    reports = measures_of(experiment, MASKING, TRANSITION)
    rows = [row for name in SLICES if (row := slice_row(name, reports))]
    if not rows:
        return ""
    header = ["slice", "texts", "seeds", "accuracy before", "accuracy after", "fixed", "introduced", "remaining"]
    header += ["fix rate", "introduction rate", "p by seed", "paper: fixed / introduced"]
    return f"{PIES}\n\n{markdown_table(header, rows).strip()}"


PIES = (
    "GradMask's slices: errors on clean texts that `gradient_mask` fixed, introduced and left, as shares of the texts "
    "that either model gets wrong (the paper's pie charts). The fix rate is of the errors of `normal`, the "
    "introduction rate of its correct texts. p: McNemar's exact test. The paper's numbers are leaked: its masked "
    "training texts are of the split that it measures on."
)


def slice_row(name: str, reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """The row of one slice; empty if no run has texts of it."""
    rows = [report[name] for report in reports if report[name]["num_examples"]]
    if not rows:
        return []

    def share(key: str) -> str:
        return percents(row[key] for row in rows)

    published = paper.GRADMASK_SLICES.get(name)
    doubtful = " (doubtful)" if any(row["doubtful"] for row in rows) else ""
    cells = [f"{name}{doubtful}", f"{rows[0]['num_examples']:,}", str(len(rows))]
    cells += [share("baseline_accuracy"), share("new_accuracy")]
    cells += [share(f"{part}_of_union") for part in ("fixed", "introduced", "remaining")]
    cells += [share("fix_rate"), share("introduction_rate"), ", ".join(f"{row['mcnemar_p']:.2g}" for row in rows)]
    return [*cells, f"{published[0]} / {published[1]}" if published else NOTHING]


def percents(values: Iterable[float | None]) -> str:
    """Mean and spread of shares, in percent."""
    known = [100 * value for value in values if value is not None and math.isfinite(value)]
    return spread(known, ".1f")


BLOCKS: tuple[Callable[[TextExperiment], str], ...] = (
    interpretation,
    curve,
    label_conflict,
    pair_statistics,
    front,
    slices,
)
"""All tables, in the order of the page."""
