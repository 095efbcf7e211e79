"""infobert: its loss against a naive one, its reductions, its critic, its memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import KINDS, build_model, build_tokenizer, build_trainer
from torch import nn

from hf_robust.losses import middle_ranks
from hf_robust.models.architecture import AUXILIARY_ATTRIBUTE
from hf_robust.modules.critic import feature_widths


def batch_of(trainer: Any) -> dict[str, torch.Tensor]:
    prepared: dict[str, torch.Tensor] = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    return prepared


def classifier(trainer: Any) -> dict[str, torch.Tensor]:
    return {key: value for key, value in trainer.model.state_dict().items() if AUXILIARY_ATTRIBUTE not in key}


def losses_of(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("follow", ["paper", "code"])
def test_one_pass_equals_the_printed_formula_over_sentences_and_the_codes_over_tokens(
    follow: str, tmp_path: Path
) -> None:
    options = {"adv_steps": 1, "adv_init_mag": 0.0, "infobert_alpha": 0.7, "infobert_beta": 0.3, "follow": follow}
    trainer: Any = build_trainer("infobert", tmp_path, **options)
    trainer.model.train()
    batch = batch_of(trainer)
    found = trainer.compute_loss(trainer.model, batch)

    mask = batch["attention_mask"]
    words = trainer.model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    inputs = {key: value for key, value in batch.items() if key != "input_ids"}
    outputs = trainer.model(inputs_embeds=words, output_hidden_states=True, **inputs)
    first, last = outputs.hidden_states[0], outputs.hidden_states[-1]
    real = first[mask.bool()]
    partners = trainer._partners(batch["input_ids"], mask, 1)
    upper = torch.stack([(real[i] - real[j]).square().sum() / 2 for i, j in enumerate(partners)]).mean()
    (gradient,) = torch.autograd.grad(outputs.loss + 0.3 * upper, words, retain_graph=True)
    local = middle_ranks(gradient.norm(dim=-1), mask, 0.5, 0.9).nonzero().tolist()
    critic = trainer.critic

    def score(token: list[int], text: int) -> torch.Tensor:
        hidden = critic.token(first[token[0], token[1]]) + critic.sentence(last[text, 0])
        return nn.functional.softplus(critic.score(hidden.relu()))[0]

    terms = []
    for i in local:
        pairs = [score(i, j[0]) if follow == "paper" else score(j, i[0]) for j in local]
        terms.append(score(i, i[0]) - torch.stack(pairs).logsumexp(0) + math.log(len(local)))
    lower = torch.stack(terms).mean()
    assert lower.abs() > 1e-5
    assert found.item() == pytest.approx((outputs.loss + 0.3 * upper - 0.7 * lower).item(), abs=1e-5)


@pytest.mark.parametrize("passes", ["stream", "sum"])
def test_without_its_terms_it_is_freelb(passes: str, tmp_path: Path) -> None:
    ascent = {"adv_steps": 3, "adv_lr": 4e-2, "adv_init_mag": 8e-2, "multi_backward": passes}
    own: dict[str, dict[str, Any]] = {
        "freelb": {"same_dropout": False},
        "infobert": {"infobert_alpha": 0.0, "infobert_beta": 0.0},
    }
    runs = []
    for name, options in own.items():
        run = build_trainer(name, tmp_path, model=build_model(dropout=0.1), **ascent, **options)
        run.train()
        runs.append(run)
    freelb, info = runs
    for key, value in classifier(info).items():
        assert torch.allclose(value, freelb.model.state_dict()[key], rtol=0.0, atol=1e-6), key


def test_streamed_passes_equal_summed_ones(tmp_path: Path) -> None:
    runs = [build_trainer("infobert", tmp_path, multi_backward=passes, max_steps=2) for passes in ("stream", "sum")]
    for run in runs:
        run.train()
    for (key, value), other in zip(classifier(runs[0]).items(), classifier(runs[1]).values(), strict=True):
        assert torch.allclose(value, other, rtol=0.0, atol=1e-6), key


def test_the_critic_trains_and_raises_info_nce(tmp_path: Path) -> None:
    trainer: Any = build_trainer("infobert", tmp_path, infobert_alpha=1.0, max_steps=20, adv_steps=1)
    before = {key: value.clone() for key, value in trainer.critic.state_dict().items()}
    trainer.train()
    assert all(not torch.equal(value, before[key]) for key, value in trainer.critic.state_dict().items())
    parts = [entry["loss_info_nce"] for entry in trainer.state.log_history if "loss_info_nce" in entry]
    assert sum(parts[-4:]) < sum(parts[:4]) and parts[-1] < 0


def test_club_moves_the_perturbation_too(tmp_path: Path) -> None:
    runs = []
    for weight in (1.0, 0.0):
        run: Any = build_trainer("infobert", tmp_path, infobert_beta=weight, infobert_alpha=0.0, max_steps=1)
        run.train()
        runs.append(run.state.log_history[0])
    assert runs[0]["loss_club"] > runs[1]["loss_club"] and runs[0]["loss_task"] < runs[1]["loss_task"]


@pytest.mark.parametrize("kind", KINDS)
def test_widths_are_read_off_the_tensors(kind: str, tmp_path: Path) -> None:
    trainer: Any = build_trainer("infobert", tmp_path, model=build_model(kind))
    outputs = trainer.model(**batch_of(trainer), output_hidden_states=True)
    widths = outputs.hidden_states[0].shape[-1], outputs.hidden_states[-1].shape[-1]
    assert (trainer.critic.token.in_features, trainer.critic.sentence.in_features) == widths


def test_without_a_local_token_only_info_nce_is_gone(tmp_path: Path) -> None:
    none = build_trainer("infobert", tmp_path, infobert_local=[0.5, 0.5])
    off = build_trainer("infobert", tmp_path, infobert_alpha=0.0)
    none.train()
    off.train()
    assert losses_of(none) == losses_of(off) and all(map(math.isfinite, losses_of(none)))
    assert {entry["loss_info_nce"] for entry in none.state.log_history if "loss" in entry} == {0.0}
    for (key, value), other in zip(classifier(none).items(), classifier(off).values(), strict=True):
        assert torch.equal(value, other), key


def test_partners_are_real_tokens_drawn_anew_for_each_pass(tmp_path: Path) -> None:
    trainer: Any = build_trainer("infobert", tmp_path)
    ids = torch.arange(400).view(8, 50) % 60
    mask = (torch.arange(50) < torch.tensor([50, 40, 30, 50, 20, 50, 5, 50]).unsqueeze(1)).long()
    first, second = trainer._partners(ids, mask, 1), trainer._partners(ids, mask, 2)
    assert len(first) == mask.sum() and 0 <= first.min() and first.max() < mask.sum()
    assert not torch.equal(first, second) and torch.equal(first, trainer._partners(ids, mask, 1))
    # With replacement, a share of about 1 - 1/e of the tokens is drawn at all.
    assert 0.55 < len(first.unique()) / len(first) < 0.72


def test_memory_does_not_grow_with_the_steps(tmp_path: Path) -> None:
    class Saved:
        alive = peak = 0

        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor
            Saved.alive += 1
            Saved.peak = max(Saved.peak, Saved.alive)

        def __del__(self) -> None:
            Saved.alive -= 1

    def peak(steps: int, passes: str) -> int:
        trainer: Any = build_trainer("infobert", tmp_path, adv_steps=steps, multi_backward=passes)
        trainer.model.train()
        batch = batch_of(trainer)
        Saved.peak = Saved.alive
        with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
            trainer.compute_loss(trainer.model, batch).backward()
        return Saved.peak

    assert peak(4, "stream") <= 1.1 * peak(2, "stream")
    assert peak(4, "sum") > 1.8 * peak(2, "sum")  # the measurement would see it


def test_a_model_without_hidden_states_is_one_sentence() -> None:
    class Bare(nn.Module):
        device = torch.device("cpu")

        def forward(self, **inputs: Any) -> dict[str, Any]:
            return {"logits": torch.zeros(1, 2)}

    with pytest.raises(ValueError, match="representations need the model's hidden states, and Bare returns none; use"):
        feature_widths(Bare(), build_tokenizer())


def test_reentrant_checkpointing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="infobert differentiates by the perturbation.*use_reentrant"):
        build_trainer(
            "infobert",
            tmp_path,
            gradient_checkpointing=True,
            gradient_checkpointing_kwargs={"use_reentrant": True},
        )


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("infobert_alpha", -1.0),
        ("infobert_beta", -1.0),
        ("infobert_local", [0.5, 1.5]),
        ("infobert_local", [0.5, 0.4]),
        ("infobert_local", [0.5]),
    ],
)
def test_bad_values_name_their_flag(flag: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--{flag} must be .*got"):
        build_trainer("infobert", tmp_path, **{flag: value})
