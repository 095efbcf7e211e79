"""The packages that are needed: declared, described in the docs, and with one pin on each supported Python."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
CLASSIFIERS = SETUP["metadata"]["classifiers"]
REQUIRED = SETUP["options"]["install_requires"]
OF_A_PACKAGE = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""By name of an import, the package that has it under another name."""
WITH_ANOTHER = {
    "filelock": "huggingface-hub",
    "fsspec": "datasets",
    "markupsafe": "jinja2",
    "packaging": "transformers",
    "pillow": "matplotlib",
    "pyarrow": "datasets",
    "tokenizers": "transformers",
    "typing-extensions": "torch",
}
"""Packages that may be imported undeclared, each with the required package that does not work without it."""
PYTHONS = re.findall(r"Programming Language :: Python :: (3\.\d+)$", CLASSIFIERS, flags=re.MULTILINE)


def requirements(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def pins(file: str) -> list[Requirement]:
    return requirements((ROOT / file).read_text(encoding="utf-8"))


def on(python: str, given: Iterable[Requirement]) -> list[Requirement]:
    """Those that apply on a version of Python."""
    return [one for one in given if one.marker is None or one.marker.evaluate({"python_version": python})]


def asked_for() -> list[Requirement]:
    """What the package and its extras need."""
    options = [REQUIRED, *SETUP["options.extras_require"].values()]
    return [requirement for option in options for requirement in requirements(option)]


def test_the_supported_pythons_are_those_that_may_install_it() -> None:
    assert len(PYTHONS) > 3 and SETUP["options"]["python_requires"] == f">={PYTHONS[0]}"


@pytest.mark.parametrize("file", ["constraints.txt", "requirements-textattack.txt"])
@pytest.mark.parametrize("python", PYTHONS)
def test_a_package_has_one_pin(file: str, python: str) -> None:
    counts = Counter(canonicalize_name(pin.name) for pin in on(python, pins(file)))
    assert [name for name, count in counts.items() if count > 1] == []
    needless = {canonicalize_name(one.name) for one in asked_for()} - {
        canonicalize_name(one.name) for one in on(python, asked_for())
    }
    assert {canonicalize_name(pin.name) for pin in pins(file)} - counts.keys() <= needless, f"no pin on {python}"


@pytest.mark.parametrize("python", PYTHONS)
def test_setup_admits_the_pins(python: str) -> None:
    versions = {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in on(python, pins("constraints.txt"))
    }
    wanted = {
        requirement for requirement in on(python, asked_for()) if canonicalize_name(requirement.name) in versions
    }
    assert len(wanted) > 20
    refused = [one for one in wanted if not one.specifier.contains(versions[canonicalize_name(one.name)])]
    assert refused == []


def imported(file: Path) -> set[str]:
    """Top-level names of the absolute imports of a file, wherever they stand."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names}


def test_what_is_imported_is_declared() -> None:
    files = [file for room in ("hf_robust", "trainers", "callbacks") for file in (ROOT / room).rglob("*.py")]
    names = set().union(*(imported(file) for file in [*files, ROOT / "run_glue_robust.py"]))
    names -= sys.stdlib_module_names | {"hf_robust", "run_glue_robust", "textattack"}
    packages = {canonicalize_name(OF_A_PACKAGE.get(name, name)) for name in names}
    declared = {canonicalize_name(one.name) for one in asked_for()}
    assert packages - declared <= WITH_ANOTHER.keys()
    required = {canonicalize_name(one.name) for one in requirements(REQUIRED)}
    assert required <= packages and set(WITH_ANOTHER.values()) <= required


def test_the_docs_say_why_each_package_is_required() -> None:
    section = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8").split("\n## Dependencies\n")[1]
    rows = re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)
    assert list(map(canonicalize_name, rows)) == [canonicalize_name(one.name) for one in requirements(REQUIRED)]
