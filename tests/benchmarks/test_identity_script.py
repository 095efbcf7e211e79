"""What the identity script makes of two sides' records; no TextAttack is needed for it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from attacks.attack_parts import attack, examples
from tiny import build_model, build_tokenizer

from benchmarks.performance import identity
from hf_robust.attacks import Victim, attack_dataset


class Faked(identity.Sides):
    """Side A is our own engine with a record changed: always, or only where scores are not shared."""

    def __init__(self, always: bool, **changes: Any) -> None:
        self.name, self.native, self.always, self.changes = "textfooler", attack("synonym"), always, changes
        self.args = identity.parse(["--model", "m", "--data", "d", "--recipes", "synonym"])[1]
        self.columns = ("sentence",)

    def a(self, victim: Victim, examples: Any, stock: bool = False) -> list[Any]:
        found = list(self.b(victim, examples))
        if self.always or not isinstance(victim, identity.SharedVictim):
            found[0] = dataclasses.replace(found[0], **self.changes)
        return found


def victims() -> tuple[Victim, Victim]:
    model, tokenizer = build_model(), build_tokenizer()
    return Victim(model, tokenizer), identity.SharedVictim(model, tokenizer)


@pytest.mark.parametrize("changes", [{"queries": 99}, {"status": "skipped"}, {"perturbed": ["other"]}])
@pytest.mark.parametrize("always", [True, False])
def test_a_difference_that_shared_scores_do_not_remove_disagrees(
    always: bool, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    victim, shared = victims()
    rows = examples(victim, 6)
    result = identity.compare(Faked(always, **changes), victim, shared, rows)
    assert (result["agree"], result["disagrees"], result["noise"]) == (5, int(always), int(not always))
    found = result["disagreements"][0]
    assert found["differs"] == list(changes) and found["still_differs"] == (list(changes) if always else [])
    assert ("DISAGREES" if always else "noise") in capsys.readouterr().out


def test_equal_records_agree() -> None:
    victim, shared = victims()
    result = identity.compare(Faked(True, near_ties=4), victim, shared, examples(victim, 6))
    assert (result["agree"], result["disagreements"]) == (6, [])
    assert result["attacked"] < 6 and result["queries_a"] == result["queries_b"]


def test_queries_of_recipes_that_rank_fewer_words_are_not_compared() -> None:
    victim, _ = victims()
    first = attack_dataset(attack("synonym"), victim, examples(victim, 1), progress=False)[0]
    other = dataclasses.replace(first, queries=first.queries + 1)
    assert identity.difference("synonym", first, other) == []
    assert identity.difference("pwws", first, other) == ["queries"]


def test_shared_scores_are_equal_for_equal_tokens() -> None:
    victim, shared = victims()
    first = shared.score([("a good film",), ("the plot",)])
    second = shared.score([("the plot",), ("very cold and bad music",), ("A GOOD FILM",)])
    assert np.array_equal(first.probabilities[0], second.probabilities[2])
    assert np.array_equal(first.probabilities[1], second.probabilities[0])
    assert second.probabilities == pytest.approx(
        victim.probabilities([("the plot",), ("very cold and bad music",), ("a good film",)]), abs=1e-5
    )
    assert shared.score([]).probabilities.shape == (0, 2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--recipes", "synonym"], "give --model with --data"),
        (["--recipes", "synonym", "--model", "m"], "give --model with --data"),
        (["--recipes", "nope", "--model", "m", "--data", "d"], "nope is no native attack"),
    ],
)
def test_wrong_flags(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        identity.parse(flags)
    assert message in capsys.readouterr().err
