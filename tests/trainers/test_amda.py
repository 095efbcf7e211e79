"""amda: what is mixed where, against BERT's layers called one by one; its sheet, its draws, its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import KINDS, build_model, build_tokenizer, build_trainer, review_data
from torch.nn import functional

from hf_robust.adversary import changed_states, encoder_layers
from hf_robust.losses import soft_label_kl
from hf_robust.trainers.amda import Mixing

CLEAN = {"view_fraction": 0.0}
TEXTS = ["a good film", "the music was bad and cold"]


def rows_of(texts: list[str]) -> dict[str, Any]:
    return {**build_tokenizer()(texts, padding=True, return_tensors="pt"), "labels": torch.tensor([0, 1])}


def mixed_logits(model: Any, rows: dict[str, Any], mixing: Mixing) -> torch.Tensor:
    """As compute_loss does it: keep the states of one pass, and go on from their mixture in another."""
    seen: list[torch.Tensor] = []

    def keep(states: torch.Tensor) -> torch.Tensor:
        seen.append(states)
        return states

    with changed_states(model, mixing.layer, keep):
        model(**rows)
    with changed_states(model, mixing.layer, lambda _: mixing.mixed(seen[0])):
        logits: torch.Tensor = model(**mixing.joined(rows)).logits
    return logits


def bias(mask: torch.Tensor) -> torch.Tensor:
    return (1.0 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_states_are_mixed_after_the_layer(layer: int) -> None:
    model = build_model(num_hidden_layers=3, attn_implementation="eager").eval()
    rows = rows_of(TEXTS)
    own, swapped = rows["attention_mask"], rows["attention_mask"].flip(0)
    states = model.bert.embeddings(rows["input_ids"])
    for one in model.bert.encoder.layer[:layer]:
        states = one(states, bias(own))
    states = 0.3 * states + 0.7 * states.flip(0)
    for one in model.bert.encoder.layer[layer:]:
        states = one(states, bias(own | swapped))
    expected = model.classifier(model.bert.pooler(states))
    found = mixed_logits(model, rows, Mixing(layer, 0.3, torch.tensor([1, 0])))
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, model(**rows).logits, atol=1e-3)


def test_layer_0_mixes_word_embeddings() -> None:
    model = build_model().eval()
    rows = rows_of(TEXTS)
    words = model.get_input_embeddings()(rows["input_ids"])
    union = rows["attention_mask"] | rows["attention_mask"].flip(0)
    expected = model(inputs_embeds=0.3 * words + 0.7 * words.flip(0), attention_mask=union).logits
    assert torch.allclose(mixed_logits(model, rows, Mixing(0, 0.3, torch.tensor([1, 0]))), expected, atol=1e-6)


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_two_identical_rows_mix_to_the_unmixed_forward(kind: str, layer: int) -> None:
    model = build_model(kind).eval()
    if encoder_layers(model)[1] < layer:
        pytest.skip("no such layer")
    rows = rows_of([TEXTS[1]] * 2)
    found = mixed_logits(model, rows, Mixing(layer, 0.3, torch.tensor([1, 0])))
    assert torch.allclose(found, model(**rows).logits, atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if encoder_layers(build_model(kind))[1]])
def test_a_changed_layer_reaches_the_logits_in_every_architecture(kind: str) -> None:
    model = build_model(kind).eval()
    assert encoder_layers(model)[1] == 2
    swapped = Mixing(1, 0.0, torch.tensor([1, 0]))
    rows = rows_of([TEXTS[0], "a bad plot"])  # of one length: all of the partner's states stand where its own would
    assert torch.allclose(mixed_logits(model, rows, swapped), model(**rows).logits.flip(0), atol=1e-5)


def test_the_union_of_both_masks() -> None:
    rows = {
        "input_ids": torch.tensor([[2, 7, 3, 0], [2, 8, 9, 3]]),
        "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]),
        "token_type_ids": torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1]]),
        "labels": torch.tensor([0, 1]),
    }
    both = Mixing(1, 0.5, torch.tensor([1, 0])).joined(rows)
    assert both["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 1]]
    assert both["input_ids"].tolist() == [[2, 7, 3, 3], [2, 8, 9, 3]]
    assert both["token_type_ids"].tolist() == [[0, 0, 0, 1], [0, 0, 1, 1]]
    assert "labels" not in both
    alone = Mixing(1, 0.5, torch.tensor([0, 1])).joined(rows)
    assert torch.equal(alone["attention_mask"], rows["attention_mask"])


@pytest.mark.parametrize(("depth", "layers"), [(2, [1, 2, 2]), (4, [2, 3, 4]), (6, [4, 5, 6]), (12, [7, 9, 12])])
def test_layers_count_from_1_and_the_last_is_after_the_last(depth: int, layers: list[int], tmp_path: Path) -> None:
    model = build_model(num_hidden_layers=depth)
    assert build_trainer("amda", tmp_path, model=model, **CLEAN).mixing_layers == layers  # type: ignore[attr-defined]
    smix = build_trainer("amda", tmp_path, model=model, amda_layers=[-1], **CLEAN)
    assert smix.mixing_layers == [depth]  # type: ignore[attr-defined]


def test_smix_mixes_what_the_pooler_reads() -> None:
    model = build_model().eval()
    rows = rows_of(TEXTS)
    first = model.bert(**{key: value for key, value in rows.items() if key != "labels"}).last_hidden_state[:, :1]
    expected = model.classifier(model.bert.pooler(0.3 * first + 0.7 * first.flip(0)))
    assert torch.allclose(mixed_logits(model, rows, Mixing(2, 0.3, torch.tensor([1, 0]))), expected, atol=1e-6)


def test_albert_shares_one_layer_and_every_pass_counts() -> None:
    model = build_model("albert", num_hidden_layers=4).eval()
    rows = rows_of(TEXTS)
    seen: list[torch.Tensor] = []
    for layer in (1, 2, 3, 4):
        with changed_states(model, layer, lambda states: seen.append(states) or states):  # type: ignore[func-returns-value]
            states = model(**rows, output_hidden_states=True).hidden_states
        assert torch.equal(seen[-1], states[layer])


def test_finite_where_a_probability_is_0() -> None:
    targets, logits = torch.tensor([[0.25, 0.75], [1.0, 0.0]]), torch.tensor([[400.0, 0.0], [-400.0, 0.0]])
    entropy = 0.25 * torch.tensor(0.25).log() + 0.75 * torch.tensor(0.75).log()
    assert torch.allclose(soft_label_kl(targets, logits), torch.stack([entropy + 0.75 * 400.0, torch.tensor(400.0)]))
    same = torch.tensor([[0.2, 0.8]])
    assert soft_label_kl(same, same.log()).abs().item() < 1e-6


def step_loss(
    trainer: Any, share: float, shift: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Any, dict[str, Any]]:
    monkeypatch.setattr(trainer, "mixing", lambda count: Mixing(1, share, torch.arange(count).roll(shift)))
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    trainer.model.train()
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    return loss, outputs, batch


def test_at_share_1_the_loss_is_twice_the_cross_entropy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build_trainer("amda", tmp_path, **CLEAN)
    # Its own partner: another's tokens would be attended to at whatever share.
    loss, outputs, batch = step_loss(trainer, 1.0, 0, monkeypatch)
    assert torch.allclose(loss, 2 * functional.cross_entropy(outputs.logits, batch["labels"]), atol=1e-5)


def test_the_loss_with_views_is_the_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build_trainer("amda", tmp_path, amda_weight=0.5)
    loss, outputs, batch = step_loss(trainer, 0.3, 1, monkeypatch)
    kept = batch["synonym_ok"].bool()
    assert 0 < kept.sum() <= 8
    labels = torch.cat([batch["labels"], batch["synonym_labels"][kept]])
    rows = build_tokenizer().pad(
        {
            "input_ids": [ids[ids != 0].tolist() for ids in batch["input_ids"]]
            + [ids[ids != 0].tolist() for ids in batch["synonym_input_ids"][kept]]
        },
        return_tensors="pt",
    )
    mixing = Mixing(1, 0.3, torch.arange(len(labels)).roll(1))
    logits = mixed_logits(trainer.model, {**rows, "labels": labels}, mixing)
    assert torch.allclose(outputs.logits, trainer.model(**rows).logits, atol=1e-5)
    hard = functional.one_hot(labels, 2).float()
    soft = 0.3 * hard + 0.7 * hard.roll(1, 0)
    divided = (soft * (soft.clamp(min=1e-30).log() - logits.log_softmax(-1))).sum()
    clean = functional.cross_entropy(outputs.logits, labels, reduction="sum")
    assert torch.allclose(loss, (clean + 0.5 * divided) / (8 * (1 + trainer.view_share)), atol=1e-5)


def test_weight_0_is_ada_bit_for_bit(tmp_path: Path) -> None:
    found = []
    for name, options in {"ada": {}, "amda": {"amda_weight": 0.0}}.items():
        trainer = build_trainer(name, tmp_path / name, model=build_model(dropout=0.1), **options)
        trainer.train()
        found.append(trainer.model.state_dict())
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())


def test_draws_belong_to_seed_and_step(tmp_path: Path) -> None:
    trainer: Any = build_trainer("amda", tmp_path, amda_alpha=1.0, **CLEAN)
    before = torch.get_rng_state()
    first, again = trainer.mixing(8), trainer.mixing(8)
    assert first[:2] == again[:2] and torch.equal(first.partners, again.partners)
    assert sorted(first.partners.tolist()) == list(range(8)) and 0 <= first.share <= 1
    shares, layers = set(), set()
    for trainer.state.global_step in range(40):
        shares.add(trainer.mixing(8).share)
        layers.add(trainer.mixing(8).layer)
    assert len(shares) == 40 and layers == {1, 2}
    assert torch.equal(torch.get_rng_state(), before)


def test_iterative_attacks_the_model_before_every_epoch_but_the_first(tmp_path: Path) -> None:
    trainer = build_trainer("amda", tmp_path, amda_num_adv=5, max_steps=6)
    trainer.train()
    assert trainer.generation is not None
    rounds = trainer.generation.rounds
    assert [one["epoch"] for one in rounds] == [1, 2] and all(one["attempts"] == 5 for one in rounds)
    assert rounds[0]["victim"] != rounds[1]["victim"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amda_layers": [3]}, "between 0 and the 2 encoder layers"),
        ({"amda_layers": []}, "needs one layer or more"),
        ({"amda_layers": [-2]}, "between 0 and the 2 encoder layers .*, or be -1"),
        ({"amda_alpha": 0.0}, "--amda_alpha must be at least 0.001"),
        ({"amda_num_adv": -1}, "--amda_num_adv must be at least 0"),
        ({"amda_num_adv": 5, "view_victim": "x"}, "--view_victim x has no effect"),
        ({"amda_num_adv": 5, "max_steps": 2}, "the run has 1"),
        ({"torch_compile": True}, "leave --torch_compile out"),
    ],
)
def test_bad_flags_are_one_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer("amda", tmp_path, **options)


def test_a_model_without_layers_mixes_word_embeddings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_robust.trainers.amda.encoder_layers", lambda model: (None, 0))
    assert build_trainer("amda", tmp_path).mixing_layers == [0]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="has none; leave it out, which then mixes"):
        build_trainer("amda", tmp_path, amda_layers=[-1])


def test_a_pass_that_ends_before_the_layer_is_an_error() -> None:
    model = build_model()
    with (
        pytest.raises(ValueError, match="went through 2 encoder layers.*after layer 3"),
        changed_states(model, 3, lambda states: states),
    ):
        model(**rows_of(TEXTS))


@pytest.mark.parametrize("layers", [[0], [1]])
def test_trains_on_each_kind_of_layer(layers: list[int], tmp_path: Path) -> None:
    trainer = build_trainer("amda", tmp_path, model=build_model("roberta"), amda_layers=layers, data=review_data(8))
    trainer.train()
    assert all(entry["loss_mix"] > 0 for entry in trainer.state.log_history if "loss_mix" in entry)
