"""Substitutes by sememes: the rule of the paper, the files, and the parts of speech."""

import gzip
import json

import pytest
from attack_parts import TableTagger, resources

from hf_robust.attacks import ATTACKS
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.attacks.parts.sememes import SameSememes
from hf_robust.lexicons.sememes import SememeTable, load_sememes, share_sememes
from hf_robust.words import Text

SENSES = {
    "film": {"noun": [["shows", "art"], ["skin", "thin"]], "verb": [["record"]]},
    "movie": {"noun": [["art", "shows"]]},
    "coat": {"noun": [["thin", "skin"], ["clothes"]]},
    "tape": {"verb": [["record"]], "noun": [["record"]]},
    "odd": {"noun": [[]]},
    "even": {"noun": [[]]},
}
READY = {"Film": {"noun": ["movie", "motion picture", "FILM"], "verb": ["tape"]}, "good": {"adj": ["fine", "great"]}}


def swaps(source, text, indices=None):
    draft = Draft(Text((text,)))
    steps = source.propose(draft, range(len(draft.text.words)) if indices is None else indices, RandomStates(0))
    with pytest.raises(StopIteration) as end:
        next(steps)
    return end.value.value


def test_words_share_all_sememes_of_a_sense_and_the_part_of_speech():
    found = share_sememes(SENSES)
    naive = {}
    for word, parts in SENSES.items():
        for part, lists in parts.items():
            others = [
                other
                for one in lists
                for other, their in SENSES.items()
                if one and other != word and set(one) in [set(sememes) for sememes in their.get(part, [])]
            ]
            if others:
                naive.setdefault(word, {})[part] = others
    assert found == naive
    assert found["film"] == {"noun": ["movie", "coat"], "verb": ["tape"]}
    assert "odd" not in found and found["tape"] == {"verb": ["film"]}


@pytest.mark.parametrize("zipped", [False, True])
def test_both_kinds_of_files_are_read(tmp_path, zipped):
    for name, content in [("senses", SENSES), ("ready", READY)]:
        path = tmp_path / f"{name}.json{'.gz' if zipped else ''}"
        raw = json.dumps(content).encode()
        path.write_bytes(gzip.compress(raw) if zipped else raw)
        table = load_sememes(path)
        assert table("FILM", "verb") == ("tape",) and table("film", "adv") == () and table("none", "noun") == ()
        assert table.describe() == {
            "name": "sememes",
            "fingerprint": table.fingerprint(),
            "size": len(table),
            "source": str(path),
        }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "does not hold a JSON object"),
        ("{", "cannot be read"),
        ('{"film": ["movie"]}', "'film' is not a JSON object"),
        ('{"film": {"pos": ["movie"]}}', "'film' has the part of speech 'pos'"),
        ('{"film": {"noun": "movie"}}', "the noun of 'film' is not a JSON array"),
        ('{"film": {"noun": ["movie", ["art"]]}}', "neither words nor lists of sememes"),
        ('{"film": {"noun": ["movie"]}, "good": {"adj": [["fine"]]}}', "holds both senses and substitutes"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "sememes.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        load_sememes(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_or_pickled_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no table of sememes at .*pass --sememes"):
        load_sememes(tmp_path / "none.json")
    with pytest.raises(ValueError, match="pickled"):
        load_sememes(tmp_path / "word_candidates_sense.pkl")


def test_candidates_have_the_words_part_of_speech_and_case_and_are_single_words():
    source = SameSememes(SememeTable(READY), TableTagger())
    assert swaps(source, "Good FILM was film") == [(0, "Fine"), (0, "Great"), (1, "MOVIE"), (3, "movie")]
    assert swaps(source, "Good FILM was film", [3]) == [(3, "movie")]
    # Without a tagger every part of speech counts.
    assert swaps(SameSememes(SememeTable(READY), None), "film") == [(0, "movie"), (0, "tape")]


@pytest.mark.parametrize(("tag", "expected"), [("NNS", "noun"), ("VBG", "verb"), ("JJR", "adj"), ("RB", "adv")])
def test_penn_tags_become_the_tables_parts(tag, expected):
    class Always:
        name = "always"

        def __call__(self, words):
            return [tag for _ in words]

    table = SememeTable({"film": {part: [part] for part in ("noun", "verb", "adj", "adv")}})
    assert swaps(SameSememes(table, Always()), "film") == [(0, expected)]


@pytest.mark.parametrize("tag", ["NNP", "IN", "MD", "CD"])
def test_other_tags_have_no_candidates(tag):
    class Always:
        name = "always"

        def __call__(self, words):
            return [tag for _ in words]

    table = SememeTable({"film": {part: [part] for part in ("noun", "verb", "adj", "adv")}})
    assert swaps(SameSememes(table, Always()), "film") == []


def test_the_text_is_tagged_once():
    tagger = TableTagger()
    swaps(SameSememes(SememeTable(READY), tagger), "good film good film")
    assert tagger.calls == 1


def test_fingerprints_follow_table_and_tagger():
    table = SememeTable(READY)
    prints = {
        SameSememes(table, None).fingerprint(),
        SameSememes(table, TableTagger()).fingerprint(),
        SameSememes(SememeTable({}), None).fingerprint(),
    }
    assert len(prints) == 3
    assert SameSememes(SememeTable(READY, source="elsewhere"), None).fingerprint() in prints


def test_without_a_table_pso_is_refused_and_a_lexicon_does_not_stand_in():
    with pytest.raises(ValueError, match="the pso attack needs a table of HowNet sememes, got none; pass --sememes"):
        ATTACKS["pso"](resources(stop_words=frozenset()))
    assert ATTACKS["pso"](resources(stop_words=frozenset(), sememes=SememeTable({}))).name == "pso"
