"""The model behind its interface: probabilities, gradients, batches, and what cannot be attacked."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from attack_parts import probabilities_of, saliency_of, texts, victim
from tiny import KINDS, build_model, build_tokenizer
from transformers import XLNetConfig, XLNetForSequenceClassification

from hf_robust.attacks import Victim, weights_hash
from hf_robust.attacks.engine.memory import TokenBudget
from hf_robust.words import Text


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_single_texts(kind):
    target = victim(build_model(kind, num_labels=3), token_budget=50)
    for columns in (1, 2):
        found = texts(12, columns)
        probabilities = target.probabilities(found)
        assert probabilities.dtype == np.float32 and np.allclose(probabilities.sum(-1), 1)
        for one, row in zip(found, probabilities, strict=True):
            assert row == pytest.approx(probabilities_of(target, one), abs=1e-5)


def test_left_padding_follows_the_tokenizer():
    tokenizer = build_tokenizer()
    tokenizer.padding_side = "left"
    torch.manual_seed(0)
    # XLNet reads its summary at the last place, so it is padded on the left.
    sizes = {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16, "initializer_range": 0.3, "dropout": 0.0}
    model = XLNetForSequenceClassification(XLNetConfig(vocab_size=64, pad_token_id=0, **sizes))
    target, found = Victim(model, tokenizer, token_budget=60), [Text(one) for one in texts(8)]
    for text, row in zip(found, target.probabilities([text.columns for text in found]), strict=True):
        assert row == pytest.approx(probabilities_of(target, text.columns), abs=1e-5)
    for text, saliency in zip(found, target.saliency(found), strict=True):
        assert saliency == pytest.approx(target.saliency([text])[0], rel=1e-3) and (saliency > 0).all()


@pytest.mark.parametrize("kind", ["bert", "electra", "distilbert", "hf_robust_lstm", "hf_robust_cnn"])
def test_saliency_is_the_gradient_of_single_texts(kind):
    target = victim(build_model(kind), token_budget=40)
    found = [Text(one) for one in texts(8, 2)] + [Text(("splendid dreadful picture", ""))]
    for text, saliency in zip(found, target.saliency(found), strict=True):
        assert saliency == pytest.approx(saliency_of(target, text), rel=1e-3, abs=1e-6)


def test_saliency_of_words_beyond_the_truncation_is_zero():
    target = victim(max_length=5)
    (saliency,) = target.saliency([Text(("good film was warm and cold",))])
    assert (saliency[:3] > 0).all() and (saliency[3:] == 0).all()


def test_train_mode_gives_eval_numbers_and_comes_back():
    model = build_model(dropout=0.5)
    target, text = victim(model), ("good film",)
    expected = target.probabilities([text])
    model.train()
    model.dropout.eval()
    assert np.allclose(target.probabilities([text]), expected)
    assert np.allclose(target.saliency([Text(text)])[0], target.saliency([Text(text)])[0])
    assert model.training and not model.dropout.training


def test_inference_transform_and_autocast_are_used():
    entered = []

    @contextmanager
    def autocast():
        entered.append(1)
        yield

    model = build_model()
    plain = victim(model).probabilities([("good",)])
    flipped = victim(model, inference=lambda m, batch: m(**batch).logits.flip(-1), autocast=autocast)
    assert np.allclose(flipped.probabilities([("good",)]), plain[:, ::-1])
    whole = victim(model, inference=lambda m, batch: m(**batch))
    assert np.array_equal(whole.probabilities([("good",)]), plain)
    flipped.saliency([Text(("good",))])
    assert len(entered) == 2


def test_queries_and_forwards_are_counted():
    target = victim(token_budget=8)
    target.probabilities([("good film",), ("good film",), ("bad film",), ("GOOD film",)])
    assert (target.queries, target.forwarded, target.forwards) == (4, 2, 1)
    target.probabilities([("good film",), ("bad film",), ("cold film",)])
    assert (target.queries, target.forwarded, target.forwards) == (7, 5, 3)
    assert target.probabilities([]).shape == (0, 2)


def test_scores_are_the_float32_softmax_of_each_row_alone():
    logits = {1: [0.0, 17.5], 2: [3.0, -2.0], 3: [-40.0, 40.0]}

    def inference(model, batch):
        lengths = batch["attention_mask"].sum(-1) - 2
        return torch.tensor([logits[int(length)] for length in lengths])

    found = victim(inference=inference, token_budget=64).probabilities([("good",), ("good film",), ("a good film",)])
    expected = [torch.tensor(row).softmax(-1).numpy() for row in logits.values()]
    assert found.dtype == np.float32 and all(map(np.array_equal, found, expected))
    # At saturation the goal's scores tie, as they do in float32 and not in float64.
    assert 1 - found[2, 1] == 0.0


def test_seconds_are_those_of_the_model(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("hf_robust.attacks.engine.victim.time", SimpleNamespace(perf_counter=lambda: now[0]))

    def inference(model, batch):
        now[0] += 2.0
        return model(**batch)

    target = victim(inference=inference, token_budget=8)
    tokenizer = target.tokenizer

    def slow_tokenizer(*columns, **options):
        now[0] += 100.0
        return tokenizer(*columns, **options)

    slow_tokenizer.is_fast = True
    target._tokens.tokenizer = slow_tokenizer
    target.probabilities([("good film",), ("bad film",), ("cold film",)])
    assert target.seconds == 2.0 * target.forwards == 4.0
    now[0] += 50.0
    target.saliency([Text(("good",))])
    assert target.seconds == 6.0


def limited(rows_of_ten):
    """A prediction that has memory for so many rows of ten tokens."""

    def inference(model, batch):
        if batch["input_ids"].numel() > 10 * rows_of_ten:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return model(**batch)

    return inference


@pytest.mark.slow
@pytest.mark.parametrize("columns", [1, 2])
def test_memory_that_runs_out_halves_the_batch_and_loses_nothing(columns, caplog):
    model, found = build_model(), texts(40, columns)
    plain = victim(model)
    target = victim(model, inference=limited(5), token_budget=400)
    assert np.allclose(target.probabilities(found), plain.probabilities(found), atol=1e-5)
    assert target.forwarded == plain.forwarded and target.queries == 40
    assert target.token_budget <= 50 < 2 * target.token_budget + 50
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "tokens instead of 400 (--attack_token_budget)" in caplog.text
    failures, forwards = [], target.forwards
    target.inference = lambda model, batch: failures.append(len(batch["input_ids"])) or limited(5)(model, batch)
    target.probabilities(found)
    assert len(failures) == target.forwards - forwards  # what fits is remembered
    assert len(caplog.records) == 1


@pytest.mark.slow
def test_gradients_survive_memory_that_runs_out():
    model, found = build_model(), [Text(one) for one in texts(20)]
    target = victim(model, inference=limited(2), token_budget=4000)
    for saliency, expected in zip(target.saliency(found), victim(model).saliency(found), strict=True):
        assert saliency == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.slow
def test_one_text_that_does_not_fit_is_one_sentence_and_other_errors_stay():
    with pytest.raises(ValueError, match="one text of 4 tokens does not fit into the memory of cpu"):
        victim(inference=limited(0)).probabilities([("good film",), ("bad film",)])

    def broken(model, batch):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        victim(inference=broken).probabilities([("good film",), ("bad film",)])


def test_the_default_budget_is_the_devices():
    assert victim().token_budget == 1024 and victim(token_budget=77).token_budget == 77
    assert TokenBudget().tokens(torch.device("cuda")) == 32768


def test_token_types_are_given_where_the_tokenizer_has_them():
    tokenizer = build_tokenizer()
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    target = Victim(build_model(), tokenizer)
    for one in texts(4, 2):
        assert target.probabilities([one])[0] == pytest.approx(probabilities_of(target, one), abs=1e-5)


def test_lengths_come_from_the_tokenizer_then_the_model():
    tokenizer, model = build_tokenizer(), build_model()
    assert Victim(model, tokenizer).max_length == 64
    tokenizer.model_max_length = int(1e30)
    assert Victim(model, tokenizer).max_length == 80
    assert Victim(build_model("roberta"), tokenizer).max_length == 79
    assert Victim(model, tokenizer, max_length=9).max_length == 9
    model.config.max_position_embeddings = -1
    assert Victim(model, tokenizer).max_length is None


def test_unusable_models_are_one_sentence():
    with pytest.raises(ValueError, match="got a regression model"):
        victim(build_model(num_labels=1))
    model = build_model()
    with pytest.raises(ValueError, match="got a model with one output"):
        victim(model, inference=lambda m, batch: m(**batch).logits[:, :1]).probabilities([("a",)])
    with pytest.raises(ValueError, match="--attack_token_budget"):
        victim(model, token_budget=0)
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="logits are not finite"):
        victim(model).probabilities([("a",)])
    tokenizer = build_tokenizer()
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="set tokenizer.pad_token"):
        Victim(model, tokenizer)
    slow = SimpleNamespace(is_fast=False, pad_token_id=0, padding_side="right", model_max_length=9)
    with pytest.raises(ValueError, match="needs a fast tokenizer, got SimpleNamespace"):
        Victim(model, slow).saliency([Text(("a",))])
    with pytest.raises(ValueError, match="load it with use_fast=True"):
        Victim(model, slow).check_saliency()
    assert not Victim(model, slow).can_align and victim(model).can_align


def test_weights_hash_follows_the_weights():
    model, twin, other = build_model(seed=0), build_model(seed=0), build_model(seed=1)
    assert weights_hash(model) == weights_hash(twin) != weights_hash(other)
    with torch.no_grad():
        twin.classifier.bias[0] += 1e-3
    assert weights_hash(model) != weights_hash(twin)
    assert weights_hash(model.to(torch.bfloat16)) != weights_hash(build_model(seed=0))
