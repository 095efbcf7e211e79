"""Throughput of the attacks: this package's engine, the bare model, and TextAttack on the same examples and victim.

    pip install --no-deps -r requirements-textattack.txt
    python -m benchmarks.performance.throughput --model DIR --data FILE --recipes textfooler pwws \
        --against textattack --num 40 --rounds 2 --lexicon counterfitted.json.gz --scale 100 1000 --output FILE

All sides take turns in each round, in reversed order every second round, so that other work on the machine slows all
of them. The attacked examples are rows that the model classifies correctly. The bound is one forward of every distinct
token sequence of the engine's run through the model alone, at the fastest token budget. TextAttack runs as shipped
(each query padded to the tokenizer's ``model_max_length``; few examples, compared by seconds per query), with
``model_max_length`` set to the longest row of the data, and with a wrapper that pads to the longest text of a call.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.performance.identity import UNCOUNTED, add_attack_flags, errors_as_sentences
from benchmarks.performance.stopwatch import CLOCKS, Row, load_average, machine, mean_row, ratio_of_times
from benchmarks.performance.throughput_options import RECIPE, compare_options, grow
from benchmarks.performance.throughput_runs import (
    CPU_BUDGETS,
    GPU_BUDGETS,
    Bound,
    Case,
    RecordingVictim,
    TimedPlans,
    fastest,
    native,
    textattack,
)
from benchmarks.performance.throughput_tables import tables
from hf_robust.attacks import ATTACKS, AttackArguments, Example, Victim, choose_examples
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.attacks.resources import FlaggedResources
from hf_robust.attacks.textattack.importing import import_textattack, textattack_version
from hf_robust.data.label_order import find_labels
from hf_robust.data.length import usable_length
from hf_robust.data.load import load_corpus
from hf_robust.data.splits import Splits
from hf_robust.metrics import AttackRecord
from hf_robust.runs import versions
from hf_robust.wiring.checkpoint_attack import AttackOptions, data_arguments, load_classifier

SHIPPED_LENGTH = 512
NATIVE = ("native first", "native plan kept")
PADDED = {"TextAttack as shipped": "shipped", "TextAttack data length": "data", "TextAttack dynamic": None}
_CHUNK = 64


class Measurement:
    """All runs of one recipe, round by round."""

    def __init__(
        self, case: Case, name: str, args: argparse.Namespace, lengths: dict[str, int], against: bool
    ) -> None:
        self.case, self.name, self.args, self.lengths, self.against = case, name, args, lengths, against
        self.runs: dict[str, list[Row]] = {}
        self.records: dict[str, list[AttackRecord]] = {}
        self.bounds: dict[str, dict[int, list[Row]]] = {}
        self.recorder: RecordingVictim = case.new_victim()

    def result(self) -> Row:
        """Mean rows, seconds of each round, the bound and ratios, JSON-ready."""
        for turn in range(self.args.rounds):
            steps: list[Callable[[], None]] = [partial(self._engine, turn), self._bounds]
            if self.against:
                steps.append(self._textattack)
            for step in steps[:: -1 if turn % 2 else 1]:
                step()
        means = {label: mean_row(rows) for label, rows in self.runs.items()}
        return {
            "recipe": self.name,
            "runs": means,
            "rounds": {
                label: {clock: [row[clock] for row in rows] for clock in CLOCKS} for label, rows in self.runs.items()
            },
            **self._bound_result(means),
            "ratios": self._ratios(means),
            "agreeing": self._agreeing(),
            "queries_compared": self.name not in UNCOUNTED,
        }

    def _engine(self, turn: int) -> None:
        attack, plans = self.case.recipe(self.name), TimedPlans()
        self._add(NATIVE[0], native(self.case, attack, plans=plans, victim=None if turn else self.recorder))
        self._add(NATIVE[1], native(self.case, attack, plans=plans))
        self._add("native one at a time", native(self.case, attack, one_at_a_time=True))

    def _bounds(self) -> None:
        bound = Bound(self.case.victim, self.recorder.recorded.values())
        others = {f"{count} threads": {"threads": count} for count in self.args.threads[1:]}
        ways: dict[str, dict[str, Any]] = {"packed": {}, "equal lengths": {"equal_lengths": True}, **others}
        for budget in self.args.budgets:
            for way, options in ways.items():
                self.bounds.setdefault(way, {}).setdefault(budget, []).append(bound.run(budget, **options))

    def _textattack(self) -> None:
        for label, padded in PADDED.items():
            few = self.case.examples[: self.args.shipped_num] if padded == "shipped" else self.case.examples
            length = None if padded is None else self.lengths[padded]
            self._add(label, textattack(self.case, self.name, few, length))

    def _add(self, label: str, run: tuple[Row, list[AttackRecord]]) -> None:
        self.runs.setdefault(label, []).append(run[0])
        self.records[label] = run[1]
        print(f"{self.name}: {label}, {run[0]['queries']} queries, {run[0]['seconds']:.1f} s", flush=True)

    def _bound_result(self, means: dict[str, Row]) -> Row:
        best = {way: fastest(rounds) for way, rounds in self.bounds.items()}
        budget, row = best["packed"]
        return {
            "bound": {**row, "budget": budget, "forwarded_each": means[NATIVE[0]]["forwarded"] / row["sequences"]},
            "bound_ideas": {
                way: {**row_of_way, "seconds_ratio": ratio_of_times(row_of_way, row)}
                for way, (_, row_of_way) in best.items()
            },
            "bound_budgets": {
                way: [mean_row(rows) for rows in rounds.values()] for way, rounds in self.bounds.items()
            },
        }

    def _ratios(self, means: dict[str, Row]) -> Row:
        _, bound = fastest(self.bounds["packed"])
        first, plan_kept = (means[label] for label in NATIVE)
        ratios = {f"{label} / bound": ratio_of_times(means[label], bound) for label in NATIVE}
        for label, padded in PADDED.items():
            if label in means:
                per = "queries" if padded == "shipped" else None
                ratios |= {
                    f"{label} / {label_here}": ratio_of_times(means[label], means[label_here], per)
                    for label_here in NATIVE
                }
        single = "native one at a time"
        if "TextAttack dynamic" in means:
            ratios[f"TextAttack dynamic / {single}"] = ratio_of_times(means["TextAttack dynamic"], means[single])
        return ratios | {"plan kept / first": ratio_of_times(plan_kept, first)}

    def _agreeing(self) -> Row:
        """Run -> number of examples that end with the same status and text as in the first run."""
        first = {record.idx: record for record in self.records[NATIVE[0]]}
        return {
            label: sum(
                (record.status, record.perturbed) == (first[record.idx].status, first[record.idx].perturbed)
                for record in records
            )
            for label, records in self.records.items()
        }


def prepare(args: argparse.Namespace) -> tuple[Case, list[Example], dict[str, int]]:
    """Load the case to attack, all rows of the data, and the lengths to which TextAttack pads."""
    model, tokenizer = load_classifier(args.model, args.device)
    options = AttackOptions(args.model, Path("."), args.data, max_seq_length=args.max_length, device=args.device)
    arguments = data_arguments(options, args.data)
    corpus = load_corpus(arguments)
    splits = Splits(corpus, find_labels(corpus, arguments, model.config, training=False), tokenizer, arguments)
    rows = choose_examples(splits.labelled("validation"), 0, args.seed)
    victim = Victim(model, tokenizer, max_length=splits.max_length)
    flags = AttackArguments(
        attacks=args.recipes,
        lexicon=args.lexicon,
        pos_tagger=args.pos_tagger,
        sentence_encoder=args.sentence_encoder,
        masked_lm=args.masked_lm,
        word_vectors=args.word_vectors,
        language_model=args.language_model,
        attack_query_budget=args.query_budget,
        attack_seed=args.seed,
    )
    case = Case(
        victim,
        correct_examples(victim, rows, args.num, args.seed),
        tuple(splits.text_columns),
        FlaggedResources(flags),
        args.seed,
    )
    longest = max(
        len(encoded.ids) for encoded in TextTokenizer(tokenizer, splits.max_length).encode([row.texts for row in rows])
    )
    shipped = min(SHIPPED_LENGTH, usable_length(tokenizer, model.config) or SHIPPED_LENGTH)
    return case, rows, {"shipped": shipped, "data": longest}


def correct_examples(victim: Victim, rows: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Draw ``count`` rows that the model classifies correctly; 0: all of them.

    Raises:
        ValueError: there are fewer such rows, or none.
    """
    drawn, correct = random.Random(seed).sample(list(rows), len(rows)), []
    for start in range(0, len(drawn), _CHUNK):
        part = drawn[start : start + _CHUNK]
        predicted = victim.probabilities([row.texts for row in part]).argmax(-1)
        correct += [row for row, label in zip(part, predicted, strict=True) if row.label == label]
        if 0 < count <= len(correct):
            return correct[:count]
    if not correct or count > 0:
        raise ValueError(f"--num asks for {count} examples, but the model classifies only {len(correct)} correctly.")
    return correct


