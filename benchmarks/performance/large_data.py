"""Memory and seconds until the first batch of a large training set, with and without stored tokens.

    python -m benchmarks.performance.large_data [--rows 1000000]

Reads a csv file of short texts as the script does, tokenises it with a WordPiece tokenizer and fetches a batch, in a
process of its own for each start: without a token cache, with an empty one, and with the one that the start before
filled. Prints seconds of the processor, seconds to the first batch, and the peak memory of the process without the
pages of mapped files.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from transformers import AutoTokenizer

from benchmarks.architectures.vocabularies import train_tokenizer
from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.demo import demo_rows
from hf_robust.data.labels import named_labels
from hf_robust.data.load import load_corpus
from hf_robust.data.splits import Splits

STARTS = ("no cache", "first start", "second start")


def write_rows(path: Path, rows: int) -> None:
    """Write a csv file of texts that are pairs of demo sentences with a number, so that no two are equal."""
    sentences, draw = [row["sentence2"] for row in demo_rows("train")], random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(rows):
            writer.writerow([f"{draw.choice(sentences)} {draw.choice(sentences)} {number}", number % 2])


def start(path: Path, cache: Path | None) -> dict[str, float]:
    """Load the file, tokenise it by the tokenizer beside it and fetch a batch; seconds and MB of each."""
    tokenizer = AutoTokenizer.from_pretrained(path.parent)
    begun, used = time.perf_counter(), time.process_time()
    args = DataTrainingArguments(train_file=str(path), text_column_names="text", max_seq_length=64)
    corpus = load_corpus(args)
    loaded, at_load = time.perf_counter() - begun, _peak_megabytes()
    dataset = Splits(corpus, named_labels(["0", "1"]), tokenizer, args, None, token_cache=cache).labelled("train")
    rows = random.Random(1).sample(range(len(dataset)), 32)
    assert all(dataset[row]["input_ids"] for row in rows)
    return {
        "load": loaded,
        "first batch": time.perf_counter() - begun,
        "processor": time.process_time() - used,
        "MB loaded": at_load,
        "MB peak": _peak_megabytes(),
    }


def _peak_megabytes() -> float:
    """Peak of resident memory, less the pages of files that are mapped now."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak, mapped = (int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) for name in ("VmHWM", "RssFile"))  # type: ignore[index]
    return (peak - mapped) / 1024


def main() -> None:
    """Measure the three starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--start", nargs="+", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.start:
        path, *cache = map(Path, flags.start)
        print(json.dumps(start(path, cache[0] if cache else None)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        write_rows(path, flags.rows)
        texts = [row["sentence2"] for row in demo_rows("train")]
        train_tokenizer("uncased WordPiece", texts, 400).save_pretrained(folder)
        print(f"{flags.rows:,} rows, {path.stat().st_size / 2**20:,.0f} MB of csv")
        for name in STARTS:
            cache = [] if name == "no cache" else [str(Path(folder) / "tokens")]
            command = [sys.executable, "-m", "benchmarks.performance.large_data", "--start", str(path), *cache]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            measured = json.loads(done.stdout.splitlines()[-1])
            print(f"{name:13s}", *(f"{key} {value:8,.1f} " for key, value in measured.items()), flush=True)


if __name__ == "__main__":
    main()
