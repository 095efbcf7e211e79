"""Static attacks: adversarial texts that were made beforehand, shown to the model as they are."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.attacks.attack import Attack, AttackOrForeign, Example
from hf_robust.attacks.engine.requests import Columns, Steps
from hf_robust.attacks.parts.candidates import Candidates, Luck
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.metrics import AttackRecord, records_keep_prediction
from hf_robust.runs import read_pairs, read_records
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.attacks.engine.trial import Trial
    from hf_robust.attacks.parts.search import Search

FILE = "file:"
"""``--attacks file:PATH`` names a file of labelled adversarial texts."""


def labelled_file(name: str, source: str, examples: Sequence[Example]) -> Attack:
    """Labelled adversarial texts of any origin, such as AdvGLUE's (Wang et al. 2021).

    The texts are the attack's own examples, whatever else is attacked. There is no clean text behind them, so none is
    skipped and each is one query: the attack succeeded where the model is wrong and failed where it is right. Robust
    accuracy F / N is the accuracy on the file, and ASR is 1 minus it.

    Args:
        name: what its metrics carry.
        source: where the texts came from, for reports; no part of the fingerprint.
        examples: the texts with their labels as ids of the model.
    """
    rows = [[*example.texts, example.label] for example in examples]
    return Attack(
        name=name,
        goal=Misclassify(),
        candidates=Given("file", source, len(rows), digest(rows)),
        search=as_it_is,
        scores=None,
        own_examples=tuple(examples),
        skip_misclassified=False,
    )


def transferred(name: str, source: str, records: Sequence[AttackRecord]) -> Attack:
    """Replay of the texts that fooled another model.

    Query 1 is the original text; where this model misclassifies it, it is skipped. Query 2 is the other attack's
    perturbed text. ASR is the transfer rate: the share of the other model's adversarial texts that fool this one too,
    among those whose original this one classifies right.

    Args:
        name: what its metrics carry.
        source: where the records came from, for reports; no part of the fingerprint.
        records: what ``read_replay`` returned.
    """
    texts = {record.idx: tuple(record.perturbed) for record in records}
    rows = [[record.original, record.perturbed, record.label] for record in records]
    return Attack(
        name=name,
        goal=Misclassify(),
        candidates=Given("replay", source, len(rows), digest(rows)),
        search=replay(texts),
        scores=None,
        own_examples=tuple(Example(record.idx, tuple(record.original), record.label) for record in records),
    )


def read_replay(path: str | os.PathLike[str], succeeded_only: bool = True) -> list[AttackRecord]:
    """The records of an ``attack_results/*.jsonl`` whose texts can be shown to another model.

    Args:
        path: the file; a last line that was cut off is left out with a warning.
        succeeded_only: take only texts that fooled the other model; else also its failed attacks' last texts.

    Raises:
        ValueError: there is no such file or record, an ``idx`` occurs twice, texts have different numbers of columns,
            or the attack wanted the prediction to stay (antonym, negation, input_reduction).
    """
    if Path(path).is_file() and records_keep_prediction(read_records(path)):
        raise ValueError(
            f"--replay {path} is of an attack that wants the prediction to stay; give the records of one that wants "
            "another prediction."
        )
    try:
        return read_pairs(path, ("succeeded",) if succeeded_only else ("succeeded", "failed"), changed_only=False)
    except ValueError as error:
        raise ValueError(f"--replay {error}") from error


def static_name(kind: str, path: str | os.PathLike[str], taken: Collection[str] = ()) -> str:
    """A name for metrics and files: the kind and the file's stem; a number where it is ``taken``.

    >>> static_name("file", "data/advglue-sst2.jsonl.gz")
    'file_advglue_sst2'
    >>> static_name("replay", "attack_results/pwws.jsonl", taken=["replay_pwws"])
    'replay_pwws_2'
    """
    stem = re.sub(r"(\.(csv|tsv|jsonl?|parquet))?(\.gz)?$", "", Path(path).name, flags=re.IGNORECASE)
    name = f"{kind}_{re.sub(r'[^A-Za-z0-9]+', '_', stem).strip('_') or 'texts'}"
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique


def named_files(specs: Iterable[str]) -> dict[str, Path]:
    """The files that ``file:PATH`` names among ``specs``, by the name that their metrics carry."""
    found: dict[str, Path] = {}
    for spec in specs:
        if spec.startswith(FILE):
            path = Path(spec.removeprefix(FILE))
            found[static_name("file", path, found)] = path
    return found


@dataclass(frozen=True)
class Given(Candidates):
    """Texts that are there already: nothing is proposed. ``content`` is their fingerprint."""

    kind: str
    source: str
    rows: int
    content: str

    def substitutes(self, text: Text, index: int, luck: Luck) -> Iterable[str]:
        return ()

    def describe(self) -> dict[str, Any]:
        return {"name": self.kind, "source": self.source, "rows": self.rows, "fingerprint": self.content}

    def fingerprint(self) -> str:
        return f"{self.kind} {self.content}"


def as_it_is(trial: Trial) -> Steps[str]:
    """Ask nothing: the text itself was the attack, and the model is right about it."""
    yield from ()
    return "exhausted"


def replay(texts: Mapping[int, Columns]) -> Search:
    """The search that shows each example's text, found by its ``idx``."""

    def replay(trial: Trial) -> Steps[str]:
        if trial.spent:
            return trial.spent
        columns = texts[trial.example.idx]
        scored = yield from trial.ask([trial.text.like(columns)])
        trial.take(trial.clean.become(columns), scored.row(0))
        return "success" if scored.reached[0] else "exhausted"

    return replay


def examples_of(attack: AttackOrForeign, examples: Sequence[Example]) -> list[Example]:
    """What an attack is run on: its own examples where it brings some, else those of the data."""
    return list(examples if attack.own_examples is None else attack.own_examples)


def of_the_data(attacks: Mapping[str, AttackOrForeign], results: Mapping[str, Any]) -> dict[str, Any]:
    """Those results, by attack name, that are of the data's examples and not of an attack's own."""
    return {name: result for name, result in results.items() if not attacks[name].own_examples}


def digest(rows: Any) -> str:
    """16 hexadecimal characters of what JSON can hold."""
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()
