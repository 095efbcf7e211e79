"""Attacks, votes and training texts in six languages, and what is refused elsewhere than in English."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from attack_parts import resources
from multilingual import LANGUAGES, model, rows, sentence, tokenizer

from hf_robust.attacks import (
    ATTACKS,
    Attack,
    AttackArguments,
    Example,
    Resources,
    Victim,
    attack_dataset,
    build_attacks,
)
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.plans import make_plan
from hf_robust.attacks.flag_readers import check_flags_are_read
from hf_robust.attacks.languages import ENGLISH_ONLY, MISSPELLING, ONE_LANGUAGE, in_language
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.certify import Smoothing
from hf_robust.data import TextDataset
from hf_robust.lexicons import NameLists, TableLexicon
from hf_robust.lexicons.multilingual import LanguageWordNet
from hf_robust.lexicons.sememes import SememeTable
from hf_robust.views import RandomSynonyms, ViewedDataset
from hf_robust.words import UNSPACED, StopWords, Text, words_of

CHANGED = {
    "de": {1: ("Erzählung",), 3: ("toll",)},
    "fr": {1: ("intrigue",), 3: ("magnifique",)},
    "hi": {2: ("कथा",), 3: ("मनोहर",)},
    "ar": {1: ("الحكاية",), 2: ("مدهشة",)},
    "zh": {2: ("影片",), 3: ("出色",)},
    "th": {0: ("ภาพยนตร์",), 3: ("งดงาม",)},
}
"""What the table of ``multilingual.LANGUAGES`` offers for each word of its sentence."""


@pytest.fixture(autouse=True)
def stop_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """No stop words, so that no package is needed; the lists are tested with the words."""
    none = StopWords(frozenset(), "none here")
    monkeypatch.setattr("hf_robust.attacks.languages.stop_words_of", lambda language: none)
    monkeypatch.setattr("hf_robust.attacks.resources.stop_words_of", lambda language: none)


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    if request.param in UNSPACED:
        pytest.importorskip("icu4py")
    return str(request.param)


def table(language: str) -> TableLexicon:
    return TableLexicon(LANGUAGES[language].table)


def attacks(language: str, *names: str, **flags: Any) -> dict[str, Any]:
    args = AttackArguments(attacks=list(names), language=language, **flags)
    return dict(build_attacks(args, table(language), table(language), ["bad", "good"], ["sentence"]))


def test_a_recipe_swaps_the_words_of_the_table_and_no_others(language: str) -> None:
    for name, attack in attacks(language, "synonym", "textfooler", "a2t").items():
        assert attack.word_rule is words_of(language)
        assert make_plan(attack, (sentence(language),)).swaps == CHANGED[language], name


def test_an_attack_runs_and_its_records_name_the_words(language: str) -> None:
    tokens = tokenizer()
    victim = Victim(model(len(tokens)), tokens, max_length=32)
    texts = [(row["sentence"],) for row in rows(language)]
    with victim.measuring():
        predicted = victim.probabilities(texts).argmax(-1).tolist()
    examples = [Example(place, text, label) for place, (text, label) in enumerate(zip(texts, predicted, strict=True))]
    attack = attacks(language, "synonym")["synonym"]
    # So that every swap raises the score: the attack shows all it can do.
    records = attack_dataset(replace(attack, skip_misclassified=False), victim, examples, progress=False)
    assert {record.word_rule for record in records} == {words_of(language).name}
    for record in records:
        text = record.text(record.original)
        for index, old, new in record.changed:
            assert text.tokens[index] == old and new in text.substitutes(index, table(language))
        others = text.replace({index: new for index, _, new in record.changed})
        assert list(others.columns) == list(record.perturbed) and len(others.words) == len(text.words)


def test_views_and_votes_swap_the_same_words(language: str) -> None:
    rule = words_of(language)
    data = TextDataset(rows(language), ("sentence",), tokenizer(), max_length=32, word_rule=rule)
    views = ViewedDataset(data, {"fickle": RandomSynonyms(table(language))}, seed=0)
    assert 0 < sum(views[row]["fickle_ok"] for row in range(len(data)))
    smoothing, text = Smoothing(table(language), word_rule=rule), data.text(1)
    assert text.tokens == LANGUAGES[language].words and smoothing.changeable(text) == list(CHANGED[language])
    drawn = {smoothing.sample(text, number).columns for number in range(40)}
    assert len(drawn) == 4 and all(rule.name == smoothing.describe()["word_rule"] for _ in drawn)
    view = RandomSynonyms(table(language))(text, 1, random.Random(0))
    assert set(view.changed) <= set(CHANGED[language])


def test_a_swap_that_would_join_or_split_other_words_is_left_out() -> None:
    pytest.importorskip("icu4py")
    text = Text(("我都喜欢",), words_of("zh"))
    assert text.tokens == ["我", "都", "喜欢"]
    assert text.replace({1: "很"}).tokens == ["我", "很喜欢"]
    assert text.replace({1: "最"}).tokens == ["我", "最", "喜欢"]
    attack = in_language(ATTACKS["synonym"](resources(synonyms=TableLexicon({"都": ["很", "最"]}))), "zh")
    assert make_plan(attack, text.columns).swaps == {1: ("最",)}


def test_english_is_as_without_the_flag() -> None:
    for name in ("synonym", "textfooler", "checklist"):
        attack = ATTACKS[name](resources())
        assert in_language(attack, "en") is attack
        assert attack.describe()["word_rule"] in ("unicode", "textattack") and "segmentation" not in attack.describe()


@pytest.mark.parametrize("name", ENGLISH_ONLY)
def test_rules_for_english_are_refused_elsewhere(name: str) -> None:
    args = AttackArguments(attacks=[name], language="de")
    with pytest.raises(ValueError, match=f"the {name} attack .* the texts are German .--language de.: leave it out"):
        check_flags_are_read(args, args.recipes, (), protects=False)
    with pytest.raises(ValueError, match=f"the {name} attack"):
        build_attacks(args, None, None, ["a", "b"], ["sentence"])


def test_misspelling_needs_spaces_and_works_with_them() -> None:
    for name in MISSPELLING:
        with pytest.raises(ValueError, match=f"the {name} attack misspells words, and Thai .* has no spaces"):
            attacks("th", name)
    tokens = tokenizer()
    victim, texts = Victim(model(len(tokens)), tokens, max_length=32), [(sentence("hi"),)]
    with victim.measuring():
        label = int(victim.probabilities(texts)[0].argmax())
    attack = attacks("hi", "deepwordbug")["deepwordbug"]
    [record] = attack_dataset(attack, victim, [Example(0, texts[0], label)], progress=False)
    assert record.queries > len(LANGUAGES["hi"].words) and record.word_rule == "unicode:hi"


def test_flags_that_do_not_go_with_the_language_are_one_sentence() -> None:
    with pytest.raises(ValueError, match="--pos_tagger nltk is a tagger of English, and the texts are French"):
        AttackArguments(language="fr", pos_tagger="nltk")
    with pytest.raises(ValueError, match="--language takes the two letters"):
        AttackArguments(language="french")
    with pytest.raises(ValueError, match="--language fr decides the words of .* add --attacks, or leave it out"):
        check_flags_are_read(AttackArguments(language="fr"), (), (), protects=False)
    with pytest.raises(ValueError, match="--language is for --attack_backend native"):
        AttackArguments(attacks=["textfooler"], attack_backend="textattack", language="fr")


def test_a_missing_tagger_is_said(caplog: pytest.LogCaptureFixture) -> None:
    attack = attacks("de", "textfooler")["textfooler"]
    assert "no tagger of German" in caplog.text and "--pos_tagger MODEL" in caplog.text
    assert all(part["name"] != "part_of_speech" for part in attack.describe()["constraints"])
    caplog.clear()
    attacks("de", "textfooler", pos_tagger="none")
    assert not caplog.text


def test_stop_words_of_the_language_take_the_place_of_english_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = StopWords(frozenset({"großartig"}), "a list")
    monkeypatch.setattr("hf_robust.attacks.languages.stop_words_of", lambda language: listed)
    for attack in attacks("de", "synonym", "antonym", "textfooler", skip_labels=["none"]).values():
        assert isinstance(attack, Attack)
        [described] = [part for part in attack.describe()["constraints"] if part["name"] == "stop_words"]
        assert described == {"name": "stop_words", "list": "a list", "count": 1}
        assert list(make_plan(attack, (sentence("de"),)).swaps) == [1]


def test_pwws_reads_the_wordnet_of_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    from hf_robust.lexicons import LanguageWordNet

    asked = []

    def load(language: str) -> LanguageWordNet:
        asked.append(language)
        return LanguageWordNet(LANGUAGES["de"].table, language, "synonym", "a test")

    monkeypatch.setattr("hf_robust.attacks.resources.language_wordnet", load)
    attack = attacks("de", "pwws")["pwws"]
    assert asked == ["de"] and json.dumps(attack.describe())
    assert make_plan(attack, (sentence("de"),)).swaps == CHANGED["de"]


def test_a_vocabulary_of_whole_words_has_the_words_of_the_language(tmp_path: Path) -> None:
    from hf_robust.attacks.engine.vocabulary import whole_words

    tokens = tokenizer()
    assert "कहानी" in whole_words(tokens, words_of("hi")).words and "कहानी" not in whole_words(tokens).words


def test_a_masked_language_model_offers_the_words_of_the_language() -> None:
    from hf_robust.attacks.models.masked_lm import _readable

    vocabulary = tokenizer().get_vocab()
    assert "सुंदर" not in _readable(vocabulary, set(), False).values()
    assert "सुंदर" in _readable(vocabulary, set(), False, words_of("hi")).values()


def recipe_of(name: str, language: str, parts: Resources) -> Attack:
    return in_language(ATTACKS[name](parts), language)


def test_the_french_and_spanish_recipes_swap_synonyms_names_and_places() -> None:
    thesaurus = LanguageWordNet({"ville": ["cité"], "visita": ["vista"]}, "fr", "synonym", "a table")
    lists = {"names": NameLists({"first": ["Marie"]}), "locations": NameLists({"country": ["France", "Suède"]})}
    for name, language, text in (
        ("french", "fr", "Marie aime la ville de France"),
        ("spanish", "es", "visita France"),
    ):
        with_lists = recipe_of(name, language, resources(thesaurus=thesaurus, **lists))
        plain = recipe_of(name, language, resources(thesaurus=thesaurus, names=None, locations=None))
        assert not with_lists.candidates.planned and plain.candidates.planned
        tokens = Text((text,), plain.word_rule).tokens
        word = "ville" if name == "french" else "visita"
        assert make_plan(plain, (text,)).swaps == {tokens.index(word): thesaurus(word)}
        drafts = texts_of(with_lists, text)
        assert {text.replace(word, thesaurus(word)[0]), text.replace("France", "Suède")} == drafts - {text}
        assert [rule.describe()["name"] for rule in plain.constraints][:1] == ["no_repeat"]


def texts_of(attack: Attack, text: str) -> set[str]:
    """The texts of one change of any word."""
    draft, rng = Draft(Text((text,), attack.word_rule)), RandomStates(0)
    words = range(len(draft.text.words))
    swaps = _answer(attack.candidates.propose(draft, words, rng))
    drafts = [draft.swap(index, new) for index, new in swaps]
    return {one.text.joined for one in drafts + _answer(attack.candidates.rewrites(draft, words, rng))}


def _answer(steps: Any) -> Any:
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise AssertionError("it asked a model")


def test_the_chinese_recipe_swaps_words_of_the_same_sememes_and_similar_characters() -> None:
    pytest.importorskip("icu4py")
    text = "这部电影精彩"
    sememes = SememeTable({"电影": {"noun": ["影片"]}})
    similar = TableLexicon({"影": ["景"], "彩": ["采", "彩"]})
    whole = recipe_of("chinese", "zh", resources(sememes=sememes, similar_characters=similar))
    assert texts_of(whole, text) == {"这部影片精彩", "这部电景精彩", "这部电影精采"}
    one = recipe_of("chinese", "zh", resources(similar_characters=similar))
    assert texts_of(one, text) == {"这部电景精彩", "这部电影精采"}
    with pytest.raises(
        ValueError, match="the chinese attack needs substitutes, got none; pass --sememes, --masked_lm"
    ):
        ATTACKS["chinese"](resources())


@pytest.mark.parametrize("name", ONE_LANGUAGE)
def test_a_recipe_of_one_language_is_refused_elsewhere(name: str) -> None:
    for language in ("en", "de"):
        args = AttackArguments(attacks=[name], language=language)
        with pytest.raises(ValueError, match=f"the {name} attack is for .* texts are .*--language {language}"):
            check_flags_are_read(args, args.recipes, (), protects=False)
        with pytest.raises(ValueError, match=f"the {name} attack is for"):
            build_attacks(args, table("de"), table("de"), ["bad", "good"], ["sentence"])
    args = AttackArguments(attacks=[name], language=ONE_LANGUAGE[name])
    check_flags_are_read(args, args.recipes, (), protects=False)


def test_bad_characters_do_not_ask_that_words_stay_words() -> None:
    pytest.importorskip("icu4py")
    attack = recipe_of("invisible_characters", "zh", resources())
    assert "same_words" not in [rule.describe()["name"] for rule in attack.constraints]
    assert attack.word_rule is words_of("zh")
