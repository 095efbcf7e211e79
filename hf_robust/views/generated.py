"""Views that are generated beforehand, as a phase of its own, because making one takes a search or a gradient."""

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
    from hf_robust.views.view_file import FromFile
    from hf_robust.views.workplace import Workplace

Extra = Literal["labels", "soft", "words"]


class Made(list[tuple[int, View]]):
    """The views of a round by ``idx`` of their example, how many examples were tried for them, and what was measured
    on the way (JSON-ready)."""

    attempts: int = 0

    def __init__(self, views: Iterable[tuple[int, View]] = ()) -> None:
        super().__init__(views)
        self.notes: dict[str, Any] = {}


class ViewMaker(Protocol):
    """Makes the views of one round by asking a victim."""

    def describe(self) -> dict[str, Any]:
        """What was done, for the run card and the header of the file; JSON-ready."""
        ...

    def key(self, victim: Victim, examples: Sequence[Example]) -> str:
        """Names the round by content: the same key, the same views."""
        ...

    def __call__(self, victim: Victim, examples: Sequence[Example], place: Workplace) -> Made:
        """The views; every rank returns those of all ranks."""
        ...


@dataclass
class GeneratedViews:
    """A view source that looks up what was generated last; before that no example has a view.

    Args:
        make: how views are made.
        refresh: when.
        victim: whose weaknesses they show: a plainly trained ``baseline``, or the ``model`` in training.
        extras: columns that batches carry beside the view's tokens: ``labels`` and ``soft`` (class ids and
            probabilities of the views), ``words`` (which tokens of view and example belong to one changed word).

    Attributes:
        share: views that may be trained on for each example of the training set, M / N; set by ``fill``.
        found: whether one of them is another text than its row's, as one that stands for a failed attack may not be.
        pool: these views, each with its label, since it may stand beside another example.
    """

    make: ViewMaker | FromFile
    refresh: Refresh = Refresh()
    victim: Literal["baseline", "model"] = "baseline"
    extras: tuple[Extra, ...] = ()
    made_beforehand: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.share, self.found = 0.0, False
        self.pool: list[View] = []
        self._views: dict[tuple[tuple[str, ...], int | None], View] = {}

    def fill(self, views: Mapping[int, View], examples: Iterable[Example]) -> None:
        """Hold these views of these training examples from now on, and no others.

        Examples with the same text and label have the same view, that of the last.
        """
        own = list(examples)
        self._views = {(own.texts, own.label): views[own.idx] for own in own if own.idx in views}
        held = [self._views.get((one.texts, one.label)) for one in own]
        self.share = sum(view is not None and view.ok for view in held) / max(len(own), 1)
        self.found = any(view.ok and (view.changed or not view.failed) for view in self._views.values())
        self.pool = [
            view if view.label is not None else view._replace(label=label)
            for (_, label), view in self._views.items()
            if view.ok
        ]

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        return self._views.get((text.columns, label)) or View(text, False, ())


@dataclass(frozen=True)
class DrawnFrom:
    """A view of any example, drawn uniformly from those of ``views`` at every fetch: a sample of the other domain.

    ``extras`` as in :class:`GeneratedViews`; labels are those of the drawn view.
    """

    views: GeneratedViews
    extras: tuple[Extra, ...] = ()
    made_beforehand: ClassVar[bool] = True

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        return rng.choice(self.views.pool) if self.views.pool else View(text, False, ())


def spread(
    made: Iterable[tuple[int, View]], source: Sequence[Example], train: Sequence[Example], seed: int
) -> dict[int, View]:
    """Views of the rows of another split, each carried by a training row of its own, drawn by ``seed``.

    A carried view keeps the label of the row it was made from. Where there are more views than training rows, the
    views are a random sample.
    """
    labels = {example.idx: example.label for example in source}
    views = [view._replace(label=labels[idx], changed=(), pairs=()) for idx, view in made if view.ok]
    rng = random.Random(f"spread:{seed}")
    rng.shuffle(views)
    carriers = rng.sample([example.idx for example in train], min(len(views), len(train)))
    return dict(zip(carriers, views, strict=False))
