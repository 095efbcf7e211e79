"""The generated pages say what the code says: each method, attack and command with its flags. Needs ``.[docs]``."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="pip install -c constraints.txt -e '.[docs]'")

from docs.generate import attacks, commands, methods
from docs.generate.formulas import mathml
from hf_robust.attacks import ATTACKS
from hf_robust.cli.main import COMMANDS
from hf_robust.trainers import METHODS

DOCS = Path(__file__).parents[2] / "docs"
HEADS = {"Args", "Raises", "Returns", "Attributes", "Differs"}
"""Words that begin a section of a docstring; the page has its own head for each."""


def words(text: str | None) -> set[str]:
    return set(re.findall(r"\w+", text or ""))


@pytest.fixture
def without_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading all results takes seconds; the build reads them."""
    monkeypatch.setattr(methods, "measured_sections", lambda name: ["..."])


@pytest.mark.usefixtures("without_results")
def test_the_page_of_a_method_has_its_flags_and_all_of_its_docstring() -> None:
    for name, method in METHODS.items():
        page = methods.page(method)
        assert page.startswith(f"# {name}\n")
        for flag in methods.method_flags(method):
            assert f"`--{flag}" in page, f"{name}: --{flag}"
        assert (
            name == "normal" or f"{{cite:t}}`{method.citation}`" in page and "## What differs from the paper" in page
        )
        assert words(inspect.getdoc(method)) - words(page) <= HEADS, name


def test_every_formula_can_be_drawn() -> None:
    for name, method in METHODS.items():
        (formula,) = re.findall(r"\.\. math::(.*?)\n\n(?=\S)", inspect.getdoc(method) or "", flags=re.DOTALL)
        assert mathml(formula.strip(), block=True).startswith("<math"), name


def test_a_formula_that_is_not_known_is_said() -> None:
    with pytest.raises(ValueError, match="no MathML for"):
        mathml(r"\nosuchcommand{x}")


def test_the_page_of_an_attack_has_its_docstring_and_flags() -> None:
    table = (DOCS / "attacks.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[`(\w+)`\]\(generated/attacks/(?:\w+)\.md\)", table, flags=re.MULTILINE) == [*ATTACKS]
    for name, recipe in ATTACKS.items():
        page = attacks.page(name)
        assert words(inspect.getdoc(recipe)) - words(page) <= HEADS, name
    assert "`--masked_lm" in attacks.page("bae") and "`--masked_lm" not in attacks.page("pwws")


def test_the_page_of_a_command_has_its_arguments() -> None:
    for name in COMMANDS:
        assert commands.page(name).startswith(f"# hf-robust {name}\n")
    assert "`--attack_query_budget` INT" in commands.page("attack") and "| `MODEL` |" in commands.page("attack")
    assert "## hf-robust lexicon split" in commands.page("lexicon")
    assert "`--task_name` TEXT" in commands.script_page() and "`--adv_steps" not in commands.script_page()
