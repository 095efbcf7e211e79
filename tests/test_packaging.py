"""The package holds every folder, imports quickly, and its two top-level rooms exist once."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

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
