"""``Ranks``: the processes that share one measurement, and how its items are divided among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")
PART = 1000
"""Number of items of each rank that are gathered together."""


class RankEndedError(ValueError):
    """Another rank ended before its share was done, by an error of its own."""


class WithTexts(Protocol):
    """An item whose cost is judged by its text columns."""

    @property
    def texts(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Ranks:
    """This process and the number of processes, as torchrun and `accelerate launch` start them.

    With one process nothing is communicated and no process group is needed.

    Attributes:
        rank: from 0. Rank 0 prints and writes.
        number: number of ranks.
    """

    rank: int = 0
    number: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all ranks, by rank, on every rank; wait for the slowest.

        Raises:
            RankEndedError: another rank ended.
        """
        if self.number == 1:
            return [value]
        from accelerate.utils import gather_object

        try:
            values: list[Value] = gather_object([value])
        except RuntimeError as error:
            raise RankEndedError(f"another rank ended before its share was done ({error}).") from error
        return values

    def gather_items(self, items: Sequence[Item]) -> Iterator[Item]:
        """Yield the items of all ranks, on every rank, which must read them all; memory holds a part of them."""
        for start in range(0, max(self.gather(len(items))), PART):
            for part in self.gather(items[start : start + PART]):
                yield from part

    def map(self, work: Callable[[Item], Value], items: Iterable[Item], cost: Callable[[Item], float]) -> list[Value]:
        """Return the results of all items in their order, on every rank; each rank works on a share."""
        places = list(enumerate(items))
        share = balanced_shares(places, self.number, lambda place: cost(place[1]))[self.rank]
        gathered = self.gather([(place, work(item)) for place, item in share])
        by_place = dict(result for results in gathered for result in results)
        return [by_place[place] for place, _ in places]


def balanced_shares(
    items: Sequence[Item], ranks: int, cost: Callable[[Item], float] | None = None
) -> list[list[Item]]:
    """Split items into one share per rank with about equal expected cost; shares keep the items' order.

    Items are dealt by falling cost, back and forth over the ranks. So the costs of two shares differ by at most the
    cost of the most expensive item, and their sizes by at most one. Every rank computes the same shares.

    Args:
        cost: expected cost of an item, 0 or more; None for its number of words, since every search that tries each
            word takes queries in proportion to it.
    """
    costs = [number_of_words(item) if cost is None else cost(item) for item in items]  # type: ignore[arg-type]
    order = sorted(range(len(items)), key=lambda place: (-costs[place], place))
    chosen: list[list[int]] = [[] for _ in range(ranks)]
    for turn, place in enumerate(order):
        lap, step = divmod(turn, ranks)
        chosen[step if lap % 2 == 0 else ranks - 1 - step].append(place)
    return [[items[place] for place in sorted(places)] for places in chosen]


def number_of_words(item: WithTexts) -> int:
    """Number of words, separated by white space, in all text columns."""
    return sum(len(column.split()) for column in item.texts)
