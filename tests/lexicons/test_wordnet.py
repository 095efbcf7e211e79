"""WordNet through nltk's own reader, on a database in WordNet's file format that the test writes."""

from __future__ import annotations

import multiprocessing
import pickle

import pytest

from hf_robust.lexicons import WordNetLexicon, build_counts, build_table, load_lexicon

nltk = pytest.importorskip("nltk")

HEADER = "  1 This software and database is a test database.  WordNet 9.9 Copyright 2000\n"
# name of the synset -> (its words, [(word of this synset, other synset, word of the other)] antonyms), words from 1
SYNSETS = {
    "loud": (["loud", "Forte", "very_loud"], [(1, "soft", 1), (2, "piano", 1)]),
    "noisy": (["noisy", "loud", "a.m."], [(1, "quiet", 1), (2, "soft", 1)]),
    "soft": (["soft"], [(1, "loud", 1)]),
    "piano": (["piano"], [(1, "loud", 2)]),
    "quiet": (["quiet", "well-kept"], [(1, "noisy", 1)]),
}


def data_lines(offsets):
    lines = []
    for name, (words, antonyms) in SYNSETS.items():
        members = " ".join(f"{word} 0" for word in words)
        pointers = "".join(
            f" ! {offsets.get(other, 0):08d} a {mine:02x}{theirs:02x}" for mine, other, theirs in antonyms
        )
        head = f"{offsets.get(name, 0):08d} 00 a {len(words):02x} {members} {len(antonyms):03d}{pointers}"
        lines.append(f"{head} | a gloss  \n")
    return lines


def write_wordnet(folder):
    folder.mkdir(parents=True)
    position, offsets = len(HEADER), {}
    for name, line in zip(SYNSETS, data_lines({}), strict=True):
        offsets[name] = position
        position += len(line)
    (folder / "data.adj").write_text(HEADER + "".join(data_lines(offsets)))
    senses: dict[str, list[str]] = {}
    for name, (words, _) in SYNSETS.items():
        for word in words:
            senses.setdefault(word.lower(), []).append(name)
    (folder / "index.adj").write_text(
        "".join(
            f"{word} a {len(names)} 1 ! {len(names)} 0 {' '.join(f'{offsets[name]:08d}' for name in names)}  \n"
            for word, names in sorted(senses.items())
        )
    )
    for part in ("noun", "verb", "adv"):
        (folder / f"data.{part}").write_text(HEADER)
        (folder / f"index.{part}").write_text("")
    for part in ("noun", "verb", "adv", "adj"):
        (folder / f"{part}.exc").write_text("louder loud\n" if part == "adj" else "")
    (folder / "lexnames").write_text("00\tadj.all\t3\n")
    (folder / "index.sense").write_text("")
    (folder / "cntlist.rev").write_text("")


@pytest.fixture
def wordnet(tmp_path, monkeypatch):
    write_wordnet(tmp_path / "corpora" / "wordnet")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: pytest.fail("nothing is downloaded when it is there"))


def test_synonyms_are_the_single_word_lemmas_of_all_senses(wordnet):
    lexicon = load_lexicon("wordnet")
    assert lexicon("LOUD") == ("Forte", "noisy")
    assert lexicon("quiet") == ("well-kept",) and lexicon("soft") == () and lexicon("") == ()
    assert lexicon.keeps_part_of_speech is False


def test_inflected_words_are_reduced_as_wordnet_does(wordnet):
    assert load_lexicon("wordnet")("louder") == ("loud", "Forte", "noisy")


def test_antonyms_of_synonyms_are_kept_and_counted(wordnet):
    lexicon = WordNetLexicon("antonym")
    assert lexicon("loud") == ("soft", "piano", "quiet")
    assert lexicon.counts("loud") == {"soft": 2, "piano": 1, "quiet": 1}
    assert build_counts("wordnet", vocabulary={"Loud", "unknown"}) == {"loud": {"soft": 2, "piano": 1, "quiet": 1}}
    assert build_table("wordnet", "antonym", vocabulary={"quiet"}) == {"quiet": ["noisy"]}


def test_words_and_description(wordnet):
    lexicon = load_lexicon("wordnet", "antonym")
    assert list(lexicon.words()) == ["forte", "loud", "noisy", "piano", "quiet", "soft", "well-kept"]
    description = lexicon.describe()
    assert description["size"] == 7 and description["source"] == "WordNet 9.9 (nltk)"
    assert lexicon.fingerprint() != load_lexicon("wordnet").fingerprint()
    assert lexicon.fingerprint() == load_lexicon("wordnet", "antonym").fingerprint()


def test_look_ups_are_cached(wordnet, monkeypatch):
    lexicon = WordNetLexicon()
    first = lexicon("loud")
    monkeypatch.setattr(lexicon._reader, "synsets", lambda *_: pytest.fail("looked up twice"))
    assert lexicon("Loud") == first


def look_up(lexicon, words, answers):
    answers.put([lexicon(word) for word in words])


def test_forked_workers_open_their_own_files(wordnet):
    lexicon, fork = load_lexicon("wordnet"), multiprocessing.get_context("fork")
    answers = fork.Queue()
    lexicon("soft")
    workers = [fork.Process(target=look_up, args=(lexicon, ["loud", "quiet"] * 20, answers)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()
    assert found == [[("Forte", "noisy"), ("well-kept",)] * 20] * 3


def test_the_lexicon_can_be_pickled(wordnet):
    lexicon = pickle.loads(pickle.dumps(WordNetLexicon("antonym")))
    assert lexicon.relation == "antonym" and lexicon("soft") == ("loud",)


@pytest.mark.parametrize("failure", [OSError("no network"), None])
def test_missing_wordnet_without_a_network_is_one_sentence(failure, tmp_path, monkeypatch, caplog):
    asked = []

    def download(name, **_):
        asked.append(name)
        if failure is not None:
            raise failure
        return False

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", download)
    ways_out = "could not be downloaded: run .* NLTK_DATA .* --lexicon FILE .* --lexicon builtin, a small .* 196 words"
    with pytest.raises(ValueError, match=ways_out) as caught:
        load_lexicon("wordnet")
    assert asked == ["wordnet"] and "\n" not in str(caught.value)
    assert "downloading it with nltk" in caplog.text


def test_a_download_that_works_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: write_wordnet(tmp_path / "corpora" / "wordnet"))
    assert load_lexicon("wordnet", "antonym")("soft") == ("loud",)


def test_damaged_files_are_one_sentence(tmp_path, monkeypatch):
    write_wordnet(tmp_path / "corpora" / "wordnet")
    (tmp_path / "corpora" / "wordnet" / "data.adj").unlink()
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.raises(ValueError, match="cannot be read .* delete them"):
        load_lexicon("wordnet")
