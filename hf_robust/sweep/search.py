"""A search for good values of flags by Optuna: its trials are runs like those of a grid, and it can be gone on with.

The study is a journal in the sweep's folder. A trial stays open until its run has ended well, so that runs that were
killed or that failed are the first of the next call. What is drawn for a trial depends on the seed, its number and
the trials before it alone: an interrupted search makes the same trials as one that was not.
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
from hf_robust.sweep.runs import Job, folder_of, is_finished

if TYPE_CHECKING:
    import optuna

JOURNAL = "search.jsonl"


class SearchSource:
    """Trials of a search as jobs: first those that are open, then new ones up to the number asked for.

    Args:
        values_of: the objectives of a finished run's folder, in the order of ``directions``.
        say: told of trials that the parser refuses.
    """

    def __init__(
        self,
        search: Search,
        directions: Mapping[str, str],
        output: Path,
        data: Path | None,
        values_of: Callable[[Path], list[float]],
        say: Callable[[str], None],
        parallel: bool,
    ) -> None:
        self.search, self.output, self.data = search, output, data
        self.values_of, self.say, self.parallel = values_of, say, parallel
        self.study = open_study(search, directions, output)
        self._open = [trial for trial in self.study.trials[: search.trials] if trial.state.name == "RUNNING"]
        self._live: dict[Path, list[int]] = {}

    def next(self) -> Job | None:
        """The next trial whose run is to be done; those whose run is there already are told at once."""
        while (trial := self._next_trial()) is not None:
            point = self.search.point(trial.params)
            try:
                check_point(point, self.data)
            except ValueError as error:
                self._tell(trial.number, None)
                self.say(f"trial {trial.number} is left out: {error}")
                continue
            folder = folder_of(self.output, point)
            if folder in self._live:  # the same values were drawn twice
                self._live[folder].append(trial.number)
            elif is_finished(folder):
                self._tell(trial.number, self.values_of(folder))
            else:
                self._live[folder] = [trial.number]
                return Job(folder, fill(point.flags, self.data))
        return None

    def done(self, job: Job) -> None:
        """Tell the study what was measured."""
        for number in self._live.pop(job.folder):
            self._tell(number, self.values_of(job.folder))

    def points(self) -> Sequence[Point]:
        """Those of the trials so far, each once."""
        points = [self.search.point(trial.params) for trial in self.study.trials[: self.search.trials]]
        return list({point.key: point for point in points}.values())

    def finished(self) -> Sequence[Path]:
        folders = [folder_of(self.output, point) for point in self.points()]
        return [folder for folder in folders if is_finished(folder)]

    def describe(self) -> str:
        told = sum(trial.state.is_finished() for trial in self.study.trials)
        return f"{max(self.search.trials - told, 0)} of {self.search.trials} trials to do"

    def _next_trial(self) -> optuna.trial.FrozenTrial | optuna.Trial | None:
        if self._open:
            return self._open.pop(0)
        count = len(self.study.trials)
        if count >= self.search.trials:
            return None
        self.study.sampler = sampler(self.search.seed, count, self.parallel)
        return self.study.ask({name: distribution(one) for name, one in self.search.space.items()})

    def _tell(self, number: int, values: list[float] | None) -> None:
        from optuna.trial import TrialState

        # A rate of nothing is no number, and a search learns nothing from it.
        if values is None or not np.isfinite(values).all():
            self.study.tell(number, state=TrialState.FAIL)
        else:
            self.study.tell(number, values)


def open_study(search: Search, directions: Mapping[str, str], output: Path) -> optuna.Study:
    """The study of this very search in the sweep's folder, begun or gone on with.

    A search over other flags, from other fixed ones or for other objectives is a study of its own: its trials say
    nothing about this one.

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
    _mend(journal)
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
            f"{journal} is no journal of a search ({error}): delete it to begin anew; finished runs are kept."
        ) from error


def _mend(journal: Path) -> None:
    """Take off what a killed sweep left: half a line, and a lock, which nobody else can hold by now."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.is_file() and not (text := journal.read_bytes()).endswith(b"\n"):
        journal.write_bytes(text[: text.rfind(b"\n") + 1])


def sampler(seed: int, number: int, parallel: bool) -> optuna.samplers.BaseSampler:
    """Tree-structured Parzen estimators, also of several objectives; with a stream of its own for each trial."""
    from optuna.samplers import TPESampler

    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that constant_liar may change
        return TPESampler(seed=own, constant_liar=parallel)


def distribution(dimension: Dimension) -> Any:
    """What Optuna draws a flag's value from: whole numbers where both ends are."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    if dimension.is_whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
