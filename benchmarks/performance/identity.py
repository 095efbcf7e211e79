"""TextAttack (A) and this package's engine (B) on the same examples, victim and resources: every disagreement.

    pip install --no-deps -r requirements-textattack.txt
    python benchmarks/attack_identity.py --model DIR --data FILE --pair_model DIR --pairs FILE \
        --recipes textfooler pwws deepwordbug textbugger --num 200 --lexicon counterfitted.json.gz --output FILE

An example agrees where status, final text and number of queries are the same. Where they are not, both sides attack
it again with scores from one table, so that equal tokens have equal scores on both: if they then agree, float noise of
batching made the difference and the verdict is ``noise``; else it is ``DISAGREES``. With ``--stock`` A is asked
through TextAttack's own wrapper, padded to ``--max_length``, instead of ours.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hf_robust.attacks import (
    ATTACKS,
    Example,
    Resources,
    Victim,
    attack_dataset,
    choose_examples,
    load_encoder,
    load_masked_lm,
)
from hf_robust.attacks.engine.requests import Floats, Scores
from hf_robust.attacks.textattack.importing import import_textattack, textattack_version
from hf_robust.data.label_order import find_labels
from hf_robust.data.load import load_corpus
from hf_robust.data.splits import Splits
from hf_robust.lexicons import load_lexicon
from hf_robust.metrics import AttackRecord
from hf_robust.runs import redact
from hf_robust.wiring.checkpoint_attack import AttackOptions, data_arguments, load_classifier
from hf_robust.words import TEXTATTACK_WORDS, nltk_stop_words, nltk_tagger

UNCOUNTED = ("synonym",)
"""Native recipes that rank fewer words than TextAttack, by design: their queries are not compared."""


class SharedVictim(Victim):
    """A victim whose scores are taken from one table by token sequence, whoever asks and in whichever batch."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._table: dict[bytes, Floats] = {}

    def score(self, texts: Sequence[tuple[str, ...]]) -> Scores:
        scores = super().score(texts)
        if not scores.sequences:
            return scores
        rows = [
            self._table.setdefault(key, row) for key, row in zip(scores.sequences, scores.probabilities, strict=True)
        ]
        return Scores(np.stack(rows), scores.sequences, scores.seconds)


class Sides:
    """Both sides of one recipe on one victim and one set of columns."""

    def __init__(self, name: str, args: argparse.Namespace, resources: Resources, columns: tuple[str, ...]) -> None:
        self.name, self.args, self.resources, self.columns = name, args, resources, columns
        # `synonym` has words and scores of its own, and is TextAttack's in all else.
        self.native = replace(ATTACKS[name](resources), word_rule=TEXTATTACK_WORDS, scores="probability")

    def a(self, victim: Victim, examples: Sequence[Example], stock: bool = False) -> list[AttackRecord]:
        from benchmarks.performance.textattack_recipes import SideA, side_a

        recipe = side_a(self.name, SideA(self.resources, victim, masked_lm=self.args.masked_lm), self.columns)
        if stock:
            wrappers = import_textattack().models.wrappers
            recipe.attack.goal_function.model = wrappers.HuggingFaceModelWrapper(victim.model, victim.tokenizer)
        with victim.measuring(self.args.seed):
            found = recipe.run(victim, examples, self.args.seed)
            return list(tqdm(found, total=len(examples), desc=f"A {self.name}", leave=False))

    def b(self, victim: Victim, examples: Sequence[Example]) -> list[AttackRecord]:
        return attack_dataset(self.native, victim, examples, seed=self.args.seed, progress=False)


def difference(name: str, a: AttackRecord, b: AttackRecord) -> list[str]:
    """Which of status, final text and number of queries differ."""
    parts = ["status", "perturbed"] + ["queries"] * (name not in UNCOUNTED)
    return [part for part in parts if getattr(a, part) != getattr(b, part)]


def compare(sides: Sides, victim: Victim, shared: Victim, examples: list[Example]) -> dict[str, Any]:
    """Attack the examples from both sides and judge what differs; JSON-ready."""
    start = time.perf_counter()
    of_a = sides.a(victim, examples, sides.args.stock)
    middle = time.perf_counter()
    of_b = sides.b(victim, examples)
    end = time.perf_counter()
    found = []
    for example, a, b in zip(examples, of_a, of_b, strict=True):
        parts = difference(sides.name, a, b)
        if parts:
            again = difference(sides.name, *(side(shared, [example])[0] for side in (sides.a, sides.b)))
            verdict = "DISAGREES" if again else "noise"
            kept = {side: one.to_json() for side, one in (("a", a), ("b", b))}
            found.append({"idx": example.idx, "verdict": verdict, "differs": parts, "still_differs": again, **kept})
            print_one(sides.name, found[-1])
    statuses = [record.status for record in of_b]
    return {
        "recipe": sides.name,
        "examples": len(examples),
        "attacked": len(examples) - statuses.count("skipped"),
        "succeeded": statuses.count("succeeded"),
        "queries_a": sum(record.queries for record in of_a),
        "queries_b": sum(record.queries for record in of_b),
        "queries_compared": sides.name not in UNCOUNTED,
        "agree": len(examples) - len(found),
        "noise": sum(one["verdict"] == "noise" for one in found),
        "disagrees": sum(one["verdict"] == "DISAGREES" for one in found),
        "near_ties_b": sum(record.near_ties for record in of_b),
        "seconds_a": round(middle - start, 2),
        "seconds_b": round(end - middle, 2),
        "attack_b": redact(sides.native.describe()),
        "disagreements": found,
    }


