"""`hf-robust report` on runs that the script made on the demo corpus."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hf_robust.cli.main import main
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


def test_demo_runs_make_a_whole_report(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    assert main(["report", *runs, "--output", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| normal |" in printed and f"report.html and report.md are in {out}." in printed
    pictures = [f"{stem}{ending}" for stem in ("fronts", "epochs", "comparison") for ending in (".png", ".svg")]
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
