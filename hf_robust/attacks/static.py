"""Static attacks: show the model adversarial texts that exist already."""

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
from hf_robust.attacks.parts.candidates import Candidates, RandomStates
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.metrics import AttackRecord, records_keep_prediction
from hf_robust.runs import read_pairs, read_records
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.attacks.engine.trial import Trial
    from hf_robust.attacks.parts.search import Search

FILE_PREFIX = "file:"
"""Prefix in ``--attacks file:PATH``, which names a file of labelled adversarial texts."""


def labelled_file(name: str, source: str, examples: Sequence[Example]) -> Attack:
    """Return an attack of labelled adversarial texts of any origin, such as AdvGLUE's (Wang et al. 2021).

    The texts replace the examples of the data. They have no clean text, so none is skipped and each is one query: the
    attack succeeds if the model's prediction is wrong and fails if it is correct. Robust accuracy F / N is the
    accuracy on the file, and ASR is 1 minus this accuracy.

    Args:
        name: name of the attack in metrics.
        source: origin of the texts, for reports; not part of the fingerprint.
        examples: the texts with their label ids.
    """
    rows = [[*example.texts, example.label] for example in examples]
    return Attack(
        name=name,
        goal=Misclassify(),
        candidates=StaticTexts("file", source, len(rows), digest(rows)),
        search=as_it_is,
        scores=None,
        needs_scores=False,
        own_examples=tuple(examples),
        skip_misclassified=False,
    )


def transferred(name: str, source: str, records: Sequence[AttackRecord]) -> Attack:
    """Return an attack that replays the texts that fooled another model.

    Query 1 is the original text; if this model misclassifies it, the example is skipped. Query 2 is the other attack's
    perturbed text. ASR is the transfer rate: the share of the other model's adversarial texts that fool this model
    too, among those whose original this model classifies correctly.

    Args:
        name: name of the attack in metrics.
        source: origin of the records, for reports; not part of the fingerprint.
        records: the result of ``read_replay``.
    """
    texts = {record.idx: tuple(record.perturbed) for record in records}
    rows = [[record.original, record.perturbed, record.label] for record in records]
    return Attack(
        name=name,
        goal=Misclassify(),
        candidates=StaticTexts("replay", source, len(rows), digest(rows)),
        search=replay(texts),
        scores=None,
        needs_scores=False,
        own_examples=tuple(Example(record.idx, tuple(record.original), record.label) for record in records),
    )


def read_replay(path: str | os.PathLike[str], succeeded_only: bool = True) -> list[AttackRecord]:
    """Read the records of an ``attack_results/*.jsonl`` file whose texts can be shown to another model.

    Args:
        path: the file; a truncated last line is skipped with a warning.
        succeeded_only: read only texts that fooled the other model; False reads the last texts of failed attacks too.

    Raises:
        ValueError: there is no such file or record, an ``idx`` occurs twice, texts have different numbers of columns,
            or the attack's goal was to keep the prediction (antonym, negation, input_reduction).
    """
    if Path(path).is_file() and records_keep_prediction(read_records(path)):
        raise ValueError(
            f"--replay {path} holds records of an attack whose goal is to keep the prediction; give records of an "
            "attack whose goal is to change it."
        )
    try:
        return read_pairs(path, ("succeeded",) if succeeded_only else ("succeeded", "failed"), changed_only=False)
    except ValueError as error:
        raise ValueError(f"--replay {error}") from error


def static_name(kind: str, path: str | os.PathLike[str], taken: Collection[str] = ()) -> str:
    """Name for metrics and files: the kind and the file's stem, plus a number if the name is ``taken``.

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
    """Attack name -> file, for each ``file:PATH`` among ``specs``."""
    files: dict[str, Path] = {}
    for spec in specs:
        if spec.startswith(FILE_PREFIX):
            path = Path(spec.removeprefix(FILE_PREFIX))
            files[static_name("file", path, files)] = path
    return files


@dataclass(frozen=True)
class StaticTexts(Candidates):
    """Candidates of a static attack: none, since its texts exist already. ``content`` is their fingerprint."""

    kind: str
    source: str
    rows: int
    content: str

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        return ()

    def describe(self) -> dict[str, Any]:
        return {"name": self.kind, "source": self.source, "rows": self.rows, "fingerprint": self.content}

    def fingerprint(self) -> str:
        return f"{self.kind} {self.content}"


def as_it_is(trial: Trial) -> Steps[str]:
    """Search nothing: the clean text was the attack, and the model's prediction is correct.

    The name of this function is part of journal keys and of result files.
    """
    yield from ()
    return "exhausted"


def replay(texts: Mapping[int, Columns]) -> Search:
    """Return the search that scores one stored text per example, looked up by ``idx``."""

    def replay(trial: Trial) -> Steps[str]:
        if trial.limit_reached:
            return trial.limit_reached
        columns = texts[trial.example.idx]
        scored = yield from trial.ask([trial.text.like(columns)])
        trial.take(trial.clean.become(columns), scored.row(0))
        return "success" if scored.reached[0] else "exhausted"

    return replay


def examples_of(attack: AttackOrForeign, examples: Sequence[Example]) -> list[Example]:
    """The examples of an attack: its own if it brings some, else those of the data that are not its target's."""
    if attack.own_examples is not None:
        return list(attack.own_examples)
    target = attack.goal.target if isinstance(attack, Attack) else None
    return [example for example in examples if target is None or example.label != target]


def results_on_data(attacks: Mapping[str, AttackOrForeign], results: Mapping[str, Any]) -> dict[str, Any]:
    """Results by attack name, without those of attacks that bring their own examples."""
    return {name: result for name, result in results.items() if not attacks[name].own_examples}


def digest(rows: Any) -> str:
    """Hash (16 hexadecimal characters) of a JSON value."""
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()
