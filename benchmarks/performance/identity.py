"""Compares TextAttack (A) with this package's engine (B) on the same examples, victim and resources.

    pip install --no-deps -r requirements-textattack.txt
    python -m benchmarks.performance.identity --model DIR --data FILE --pair_model DIR --pairs FILE \
        --recipes textfooler pwws deepwordbug textbugger --num 200 --lexicon counterfitted.json.gz --output FILE

An example agrees if status, final text and number of queries are equal. If not, both sides attack it again with scores
from one shared table, so that equal tokens have equal scores. If they then agree, float noise of batching made the
difference and the verdict is ``noise``; otherwise it is ``DISAGREES``. With ``--stock`` side A uses TextAttack's own
model wrapper, padded to ``--max_length``, instead of ours.
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
from hf_robust.attacks.models.language_model import load_language_model
from hf_robust.attacks.parts.word_distance import load_word_vectors
from hf_robust.attacks.resources import READ_WORDNET
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
"""Native recipes that rank fewer words than TextAttack by design; their numbers of queries are not compared."""


class SharedVictim(Victim):
    """A victim that gives a token sequence the same score in every batch and on both sides, from one table."""

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
        # `synonym` differs from TextAttack in its word rule and scores alone.
        self.native = replace(ATTACKS[name](resources), word_rule=TEXTATTACK_WORDS, scores="probability")

    def a(self, victim: Victim, examples: Sequence[Example], stock: bool = False) -> list[AttackRecord]:
        """Records of TextAttack; with ``stock`` through its own model wrapper."""
        from benchmarks.performance.textattack_recipes import SideA, side_a

        recipe = side_a(self.name, SideA(self.resources, victim), self.columns)
        if stock:
            wrappers = import_textattack().models.wrappers
            recipe.attack.goal_function.model = wrappers.HuggingFaceModelWrapper(victim.model, victim.tokenizer)
        with victim.measuring(self.args.seed):
            records = recipe.run(victim, examples, self.args.seed)
            return list(tqdm(records, total=len(examples), desc=f"A {self.name}", leave=False))

    def b(self, victim: Victim, examples: Sequence[Example]) -> list[AttackRecord]:
        """Records of this package's engine."""
        return attack_dataset(self.native, victim, examples, seed=self.args.seed, progress=False)


def difference(name: str, a: AttackRecord, b: AttackRecord) -> list[str]:
    """Which of status, final text and number of queries differ."""
    parts = ["status", "perturbed"] + ["queries"] * (name not in UNCOUNTED)
    return [part for part in parts if getattr(a, part) != getattr(b, part)]


def compare(sides: Sides, victim: Victim, shared: Victim, examples: list[Example]) -> dict[str, Any]:
    """Attack the examples on both sides and give each difference a verdict; JSON-ready."""
    start = time.perf_counter()
    of_a = sides.a(victim, examples, sides.args.stock)
    middle = time.perf_counter()
    of_b = sides.b(victim, examples)
    end = time.perf_counter()
    disagreements = []
    for example, a, b in zip(examples, of_a, of_b, strict=True):
        parts = difference(sides.name, a, b)
        if parts:
            still_different = difference(sides.name, *(side(shared, [example])[0] for side in (sides.a, sides.b)))
            verdict = "DISAGREES" if still_different else "noise"
            records = {side: record.to_json() for side, record in (("a", a), ("b", b))}
            disagreements.append(
                {"idx": example.idx, "verdict": verdict, "differs": parts, "still_differs": still_different, **records}
            )
            print_disagreement(sides.name, disagreements[-1])
    statuses = [record.status for record in of_b]
    return {
        "recipe": sides.name,
        "examples": len(examples),
        "attacked": len(examples) - statuses.count("skipped"),
        "succeeded": statuses.count("succeeded"),
        "queries_a": sum(record.queries for record in of_a),
        "queries_b": sum(record.queries for record in of_b),
        "queries_compared": sides.name not in UNCOUNTED,
        "agree": len(examples) - len(disagreements),
        "noise": sum(record["verdict"] == "noise" for record in disagreements),
        "disagrees": sum(record["verdict"] == "DISAGREES" for record in disagreements),
        "near_ties_b": sum(record.near_ties for record in of_b),
        "seconds_a": round(middle - start, 2),
        "seconds_b": round(end - middle, 2),
        "attack_b": redact(sides.native.describe()),
        "disagreements": disagreements,
    }


def without_texts(result: dict[str, Any]) -> dict[str, Any]:
    """The result without texts in its disagreements, since the data sets may not be republished."""
    numbers = ("status", "queries", "original_score", "perturbed_score", "stop", "near_ties")
    disagreements = [
        {**disagreement, **{side: {key: disagreement[side][key] for key in numbers} for side in ("a", "b")}}
        for disagreement in result["disagreements"]
    ]
    return {**result, "disagreements": disagreements}


def print_disagreement(name: str, disagreement: dict[str, Any]) -> None:
    """Print both records of an example that differs."""
    print(
        f"\n{name}, example {disagreement['idx']}: {disagreement['verdict']} in {', '.join(disagreement['differs'])}"
    )
    for side in ("a", "b"):
        record = disagreement[side]
        text = " | ".join(record["perturbed"])
        print(
            f"  {side.upper()} {record['status']:<9} {record['queries']:>5} queries  "
            f"near ties {record['near_ties']}  {text}"
        )


