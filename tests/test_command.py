"""Wrong input gives one line on stderr and exit code 2, a defect its traceback; `hf-robust report` on demo runs."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

import run_glue_robust
from hf_robust.cli.command import exit_code_of
from hf_robust.cli.main import main
from hf_robust.data.arguments import DataTrainingArguments
from run_glue_robust import main as train

SETTINGS = [
    *("--model_name_or_path", "demo", "--dataset_name", "demo", "--do_train", "--do_eval", "--attacks", "synonym"),
    *("--lexicon", "builtin", "--num_train_epochs", "2", "--learning_rate", "1e-3", "--max_train_samples", "96"),
    *("--max_eval_samples", "24", "--attack_num_examples", "24", "--per_device_train_batch_size", "16"),
    *("--max_seq_length", "32", "--save_strategy", "no", "--report_to", "none", "--disable_tqdm", "true"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("demo")
    for method in ("normal", "safer"):
        train([*SETTINGS, "--robust_method", method, "--output_dir", str(folder / method)])
    return [str(folder / "normal"), str(folder / "safer")]


@pytest.mark.slow
def test_demo_runs_make_a_whole_report(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    assert main(["report", *runs, "--output", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| normal |" in printed and f"report.html and report.md are in {out}." in printed
    pictures = [
        f"{stem}{ending}" for stem in ("fronts", "epochs", "comparison", "classes") for ending in (".png", ".svg")
    ]
    assert {path.name for path in out.iterdir()} == {"report.html", "report.md", *pictures}
    text = (out / "report.md").read_text()
    assert "1 tests of this report" in text and "| normal | safer | 24 |" in text
    assert len(re.findall(r"^### synonym, example \d+", text, flags=re.MULTILINE)) == 3
    assert "| lexicon: synonyms | name builtin" in text and "| version: torch |" in text
    page = (out / "report.html").read_text()
    assert page.count("<article>") == 3 and str(Path(runs[0]).parent) not in page + text


def test_without_an_output_the_table_is_printed_and_nothing_written(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *runs]) == 0
    assert "synonym: clean → under attack" in capsys.readouterr().out and not list(tmp_path.iterdir())


ROOT = Path(__file__).parents[1]
WRONG = ["--model_name_or_path", "demo", "--output_dir", "out", "--adv_steps", "3"]


def wrong() -> None:
    run_glue_robust.main(WRONG)


def test_an_error_of_ours_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("run_glue_robust.py", wrong) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("run_glue_robust.py: --adv_steps ") and not printed.out


def test_a_run_without_an_error_has_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("it", lambda: None) == 0 and capsys.readouterr().err == ""


def test_an_error_of_a_dataclass_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("it", lambda: DataTrainingArguments(task_name="none")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_call_that_met_what_it_cannot_take_stays_a_defect() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        exit_code_of("it", lambda: in_our_package("int('x')"))
    with pytest.raises(ValueError, match="of mine"):
        exit_code_of("it", lambda: in_our_package("raise ValueError('of mine')", package="numpy.core"))
    assert exit_code_of("it", lambda: in_our_package("raise ValueError('of mine') from None")) == 2


def in_our_package(code: str, package: str = "hf_robust.data") -> None:
    exec(code, {"__name__": package})  # noqa: S102


@pytest.mark.parametrize("flags", [["--log_level", "debug"], ["--log_level=debug"]])
def test_the_traceback_comes_when_it_is_asked_for(
    flags: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["run_glue_robust.py", *flags])
    assert exit_code_of("run_glue_robust.py", wrong) == 2
    *trace, last = capsys.readouterr().err.splitlines()
    assert trace[0].startswith("Traceback") and last.startswith("run_glue_robust.py: --adv_steps")


def test_a_rank_says_which_one_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert exit_code_of("it", wrong) == 2
    assert capsys.readouterr().err.startswith("it (rank 1): --adv_steps")


@pytest.mark.slow
def test_the_script_ends_with_the_line_and_code_2(tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, ROOT / "run_glue_robust.py", *WRONG],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert completed.returncode == 2 and completed.stderr.splitlines()[-1].startswith(
        "run_glue_robust.py: --adv_steps"
    )
    assert "Traceback" not in completed.stderr and not (tmp_path / "out").exists()


def test_an_interruption_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: argparse.Namespace) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("hf_robust.cli.methods.run", interrupted)
    assert main(["methods"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("hf-robust methods: interrupted; ") and printed.err.count("\n") == 1
