"""Setting of the cost benchmark: batches, a trainer for each method, and callbacks that time and count its steps."""

from __future__ import annotations

import argparse
import copy
import random
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from benchmarks.performance.passes import PassCounter
from benchmarks.performance.stopwatch import CLOCKS, wait_for
from hf_robust.data import TextDataset
from hf_robust.lexicons import load_lexicon
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.views import RandomSynonyms, ViewRound, disable_unchanged, tokenizer_hash, write_views
from hf_robust.words import Text

VIEW_FILE_OPTIONS = {"n_rounds": 1, "failed_views": "drop"}
"""Arguments that the file of views asks for: it has the texts of one round, and no attack failed."""


@dataclass
class Setting:
    """Model, texts and flags that all trainers share."""

    model: Any
    tokenizer: Any
    rows: list[dict[str, Any]]
    flags: argparse.Namespace
    folder: str
    view_share: float = field(init=False)
    """Share of the texts that have a view in ``view_file``."""

    def __post_init__(self) -> None:
        self.view_share = _write_synonyms(self.view_file, self.dataset(), self.flags.seed) / len(self.rows)

    @property
    def view_file(self) -> Path:
        """File with a view of each row that has random synonyms, in place of views found by an attack."""
        return Path(self.folder) / "views.jsonl"

    def dataset(self) -> TextDataset:
        """The texts as a data set of one or two columns."""
        columns = [column for column, value in self.rows[0].items() if isinstance(value, str)]
        return TextDataset(self.rows, columns[:2], self.tokenizer, max_length=self.flags.length)

    @property
    def device(self) -> torch.device:
        """The GPU if there is one and ``--cpu`` is not given, otherwise the CPU."""
        return torch.device("cuda" if torch.cuda.is_available() and not self.flags.cpu else "cpu")


def _write_synonyms(path: Path, dataset: TextDataset, seed: int) -> int:
    """Write the views and return their number; a text without a synonym that the model reads has no view."""
    draw, rng, views = RandomSynonyms(load_lexicon("builtin", "synonym")), random.Random(seed), ViewRound()
    for index in range(len(dataset)):
        text = Text(dataset.texts(index))
        view = draw(text, None, rng, dataset.read_words(index))
        aligned = len(view.text.words) == len(text.words)
        pairs = tuple((word, word) for word in view.changed) if aligned else ()
        if disable_unchanged(dataset, {index: view})[index].ok:
            views.append((index, view._replace(pairs=pairs)))
    header = {"data": dataset.fingerprint(), "tokenizer": tokenizer_hash(dataset.tokenizer)}
    write_views(
        path, {**header, "name": "synonym", "split": "train", "victim": None, "how": {"name": "random"}}, views
    )
    return len(views)


class StepClock(TrainerCallback):
    """Seconds of each step but the first, by each clock, from the end of the previous step.

    ``between_*`` is the part between two steps, which prepares data and views.
    """

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self._end: tuple[float, float] | None = None
        self._begin = (0.0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps, self._end = [], None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._begin = self._now(args)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = self._now(args)
        if self._end is not None:
            parts = zip(CLOCKS, self._end, self._begin, now, strict=True)
            self.steps.append(
                {key: value for clock, end, begin, at in parts for key, value in _parts(clock, end, begin, at)}
            )
        self._end = now

    def mean(self) -> dict[str, float]:
        """Mean seconds of the steps, by each clock."""
        return {key: sum(step[key] for step in self.steps) / len(self.steps) for key in self.steps[0]}

    def _now(self, args: Any) -> tuple[float, float]:
        wait_for(args.device)
        return perf_counter(), process_time()


def _parts(clock: str, end: float, begin: float, now: float) -> tuple[tuple[str, float], ...]:
    return (clock, now - end), (f"between_{clock}", begin - end)


class StepCounts(TrainerCallback):
    """Number of passes of each step, read from the counter at the end of the step."""

    def __init__(self, counter: PassCounter) -> None:
        self._counter = counter
        self.steps: list[dict[str, float]] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._counter.begin_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps.append(dict(self._counter.counts))


def own_options(name: str, flags: argparse.Namespace) -> dict[str, Any]:
    """A method's arguments: the number of steps if it has one, and those under which a step is one of a long run."""
    method = METHODS[name]
    steps = {"adv_steps": flags.freelb_pp_steps if name == "freelb_pp" else flags.adv_steps}
    options = {**steps, **VIEW_FILE_OPTIONS, **method.mid_run}
    return {key: value for key, value in options.items() if key in method.config.__dataclass_fields__}


def build(name: str, setting: Setting, steps: int, **options: Any) -> RobustTrainer:
    """Trainer of a method over a copy of the model that trains ``steps`` steps, on rows in their order."""
    method, flags = METHODS[name], setting.flags
    settings: dict[str, Any] = {
        "output_dir": setting.folder, "robust_method": name, "per_device_train_batch_size": flags.batch_size,
        "max_steps": steps, "learning_rate": 1e-6, "train_sampling_strategy": "sequential", "save_strategy": "no",
        "logging_strategy": "no", "report_to": "none", "disable_tqdm": True, "seed": flags.seed, "bf16": flags.bf16,
        "use_cpu": setting.device.type == "cpu",
    }  # fmt: skip
    if "view_file" in method.config.__dataclass_fields__:
        settings["view_file"] = [str(setting.view_file)]
    trainer = method(
        model=copy.deepcopy(setting.model),
        args=method.config(**settings, **{**own_options(name, flags), **options}),
        train_dataset=setting.dataset(),
        processing_class=setting.tokenizer,
        synonyms=load_lexicon("builtin", "synonym"),
        antonyms=load_lexicon("builtin", "antonym"),
        skip_labels=frozenset(),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def synthetic_rows(count: int, length: int, seed: int) -> list[dict[str, Any]]:
    """Random texts of ``length`` words that have substitutes, so that texts and views fill a batch."""
    rng = random.Random(seed)
    words = sorted(load_lexicon("builtin", "antonym").words())
    return [{"sentence": " ".join(rng.choices(words, k=length)), "label": index % 2} for index in range(count)]
