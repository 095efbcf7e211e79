"""What the words behind the cut of a long text cost an attack.

    python -m benchmarks.performance.long_documents [--attacks textfooler ...] [--fixed] [--texts 2]

Attacks texts of 300 and of 5,000 words on a small random model that reads 256 tokens, each attack and length in a
process of its own, and prints seconds, memory that the attack added, and queries of both, with their ratio. With
``--fixed`` (``--attack_fixed``) attacks leave the words behind the cut alone: the ratio of an attack for which they
cost nothing is 1. Without it the recipes that equal TextAttack's try these words, as TextAttack does; their queries
rise with the length.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, set_seed

from benchmarks.architectures.configs import tiny_config
from benchmarks.architectures.vocabularies import train_tokenizer
from hf_robust.attacks import ATTACKS, Attack, Example, Resources, Victim, attack_dataset
from hf_robust.attacks.building import with_bug_fixes
from hf_robust.attacks.models.masked_lm import MaskedLM
from hf_robust.data.demo import demo_rows
from hf_robust.lexicons import load_lexicon
from hf_robust.words import NLTK_STOP_WORDS

LENGTHS, CUT, BUDGET = (300, 5000), 256, 2_000
NAMES = ("synonym", "textfooler", "deepwordbug", "textbugger", "genetic", "iga", "bert_attack", "bae",
         "clare", "hotflip", "input_reduction")  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What an attack on the texts cost: seconds, MB that the process grew by, and queries."""

    seconds: float
    megabytes: float
    queries: int


class LengthTagger:
    """A tagger that needs no data: a word's tag is by its length."""

    name = "by length"

    def __call__(self, tokens: Sequence[str]) -> list[str]:
        return ["NN" if len(token) % 2 else "JJ" for token in tokens]


def build(name: str, fixed: bool) -> tuple[Attack, Victim, list[str]]:
    """The attack, the victim, and the words of the texts."""
    texts = [row["sentence2"] for row in demo_rows("train")]
    tokenizer = train_tokenizer("uncased WordPiece", texts, 400)
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": CUT}
    set_seed(0)
    model = AutoModelForSequenceClassification.from_config(tiny_config("bert", initializer_range=0.3, **sizes))
    filler = MaskedLM(AutoModelForMaskedLM.from_config(tiny_config("bert", **sizes)), tokenizer, "tiny")
    resources = Resources(
        synonyms=load_lexicon("builtin", "synonym"),
        masked_lm=filler,
        stop_words=NLTK_STOP_WORDS,
        tagger=LengthTagger(),
        query_budget=BUDGET,
    )
    attack = ATTACKS[name](resources)
    words = [word for text in texts for word in text.split()]
    victim = Victim(model.eval(), tokenizer, max_length=CUT)
    return with_bug_fixes(attack) if fixed else attack, victim, words


def measure(name: str, length: int, fixed: bool, texts: int) -> Cost:
    """Attack ``texts`` texts of ``length`` words in this process."""
    torch.set_num_threads(1)
    attack, victim, words = build(name, fixed)
    columns = [(" ".join(random.Random(number).choices(words, k=length)),) for number in range(texts)]
    labels = victim.probabilities(columns).argmax(-1).tolist()
    examples = [Example(number, *pair) for number, pair in enumerate(zip(columns, labels, strict=True))]
    warm = [example._replace(texts=(" ".join(words[:20]),)) for example in examples[:1]]
    attack_dataset(attack, victim, warm, progress=False, check_candidates=False)
    before, start = _megabytes(), time.perf_counter()
    records = attack_dataset(attack, victim, examples, progress=False)
    return Cost(time.perf_counter() - start, _megabytes() - before, sum(record.queries for record in records))


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured_apart(name: str, length: int, fixed: bool, texts: int) -> Cost:
    """:func:`measure` in a process of its own, whose memory is that of this attack alone."""
    arguments = ["--cell", name, str(length), "--texts", str(texts), *["--fixed"] * fixed]
    command = [sys.executable, "-m", "benchmarks.performance.long_documents", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} on {length} words failed: {done.stderr[-500:]}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure all attacks at both lengths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", nargs="+", choices=NAMES, default=NAMES, metavar="ATTACK")
    parser.add_argument("--fixed", action="store_true", help="as with --attack_fixed")
    parser.add_argument("--texts", type=int, default=2)
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.cell:
        print(json.dumps(asdict(measure(flags.cell[0], int(flags.cell[1]), flags.fixed, flags.texts))))
        return
    print(f"{flags.texts} texts of {' and '.join(map(str, LENGTHS))} words, cut at {CUT} tokens")
    print(f"{'attack':16s} {'seconds':>18s} {'ratio':>6s} {'MB':>16s} {'queries':>18s} {'ratio':>6s}")
    for name in flags.attacks:
        short, long = (measured_apart(name, length, flags.fixed, flags.texts) for length in LENGTHS)
        print(
            f"{name:16s} {short.seconds:8.2f} {long.seconds:9.2f} {long.seconds / short.seconds:6.1f} "
            f"{short.megabytes:7.0f} {long.megabytes:8.0f} {short.queries:8,d} {long.queries:9,d} "
            f"{long.queries / max(short.queries, 1):6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
