"""``--extra_rows``: add texts that an earlier run made from the same training set to the training rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_robust.data import TextDataset
from hf_robust.data.stream import TextStream
from hf_robust.views import View, disable_unchanged, read_views, tokenizer_hash
from hf_robust.wiring.parsing import Arguments


class ExtendedDataset(TextDataset):
    """A training set with the texts of views as additional rows, each with its label.

    Its fingerprint is that of the training set, so that runs with and without the additional rows are comparable.

    Attributes:
        rounds: for the run card, a description of each file of views.
        seconds: for the run card, the time that was spent on views: none.
        extra_rows: for the run card, the number of rows of each file, by its name and digest.
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
            word_rule=train.word_rule,
        )
        self.rounds, self.seconds = rounds, dict[str, float]()
        self.extra_rows = {f"{file['view']} {file['digest']}": file["rows"] for file in rounds}
        self._train_fingerprint = train.fingerprint()

    def fingerprint(self) -> str:
        """Return the fingerprint of the training set without the additional rows."""
        return self._train_fingerprint


def with_extra_rows(train: TextDataset | TextStream | None, args: Arguments) -> TextDataset | TextStream | None:
    """Return the training set with the texts of ``--extra_rows`` as additional rows.

    Raises:
        ValueError: nothing is trained, the method reads such files by ``--view_file``, or a file belongs to another
            training set or tokenizer, has masked tokens, or has no text that differs for the model from its row.
    """
    paths = args.data.extra_rows
    if not paths or isinstance(train, TextStream):  # a stream has none (`check_streaming`)
        return train
    if train is None:
        raise ValueError("--extra_rows adds training rows, and nothing is trained: add --do_train, or leave it out.")
    if hasattr(args.training, "view_file"):
        raise ValueError(
            f"--extra_rows is for methods that make no texts themselves: give these files to {args.method.name} by "
            "--view_file."
        )
    views: list[View] = []
    rounds = []
    for path in paths:
        file_views, description = _read(train, Path(path))
        views += file_views
        rounds.append(description)
    return ExtendedDataset(train, views, rounds)


def extra_rows_of(dataset: Any) -> ExtendedDataset | None:
    """Return the training set with extra rows, also if it is wrapped for views; None if there are no extra rows."""
    unwrapped = getattr(dataset, "dataset", dataset)
    return unwrapped if isinstance(unwrapped, ExtendedDataset) else None


def _read(train: TextDataset, path: Path) -> tuple[list[View], dict[str, Any]]:
    """Read the labelled views of a file that differ for the model from their text, and describe them for the card."""
    expected = {"data": train.fingerprint(), "tokenizer": tokenizer_hash(train.tokenizer)}
    header, file_views = read_views(path, expected)
    if any(view.masked for _, view in file_views):
        raise ValueError(
            f"--extra_rows {path} has views with masked tokens, which cannot be written as texts: give the file to "
            "gradient_mask by --view_file."
        )
    usable = disable_unchanged(train, dict(file_views))
    succeeded = [view for _, view in file_views if not view.failed]
    views = [
        view if view.label is not None else view._replace(label=train.label(row))  # type: ignore[arg-type]
        for row, view in usable.items()
        if view.ok and not view.failed
    ]
    if not views:
        raise ValueError(
            f"--extra_rows {path} has no text that differs for the model from its row: give another file, or raise "
            "--max_seq_length."
        )
    line = {
        "view": str(header["name"]),
        "round": 0,
        "epoch": 0,
        "attempts": file_views.attempts,
        "found": len(succeeded),
    }
    line |= {"unread": sum(view.ok for view in succeeded) - len(views), "share": round(len(views) / len(train), 6)}
    line |= {"seconds": 0.0, "rows": len(views)} | {
        key: header.get(key) for key in ("split", "victim", "how", "digest")
    }
    return views, line | file_views.notes
