"""Memory and seconds until the first batch of a large training set: in memory, with stored tokens, and streamed.

    python -m benchmarks.performance.large_data [--rows 1000000]

Reads a csv file of short texts as the script does, tokenises it with a WordPiece tokenizer and fetches a batch, in a
process of its own for each start: without a token cache, with an empty one, with the one that the start before filled,
and as a stream, of which 100 batches follow. Measures seconds of the processor, seconds to the first batch, and the
peak memory of the process without the pages of mapped files; ``MB before`` is the memory of the imported libraries.
Prints them, and writes ``benchmarks/results/large_data.json``, of which the docs make a table.
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
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from benchmarks.architectures.vocabularies import train_tokenizer
from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.demo import demo_rows
from hf_robust.data.labels import named_labels
from hf_robust.data.load import load_corpus
from hf_robust.data.splits import Splits
from hf_robust.runs import versions

STARTS = ("no cache", "first start", "second start", "streamed")
BATCH, BATCHES = 32, 100
FILE = Path(__file__).parents[1] / "results" / "large_data.json"


def write_rows(path: Path, rows: int) -> None:
    """Write a csv file of texts that are pairs of demo sentences with a number, so that no two are equal."""
    sentences, draw = [row["sentence2"] for row in demo_rows("train")], random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(rows):
            writer.writerow([f"{draw.choice(sentences)} {draw.choice(sentences)} {number}", number % 2])


def start(path: Path, name: str) -> dict[str, float]:
    """Load the file, tokenise it by the tokenizer beside it and fetch a batch; seconds and MB of each."""
    tokenizer = AutoTokenizer.from_pretrained(path.parent)
    import datasets  # noqa: F401  (part of "MB before" in each start)

    before, begun, used = _peak_megabytes(), time.perf_counter(), time.process_time()
    streaming, cache = name == "streamed", path.parent / "tokens" if name.endswith(" start") else None
    args = DataTrainingArguments(
        train_file=str(path), text_column_names="text", max_seq_length=64, streaming=streaming
    )
    corpus = load_corpus(args)
    loaded, at_load = time.perf_counter() - begun, _peak_megabytes()
    splits = Splits(corpus, named_labels(["0", "1"]), tokenizer, args, None, token_cache=cache)
    if streaming:
        rows = iter(splits.streamed(seed=1))
        batch = list(islice(rows, BATCH))
    else:
        dataset, rows = splits.labelled("train"), iter(())
        batch = [dataset[row] for row in random.Random(1).sample(range(len(dataset)), BATCH)]
    assert len(batch) == BATCH and all(row["input_ids"] for row in batch)
    first, processor = time.perf_counter() - begun, time.process_time() - used
    assert len(list(islice(rows, BATCH * BATCHES))) == BATCH * BATCHES * streaming
    return {
        "load": loaded,
        "first batch": first,
        "processor": processor,
        "MB before": before,
        "MB loaded": at_load,
        "MB peak": _peak_megabytes(),
    }


def _peak_megabytes() -> float:
    """Peak of resident memory, less the pages of files that are mapped now."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak, mapped = (int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) for name in ("VmHWM", "RssFile"))  # type: ignore[index]
    return (peak - mapped) / 1024


def main() -> None:
    """Measure the four starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--start", nargs=2, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.start:
        print(json.dumps(start(Path(flags.start[0]), flags.start[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        write_rows(path, flags.rows)
        texts = [row["sentence2"] for row in demo_rows("train")]
        train_tokenizer("uncased WordPiece", texts, 400).save_pretrained(folder)
        megabytes = path.stat().st_size / 2**20
        print(f"{flags.rows:,} rows, {megabytes:,.0f} MB of csv")
        starts = {}
        for name in STARTS:
            command = [sys.executable, "-m", "benchmarks.performance.large_data", "--start", str(path), name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            measured = starts[name] = json.loads(done.stdout.splitlines()[-1])
            print(f"{name:13s}", *(f"{key} {value:8,.1f} " for key, value in measured.items()), flush=True)
    found = {"rows": flags.rows, "MB of csv": megabytes, "versions": versions(), "starts": starts}
    FILE.write_text(json.dumps(_rounded(found), indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 1) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
