"""Files are written whole or not at all; what is broken is named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.runs import finite, is_torn, read_json, read_json_lines, write_json, write_json_lines, write_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), VALUES, max_size=4)


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(value=OBJECTS)
def test_what_is_written_is_read_with_null_for_what_is_no_number(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("json") / "deep" / "value.json"
    write_json(path, value)
    assert same(read_json(path), finite(value))
    write_json_lines(path, [value, value])
    assert all(same(line, finite(value)) for line in read_json_lines(path)) and not is_torn(path)
    assert [file.name for file in path.parent.iterdir()] == ["value.json"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half a surrogate: \ud800")
    assert path.read_text() == "old" and [file.name for file in tmp_path.iterdir()] == ["card.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"method": "safer", "da', "card.json is not JSON"),
        (b"\xff\xfe\x00", "card.json is not UTF-8 text"),
        (b"[1, 2]", "card.json must hold an object, got list"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_json(tmp_path / "card.json")


def test_an_absent_file_is_an_empty_object(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") == {}


def test_every_cut_of_a_file_of_lines_reads_as_its_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    write_json_lines(path, [{"a": 1, "text": "é \u2028 x"}, {"b": math.nan}, {"c": 3}])
    whole = path.read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        # A line whose last character was written is whole, with its line break or without.
        assert len(read_json_lines(path, warn=False)) == sum(end <= cut for end in ends)
