"""The README is short and agrees with code and results; the package has every folder and imports quickly."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from readme_commands import README, setup_commands

from benchmarks.study import attack_tables, readme, study, study_page, text_tables
from benchmarks.study.stored import RESULTS
from hf_robust.attacks import ATTACKS
from hf_robust.cli.main import COMMANDS
from hf_robust.metrics.evaluate_modules import EVALUATE_MODULES
from hf_robust.runs import read_history
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
    """Without the tables that are made from the code, which grow with it."""
    own = re.sub(r"<!-- begin (\w+) -->.*?<!-- end \1 -->\n", "", TEXT, flags=re.DOTALL)
    assert len(own.splitlines()) <= 100


def test_the_tables_are_those_of_the_code() -> None:
    assert readme.filled(TEXT) == TEXT, "run python -m benchmarks.study.readme"
    assert (
        re.findall(r"<!-- begin (\w+) -->", TEXT) == re.findall(r"<!-- end (\w+) -->", TEXT) == ["methods", "attacks"]
    )


def test_every_method_has_a_row_and_every_attack_is_of_one_kind() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE)) == sorted(METHODS)
    kinds = {
        kind: re.findall(r"\[`(\w+)`\]", names) for kind, names in re.findall(r"^- (\w+): (.*)$", TEXT, re.MULTILINE)
    }
    assert sorted(name for names in kinds.values() for name in names) == sorted(ATTACKS)
    assert kinds["obstinate"] == ["antonym", "negation", "input_reduction"]  # kuleshov changes the prediction


def test_the_commands_are_there() -> None:
    named = re.findall(r"`hf-robust (\w+)", TEXT)
    assert named and set(named) <= set(COMMANDS)


def test_pictures_and_links_exist() -> None:
    text = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    assert targets and all((README.parent / target).exists() for target in targets)


def test_its_measured_numbers_are_in_the_committed_results() -> None:
    said = TEXT[TEXT.index("## Measured") : TEXT.index("## Documentation")]
    claims, rates, identity = re.findall(r"^\d\. (.*)$", said, flags=re.MULTILINE)
    holds, fails, open_ = re.findall(r"(\d+) (?:hold|do not hold|are not decidable)\b", claims)
    assert f"{holds} hold, {fails} do not, {open_} are not decidable here" in study_page.compact(RESULTS)
    rows = {row.split(" | ")[0]: row for row in text_tables.compact(RESULTS).splitlines() if row.startswith("| ")}
    before, after, worst = re.findall(r"([\d.]+) %", rates)
    assert f" {before} ± " in rows["| normal"] and f" {after} ± " in rows["| adv_iter"]
    assert rows["| adv_iter"].rsplit(" | ", 1)[1].startswith(f"{worst} ± "), "the last column is the worst case"
    assert re.findall(r"[\d,]{5}", identity)[0] in attack_tables.compact(RESULTS)


@pytest.mark.slow
def test_the_example_report_is_that_of_the_committed_results(tmp_path: Path) -> None:
    study.example_report(folder=tmp_path)
    for name in study.EXAMPLE_FILES:
        assert (study.EXAMPLE / name).is_file()
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert written == (study.EXAMPLE / "report.html").read_text(encoding="utf-8"), (
        "run python -m benchmarks.study.study"
    )


def python_example(page: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(code)


@pytest.mark.slow
def test_the_python_example_is_a_script_that_runs_as_printed(tmp_path: Path) -> None:
    assert python_example("README.md") == python_example("docs/quickstart.md")
    (tmp_path / "example.py").write_text(python_example("README.md"), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    history = read_history(tmp_path / "out")
    assert len(history) == 3 and all(line["attacks"]["synonym"]["num_examples"] == 100 for line in history)


def test_the_notebook_imports_what_exists() -> None:
    cells = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    names = [(node.module, name.name) for node in imports for name in node.names if (node.module or "")[:2] == "hf"]
    assert len(names) > 5 and [pair for pair in names if not hasattr(import_module(str(pair[0])), pair[1])] == []
