"""Files of generated views: a header line with their origin, then one JSON object for each view."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hf_robust.runs import write_text
from hf_robust.views.generated import ViewRound
from hf_robust.views.view import View
from hf_robust.words import TEXTATTACK_WORDS, Text, word_rule

FORMAT = 1
_BOUND = {"data": "data set", "tokenizer": "tokenizer"}


class StoredViews:
    """The views of one round of an earlier run, which replace a view maker.

    ``name`` is the name of the view in that run.

    Raises:
        ValueError: the file is no file of generated views.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.header, _ = read_views(self.path, {})
        self.name = str(self.header["name"])

    def describe(self) -> dict[str, Any]:
        return dict(self.header)


def tokenizer_hash(tokenizer: Any) -> str:
    """Hash (16 hexadecimal characters) of a tokenizer's class, vocabulary and special tokens."""
    content = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items()), list(tokenizer.all_special_tokens)]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()


def write_views(path: Path, header: Mapping[str, Any], views: ViewRound) -> None:
    """Write the file of a round atomically.

    ``header`` describes the origin of the views (``data``, ``tokenizer``, ``split``, ``victim``, ``how``, ...); this
    function adds the number of views, the number of attempts and the digest.
    """
    lines = [json.dumps(_to_json(idx, view), ensure_ascii=False) for idx, view in views]
    first = {**header, "format": FORMAT, "attempts": views.attempts, "notes": views.notes}
    first |= {"views": len(lines), "digest": _digest(lines)}
    write_text(path, "".join(f"{line}\n" for line in [json.dumps(first), *lines]))


def read_views(path: Path, expected: Mapping[str, Any]) -> tuple[dict[str, Any], ViewRound]:
    """Read the header and the views of a file.

    Args:
        expected: required hashes of ``data`` and ``tokenizer`` in the header.

    Raises:
        ValueError: the file is no view file, was cut short or edited, or belongs to another data set or tokenizer.
    """
    try:
        # Not splitlines: a text may contain line separators that JSON does not escape (U+2028, U+0085).
        first, *lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        header = json.loads(first)
        digest, _ = header["digest"], str(header["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a file of generated views ({type(error).__name__}); delete it, or give a file that a run "
            "has written into its folder _views."
        ) from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {header.get('format')}, and this version reads {FORMAT}; delete it to generate the "
            "views again."
        )
    if _digest(lines) != digest:
        raise ValueError(
            f"{path} was cut short or edited: it has {len(lines)} views and its header says {header.get('views')} "
            "with another digest; delete it to generate the views again."
        )
    for key, what in _BOUND.items():
        if key in expected and header.get(key) != expected[key]:
            raise ValueError(
                f"{path} holds views of another {what} (its hash is {header.get(key)}, this run's {expected[key]}); "
                "give the file that belongs to this run, or none."
            )
    views = ViewRound(_from_json(json.loads(line)) for line in lines)
    views.attempts, views.notes = int(header.get("attempts", 0)), dict(header.get("notes") or {})
    return header, views


def _digest(lines: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def _to_json(idx: int, view: View) -> dict[str, Any]:
    return {"idx": idx, **view._asdict(), "text": list(view.text.columns), "word_rule": view.text.rule.name}


def _from_json(row: dict[str, Any]) -> tuple[int, View]:
    soft = row["soft"]
    return row["idx"], View(
        # Files of earlier versions use TextAttack's word rule.
        Text(tuple(row["text"]), word_rule(row.get("word_rule", TEXTATTACK_WORDS.name))),
        ok=row["ok"],
        changed=tuple(row["changed"]),
        pairs=tuple((first, second) for first, second in row["pairs"]),
        label=row["label"],
        soft=None if soft is None else tuple(soft),
        masked=tuple(row["masked"]),
        failed=row.get("failed", False),  # files of earlier versions contain only successes
    )
