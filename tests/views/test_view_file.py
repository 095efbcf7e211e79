"""View files: all content is restored; incomplete files and files of other data are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import build_tokenizer

from hf_robust.views import StoredViews, View, ViewRound, read_views, tokenizer_hash, write_views
from hf_robust.words import TEXTATTACK_WORDS, UNICODE_WORDS, Text

HEADER = {"name": "pwws", "data": "d1", "tokenizer": "t1", "split": "train", "victim": "w", "how": {}}
EXPECTED = {"data": "d1", "tokenizer": "t1"}

RULES = (TEXTATTACK_WORDS, UNICODE_WORDS)
small = st.integers(0, 9)
texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=2)
views = st.builds(
    View,
    st.builds(lambda columns, rule: Text(tuple(columns), rule), texts, st.sampled_from(RULES)),
    ok=st.booleans(),
    changed=st.lists(small).map(tuple),
    pairs=st.lists(st.tuples(small, small)).map(tuple),
    label=st.none() | small,
    soft=st.none() | st.lists(st.floats(0, 1), max_size=3).map(tuple),
    masked=st.lists(small).map(tuple),
    failed=st.booleans(),
)


def view_round(pairs: list[tuple[int, View]], attempts: int = 0) -> ViewRound:
    made = ViewRound(pairs)
    made.attempts = attempts
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of three views."""
    path = tmp_path / "_views" / "pwws-round0.jsonl"
    rows = [(idx, View(Text((f"good film {idx}",)), True, (0,))) for idx in range(3)]
    write_views(path, HEADER, view_round(rows, attempts=7))
    return path


@given(st.lists(st.tuples(small, views), max_size=4), small)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: Any, rows: list[tuple[int, View]], attempts: int) -> None:
    path = tmp_path_factory.mktemp("views") / "a.jsonl"
    write_views(path, HEADER, view_round(rows, attempts))
    header, made = read_views(path, EXPECTED)
    assert list(made) == rows and made.attempts == attempts
    assert header.items() >= HEADER.items() and header["views"] == len(rows)
    assert [file.name for file in path.parent.iterdir()] == ["a.jsonl"]  # nothing half written is left


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\r\n", "\x1c"])
def test_a_text_with_a_line_separator_of_its_own(separator: str, tmp_path: Path) -> None:
    rows = [(0, View(Text((f"one{separator}two", "three")), True, ()))]
    write_views(tmp_path / "a.jsonl", HEADER, view_round(rows))
    assert list(read_views(tmp_path / "a.jsonl", EXPECTED)[1]) == rows


def test_a_writer_that_dies_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    before = path.read_bytes()
    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(OSError, match="disk full"):
        write_views(path, HEADER, view_round([]))
    assert path.read_bytes() == before


def cut(lines: list[str]) -> list[str]:
    return lines[:-1]


def cut_inside_a_line(lines: list[str]) -> list[str]:
    return [*lines[:-1], lines[-1][:5]]


def edited(lines: list[str]) -> list[str]:
    return [*lines[:-1], lines[-1].replace("good", "bad")]


def added(lines: list[str]) -> list[str]:
    return [*lines, lines[-1]]


@pytest.mark.parametrize("harm", [cut, cut_inside_a_line, edited, added])
def test_a_file_that_is_not_whole_is_refused_in_one_sentence(harm: Any, path: Path) -> None:
    path.write_text("\n".join(harm(path.read_text().split("\n")[:-1])) + "\n")
    with pytest.raises(ValueError, match="was cut short or edited: it has . views and its header says 3") as caught:
        read_views(path, EXPECTED)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"text\n",
        b"[1]\n",
        b"3\n",
        b'"x"\n',
        b"{}\n",
        b'{"digest": "x"}\n',
        b"\xff\xfe\x00",
        b'{"idx": 0}\n',
    ],
)
def test_what_is_no_view_file_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    for path in (tmp_path / "a.jsonl", tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(ValueError, match="is not a file of generated views .*; delete it, or give a") as caught:
            StoredViews(path)
        assert "\n" not in str(caught.value)


def test_a_file_of_another_version_is_refused(path: Path) -> None:
    first, *rest = path.read_text().split("\n")
    path.write_text("\n".join([json.dumps({**json.loads(first), "format": 99}), *rest]))
    with pytest.raises(ValueError, match="has format 99, and this version reads 1; delete it"):
        StoredViews(path)


@pytest.mark.parametrize(("key", "what"), [("data", "data set"), ("tokenizer", "tokenizer")])
def test_a_file_of_other_data_or_another_tokenizer_is_refused(key: str, what: str, path: Path) -> None:
    assert StoredViews(path).name == "pwws"
    with pytest.raises(ValueError, match=f"holds views of another {what} .*this run's x"):
        read_views(path, {**EXPECTED, key: "x"})


def test_the_tokenizer_hash_is_of_vocabulary_and_special_tokens() -> None:
    first, second = build_tokenizer(), build_tokenizer()
    assert tokenizer_hash(first) == tokenizer_hash(second)
    second.padding_side = "left"  # changes batches, not the vocabulary
    assert tokenizer_hash(first) == tokenizer_hash(second)
    second.add_tokens(["new"])
    assert tokenizer_hash(first) != tokenizer_hash(second)


def test_a_view_keeps_the_rule_of_its_words_and_earlier_files_are_textattacks(path: Path) -> None:
    text = Text(("don’t",), TEXTATTACK_WORDS)
    write_views(path, HEADER, view_round([(0, View(text, True, (1,))), (1, View(Text(("don’t",)), True, (0,)))]))
    _, made = read_views(path, EXPECTED)
    assert [view.text.rule for _, view in made] == [TEXTATTACK_WORDS, UNICODE_WORDS]
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    old = [json.dumps({key: value for key, value in json.loads(line).items() if key != "word_rule"}) for line in lines]
    header = {**json.loads(first), "digest": hashlib.blake2b("\n".join(old).encode(), digest_size=8).hexdigest()}
    path.write_text("".join(f"{line}\n" for line in [json.dumps(header), *old]), encoding="utf-8")
    assert [view.text.rule for _, view in read_views(path, EXPECTED)[1]] == [TEXTATTACK_WORDS] * 2
