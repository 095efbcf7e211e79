"""The standard: a fixed list as a cascade that equals the union of its members, under a name of its resources."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import all_close, examples, masked_lm, resources, victim
from scripted import record
from tiny import build_model, table

from hf_robust.attacks import (
    ATTACKS,
    AttackArguments,
    Cascade,
    Plans,
    SentenceEncoder,
    attack_dataset,
    attack_key,
    attack_on_ranks,
    check_attack,
    fitted,
    goal_of,
)
from hf_robust.attacks.building import with_bug_fixes
from hf_robust.attacks.engine.black_box import BlackBox
from hf_robust.attacks.engine.until import parts_until
from hf_robust.attacks.parts.constraints import NoStopWords
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.quality import SAME_MEANING, Quality
from hf_robust.attacks.standard import MEMBERS, _title, member_names, standard
from hf_robust.metrics import AttackSummary, ConfidenceSequence, cascade_history, judged_by, union_of_attacks
from hf_robust.runs import Ranks
from hf_robust.words import NLTK_STOP_WORDS, UNICODE_WORDS

ANTONYMS = table({"good": ["bad"], "warm": ["cold"]}, "antonym")


@pytest.fixture(autouse=True)
def no_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_robust.attacks.standard.load_lexicon", lambda *_: ANTONYMS)


def cascade(*flags: str, **parts: Any) -> Cascade:
    arguments = AttackArguments(attacks=["standard"], **dict(zip(flags[::2], flags[1::2], strict=True)))
    built = standard(resources(**parts), arguments, with_bug_fixes)
    return dataclasses.replace(built, members=tuple(short(member) for member in built.members))


def short(member: Any) -> Any:
    """The population search with few queries, so that a test takes little time."""
    return dataclasses.replace(member, query_budget=60) if member.name == "faster_genetic" else member


def measured(which: Cascade, target: Any, rows: Any, **options: Any) -> Any:
    options = {"journals": None, "ranks": Ranks(), "plans": Plans(), "progress": False, **options}
    return attack_on_ranks(which, target, rows, "key", **options)


@pytest.fixture(scope="module")
def target() -> Any:
    return victim(build_model(seed=3))


@pytest.fixture(scope="module")
def rows(target: Any) -> Any:
    return examples(target, 40)


# ---- the cascade ----


def test_the_cascade_is_the_union_of_its_members_run_alone(target: Any, rows: Any) -> None:
    which = cascade(masked_lm=masked_lm())
    results = measured(which, target, rows)
    alone = {member.name: attack_dataset(member, target, rows, progress=False) for member in which.members}
    union = union_of_attacks(alone)
    summary = AttackSummary.from_records(results.records)
    assert union is not None and (summary.num_failed, len(rows)) == (union.num_robust, union.num_examples)
    by_name = {name: {record.idx: record for record in found} for name, found in alone.items()}
    for joined in results.records:
        single = [by_name[name][joined.idx] for name in joined.members]
        found = [one.status for one in single]
        assert set(found[:-1]) <= {"failed"} and joined.queries == sum(one.queries for one in single)
        statuses = {one[joined.idx].status for one in by_name.values()}
        assert (joined.status == "succeeded") == ("succeeded" in statuses)
        if joined.status == "failed":
            assert list(joined.members) == list(alone)
        else:
            assert (joined.status, joined.perturbed) == (found[-1], single[-1].perturbed)
    ended = Counter(list(one.members)[-1] for one in results.records if one.status == "succeeded")
    assert len(ended) > 1, "the members after the first add nothing, so the test says little"
    assert summary.num_failed, "nothing withstood, so the test says little"


def test_its_history_adds_up(target: Any, rows: Any) -> None:
    which = cascade()
    results = measured(which, target, rows)
    entry = cascade_history(which.describe(), results.records, results.by_member)
    members, summary = entry["members"], AttackSummary.from_records(results.records)
    assert [member["name"] for member in members] == [member.name for member in which.members]
    assert members[0]["met"] == summary.num_attacked
    for before, after in zip(members, members[1:], strict=False):
        assert after["met"] == before["met"] - before["added"]
    assert members[-1]["met"] - members[-1]["added"] == summary.num_failed
    assert sum(member["added"] for member in members) == summary.num_succeeded == entry["quality"]["successes"]
    assert sum(member["queries"] for member in members) == entry["queries"]
    assert math.isclose(sum(member["seconds"] for member in members), entry["seconds"])
    assert entry["robust_accuracy"] == summary.num_failed / len(rows) and entry["num_examples"] == len(rows)
    assert entry["quality"]["antonyms"] + entry["quality"]["same_meaning"] == summary.num_succeeded


def test_more_attacks_leave_fewer_and_no_attack_none(target: Any, rows: Any) -> None:
    which, before = cascade(), None
    for count in range(1, len(which.members) + 1):
        part = dataclasses.replace(which, members=which.members[:count])
        withstood = {one.idx for one in measured(part, target, rows).records if one.status == "failed"}
        assert before is None or withstood <= before
        before = withstood


def test_a_killed_cascade_continues_in_the_middle(target: Any, rows: Any, tmp_path: Path, monkeypatch: Any) -> None:
    which = cascade()
    whole = measured(which, target, rows).records
    key = attack_key(which, "weights", rows, 32)
    options = {"journals": tmp_path, "ranks": Ranks(), "plans": Plans(), "progress": False}
    begin, reached = Cascade.run, []

    def killed(self: Cascade, left: Any, attack_one: Any) -> Any:
        def until_the_third(member: Any, some: Any) -> Any:
            reached.append(member.name)
            if len(reached) == 3:
                raise KeyboardInterrupt
            return attack_one(member, some)

        return begin(self, left, until_the_third)

    with monkeypatch.context() as patch:
        patch.setattr(Cascade, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            attack_on_ranks(which, target, rows, key, **options)
    asked = target.queries
    again = attack_on_ranks(which, target, rows, key, **options)
    assert all_close(again.records, whole)
    spent = {member["name"]: member["queries"] for member in history(which, again)["members"]}
    # Clean texts are asked with each search, and a text that several words of one request give is asked once.
    assert 0 < target.queries - asked <= sum(spent[name] for name in list(spent)[2:]) + len(rows)
    asked = target.queries
    assert all_close(attack_on_ranks(which, target, rows, key, **options).records, whole) and target.queries == asked


def test_a_cascade_stops_at_an_interval_as_one_attack_does(target: Any, tmp_path: Path) -> None:
    which, until, many = cascade(), ConfidenceSequence(0.45), examples(target, 120)
    whole = {record.idx: record for record in measured(which, target, many).records}
    options = {"journals": tmp_path, "ranks": Ranks(), "plans": Plans(), "progress": False, "until": until}
    stopped = attack_on_ranks(which, target, many, "key", **options)
    seen: list[int] = []
    for part in parts_until(many, until, which.seed):
        seen += [example.idx for example in part]
        if until.is_reached(*judged_by([whole[idx] for idx in seen])):
            break
    assert [record.idx for record in stopped.records] == sorted(seen) and len(seen) < len(many)
    assert all_close(stopped.records, [whole[idx] for idx in sorted(seen)])
    asked = target.queries
    again = attack_on_ranks(which, target, many, "key", **options)
    assert all_close(again.records, stopped.records) and target.queries == asked
    entry = cascade_history(which.describe(), stopped.records, stopped.by_member, until)
    low, high = entry["robust_accuracy_low"], entry["robust_accuracy_high"]
    robust = sum(record.status == "failed" for record in stopped.records)
    assert (low, high) == pytest.approx(until.interval(robust, len(seen))) and high - low < 0.45


def history(which: Cascade, results: Any) -> Any:
    return cascade_history(which.describe(), results.records, results.by_member)


def test_attack_dataset_runs_one_attack(target: Any, rows: Any) -> None:
    with pytest.raises(ValueError, match="standard is several attacks; run it by attack_on_ranks"):
        attack_dataset(cascade(), target, rows, progress=False)


def test_a_classifier_without_gradients_is_measured_by_the_others_under_another_name(rows: Any, target: Any) -> None:
    which = cascade()
    box = BlackBox(lambda texts: target.probabilities([(text,) for text in texts]), num_classes=2)
    fit = fitted({"standard": which, "synonym": ATTACKS["synonym"](resources())}, box)
    assert [member.name for member in which.members if member not in fit["standard"].members] == ["a2t"]
    assert fit["standard"].title == f"{which.title}+no_gradients" and fit["synonym"].name == "synonym"
    check_attack(fit["standard"], box, Plans(), rows)
    assert fitted({"standard": which}, target)["standard"] is which


# ---- the list and its name ----


def test_members_climb_margins_by_mended_recipes_and_change_predictions() -> None:
    parts = {"masked_lm": masked_lm(), "word_vectors": vectors()}
    which = cascade(**parts)
    assert [member.name for member in which.members] == [name for name in member_names() if name != "pwws"]
    assert all(goal_of(name) is Misclassify for name in member_names())
    for member in which.members:
        assert member.scores == "margin" and member.word_rule is UNICODE_WORDS and member.time_limit is None
    assert all(member.reason.endswith((".", "queries.")) for member in MEMBERS)


def vectors() -> Any:
    from hf_robust.attacks.parts.word_distance import WordVectors

    return WordVectors(["good", "bad"], np.eye(2, dtype=np.float32), "eye")


def test_flags_of_other_attacks_change_nothing() -> None:
    plain, other = (
        standard(
            resources(query_budget=budget),
            AttackArguments(attacks=["standard"], attack_query_budget=budget, attack_early_exit=budget is not None),
            with_bug_fixes,
        )
        for budget in (None, 30)
    )
    assert plain.fingerprint() == other.fingerprint() and plain.title == other.title


@pytest.mark.parametrize(
    ("described", "title"),
    [
        ({"lexicon": {"name": "wordnet", "source": "WordNet 3.0 (nltk)"}, "tagger": {"name": "nltk x"}}, "wordnet"),
        (
            {
                "lexicon": {"name": "neighbours", "source": "cf.json", "fingerprint": "0123456789"},
                "tagger": {"name": "none"},
                "encoder": {"name": "e", "fingerprint": "abcdefghij"},
            },
            "cf.json(01234567)+no_tagger+encoder(abcdefgh)",
        ),
        (
            {
                "language": {"name": "de", "fingerprint": "9876543210"},
                "lexicon": {"name": "wordnet", "source": "WordNet de", "fingerprint": "0123456789"},
                "tagger": {"name": "none"},
            },
            "de(98765432)+wordnet(01234567)+no_tagger",
        ),
    ],
)
def test_names(described: Any, title: str) -> None:
    assert _title(described) == f"standard-v1/{title}"


def test_other_resources_are_another_name() -> None:
    titles = [
        cascade().title,
        cascade(tagger=None).title,
        cascade(masked_lm=masked_lm()).title,
        cascade(synonyms=table({"good": ["fine"]}, "synonym")).title,
        cascade(synonyms=table({"good": ["great"]}, "synonym")).title,
        cascade(encoder=Words()).title,
        cascade(frozen_columns=frozenset({0})).title,
        cascade(word_vectors=vectors()).title,
    ]
    assert len(set(titles)) == len(titles) and cascade().title == titles[0]


def test_stop_words_of_english_do_not_depend_on_the_installed_list() -> None:
    first, second = (cascade(stop_words=frozenset(words)) for words in (["the"], ["the", "film"]))
    assert first.title == second.title and first.fingerprint() == second.fingerprint()
    closed = [rule.words for member in first.members for rule in member.constraints if isinstance(rule, NoStopWords)]
    assert {NLTK_STOP_WORDS} < set(closed) | {frozenset()} and not any(words <= {"the", "film"} for words in closed)


# ---- quality ----


class Words:
    """Embeds a text as the direction of the angle (1 - its number of words) * 10 degrees."""

    name = "words"

    def encode(self, sentences: Any) -> Any:
        angles = [math.radians(10 * len(sentence.split())) for sentence in sentences]
        return np.array([[math.cos(angle), math.sin(angle)] for angle in angles], dtype=np.float32)

    def fingerprint(self) -> str:
        return "words"

    def log_probabilities(self, inputs: Any) -> list[float]:
        return [-2.0 * len(text) for _, text in inputs]


def test_quality_of_a_success_in_closed_form() -> None:
    success = record(0, "succeeded", ("a good film",), perturbed=["a Bad film xx"], changed=[[1, "good", "Bad"]])
    near = record(1, "succeeded", ("a good film",), perturbed=["a fine film"], changed=[[1, "good", "fine"]])
    failed = record(2, "failed")
    quality = Quality(Words(), Words(), ANTONYMS)
    first, second, last = quality.measured([success, near, failed])
    assert last.quality is None
    assert first.quality == {
        "similarity": pytest.approx(1 - 10 / 180, abs=1e-6),
        "surprise": pytest.approx(2.0 * (len("a Bad film xx") - len("a good film")) / 3),
        "antonym": 1.0,
        "same_meaning": 0.0,
    }
    assert second.quality == {
        "similarity": pytest.approx(1, abs=1e-3),
        "surprise": 0.0,
        "antonym": 0.0,
        "same_meaning": 1.0,
    }
    assert "antonym" not in next(Quality(Words()).measured([near])).quality
    assert next(Quality().measured([near])).quality is None


@pytest.mark.parametrize(("words", "same"), [(3, 1.0), (7, 0.0)])
def test_a_text_that_is_too_far_does_not_mean_the_same(words: int, same: float) -> None:
    far = record(0, "succeeded", ("a",), perturbed=[" ".join("a" * words)], changed=[[0, "a", "b"]])
    (quality,) = (one.quality for one in Quality(Words()).measured([far]))
    assert (1 - 10 * (words - 1) / 180 >= SAME_MEANING) == bool(same) == bool(quality["same_meaning"])


def test_quality_is_measured_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [record(idx, "succeeded" if idx % 3 else "failed", changed=[[0, "a", "b"]]) for idx in range(10)]
    whole = list(Quality(Words(), Words(), ANTONYMS).measured(found))
    monkeypatch.setattr("hf_robust.attacks.quality.PART", 4)
    assert list(Quality(Words(), Words(), ANTONYMS).measured(iter(found))) == whole
    assert [one.quality is not None for one in whole] == [one.status == "succeeded" for one in found]


def test_antonyms_count_in_either_direction() -> None:
    swapped = record(0, "succeeded", ("so cold",), perturbed=["so warm"], changed=[[1, "cold", "warm"]])
    assert next(Quality(antonyms=ANTONYMS).measured([swapped])).quality == {"antonym": 1.0, "same_meaning": 0.0}


def test_an_encoder_of_no_use_is_refused_in_one_sentence(tokenizer: Any) -> None:
    model = build_model().base_model
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(math.nan)
    with pytest.raises(ValueError, match="--sentence_encoder broken gives numbers that are not finite for the text"):
        SentenceEncoder(model, tokenizer, "broken").encode(["a film"])
