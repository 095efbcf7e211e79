"""A file of finished examples, so that a measurement that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.attacks.attack import AttackOrForeign, Example
from hf_robust.metrics import AttackRecord
from hf_robust.runs import LineJournal, journal_seconds, share_path

if TYPE_CHECKING:
    from hf_robust.attacks.engine.victim import Victim

RECORDS = 2
"""What a record holds; one of an older kind is measured again instead of being taken for a new one."""

__all__ = ["Journal", "attack_key", "classifier_of", "journal_seconds", "prediction_of", "share_path"]


class Journal(LineJournal[AttackRecord]):
    """The journal of an attack: a record for each finished example, of which ``records`` holds the earlier ones."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, AttackRecord.from_json)

    def finished(self, examples: Sequence[Example]) -> list[AttackRecord]:
        """The records of those examples that were measured before.

        Raises:
            ValueError: a record under the ``idx`` of an example is of another text or label.
        """
        found = []
        for example in examples:
            record = self.records.get(example.idx)
            if record is None:
                continue
            if (record.original, record.label) != (list(example.texts), example.label):
                raise ValueError(
                    f"{self.path} holds another text or label for example {example.idx}; "
                    "give each set of examples a journal of its own (attack_key names one)."
                )
            found.append(record)
        return found


def attack_key(
    attack: AttackOrForeign,
    weights: str,
    examples: Sequence[Example],
    max_length: int | None,
    prediction: str = "",
    replayed: Mapping[int, Sequence[str]] | None = None,
) -> str:
    """24 hexadecimal characters that name a measurement.

    Args:
        attack, weights, examples, max_length: the attack, ``weights_hash`` of the model, the texts and their cut.
        prediction: ``prediction_of`` the victim: the same weights in bfloat16 are another model.
        replayed: the texts that are asked first.
    """
    warm = sorted(replayed.items()) if replayed else []
    content = json.dumps([RECORDS, attack.fingerprint(), weights, max_length, list(examples), prediction, warm])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def classifier_of(victim: Victim) -> str:
    """All that decides what a victim predicts for a text: its weights, its cut in tokens, and ``prediction_of`` it."""
    from hf_robust.models.weights import weights_hash

    return f"{weights_hash(victim.model)}, {victim.max_length} tokens, {prediction_of(victim)}"


def prediction_of(victim: Victim) -> str:
    """How a victim turns texts into scores, beside its weights: autocast type, inference transform, settings, vote."""
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
    # A bound method says which class made it; two methods of training may share a name.
    name = getattr(inference, "__qualname__", type(inference).__qualname__)
    settings = getattr(getattr(inference, "__self__", None), "inference_settings", "")
    return f"{getattr(inference, '__module__', '')}.{name}{settings}"
