"""The README is short and agrees with code and results; the package has every folder and imports quickly."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from readme_commands import README, setup_commands
from tiny import ANTONYMS, SYNONYMS, build_model, build_tokenizer, review_rows, table

from benchmarks.study import attack_tables, readme, study, study_page, text_tables
from benchmarks.study.stored import RESULTS
from hf_robust.attacks import ATTACKS
from hf_robust.cli.main import COMMANDS
from hf_robust.metrics.evaluate_modules import EVALUATE_MODULES
from hf_robust.trainers import METHODS

ROOT = Path(__file__).parents[1]


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_setup_cfg_lists_every_package() -> None:
    listed = set(setup_cfg()["options"]["packages"].split())
    # The links to trainers/ and callbacks/ are matched by a level of their own: "**" does not follow links.
    files = [file for level in ("", "*/", "*/*/") for file in (ROOT / "hf_robust").glob(f"{level}__init__.py")]
    assert listed == {".".join(file.parent.relative_to(ROOT).parts) for file in files}


def test_data_files_are_packaged() -> None:
    patterns = dict(setup_cfg()["options.package_data"])
    for path in (ROOT / "hf_robust").glob("*/*"):
        if path.is_file() and path.suffix not in (".py", ".pyc") and not path.parent.is_symlink():
            package = f"hf_robust.{path.parent.name}"
            assert f"*{path.suffix}" in patterns.get(package, ""), f"{path.name} is not in the wheel"


def test_the_scripts_of_the_metrics_are_packaged() -> None:
    package = "hf_robust.metrics.evaluate_modules"
    assert dict(setup_cfg()["options.package_data"])[package] == "*/*.py"
    for name, folder in EVALUATE_MODULES.items():
        assert Path(folder, f"{name}.py").is_file() and not Path(folder, "__init__.py").exists()


def test_importing_hf_robust_imports_no_torch() -> None:
    assert run("import sys, hf_robust; print('torch' in sys.modules, 'transformers' in sys.modules)") == "False False"


def test_trainers_and_callbacks_are_links_to_the_top_level() -> None:
    for room in ("trainers", "callbacks"):
        link = ROOT / "hf_robust" / room
        assert link.is_symlink() and str(link.readlink()) == f"../{room}"


def test_extras_hold_what_is_not_required() -> None:
    required = setup_cfg()["options"]["install_requires"]
    for heavy in ("peft", "evaluate", "tensorboard", "captum", "optuna", "playwright", "textattack"):
        assert heavy not in required


TEXT = README.read_text(encoding="utf-8")


def test_set_up_is_two_commands() -> None:
    assert setup_commands() == [
        "pip install -c constraints.txt -e . && python run_glue_robust.py examples/demo.json",
        'pip install -c constraints.txt -e ".[test]" && pytest',
    ]


def test_it_is_read_in_five_minutes() -> None:
    assert len(TEXT.splitlines()) <= 150


def test_the_tables_are_those_of_the_code() -> None:
    assert readme.filled(TEXT) == TEXT, "run python -m benchmarks.study.readme"
    assert (
        re.findall(r"<!-- begin (\w+) -->", TEXT) == re.findall(r"<!-- end (\w+) -->", TEXT) == ["methods", "attacks"]
    )


def test_every_method_and_attack_has_a_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE)
    assert sorted(rows) == sorted([*METHODS, *ATTACKS])


def test_the_commands_are_there() -> None:
    named = re.findall(r"`hf-robust (\w+)", TEXT)
    assert named and set(named) <= set(COMMANDS)


def test_pictures_and_links_exist() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert targets and all((README.parent / target).exists() for target in targets)


def test_its_measured_numbers_are_in_the_committed_results() -> None:
    said = TEXT[TEXT.index("## Measured") : TEXT.index("## Documentation")]
    claims, rates, identity = re.findall(r"^\d\. (.*)$", said, flags=re.MULTILINE)
    holds, fails, undecided = re.findall(r"(\d+) (?:hold|do not hold|are undecided)\b", claims)
    assert f"{holds} hold, {fails} do not, {undecided} are undecided" in study_page.compact(RESULTS)
    rows = {row.split(" | ")[0]: row for row in text_tables.compact(RESULTS).splitlines() if row.startswith("| ")}
    before, after, worst = re.findall(r"([\d.]+) %", rates)
    assert f" {before} ± " in rows["| normal"] and f" {after} ± " in rows["| adv_iter"]
    assert rows["| adv_iter"].rsplit(" | ", 1)[1].startswith(f"{worst} ± "), "the last column is the worst case"
    assert re.findall(r"[\d,]{5}", identity)[0] in attack_tables.compact(RESULTS)


def test_the_example_report_is_that_of_the_committed_results(tmp_path: Path) -> None:
    study.example_report(folder=tmp_path)
    for name in study.EXAMPLE_FILES:
        assert (study.EXAMPLE / name).is_file()
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert written == (study.EXAMPLE / "report.html").read_text(encoding="utf-8"), (
        "run python -m benchmarks.study.study"
    )


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_python_example_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block as printed, with a tiny model, and with tables where it loads WordNet."""
    text = (README.parent / page).read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    tables = {"synonym": table(SYNONYMS, "synonym"), "antonym": table(ANTONYMS, "antonym")}
    monkeypatch.setattr("hf_robust.lexicons.load_lexicon", lambda spec, relation: tables[relation])
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"model": build_model(), "tokenizer": build_tokenizer(), "rows": review_rows(8)}
    exec(compile(code, page, "exec"), names)
    assert names["trainer"].state.epoch == 3.0
