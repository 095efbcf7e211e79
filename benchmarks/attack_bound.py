"""The bound: token sequences of an attack through the bare model, in the batches that are fastest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from benchmarks.stopwatch import Row, mean, stopwatch
from hf_robust.attacks import Victim
from hf_robust.attacks.engine.batches import Encoded, Padder, packed, to_device
from hf_robust.attacks.engine.memory import CPU_OVERHEAD, GPU_OVERHEAD
from hf_robust.words import Text

CPU_BUDGETS = (256, 512, 1024, 2048, 4096)
GPU_BUDGETS = (8192, 16384, 32768, 65536, 131072)


class RecordingVictim(Victim):
    """A victim that remembers the distinct token sequences which it forwarded.

    Attributes:
        recorded: the sequences by their keys, in the order they came.
        gradients: texts whose gradients were asked for; their passes are not part of the bound.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.recorded: dict[bytes, Encoded] = {}
        self.gradients = 0

    def _batches(self, new: Sequence[tuple[bytes, Encoded]]) -> Iterator[tuple[list[bytes], Tensor]]:
        self.recorded.update(new)
        return super()._batches(new)

    def saliency(self, texts: Sequence[Text], loss: str = "probability") -> list[Any]:
        self.gradients += len(texts)
        return super().saliency(texts, loss)


class Bound:
    """The sequences of one attack and the victim's model, without any search around it.

    Padding and the making of tensors are done before the clock starts: only the copy to the device, the forwards and
    the copy of the logits back are timed.
    """

    def __init__(self, victim: Victim, sequences: Iterable[Encoded]) -> None:
        self.victim, self.pad = victim, Padder(victim.tokenizer)
        self.sequences = list(sequences)
        self.lengths = [len(one.ids) for one in self.sequences]

    def run(self, budget: int, equal_lengths: bool = False, threads: int | None = None) -> Row:
        """Seconds of all sequences in batches of at most ``budget`` padded tokens."""
        overhead = CPU_OVERHEAD if self.victim.device.type == "cpu" else GPU_OVERHEAD
        places = of_equal_length(self.lengths, budget) if equal_lengths else packed(self.lengths, budget, overhead)
        batches = [self.pad([self.sequences[place] for place in part]) for part in places]
        with _threads(threads), self.victim.measuring(), torch.inference_mode(), self.victim.autocast():
            self._forward(batches[0])
            with stopwatch(self.victim.device) as spent:
                logits = [self._forward(batch) for batch in batches]
                torch.cat(logits).cpu()
        return {
            "budget": budget,
            "sequences": len(self.sequences),
            "tokens": sum(self.lengths),
            "padded_tokens": sum(batch["input_ids"].numel() for batch in batches),
            "batches": len(batches),
            **spent.to_json(),
        }

    def _forward(self, batch: dict[str, Tensor]) -> Tensor:
        logits: Tensor = self.victim.model(**to_device(batch, self.victim.device)).logits
        return logits


def of_equal_length(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Places by falling length, cut into batches of one length, so that nothing is padded."""
    by_length: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        by_length.setdefault(length, []).append(place)
    for length in sorted(by_length, reverse=True):
        rows, places = max(token_budget // max(length, 1), 1), by_length[length]
        for start in range(0, len(places), rows):
            yield places[start : start + rows]


def fastest(rounds: dict[int, list[Row]]) -> tuple[int, Row]:
    """The token budget with the fewest mean seconds, and its mean row."""
    means = {budget: mean(rows) for budget, rows in rounds.items()}
    best = min(means, key=lambda budget: float(means[budget]["seconds"]))
    return best, means[best]


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
