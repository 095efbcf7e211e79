"""Commands that several ranks share, and the files that they read; run by torchrun, all of them in one start.

Usage: shared_commands.py FOLDER. What each command writes is in FOLDER/out/<name>.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from interpret.interpret_parts import review_records
from tiny import SYNONYMS, build_model, build_tokenizer, review_rows

from hf_robust.cli.main import run_command
from hf_robust.cli.ranks import on_ranks
from hf_robust.runs import Ranks, write_records

CLOSED = {"good": ["fine", "great"], "fine": ["good", "great"], "great": ["good", "fine"], "film": ["movie"]}
VICTIM = """
import os, time

def predict(texts):
    if os.environ.get("RANK") == os.environ.get("FAILING_RANK", "none"):
        raise OSError("the endpoint is down")
    time.sleep(float(os.environ.get("SECONDS_A_CALL", "0")))
    chances = [1 / (1 + 2.0 ** sum((len(word) % 3) - 1 for word in text.split())) for text in texts]
    return [[chance, 1 - chance] for chance in chances]

predict.class_names = ["bad", "good"]
"""


def write_inputs(folder: Path) -> None:
    """Write a model, data, a table, results of an attack, and a module with a function to attack."""
    build_model().save_pretrained(folder / "model")
    build_tokenizer().save_pretrained(folder / "model")
    rows = review_rows(30)
    (folder / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "synonyms.json").write_text(json.dumps(SYNONYMS))
    (folder / "closed.json").write_text(json.dumps(CLOSED))
    (folder / "endpoint.py").write_text(VICTIM)
    write_records(folder / "run" / "attack_results" / "textfooler.jsonl", review_records())


def attack_of_function(folder: Path, out: Path) -> list[str]:
    flags = ["--data", str(folder / "reviews.jsonl"), "--lexicon", str(folder / "synonyms.json")]
    quiet = ["--pos_tagger", "none", "--output_dir", str(out)]
    return [
        "attack",
        "--victim",
        "endpoint:predict",
        *flags,
        *quiet,
        "--attacks",
        "textfooler",
        "--victim_batch_size",
        "4",
    ]


def commands(folder: Path, out: Path) -> dict[str, list[str]]:
    """The commands by name; each writes to a folder of this name below ``out``."""
    model, data = str(folder / "model"), ["--data", str(folder / "reviews.jsonl")]
    table = ["--lexicon", str(folder / "synonyms.json"), "--pos_tagger", "none"]
    pairs = ["--model", model, "--pairs", str(folder / "run" / "attack_results" / "textfooler.jsonl")]
    named = ["--class_names", "bad", "good"]
    return {
        "attack": [
            "attack", model, *data, *table, *named, "--attacks", "synonym", "textfooler",
            "--keep_queries", "--attack_query_budget", "60", "--output_dir", str(out / "attack"),
        ],
        "function": [*attack_of_function(folder, out / "function"), "--victim_rate", "5000", "--keep_queries"],
        "certify": [
            "certify", model, *data, "--lexicon", str(folder / "closed.json"), "--pos_tagger", "none", *named,
            "--votes", "40", "--attacks", "synonym", "--attack_votes", "5", "--output_dir", str(out / "certify"),
        ],
        "consistency": [
            "interpret", "consistency", *pairs, "--attribution", "ig", "lime", "--samples", "20", "--steps", "8",
            "--output_dir", str(out / "consistency"),
        ],
        "words": ["interpret", "words", *pairs, "--steps", "8", "--output_dir", str(out / "words")],
    }  # fmt: skip


def run_all(folder: Path, out: Path, ranks: Ranks | None = None) -> int:
    codes: Sequence[int] = [run_command(argv, ranks) for argv in commands(folder, out).values()]
    return max(codes)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    sys.exit(on_ranks("shared_commands", lambda ranks: run_all(Path(sys.argv[1]), Path(sys.argv[1]) / "out", ranks)))
