"""Views that are generated before an epoch, in a separate phase, because each one needs a search or a gradient."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from hf_robust.attacks import Example
from hf_robust.views.refresh import Refresh
from hf_robust.views.view import View
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.attacks import Victim
    from hf_robust.views.generation_context import GenerationContext
    from hf_robust.views.view_file import StoredViews

Extra = Literal["labels", "soft", "words"]


class ViewRound(list[tuple[int, View]]):
    """The views of one round: pairs of the ``idx`` of an example and its view.

    Attributes:
        attempts: number of examples for which the round tried to make a view.
        notes: measurements of the round, JSON-ready.
    """

    attempts: int = 0

    def __init__(self, views: Iterable[tuple[int, View]] = ()) -> None:
        super().__init__(views)
        self.notes: dict[str, Any] = {}


class ViewMaker(Protocol):
    """Makes the views of one round from the predictions of a victim."""

    def describe(self) -> dict[str, Any]:
        """Settings for the run card and the header of the view file, JSON-ready."""
        ...

    def key(self, victim: Victim, examples: Sequence[Example]) -> str:
        """Content hash of the round: equal keys mean equal views."""
        ...

    def __call__(self, victim: Victim, examples: Sequence[Example], context: GenerationContext) -> ViewRound:
        """Make the views; each rank returns the views of all ranks."""
        ...


@dataclass
class GeneratedViews:
    """View source that returns the views of the latest round; before the first round no example has a view.

    Args:
        make: the maker of the views, or a file of stored views.
        refresh: when rounds are generated.
        victim: the attacked model: a ``plain`` one from ordinary fine-tuning, or the ``model`` in training.
        extras: further columns of the batches: ``labels`` and ``soft`` (class ids and probabilities of the views),
            ``words`` (which tokens of view and example belong to the same changed word).

    Attributes:
        share: M / N, the number of ``ok`` views for each example of the training set; set by ``fill``.
        has_changes: whether at least one view differs from its row; the view of a failed attack may equal it.
        pool: the ``ok`` views, each with its label, because other examples may draw them (:class:`SampledViews`).
    """

    make: ViewMaker | StoredViews
    refresh: Refresh = Refresh()
    victim: Literal["plain", "model"] = "plain"
    extras: tuple[Extra, ...] = ()
    pregenerated: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.share, self.has_changes = 0.0, False
        self.pool: list[View] = []
        self._views: dict[tuple[tuple[str, ...], int | None], View] = {}

    def fill(self, views: Mapping[int, View], examples: Iterable[Example]) -> None:
        """Replace all views by ``views``, the ones of the training ``examples`` by ``idx``.

        Examples with the same text and label share one view, that of the last one.
        """
        rows = list(examples)
        self._views = {(row.texts, row.label): views[row.idx] for row in rows if row.idx in views}
        by_row = [self._views.get((row.texts, row.label)) for row in rows]
        self.share = sum(view is not None and view.ok for view in by_row) / max(len(rows), 1)
        self.has_changes = any(view.ok and (view.changed or not view.failed) for view in self._views.values())
        self.pool = [
            view if view.label is not None else view._replace(label=label)
            for (_, label), view in self._views.items()
            if view.ok
        ]

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        return self._views.get((text.columns, label)) or View(text, False, ())


@dataclass(frozen=True)
class SampledViews:
    """View source that draws a view of any example uniformly from the pool of ``views`` at each fetch.

    The view is a sample of the adversarial domain and has its own label. ``extras`` as in :class:`GeneratedViews`.
    """

    views: GeneratedViews
    extras: tuple[Extra, ...] = ()
    pregenerated: ClassVar[bool] = True

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        return rng.choice(self.views.pool) if self.views.pool else View(text, False, ())


def assign_to_rows(
    views: Iterable[tuple[int, View]], source: Sequence[Example], train: Sequence[Example], seed: int
) -> dict[int, View]:
    """Assign ``views`` of another split to random training rows, at most one to each row.

    Each view keeps the label of its own row in ``source``. If there are more views than training rows, the result is a
    random sample of the views.
    """
    labels = {example.idx: example.label for example in source}
    carried = [view._replace(label=labels[idx], changed=(), pairs=()) for idx, view in views if view.ok]
    rng = random.Random(f"spread:{seed}")
    rng.shuffle(carried)
    rows = rng.sample([example.idx for example in train], min(len(carried), len(train)))
    return dict(zip(rows, carried, strict=False))
