"""Plans: the words and admissible substitutes of each example, computed once and without the model."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.parts.candidates import RandomStates, Swap
from hf_robust.runs import write_text
from hf_robust.words import Text

logger = logging.getLogger(__name__)

VERSION = 2
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
    """Cache of plans by attack and text: in memory and, with a folder, also on disk.

    In memory an example is stored as the hash of its text and one string, so that ten thousand take little memory; its
    plan is rebuilt from them on each access. On disk there is one JSON file per attack, named by its fingerprint and
    written atomically. A file of another version, or with a wrong checksum, is replaced with a warning.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._stored: dict[str, dict[str, str]] = {}
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
        stored, key = self._load(fingerprint), content_key(texts)
        if key in stored:
            swaps: dict[str, list[str]] = json.loads(stored[key])
            return Plan(Text(texts, attack.word_rule), {int(index): tuple(new) for index, new in swaps.items()})
        plan = make_plan(attack, texts)
        stored[key] = json.dumps(plan.swaps)
        self._changed.add(fingerprint)
        return plan

    def save(self) -> None:
        """Write new plans to the folder; without a folder do nothing."""
        if self.folder is not None:
            for fingerprint in sorted(self._changed):
                # Plans that another process wrote in the meantime are kept.
                swaps = {**_read(self._path(fingerprint)), **self._stored[fingerprint]}
                _write(self._path(fingerprint), swaps)
        self._changed.clear()

    def _load(self, fingerprint: str) -> dict[str, str]:
        if fingerprint not in self._stored:
            self._stored[fingerprint] = {} if self.folder is None else _read(self._path(fingerprint))
        return self._stored[fingerprint]

    def _path(self, fingerprint: str) -> Path:
        assert self.folder is not None
        return self.folder / f"plans-{fingerprint}.json"


def content_key(texts: tuple[str, ...]) -> str:
    """Hash (32 hexadecimal characters) of the text columns."""
    return hashlib.blake2b(json.dumps(texts).encode(), digest_size=16).hexdigest()


def _write(path: Path, swaps: dict[str, str]) -> None:
    body = "{" + ", ".join(f'"{key}": {swaps[key]}' for key in sorted(swaps)) + "}"
    write_text(path, json.dumps({"version": VERSION, "checksum": _checksum(body), "plans": body}))


def _read(path: Path) -> dict[str, str]:
    """Read the swaps of each example, as JSON, by the hash of its text."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION or content["checksum"] != _checksum(content["plans"]):
            raise ValueError("its version or checksum is wrong")
        return {key: json.dumps(swaps) for key, swaps in json.loads(content["plans"]).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("the attack plans in %s cannot be used (%s); they are computed again.", path, error)
        return {}


def _checksum(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=16).hexdigest()
