"""Search for good values of flags by Optuna; trials are runs like those of a grid, and a search can be resumed.

The study is a journal in the sweep's folder. A trial stays open until its run has finished, so that killed and failed
runs are the first of the next call. The values of a trial depend only on the seed, its number and earlier trials: an
interrupted search makes the same trials as an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_robust.sweep.checks import check_point, fill
from hf_robust.sweep.file import Dimension, Point, Search
from hf_robust.sweep.jobs import Job
from hf_robust.sweep.runs import folder_of, is_finished

if TYPE_CHECKING:
    import optuna

JOURNAL = "search.jsonl"


class SearchJobs:
    """Jobs for the trials of a search: first the open ones, then new ones up to ``search.trials``.

    Args:
        values_of: returns the objectives of a finished run's folder, in the order of ``directions``.
        print_line: prints a line for each trial that the parser refuses.
        parallel: whether several runs go at a time.
    """

    def __init__(
        self,
        search: Search,
        directions: Mapping[str, str],
        output: Path,
        data: Path | None,
        values_of: Callable[[Path], list[float]],
        print_line: Callable[[str], None],
        parallel: bool,
    ) -> None:
        self.search, self.output, self.data = search, output, data
        self.values_of, self.print_line, self.parallel = values_of, print_line, parallel
        self.study = open_study(search, directions, output)
        self._open = [trial for trial in self.study.trials[: search.trials] if trial.state.name == "RUNNING"]
        self._live: dict[Path, list[int]] = {}

    def next(self) -> Job | None:
        """Return the next trial that needs a run; trials whose run is finished are recorded immediately."""
        while (trial := self._next_trial()) is not None:
            point = self.search.point(trial.params)
            try:
                check_point(point, self.data)
            except ValueError as error:
                self._record(trial.number, None)
                self.print_line(f"trial {trial.number} is skipped: {error}")
                continue
            folder = folder_of(self.output, point)
            if folder in self._live:  # the same values were drawn twice
                self._live[folder].append(trial.number)
            elif is_finished(folder):
                self._record(trial.number, self.values_of(folder))
            else:
                self._live[folder] = [trial.number]
                return Job(folder, fill(point.flags, self.data))
        return None

    def done(self, job: Job) -> None:
        """Record the objectives of a finished run in the study."""
        for number in self._live.pop(job.folder):
            self._record(number, self.values_of(job.folder))

    def points(self) -> Sequence[Point]:
        """Return the points of the trials so far, each once."""
        points = [self.search.point(trial.params) for trial in self.study.trials[: self.search.trials]]
        return list({point.key: point for point in points}.values())

    def finished(self) -> Sequence[Path]:
        """Return the folders of the finished runs."""
        folders = [folder_of(self.output, point) for point in self.points()]
        return [folder for folder in folders if is_finished(folder)]

    def describe(self) -> str:
        """Return a line that says how many trials are to do."""
        finished = sum(trial.state.is_finished() for trial in self.study.trials)
        return f"{max(self.search.trials - finished, 0)} of {self.search.trials} trials to do"

    def _next_trial(self) -> optuna.trial.FrozenTrial | optuna.Trial | None:
        if self._open:
            return self._open.pop(0)
        count = len(self.study.trials)
        if count >= self.search.trials:
            return None
        self.study.sampler = sampler(self.search.seed, count, self.parallel)
        return self.study.ask({name: distribution(dimension) for name, dimension in self.search.space.items()})

    def _record(self, number: int, values: list[float] | None) -> None:
        from optuna.trial import TrialState

        # A rate over no examples is NaN; the search cannot use it.
        if values is None or not np.isfinite(values).all():
            self.study.tell(number, state=TrialState.FAIL)
        else:
            self.study.tell(number, values)


def open_study(search: Search, directions: Mapping[str, str], output: Path) -> optuna.Study:
    """Create or load the study of a search in the sweep's folder.

    A search with other flags, other fixed values or other objectives has a study of its own.

    Raises:
        ValueError: Optuna is not installed, or its journal cannot be read.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise ValueError(
            'a search needs optuna, which is not installed: pip install "hf_robust[hpo]", or give a "grid".'
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal = output / JOURNAL
    _repair(journal)
    space = {name: repr(dimension) for name, dimension in search.space.items()}
    text = json.dumps([search.point({}).key, space, dict(directions)], sort_keys=True)
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=hashlib.sha256(text.encode()).hexdigest()[:8],
            directions=list(directions.values()),
            load_if_exists=True,
        )
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{journal} cannot be read as the journal of a search ({error}): delete it to start again; finished runs "
            f"are kept."
        ) from error


def _repair(journal: Path) -> None:
    """Remove what a killed sweep left: half a line, and a lock that no other process can hold."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.is_file() and not (text := journal.read_bytes()).endswith(b"\n"):
        journal.write_bytes(text[: text.rfind(b"\n") + 1])


def sampler(seed: int, number: int, parallel: bool) -> optuna.samplers.BaseSampler:
    """Return a TPE sampler (tree-structured Parzen estimator) with its own random seed for trial ``number``."""
    from optuna.samplers import TPESampler

    trial_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the warning that constant_liar is experimental
        return TPESampler(seed=trial_seed, constant_liar=parallel)


def distribution(dimension: Dimension) -> Any:
    """Return the Optuna distribution of a flag: of integers if both ends are integers."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    if dimension.is_whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
