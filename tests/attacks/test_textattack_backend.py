"""The TextAttack backend: its records are what TextAttack itself reports, and depend on no order of examples."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import examples, saliency_of, victim
from tiny import build_model

from hf_robust.attacks import ATTACKS, AttackArguments, Example, Resources, attack_dataset, build_attacks
from hf_robust.attacks.textattack import importing as importing
from hf_robust.metrics import AttackSummary, aim_of, union_of_attacks
from hf_robust.words import Protection, Text

STOP_WORDS = ["the", "and", "with", "was"]
SWAPS = {
    "good": ["fine", "great", "splendid", "bad"],
    "bad": ["awful", "good", "poor"],
    "film": ["movie", "picture"],
    "plot": ["story", "ending"],
    "warm": ["cold", "tender"],
    "cold": ["warm", "dreadful"],
    "music": ["actor", "film"],
    "not": ["very"],
}
needs_textattack = pytest.mark.skipif(
    find_spec("textattack") is None, reason="TextAttack is not installed (requirements-textattack.txt)"
)


@pytest.fixture
def textattack(monkeypatch: pytest.MonkeyPatch) -> Any:
    """TextAttack, with a stop-word list of the test's own: a runner has no NLTK data."""
    found = importing.import_textattack()
    import nltk

    monkeypatch.setattr(nltk.corpus, "stopwords", SimpleNamespace(words=lambda language: STOP_WORDS))
    return found


def table_attack(
    textattack: Any, wrapper: Any = None, ranking: str = "delete", swap: Any = None, constraints: Any = ()
) -> Any:
    """Greedy search over SWAPS, built as a user of TextAttack would."""
    from hf_robust.attacks.textattack.wrapper import VictimWrapper

    class Table(textattack.transformations.WordSwap):  # type: ignore[misc]
        def _get_replacement_words(self, word: str) -> list[str]:
            return SWAPS.get(word.lower(), [])

    before = textattack.constraints.pre_transformation
    goal = textattack.goal_functions.UntargetedClassification(VictimWrapper() if wrapper is None else wrapper)
    rules = [before.RepeatModification(), before.StopwordModification(STOP_WORDS), *constraints]
    search = textattack.search_methods.GreedyWordSwapWIR(ranking)
    return textattack.Attack(goal, rules, Table() if swap is None else swap, search)


def recipe(attack: Any, **options: Any) -> Any:
    from hf_robust.attacks.textattack.backend import TextAttackRecipe

    return TextAttackRecipe(attack, **options)


def records(attack: Any, target: Any, rows: list[Example], seed: int = 0) -> list[Any]:
    with target.measuring(seed):
        return list(attack.run(target, rows, seed))


@needs_textattack
@pytest.mark.parametrize("ranking", ["delete", "unk", "weighted-saliency"])
@pytest.mark.parametrize("columns", [("sentence",), ("premise", "hypothesis")])
@pytest.mark.parametrize("budget", [None, 9])
def test_records_are_what_textattacks_attacker_reports(
    textattack: Any, ranking: str, columns: tuple[str, ...], budget: int | None
) -> None:
    target = victim()
    rows = examples(target, 12, len(columns))
    own = textattack.models.wrappers.HuggingFaceModelWrapper(target.model.eval(), target.tokenizer)
    theirs = table_attack(textattack, own, ranking)
    theirs.goal_function.query_budget = float("inf") if budget is None else budget
    data = [(row.texts if len(columns) == 2 else row.texts[0], row.label) for row in rows]
    dataset = textattack.datasets.Dataset(data, input_columns=list(columns))
    args = textattack.AttackArgs(num_examples=len(rows), disable_stdout=True, silent=True)
    expected = textattack.Attacker(theirs, dataset, args).attack_dataset()
    found = records(
        recipe(table_attack(textattack, None, ranking), columns=columns, query_budget=budget), target, rows
    )
    names = {"Successful": "succeeded", "Failed": "failed", "Skipped": "skipped"}
    for record, result in zip(found, expected, strict=True):
        assert record.status == names[type(result).__name__.removesuffix("AttackResult")]
        assert "\n".join(record.perturbed) == result.perturbed_result.attacked_text.text
        assert record.queries == result.num_queries
        after = result.perturbed_result.raw_output
        assert record.perturbed_score == pytest.approx(float(after[record.label]), abs=1e-5)
        assert Text(tuple(record.original)).replace({i: new for i, _, new in record.changed}).columns == tuple(
            record.perturbed
        )
    assert {"succeeded", "failed", "skipped"} - {record.status for record in found} == (
        {"succeeded"} if budget else set()
    )
    if budget is not None:
        assert max(record.queries for record in found) == budget
        assert {record.stop for record in found if record.queries == budget} == {"budget"}


