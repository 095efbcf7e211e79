"""Lexicons in memory and in JSON files, and the text that names them."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.lexicons import (
    LEXICONS,
    TableLexicon,
    build_table,
    count_words,
    load_lexicon,
    opposite_groups,
    read_table,
    synonym_groups,
    write_table,
)

WORDS = st.text("abAB ", min_size=1, max_size=3)
TABLES = st.dictionaries(WORDS, st.lists(WORDS, max_size=4), max_size=5)


@given(TABLES)
def test_a_word_is_never_its_own_substitute_and_case_does_not_matter(table):
    lexicon = TableLexicon(table)
    for word in lexicon.words():
        found = lexicon(word)
        assert found and found == lexicon(word.upper()) == lexicon(word)
        assert word.casefold() not in {other.casefold() for other in found}
        assert len(set(found)) == len(found)


def test_substitutes_keep_the_order_of_the_table_and_merge_over_case():
    lexicon = TableLexicon({"Good": ["fine", "GOOD", "great"], "good": ["nice", "fine"]})
    assert lexicon("gOOd") == ("fine", "great", "nice")
    assert lexicon("unknown") == () and len(lexicon) == 1


@given(TABLES)
def test_the_fingerprint_is_by_content(table):
    lexicon = TableLexicon(table)
    assert TableLexicon(table, name="other", relation="antonym").fingerprint() == lexicon.fingerprint()
    assert len(lexicon.fingerprint()) == 16
    assert TableLexicon({**table, "new": ["word"]}).fingerprint() != lexicon.fingerprint()


def test_the_fingerprint_sees_the_order_of_substitutes():
    assert TableLexicon({"a": ["b", "c"]}).fingerprint() != TableLexicon({"a": ["c", "b"]}).fingerprint()
    assert TableLexicon({"a": ["b"], "c": ["d"]}).fingerprint() == TableLexicon({"c": ["d"], "a": ["b"]}).fingerprint()


def test_an_empty_lexicon_is_true_and_describes_itself():
    lexicon = TableLexicon({}, name="none", relation="antonym", keeps_part_of_speech=True, source="here")
    assert lexicon
    assert lexicon.describe() == {
        "name": "none",
        "relation": "antonym",
        "fingerprint": lexicon.fingerprint(),
        "size": 0,
        "source": "here",
        "keeps_part_of_speech": True,
    }


def test_wrong_tables_and_relations_are_refused():
    with pytest.raises(ValueError, match="'synonym' or 'antonym', got 'hyponym'"):
        TableLexicon({}, relation="hyponym")
    with pytest.raises(ValueError, match="must be a list of words"):
        TableLexicon({"good": "fine"})


@pytest.mark.parametrize("name", ["t.json", "t.json.gz"])
def test_a_written_table_reads_back_and_equal_tables_give_equal_bytes(name, tmp_path):
    table = {"good": ["fine", "grand"], "b\u00e9b\u00e9": ['say "x"']}
    write_table(table, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    assert read_table(tmp_path / name) == table
    write_table(dict(reversed(table.items())), tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == [name]
    lexicon = load_lexicon(str(tmp_path / name), "antonym")
    assert lexicon("GOOD") == ("fine", "grand") and lexicon.relation == "antonym" and lexicon.name == "neighbours"


def test_a_table_with_counts_is_a_lexicon_in_the_order_of_the_file(tmp_path):
    write_table({"loud": {"soft": 3, "piano": 1}}, tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == {"loud": {"soft": 3, "piano": 1}}
    assert load_lexicon(str(tmp_path / "t.json"))("loud") == ("soft", "piano")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "is not a lexicon table"),
        (b"\xff\xfe", "is not a lexicon table"),
        (gzip.compress(b'{"a": ["b"]}', mtime=0)[:-6], "is not a lexicon table"),
        (gzip.compress(b'{"a": ["b"]}', mtime=0)[:10] + b"\xff" * 20, "is not a lexicon table"),
        (b'["a"]', "holds a JSON array"),
        (b'{"a": "b"}', "the entry 'a' is a JSON string"),
        (b'{"a": ["b", 3]}', "lists 3, which is not a word"),
    ],
)
def test_malformed_tables_give_one_sentence_with_the_file(content, sentence, tmp_path):
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as caught:
        load_lexicon(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was opened",))


@pytest.mark.parametrize("name", ["t.pkl", "t.pickle", "t.pkl.gz", "neighbours:t.pkl", "vectors:t.PKL"])
def test_pickles_are_refused_unopened(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name.split(":")[-1]).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="unpickling runs code; convert a table by hf-robust lexicon convert"):
        load_lexicon(name)


@pytest.mark.parametrize("spec", ["thesaurus", "", "no.json", "no.vec", "vectors:no.vec"])
def test_an_unknown_spec_lists_what_is_possible(spec):
    with pytest.raises(ValueError, match="builtin, wordnet, the path of a JSON table .* vectors:PATH"):
        load_lexicon(spec)


def test_a_reader_without_a_file_says_what_it_needs():
    with pytest.raises(ValueError, match="'neighbours' needs a file: neighbours:PATH"):
        load_lexicon("neighbours")
    assert set(LEXICONS) == {"builtin", "wordnet", "neighbours", "vectors"}


def test_any_name_may_be_read_as_a_table_when_the_spec_says_so(tmp_path):
    path = tmp_path / "table.dat"
    write_table({"a": ["b"]}, path)
    assert load_lexicon(f"neighbours:{path}")("a") == ("b",)


def test_builtin_synonyms_and_antonyms_are_symmetric_and_disjoint():
    synonyms, antonyms = load_lexicon("builtin"), load_lexicon("builtin", "antonym")
    assert synonyms.keeps_part_of_speech and antonyms.keeps_part_of_speech
    for lexicon in (synonyms, antonyms):
        assert all(word in lexicon(other) for word in lexicon.words() for other in lexicon(word))
    assert all(not set(synonyms(word)) & set(antonyms(word)) for word in antonyms.words())
    assert "delicious" in synonyms("Tasty") and "bland" in antonyms("tasty")


def test_builtin_groups_are_lower_case_single_words_in_one_group_each():
    words = [word for group in synonym_groups() for word in group]
    assert len(words) == len(set(words)) and all(word.isalpha() and word.islower() for word in words)
    assert all(len(left) == len(set(left)) and not set(left) & set(right) for left, right in opposite_groups())


def test_build_table_keeps_to_the_vocabulary():
    table = build_table("builtin", "antonym", vocabulary={"Tasty", "soup", "unknown"})
    assert list(table) == ["tasty"] and "bland" in table["tasty"]
    assert len(build_table("builtin")) == len(load_lexicon("builtin"))


def test_a_key_with_a_typographic_apostrophe_stands_under_the_straight_one_too():
    lexicon = TableLexicon({"don’t": ["didn’t"], "re\u0301sume\u0301": ["cv"], "It’s": ["it is"], "it's": ["its"]})
    assert lexicon("don't") == lexicon("don’t") == ("didn’t",)
    assert lexicon("r\u00e9sum\u00e9") == ("cv",)
    assert lexicon("it's") == ("its",)  # its own entry stands


def test_words_are_counted_by_the_key_they_are_looked_up_by():
    counts = count_words([("Don’t they 're", "don't re\u0301sume\u0301"), "R\u00e9sum\u00e9 ca n't"])
    assert counts == {"don't": 2, "they": 1, "r\u00e9sum\u00e9": 2}


@pytest.mark.parametrize(
    ("name", "text"), [("t.json", '{"good": ["fine"]}'), ("v.txt", "good 1 0\nfine 1 0.1\nbad -1 0\n")]
)
def test_a_byte_order_mark_is_no_part_of_the_first_word(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert "fine" in load_lexicon(str(tmp_path / name))("good")
