"""The LSTM and the CNN: their formulas, the effect of a mask, losses, saving and loading."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from word_models import KINDS, VOCABULARY, batch, build

from hf_robust.data.arguments import NEW_WORD_MODELS
from hf_robust.models import WORD_MODELS, CnnConfig, lstm

ROOT = Path(__file__).parents[2]
TEXTS = [[4, 9, 3, 7, 12], [5], [8, 6, 2, 2]]
MODELS = {kind: build(kind) for kind in KINDS}
every_kind = pytest.mark.parametrize("kind", KINDS)
texts = st.lists(st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=8), min_size=1, max_size=4)


def test_the_names_of_the_flag_are_the_models() -> None:
    assert set(NEW_WORD_MODELS) == set(WORD_MODELS)


# ---- what they compute ----


def naive_cnn(model: nn.Module, ids: list[int]) -> np.ndarray:
    """The paper's formula, one window at a time."""
    words = model.embeddings.weight.detach().numpy()[ids]
    features = []
    for layer in model.filters:
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        width = weight.shape[2]
        for number in range(len(weight)):
            values = []
            for place in range(len(ids)):
                value = bias[number]
                for step in range(width):
                    at = place - (width - 1) // 2 + step
                    if 0 <= at < len(ids):
                        value += weight[number, :, step] @ words[at]
                values.append(max(value, 0.0))
            features.append(max(values))
    head = model.classifier
    return head.weight.detach().numpy() @ np.array(features) + head.bias.detach().numpy()


@pytest.mark.parametrize("ids", TEXTS)
def test_cnn_is_the_formula_written_out(ids: list[int]) -> None:
    model = MODELS["cnn"]
    logits = model(**batch([ids])).logits[0].detach().numpy()
    assert logits == pytest.approx(naive_cnn(model, ids), abs=1e-5)


def test_the_states_of_an_lstm_are_in_float32_on_a_cpu_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstm, "has_bf16", lambda device: False)
    model, inputs = build("lstm"), torch.randn(2, 3, 5)
    keep = torch.ones(2, 3, dtype=torch.bool)
    expected = model.states(inputs, keep)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.states(inputs, keep), expected)
        assert model.states(inputs.bfloat16(), keep).dtype == torch.float32


@pytest.mark.parametrize("ids", TEXTS)
def test_lstm_is_torch_s_with_its_highest_states(ids: list[int]) -> None:
    model = MODELS["lstm"]
    outputs = model(torch.tensor([ids]), output_hidden_states=True)
    states, _ = model.lstm(model.embeddings(torch.tensor([ids])))
    assert torch.allclose(outputs.hidden_states[1], states, atol=1e-6)
    assert torch.allclose(outputs.logits, model.classifier(states.amax(1)), atol=1e-6)


# ---- the mask ----


@every_kind
@settings(max_examples=40, deadline=None)
@given(texts, st.data())
def test_padding_on_either_side_never_matters(kind: str, ids: list[list[int]], data: st.DataObject) -> None:
    left = [data.draw(st.integers(0, 4)) for _ in ids]
    padded = batch(ids, left, right=data.draw(st.integers(0, 4)))
    # The values at padding positions have no effect either.
    padded["input_ids"][padded["attention_mask"] == 0] = data.draw(st.integers(0, VOCABULARY - 1))
    with torch.no_grad():
        outputs = MODELS[kind](**padded, output_hidden_states=True)
        for row, text in enumerate(ids):
            alone = MODELS[kind](torch.tensor([text]), output_hidden_states=True)
            assert torch.allclose(outputs.logits[row], alone.logits[0], atol=1e-6)
            own = outputs.hidden_states[1][row, left[row] : left[row] + len(text)]
            assert torch.allclose(own, alone.hidden_states[1][0], atol=1e-6)
    assert not outputs.hidden_states[1][padded["attention_mask"] == 0].any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, VOCABULARY - 1), st.booleans()), min_size=1, max_size=9))
def test_masking_in_the_middle_deletes_for_the_lstm(tokens: list[tuple[int, bool]]) -> None:
    mask = torch.tensor([[int(kept) for _, kept in tokens]])
    whole = MODELS["lstm"](torch.tensor([[token for token, _ in tokens]]), mask).logits
    left = [token for token, kept in tokens if kept]
    expected = MODELS["lstm"](torch.tensor([left])).logits if left else MODELS["lstm"].classifier.bias[None]
    assert torch.allclose(whole, expected, atol=1e-6)


def test_masking_in_the_middle_is_a_zero_vector_without_a_window_for_the_cnn() -> None:
    model, ids, mask = MODELS["cnn"], torch.tensor([TEXTS[0]]), torch.tensor([[1, 1, 0, 1, 0]])
    outputs = model(ids, mask, output_hidden_states=True)
    zeroed = ids.where(mask.bool(), torch.tensor(0))  # row 0 is the zero vector
    states = model(zeroed, output_hidden_states=True).hidden_states[1]
    assert torch.allclose(outputs.hidden_states[1][:, [0, 1, 3]], states[:, [0, 1, 3]])
    assert torch.allclose(outputs.logits, model.classifier(states[:, [0, 1, 3]].amax(1)), atol=1e-6)


@every_kind
def test_all_masked_is_finite_also_its_gradient(kind: str) -> None:
    model = build(kind)
    inputs = batch(TEXTS)
    inputs["attention_mask"][1] = 0
    loss = model(**inputs, labels=torch.tensor([0, 1, 2])).loss
    assert torch.allclose(model(**inputs).logits[1], model.classifier.bias)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@every_kind