@needs_textattack
@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_column_stays(textattack: Any, frozen: int) -> None:
    target = victim()
    found = records(
        recipe(table_attack(textattack), columns=("a", "b"), frozen_columns=frozenset({frozen})),
        target,
        examples(target, 15, 2),
    )
    assert all(record.perturbed[frozen] == record.original[frozen] for record in found)
    assert any(record.perturbed[1 - frozen] != record.original[1 - frozen] for record in found)


@needs_textattack
@pytest.mark.parametrize("columns", [1, 2])
def test_protected_spans_stay_and_the_cap_binds(textattack: Any, columns: int) -> None:
    target = victim()
    rows = examples(target, 20, columns, seed=3)
    protection = Protection(["numbers"], ["good", "film", "the plot"])
    names = tuple("ab"[:columns])
    free = records(recipe(table_attack(textattack), columns=names), target, rows)
    closed = records(recipe(table_attack(textattack), columns=names, protection=protection), target, rows)
    capped = records(recipe(table_attack(textattack), columns=names, max_changed=0.01), target, rows)
    for record in closed:
        kept = protection.strings(Text(tuple(record.original)))
        assert protection.strings(Text(tuple(record.perturbed))) == kept
    assert any(record.changed for record in closed)
    assert any(
        protection.strings(Text(tuple(one.original))) != protection.strings(Text(tuple(one.perturbed))) for one in free
    )
    assert max(len(record.changed) for record in capped) == 1 < max(len(record.changed) for record in free)


@needs_textattack
def test_limits_reach_the_description_and_the_checks_of_crossed_texts(textattack: Any) -> None:
    plain = recipe(table_attack(textattack))
    both = recipe(table_attack(textattack), protection=Protection(["urls"]), max_changed=0.3)
    assert both.describe()["protected"] == {"kinds": ["urls"]} and both.describe()["max_changed_share"] == 0.3
    assert "MaxWordsPerturbed" in both.describe()["recipe"]
    others = [recipe(table_attack(textattack), protection=Protection([kind])) for kind in ("urls", "numbers")]
    assert len({one.fingerprint() for one in (plain, both, *others)}) == 4
    attack = table_attack(textattack)
    attack.search_method = textattack.search_methods.AlzantotGeneticAlgorithm(4, 2, post_crossover_check=False)
    assert recipe(attack, max_changed=0.3).attack.search_method.post_crossover_check
    with pytest.raises(ValueError, match="--attack_max_changed 0.3 does not go with TextAttack's input_reduction"):
        recipe("input_reduction", max_changed=0.3)


@needs_textattack
def test_only_columns_named_premise_and_hypothesis_are_closed_by_name(textattack: Any) -> None:
    target = victim()
    rows = examples(target, 15, 2)
    changed = {}
    for columns in (("premise", "hypothesis"), ("question1", "question2")):
        rule = textattack.constraints.pre_transformation.InputColumnModification(
            ["premise", "hypothesis"], {"premise"}
        )
        found = records(recipe(table_attack(textattack, constraints=[rule]), columns=columns), target, rows)
        changed[columns[0]] = any(record.perturbed[0] != record.original[0] for record in found)
    assert changed == {"premise": False, "question1": True}


