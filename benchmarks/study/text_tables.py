"""Tables of the methods that train on other texts and of the claims about them, from committed results.

The docs show `compact` on the page that helps to choose a method, and `full` on a page of its own. A setting or a seed
without a run is left out, and each mean has its number of seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.study import paper_numbers as paper
from benchmarks.study.embedding_tables import NOTHING, clean, normal_table, over_seeds, result, union
from benchmarks.study.experiment import TITLES, TextExperiment, text_experiments
from benchmarks.study.measures import ATTACK
from benchmarks.study.paired import FAILS, HOLDS, OPEN, read, runs_of
from benchmarks.study.stored import EXPERIMENTS
from benchmarks.study.text_claims import CLAIMS, FILE, NOT_RUN
from benchmarks.study.text_measured_tables import BLOCKS, RECORDED
from hf_robust.reports import markdown_table, union_label

PAGE = "docs/generated/results/texts.md"
STUDY = "../docs/generated/results/study.md"
REMARKS = Path(__file__).parent / "text_remarks.json"
"""Optional remarks written by hand, by experiment and claim."""
HEADING = "Methods that train on other texts"
NOTHING_YET = (
    "Nothing was run yet. `python -m benchmarks.study.run benchmarks/experiments/text_*.json` runs the experiments."
)
VERDICTS = (HOLDS, FAILS, OPEN)


def compact(results: Path, files: Path = EXPERIMENTS) -> str:
    """Rates of each method on the first data set, and the number of checks of each claim that hold."""
    experiments, claims = experiments_with_runs(results, files), claims_of(results)
    parts = [f"### {HEADING}"]
    if not experiments:
        return "\n\n".join([*parts, NOTHING_YET]) + "\n"
    first = experiments[0]
    parts += [f"**{title(first.name)}.** {setting(first)}", rates(first).strip(), legend(experiments[:1])]
    if claims:
        parts += ["Claims of A2T, TaiChi, FLAT and GradMask, with the number of checks of each that hold here:"]
        parts.append(verdict_table(claims).strip())
    text = f"[Their page]({PAGE}) has every check with its interval and reason, interpretation, and pair statistics."
    return "\n\n".join([*parts, f"{text} {CAVEAT}"]) + "\n"


def full(results: Path, files: Path = EXPERIMENTS, remarks: Path = REMARKS) -> str:
    """All tables; empty if nothing was run."""
    experiments, claims = experiments_with_runs(results, files), claims_of(results)
    if not experiments:
        return ""
    remarks_by_experiment: dict[str, dict[str, str]] = read(remarks) if remarks.is_file() else {}
    parts = [
        f"# {HEADING}",
        verdict_table(claims).strip(),
    ]
    for experiment in experiments:
        rows = claims.get(experiment.name, {})
        parts += [
            f"## {title(experiment.name)}",
            setting(experiment),
            rates(experiment),
            legend([experiment]),
            paper_5(experiment),
        ]
        parts += [block(experiment) for block in BLOCKS]
        if rows.get("claims"):
            parts += ["### Claims", claims_table(rows["claims"])]
        parts += [
            f"*{number}*, a remark by hand: {text}"
            for number, text in remarks_by_experiment.get(experiment.name, {}).items()
        ]
        if rows.get("against_normal"):
            parts += ["Every setting minus `normal`, in points:", normal_table(experiment, rows["against_normal"])]
        parts.append(settings_table(experiment))
    waiting = claims.get(NOT_RUN, {}).get("claims", [])
    if waiting:
        lines = [f"- {row['claim']} needs {row['text']}." for row in waiting]
        parts += ["## Not run", "\n".join(lines)]
    parts += ["## What they do not show", limits()]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def experiments_with_runs(results: Path, files: Path) -> list[TextExperiment]:
    """Experiments with a finished run, in the tables' order."""
    return [experiment for experiment in text_experiments(results, files) if experiment.methods]


