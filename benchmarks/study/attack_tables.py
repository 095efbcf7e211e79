"""Tables of attacks on real data, of the identity with TextAttack and of speed, from committed results.

The docs show `compact` on the page of attacks, and `full` on a page of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.performance.throughput_tables import tables
from benchmarks.study.attack_cost_tables import in_models, shared
from benchmarks.study.paired import read
from benchmarks.study.stored import EXPERIMENTS
from hf_robust.attacks.static import static_name
from hf_robust.metrics import wilson_interval
from hf_robust.reports import markdown_table, percent

PAGE = "docs/generated/results/attacks.md"
TITLES = {"sst2": "SST-2", "trec": "TREC", "mrpc": "MRPC"}
FILE_TITLES = {"advglue": "AdvGLUE"}
ENCODED = ("textfooler", "textbugger")
"""Recipes that use a sentence encoder in their papers."""
NOTHING = "–"


@dataclass(frozen=True)
class AttackedModel:
    """A model that was attacked: the summary of `hf-robust attack`, and how the model was trained."""

    name: str
    summary: dict[str, Any]
    training: dict[str, Any]

    @property
    def title(self) -> str:
        """Title of the data set."""
        return TITLES[self.name]

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """Attack -> its numbers."""
        return {name: numbers(result) for name, result in self.summary["results"].items()}

    @property
    def recipes(self) -> dict[str, dict[str, Any]]:
        """Results on the test set, without those on files of adversarial texts."""
        return {name: result for name, result in self.results.items() if not self.is_file(name)}

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """Results on files of adversarial texts, by title of the collection."""
        titles = file_titles(self.name)
        return {titles.get(name, name): result for name, result in self.results.items() if self.is_file(name)}

    @property
    def union(self) -> dict[str, Any] | None:
        """Numbers of the worst case over all recipes; None if there was one recipe."""
        union: dict[str, Any] | None = self.summary["union"]
        return numbers(union) if union else None

    def is_file(self, attack: str) -> bool:
        """Whether an attack is a file of adversarial texts."""
        return bool(self.summary["attacks"][attack]["candidates"]["name"] == "file")


def numbers(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result with the entries of ``extra`` moved to its top level, and nan in place of null."""
    flat = {**result, **result.get("extra", {})}
    return {key: math.nan if value is None else value for key, value in flat.items()}


def file_titles(name: str) -> dict[str, str]:
    """Attack name -> title, for the collections of adversarial texts that the experiment names."""
    path = EXPERIMENTS / f"attacks_{name}.json"
    flags = read(path)["attack"]["attacks"] if path.is_file() else []
    files = [Path(flag.removeprefix("file:")) for flag in flags if flag.startswith("file:")]
    return {static_name("file", file): FILE_TITLES.get(file.parent.name, file.parent.name) for file in files}


def attacked_models(results: Path) -> list[AttackedModel]:
    """The attacked models, in the tables' order."""
    folders = {name: results / f"attacks_{name}" for name in TITLES}
    return [
        AttackedModel(name, read(folder / "attack_summary.json"), read(folder / "training.json"))
        for name, folder in folders.items()
        if (folder / "attack_summary.json").is_file()
    ]


def interval(result: Mapping[str, Any], key: str) -> str:
    """A rate in percent with its 95 % Wilson interval."""
    return percent(float(result[key]), (float(result[f"{key}_low"]), float(result[f"{key}_high"])))


def clean_accuracy(model: AttackedModel) -> str:
    """Accuracy before any attack on the examples that are handed to the attacks."""
    result = next(iter(model.recipes.values()))
    count = int(result["num_examples"])
    return percent(result["accuracy"], wilson_interval(round(result["accuracy"] * count), count))


# ---- the part for the page of attacks ----


def compact(results: Path) -> str:
    """ASR and robust accuracy of each recipe on each data set, a picture, and the limits."""
    models = attacked_models(results)
    parts = []
    if models:
        parts += [
            "### Recipes on real data",
            setting(models),
            rates(models).strip(),
            picture(models[0], "benchmarks/"),
        ]
        parts.append(f"[The page of results]({PAGE}) has queries, changed words and seconds. {limits(models)}")
    compared = identity(results)
    if compared:
        parts += ["### Identity with TextAttack", f"{agreement(compared)} [The table]({PAGE})."]
    return "".join(f"{part}\n\n" for part in parts).rstrip("\n") + "\n" * bool(parts)


