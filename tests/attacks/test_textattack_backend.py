"""The TextAttack backend: what it does without TextAttack, and that its records are what TextAttack itself reports."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from attack_parts import examples, saliency_of, victim
from tiny import build_model

from hf_robust.attacks import AttackArguments, Example, build_attacks
from hf_robust.attacks import textattack_import as importing
from hf_robust.attacks.textattack_records import changed_words, to_record
from hf_robust.words import Text

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements-textattack.txt"
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


# ---- without TextAttack ----


def run(code: str, folder: Path | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *([str(folder)] if folder else [])])}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "textattack", raising=False)
    monkeypatch.setattr(importing, "find_spec", lambda name: None)


@pytest.mark.usefixtures("absent")
def test_without_textattack_one_sentence_names_the_command() -> None:
    flags = AttackArguments(attacks=["textfooler"], attack_backend="textattack")
    with pytest.raises(ValueError, match=r"not installed: pip install --no-deps -r requirements-textattack\.txt\.$"):
        build_attacks(flags, None, None, ["no", "yes"], ["sentence"])


def test_what_it_needs_and_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "textattack.py").write_text("import no_such_module_here")
    code = (
        "import sys\nfrom hf_robust.attacks.textattack_import import import_textattack\n"
        "try: import_textattack()\nexcept ValueError as error: print(error, 'textattack' in sys.modules)"
    )
    said = run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}")
    assert "No module named 'no_such_module_here'" in said and "--no-deps" in said and said.endswith("False")


def test_the_attacks_do_not_import_the_backend() -> None:
    code = "import sys, hf_robust.attacks as a; a.ATTACKS; print([m for m in sys.modules if 'textattack' in m])"
    assert run(code) == "[]"


def test_the_flair_stub_holds_what_is_named_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flair", "flair.data", "flair.models"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importing.put_flair_stub()
    from flair.data import Sentence, Tokenizer  # type: ignore[import-not-found]
    from flair.models import SequenceTagger  # type: ignore[import-not-found]

    assert find_spec("flair") is sys.modules["flair"].__spec__
    assert isinstance(type("Own", (Tokenizer,), {})(), Tokenizer)
    for refused in (lambda: Sentence("a text"), lambda: SequenceTagger.load("ner")):
        with pytest.raises(ValueError, match="tags words with flair"):
            refused()
    stub = sys.modules["flair"]
    importing.put_flair_stub()
    assert sys.modules["flair"] is stub


def test_the_import_leaves_loggers_and_variables_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.delenv("WANDB_SILENT", raising=False)
    mine = logging.getLogger("hf_robust.test_backend")
    with importing._process_as_before():
        mine.disabled = True
        os.environ.update(TOKENIZERS_PARALLELISM="True", WANDB_SILENT="1")
    assert not mine.disabled and os.environ["TOKENIZERS_PARALLELISM"] == "false" and "WANDB_SILENT" not in os.environ


def test_the_requirements_are_pinned_and_hold_nothing_that_textattack_breaks() -> None:
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line and line[0] != "#"]
    names = {line.split("==")[0].lower() for line in lines}
    assert all(line.count("==") == 1 for line in lines) and "textattack==0.3.11" in lines
    assert not names & {"flair", "torch", "transformers", "tensorflow", "sentence-transformers", "numpy"}


def test_recipe_names_are_textattacks_own_with_its_backend() -> None:
    assert AttackArguments(attacks=["pruthi", "my.module:Recipe"], attack_backend="textattack").attacks
    with pytest.raises(ValueError, match="--attacks must be among"):
        AttackArguments(attacks=["pruthi"])
    with pytest.raises(ValueError, match="--sentence_encoder is for --attack_backend native"):
        AttackArguments(attacks=["pruthi"], attack_backend="textattack", sentence_encoder="some/encoder")


def fake_text(text: str, places: list[int] | None = None) -> Any:
    words = text.split()
    attributes = {"original_index_map": np.array(range(len(words)) if places is None else places)}
    return SimpleNamespace(words=words, attack_attrs=attributes, tokenizer_input=text)


@pytest.mark.parametrize(
    ("old", "new", "places", "changes"),
    [
        ("a good film", "a fine film", [0, 1, 2], [(1, "good", "fine")]),
        ("a good film", "a film", [0, -1, 1], [(1, "good", "")]),
        ("a good film", "good", [-1, 0, -1], [(0, "a", ""), (2, "film", "")]),
        ("a good film", "a go od film", [0, 2, 3], [(1, "good", "go od")]),
        ("a good film", "a go od fi lm", [0, 2, 4], [(1, "good", "go od"), (2, "film", "fi lm")]),
        ("a good film", "a good very film", [0, 1, 3], [(1, "good", "good very")]),
        ("good film", "good film here", [0, 1], [(1, "film", "film here")]),
        ("good film", "so good film", [1, 2], [(0, "good", "so good")]),
        ("film", "", [-1], [(0, "film", "")]),
    ],
)
def test_changed_words(old: str, new: str, places: list[int], changes: list[tuple[int, str, str]]) -> None:
    assert list(changed_words(fake_text(old), fake_text(new, places))) == changes


@pytest.mark.parametrize(
    ("kind", "queries", "status", "stop"),
    [
        ("SuccessfulAttackResult", 5, "succeeded", "success"),
        ("SuccessfulAttackResult", 9, "succeeded", "success"),
        ("MaximizedAttackResult", 5, "succeeded", "exhausted"),
        ("FailedAttackResult", 5, "failed", "exhausted"),
        ("FailedAttackResult", 9, "failed", "budget"),
        ("SkippedAttackResult", 1, "skipped", "misclassified"),
    ],
)
def test_results_become_records(kind: str, queries: int, status: str, stop: str) -> None:
    sides = [
        SimpleNamespace(attacked_text=fake_text(text), raw_output=np.array(output))
        for text, output in (("a good film", [0.2, 0.8]), ("a fine film", [0.6, 0.4]))
    ]
    result = type(kind, (), {"original_result": sides[0], "perturbed_result": sides[1], "num_queries": queries})()
    record = to_record(Example(7, ("a good film",), 1), result, query_budget=9)
    assert (record.idx, record.status, record.stop, record.queries) == (7, status, stop, queries)
    assert (record.perturbed, record.changed) == (["a fine film"], [[1, "good", "fine"]])
    assert (record.original_prediction, record.perturbed_prediction) == (1, 0)
    assert (record.original_score, record.perturbed_score) == (0.8, 0.4)


# ---- with TextAttack ----


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
    from hf_robust.attacks.textattack_wrapper import VictimWrapper

    class Table(textattack.transformations.WordSwap):  # type: ignore[misc]
        def _get_replacement_words(self, word: str) -> list[str]:
            return SWAPS.get(word.lower(), [])

    before = textattack.constraints.pre_transformation
    goal = textattack.goal_functions.UntargetedClassification(VictimWrapper() if wrapper is None else wrapper)
    rules = [before.RepeatModification(), before.StopwordModification(STOP_WORDS), *constraints]
    search = textattack.search_methods.GreedyWordSwapWIR(ranking)
    return textattack.Attack(goal, rules, Table() if swap is None else swap, search)


def recipe(attack: Any, **options: Any) -> Any:
    from hf_robust.attacks.textattack_backend import TextAttackRecipe

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
def test_only_columns_named_premise_and_hypothesis_close_by_their_names(textattack: Any) -> None:
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
    with pytest.raises(ValueError, match="MinimizeBleu, which is not one of classification"):
        recipe("morpheus")


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
    from hf_robust.attacks.textattack_wrapper import VictimWrapper

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
    with pytest.raises(ValueError, match="2 text columns, and 1 were named"):
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
    with pytest.raises(ValueError, match="that --frozen_columns closes: its transformation does not ask"):
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
    with pytest.raises(ValueError, match=r"intentional_homoglyphs\.txt"):
        swap._get_glyph_map(textattack.shared.AttackedText("ab"))