def can_run_textattack(against: str | None) -> bool:
    """Whether TextAttack is requested and can be imported; prints why if it cannot."""
    if against is None:
        return False
    try:
        import_textattack()
    except ValueError as error:
        print(f"TextAttack is left out: {error}")
        return False
    return True


def measure(args: argparse.Namespace) -> Row:
    """All measurements, as one JSON-ready dict."""
    start, load = time.perf_counter(), load_average()
    torch.set_num_threads(args.threads[0])
    case, rows, lengths = prepare(args)
    device = case.victim.device
    args.budgets = args.budgets or list(CPU_BUDGETS if device.type == "cpu" else GPU_BUDGETS)
    against = can_run_textattack(args.against)
    # Warm-up: the first forwards of a process are slower.
    case.new_victim().probabilities([example.texts for example in case.examples])
    results = []
    for name in args.recipes:
        with_textattack = against and _is_set_up(name)
        results.append(Measurement(case, name, args, lengths, with_textattack).result())
    options = [row for name in args.recipes for row in compare_options(case, name, args.rounds, args.warm_noise)]
    scale = grow(case, rows, args.scale) if args.scale else []
    return {
        "settings": settings(args),
        "versions": versions() | {"textattack": textattack_version() if against else "not run"},
        "machine": machine(device),
        "load_average": {"start": load, "end": load_average()},
        "seconds": time.perf_counter() - start,
        "examples": len(case.examples),
        "padded_to": lengths,
        "recipes": results,
        "options": options,
        "scale": scale,
    }


