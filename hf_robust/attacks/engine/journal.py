"""A file of finished examples, so that an interrupted measurement can resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.attacks.attack import AttackOrForeign, Example
from hf_robust.metrics import AttackRecord
from hf_robust.runs import LineJournal, journal_seconds, share_path

if TYPE_CHECKING:
    from hf_robust.attacks.engine.victim import Victim

RECORD_VERSION = 2
"""Version of the records; examples with records of an older version are measured again."""

__all__ = ["Journal", "attack_key", "classifier_of", "journal_seconds", "prediction_of", "share_path"]


class Journal(LineJournal[AttackRecord]):
    """The journal of an attack: one record per finished example."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, AttackRecord.from_json)

    def finished(self, examples: Sequence[Example]) -> Iterator[AttackRecord]:
        """Read the stored records of these examples.

        Raises:
            ValueError: the record with an example's ``idx`` has another text or label.
        """
        by_idx = {example.idx: example for example in examples}
        for record in self.earlier():
            example = by_idx.get(record.idx)
            if example is None:
                continue
            if (record.original, record.label) != (list(example.texts), example.label):
                raise ValueError(
                    f"{self.path} holds another text or label for example {example.idx}; "
                    "give each set of examples a journal of its own (attack_key names one)."
                )
            yield record


def attack_key(
    attack: AttackOrForeign,
    weights: str,
    examples: Sequence[Example],
    max_length: int | None,
    prediction: str = "",
    replayed: Mapping[int, Sequence[str]] | None = None,
) -> str:
    """Hash (24 hexadecimal characters) that identifies a measurement.

    Args:
        weights: ``weights_hash`` of the model.
        max_length: number of tokens to which texts are truncated.
        prediction: ``prediction_of`` the victim: the same weights in bfloat16 are another model.
        replayed: by ``idx``, the texts to score first.
    """
    warm = sorted(replayed.items()) if replayed else []
    content = [RECORD_VERSION, attack.fingerprint(), weights, max_length, list(examples), prediction, warm]
    digest = hashlib.blake2b(digest_size=12)
    for part in json.JSONEncoder().iterencode(content):  # the texts of all examples are long
        digest.update(part.encode())
    return digest.hexdigest()


def classifier_of(victim: Victim) -> str:
    """One string of all that a victim's predictions depend on: weights, truncation and ``prediction_of`` it."""
    from hf_robust.models.weights import weights_hash

    return f"{weights_hash(victim.model)}, {victim.max_length} tokens, {prediction_of(victim)}"


def prediction_of(victim: Victim) -> str:
    """How a victim computes scores apart from its weights: autocast type, inference transform, settings, vote."""
    import torch

    device = victim.device.type
    with victim.autocast():
        on = torch.is_autocast_enabled(device)
        autocast = str(torch.get_autocast_dtype(device)).removeprefix("torch.") if on else "none"
    vote = f", {victim.transform}" if victim.transform else ""
    return f"autocast {autocast}, inference {_inference_name(victim.inference)}{vote}"


def _inference_name(inference: Any) -> str:
    if inference is None:
        return "model"
    # The qualified name of a bound method includes its class; two training methods may share a function name.
    name = getattr(inference, "__qualname__", type(inference).__qualname__)
    settings = getattr(getattr(inference, "__self__", None), "inference_settings", "")
    return f"{getattr(inference, '__module__', '')}.{name}{settings}"
