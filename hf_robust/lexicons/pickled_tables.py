"""Reads published tables of substitutes that are pickles, by an unpickler that can run no code."""

from __future__ import annotations

import gzip
import io
import pickle
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_EXPECTED = (
    "a pickled table is {word: substitutes}, where substitutes are a list, a tuple or a set of words, {word: count}, "
    'or {"set": words, ...} as in the tables of SAFER'
)
_PLAIN = {
    (module, kind.__name__): kind
    for module in ("builtins", "__builtin__")  # of Python 3 and 2
    for kind in (set, frozenset, list, dict)
}
"""The only names that a pickle may look up; strings and numbers have opcodes of their own."""
_BROKEN = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError, TypeError, ValueError,
    OverflowError, RecursionError, MemoryError,
)  # fmt: skip
"""What the unpickler of the standard library raises for bytes that are no pickle."""


class _ForbiddenName(Exception):
    """A pickle asks for a function or a class that is not plain data."""


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles dicts, lists, sets, tuples, strings and numbers; a name of anything else is never looked up."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _PLAIN[module, name]
        except KeyError:
            raise _ForbiddenName(f"{module}.{name}") from None

    def persistent_load(self, identity: Any) -> Any:
        raise _ForbiddenName(f"the persistent object {identity!r:.40}")


def read_pickled_table(path: str | Path) -> dict[str, list[str]]:
    """Read ``{word: [substitute, ...]}`` from a pickle, optionally gzipped, without running its code.

    Tables of SAFER and of BAT's authors are read: ``{word: {"set": P_w, "isdivide": 0}}`` and
    ``{word: {antonym, ...}}``. The word itself is left out of its substitutes. A set has no order, so its words are
    sorted; other substitutes keep theirs.

    Raises:
        ValueError: the file is missing, is not a pickle, needs code to be read, or holds another thing than a table.
    """
    try:
        raw = Path(path).read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"The pickled table {path} cannot be read ({error}); give a .pkl file.") from None
    try:
        content = _PlainUnpickler(io.BytesIO(raw), encoding="utf-8").load()
    except _ForbiddenName as error:
        raise ValueError(
            f"{path} is refused, since reading it would call {error}: a pickled table holds only dicts, lists, sets, "
            "strings and numbers; ask its authors for JSON."
        ) from None
    except _BROKEN as error:
        raise ValueError(f"{path} is not a pickle ({type(error).__name__}: {str(error)[:80]}); {_EXPECTED}.") from None
    if not isinstance(content, dict) or not content:
        what = "an empty dict" if content == {} else f"a {type(content).__name__}"
        raise ValueError(f"{path} holds {what}; {_EXPECTED}.")
    return {word: _substitutes(path, word, value) for word, value in content.items()}


def _substitutes(path: str | Path, word: Any, value: Any) -> list[str]:
    if isinstance(value, dict) and "set" in value and not isinstance(value["set"], (int, float)):
        value = value["set"]
    if not isinstance(word, str) or not isinstance(value, (list, tuple, set, frozenset, dict)):
        raise ValueError(f"In {path} the entry {word!r:.40} is a {type(value).__name__}; {_EXPECTED}.")
    wrong = [other for other in value if not isinstance(other, str)]
    if wrong:
        raise ValueError(f"In {path} the entry {word!r:.40} has {wrong[0]!r:.40}, which is not a word; {_EXPECTED}.")
    ordered: Iterable[str] = sorted(value) if isinstance(value, (set, frozenset)) else dict.fromkeys(value)
    return [other for other in ordered if other != word]
