"""``--extra_rows``: texts that an earlier run made of the same training set become rows of any method's training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_robust.data import TextDataset
from hf_robust.views import View, disable_unchanged, read_views, tokenizer_hash
from hf_robust.wiring.parsing import Arguments


class ExtendedDataset(TextDataset):
    """A training set and below it the texts of views of it, each with its label.

    To the run card it is what generated them: ``rounds`` says what they are, ``seconds`` that nothing was spent. Its
    fingerprint is that of the training set, since what a run adds to its data makes no other data of it: runs with and
    without the texts compare. ``extra_rows`` tells them apart: the rows of each file, by its name and digest.
    """

    def __init__(self, train: TextDataset, views: Iterable[View], rounds: list[dict[str, Any]]) -> None:
        texts = [train.texts(row) for row in range(len(train))]
        labels = [train.label(row) for row in range(len(train))]
        for view in views:
            texts.append(view.text.columns)
            labels.append(view.label)
        rows = [
            {**dict(zip(train.text_columns, columns, strict=True)), "label": label}
            for columns, label in zip(texts, labels, strict=True)
        ]
        super().__init__(
            rows,
            train.text_columns,
            train.tokenizer,
            max_length=train.max_length,
            padding=train.padding,
            name=train.name,
        )
        self.rounds, self.seconds = rounds, dict[str, float]()
        self.extra_rows = {f"{one['view']} {one['digest']}": one["rows"] for one in rounds}
        self._own = train.fingerprint()

    def fingerprint(self) -> str:
        return self._own


def with_extra_rows(train: TextDataset | None, args: Arguments) -> TextDataset | None:
    """The training set, with the texts of ``--extra_rows`` below it.

    Raises:
        ValueError: nothing is trained, the method has a use of its own for such files, or a file is not of this
            training set and tokenizer, hides tokens, or holds no text that the model reads otherwise.
    """
    paths = args.data.extra_rows
    if not paths:
        return train
    if train is None:
        raise ValueError("--extra_rows are training rows, and nothing is trained; add --do_train, or leave it out.")
    if hasattr(args.training, "view_file"):
        raise ValueError(
            f"--extra_rows is for methods that make no texts of their own; {args.method.name} takes these files by "
            "--view_file."
        )
    views: list[View] = []
    rounds = []
    for path in paths:
        found, round_of_it = _read(train, Path(path))
        views += found
        rounds.append(round_of_it)
    return ExtendedDataset(train, views, rounds)


def generation_of(dataset: Any) -> ExtendedDataset | None:
    """A training set with extra rows, under the views that may wrap it; None where it has none."""
    own = getattr(dataset, "dataset", dataset)
    return own if isinstance(own, ExtendedDataset) else None


def _read(train: TextDataset, path: Path) -> tuple[list[View], dict[str, Any]]:
    """The views of a file that the model reads otherwise than their text, labelled, and their line of the card."""
    expected = {"data": train.fingerprint(), "tokenizer": tokenizer_hash(train.tokenizer)}
    header, made = read_views(path, expected)
    if any(view.masked for _, view in made):
        raise ValueError(
            f"the views of {path} hide tokens, which are no text of their own; give them to gradient_mask by "
            "--view_file."
        )
    usable = disable_unchanged(train, dict(made))
    found = [view for _, view in made if not view.failed]
    views = [
        view if view.label is not None else view._replace(label=train.label(row))  # type: ignore[arg-type]
        for row, view in usable.items()
        if view.ok and not view.failed
    ]
    if not views:
        raise ValueError(f"{path} holds no text that the model reads otherwise than its row; give another file.")
    line = {"view": str(header["name"]), "round": 0, "epoch": 0, "attempts": made.attempts, "found": len(found)}
    line |= {"unread": sum(view.ok for view in found) - len(views), "share": round(len(views) / len(train), 6)}
    line |= {"seconds": 0.0, "rows": len(views)} | {
        key: header.get(key) for key in ("split", "victim", "how", "digest")
    }
    return views, line | made.notes
