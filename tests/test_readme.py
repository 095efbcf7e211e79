"""README says what the code and the committed results say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from readme_commands import README, setup_commands
from tiny import ANTONYMS, SYNONYMS, build_model, build_tokenizer, review_rows, table

from benchmarks import readme, study
from hf_robust.attacks import ATTACKS
from hf_robust.trainers import METHODS

TEXT = README.read_text(encoding="utf-8")


def test_set_up_is_two_commands() -> None:
    assert setup_commands() == [
        "pip install -c constraints.txt -e . && python run_glue_robust.py examples/demo.json",
        'pip install -c constraints.txt -e ".[test]" && pytest',
    ]


@pytest.mark.parametrize("path", readme.wanted(), ids=lambda path: path.name)
def test_generated_pages_are_those_of_the_committed_results(path: Path) -> None:
    assert readme.wanted()[path] == readme.written(path), "run python benchmarks/study.py"


def test_the_example_report_is_that_of_the_committed_results(tmp_path: Path) -> None:
    study.example_report(folder=tmp_path)
    for name in study.EXAMPLE_FILES:
        assert (study.EXAMPLE / name).is_file()
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert written == (study.EXAMPLE / "report.html").read_text(encoding="utf-8"), "run python benchmarks/study.py"


def test_every_generated_part_has_its_place() -> None:
    assert re.findall(r"<!-- begin (\w+) -->", TEXT) == re.findall(r"<!-- end (\w+) -->", TEXT)
    parts = {"demo", "methods", "study", "attacks", "embedding", "texts", "certificates"}
    assert set(re.findall(r"<!-- begin (\w+) -->", TEXT)) == parts


def test_every_method_and_attack_has_a_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE)
    assert rows == [*METHODS, *ATTACKS]


def test_every_flag_of_a_method_is_in_its_row_or_in_a_group_that_the_row_names() -> None:
    shared = set(METHODS["normal"].config.__dataclass_fields__)
    groups = dict(re.findall(r"\*([\w ]+)\*: `([^`]+)`", TEXT))
    for name, method in METHODS.items():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |"))
        named = " ".join([row, *(flags for group, flags in groups.items() if f"*{group}*" in row)])
        own = set(method.config.__dataclass_fields__) - shared
        assert {f"--{flag}" for flag in own} <= set(re.findall(r"--\w+", named)), name


def test_pictures_and_links_exist() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert targets and all((README.parent / target).exists() for target in targets)


def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block as printed, with a tiny model, and with tables where it loads WordNet."""
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    tables = {"synonym": table(SYNONYMS, "synonym"), "antonym": table(ANTONYMS, "antonym")}
    monkeypatch.setattr("hf_robust.lexicons.load_lexicon", lambda spec, relation: tables[relation])
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"model": build_model(), "tokenizer": build_tokenizer(), "rows": review_rows(8)}
    exec(compile(code, "README.md", "exec"), names)
    assert names["trainer"].state.epoch == 3.0
