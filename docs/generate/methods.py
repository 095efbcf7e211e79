"""A page for each training method, made from its class, its presets and the committed results."""

from __future__ import annotations

import inspect
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from transformers import HfArgumentParser

from benchmarks.study import balanced_page, embedding_tables, readme, text_tables
from benchmarks.study.stored import EXPERIMENTS, RESULTS
from docs.generate.text import NOTHING, ROOT, flags_of, flags_table, paragraphs, prose, rst_block, sentence
from hf_robust.reports import markdown_table
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.arguments import LEXICON_FLAGS, as_flags
from hf_robust.training.follow import FollowArguments
from hf_robust.training.view_arguments import GenerationArguments
from hf_robust.wiring.flag_help import idea
from hf_robust.wiring.flag_help import own_flags as fields_of
from hf_robust.wiring.parsing import sections_of

EXAMPLES = ROOT / "examples"


def table() -> str:
    """Tables of all methods by family, with the cost of a step and links to their pages."""
    parts = []
    for family, names in METHODS.families.items():
        rows = [
            [f"[`{name}`](generated/methods/{name}.md)", idea(METHODS[name]), readme.paper_link(METHODS[name])]
            + [
                *step_costs(name),
                *(readme.training_costs(METHODS[name], _trainings()) if _has_training_costs(name) else ()),
            ]
            for name in names
        ]
        header = ["method", "idea", "paper", "forwards / backwards a step", "cost of a step"]
        header += ["victim", "texts", "whole training"] if any(map(_has_training_costs, names)) else []
        parts += [f"### {family.capitalize()}", markdown_table(header, rows)]
    settings = [readme.cost_setting(_cost()), *([readme.training_setting(_trainings())] if _trainings() else [])]
    return "\n\n".join([*parts, *settings]) + "\n"