def setting(models: Sequence[AttackedModel]) -> str:
    """Sentences on the models, their training and the numbers in the table."""
    trained = "; ".join(
        f"{model.title}: {model.training['data']['train_samples']:,} rows, "
        f"{model.training['training']['num_train_epochs']:g} epochs, "
        f"{model.summary['data']['eval_samples']:,} test examples, "
        f"{next(iter(model.recipes.values()))['num_attacked']:,.0f} of them attacked"
        for model in models
    )
    return (
        f"MiniLM (6 layers of 384), fine-tuned once on each data set ({trained}). In percent, with 95 % Wilson "
        "intervals. ASR is a share of the examples that are correct before the attack, robust accuracy a share of all."
    )


def rates(models: Sequence[AttackedModel]) -> str:
    """A row for each attack, two columns for each data set."""
    header = ["attack", *(f"{model.title}: {key}" for model in models for key in ("ASR", "robust accuracy"))]
    rows = [["none (clean text)", *(cell for model in models for cell in (NOTHING, clean_accuracy(model)))]]
    for attack in dict.fromkeys(name for model in models for name in model.recipes):
        rows.append([attack, *cells(model.recipes.get(attack) for model in models)])
    if any(model.union for model in models):
        worst = [interval(model.union, "robust_accuracy") if model.union else NOTHING for model in models]
        rows.append(["worst of all these", *(cell for value in worst for cell in (NOTHING, value))])
    for title in dict.fromkeys(title for model in models for title in model.files):
        rows.append([f"{title} (its own texts)", *cells((model.files.get(title) for model in models), asr=False)])
    return markdown_table(header, rows)


def cells(results: Iterator[dict[str, Any] | None], asr: bool = True) -> Iterator[str]:
    """ASR and robust accuracy of each result; a dash if it is missing."""
    for result in results:
        yield interval(result, "asr") if result and asr else NOTHING
        yield interval(result, "robust_accuracy") if result else NOTHING


def picture(model: AttackedModel, folder: str = "") -> str:
    """Markdown of a picture of ASR against the query budget."""
    return f"![{model.title}: ASR against the query budget]({folder}results/attacks_{model.name}/asr_by_budget.svg)"


def limits(models: Sequence[AttackedModel]) -> str:
    """What the rates do not show; whether an encoder was used is read from the results."""
    described = [model.summary["attacks"][name] for model in models for name in model.recipes if name in ENCODED]
    without = described and all(attack["similarity"] is None for attack in described)
    encoder = "No sentence encoder was used, so some attacked texts have another meaning. " if without else ""
    return (
        "Limits: `textfooler` and `textbugger` use a published table of counter-fitted neighbours with up to 8 "
        "synonyms for a word, where the paper of `textfooler` uses 50; more synonyms succeed more often. "
        f"{encoder}There is one seed and one small model for each data set: the intervals do not cover differences "
        "between models or seeds, and the rates are not those of the papers' models."
    )


# ---- the page ----


def full(results: Path) -> str:
    """All tables, one for each data set; empty if nothing was measured."""
    models, compared, timed = attacked_models(results), identity(results), throughput(results)
    parts = ["# Attacks on real data"]
    if models:
        parts.append(f"{setting(models)} {LEGEND}")
        for model in models:
            parts += [f"## {model.title}", table(model).strip(), picture(model)]
        parts.append(limits(models))
    if compared:
        parts += ["## Identity with TextAttack", agreement(compared), identity_table(compared).strip()]
    if timed:
        parts += ["## Throughput", timed.strip()]
    for title, shown in (("Time in models", in_models(results)), ("Shared answers", shared(results))):
        if shown:
            parts += [f"## {title}", shown.strip()]
    return "\n\n".join(parts) + "\n" if len(parts) > 2 else ""


LEGEND = (
    "Queries: mean over the attacked examples, including the query of the clean text. Changed words: mean share of "
    "the text's words, and mean number, over the successes. Seconds: of the whole attack, on a shared machine; they "
    "are no measure of speed. A file of adversarial texts has no clean texts: all its texts count as attacked, and "
    "robust accuracy is the accuracy on them."
)


