"""The quick part of the matrix of architectures: no cell is silently plain, none fails when training has begun.

``python -m benchmarks.architectures`` runs all of it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.architectures.cells import DEFECTS, LATE, NOISE, OK, PLAIN, REFUSED, Architecture, Outcome
from benchmarks.architectures.setting import ATTACKED_AS, Setting, build_attacks, dropout_of
from hf_robust.models.passes import are_counted
from hf_robust.trainers import METHODS

QUICK = [
    ("llama", "bat_triplet"), ("llama", "infobert"), ("gemma2", "bat_pairwise"), ("mistral", "bat_triplet"),
    ("phi3", "infobert"), ("gpt2", "taichi"), ("t5", "infobert"), ("t5", "flat"), ("bart", "semrode"),
    ("longformer", "flat"), ("big_bird", "pgd"), ("xlnet", "smart"), ("modernbert", "adpmixup"), ("gpt2", "adpmixup"),
    ("longformer", "adpmixup"), ("llama", "r_drop"), ("modernbert", "ranmask"),
]  # fmt: skip
"""An architecture and a method; a pair that failed before, or a kind that no other test has."""


@pytest.fixture(scope="module")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def get(kind: str, method: str = "normal") -> Architecture:
        return shared(kind, dropout_of(method))

    @cache
    def shared(kind: str, dropout: float) -> Architecture:
        return Architecture(Setting(kind, tmp_path_factory.mktemp(kind), dropout))

    return get


@pytest.mark.parametrize(("kind", "method"), QUICK)
def test_a_method_trains_otherwise_than_plain_training_and_every_attack_runs(
    kind: str, method: str, architecture: Any
) -> None:
    outcomes = architecture(kind, method).cells(method)
    assert list(outcomes) == list(ATTACKED_AS)
    assert {outcome.word for outcome in outcomes.values()} == {OK}, outcomes


@pytest.mark.parametrize(("kind", "method"), QUICK[:4])
def test_at_zero_strength_it_is_plain_training(kind: str, method: str, architecture: Any) -> None:
    options = dict(METHODS[method].zero_strength or {})
    assert architecture(kind, method).run(method, {}, **options).word == PLAIN


def test_what_cannot_run_is_a_sentence_before_training(architecture: Any) -> None:
    assert architecture("t5").run("amda", {}).word == REFUSED
    adapted = architecture("xlnet").run("adpmixup", {})
    assert adapted.word == REFUSED and "linear layers with the rows as first dimension" in adapted.sentence
    undropped = architecture("diffllama").run("r_drop", {})
    assert undropped.word == REFUSED and "so that it has no dropout; set attention_dropout of" in undropped.sentence
    attacks, words = build_attacks(), {}
    for attack in ("fickle", "gradient"):
        words[attack] = architecture("llama").run("dne", {attack: attacks[attack]})
    assert words["fickle"].word == OK and words["gradient"].word == REFUSED
    assert "no gradients by word" in words["gradient"].sentence


def test_defects_are_found(architecture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that computes the plain loss, and one whose loss fails."""
    bert = architecture("bert")
    plain = bert.run("normal", {})
    assert plain == Outcome(OK, "0")
    method = METHODS["fgm"]
    monkeypatch.setattr(method, "compute_loss", METHODS["normal"].compute_loss)
    assert bert.run("fgm", {}).word == PLAIN and NOISE < 1

    def fails_in_training(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        if are_counted():  # not in the step that is tried
            raise RuntimeError("a shape\nis wrong")
        return METHODS["normal"].compute_loss(trainer, *args, **kwargs)

    monkeypatch.setattr(method, "compute_loss", fails_in_training)
    outcome = bert.run("fgm", build_attacks())
    assert outcome == Outcome(LATE, "RuntimeError: a shape is wrong") and outcome.word in DEFECTS


def test_folders_of_cells_do_not_meet(architecture: Any, tmp_path: Path) -> None:
    setting = architecture("bert").setting
    folders = {setting.trainer(name, {}).args.output_dir for name in ("normal", "fgm")}
    assert len(folders) == 2
