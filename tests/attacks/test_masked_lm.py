"""Masked language models: what may stand in a blank, whatever else is asked."""

import random
import string

import numpy as np
import pytest
import torch
from attack_parts import masked_lm
from tiny import build_tokenizer
from transformers import BertConfig, BertForMaskedLM, BertModel

from hf_robust.attacks import MaskedLM, load_masked_lm
from hf_robust.attacks.models.masked_lm import MAX_WORDS, _readable
from hf_robust.words import TEXTATTACK_WORDS

KINDS = {
    "bert": {},
    "roberta": {"type_vocab_size": 1},
    "electra": {"embedding_size": 8},
    "albert": {"embedding_size": 8},
    "distilbert": {},
}
TEXTS = [
    "the [MASK] was good.",
    "[MASK] film",
    "a very splendid picture and the [MASK]",
    "the good film, the bad plot and the [MASK] music was not with the story",
    "Film [MASK]!",
    "the plot\nwas [MASK] cold",
]


def naive(model, text):
    """One text alone, all places of it through the output layer, the whole vocabulary walked in falling order."""
    tokenizer = model.tokenizer
    batch = tokenizer(text, return_tensors="pt", truncation=True, max_length=model.max_length)
    ids = batch["input_ids"][0].tolist()
    if tokenizer.mask_token_id not in ids:
        return []
    with torch.no_grad():
        logits = model.model(**batch).logits[0, ids.index(tokenizer.mask_token_id)]
    probabilities, found = logits.softmax(-1), []
    for number in probabilities.argsort(descending=True).tolist():
        word = tokenizer.convert_ids_to_tokens(number).replace("##", "")
        if len(TEXTATTACK_WORDS.split(word)) == 1 and not all(letter in string.punctuation for letter in word):
            found.append((word, probabilities[number].item()))
    return found[:MAX_WORDS]


def same(filling, expected):
    assert list(filling.words) == [word for word, _ in expected]
    assert filling.probabilities == pytest.approx([value for _, value in expected], abs=1e-5)
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_answers_equal_one_text_at_a_time(kind):
    model = masked_lm(kind, KINDS[kind])
    expected = [naive(model, text) for text in TEXTS]
    shapes = []
    model.model.get_output_embeddings().register_forward_hook(lambda m, inputs, o: shapes.append(inputs[0].shape[:2]))
    assert all(same(*pair) for pair in zip(model.fill(TEXTS), expected, strict=True))
    assert sum(rows for rows, _ in shapes) == len(TEXTS) and {width for _, width in shapes} == {
        1
    }  # the output layer sees the blanks only
    assert len({filling.words for filling in model.fill(TEXTS)}) > 1


def test_neither_batches_nor_order_nor_padding_side_matter():
    expected = {text: naive(masked_lm("roberta", KINDS["roberta"]), text) for text in TEXTS}
    for side, budget in [("right", 1), ("right", 40), ("left", 4096), ("left", 40)]:
        model = masked_lm("roberta", KINDS["roberta"], token_budget=budget)
        model.tokenizer.padding_side = side
        model = MaskedLM(model.model, model.tokenizer, side, token_budget=budget)
        shuffled = random.Random(budget).sample(TEXTS, len(TEXTS))
        assert all(same(found, expected[text]) for text, found in zip(shuffled, model.fill(shuffled), strict=True))
        assert budget > 1 or model.forwards == len(TEXTS)


def test_a_model_that_hides_its_output_layer(monkeypatch):
    model = masked_lm()
    expected = model.fill(TEXTS)
    hidden = masked_lm()
    monkeypatch.setattr(hidden.model, "get_output_embeddings", lambda: None)
    assert [one.words for one in hidden.fill(TEXTS)] == [one.words for one in expected]


