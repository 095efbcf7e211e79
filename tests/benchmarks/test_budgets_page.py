"""The page on BAT at small budgets: what counts as kept, and what the page says of results made here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.study import budgets_page
from benchmarks.study.embedding_claims import ACCURACY
from benchmarks.study.experiment import TextExperiment, compare, compare_asr
from benchmarks.study.stored import RESULTS

README = Path(__file__).parents[2] / "README.md"
EXAMPLES = 400
NORMAL = (0.80, 0.5)


def write_run(folder: Path, accuracy: float, antonym: float) -> None:
    """A run of that accuracy whose antonym attack succeeds on that share of the examples."""
    folder.mkdir(parents=True)
    letters = "s" * round(EXAMPLES * antonym) + "f" * round(EXAMPLES * (1 - antonym))
    found = {attack: {str(index): letter for index, letter in enumerate(letters)} for attack in ("antonym", "synonym")}
    (folder / "statuses.json").write_text(json.dumps(found))
    (folder / "run_card.json").write_text(json.dumps({"data": {"eval_samples": 100_000}}))
    line = {"epoch": 1.0, "step": 1, "accuracy": accuracy, "attacks": {}}
    (folder / "robustness_history.jsonl").write_text(json.dumps(line) + "\n")


def experiment(folder: Path, runs: dict[str, tuple[float, float]]) -> TextExperiment:
    setting = {"bat_lambda": 1.0, "contrastive_warmup": 0.5, "antonym_views": "matched", "num_train_epochs": 3}
    settings = {
        name: {**setting, "robust_method": "normal" if name.endswith("normal") else "bat_triplet"} for name in runs
    }
    args = {"max_train_samples": 90, "per_device_train_batch_size": 32}
    folder.mkdir(exist_ok=True)
    file = folder / "budgets_snli_bert_tiny.json"
    file.write_text(json.dumps({"larger_class": 0.34, "settings": settings, "seeds": [1, 2], "args": args}))
    for name, (accuracy, antonym) in runs.items():
        write_run(folder / f"{name}-seed1", accuracy, antonym)
    return TextExperiment(file, folder)


@pytest.mark.slow
def test_what_the_readme_recommends_is_what_the_committed_results_say_is_best() -> None:
    """At 313 steps: of the settings that keep the accuracy of ``normal`` to a point, the lowest antonym rate."""
    file = budgets_page.EXPERIMENTS / "budgets_snli_bert_tiny.json"
    one = TextExperiment(file, RESULTS / file.stem)
    tried = [name for name in one.methods if name.startswith("313-") and name != "313-normal"]
    lost = {name: compare(one, "313-normal", name, ACCURACY) for name in tried}
    keeping = [name for name, found in lost.items() if found is not None and found.difference.value > -1]
    lowered = {name: compare_asr(one, "313-normal", name, "antonym") for name in keeping}
    best = min(keeping, key=lambda name: lowered[name].difference.value)  # type: ignore[union-attr]
    assert best == "313-weight0.3-warmup0.5-authors" and lowered[best].difference.high < 0  # type: ignore[union-attr]
    assert "`--bat_lambda 0.3 --contrastive_warmup 0.5`" in README.read_text(encoding="utf-8")
    assert budgets_page.verdict_of(one, "313-weight1-warmup0-authors") == budgets_page.NOT_KEPT


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ((0.80, 0.3), budgets_page.KEPT),
        ((0.79, 0.3), budgets_page.KEPT),
        ((0.70, 0.3), budgets_page.NOT_KEPT),
        ((0.80, 0.7), budgets_page.NOT_KEPT),
        ((0.80, 0.5), budgets_page.OPEN),
        ((0.40, 0.3), budgets_page.NOT_KEPT),
    ],
)
def test_kept_is_accuracy_within_two_points_and_a_lower_rate(
    found: tuple[float, float], verdict: str, tmp_path: Path
) -> None:
    one = experiment(tmp_path, {"9-normal": NORMAL, "9-tried": found})
    assert budgets_page.verdict_of(one, "9-tried") == verdict


def test_beside_a_baseline_at_chance_nothing_is_decided(tmp_path: Path) -> None:
    one = experiment(tmp_path, {"9-normal": (0.35, 0.5), "9-tried": (0.35, 0.3)})
    assert budgets_page.verdict_of(one, "9-tried") == budgets_page.VOID


def test_without_its_baseline_a_setting_has_no_difference(tmp_path: Path) -> None:
    one = experiment(tmp_path, {"9-tried": NORMAL})
    assert budgets_page.verdict_of(one, "9-tried") == budgets_page.NOTHING
    assert budgets_page.row(one, "9-tried")[-1] == budgets_page.NOTHING


def test_rows_and_summary_say_what_there_is(tmp_path: Path) -> None:
    one = experiment(tmp_path, {"9-normal": NORMAL, "9-tried": (0.795, 0.3)})
    row = budgets_page.row(one, "9-tried")
    assert row[:6] == ["9", "1", "0.5", "matched", "1", "79.5"] and row[6].startswith("-0.5 [")
    assert len(row) == len(budgets_page.HEADER)
    assert budgets_page.summary(one) == "2 of 4 runs exist. At 9 steps 1 of 1 settings tried are kept: tried."


@pytest.mark.parametrize("name", budgets_page.TITLES)
def test_the_committed_experiments_have_a_baseline_at_every_budget(name: str, tmp_path: Path) -> None:
    one = TextExperiment(budgets_page.EXPERIMENTS / f"{name}.json", tmp_path)
    settings = one.spec["settings"]
    assert {budgets_page.baseline_of(one, setting) for setting in settings} <= set(settings)
    assert len({budgets_page.steps_of(one, setting) for setting in settings}) == 3 and len(one.spec["seeds"]) == 3
    assert all(setting.startswith(f"{budgets_page.steps_of(one, setting)}-") for setting in settings)
