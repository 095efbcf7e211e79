"""Measures the models of finished runs beyond their attacks: interpretation, distances of pairs, error transition.

    python -m benchmarks.study.measures EXPERIMENT.json... [--work DIR] [--seeds 1 2] [--only NAME-seed1 ...]

`benchmarks.study.run` calls it after each run of an experiment file with the key ``measures``: a list of measures, or
for each measure the settings that get it. A file without the key gets all measures here. Existing results are not
measured again. All measures use the runs' attack records, so no model is attacked again:

- ``interpretation.json``: Kendall's tau and top-k intersection of integrated gradients, on the pairs of the attack on
  this model (``own``, which FLAT reports) and on those of ``normal`` with the same seed (``fixed``, the same texts for
  every model).
- ``pairs.json``: MSE, KL and CTR of TaiChi's Table 7, on the successes against ``normal`` with the same seed.
- ``transition.json``: the errors of ``normal`` on clean texts that ``gradient_mask`` fixed, and those it introduced.
- ``challenge.json``: which texts a model gets right, and which of those that are masked for ``normal``.

Values by example are kept with the means, for paired intervals; no text is kept.
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

from benchmarks.study import masked_texts
from benchmarks.study.run import WORK, attack_records
from benchmarks.study.stored import RESULTS, commit
from hf_robust.interpret import Pair, consistency, integrated_gradients, substitution_pairs
from hf_robust.interpret.consistency import TOP_K
from hf_robust.interpret.pair_statistics import pair_statistics, sentence_states
from hf_robust.losses import sample_kl
from hf_robust.runs import STATUSES_FILE, finite, read_pairs, read_records
from hf_robust.wiring.checkpoint_attack import load_classifier
from hf_robust.wiring.measured_checkpoint import Checkpoint

BASELINE = "normal"
ATTACK = "textfooler"
MASKING = "gradient_mask"
INTERPRETATION, PAIRS, TRANSITION, CHALLENGE = "interpretation", "pairs", "transition", "challenge"
ATTRIBUTED_PAIRS, STEPS, TOP = 100, 50, 5
MOST_PAIRS, DRAWS = 1000, 10
DIGITS = 6
SEVERAL_PASSES = ("safer", "adpmixup")
"""Methods that predict by several passes: the attacked model is more than the checkpoint."""


@dataclass(frozen=True)
class FinishedRun:
    """Work folders of a run and of the run of ``normal`` with the same seed."""

    folder: Path
    baseline: Path

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the script."""
        arguments: dict[str, Any] = json.loads((self.folder / "_arguments.json").read_text(encoding="utf-8"))
        return arguments

    @cached_property
    def classifier(self) -> tuple[Any, Any]:
        """Model and tokenizer, on the CPU."""
        return load_classifier(str(self.folder), device="cpu")

    @cached_property
    def checkpoints(self) -> tuple[Checkpoint, Checkpoint]:
        """The baseline and the run's model, with their evaluation data."""
        return masked_texts.load(self.baseline, self.arguments), masked_texts.load(self.folder, self.arguments)

    @property
    def max_length(self) -> int:
        """Maximum number of tokens."""
        return int(self.arguments["max_seq_length"])

    @property
    def is_baseline(self) -> bool:
        """Whether the run is that of ``normal``."""
        return self.folder == self.baseline

    def missing(self, kind: str) -> str:
        """Why a measure cannot be taken; empty if it can."""
        method = self.arguments["robust_method"]
        if kind in (TRANSITION, CHALLENGE):
            return self._not_of_masking(kind, method)
        if method in SEVERAL_PASSES:
            return f"{method} predicts by several passes"
        if not (self.folder / "model.safetensors").is_file():
            return f"{self.folder} holds no model"
        for folder in (self.folder, self.baseline):
            if not attack_records(folder, ATTACK).is_file():
                return f"{folder} was not attacked by {ATTACK}"
        return ""

    def _not_of_masking(self, kind: str, method: str) -> str:
        if method != MASKING and not (kind == CHALLENGE and self.is_baseline):
            return f"it is measured of {MASKING} alone"
        return "" if "validation_file" in self.arguments else "its evaluation data is no file"


