"""Tables of methods and attacks: ideas from docstrings, papers from citations, costs from a result."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from hf_robust.attacks import ATTACKS, goal_of
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.hub.citations import ATTACK_CITATIONS, citation
from hf_robust.reports import markdown_table
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.adversary_arguments import StepArguments
from hf_robust.training.step_passes import Passes
from hf_robust.wiring.flag_help import idea

COST = "cost_minilm"
"""The result whose numbers the table shows; others lie beside it."""
NOTHING = "–"
ABSENT = "-"


def methods() -> str:
    """README's table: a row for each method, by family."""
    rows = [
        [f"`{name}`", family, idea(METHODS[name]), paper(METHODS[name])]
        for family, names in METHODS.families.items()
        for name in names
    ]
    return markdown_table(["method", "family", "what it does", "paper"], rows)


def attacks() -> str:
    """README's table: a row for each attack."""
    rows = [[f"`{name}`", attack_kind(name), attack_idea(name), cited(ATTACK_CITATIONS[name][0])] for name in ATTACKS]
    return markdown_table(["attack", "kind", "what it does", "paper"], rows)


def attack_idea(name: str) -> str:
    """What the first line of an attack's file says after its name."""
    first = (sys.modules[ATTACKS[name].__module__].__doc__ or "").strip().split("\n")[0]
    return first.removeprefix(f"The {name} attack: ").rstrip(".")


def attack_kind(name: str) -> str:
    """Whether an attack keeps the meaning and changes the prediction (fickle), or the other way round (obstinate)."""
    return "fickle" if goal_of(name) is Misclassify else "obstinate"


def read_cost(results: Path) -> dict[str, Any]:
    """The measured costs; empty where there are none."""
    path = results / f"{COST}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def paper(method: type[RobustTrainer]) -> str:
    """Authors and year of the method's citation, linked to its page."""
    return cited(method.citation) if method.citation else NOTHING


def cited(key: str) -> str:
    """Authors and year of a citation, linked to its page."""
    entry = citation(key)
    fields = dict(re.findall(r"^\s*(author|year|url) = \{(.*)\},$", entry, flags=re.MULTILINE))
    names = [author.split(",")[0] for author in fields["author"].split(" and ")]
    known = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
    return f"[{known.replace(' and others', ' et al.')} {fields['year']}]({fields['url']})"


def costs(method: type[RobustTrainer], cost: dict[str, Any]) -> tuple[str, str]:
    """Passes of a step, and its seconds relative to ``normal`` with their range; `ABSENT` where it was not timed."""
    row = cost.get("methods", {}).get(method.name)
    usual = cost["setting"]["adv_steps"] if cost else StepArguments.adv_steps
    steps = usual if row is None else row["options"].get("adv_steps", usual)
    passes = "{} / {}".format(*step_passes(method, steps)) + ("" if steps == usual else f" (k = {steps})")
    if row is None:
        return passes, ABSENT
    relative = row["relative"]
    return passes, f"{relative['median']:.2f} [{relative['low']:.2f}, {relative['high']:.2f}]"


def step_passes(method: type[RobustTrainer], steps: int) -> Passes:
    """Passes of a step of a method at its defaults, with ``steps`` ascent steps if it has them."""
    options = {"adv_steps": steps} if "adv_steps" in method.config.__dataclass_fields__ else {}
    args = method.config(output_dir="out", robust_method=method.name, report_to="none", use_cpu=True, **options)
    return method.step_passes(args)


def measured_on(cost: dict[str, Any]) -> str:
    """How the costs were measured, in sentences."""
    model, setting, machine = cost["model"], cost["setting"], cost["machine"]
    threads = machine["threads"]
    where = machine.get("gpu") or f"{threads} CPU thread{'s' * (threads != 1)}"
    clock = "processor" if cost["clock"] == "cpu_seconds" else "wall-clock"
    views = (
        f" Of methods that train on texts made beforehand, a step of a batch of which {setting['view_share']:.0%} has "
        "such a text, whose passes count too; what making them costs is not in it."
        if "view_share" in setting
        else ""
    )
    return (
        f"Passes are counted for k = {setting['adv_steps']} ascent steps; a backward is one forward's graph, whether "
        f"it reaches the parameters or the word embeddings alone. Cost: {clock} seconds relative to `normal`, median "
        f"and range of {setting['rounds']} rounds, {model['name']} ({model['layers']} layers of {model['width']}), "
        f"batches of {setting['batch_size']} texts of {setting['tokens_in_a_text']:.0f} tokens, {where}.{views}"
    )