@needs_textattack
def test_random_recipes_depend_on_the_seed_and_not_on_the_order(textattack: Any) -> None:
    target = victim()
    rows = examples(target, 12)
    attack = recipe("deepwordbug")
    found = records(attack, target, rows)
    again = records(attack, target, rows[::-1])[::-1]
    alone = [records(recipe("deepwordbug"), target, [row])[0] for row in rows[:4]]
    assert [record.perturbed for record in found] == [record.perturbed for record in again]
    assert [record.queries for record in found] == [record.queries for record in again]
    assert [record.perturbed for record in found[:4]] == [record.perturbed for record in alone]
    assert [record.perturbed for record in records(attack, target, rows, seed=1)] != [r.perturbed for r in found]


@needs_textattack
def test_names_of_a_recipe(textattack: Any) -> None:
    kind = textattack.attack_recipes.DeepWordBugGao2018
    path = f"{kind.__module__}:{kind.__name__}"
    named = [recipe(one) for one in ("deepwordbug", "DeepWordBugGao2018", path, kind)]
    assert [one.name for one in named] == ["deepwordbug", *["DeepWordBugGao2018"] * 3]
    assert len({one.fingerprint() for one in named}) == 1
    assert recipe("input_reduction").fingerprint() == recipe("input-reduction").fingerprint()
    for name in ("no_such_recipe", "os.path:join"):
        with pytest.raises(ValueError, match="is no recipe of TextAttack"):
            recipe(name)
    with pytest.raises(ValueError, match="cannot be imported"):
        recipe("no.such.module:Recipe")
    with pytest.raises(ValueError, match="MinimizeBleu, which is not a classification goal"):
        recipe("morpheus")


@needs_textattack
def test_a_goal_that_wants_the_prediction_to_stay_is_one_here_too(textattack: Any) -> None:
    target = victim()
    rows = examples(target, 6)
    shortens, changes = recipe("input-reduction"), recipe("deepwordbug")
    assert aim_of(shortens.describe()) == (True, True) and aim_of(changes.describe()) == (False, False)
    found = {one.name: records(one, target, rows) for one in (shortens, changes)}
    assert union_of_attacks(found) is None
    assert {record.remains for record in found["deepwordbug"]} == {None}
    assert all(record.remains for record in found["input-reduction"] if record.status == "succeeded")
    assert "covered" not in AttackSummary.from_records(found["input-reduction"]).extra


@needs_textattack
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_saturated_queries_are_counted_as_the_native_engine_counts_them(textattack: Any, scale: float) -> None:
    model = build_model()
    with torch.no_grad():
        model.classifier.weight *= scale
        model.classifier.bias *= scale
    target = victim(model)
    rows = examples(target, 8)
    native = ATTACKS["input_reduction"](Resources())
    ours = attack_dataset(native, target, rows, progress=False)
    theirs = records(recipe("input-reduction"), target, rows)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.queries, mine.saturated) == (other.queries, other.saturated)
        assert scale > 1 or not mine.saturated
    assert any(record.saturated > 5 for record in theirs) == (scale > 1)


@needs_textattack
def test_flags_build_recipes(textattack: Any) -> None:
    flags = AttackArguments(
        attacks=["deepwordbug", "input_reduction"],
        attack_backend="textattack",
        attack_query_budget=30,
        frozen_columns=["sentence2"],
    )
    built = build_attacks(flags, None, None, ["no", "yes"], ["sentence1", "sentence2"])
    assert list(built) == ["deepwordbug", "input_reduction"]
    described = built["deepwordbug"].describe()
    assert described["query_budget"] == 30 and described["frozen_columns"] == [1]
    assert described["backend"] == "textattack" and "GreedyWordSwapWIR" in described["recipe"]


@needs_textattack
def test_fingerprints_change_with_what_a_result_depends_on(textattack: Any) -> None:
    target = victim()
    same = recipe(table_attack(textattack))
    before = same.fingerprint()
    records(same, target, examples(target, 4))
    others = [
        recipe(table_attack(textattack), query_budget=9),
        recipe(table_attack(textattack, ranking="unk")),
        recipe(table_attack(textattack), columns=("a", "b"), frozen_columns=frozenset({0})),
    ]
    other_stop_words = table_attack(textattack)
    other_stop_words.pre_transformation_constraints[1].stopwords = {"film"}
    others.append(recipe(other_stop_words))
    assert same.fingerprint() == before == recipe(table_attack(textattack), name="another").fingerprint()
    assert len({before, *(one.fingerprint() for one in others)}) == 5