def without_texts(result: dict[str, Any]) -> dict[str, Any]:
    """The result with numbers alone in its disagreements: data sets may not be published again."""
    kept = ("status", "queries", "original_score", "perturbed_score", "stop", "near_ties")
    found = [
        {**one, **{side: {key: one[side][key] for key in kept} for side in ("a", "b")}}
        for one in result["disagreements"]
    ]
    return {**result, "disagreements": found}


def print_one(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}, example {found['idx']}: {found['verdict']} in {', '.join(found['differs'])}")
    for side in ("a", "b"):
        one = found[side]
        text = " | ".join(one["perturbed"])
        print(f"  {side.upper()} {one['status']:<9} {one['queries']:>5} queries  near ties {one['near_ties']}  {text}")


def examples_of(model: str, data: str, args: argparse.Namespace) -> tuple[Victim, Victim, list[Example], Any]:
    """The victim, its twin that shares scores, the examples, and the names of the text columns."""
    options = AttackOptions(model, Path("."), data, max_seq_length=args.max_length, device=args.device)
    classifier, tokenizer = load_classifier(model, args.device)
    arguments = data_arguments(options, data)
    corpus = load_corpus(arguments)
    splits = Splits(corpus, find_labels(corpus, arguments, classifier.config, training=False), tokenizer, arguments)
    examples = choose_examples(splits.labelled("validation"), args.num, args.seed)
    if args.stock:
        tokenizer.model_max_length = splits.max_length
    both = (kind(classifier, tokenizer, max_length=splits.max_length) for kind in (Victim, SharedVictim))
    return *both, examples, tuple(splits.text_columns)


def runs(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    lexicon = load_lexicon(args.lexicon)
    wordnet: Any = load_lexicon("wordnet") if "pwws" in args.recipes else None
    masked_lm = load_masked_lm(args.masked_lm) if args.masked_lm else None
    tagger = nltk_tagger() if args.pos_tagger == "nltk" else None
    encoder = load_encoder(args.sentence_encoder) if args.sentence_encoder else None
    given = [pair for pair in ((args.model, args.data), (args.pair_model, args.pairs)) if pair[1]]
    # All are loaded before the first is attacked: a missing model must not end a long run.
    for (model, data), loaded in [(pair, examples_of(*pair, args)) for pair in given]:
        victim, shared, examples, columns = loaded
        for name in args.recipes:
            parts = Resources(
                synonyms=lexicon,
                thesaurus=wordnet,
                stop_words=nltk_stop_words(),
                tagger=tagger,
                encoder=encoder,
                masked_lm=masked_lm,
                query_budget=args.query_budget,
                seed=args.seed,
            )
            result = compare(Sides(name, args, parts, columns), victim, shared, examples)
            print(
                f"{Path(data).parent.name}/{Path(data).name} {name}: {result['agree']} of {result['examples']} agree, "
                f"{result['noise']} noise, {result['disagrees']} DISAGREE; A {result['seconds_a']} s, "
                f"B {result['seconds_b']} s"
            )
            yield {"model": Path(model).name, "data": f"{Path(data).parent.name}/{Path(data).name}", **result}


@contextmanager
def errors_as_sentences(parser: argparse.ArgumentParser) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        parser.error(str(error))


def parse(argv: Sequence[str] | None = None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="classifier of single texts")
    parser.add_argument("--data", help="labelled file of single texts")
    parser.add_argument("--pair_model", help="classifier of pairs")
    parser.add_argument("--pairs", help="labelled file of pairs")
    parser.add_argument("--recipes", nargs="+", required=True)
    parser.add_argument("--num", type=int, default=200, help="examples of each file; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lexicon", default="wordnet", help="synonyms of both sides; pwws takes WordNet")
    parser.add_argument("--sentence_encoder", help="similarity of both sides; left out by default")
    parser.add_argument("--masked_lm", help="folder of the masked language model of bae")
    parser.add_argument("--pos_tagger", choices=("nltk", "none"), default="nltk")
    parser.add_argument("--query_budget", type=int)
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--device")
    parser.add_argument("--stock", action="store_true", help="ask A through TextAttack's own wrapper")
    parser.add_argument("--output", type=Path, help="JSON summary")
    parser.add_argument("--without_texts", action="store_true", help="write no text of the data into --output")
    args = parser.parse_args(argv)
    if (
        bool(args.model) != bool(args.data)
        or bool(args.pair_model) != bool(args.pairs)
        or not (args.data or args.pairs)
    ):
        parser.error("--model and --data go together, --pair_model and --pairs too, and one of them is needed.")
    unknown = [name for name in args.recipes if name not in ATTACKS]
    if unknown:
        parser.error(f"--recipes {' '.join(unknown)} is no native attack; there are {', '.join(ATTACKS)}.")
    return parser, args


def main(argv: Sequence[str] | None = None) -> int:
    """0 where nothing disagrees but by noise. What is done is written after each recipe."""
    parser, args = parse(argv)
    results: list[dict[str, Any]] = []
    with errors_as_sentences(parser):
        import_textattack()
        for result in runs(args):
            results.append(without_texts(result) if args.without_texts else result)
            write(args, results)
    left = sum(result["disagrees"] for result in results)
    print(f"{left} disagreements that noise does not explain." if left else "No disagreement that is not noise.")
    return int(bool(left))


def write(args: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    """The JSON summary: names instead of paths, since it is for people on other machines."""
    if args.output is None:
        return
    settings = {key: Path(value).name if isinstance(value, str) else value for key, value in vars(args).items()}
    kept = {key: value for key, value in settings.items() if key not in ("output", "without_texts")}
    summary = {"textattack": textattack_version(), "settings": kept, "results": results}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
