"""What would end an attack later is found before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from attack_parts import attack
from tiny import build_model, build_tokenizer

from hf_robust.attacks import Example, Plans, Victim, check_attack
from hf_robust.attacks.engine.probe import QUERIES

EXAMPLES = [
    Example(0, ("the film was a good and funny one with a great plot and a great cast",), 0),
    Example(1, ("a good film",), 1),
    Example(2, ("the",), 0),
]
OFFLINE = ["synonym", "antonym", "pwws", "textfooler", "deepwordbug", "textbugger", "hotflip", "gradient_mask"]


@pytest.mark.parametrize("name", OFFLINE)
def test_a_first_text_is_really_attacked_and_nothing_is_left_of_it(name: str) -> None:
    model = build_model(dropout=0.1).train()
    victim = Victim(model, build_tokenizer(), max_length=32)
    before, random_state = {key: value.clone() for key, value in model.state_dict().items()}, torch.get_rng_state()
    check_attack(attack(name), victim, Plans(), EXAMPLES)
    assert 1 < victim.queries <= QUERIES + 1
    assert model.training and torch.equal(random_state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_labels_that_are_skipped_do_not_spare_the_model_the_attempt() -> None:
    """The text counts as one of the class that the model says, which may be one that is left out."""
    queries = []
    for skipped in (set(), {0}, {1}):
        victim = Victim(build_model(), build_tokenizer(), max_length=32)
        check_attack(replace(attack("synonym"), skip_labels=frozenset(skipped)), victim, Plans(), EXAMPLES)
        queries.append(victim.queries)
    assert min(queries) > 2


def test_a_tokenizer_without_a_mask_token_is_refused() -> None:
    tokenizer = build_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="the gradient_mask attack cannot run on this model: masking tokens needs a "):
        check_attack(attack("gradient_mask"), Victim(build_model(), tokenizer, max_length=32), Plans(), EXAMPLES)


def test_any_other_failure_is_one_sentence_too() -> None:
    def inference(model: Any, batch: Any) -> Any:
        if torch.is_grad_enabled():
            raise NotImplementedError("no derivative")
        return model(**batch)

    victim = Victim(build_model(), build_tokenizer(), max_length=32, inference=inference)
    check_attack(attack("deepwordbug"), victim, Plans(), EXAMPLES)
    with pytest.raises(ValueError, match="failed on a first text with NotImplementedError: no derivative; leave it"):
        check_attack(attack("hotflip"), victim, Plans(), EXAMPLES)