# ---- interpretation ----


def interpretation(run: FinishedRun) -> dict[str, Any]:
    """Agreement between the attributions of both texts of a pair, on own pairs and on those of ``normal``."""
    on_own_pairs = attribution_agreement(run, attack_records(run.folder, ATTACK))
    on_fixed_pairs = (
        on_own_pairs if run.is_baseline else attribution_agreement(run, attack_records(run.baseline, ATTACK))
    )
    settings = {"attribution": "ig", "steps": STEPS, "baseline": "pad", "ranking": "signed", "pairs": ATTRIBUTED_PAIRS}
    return {"settings": settings, "own": on_own_pairs, "fixed": on_fixed_pairs}


def attribution_agreement(run: FinishedRun, path: Path) -> dict[str, Any]:
    """Kendall's tau and top-k intersection on the pairs of a file of attack records."""
    model, tokenizer = run.classifier
    candidates, counts = substitution_pairs(read_records(path))
    pairs = sample(candidates, ATTRIBUTED_PAIRS)
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
    """A fixed random sample of ``number`` pairs, in their order; equal lists give equal samples."""
    if len(pairs) <= number:
        return list(pairs)
    places = random.Random(0).sample(range(len(pairs)), number)
    return [pairs[place] for place in sorted(places)]


# ---- pairs ----


def pairs(run: FinishedRun) -> dict[str, Any]:
    """Statistics of TaiChi's Table 7, with KL(p(x) || p(x')) of each pair."""
    model, tokenizer = run.classifier
    records = read_pairs(attack_records(run.baseline, ATTACK), limit=MOST_PAIRS)
    texts = [[record.original for record in records], [record.perturbed for record in records]]
    clean, changed = (
        sentence_states(model, tokenizer, side_texts, "mean_pool", run.max_length) for side_texts in texts
    )
    statistics = pair_statistics(clean, changed, [record.label for record in records], draws=DRAWS)
    divergences = sample_kl(clean.logits, changed.logits).tolist()
    by_pair = {str(record.idx): round(value, DIGITS) for record, value in zip(records, divergences, strict=True)}
    return {**statistics.to_json(), "kl_pos_by_pair": by_pair}


# ---- all of it ----

MEASURES: dict[str, Callable[[FinishedRun], dict[str, Any]]] = {
    INTERPRETATION: interpretation,
    PAIRS: pairs,
    TRANSITION: lambda run: masked_texts.transition(*run.checkpoints),
    CHALLENGE: lambda run: masked_texts.challenge(*run.checkpoints),
}


def measure(run: FinishedRun, result: Path, kinds: Sequence[str]) -> list[str]:
    """Write missing measures into the results folder; a line to print for each that was taken or impossible."""
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
    """Measures that an experiment file requests for a setting; default: all.

    Raises:
        SystemExit: it names an unknown measure.
    """
    named: list[str] | dict[str, list[str]] = experiment.get("measures", list(MEASURES))
    unknown = sorted(set(named) - set(MEASURES))
    if unknown:
        raise SystemExit(f"measures names {', '.join(unknown)}; choose from {', '.join(MEASURES)}.")
    return [kind for kind in named if not isinstance(named, dict) or setting in named[kind]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, default=WORK, help="scratch folder of the runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results of finished runs")
    parser.add_argument("--seeds", nargs="+", type=int, help="measure only these seeds")
    parser.add_argument("--only", nargs="+", help="measure only these runs, named by their folders")
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
                print(f"{result.name} is compared with {baseline}, which is not finished")
                continue
            absent = [folder for folder in (run.folder, run.baseline) if not folder.is_dir()]
            if absent:
                print(f"{result.name} is not measured: {absent[0]} does not exist")
                continue
            for line in measure(run, result, kinds_of(experiment, setting)):
                print(line, flush=True)
    if options.results == RESULTS:
        commit()


if __name__ == "__main__":
    main()