def table(model: AttackedModel) -> str:
    """Table of one data set, with a row for each attack."""
    header = ["attack", "N", "attacked", "ASR", "robust accuracy", "queries", "changed words, %", "changed words"]
    rows = [
        [
            "none (clean text)",
            count(next(iter(model.recipes.values()))),
            *[NOTHING] * 2,
            clean_accuracy(model),
            *[NOTHING] * 4,
        ]
    ]
    rows += [row(name, result) for name, result in model.recipes.items()]
    if model.union:
        worst = interval(model.union, "robust_accuracy")
        label = f"worst of {', '.join(model.union['attacks'])}"
        rows.append([label, count(model.union), *[NOTHING] * 2, worst, *[NOTHING] * 4])
    rows += [row(title, result) for title, result in model.files.items()]
    return markdown_table([*header, "seconds"], rows)


def row(name: str, result: Mapping[str, Any]) -> list[str]:
    """The row of one attack."""
    attacked = f"{result['num_attacked']:.0f}"
    intervals = [interval(result, "asr"), interval(result, "robust_accuracy")]
    changed = [percent(float(result.get("changed_share", math.nan))), decimal(result.get("changed_words", math.nan))]
    return [
        name,
        count(result),
        attacked,
        *intervals,
        decimal(result["queries"]),
        *changed,
        decimal(result["seconds"]),
    ]


def count(result: Mapping[str, Any]) -> str:
    """Number of examples."""
    return f"{result['num_examples']:.0f}"


def decimal(value: float) -> str:
    """A number with one digit; a dash if it is undefined."""
    return f"{value:.1f}" if math.isfinite(value) else NOTHING


# ---- identity and speed ----


def identity(results: Path) -> list[dict[str, Any]]:
    """Comparisons by `benchmarks.performance.identity`, with the settings and TextAttack version of their file."""
    comparisons = []
    for path in sorted((results / "attack_identity").glob("*.json")):
        summary = read(path)
        shared = {"settings": summary["settings"], "textattack": summary["textattack"]}
        comparisons += [{**result, **shared} for result in summary["results"]]
    return comparisons


def agreement(compared: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on how many examples agree with TextAttack."""
    examples, noise, disagree = (
        sum(comparison[key] for comparison in compared) for key in ("examples", "noise", "disagrees")
    )
    recipes = len({comparison["recipe"] for comparison in compared})
    versions = ", ".join(sorted({str(comparison["textattack"]) for comparison in compared}))
    return (
        f"{recipes} recipes were compared with TextAttack {versions} on {examples:,} pairs of a recipe and an "
        "example, with the same victim and resources: status, final text and number of queries are the same on "
        f"{examples - noise - disagree:,}; {noise:,} differ by float noise alone, {disagree:,} disagree."
    )


def identity_table(compared: Sequence[Mapping[str, Any]]) -> str:
    """A row for each recipe and data set; numbers of queries are sums over all examples."""
    header = [
        "recipe",
        "data",
        "examples",
        "agree",
        "noise",
        "disagree",
        "queries, TextAttack",
        "queries here",
        "with",
    ]
    rows = []
    for comparison in compared:
        queries = [f"{comparison[key]:,}" for key in ("queries_a", "queries_b")]
        if not comparison.get("queries_compared", True):
            queries[1] += " (fewer by design)"
        counts = [str(comparison[key]) for key in ("examples", "agree", "noise", "disagrees")]
        rows.append([comparison["recipe"], comparison["data"], *counts, *queries, resources(comparison["settings"])])
    return markdown_table(header, rows)


def resources(settings: Mapping[str, Any]) -> str:
    """Settings of both sides that differ from the defaults."""
    keys = ("sentence_encoder", "masked_lm", "word_vectors", "language_model", "similar_characters", "query_budget")
    named = [f"{key.replace('_', ' ')} {settings[key]}" for key in keys if settings.get(key)]
    return ", ".join(named + ["TextAttack's own wrapper"] * bool(settings.get("stock"))) or NOTHING


def throughput(results: Path) -> str:
    """Tables of `benchmarks.performance.throughput`; empty if there is no result."""
    path = results / "attack_throughput.json"
    return tables(read(path)) if path.is_file() else ""
