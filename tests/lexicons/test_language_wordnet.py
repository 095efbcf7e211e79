"""WordNets of other languages, on a small wordnet that the test writes and adds to an empty data folder of wn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from multilingual import write_wordnet

from hf_robust.lexicons import LanguageWordNet, language_wordnet, load_lexicon

wn = pytest.importorskip("wn")

GERMAN = [["gut", "fein", "sehr gut"], ["gut", "nützlich"], ["schlecht", "mies"], ["Haus", "Gebäude", "Wohn_haus"]]
SENSES = {
    "gut": ("fein", "nützlich"),
    "fein": ("gut",),
    "nützlich": ("gut",),
    "schlecht": ("mies",),
    "mies": ("schlecht",),
    "haus": ("Gebäude",),
    "gebäude": ("Haus",),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder of wn, and an empty cache of ours."""
    monkeypatch.setenv("HF_ROBUST_CACHE", str(tmp_path / "cache"))
    before = wn.config.data_directory
    wn.config.data_directory = tmp_path / "wn"
    yield tmp_path
    wn.config.data_directory = before


def add(folder: Path, language: str, synsets: list[list[str]], antonyms: Any = (), name: str = "toy") -> None:
    write_wordnet(folder / f"{name}.xml", language, synsets, dict(antonyms), name)
    wn.add(folder / f"{name}.xml", progress_handler=None)


def test_synonyms_are_the_single_words_of_all_synsets_in_their_order(folder: Path) -> None:
    add(folder, "de", GERMAN)
    lexicon = load_lexicon("wordnet", language="de")
    assert isinstance(lexicon, LanguageWordNet)
    assert {word: lexicon(word) for word in lexicon.words()} == SENSES
    assert lexicon.lemmas("GUT") == SENSES["gut"] and lexicon("Filme") == ()
    assert lexicon.describe()["language"] == "de" and "German WordNet toy 1 (wn " in lexicon.source


def test_antonyms_are_those_of_the_lemmas_of_all_synsets(folder: Path) -> None:
    add(folder, "de", GERMAN, {"gut": "schlecht", "mies": "fein"})
    lexicon = language_wordnet("de", "antonym")
    assert {word: lexicon(word) for word in lexicon.words()} == {
        "gut": ("schlecht",),
        "fein": ("schlecht",),
        "nützlich": ("schlecht",),
        "schlecht": ("fein",),
        "mies": ("fein",),
    }


@pytest.mark.parametrize(
    ("language", "code", "synset", "expected"),
    [
        ("zh", "cmn-Hans", ["精彩", "出色", "出色+的"], {"精彩": ("出色",), "出色": ("精彩",)}),
        ("ar", "arb", ["جَمِيل", "بَدِيع"], {"جميل": ("بديع",), "بديع": ("جميل",)}),
        ("th", "th", ["สวยงาม", "ทำงาม"], {"สวยงาม": ("ทำงาม",)}),
    ],
)
def test_wordnets_of_other_codes_and_scripts(
    folder: Path, language: str, code: str, synset: list[str], expected: dict[str, tuple[str, ...]]
) -> None:
    add(folder, code, [synset])
    lexicon = language_wordnet(language)
    assert {word: lexicon(word) for word in expected} == expected


def test_the_table_is_cached_until_wn_has_other_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(folder, "de", GERMAN)
    first = language_wordnet("de")
    monkeypatch.setattr("hf_robust.lexicons.multilingual._build", lambda *_: {"neu": ["frisch"]})
    assert language_wordnet("de").fingerprint() == first.fingerprint()
    add(folder, "de", [["neu", "frisch"]], name="other")
    assert list(language_wordnet("de").words()) == ["neu"]


def test_what_is_missing_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise wn.Error("no network")

    monkeypatch.setattr(wn, "download", refuse)
    with pytest.raises(ValueError, match=r"WordNet odenet:1\.\d of German .*\(no network\): run `python -m wn down"):
        language_wordnet("de")
    with pytest.raises(ValueError, match="no WordNet of Hindi .* give another table: --lexicon FILE"):
        language_wordnet("hi")
    add(folder, "de", GERMAN)
    with pytest.raises(ValueError, match=r"German WordNet toy 1 .* has no antonyms; give a JSON table"):
        language_wordnet("de", "antonym")
    with pytest.raises(ValueError, match="lexicon builtin is English, and the texts are German"):
        load_lexicon("builtin", language="de")
    monkeypatch.setitem(sys.modules, "wn", None)
    with pytest.raises(ValueError, match=r"WordNet of German .* pip install 'hf_robust\[languages\]'"):
        language_wordnet("de")


def test_a_download_is_said_and_takes_the_newest_open_multilingual_wordnet(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def download(specifier: str, **_: Any) -> None:
        asked.append(specifier)
        add(folder, "it", [["bello", "carino"]], name="omw-it")

    monkeypatch.setattr(wn, "download", download)
    assert language_wordnet("it")("bello") == ("carino",)
    assert asked == ["omw-it:2.0"]
    assert f"downloading {asked[0]} by wn" in caplog.text