def test_a_fraction_in_the_mask_is_a_real_token_as_in_transformers(kind: str) -> None:
    inputs = batch(TEXTS)
    plain = MODELS[kind](**inputs).logits
    inputs["attention_mask"] = inputs["attention_mask"] * 0.3
    assert torch.equal(MODELS[kind](**inputs).logits, plain)


# ---- gradients and dropout ----


@every_kind
@pytest.mark.parametrize("training", [False, True])
def test_gradients_reach_the_real_words_and_no_padding(kind: str, training: bool) -> None:
    model = build(kind, dropout=0.0).train(training)
    found: list[torch.Tensor] = []
    handle = model.get_input_embeddings().register_forward_hook(lambda _m, _i, out: found.append(out))
    inputs = batch(TEXTS, left=[0, 2, 1])
    logits = model(**inputs, token_type_ids=torch.zeros_like(inputs["input_ids"])).logits
    handle.remove()
    (gradient,) = torch.autograd.grad(logits.logsumexp(-1).sum(), found[0])
    real = inputs["attention_mask"].bool()
    assert not gradient[~real].any() and gradient[real].abs().sum(-1).gt(0).float().mean() > 0.7
    assert isinstance(model.get_input_embeddings(), nn.Embedding)


@every_kind
def test_dropout_is_on_in_training_alone(kind: str) -> None:
    model = build(kind, dropout=0.5, embedding_dropout=0.5)
    inputs = batch(TEXTS)
    assert torch.equal(model(**inputs).logits, model(**inputs).logits)
    model.train()
    assert not torch.equal(model(**inputs).logits, model(**inputs).logits)


# ---- losses ----


@every_kind
def test_loss_of_one_class_a_number_and_several_labels(kind: str) -> None:
    inputs = batch(TEXTS)
    labels = torch.tensor([0, 2, 1])
    outputs = build(kind)(**inputs, labels=labels)
    rows = [logits[label] - logits.logsumexp(0) for logits, label in zip(outputs.logits, labels, strict=True)]
    assert outputs.loss.item() == pytest.approx(-sum(row.item() for row in rows) / 3, abs=1e-5)

    numbers = torch.tensor([0.5, -1.0, 2.0])
    outputs = build(kind, num_labels=1)(**inputs, labels=numbers)
    assert outputs.loss.item() == pytest.approx(((outputs.logits[:, 0] - numbers) ** 2).mean().item(), abs=1e-5)

    several = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1]])
    outputs = build(kind, problem_type="multi_label_classification")(**inputs, labels=several)
    p = outputs.logits.sigmoid()
    expected = -(several * p.log() + (1 - several) * (1 - p).log()).mean()
    assert outputs.loss.item() == pytest.approx(expected.item(), abs=1e-5)


@every_kind
def test_outputs_as_a_tuple(kind: str) -> None:
    inputs = batch(TEXTS)
    loss, logits, hidden = MODELS[kind](
        **inputs, labels=torch.tensor([0, 1, 2]), output_hidden_states=True, return_dict=False
    )
    named = MODELS[kind](**inputs)
    assert torch.equal(named.logits, logits) and loss.ndim == 0 and len(hidden) == 2
    assert named.hidden_states is None and named.loss is None


# ---- start, saving, loading ----


@every_kind
def test_padding_starts_at_zero_and_gets_no_gradient(kind: str) -> None:
    model = build(kind)
    assert not model.embeddings.weight[0].any() and model.embeddings.weight[1:].std().item() == pytest.approx(
        1.0, abs=0.2
    )
    model(**batch(TEXTS, right=2), labels=torch.tensor([0, 1, 2])).loss.backward()
    assert not model.embeddings.weight.grad[0].any() and model.embeddings.weight.grad[4].any()


@every_kind
@pytest.mark.slow
def test_a_checkpoint_loads_through_the_auto_classes_of_a_fresh_process(kind: str, tmp_path: Path) -> None:
    model = build(kind)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    inputs = batch(TEXTS)
    torch.save((inputs, model(**inputs).logits), tmp_path / "expected.pt")
    code = f"""
import torch, hf_robust.models
from transformers import AutoConfig, AutoModelForSequenceClassification
folder = {str(tmp_path)!r}
inputs, expected = torch.load(folder + "/expected.pt")
model = AutoModelForSequenceClassification.from_pretrained(folder)
assert AutoConfig.from_pretrained(folder).to_dict() == model.config.to_dict()
assert not model.training and torch.allclose(model(**inputs).logits, expected, atol=1e-6)
print(type(model).__name__, model.config.model_type)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [type(model).__name__, f"hf_robust_{kind}"]


@every_kind
def test_embeddings_instead_of_ids(kind: str) -> None:
    model, inputs = MODELS[kind], batch(TEXTS)
    words = model.embeddings(inputs["input_ids"])
    expected = model(**inputs).logits
    assert torch.equal(model(inputs_embeds=words, attention_mask=inputs["attention_mask"]).logits, expected)
    for wrong in ({}, {"input_ids": inputs["input_ids"], "inputs_embeds": words}):
        with pytest.raises(
            ValueError, match="ForSequenceClassification needs either input_ids or inputs_embeds; pass"
        ):
            model(**wrong)


def test_filters_of_no_word_are_one_sentence() -> None:
    for widths in ([], [3, 0]):
        with pytest.raises(ValueError, match="filter_widths must be numbers of words, 1 or more, got"):
            CnnConfig(filter_widths=widths)
