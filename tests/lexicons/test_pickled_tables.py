"""Pickled tables become JSON, and a pickle that would run code is refused before it runs."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
from collections import Counter, OrderedDict
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.cli.main import main
from hf_robust.lexicons import load_lexicon, read_table
from hf_robust.lexicons.pickled_tables import read_pickled_table

SAFER = {
    "film": {"set": ["film", "movie", "picture"], "isdivide": 0},
    "good": {"set": ["fine", "good"], "isdivide": 1},
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("zipped", [False, True])
def test_published_tables_become_tables_of_ours(protocol, zipped, tmp_path):
    path, pack = tmp_path / "t.pkl", gzip.compress if zipped else bytes
    path.write_bytes(pack(pickle.dumps(SAFER, protocol)))
    assert read_pickled_table(path) == {"film": ["movie", "picture"], "good": ["fine"]}
    path.write_bytes(pack(pickle.dumps({"up": {"under", "down"}, "on": ("off",), "in": {"out": 3}}, protocol)))
    assert read_pickled_table(path) == {"up": ["down", "under"], "on": ["off"], "in": ["out"]}


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)


@given(st.dictionaries(words, st.lists(words, max_size=5), min_size=1))
def test_each_table_of_lists_survives(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("pickled") / "t.pkl"
    path.write_bytes(pickle.dumps(table))
    expected = {word: [other for other in dict.fromkeys(others) if other != word] for word, others in table.items()}
    assert read_pickled_table(path) == expected


class Call:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize(
    ("bomb", "name"),
    [
        (lambda trace: Call(os.system, f"touch {trace}"), "system"),
        (lambda trace: {"good": [Call(os.mkdir, trace)]}, "mkdir"),
        (lambda trace: Call(subprocess.run, ["touch", trace]), ".run"),  # pickled as commands.run for Python 2
        (lambda trace: Call(eval, f"open({trace!r}, 'w')"), "eval"),
        (lambda trace: Call(getattr, [], "append"), "getattr"),
        (lambda trace: {"good": partial(print)}, "partial"),
        (lambda trace: Counter(good=1), "collections.Counter"),
        (lambda trace: OrderedDict(good=["fine"]), "collections.OrderedDict"),
        (lambda trace: {"good": np.zeros(2)}, "numpy"),
        (lambda trace: {Call: ["class"]}, "Call"),
    ],
)
def test_a_pickle_that_needs_code_is_refused_in_one_sentence(bomb, name, protocol, tmp_path, capsys):
    trace, path = str(tmp_path / "trace"), tmp_path / "t.pkl"
    path.write_bytes(pickle.dumps(bomb(trace), protocol))
    assert main(["lexicon", "convert", str(path), "--output", str(tmp_path / "t.json")]) == 2
    error = capsys.readouterr().err
    assert f"{path} is refused, since reading it would call " in error and name in error and error.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.pkl"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "is not a pickle"),
        (b"", "is not a pickle"),
        (pickle.dumps(SAFER)[:-9], "is not a pickle"),
        (gzip.compress(b"", mtime=0)[:10] + b"\xff" * 20, "cannot be read"),
        (b"\x80\x04\x82\x01.", "is not a pickle"),  # a class by a number of the extension registry
        (b"Pid\n.", "would call the persistent object 'id'"),
        (pickle.dumps(["good"]), "holds a list"),
        (pickle.dumps({}), "holds an empty dict"),
        (pickle.dumps({"good": "fine"}), "the entry 'good' is a str"),
        (pickle.dumps({"good": {"set": 3}}), None),
        (pickle.dumps({3: ["fine"]}), "the entry 3 is a list"),
        (pickle.dumps({"good": ["fine", 4]}), "has 4, which is not a word"),
        (pickle.dumps({"good": {"set": ["fine", None]}}), "has None, which is not a word"),
    ],
)
def test_what_is_no_table_is_named(content, message, tmp_path):
    path = tmp_path / "t.pkl"
    path.write_bytes(content)
    if message is None:  # a count of the word "set"
        assert read_pickled_table(path) == {"good": ["set"]}
        return
    with pytest.raises(ValueError, match=message) as caught:
        read_pickled_table(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_pickled_table(tmp_path / "none.pkl")


def test_the_command_writes_a_table_that_methods_read(tmp_path, capsys):
    (tmp_path / "t.pkl").write_bytes(pickle.dumps({**SAFER, "alone": {"set": ["alone"], "isdivide": 0}}))
    output = tmp_path / "made" / "t.json.gz"
    assert main(["lexicon", "convert", str(tmp_path / "t.pkl"), "--output", str(output)]) == 0
    assert "2 words, 1.5 substitutes each" in capsys.readouterr().out
    assert read_table(output) == {"film": ["movie", "picture"], "good": ["fine"]}
    assert load_lexicon(str(output))("Film") == ("movie", "picture")
