"""The warm-up of a loss weight over the first share of training, for every method that has such a term."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_trainer, dense_synonyms

from hf_robust.callbacks.run_card import method_config
from hf_robust.trainers import METHODS
from hf_robust.training.contrastive_warmup import ContrastiveWarmupArguments, warmup_share

# Options that leave the term out, and options that make two runs comparable.
NO_TERM: dict[str, dict[str, float]] = {
    "bat_pairwise": {"bat_alpha": 0.0, "bat_beta": 0.0},
    "bat_triplet": {"bat_lambda": 0.0},
    "taichi": {"taichi_beta": 0.0},
    "semrode": {"semrode_lambda": 0.0},
    "infobert": {"infobert_alpha": 0.0, "infobert_beta": 0.0},
}
# One pass at a point and all tokens local, so that the loss is a straight line in the weights.
STRAIGHT: dict[str, dict[str, Any]] = {
    "infobert": {"adv_steps": 1, "infobert_alpha": 0.5, "infobert_beta": 0.5, "infobert_local": [0.0, 1.0]}
}


def train(name: str, folder: Path, **options: Any) -> Any:
    trainer = build_trainer(name, folder, **options)
    trainer.train()
    return trainer


def same(first: Any, second: Any, tolerance: float = 0.0) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.allclose(a, b, rtol=0.0, atol=tolerance) if tolerance else torch.equal(a, b) for a, b in pairs)


def shares(trainer: Any) -> list[float]:
    return [entry["contrastive_share"] for entry in trainer.state.log_history if "contrastive_share" in entry]


def test_these_are_the_methods_with_the_flag() -> None:
    with_flag = {name for name, method in METHODS.items() if issubclass(method.config, ContrastiveWarmupArguments)}
    assert with_flag == set(NO_TERM)
    for name, fields in NO_TERM.items():
        assert METHODS[name].config.warmed_up_weights == tuple(fields)


@pytest.mark.parametrize("name", NO_TERM)
class TestEveryMethodWithSuchATerm:
    def test_the_share_rises_linearly_with_the_steps_done(self, name: str, tmp_path: Path) -> None:
        trainer = train(name, tmp_path, max_steps=5, contrastive_warmup=0.6)
        assert shares(trainer) == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0, 1.0])

    def test_without_a_warmup_the_weight_is_exactly_its_value_and_nothing_is_logged(
        self, name: str, tmp_path: Path
    ) -> None:
        trainer = train(name, tmp_path)
        assert warmup_share(trainer) == 1.0 and shares(trainer) == []
        trainer.state.global_step = 0
        assert warmup_share(trainer) == 1.0

    def test_the_first_step_is_one_without_the_term_and_a_later_one_is_not(self, name: str, tmp_path: Path) -> None:
        found = {}
        for steps in (1, 3):
            warmed = train(name, tmp_path / f"warmed-{steps}", max_steps=steps, contrastive_warmup=1.0)
            without = train(name, tmp_path / f"without-{steps}", max_steps=steps, **NO_TERM[name])
            found[steps] = same(warmed.model, without.model)
        assert found == {1: True, 3: False}

    def test_the_loss_is_the_task_loss_and_that_share_of_the_term(self, name: str, tmp_path: Path) -> None:
        trainer = build_trainer(name, tmp_path, contrastive_warmup=0.5, **STRAIGHT.get(name, {}))
        trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)  # generates views
        trainer.model.train()
        batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
        trainer.state.global_step = 3

        def loss_at(share: float) -> float:
            trainer.state.max_steps = round(3 / (0.5 * share)) if share else 10**12
            return float(trainer.compute_loss(trainer.model, dict(batch)).detach())

        none, part, whole = loss_at(0.0), loss_at(0.6), loss_at(1.0)
        assert abs(whole - none) > 1e-3
        assert part == pytest.approx(none + 0.6 * (whole - none), abs=1e-5)

    def test_accumulated_micro_batches_have_the_share_of_their_step(self, name: str, tmp_path: Path) -> None:
        options = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "contrastive_warmup": 0.75}
        assert shares(train(name, tmp_path, max_steps=4, **options)) == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])

    def test_resumed_runs_equal_the_uninterrupted_one(self, name: str, tmp_path: Path) -> None:
        options: dict[str, Any] = {
            "optim": "adamw_torch", "learning_rate": 1e-3, "save_strategy": "steps", "save_steps": 1,
            "max_steps": 4, "contrastive_warmup": 0.75,
        }  # fmt: skip
        whole = train(name, tmp_path / "whole", model=build_model(dropout=0.1), **options)
        for step in (1, 2):
            again = build_trainer(name, tmp_path / "again", model=build_model(dropout=0.1, seed=9), **options)
            again.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
            assert same(whole.model, again.model)

    def test_a_term_of_weight_0_has_nothing_to_warm_up(self, name: str, tmp_path: Path) -> None:
        flags = " and ".join(f"--{flag}" for flag in NO_TERM[name])
        with pytest.raises(ValueError, match=f"--contrastive_warmup 0.3 has no effect if {flags} is 0; leave it"):
            METHODS[name].config(output_dir=str(tmp_path), contrastive_warmup=0.3, **NO_TERM[name])

    def test_a_share_above_one_is_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="--contrastive_warmup must be between 0.0 and 1.0, got 1.5; it is a sh"):
            METHODS[name].config(output_dir=str(tmp_path), contrastive_warmup=1.5)

    def test_the_run_card_has_it(self, name: str, tmp_path: Path) -> None:
        args = METHODS[name].config(output_dir=str(tmp_path), use_cpu=True, contrastive_warmup=0.25)
        assert method_config(args)["contrastive_warmup"] == 0.25


def test_splitting_a_batch_changes_nothing(tmp_path: Path) -> None:
    """Of the loss that is no mean over a micro-batch's own views."""
    options: dict[str, Any] = {"max_steps": 4, "contrastive_warmup": 0.75, "synonyms": dense_synonyms()}
    large = train("bat_triplet", tmp_path / "large", **options)
    small = train(
        "bat_triplet", tmp_path / "small", per_device_train_batch_size=2, gradient_accumulation_steps=4, **options
    )
    assert same(large.model, small.model, tolerance=1e-6)


@pytest.mark.slow
def test_two_ranks_equal_one_process(two_ranks: dict[str, Any], tmp_path: Path) -> None:
    first, second = two_ranks["bat_triplet_warmed"]
    one = train("bat_triplet", tmp_path, max_steps=2, synonyms=dense_synonyms(), contrastive_warmup=1.0).model
    for name, value in one.state_dict().items():
        assert torch.equal(first[name], second[name])
        assert torch.allclose(value, first[name], rtol=0.0, atol=1e-6), name
    unwarmed, _ = two_ranks["bat_triplet"]
    assert not all(torch.allclose(value, unwarmed[name], atol=1e-6) for name, value in one.state_dict().items())


def test_a_variant_without_the_contrastive_term_refuses_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--contrastive_warmup 0.3 has no effect with --taichi_variant no_ctr"):
        METHODS["taichi"].config(output_dir=str(tmp_path), taichi_variant="no_ctr", contrastive_warmup=0.3)