def page(method: type[RobustTrainer]) -> str:
    """What a method computes, how it differs from its paper, its flags, presets, cost and results."""
    description, differs, follow = _split(inspect.getdoc(method) or "")
    parts = [f"# {method.name}", f"*{sentence(idea(method))}* {_paper(method)}", _how_to_run(method)]
    parts += ["## What it computes", rst_block("\n\n".join(description))]
    if differs:
        parts += ["## What differs from the paper", rst_block("\n\n".join(differs))]
    if issubclass(method.config, FollowArguments):
        parts += ["## The released code's reading", f"`--follow code` is {prose(method.config.code_reading)}."]
        parts += [rst_block("\n\n".join(follow))] if follow else []
    parts += ["## Flags", _flags(method), *_as_plain(method), "## Published settings", *_presets(method)]
    parts += ["## Cost", _cost_sentence(method), "## Measured here", *measured_sections(method.name)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _split(docstring: str) -> tuple[list[str], list[str], list[str]]:
    """Paragraphs on the method, on its differences from the paper, and on the reading of its released code."""
    description: list[str] = []
    differs: list[str] = []
    follow: list[str] = []
    for part in paragraphs(docstring):
        match = re.search(r"(^|(?<=\.\s))Differs ", part)
        if match and ".. math::" not in part:
            differs.append(part[match.start() :])
            part = part[: match.start()].strip()
        if part:
            (follow if part.startswith("``--follow") else description).append(part)
    return description, differs, follow


def _paper(method: type[RobustTrainer]) -> str:
    return f"Paper: {{cite:t}}`{method.citation}`." if method.citation else ""


def _how_to_run(method: type[RobustTrainer]) -> str:
    tables = "".join(f" --{LEXICON_FLAGS[need]} wordnet" for need in method.needs if need in LEXICON_FLAGS)
    tasks = [_settings(EXAMPLES / file)["task_name"] for file in method.presets]
    task = tasks[0] if tasks else "sst2"
    return (
        f"```text\npython run_glue_robust.py --model_name_or_path bert-base-uncased --task_name {task} --do_train "
        f"--do_eval \\\n    --output_dir out --robust_method {method.name}{tables}\n```"
    )


def method_flags(method: type[RobustTrainer]) -> list[str]:
    """The tables that a method needs and the fields that it has beside those of every method."""
    needed = [LEXICON_FLAGS[need] for need in method.needs if need in LEXICON_FLAGS]
    return [*needed, *fields_of(method)]


def _flags(method: type[RobustTrainer]) -> str:
    names = method_flags(method)
    if not names:
        return "It has no flags of its own."
    parser = HfArgumentParser(tuple(sections_of(method).values()), allow_abbrev=False)
    command = f"`python run_glue_robust.py --robust_method {method.name} --help`"
    note = f"{command} prints the same. Flags of the script, of training and of attacks: "
    return f"{flags_table(flags_of(parser, names))}\n{note}[Command line](../../command_line.md)."


def _as_plain(method: type[RobustTrainer]) -> list[str]:
    """The flags that make plain fine-tuning of a method, and a plain model of its predictions."""
    parts = []
    if method.zero_strength:
        parts.append(f"With `{as_flags(method.zero_strength)}` it trains as `normal` does, bit for bit.")
    if method.plain_inference:
        parts.append(f"With `{as_flags(method.plain_inference)}` it predicts as the plain model does.")
    return [" ".join(parts)] if parts else []


def _presets(method: type[RobustTrainer]) -> list[str]:
    """The presets of a method: the paper's settings, and those of its released code and of other models."""
    presets = [_preset(EXAMPLES / file) for file in method.presets]
    return presets or ["It has no preset: its settings are those of plain fine-tuning."]


def _settings(preset: Path) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(preset.read_text(encoding="utf-8"))
    return settings


def _preset(path: Path) -> str:
    settings, file = _settings(path), path.name
    sources = settings.get("_sources", {})
    rows = [
        [f"`--{key}`", f"`{_value(value)}`", prose(sources.get(key, NOTHING))]
        for key, value in settings.items()
        if key[0] != "_"
    ]
    budget = f" The settings are meant for {settings['_budget']}." if "_budget" in settings else ""
    return (
        f"`python run_glue_robust.py examples/{file}` ([file](../../../examples/{file})).{budget}\n\n"
        + markdown_table(["flag", "value", "source"], rows)
    )


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


@cache
def _cost() -> dict[str, Any]:
    return readme.read_cost(RESULTS)


@cache
def _trainings() -> dict[str, Any]:
    return readme.read_trainings(RESULTS)


def _has_training_costs(name: str) -> bool:
    """Whether the table has the cost of whole trainings of this method: it makes texts, and some were counted."""
    return bool(_trainings()) and issubclass(METHODS[name].config, GenerationArguments)


def step_costs(name: str) -> tuple[str, str]:
    """Passes of a step of a method, and its seconds relative to ``normal``."""
    return readme.costs(METHODS[name], _cost())


def _cost_sentence(method: type[RobustTrainer]) -> str:
    passes, relative = step_costs(method.name)
    if relative == readme.ABSENT:
        step = (
            f"{passes} forward and backward passes a step, where every text has its views. A step of this method was "
            "not timed yet. Making its texts before training costs extra."
        )
    else:
        step = (
            f"{passes} forward and backward passes a step; a step takes {relative} times one of `normal`. "
            f"{readme.cost_setting(_cost())}"
        )
    victim, texts, whole = readme.training_costs(method, _trainings())
    if whole == readme.ABSENT:
        return step
    return (
        f"{step}\n\nA whole training costs {whole} of `normal`: victim {victim}, making the texts {texts}, and the "
        f"steps. {readme.training_setting(_trainings())}"
    )


# ---- measured results ----


def measured_sections(name: str) -> list[str]:
    """For each experiment with runs of a method: its row and that of ``normal``."""
    parts = []
    for title, setting, table, where in _experiments():
        rows = rows_of(table, {"normal", name})
        if any(_row_name(row) == name for row in rows[2:]):
            parts.append(f"**{title}.** {setting} [The whole table](../results/{where}.md).\n\n" + "\n".join(rows))
    if not parts:
        return ["The committed results have no run of this method yet."]
    return [*parts, "[Evaluating honestly](../../evaluating.md) says what such numbers do not show."]


@cache
def _experiments() -> list[tuple[str, str, str, str]]:
    """Title, setting, table of rates, and page of each experiment."""
    experiments = [
        (balanced_page.TITLES[name], balanced_page.setting(runs[0]), balanced_page.table_of(name, runs), "balanced")
        for name in balanced_page.TITLES
        if (runs := balanced_page.runs_of_methods(RESULTS / name))
    ]
    for embedding in embedding_tables.experiments_with_runs(RESULTS, EXPERIMENTS):
        title = embedding_tables.TITLES[embedding.name]
        experiments.append(
            (title, embedding_tables.setting(embedding), embedding_tables.rates(embedding), "embedding")
        )
    for text in text_tables.experiments_with_runs(RESULTS, EXPERIMENTS):
        experiments.append((text_tables.title(text.name), text_tables.setting(text), text_tables.rates(text), "texts"))
    return experiments


def rows_of(table: str, names: set[str]) -> list[str]:
    """Header of the first table in a text, and its rows for the named methods."""
    lines = table.strip().splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith("| ")), len(lines))
    first = lines[start:]
    end = next((index for index, line in enumerate(first) if not line.startswith("|")), len(first))
    return [*first[:2], *(row for row in first[2:end] if _row_name(row) in names)]


def _row_name(row: str) -> str:
    """Method of a table row, without a mark behind its name."""
    cell = row.split("|")[1].strip().strip("`†* ")
    return cell.split(" ")[0].rstrip("†")