def claims_of(results: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The checks that `benchmarks.study.text_claims` wrote; empty if it was not run."""
    path = results / FILE
    claims: dict[str, dict[str, list[dict[str, Any]]]] = read(path) if path.is_file() else {}
    return claims


def title(name: str) -> str:
    """Title of an experiment."""
    return TITLES.get(name, name)


# ---- rates ----

KNOWN = (
    "; counter-fitted neighbours as synonyms, no sentence encoder. Methods with adversarial training texts train on "
    f"those of `{ATTACK}` (`a2t` on those of its own attack), so they know this attack and not the others."
)


def setting(experiment: TextExperiment) -> str:
    """Sentence on the data, epochs and attacks of an experiment, read from one of its runs."""
    run = experiment.loaded(experiment.methods[0])[0]
    data, line = run.data, run.published
    handed = {f"{rates['num_examples']:,.0f}" for rates in line["attacks"].values()}
    attacked = f", {' or '.join(sorted(handed))} of them handed to each attack" if handed else ""
    return (
        f"{data['train_samples']:,} training rows, {line['epoch']:g} epochs, accuracy on {data['eval_samples']:,} "
        f"rows{attacked}{KNOWN if ATTACK in experiment.attacks else '.'}"
    )


def rates(experiment: TextExperiment) -> str:
    """One row for each setting, as TaiChi's Table 5: clean accuracy, then robust accuracy under each attack."""
    runs = {method: experiment.loaded(method) for method in experiment.methods}
    unions = sorted(
        {union_label(run.published["union"]) for group in runs.values() for run in group if "union" in run.published}
    )
    rows = []
    for method, group in runs.items():
        guessing = " (near chance)" if experiment.near_chance(method) else ""
        row = [f"{method}{guessing}", str(len(group)), clean(group)]
        row += [over_seeds([result(run, name) for run in group], "robust_accuracy") for name in experiment.attacks]
        row += [over_seeds([union(run, label) for run in group], "robust_accuracy") for label in unions]
        rows.append(row)
    return markdown_table(["method", "seeds", "clean accuracy", *experiment.attacks, *unions], rows)


def legend(experiments: Iterable[TextExperiment]) -> str:
    """Sentences on the columns of the table of rates."""
    several = any(
        len(runs_of(experiment.folder, method)) > 1 for experiment in experiments for method in experiment.methods
    )
    spread = " ±: sample standard deviation over seeds." if several else ""
    return (
        "In percent. The columns of attacks are robust accuracy: the share of all examples that are correct before "
        f"and after the attack. In brackets, for one seed: 95 % Wilson interval.{spread}"
    )


def paper_5(experiment: TextExperiment) -> str:
    """The paper's numbers for this data set; empty if it has none."""
    published = paper.TAICHI_5.get(experiment.data, {}) if experiment.model == "bert" else {}
    if not published:
        return ""
    rows = [[name, *(f"{value:.1f}" for value in values)] for name, values in published.items()]
    table = markdown_table(["method", "clean", *paper.TAICHI_ATTACKS], rows).strip()
    source = "TaiChi, Table 5, BERT-base; `ada` and `taichi` are trained for each attack that they are tested with."
    return f"{RECORDED} {source}\n\n{table}"


def settings_table(experiment: TextExperiment) -> str:
    """Flags of each setting that differ from the defaults."""
    rows = []
    for name in experiment.methods:
        chosen = dict(experiment.spec.get("settings", {}).get(name, {"robust_method": name}))
        method = chosen.pop("robust_method")
        flags = {**experiment.spec.get("method_args", {}).get(method, {}), **chosen}
        shown = ", ".join(f"{flag} {'normal' if '{' in str(value) else value}" for flag, value in flags.items())
        rows.append([name, method, shown or NOTHING])
    return "Settings that differ from the defaults:\n\n" + markdown_table(["setting", "method", "flags"], rows)


# ---- claims ----


def verdict_table(claims: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """Number of checks by claim, experiment and verdict."""
    rows = []
    for number in CLAIMS:
        for name, of_experiment in claims.items():
            verdicts = Counter(row["verdict"] for row in of_experiment["claims"] if row["claim"] == number)
            if not verdicts:
                continue
            where = NOTHING if name == NOT_RUN else title(name)
            other = sum(verdicts.values()) - sum(verdicts[verdict] for verdict in VERDICTS)
            rest = (NOT_RUN if name == NOT_RUN else f"{other} void") if other else NOTHING
            rows.append([number, ABOUT[number], where, *(str(verdicts[verdict]) for verdict in VERDICTS), rest])
    return markdown_table(["claim", "about", "where", *VERDICTS, "other"], rows)


ABOUT = {
    "C3": "A2T lowers the synonym rate and leaves the antonym rate",
    "C8": "adversarial texts with hard labels cost clean accuracy, soft ones less",
    "C9": "TaiChi is the most robust in each column, at most 1.5 of clean accuracy lost",
    "C10": "each of TaiChi's parts adds robustness",
    "C11": "the lower KL(pos), the more robust",
    "C12": "TaiChi beats linear averaging",
    "C13": "FLAT has the highest AA, KT and TI",
    "C14": "FLAT transfers to attacks that it has not seen",
    "C15": "without either of its terms FLAT loses its gain",
    "C21": "masked texts are hard, and training on them fixes more than it breaks",
}


def claims_table(rows: Iterable[dict[str, Any]]) -> str:
    """Table of checks."""
    header = ["claim", "here", "measured", "verdict", "by seed", "N", "paper", "why"]
    return markdown_table(header, [claim_row(row) for row in rows])


def claim_row(row: dict[str, Any]) -> list[str]:
    """The row of one check."""
    form = ".1f" if row["unit"] == "points" else ".2f"
    seeds = ", ".join(f"{value:+{form}}" for value in row["by_seed"]) or NOTHING
    inside = "" if row["low"] is None else f" [{row['low']:{form}}, {row['high']:{form}}]"
    published = NOTHING if row["paper"] is None else f"{row['paper']:+{form}}"
    value = f"{row['value']:{form}}{inside}" + ("" if row["unit"] == "points" else f" {row['unit']}")
    return [row["claim"], row["text"], value, row["verdict"], seeds, f"{row['examples']:,}", published, row["why"]]


CAVEAT = (
    "Verdicts are corrected over all checks of a claim. The models are small and briefly trained, and settings were "
    "not tuned for each method, so the tables do not rank the methods."
)


def limits() -> str:
    """Sentences on what the tables do not show."""
    return (
        "Differences are in points; a point of KT and TI is 0.01. Intervals are 95 % bootstrap intervals over the "
        "same examples (for own pairs over pairs that differ between methods, for clean accuracies those of "
        "paired answers, for slices McNemar's). Those of checks cover the spread between seeds too, and their "
        "verdicts are corrected for the number of checks of a claim; those of differences from `normal` are neither, "
        "so that of twenty without any difference one is expected to be decided. [The page of claims]"
        f"({STUDY}) says how verdicts are reached and when a check is void. The papers' "
        "numbers are of BERT-base, ELECTRA-small or models with larger vectors, on their own samples; compare sizes "
        "and signs. The models here are small and briefly trained, settings were not tuned for each method, and the "
        "attacks have no sentence encoder: the tables do not rank the methods, and a text that an attack changed may "
        "mean something else."
    )
