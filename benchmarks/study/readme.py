"""README.md's table of methods and list of attacks; the docs also show the costs of methods.

    python -m benchmarks.study.readme [--check]

Ideas come from docstrings, papers from citations, and costs from a result of `benchmarks.performance.cost`. Each
stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``. ``--check`` writes nothing and fails if one differs
from the code.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks.study.stored import ROOT
from hf_robust.attacks import ATTACKS, goal_of
from hf_robust.hub.citations import ATTACK_CITATIONS, citation
from hf_robust.reports import markdown_table
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.adversary_arguments import StepArguments
from hf_robust.training.step_passes import Passes, passes_of
from hf_robust.wiring.flag_help import idea

README = ROOT / "README.md"
COST = "cost_minilm"
"""The result whose numbers the docs show."""
TRAININGS = "cost_trainings"
"""The result of whole trainings with texts made beforehand."""
NOTHING = "–"
ABSENT = "-"


def methods_table() -> str:
    """README's table: a row for each method, by family."""
    rows = [
        [f"`{name}`", family, idea(METHODS[name]), paper_link(METHODS[name])]
        for family, names in METHODS.families.items()
        for name in names
    ]
    return markdown_table(["method", "family", "what it does", "paper"], rows)


def attacks_list() -> str:
    """README's list: the attacks of each kind, each with a link to its paper."""
    kinds = {kind: [name for name in ATTACKS if attack_kind(name) == kind] for kind in ("fickle", "obstinate")}
    return "".join(
        f"- {kind}: " + ", ".join(f"[`{name}`]({link_of(ATTACK_CITATIONS[name][0])})" for name in names) + "\n"
        for kind, names in kinds.items()
    )


def attack_idea(name: str) -> str:
    """Idea of an attack: the line of its file's docstring that begins with its name."""
    start, lines = f"The {name} attack: ", (sys.modules[ATTACKS[name].__module__].__doc__ or "").strip().split("\n")
    return next(line for line in lines if line.startswith(start)).removeprefix(start).rstrip(".")


def attack_kind(name: str) -> str:
    """``fickle``: keeps the meaning and changes the prediction; ``obstinate``: the other way round."""
    return "obstinate" if goal_of(name).keeps_prediction else "fickle"


def read_cost(results: Path) -> dict[str, Any]:
    """Measured costs; empty if there are none."""
    path = results / f"{COST}.json"
    costs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return costs


def read_trainings(results: Path) -> dict[str, Any]:
    """Counted costs of whole trainings with texts made beforehand; empty if there are none."""
    path = results / f"{TRAININGS}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def training_costs(method: type[RobustTrainer], trainings: dict[str, Any]) -> tuple[str, str, str]:
    """Cost of the victim, of making the texts, and of the whole training, in trainings of ``normal``."""
    row = trainings.get("methods", {}).get(method.name)
    if row is None:
        return ABSENT, ABSENT, ABSENT
    victim, texts, whole = (f"{row[key]:.1f}" if row[key] else NOTHING for key in ("victim", "texts", "all"))
    return victim, texts, whole


def training_setting(trainings: dict[str, Any]) -> str:
    """How the costs of whole trainings were counted, in sentences."""
    setting = trainings["setting"]
    return (
        f"Victim, texts and whole training: counted passes, in trainings of `normal`, on {setting['rows']} rows of "
        f"{setting['data']} for {setting['epochs']} epochs ({setting['model']}, the defaults of each method, "
        f"{setting['lexicon']}); a backward pass counts as two forward passes. With more epochs a victim and texts "
        "that are made once weigh less."
    )


def paper_link(method: type[RobustTrainer]) -> str:
    """Authors and year of a method's paper, as a link."""
    return citation_link(method.citation) if method.citation else NOTHING


def citation_link(key: str) -> str:
    """Authors and year of a citation, as a link."""
    fields = _fields(key)
    names = [author.split(",")[0] for author in fields["author"].split(" and ")]
    known = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
    return f"[{known.replace(' and others', ' et al.')} {fields['year']}]({fields['url']})"


def link_of(key: str) -> str:
    """Address of a citation."""
    return _fields(key)["url"]


def _fields(key: str) -> dict[str, str]:
    return dict(re.findall(r"^\s*(author|year|url) = \{(.*)\},$", citation(key), flags=re.MULTILINE))


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
    return passes_of(method, **options)


def cost_setting(cost: dict[str, Any]) -> str:
    """How the costs were measured, in sentences."""
    model, setting, machine = cost["model"], cost["setting"], cost["machine"]
    threads = machine["threads"]
    where = machine.get("gpu") or f"{threads} CPU thread{'s' * (threads != 1)}"
    clock = "processor" if cost["clock"] == "cpu_seconds" else "wall-clock"
    views = (
        f" For methods that train on texts made beforehand, {setting['view_share']:.0%} of a batch has such a text, "
        "whose passes count too; the cost of making the texts is not included."
        if "view_share" in setting
        else ""
    )
    return (
        f"Passes are counted for k = {setting['adv_steps']} ascent steps; a backward is the graph of one forward, "
        f"back to the parameters or to the word embeddings alone. Cost: {clock} seconds relative to `normal`, median "
        f"and range of {setting['rounds']} rounds, {model['name']} ({model['layers']} layers of {model['width']}), "
        f"batches of {setting['batch_size']} texts of {setting['tokens_in_a_text']:.0f} tokens, {where}.{views}"
    )


def filled(text: str) -> str:
    """README's text with the table of methods and the list of attacks made anew."""
    for name, made in {"methods": methods_table, "attacks": attacks_list}.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text = re.sub(pattern, lambda match, made=made: match[1] + made() + match[2], text, flags=re.DOTALL)
    return text


def write() -> None:
    """Write both into README.md."""
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"The methods and attacks are written into {README.name}.")


def main() -> None:
    if "--check" not in sys.argv:
        return write()
    text = README.read_text(encoding="utf-8")
    if filled(text) != text:
        sys.exit("README.md differs from the code; run python -m benchmarks.study.readme")


if __name__ == "__main__":
    main()
