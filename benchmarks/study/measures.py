"""What a finished run's model is asked beside its attacks: interpretation, distances of pairs, error transition.

    python benchmarks/text_measures.py EXPERIMENT.json... [--work DIR] [--seeds 1 2] [--only NAME-seed1 ...]

`benchmarks/run.py` calls it after each run of an experiment file with the key ``measures``: any of ``interpretation``,
``pairs``, ``transition``, or of each the settings that get it; a file without the key gets all here. What there is in
the results folder is not measured again. All of it rests on the runs' own attack records, so that no model is attacked
anew:

- ``interpretation.json``: Kendall's tau and top-k intersection of integrated gradients on the pairs that the attack
  made of this model (``own``), and on those that it made of ``normal`` with the same seed (``fixed``): the first is
  what FLAT reports, the second shows every model the same texts.
- ``pairs.json``: MSE, KL and CTR of TaiChi's Table 7, on the successes against ``normal`` with the same seed.
- ``transition.json``: which of ``normal``'s errors on clean texts ``gradient_mask`` fixed, and which it introduced.

Numbers by example stand beside the means, for paired intervals; no text is kept.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.study.run import WORK, last_attacks
from benchmarks.study.stored import RESULTS, commit
from hf_robust.interpret import Pair, consistency, integrated_gradients, substitution_pairs
from hf_robust.interpret.consistency import TOP_K
from hf_robust.interpret.pair_statistics import pair_statistics, sentence_states
from hf_robust.losses import sample_kl
from hf_robust.metrics import AttackRecord, error_transition, slices
from hf_robust.runs import STATUSES_FILE, finite, read_pairs, read_records
from hf_robust.wiring.checkpoint_attack import load_classifier

BASELINE = "normal"
ATTACK = "textfooler"
MASKING = "gradient_mask"
INTERPRETATION, PAIRS, TRANSITION = "interpretation", "pairs", "transition"
EXPLAINED, STEPS, TOP = 100, 50, 5
MOST_PAIRS, DRAWS = 1000, 10
DIGITS = 6
OF_SEVERAL = ("safer", "adpmixup")
"""Methods that predict by several passes: their checkpoint alone is not what was attacked."""


@dataclass(frozen=True)
class FinishedRun:
    """The work folder of a run, and the folder of the same seed's run of ``normal``."""

    folder: Path
    baseline: Path

    @cached_property
    def arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = json.loads((self.folder / "_arguments.json").read_text(encoding="utf-8"))
        return arguments

    @cached_property
    def classifier(self) -> tuple[Any, Any]:
        return load_classifier(str(self.folder), device="cpu")

    @property
    def max_length(self) -> int:
        return int(self.arguments["max_seq_length"])

    @property
    def is_baseline(self) -> bool:
        return self.folder == self.baseline

    def missing(self, kind: str) -> str:
        """Why a measure cannot be taken; empty where it can."""
        method = self.arguments["robust_method"]
        if kind == TRANSITION:
            return "" if method == MASKING else f"it is of {MASKING} alone"
        if method in OF_SEVERAL:
            return f"{method} predicts by several passes"
        if not (self.folder / "model.safetensors").is_file():
            return f"{self.folder} holds no model"
        for folder in (self.folder, self.baseline):
            if not (last_attacks(folder) / f"{ATTACK}.jsonl").is_file():
                return f"{folder} was not attacked by {ATTACK}"
        return ""


# ---- interpretation ----


def interpretation(run: FinishedRun) -> dict[str, Any]:
    """Agreement of the attributions of both texts of a pair, of the run's own pairs and of ``normal``'s."""
    on_own_pairs = attribution_agreement(run, last_attacks(run.folder) / f"{ATTACK}.jsonl")
    on_fixed_pairs = (
        on_own_pairs if run.is_baseline else attribution_agreement(run, last_attacks(run.baseline) / f"{ATTACK}.jsonl")
    )
    settings = {"attribution": "ig", "steps": STEPS, "baseline": "pad", "ranking": "signed", "pairs": EXPLAINED}
    return {"settings": settings, "own": on_own_pairs, "fixed": on_fixed_pairs}


def attribution_agreement(run: FinishedRun, path: Path) -> dict[str, Any]:
    model, tokenizer = run.classifier
    candidates, counts = substitution_pairs(read_records(path))
    pairs = sample(candidates, EXPLAINED)
    attributions = []
    for pair in pairs:
        texts = [pair.original, pair.perturbed]
        first, second = integrated_gradients(model, tokenizer, texts, steps=STEPS, max_length=run.max_length)
        attributions.append((first, second))
    whole = consistency(attributions)
    by_pair = {pair.idx: consistency([attributed]) for pair, attributed in zip(pairs, attributions, strict=True)}
    defined = {str(idx): agreement for idx, agreement in by_pair.items() if agreement.num_pairs}
    return {
        "counts": {**counts, "compared": len(pairs)},
        "num_pairs": whole.num_pairs,
        "num_undefined": whole.num_undefined,
        "kendall_tau": whole.tau.mean,
        "top_k": [agreement.mean for agreement in whole.top_k],
        "changed_share": whole.changed_share,
        "words": whole.words,
        "complete_share": whole.complete_share,
        "worst_completeness": whole.worst_completeness,
        "tau_by_pair": {idx: round(agreement.tau.mean, DIGITS) for idx, agreement in defined.items()},
        "top5_by_pair": {
            idx: round(agreement.top_k[TOP_K.index(TOP)].mean, DIGITS) for idx, agreement in defined.items()
        },
    }


