"""Plans: the words and admissible substitutes of each example, computed once and without the model."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps, columns_key
from hf_robust.attacks.parts.candidates import RandomStates, Swap
from hf_robust.runs import FileDict, write_text
from hf_robust.words import Text

logger = logging.getLogger(__name__)

VERSION = 3
Swaps = dict[int, tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """A clean text and the admissible substitutes of each word; no substitutes if the source is not planned."""

    text: Text
    swaps: Swaps

    @property
    def num_candidates(self) -> int:
        """Number of admissible substitutes of all words."""
        return sum(len(substitutes) for substitutes in self.swaps.values())


def make_plan(attack: Attack, texts: tuple[str, ...]) -> Plan:
    """Apply the lexicon and the constraints that do not depend on the model."""
    clean = Draft(Text(texts, attack.word_rule))
    swaps: dict[int, list[str]] = {}
    if attack.candidates.planned:
        for index, new in _result_of(
            attack.proposals(clean, clean, sorted(attack.open_words(clean)), RandomStates(0))
        ):
            swaps.setdefault(index, []).append(new)
    return Plan(clean.text, {index: tuple(substitutes) for index, substitutes in swaps.items()})


def _result_of(steps: Steps[list[Swap]]) -> list[Swap]:
    """The result of a generator that yields no request, as planned sources do."""
    try:
        next(steps)
    except StopIteration as end:
        swaps: list[Swap] = end.value
        return swaps
    raise TypeError("a source of candidates that uses a model must not set `planned`.")


class Plans:
    """Cache of plans by attack and text: in a temporary file and, with a folder, also on disk between runs.

    Memory holds the hash of each text; its plan is read again on each access. On disk there is one JSON lines file per
    attack, named by its fingerprint and written atomically. A file of another version, or with a wrong checksum, is
    replaced with a warning.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._stored: dict[str, FileDict[bytes, Swaps]] = {}
        self._changed: set[str] = set()

    def get(self, attack: Attack, example: Example) -> Plan:
        """The plan of one example; computed at the first call."""
        return self.planner(attack)(example)

    def planner(self, attack: Attack) -> Callable[[Example], Plan]:
        """``get`` for one attack, whose fingerprint is computed only once."""
        fingerprint = attack.plan_fingerprint()
        return partial(self._plan, attack, fingerprint)

    def _plan(self, attack: Attack, fingerprint: str, example: Example) -> Plan:
        texts = example.texts
        stored, key = self._load(fingerprint), columns_key(texts)
        if key in stored:
            return Plan(Text(texts, attack.word_rule), stored[key])
        plan = make_plan(attack, texts)
        stored[key] = plan.swaps
        self._changed.add(fingerprint)
        return plan

    def save(self) -> None:
        """Write new plans to the folder; without a folder do nothing."""
        if self.folder is not None:
            for fingerprint in sorted(self._changed):
                # Plans that another process wrote in the meantime are kept.
                _add(self._stored[fingerprint], self._path(fingerprint))
                _write(self._path(fingerprint), self._stored[fingerprint])
        self._changed.clear()

    def _load(self, fingerprint: str) -> FileDict[bytes, Swaps]:
        if fingerprint not in self._stored:
            self._stored[fingerprint] = FileDict()
            if self.folder is not None:
                _add(self._stored[fingerprint], self._path(fingerprint))
        return self._stored[fingerprint]

    def _path(self, fingerprint: str) -> Path:
        assert self.folder is not None
        return self.folder / f"plans-{fingerprint}.jsonl"


def _write(path: Path, swaps: Mapping[bytes, Swaps]) -> None:
    """Write a line with version and checksum, and one with the swaps of each text; no two lines are in memory."""
    header = {"version": VERSION, "checksum": _checksum(_lines(swaps))}
    write_text(path, chain([json.dumps(header) + "\n"], _lines(swaps)))


def _lines(swaps: Mapping[bytes, Swaps]) -> Iterator[str]:
    return (json.dumps([key.hex(), swaps[key]]) + "\n" for key in sorted(swaps))


def _add(swaps: FileDict[bytes, Swaps], path: Path) -> None:
    """Add the swaps of a file, by the hash of each text, to those that are there."""
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8") as file:
            if json.loads(file.readline()) != {"version": VERSION, "checksum": _checksum(file)}:
                raise ValueError("its version or checksum is wrong")
            file.seek(0)
            for key, by_word in map(json.loads, islice(file, 1, None)):
                if bytes.fromhex(key) not in swaps:
                    swaps[bytes.fromhex(key)] = {int(index): tuple(new) for index, new in by_word.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("the attack plans in %s cannot be used (%s); they are computed again.", path, error)


def _checksum(lines: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for line in lines:
        digest.update(line.encode())
    return digest.hexdigest()
