"""The TextAttack backend where TextAttack is not installed: its sentences, the flair stub, records from results."""

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

from hf_robust.attacks import AttackArguments, Example, build_attacks
from hf_robust.attacks.textattack import importing as importing
from hf_robust.attacks.textattack.records import to_record, word_changes

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements-textattack.txt"


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


@pytest.mark.slow
def test_a_missing_dependency_is_named(tmp_path: Path) -> None:
    (tmp_path / "textattack.py").write_text("import no_such_module_here")
    code = (
        "import sys\nfrom hf_robust.attacks.textattack.importing import import_textattack\n"
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
    importing.install_flair_stub()
    from flair.data import Sentence, Tokenizer  # type: ignore[import-not-found]
    from flair.models import SequenceTagger  # type: ignore[import-not-found]

    assert find_spec("flair") is sys.modules["flair"].__spec__
    assert isinstance(type("Own", (Tokenizer,), {})(), Tokenizer)
    for refused in (lambda: Sentence("a text"), lambda: SequenceTagger.load("ner")):
        with pytest.raises(ValueError, match="tags words with flair"):
            refused()
    stub = sys.modules["flair"]
    importing.install_flair_stub()
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
    assert AttackArguments(attacks=["morpheus", "my.module:Recipe"], attack_backend="textattack").attacks
    with pytest.raises(ValueError, match="--attacks must be among"):
        AttackArguments(attacks=["morpheus"])
    with pytest.raises(ValueError, match="--sentence_encoder is for --attack_backend native"):
        AttackArguments(attacks=["morpheus"], attack_backend="textattack", sentence_encoder="some/encoder")


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
    assert list(word_changes(fake_text(old), fake_text(new, places))) == changes


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