@needs_textattack
@pytest.mark.parametrize("columns", [1, 2])
def test_gradients_by_token(textattack: Any, columns: int) -> None:
    from hf_robust.attacks.textattack.wrapper import VictimWrapper

    target = victim(build_model(dropout=0.5))
    target.model.train()
    wrapper = VictimWrapper(target, gradient_dropout=False)
    text = ("A good film with warm music.", "The plot was cold.")[:columns]
    gradient = wrapper.get_grad(text if columns == 2 else text[0])["gradient"]
    assert target.model.training and all(one.grad is None for one in target.model.parameters())
    norms = []
    words = textattack.shared.AttackedText(dict_of(text))
    for places in words.align_with_model_tokens(wrapper).values():
        norms.append(np.abs(gradient[places].mean(0)).sum() if places else 0.0)
    assert norms == pytest.approx(saliency_of(target, Text(text)), rel=1e-3)
    wrapper.gradient_dropout = True
    draws = [wrapper.get_grad(text if columns == 2 else text[0])["gradient"] for _ in range(2)]
    assert not np.allclose(*draws)


def dict_of(text: tuple[str, ...]) -> Any:
    from collections import OrderedDict

    return OrderedDict((f"text_{number}", column) for number, column in enumerate(text))


@needs_textattack
def test_an_example_on_which_textattack_fails_is_named(textattack: Any) -> None:
    class Broken(textattack.transformations.WordSwap):  # type: ignore[misc]
        def _get_replacement_words(self, word: str) -> list[str]:
            raise KeyError("no such word")

    target = victim()
    rows = [row for row in examples(target, 40) if row.idx % 15 != 12 and "music" in row.texts[0]][:1]
    attack = recipe(table_attack(textattack, swap=Broken()))
    with pytest.raises(ValueError, match=rf"failed on example {rows[0].idx} \(KeyError: 'no such word'\)"):
        records(attack, target, rows)
    assert attack.wrapper.victim is None
    with pytest.raises(ValueError, match="2 text columns, got 1 column names"):
        records(recipe(table_attack(textattack), columns=("a",)), target, [Example(0, ("good", "bad"), 0)])
    with pytest.raises(ValueError, match="example 4 holds <SPLIT>"):
        records(attack, target, [Example(4, ("good <SPLIT> film",), 0)])


@needs_textattack
def test_a_transformation_that_changes_a_frozen_column_is_an_error(textattack: Any) -> None:
    class Everywhere(textattack.transformations.WordSwap):  # type: ignore[misc]
        def _get_transformations(self, current_text: Any, indices_to_modify: Any) -> list[Any]:
            return [current_text.replace_word_at_index(0, word) for word in ("bad", "cold", "awful", "dreadful")]

    target = victim()
    attack = table_attack(textattack, swap=Everywhere())
    frozen = recipe(attack, columns=("a", "b"), frozen_columns=frozenset({0}))
    with pytest.raises(ValueError, match="that --frozen_columns closes: its transformation ignores"):
        records(frozen, target, examples(target, 15, 2))


@needs_textattack
def test_a_failed_download_leaves_no_lock(textattack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install = sys.modules["textattack.shared.utils.install"]

    def offline(*args: Any, **options: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(install, "TEXTATTACK_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(install, "http_get", offline)
    for name in ("textfooler", "textfooler", "textbugger"):
        with pytest.raises(ValueError, match="cannot be built here .no network."):
            recipe(name)


@needs_textattack
def test_textbuggers_letters_need_no_file(textattack: Any) -> None:
    swap = textattack.transformations.WordSwapHomoglyphSwap()
    assert swap._get_replacement_words("ab") == ["\u0251b", "a\u042c"]
    assert swap._get_glyph_map(textattack.shared.AttackedText("ab")) == [(0, "\u0430")]