def test_equal_tokens_are_asked_once_and_answers_remembered(monkeypatch):
    model, rows = masked_lm(), []
    model.model.register_forward_pre_hook(lambda m, a, given: rows.append(len(given["input_ids"])), with_kwargs=True)
    first = model.fill([*TEXTS, "THE [MASK] WAS GOOD.", TEXTS[0]])
    assert sum(rows) == len(TEXTS)
    assert first[0].words == first[-1].words == first[-2].words
    assert np.array_equal(first[0].probabilities, first[-2].probabilities)
    asked = model.forwards
    again = model.fill(TEXTS[::-1])
    assert model.forwards == asked and again[0] is first[len(TEXTS) - 1]
    model.cache_size = 2
    model.fill([f"{word} [MASK]" for word in ("good", "bad", "cold")])
    assert len(model._answers) == 2


def test_a_blank_cut_off_or_missing_has_no_answer():
    model = masked_lm(max_length=6)
    found = model.fill(["the good film was not [MASK]", "the good film [MASK] is", "the film"])
    assert [len(filling.words) > 0 for filling in found] == [False, True, False]
    assert model.fill([]) == [] and masked_lm().max_length == 64


def test_words_above_a_probability():
    filling = masked_lm().fill(TEXTS[:1])[0]
    assert list(filling.probabilities) == sorted(filling.probabilities, reverse=True)
    assert filling.above(50, 0.0) == filling.words and filling.above(3, 0.0) == filling.words[:3]
    third = float(filling.probabilities[2])
    assert filling.above(50, third) == filling.words[:3] and filling.above(50, 1.1) == ()


@pytest.mark.parametrize(
    ("tokens", "every", "whole"),
    [
        (
            ["[UNK]", "film", "##ing", "##,", ",", "don't", "a-b", "_", "2"],
            "[UNK] film ing don't a-b 2",
            "film don't a-b 2",
        ),
        (["<s>", "\u0120film", "ing", "\u0120,", ",", "\u0120a.b", "\u0120"], "<s> film ing , ", "film , "),
        (["<s>", "\u2581film", "ing", "\u2581", ",", "\u2581a.b"], "<s> film ing", "film"),
        (["<s>", "film", "plot", "!"], "<s> film plot", "film plot"),
    ],
)
def test_words_of_a_vocabulary(tokens, every, whole):
    vocabulary = {token: number for number, token in enumerate(tokens)}
    assert list(_readable(vocabulary, {0}, whole_words=False).values()) == every.split(" ")
    assert list(_readable(vocabulary, {0}, whole_words=True).values()) == whole.split(" ")


def test_whole_words_only_is_another_fingerprint():
    every, whole = masked_lm(), masked_lm(whole_words=True)
    assert {"ful", "[UNK]"} <= set(every.fill(TEXTS)[0].words)
    assert not {"ful", "ture", "[UNK]", "[MASK]"} & set(whole.fill(TEXTS)[0].words)
    assert every.fingerprint() != whole.fingerprint() and every.fingerprint() == masked_lm().fingerprint()


def test_a_model_is_loaded_from_a_folder(tmp_path):
    model = masked_lm()
    model.model.save_pretrained(tmp_path / "good")
    model.tokenizer.save_pretrained(tmp_path / "good")
    loaded = load_masked_lm(str(tmp_path / "good"))
    assert loaded.fingerprint() == model.fingerprint() and loaded.name == str(tmp_path / "good")
    assert loaded.fill(TEXTS)[0].words == model.fill(TEXTS)[0].words


def test_what_is_no_masked_language_model_is_refused(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = BertConfig(vocab_size=64, **sizes)
    BertModel(config).save_pretrained(tmp_path / "headless")
    build_tokenizer().save_pretrained(tmp_path / "headless")
    with pytest.raises(ValueError, match="--masked_lm .* lacks weights of a masked language model"):
        load_masked_lm(str(tmp_path / "headless"))
    with pytest.raises(ValueError, match="--masked_lm .* cannot be loaded"):
        load_masked_lm(str(tmp_path / "missing"))
    tokenizer = build_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="needs a tokenizer with a mask token"):
        MaskedLM(BertForMaskedLM(config), tokenizer, "blind")
