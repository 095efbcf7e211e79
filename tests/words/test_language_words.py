"""Words, keys and stop words of languages other than English."""

from __future__ import annotations

import copy
import pickle
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multilingual import LANGUAGES as SAMPLES
from multilingual import sentence

from hf_robust.words import (
    LANGUAGES,
    UNICODE_WORDS,
    UNSPACED,
    Text,
    check_language,
    stop_words_of,
    word_rule,
    words_of,
)
from hf_robust.words.language_words import SegmentedWords, SpacedWords


def words(language: str) -> object:
    if language in UNSPACED:
        pytest.importorskip("icu4py")
    return words_of(language)


@pytest.mark.parametrize("language", SAMPLES)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_sentence_has_the_words_that_readers_see(language: str, form: str) -> None:
    rule = words(language)
    text = unicodedata.normalize(form, sentence(language))
    found = rule.split(text)
    assert [word for word, _, _ in found] == [unicodedata.normalize(form, word) for word in SAMPLES[language].words]
    assert all(text[start:end] == word for word, start, end in found)


@pytest.mark.parametrize("language", SAMPLES)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_words_are_found_in_a_table_however_they_are_encoded(language: str, form: str) -> None:
    from hf_robust.lexicons import TableLexicon

    text = Text((unicodedata.normalize(form, sentence(language)),), words(language))
    lexicon = TableLexicon(SAMPLES[language].table)
    changed = {word for place, word in enumerate(SAMPLES[language].words) if text.substitutes(place, lexicon)}
    table = {word: others for word, others in SAMPLES[language].table.items() if word != "l'"}
    assert len(changed) == 2 and {words_of(language).key(word) for word in changed} <= set(table)


@given(st.text(max_size=40))
def test_words_of_any_text_are_its_spans_in_order(text: str) -> None:
    pytest.importorskip("icu4py")
    for language in ("de", "fr", "ar", "th", "zh"):
        end = 0
        for word, start, stop in words_of(language).split(text):
            assert text[start:stop] == word != "" and start >= end and any(map(str.isalnum, word))
            end = stop


def test_rules_of_english_contractions_are_english_only() -> None:
    text = Text(("Il re s'alza , 's",), words_of("it"))
    assert text.keys[1] == "re" and Text(("Il re",)).keys[1] == ""
    assert text.substitutes(1, lambda word: ["sovrano"] if word == "re" else []) == ["sovrano"]


def test_an_elided_word_is_never_looked_up_and_counts_as_a_stop_word() -> None:
    text = Text(("l’été",), words_of("fr"))
    assert text.keys == ["", "été"] and text.is_listed(0, set()) and not text.is_listed(1, set())
    assert text.replace({1: "hiver"}).columns == ("l’hiver",)
    assert text.replace({1: "hiver"}).tokens == ["l’", "hiver"]


def test_vowel_signs_do_not_count_in_arabic_and_do_in_hindi() -> None:
    assert Text(("جَمِيلٌ",), words_of("ar")).keys == ["جميل"]
    assert Text(("की",), words_of("hi")).keys != Text(("क",), words_of("hi")).keys


def test_positions_are_those_of_python_also_beside_characters_outside_the_first_plane() -> None:
    pytest.importorskip("icu4py")
    text = "😀หนังเรื่องนี้ 𠮷😀มาก"
    assert all(text[start:end] == word for word, start, end in words_of("th").split(text))
    assert "".join(word for word, _, _ in words_of("th").split(text)) == "หนังเรื่องนี้𠮷มาก"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_rule_is_one_object_found_by_its_name(language: str) -> None:
    rule = words_of(language)
    assert pickle.loads(pickle.dumps(rule)) is copy.deepcopy(rule) is word_rule(rule.name) is rule
    kinds = {"en": type(UNICODE_WORDS), **dict.fromkeys(UNSPACED, SegmentedWords)}
    assert type(rule) is kinds.get(language, SpacedWords)


def test_the_run_card_names_the_library_that_separates_words() -> None:
    pytest.importorskip("icu4py")
    described = words_of("th").describe()
    assert described["word_rule"] == "icu:th" and "ICU" in described["segmentation"]
    assert words_of("de").describe() == {"word_rule": "unicode:de"} and UNICODE_WORDS.describe() == {
        "word_rule": "unicode"
    }


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("icu4py._version", "icu4py.breakers", "stopwordsiso"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"Khmer .* without spaces.* pip install 'hf_robust\[languages\]'"):
        SegmentedWords("km").split("ខ្ញុំ")
    with pytest.raises(ValueError, match=r"stop words of German .* pip install 'hf_robust\[languages\]'"):
        stop_words_of("de")


@pytest.mark.parametrize(("given", "remedy"), [("german", "give de"), ("German", "give de"), ("xx", "one of af, am,")])
def test_an_unknown_language_is_one_sentence(given: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=f"two letters of a language .ISO 639-1., got '{given}'; .*{remedy}"):
        check_language(given)


def test_stop_words_are_in_lookup_form(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("stopwordsiso")
    listed = stop_words_of("fr")
    assert {"le", "était"} <= listed.words and "histoire" not in listed.words and "fr" in listed.source
    text = Text((unicodedata.normalize("NFD", "Le film ÉTAIT beau"),), words_of("fr"))
    assert [text.is_listed(place, listed.words) for place in range(3)] == [True, False, True]
    assert all(any(listed for listed in stop_words_of(language).words) for language in ("hi", "ar", "zh", "th"))
    assert not caplog.records
    assert stop_words_of("km").words == frozenset() and "no list of stop words for Khmer" in caplog.text