def sample(pairs: Sequence[Pair], number: int) -> list[Pair]:
    """So many of the pairs, in their order; equal lists of pairs give equal samples."""
    if len(pairs) <= number:
        return list(pairs)
    places = random.Random(0).sample(range(len(pairs)), number)
    return [pairs[place] for place in sorted(places)]


# ---- pairs ----


def pairs(run: FinishedRun) -> dict[str, Any]:
    """TaiChi's Table 7, with KL(p(x) || p(x')) of each pair."""
    model, tokenizer = run.classifier
    records = read_pairs(last_attacks(run.baseline) / f"{ATTACK}.jsonl", limit=MOST_PAIRS)
    texts = [[record.original for record in records], [record.perturbed for record in records]]
    clean, changed = (
        sentence_states(model, tokenizer, side_texts, "mean_pool", run.max_length) for side_texts in texts
    )
    statistics = pair_statistics(clean, changed, [record.label for record in records], draws=DRAWS)
    divergences = sample_kl(clean.logits, changed.logits).tolist()
    by_pair = {str(record.idx): round(value, DIGITS) for record, value in zip(records, divergences, strict=True)}
    return {**statistics.to_json(), "kl_pos_by_pair": by_pair}


# ---- transition ----


def transition(run: FinishedRun) -> dict[str, Any]:
    """Errors on the clean texts that were handed to the attacks, by slice."""
    before, after = (clean_records(folder) for folder in (run.baseline, run.folder))
    reports = error_transition(before, after, slices())
    return {name: report.to_json() for name, report in reports.items()}


def clean_records(folder: Path) -> list[AttackRecord]:
    """Records of one attack on the data, whichever: their predictions on the clean texts are what is read."""
    return read_records(min(path for path in last_attacks(folder).glob("*.jsonl") if not path.stem.startswith("file")))


# ---- all of it ----

MEASURES: dict[str, Callable[[FinishedRun], dict[str, Any]]] = {
    INTERPRETATION: interpretation,
    PAIRS: pairs,
    TRANSITION: transition,
}


def measure(run: FinishedRun, result: Path, kinds: Sequence[str]) -> list[str]:
    """Write what is missing into the results folder; a line for each measure that was taken or could not be."""
    lines = []
    for kind in kinds:
        path, name = result / f"{kind}.json", f"{kind} of {result.parent.name}/{result.name}"
        if path.exists():
            continue
        missing = run.missing(kind)
        if missing:
            lines.append(f"no {name}: {missing}")
            continue
        try:
            values = MEASURES[kind](run)
        except ValueError as error:
            lines.append(f"no {name}: {error}")
            continue
        path.write_text(json.dumps(finite(values), allow_nan=False) + "\n", encoding="utf-8")
        lines.append(name)
    return lines


def kinds_of(experiment: dict[str, Any], setting: str) -> list[str]:
    """The measures that an experiment file asks for of a setting, or all.

    Raises:
        SystemExit: it names one that there is not.
    """
    named: list[str] | dict[str, list[str]] = experiment.get("measures", list(MEASURES))
    unknown = sorted(set(named) - set(MEASURES))
    if unknown:
        raise SystemExit(f"measures names {', '.join(unknown)}; there are {', '.join(MEASURES)}.")
    return [kind for kind in named if not isinstance(named, dict) or setting in named[kind]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, default=WORK, help="scratch folder of the runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results of finished runs are")
    parser.add_argument("--seeds", nargs="+", type=int, help="measure only these seeds")
    parser.add_argument("--only", nargs="+", help="measure only these runs, by the name of their folder")
    options = parser.parse_args()
    for path in options.experiments:
        experiment = json.loads(path.read_text(encoding="utf-8"))
        for result in sorted((options.results / path.stem).glob("*-seed*")):
            setting, _, seed = result.name.rpartition("-seed")
            left_out = options.only and result.name not in options.only
            if not (result / STATUSES_FILE).exists() or left_out or (options.seeds and int(seed) not in options.seeds):
                continue
            work = options.work.resolve() / path.stem
            baseline = f"{BASELINE}-seed{seed}"
            run = FinishedRun(work / result.name, work / baseline)
            if not (result.parent / baseline / STATUSES_FILE).exists():
                print(f"{result.name} waits for {baseline}, which it is compared with")
                continue
            absent = [folder for folder in (run.folder, run.baseline) if not folder.is_dir()]
            if absent:
                print(f"{result.name} is not measured: {absent[0]} is not there")
                continue
            for line in measure(run, result, kinds_of(experiment, setting)):
                print(line, flush=True)
    if options.results == RESULTS:
        commit()


if __name__ == "__main__":
    main()