def _is_set_up(name: str) -> bool:
    from benchmarks.performance.textattack_recipes import BUILDERS

    if name not in BUILDERS:
        print(f"TextAttack is left out for {name}: textattack_recipes.py does not have the recipe.")
    return name in BUILDERS


def settings(args: argparse.Namespace) -> Row:
    """Flags with names in place of this machine's paths."""
    plain = {key: Path(value).name if isinstance(value, str) else value for key, value in vars(args).items()}
    return {key: value for key, value in plain.items() if key != "output"}


def add_result(path: Path, title: str, result: Row) -> dict[str, Row]:
    """Write the result under its title into a JSON file that keeps its other results, and return all."""
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results: dict[str, Row] = earlier | {title: result}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return results


def add_titled_flags(parser: argparse.ArgumentParser, num: int) -> None:
    """Flags of a benchmark whose result is added to a file under a title; ``num`` is the default of examples."""
    parser.add_argument("--model", required=True, help="folder or Hub id of a classifier")
    parser.add_argument("--data", required=True, help="labelled file of texts")
    parser.add_argument("--num", type=int, default=num, help="number of correctly classified examples")
    add_attack_flags(parser)
    parser.add_argument("--title", default="model", help="name of the model in the result")
    parser.add_argument("--output", type=Path, help="JSON file, to which the result is added under its title")


def run_titled(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    measured: Callable[[argparse.Namespace], Row],
    shown: Callable[[dict[str, Row]], str],
) -> int:
    """Measure, add the result to the file, and print the table of all results; the threads are set back."""
    args, threads = parser.parse_args(argv), torch.get_num_threads()
    try:
        with errors_as_sentences(parser):
            result = measured(args)
    finally:
        torch.set_num_threads(threads)
    print(shown(add_result(args.output, args.title, result) if args.output else {args.title: result}))
    return 0


def parse(argv: Sequence[str] | None = None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Parse and check the flags; returns the parser too, for later errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", required=True, help="folder or Hub id of a classifier")
    parser.add_argument("--data", required=True, help="labelled file of texts")
    parser.add_argument("--recipes", nargs="+", required=True, choices=list(ATTACKS), metavar="RECIPE")
    parser.add_argument("--against", choices=("textattack",), help="also run TextAttack")
    parser.add_argument("--num", type=int, default=40, help="number of correctly classified examples; 0: all")
    parser.add_argument("--shipped_num", type=int, default=4, help="number of examples for TextAttack as shipped")
    parser.add_argument("--rounds", type=int, default=2, help="rounds; rows are means over them")
    parser.add_argument(
        "--scale", type=int, nargs="+", default=[], help=f"also attack by {RECIPE} on these numbers of examples"
    )
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=[torch.get_num_threads()],
        help="threads; more than one: of the bound",
    )
    parser.add_argument("--budgets", type=int, nargs="+", help="token budgets that the bound tries")
    parser.add_argument("--warm_noise", type=float, default=0.05, help="noise of the model behind --attack_warm_start")
    add_attack_flags(parser)
    parser.add_argument("--output", type=Path, help="JSON file of the result")
    args = parser.parse_args(argv)
    positive = {"shipped_num": [args.shipped_num], "rounds": [args.rounds], "scale": args.scale}
    positive |= {"threads": args.threads, "budgets": args.budgets or []}
    for flag, values in positive.items():
        if any(value < 1 for value in values):
            parser.error(f"--{flag} must be at least 1, got {' '.join(map(str, values))}.")
    return parser, args


def main(argv: Sequence[str] | None = None) -> int:
    parser, args = parse(argv)
    threads = torch.get_num_threads()
    try:
        with errors_as_sentences(parser):
            result = measure(args)
    finally:
        torch.set_num_threads(threads)
    print(tables(result))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
