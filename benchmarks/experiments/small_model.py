"""What the scripts of this folder share: flags, a small model that has begun to learn, and the result file."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

from benchmarks.study.packaged import packaged_model
from benchmarks.study.stored import COMMITTED
from hf_robust.data import TextDataset
from hf_robust.data.files import read_rows
from hf_robust.runs import versions
from hf_robust.trainers import METHODS

BATCH, HELD_BATCHES = 32, 8
Values = np.ndarray[Any, Any]


def flags_parser(doc: str | None, data: str) -> argparse.ArgumentParser:
    """Parser of ``--data`` and ``--seeds``; also limits this process to one thread.

    Args:
        doc: docstring of the script.
        data: what the folder of ``--data`` holds.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {data}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="seeds to measure")
    torch.set_num_threads(1)
    return parser


def write_result(name: str, result: dict[str, Any], *printed: str) -> None:
    """Write ``benchmarks/results/<name>.json`` with the package versions, and print the named parts."""
    text = json.dumps({**result, "versions": versions()}, indent=2)
    (COMMITTED / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(json.dumps({key: result[key] for key in printed}, indent=2))


@contextmanager
def trained_model(data: Path, seed: int, steps: int, held: int = HELD_BATCHES) -> Iterator[Callable[..., Any]]:
    """Train BERT-tiny on SST-2 for ``steps`` plain steps; yields what builds a method's trainer over that model.

    The trainers read the ``held`` batches that follow the trained ones.
    """
    name = packaged_model("bert_tiny")
    tokenizer = AutoTokenizer.from_pretrained(name)
    rows = read_rows(data / "sst2" / "train.jsonl.gz")[: BATCH * (steps + held)]
    train_rows, held_rows = (
        TextDataset(part, ("sentence",), tokenizer, max_length=64)
        for part in (rows[: BATCH * steps], rows[BATCH * steps :])
    )
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=2)
    with tempfile.TemporaryDirectory() as folder:
        build = partial(make_trainer, folder=folder, seed=seed, tokenizer=tokenizer)
        build("normal", model, train_rows).train()
        yield partial(build, model=model, data=held_rows)


def make_trainer(name: str, model: Any, data: Any, folder: str, seed: int, tokenizer: Any, **options: Any) -> Any:
    """A method's trainer over the model."""
    method = METHODS[name]
    arguments = method.config(
        output_dir=folder, robust_method=name, seed=seed, per_device_train_batch_size=BATCH, learning_rate=3e-4,
        num_train_epochs=1, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True, **options,
    )  # fmt: skip
    return method(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)


def held_batches(method: Any) -> list[Any]:
    """The held batches as the Trainer gives them, in training mode and from the same random state for each method."""
    set_seed(method.args.seed)
    method.model.train()
    return [method._prepare_inputs(batch) for batch in method.get_train_dataloader()]


def losses_by_batch(method: Any, *names: str) -> Values:
    """(batches, names), or (batches,) for one name: what a step on each batch logs. No weight is changed."""
    method.loss_increase.every_step = True
    rows = []
    for number, batch in enumerate(held_batches(method)):
        set_seed(number)
        method.compute_loss(method.model, dict(batch))
        method.model.zero_grad()
        logged = method.means.take()
        rows.append([logged[name] for name in names])
    return np.array(rows).squeeze()
