"""Converts TextAttack's results to ``AttackRecord``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hf_robust.attacks.attack import Example
from hf_robust.attacks.engine.draft import aligned
from hf_robust.metrics import AttackRecord

# The result of a goal without an end, which the search only maximises (input reduction).
_MAXIMISED = "MaximizedAttackResult"
_STATUSES = {
    "SuccessfulAttackResult": ("succeeded", "success"),
    # TextAttack counts it as a success.
    _MAXIMISED: ("succeeded", "exhausted"),
    "FailedAttackResult": ("failed", "exhausted"),
    "SkippedAttackResult": ("skipped", "misclassified"),
}


def to_record(example: Example, result: Any, query_budget: int | None, keeps_prediction: bool = False) -> AttackRecord:
    """Convert a ``textattack.attack_results.AttackResult`` to a record.

    ``num_candidates`` and ``near_ties`` are 0, since TextAttack does not count them. ``remains`` describes the last
    text only.
    """
    status, stop = _STATUSES[type(result).__name__]
    if stop == "exhausted" and query_budget is not None and result.num_queries >= query_budget:
        stop = "budget"
    before, after = result.original_result, result.perturbed_result
    return AttackRecord(
        idx=example.idx,
        label=example.label,
        status=status,
        original=list(example.texts),
        perturbed=_columns(after.attacked_text),
        changed=[list(change) for change in word_changes(before.attacked_text, after.attacked_text)],
        queries=int(result.num_queries),
        original_prediction=int(before.raw_output.argmax()),
        perturbed_prediction=int(after.raw_output.argmax()),
        original_score=float(before.raw_output[example.label]),
        perturbed_score=float(after.raw_output[example.label]),
        stop=stop,
        num_candidates=0,
        remains=int(after.raw_output.argmax()) == example.label if keeps_prediction else None,
    )


def word_changes(original: Any, perturbed: Any) -> Iterator[tuple[int, str, str]]:
    """Yield ``(index, old, new)`` for each word of the original that was replaced, split or deleted ("").

    It uses TextAttack's map of word indices. A word between two mapped words belongs to the word behind it if that
    word was changed, else to the word before it.
    """
    old, new = original.words, perturbed.words
    places = [int(place) for place in perturbed.attack_attrs["original_index_map"]]
    if len(places) != len(old):
        # A text that was not made word by word (bad characters) has a map of its own words alone.
        yield from ((index, old[index], word) for index, word in sorted(aligned(list(old), list(new)).items()))
        return
    mapped = [(index, place) for index, place in enumerate(places) if 0 <= place < len(new)]
    owned: dict[int, list[str]] = {index: [] for index in range(len(old))}
    start = 0
    for number, (index, place) in enumerate(mapped):
        between, start = new[start:place], place + 1
        changed = new[place] != old[index]
        if between:
            owner = index if changed or number == 0 else mapped[number - 1][0]
            owned[owner] += between
        owned[index].append(new[place])
    if mapped:
        owned[mapped[-1][0]] += new[start:]
    for index, word in enumerate(old):
        now = " ".join(owned[index])
        if now != word:
            yield index, word, now


def _columns(text: Any) -> list[str]:
    columns = text.tokenizer_input
    return [columns] if isinstance(columns, str) else list(columns)
