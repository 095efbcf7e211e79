"""An item of a paper, one table or figure, as its JSON file describes it.

``papers/<paper>/paper.json`` holds what the items of a paper share: ``title``, ``citation`` (its key in the
bibliography), ``args`` (flags of run_glue_robust.py), ``models``, ``data`` and ``settings`` (name -> flags),
``sources`` and ``open``. ``papers/<paper>/<item>.json`` has:

- ``title`` and ``source``: what it shows, and where in the paper it is;
- ``layout``: a name in `hf_robust.reproduce.layouts`;
- ``models`` and ``data``: names of the paper's models and of data sets in ``papers/data.json``;
- ``settings``: names of the paper's settings, the rows of a table, or an object: name -> further flags of the setting
  of this name or of the one that ``from`` names (null takes a flag away);
- ``args``, ``seeds``, and ``over``, flag -> values, lists of one length that change together;
- ``scales``: scale -> what is other there for this item, by the names of `hf_robust.reproduce.scale.Scale`;
  ``paper.json`` may have it for all items of a paper;
- ``columns``: head of a column -> metric;
- ``numbers``: data -> model -> setting -> the paper's numbers in the order of the columns, as printed (null: unknown);
- ``printed``: the paper's own table where no run has such a cell: ``header`` and ``rows``;
- ``command``: words of the `hf-robust` command that makes the table or picture from the runs, or stems of pictures
  that the runs draw themselves;
- ``sources``: flag or ``setting.flag`` -> where its numbers are from;
- ``open``: sentences, what is not known of the paper and is left out.

``{data}`` in a flag stands for the folder of ``--data``, ``{set}`` for the name of the data set.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hf_robust.runs import Flags, read_json

PAPERS = Path(__file__).parent / "papers"
PAPER_FILE = "paper.json"
PAPER_KEYS = ("title", "citation", "args", "models", "data", "settings", "sources", "open", "scales")
ITEM_KEYS = (
    "title", "source", "layout", "models", "data", "args", "settings", "over", "seeds", "columns", "numbers",
    "printed", "command", "sources", "open", "scales",
)  # fmt: skip
Numbers = Mapping[str, Mapping[str, Mapping[str, list[float | None]]]]


@dataclass(frozen=True)
class Item:
    """A table or figure of a paper. Keys of the file are described above; flags of the paper come first."""

    paper: str
    name: str
    title: str
    source: str
    layout: str
    models: dict[str, Flags] = field(default_factory=dict)
    data: dict[str, Flags] = field(default_factory=dict)
    args: Flags = field(default_factory=dict)
    settings: dict[str, Flags] = field(default_factory=dict)
    over: tuple[Flags, ...] = ({},)
    seeds: tuple[int, ...] = ()
    scales: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    numbers: Numbers = field(default_factory=dict)
    printed: Mapping[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)
    open: tuple[str, ...] = ()


def shared_file(name: str) -> dict[str, Any]:
    """A file that all papers share: ``data.json`` or ``scales.json``."""
    return read_json(PAPERS / name)


def papers() -> list[str]:
    """Names of the papers that have items."""
    return sorted(path.parent.name for path in PAPERS.glob(f"*/{PAPER_FILE}"))


def items(paper: str) -> list[str]:
    """Names of a paper's items, tables first, in the order of their numbers.

    Raises:
        ValueError: there is no such paper.
    """
    _require(paper, papers(), "paper")
    names = [path.stem for path in (PAPERS / paper).glob("*.json") if path.name != PAPER_FILE]
    return sorted(names, key=lambda name: (not name.startswith("table"), _number(name), name))


def read_item(paper: str, name: str) -> Item:
    """Read an item.

    Raises:
        ValueError: there is no such paper or item, or its file is wrong.
    """
    _require(name, items(paper), f"item of {paper}")
    file = PAPERS / paper / f"{name}.json"
    try:
        shared = _checked(read_json(PAPERS / paper / PAPER_FILE), PAPER_KEYS)
        return _item(paper, name, shared, _checked(read_json(file), ITEM_KEYS))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def with_seeds(item: Item, seeds: Sequence[int] | None) -> Item:
    """The item with these seeds in place of its own; None keeps them.

    Raises:
        ValueError: a seed is named twice.
    """
    if seeds is not None and len(set(seeds)) < len(seeds):
        raise ValueError(f"a seed is named twice: {', '.join(map(str, seeds))}.")
    return item if seeds is None else replace(item, seeds=tuple(seeds))


def _item(paper: str, name: str, shared: Mapping[str, Any], own: Mapping[str, Any]) -> Item:
    for key in ("title", "source", "layout"):
        if not own.get(key):
            raise ValueError(f'an item needs "{key}".')
    settings = own.get("settings", [])
    named = settings if isinstance(settings, Mapping) else dict.fromkeys(settings, {})
    known = shared.get("settings", {})
    for one, flags in named.items():
        if not flags and one not in known:
            raise ValueError(f"the setting {one} has no flags: give some, or name one of {', '.join(known)}.")
    data = {one: dict(shared.get("data", {}).get(one, {})) for one in own.get("data", [])}
    return Item(
        paper=paper,
        name=name,
        title=own["title"],
        source=own["source"],
        layout=own["layout"],
        models={one: _found(one, shared.get("models", {}), "model") for one in own.get("models", [])},
        data=data,
        args={**shared.get("args", {}), **own.get("args", {})},
        settings={one: {**known.get(flags.get("from", one), {}), **_without(flags)} for one, flags in named.items()},
        over=_zipped(own.get("over", {})),
        seeds=tuple(own.get("seeds", (1, 2, 3))),
        scales=_merged(shared.get("scales", {}), own.get("scales", {})),
        columns=dict(own.get("columns", {})),
        numbers=own.get("numbers", {}),
        printed=own.get("printed", {}),
        command=tuple(own.get("command", ())),
        sources={**shared.get("sources", {}), **own.get("sources", {})},
        open=(*own.get("open", ()), *shared.get("open", ())),
    )


def _zipped(over: Mapping[str, list[Any]]) -> tuple[Flags, ...]:
    if len({len(values) for values in over.values()}) > 1:
        raise ValueError(f'the lists in "over" must have one length: {", ".join(over)}.')
    return tuple(dict(zip(over, values, strict=True)) for values in zip(*over.values(), strict=True)) or ({},)


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {**first.get(name, {}), **second.get(name, {})} for name in (*first, *second)}


def _without(flags: Mapping[str, Any]) -> Flags:
    return {flag: value for flag, value in flags.items() if flag != "from"}


def _found(name: str, known: Mapping[str, Any], what: str) -> Flags:
    _require(name, known, what)
    return dict(known[name])


def _checked(content: Mapping[str, Any], keys: Iterable[str]) -> Mapping[str, Any]:
    for key in content:
        _require(key, list(keys), "key")
    return content


def _require(name: str, known: Iterable[str], what: str) -> None:
    if name not in (names := list(known)):
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(names)}."
        raise ValueError(f"there is no {what} {name}: {hint}")


def _number(name: str) -> int:
    digits = "".join(letter for letter in name if letter.isdigit())
    return int(digits or 0)
