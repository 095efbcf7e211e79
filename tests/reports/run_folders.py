"""Hand-made run folders."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hf_robust.metrics import wilson_interval
from hf_robust.runs import write_history_line


def attack_line(succeeded: int, failed: int, examples: int, **extra: float) -> dict[str, float]:
    attacked = succeeded + failed
    low, high = wilson_interval(succeeded, attacked)
    return {
        "asr": succeeded / attacked if attacked else math.nan,
        "asr_low": low,
        "asr_high": high,
        "robust_accuracy": failed / examples,
        "num_examples": examples,
        "num_attacked": attacked,
        "queries": 12.5,
        "seconds": 3.0,
        **extra,
    }


def make_run(
    folder: Path,
    synonym: list[tuple[int, int]],
    antonym: list[tuple[int, int]] | None = None,
    *,
    method: str = "normal",
    seed: int = 0,
    accuracy: float = 0.8,
    best_step: int | None = None,
    **card: Any,
) -> Path:
    """One epoch for each (succeeded, failed) pair, 100 steps each, of 100 examples; accuracy rises by a point."""
    for index, counts in enumerate(synonym):
        attacks = {"synonym": attack_line(*counts, 100)}
        if antonym is not None:
            attacks["antonym"] = attack_line(*antonym[index], 100)
        line = {"epoch": index + 1.0, "step": 100 * (index + 1), "accuracy": accuracy + 0.01 * index}
        write_history_line(folder, {**line, "attacks": attacks})
    stated = {
        "method": method,
        "model": "tiny",
        "data": {"name": "reviews", "fingerprint": "f1", "eval_samples": 200, "attack_split": "validation"},
        "config": {"robust_method": method},
        "attacks": {"synonym": {"goal": {"name": "misclassify"}}, "antonym": {"goal": {"name": "remain"}}},
        "seed": seed,
        "seconds": {"train": 10.0},
        "load_best_model_at_end": best_step is not None,
        "best_step": best_step,
    }
    (folder / "run_card.json").write_text(json.dumps({**stated, **card}))
    return folder
