"""Pictures of BAT's sweep: rates by batch size, and by weight and margin of the pairwise loss."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bat_sweep import PAIRWISE
from benchmarks.paired import runs_of, with_classes
from hf_robust.reports import save_figure, settings_of, sweep_figure
from hf_robust.runs import Run, load_run

SWEEP = "bat_snli_sweep"
METRICS = ("eval_accuracy", "eval_synonym_asr", "eval_antonym_asr")
METHOD, BATCH = "robust_method", "per_device_train_batch_size"
BY_BATCH = "batch_size"
PAIRWISE_FLAGS = ("bat_alpha", "bat_beta", "bat_margin")
FIGURES = {"C2": (BY_BATCH,), "C5": (BY_BATCH,), "C7": PAIRWISE_FLAGS}
"""Which pictures belong to a claim (BAT, Figures 4, 8 and 9; 10 to 12)."""


def draw(results: Path) -> list[Path]:
    """Write the pictures that there are runs for into the sweep's folder."""
    folder, drawn = results / SWEEP, []
    by_batch = [run for name in ("normal", "safer", "bat_triplet") for run in _runs(folder, f"{name}-batch*")]
    if len({run.card["training"].get(BATCH) for run in by_batch}) > 1:
        figure = sweep_figure(settings_of(by_batch, (METHOD, BATCH)), (BATCH,), METRICS, (METHOD,))
        drawn += save_figure(figure, folder, BY_BATCH)
    default = [with_classes(load_run(path), SWEEP) for path in runs_of(folder, PAIRWISE)]
    for flag in PAIRWISE_FLAGS:
        runs = [*default, *_runs(folder, f"{PAIRWISE}-{flag.removeprefix('bat_')}*")]
        if default and len(runs) > len(default):
            drawn += save_figure(sweep_figure(settings_of(runs, (flag,)), (flag,), METRICS), folder, flag)
    return drawn


def pictures(claim: str, results: Path) -> list[str]:
    """Markdown of a claim's pictures, as far as they are drawn."""
    files = [f"{stem}.png" for stem in FIGURES.get(claim, ()) if (results / SWEEP / f"{stem}.png").is_file()]
    return [f"![{claim}: rates by {Path(file).stem.replace('_', ' ')}](results/{SWEEP}/{file})" for file in files]


def _runs(folder: Path, pattern: str) -> list[Run]:
    """Finished runs of the settings that fit a pattern, seed by seed."""
    names = sorted({path.name.rpartition("-seed")[0] for path in folder.glob(f"{pattern}-seed*")})
    return [with_classes(load_run(path), SWEEP) for name in names for path in runs_of(folder, name)]