def load_case(model: str, data: str, args: argparse.Namespace) -> tuple[Victim, Victim, list[Example], Any]:
    """Load the victim, its twin with shared scores, the examples, and the names of the text columns."""
    options = AttackOptions(model, Path("."), data, max_seq_length=args.max_length, device=args.device)
    classifier, tokenizer = load_classifier(model, args.device)
    arguments = data_arguments(options, data)
    corpus = load_corpus(arguments)
    splits = Splits(corpus, find_labels(corpus, arguments, classifier.config, training=False), tokenizer, arguments)
    examples = choose_examples(splits.labelled("validation"), args.num, args.seed)
    if args.stock:
        tokenizer.model_max_length = splits.max_length
    victims = (kind(classifier, tokenizer, max_length=splits.max_length) for kind in (Victim, SharedVictim))
    return *victims, examples, tuple(splits.text_columns)


def runs(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The comparison of each recipe on each pair of a model and a file."""
    lexicon = load_lexicon(args.lexicon)
    wordnet: Any = load_lexicon("wordnet") if {*READ_WORDNET, "leap"} & set(args.recipes) else None
    masked_lm = load_masked_lm(args.masked_lm) if args.masked_lm else None
    tagger = nltk_tagger() if args.pos_tagger == "nltk" else None
    encoder = load_encoder(args.sentence_encoder) if args.sentence_encoder else None
    word_vectors = load_word_vectors(args.word_vectors) if args.word_vectors else None
    language_model = load_language_model(args.language_model) if args.language_model else None
    similar = load_lexicon(args.similar_characters) if args.similar_characters else None
    pairs = [pair for pair in ((args.model, args.data), (args.pair_model, args.pairs)) if pair[1]]
    # Load everything before the first attack, so that a missing model does not end a long run.
    for (model, data), loaded in [(pair, load_case(*pair, args)) for pair in pairs]:
        victim, shared, examples, columns = loaded
        for name in args.recipes:
            parts = Resources(
                synonyms=lexicon,
                thesaurus=wordnet,
                stop_words=nltk_stop_words(),
                tagger=tagger,
                encoder=encoder,
                masked_lm=masked_lm,
                word_vectors=word_vectors,
                language_model=language_model,
                similar_characters=similar,
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
    """Turn a ValueError into a usage error of one line."""
    try:
        yield
    except ValueError as error:
        parser.error(str(error))


def add_attack_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of the attacks that both sides run, shared with the throughput benchmark."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lexicon", default="wordnet", help="lexicon of synonyms for both sides; pwws uses WordNet")
    parser.add_argument("--sentence_encoder", help="sentence encoder for both sides; default: none")
    parser.add_argument("--masked_lm", help="folder of the masked language model for bae and bert_attack")
    parser.add_argument("--word_vectors", help="file of word vectors for kuleshov; default: none")
    parser.add_argument("--language_model", help="folder of the causal language model for kuleshov; default: none")
    parser.add_argument("--pos_tagger", choices=("nltk", "none"), default="nltk")
    parser.add_argument("--query_budget", type=int)
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--device")


def parse(argv: Sequence[str] | None = None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Parse and check the flags; returns the parser too, for later errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="classifier of single texts")
    parser.add_argument("--data", help="labelled file of single texts")
    parser.add_argument("--pair_model", help="classifier of pairs")
    parser.add_argument("--pairs", help="labelled file of pairs")
    parser.add_argument("--recipes", nargs="+", required=True)
    parser.add_argument("--num", type=int, default=200, help="number of examples of each file; 0: all")
    add_attack_flags(parser)
    parser.add_argument("--similar_characters", help="JSON table for chinese, whose other swaps are left out")
    parser.add_argument("--stock", action="store_true", help="use TextAttack's own model wrapper for A")
    parser.add_argument("--output", type=Path, help="file of the JSON summary")
    parser.add_argument("--without_texts", action="store_true", help="leave the data's texts out of --output")
    args = parser.parse_args(argv)
    if (
        bool(args.model) != bool(args.data)
        or bool(args.pair_model) != bool(args.pairs)
        or not (args.data or args.pairs)
    ):
        parser.error("give --model with --data, or --pair_model with --pairs, or all four.")
    unknown = [name for name in args.recipes if name not in ATTACKS]
    if unknown:
        parser.error(f"--recipes {' '.join(unknown)} is no native attack; choose from {', '.join(ATTACKS)}.")
    return parser, args


def main(argv: Sequence[str] | None = None) -> int:
    """Compare all recipes and write the results after each; returns 0 if all differences are noise."""
    parser, args = parse(argv)
    results: list[dict[str, Any]] = []
    with errors_as_sentences(parser):
        import_textattack()
        for result in runs(args):
            results.append(without_texts(result) if args.without_texts else result)
            write(args, results)
    left = sum(result["disagrees"] for result in results)
    print(f"{left} disagreements are not explained by noise." if left else "All differences are noise.")
    return int(bool(left))


def write(args: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    """Write the JSON summary with names in place of this machine's paths."""
    if args.output is None:
        return
    settings = {key: Path(value).name if isinstance(value, str) else value for key, value in vars(args).items()}
    shown = {key: value for key, value in settings.items() if key not in ("output", "without_texts")}
    summary = {"textattack": textattack_version(), "settings": shown, "results": results}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
