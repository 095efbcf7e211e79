"""The package as an index gives it: its files, its metadata, and a training from the installed wheel."""

from __future__ import annotations

import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest

pytest.importorskip("setuptools", minversion="77")
pytest.importorskip("pip")
ROOT = Path(__file__).parents[1]
REPOSITORY, TAG = "https://github.com/someone/hf_robust", "v1"
SOURCES = ("hf_robust", "trainers", "callbacks", "run_glue_robust.py", "setup.cfg", "pyproject.toml", "MANIFEST.in")
TEXTS = ("README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "tests")
BUILD = "import sys, setuptools.build_meta as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"


def addresses() -> Any:
    spec = spec_from_file_location("add_addresses", ROOT / ".ci" / "add_addresses.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python(*words: str | Path, cwd: Path, path: Path | None = None) -> str:
    """Run Python and return its output; a failure is the test's."""
    environment = {**os.environ, "PYTHONPATH": str(path or ""), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
    return done.stdout


class Built(NamedTuple):
    """The files in the sdist and in the wheel that was built from it, the wheel's metadata, and its installation."""

    sdist: list[str]
    wheel: list[str]
    metadata: Any
    installed: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """As in a release: addresses, sdist, the wheel from the sdist. Built once, since it takes seconds."""
    checkout, dist, unpacked, installed = (
        tmp_path_factory.mktemp(name) for name in ("checkout", "dist", "sdist", "site")
    )
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*SOURCES, *TEXTS):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, checkout / name)
    addresses().main(REPOSITORY, TAG, checkout)
    sdist = dist / python("-c", BUILD, "build_sdist", dist, cwd=checkout).split()[-1]
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    files = [path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()]
    wheel = dist / python("-c", BUILD, "build_wheel", dist, cwd=source).split()[-1]
    python("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", installed, wheel, cwd=dist)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name) for name in names if name.endswith("dist-info/METADATA"))
    return Built(files, names, email.message_from_bytes(metadata), installed)


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    packaged = [name for name in built.wheel if ".dist-info/" not in name]
    folders = [ROOT / "hf_robust", *(ROOT / "hf_robust" / name for name in ("trainers", "callbacks"))]
    files = {path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert set(packaged) == {"run_glue_robust.py"} | {path.relative_to(ROOT).as_posix() for path in files}
    information = {PurePosixPath(name).name for name in built.wheel if ".dist-info/" in name}
    assert information == {"METADATA", "WHEEL", "RECORD", "LICENSE", "entry_points.txt", "top_level.txt"}


def test_the_sdist_holds_what_a_build_needs_and_nothing_else(built: Built) -> None:
    tops = {PurePosixPath(name).parts[0] for name in built.sdist}
    assert tops == {*SOURCES, "README.md", "LICENSE", "PKG-INFO", "hf_robust.egg-info"}


def test_the_metadata_is_complete(built: Built) -> None:
    fields = built.metadata
    assert fields["Author"] == "The hf_robust authors" and fields["License-Expression"] == "Apache-2.0"
    assert fields["Keywords"] and len(fields.get_all("Classifier")) > 8
    supported = [entry.split()[-1] for entry in fields.get_all("Classifier") if re.search(r":: 3\.\d+$", entry)]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert f"[{', '.join(map(json.dumps, supported))}]" in workflow, "the versions of Python that CI tests"
    urls = dict(entry.split(", ") for entry in fields.get_all("Project-URL"))
    assert set(urls) >= {"Documentation", "Source", "Changelog", "Issues"}
    assert urls["Changelog"] == f"{REPOSITORY}/blob/{TAG}/CHANGELOG.md"


def test_the_page_on_an_index_has_no_relative_link(built: Built) -> None:
    page, readme = built.metadata.get_payload(), (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.compile(r"^```.*?^```", flags=re.DOTALL | re.MULTILINE)
    assert code.findall(page) == code.findall(readme)
    targets = re.findall(r"\]\(([^)]+)\)", code.sub("", page))
    assert len(targets) > 50 and all(target.startswith("https://") for target in targets)
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert picture == f"{REPOSITORY}/raw/{TAG}/examples/demo_runs/bat_triplet/tradeoff_curves.png"
    links = "[a](#here) [b](mailto:x@y) [`c`](docs/x.md) ![d](e.png)"
    expected = "[a](#here) [b](mailto:x@y) [`c`](R/blob/T/docs/x.md) ![d](R/raw/T/e.png)"
    assert addresses().absolute(links, "R", "T") == expected


def test_the_commands_are_installed(built: Built) -> None:
    assert {path.name for path in (built.installed / "bin").iterdir()} == {"hf-robust", "run_glue_robust"}
    (declared,) = built.installed.glob("*.dist-info/entry_points.txt")
    assert "\nrun_glue_robust = run_glue_robust:command\n" in declared.read_text(encoding="utf-8")


SMALL = {"max_train_samples": 64, "max_eval_samples": 24, "num_train_epochs": 1, "attack_num_examples": 8}


@pytest.mark.slow
def test_it_trains_and_sweeps_outside_of_a_checkout(built: Built, tmp_path: Path) -> None:
    """A newcomer's first three commands, on few rows."""
    command = built.installed / "bin" / "hf-robust"

    def run(*words: str) -> str:
        return python(command, *words, cwd=tmp_path, path=built.installed)

    assert "hf-robust train demo.json" in run("init")
    where = python("-c", "import hf_robust; print(hf_robust.__file__)", cwd=tmp_path, path=built.installed)
    assert Path(where.strip()).is_relative_to(built.installed)
    run("train", "demo.json", *(word for name, value in SMALL.items() for word in (f"--{name}", str(value))))
    results = json.loads((tmp_path / "demo_output" / "all_results.json").read_text(encoding="utf-8"))
    assert results["train_samples"] == 64 and "eval_antonym_asr" in results
    assert (tmp_path / "demo_output" / "tradeoff_curves.png").is_file()
    sweep = {"args_file": "demo.json", "args": {**SMALL, "robust_method": "normal"}, "grid": {"seed": [1]}}
    (tmp_path / "sweep.json").write_text(json.dumps({**sweep, "objectives": {"eval_accuracy": "maximize"}}))
    assert "eval_accuracy" in run("sweep", "sweep.json", "--output_dir", "sweep")


def test_init_writes_the_demo_s_flags_and_never_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hf_robust.cli.main import main

    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0 and "hf-robust train demo.json" in capsys.readouterr().out
    example = json.loads((ROOT / "examples" / "demo.json").read_text(encoding="utf-8"))
    del example["baseline_run"]  # folders of the checkout
    assert json.loads(Path("demo.json").read_text(encoding="utf-8")) == example
    assert main(["init", "folder/my.json"]) == 0 and Path("folder", "my.json").is_file()
    capsys.readouterr()
    for file, sentence in {"demo.json": "demo.json exists: give another FILE", "demo.txt": "end in .json"}.items():
        assert main(["init", file]) == 2
        assert sentence in (error := capsys.readouterr().err) and error.count("\n") == 1


def test_train_is_the_script(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from hf_robust.cli.main import main

    monkeypatch.setattr(sys, "argv", ["hf-robust"])
    with pytest.raises(SystemExit) as left:
        main(["train", "--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("usage: hf-robust train --model_name_or_path MODEL")
    with pytest.raises(SystemExit) as left:
        main(["train", "--robust_method", "nothing"])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("hf-robust train: --robust_method nothing is unknown, choose one of")
