"""What an attack can prepare without the model: words, admissible substitutes. Done once for each example."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hf_robust.attacks.attack import Attack, Example
from hf_robust.words import Text

logger = logging.getLogger(__name__)

VERSION = 1
Swaps = tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Plan:
    """A clean text and, for each word that may change, what it may become."""

    text: Text
    swaps: Swaps


def make_plan(attack: Attack, texts: tuple[str, ...]) -> Plan:
    """Ask the lexicon and the constraints that do not depend on the model."""
    text = Text(texts)
    open_words = [
        index
        for index, word in enumerate(text.words)
        if word.column not in attack.frozen_columns and all(rule.opens(text, index) for rule in attack.constraints)
    ]
    swaps = []
    for index, substitutes in attack.candidates.propose(text, open_words):
        for rule in attack.constraints:
            if substitutes:
                substitutes = rule.admits(text, index, substitutes)
        if substitutes:
            swaps.append((index, tuple(substitutes)))
    return Plan(text, tuple(swaps))


class Plans:
    """Plans by attack and text: in memory, and with a folder also on disk.

    On disk there is one JSON file for each attack, named by its fingerprint, written whole or not at all. A file of
    another version, cut off or edited (its checksum tells) is made anew, with a warning.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._plans: dict[tuple[str, tuple[str, ...]], Plan] = {}
        self._stored: dict[str, dict[str, Swaps]] = {}
        self._changed: set[str] = set()

    def get(self, attack: Attack, example: Example) -> Plan:
        """The plan of one example, made at the first call."""
        return self.planner(attack)(example)

    def planner(self, attack: Attack) -> Callable[[Example], Plan]:
        """``get`` for one attack, whose fingerprint is then taken only once."""
        fingerprint = attack.plan_fingerprint()
        return lambda example: self._one(attack, fingerprint, example.texts)

    def _one(self, attack: Attack, fingerprint: str, texts: tuple[str, ...]) -> Plan:
        plan = self._plans.get((fingerprint, texts))
        if plan is not None:
            return plan
        stored = self._load(fingerprint)
        key = content_key(texts)
        if key in stored:
            plan = Plan(Text(texts), stored[key])
        else:
            plan = make_plan(attack, texts)
            stored[key] = plan.swaps
            self._changed.add(fingerprint)
        self._plans[fingerprint, texts] = plan
        return plan

    def save(self) -> None:
        """Write what is new to the folder; nothing without one."""
        if self.folder is not None:
            for fingerprint in sorted(self._changed):
                # What another process wrote meanwhile is kept.
                swaps = {**_read(self._path(fingerprint)), **self._stored[fingerprint]}
                _write(self._path(fingerprint), swaps)
        self._changed.clear()

    def _load(self, fingerprint: str) -> dict[str, Swaps]:
        if fingerprint not in self._stored:
            self._stored[fingerprint] = {} if self.folder is None else _read(self._path(fingerprint))
        return self._stored[fingerprint]

    def _path(self, fingerprint: str) -> Path:
        assert self.folder is not None
        return self.folder / f"plans-{fingerprint}.json"


def content_key(texts: tuple[str, ...]) -> str:
    """32 hexadecimal characters of the text columns."""
    return hashlib.blake2b(json.dumps(texts).encode(), digest_size=16).hexdigest()


def _write(path: Path, swaps: dict[str, Swaps]) -> None:
    body = json.dumps(swaps, sort_keys=True)
    text = json.dumps({"version": VERSION, "checksum": _checksum(body), "plans": body})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _read(path: Path) -> dict[str, Swaps]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION or content["checksum"] != _checksum(content["plans"]):
            raise ValueError("its version or checksum is another")
        plans = json.loads(content["plans"])
        return {key: tuple((index, tuple(new)) for index, new in swaps) for key, swaps in plans.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("the attack plans in %s cannot be used (%s); they are made anew.", path, error)
        return {}


def _checksum(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=16).hexdigest()
