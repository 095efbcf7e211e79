"""The README's table of certificates, on results that the test makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.study import certificate_tables

NAME = "certify_sst2_bert_tiny"


def write_run(folder: Path, method: str, certified: float, radius: float | None, **more: Any) -> None:
    folder.mkdir(parents=True)
    found = {"certified_accuracy": certified, "certified_accuracy_low": certified - 0.05}
    found |= {"certified_accuracy_high": certified + 0.05, "smoothed_accuracy": 0.75, "smoothed_accuracy_low": 0.7}
    found |= {"smoothed_accuracy_high": 0.8, "abstained": 0.04, "radius": radius, "num_examples": 500}
    found |= {"votes": 1000, "alpha": 0.01, "seconds": 3.0}
    attack = {"asr": 0.5, "robust_accuracy": 0.4, "num_examples": 300, "num_attacked": 240}
    line = {"epoch": 3.0, "step": 9, "accuracy": 0.8, "attacks": {"synonym": attack}, "certified": found}
    (folder / "robustness_history.jsonl").write_text(json.dumps(line) + "\n")
    lexicon = {"source": "tables/mnli_synonyms.json.gz", "size": 4684}
    card = {"method": method, "data": {"train_samples": 6920}, "certify": {"lexicon": lexicon}, "final_step": 9}
    (folder / "run_card.json").write_text(json.dumps({**card, **more}))
    (folder / "statuses.json").write_text("{}")


def write_experiment(folder: Path, *settings: str) -> Path:
    folder.mkdir()
    (folder / f"{NAME}.json").write_text(json.dumps({"settings": dict.fromkeys(settings, {})}))
    return folder


def test_one_run_has_its_interval_and_several_their_spread(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_run(results / NAME / "normal-seed1", "normal", 0.6, None)
    for seed, certified in ((1, 0.70), (2, 0.74)):
        write_run(results / NAME / f"safer-seed{seed}", "safer", certified, seed + 3.0, vote={"votes": 25})
    page = certificate_tables.compact(results, write_experiment(tmp_path / "files", "normal", "safer", "absent"))
    assert (
        "6,920 training rows; 500 test rows certified by 1,000 votes at alpha 0.01, 300 handed to the attack (" in page
    )
    rows = [line for line in page.splitlines() if line.startswith(("| normal", "| safer"))]
    assert rows == [
        "| normal | mnli synonyms, 4,684 words | plain network | 80.0 | 40.0 [34.6, 45.6] | 75.0 [70.0, 80.0] "
        "| 60.0 [55.0, 65.0] | 4.0 | – | 1 |",
        "| safer | mnli synonyms, 4,684 words | vote of 25 | 80.0 ± 0.0 | 40.0 ± 0.0 | 75.0 ± 0.0 "
        "| 72.0 ± 2.8 | 4.0 ± 0.0 | 4.5 | 2 |",
    ]


def test_nothing_run_is_said(tmp_path: Path) -> None:
    files = write_experiment(tmp_path / "files", "normal")
    assert certificate_tables.compact(tmp_path / "results", files) == "Nothing was run yet.\n"
