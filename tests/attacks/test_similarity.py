"""Sentence similarity: the window, the reference, the encoder, and the choice among successes."""

import math

import numpy as np
import pytest
import torch
from attack_parts import LetterEncoder, attack, examples, victim
from hypothesis import given
from hypothesis import strategies as st
from tiny import build_tokenizer
from transformers import BertConfig, BertModel

from hf_robust.attacks import Example, SentenceEncoder, attack_dataset, load_encoder
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Consult
from hf_robust.attacks.engine.trial import Evaluations
from hf_robust.attacks.parts.search import _most_similar
from hf_robust.attacks.parts.similarity import SentenceSimilarity, window, window_parts
from hf_robust.attacks.parts.text_similarity import PIECE, TextSimilarity
from hf_robust.words import Text


def answered(steps, encoder):
    """Run a generator of requests with the encoder alone."""
    try:
        request = next(steps)
        while True:
            assert isinstance(request, Consult)
            request = steps.send(request.model(request.inputs))
    except StopIteration as end:
        return end.value


def similarities(constraint, original, current, index, substitutes, encoder):
    """Of each text in which word ``index`` of ``current`` is one of ``substitutes``."""
    drafts = [current.swap(index, new) for new in substitutes]
    kept = answered(constraint.keeps(original, current, drafts), encoder)
    assert kept == [draft for draft in drafts if draft.similarity >= constraint.minimum]
    return np.array([draft.similarity for draft in drafts])


def of_text(clean, *others, minimum=0.0):
    """The similarities of whole texts, and the constraint's verdict on them."""
    rule, original = TextSimilarity(LetterEncoder(), minimum), Draft(Text(clean))
    drafts = [Draft(Text(columns)) for columns in others]
    values = answered(rule.measure(original, drafts), rule.encoder)
    assert [draft.similarity for draft in drafts] == values
    kept = answered(rule.keeps(original, original, drafts), rule.encoder)
    assert kept == [draft for draft, value in zip(drafts, values, strict=True) if value >= minimum]
    return values


def test_whole_texts_are_compared_by_the_angle_of_their_embeddings():
    first, second = LetterEncoder().encode(["a film", "bad"]).astype(np.float64)
    expected = 1 - math.acos(first @ second) / math.pi
    for minimum in (0.0, 0.6, 1.0):
        values = of_text(("a film",), ("bad",), ("film a",), minimum=minimum)
        assert values == [pytest.approx(expected, abs=1e-5), pytest.approx(1.0, abs=5e-4)]
    assert of_text(("a film", "bad"), ("bad\na film",)) == [pytest.approx(1.0, abs=5e-4)]


def test_no_word_of_a_long_text_is_behind_what_the_encoder_reads():
    """The encoder reads 400 characters; a text of four pieces is embedded piece by piece, each by its words."""

    class Short(LetterEncoder):
        def encode(self, sentences):
            assert all(len(sentence) < 500 for sentence in sentences)
            return super().encode([sentence[:400] for sentence in sentences])

    words = ["film"] * (3 * PIECE + 10)
    rule, original = TextSimilarity(Short()), Draft(Text((" ".join(words),)))
    last = len(words) - 1
    drafts = [Draft(Text((" ".join([*words[:place], "zzzz", *words[place + 1 :]]),))) for place in (0, 100, last)]
    values = answered(rule.measure(original, drafts), rule.encoder)
    assert max(values) < 0.9999 and max(values[:2]) - min(values[:2]) < 1e-4
    with pytest.raises(ValueError, match="--min_similarity must lie in"):
        TextSimilarity(Short(), 1.5)


WORDS = [f"w{i}" for i in range(20)]


@pytest.mark.parametrize(
    ("index", "size", "edges"),
    [(0, 15, (0, 14)), (6, 15, (0, 14)), (7, 15, (0, 14)), (10, 15, (3, 17)), (12, 15, (5, 19)), (13, 15, (5, 19))]
    + [(19, 15, (5, 19)), (3, 40, (0, 19)), (10, 4, (8, 11)), (19, 1, (19, 19))],
)
def test_window_edges_are_textattacks(index, size, edges):
    assert window(len(WORDS), index, size) == edges


@given(st.integers(1, 30), st.integers(1, 20), st.data())
def test_window_holds_the_word_and_at_most_its_size(count, size, data):
    index = data.draw(st.integers(0, count - 1))
    first, last = window(count, index, size)
    assert 0 <= first <= index <= last < count
    assert last - first + 1 <= size


def test_window_parts_cross_the_columns():
    text = Text(("A b, c.", "d (e) f!"))
    assert window_parts(text, 3, None) == ("A b, c.\n", " (e) f")  # to the last word, as TextAttack's
    assert window_parts(text, 3, 3) == ("c.\n", " (e")
    assert window_parts(text, 0, 3) == ("", " b, c")


def test_the_reference_is_the_previous_or_the_original_text():
    original = Draft(Text((" ".join(WORDS),)))
    current = original.swap(9, "zzz")
    encoder = LetterEncoder()
    for reference, first in [("previous", "w4 w5 w6 w7 w8 zzz"), ("original", "w4 w5 w6 w7 w8 w9")]:
        constraint = SentenceSimilarity(encoder, reference=reference, window_size=11, metric="cosine")
        similarity = similarities(constraint, original, current, 9, ["zzz", "w9"], encoder)
        assert encoder.asked[-1][0].startswith(first)
        same = 0 if reference == "previous" else 1
        assert similarity[same] == pytest.approx(1) and similarity[1 - same] < 0.999


def test_angular_is_one_minus_the_angle_over_pi():
    class Fixed(LetterEncoder):
        def encode(self, sentences):
            angles = {"a b": 0, "w b": 0, "x b": math.pi / 4, "y b": math.pi / 2, "z b": math.pi}
            return np.array([[math.cos(angles[one]), math.sin(angles[one])] for one in sentences], dtype=np.float32)

    text, encoder = Draft(Text(("a b",))), Fixed()
    constraint = SentenceSimilarity(encoder, window_size=None)
    found = similarities(constraint, text, text, 0, list("wxyz"), encoder)
    assert found == pytest.approx([1, 0.75, 0.5, 0], abs=1e-3)


def test_short_texts_pass_unseen():
    text, encoder = Draft(Text((" ".join(WORDS[:14]),))), LetterEncoder()
    assert similarities(SentenceSimilarity(encoder), text, text, 0, ["x", "y"], encoder).tolist() == [1, 1]
    assert encoder.asked == []
    asked = similarities(SentenceSimilarity(encoder, skip_short=False), text, text, 0, ["x", "y"], encoder)
    assert (asked < 1).all() and encoder.asked


def test_of_the_leading_successes_the_most_similar_is_taken():
    scores = np.array([0.9, 0.8, 0.95, 0.7, 0.6])
    reached = np.array([True, True, True, False, True])
    scored = Evaluations(np.zeros((5, 2)), scores, reached, [b""] * 5)

    def chosen(*values):
        found = [Draft(Text(("a",))) for _ in values]
        for draft, value in zip(found, values, strict=True):
            draft.similarity = value
        return _most_similar(found, scored)

    assert chosen(0.5, 0.9, 0.6, 1.0, 1.0) == 1
    assert chosen(0.5, 0.5, 0.5, 1.0, 1.0) == 2  # the best of equals
    assert chosen(None, None, None, None, None) == 2  # none was measured


def test_every_text_on_the_way_is_similar_enough():
    encoder, target = LetterEncoder(), victim()
    long = " and the very good film was cold" * 3
    rows = [Example(row.idx, (row.texts[0] + long,), 0) for row in examples(target, 30)]
    labels = target.probabilities([row.texts for row in rows]).argmax(-1)
    rows = [row._replace(label=int(label)) for row, label in zip(rows, labels, strict=True)]
    free = attack_dataset(attack("synonym"), target, rows, progress=False)
    bound = attack_dataset(attack("synonym", encoder=encoder, min_similarity=0.95), target, rows, progress=False)
    assert sum(r.queries for r in bound) < sum(r.queries for r in free)
    # Of several changes the order is not in the record, so only single ones can be measured again.
    single = [record for record in bound if len(record.changed) == 1]
    assert single
    for record in single:
        text, ((index, _, new),) = Draft(Text(tuple(record.original))), record.changed
        similarity = similarities(SentenceSimilarity(encoder), text, text, index, [new], encoder)
        assert similarity[0] >= 0.95


def test_encoder_is_masked_mean_pooling_at_unit_length(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertModel(BertConfig(vocab_size=64, max_position_embeddings=64, initializer_range=0.5, **sizes))
    model.save_pretrained(tmp_path)
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path))
    sentences = ["good film", "a very splendid picture and the music", "good film", "", "bad"]
    found = encoder.encode(sentences)
    for one, vector in zip(sentences, found, strict=True):
        with torch.no_grad():
            hidden = model.eval()(**tokenizer(one, return_tensors="pt")).last_hidden_state[0].mean(0)
        assert vector == pytest.approx((hidden / hidden.norm()).numpy(), abs=1e-5)
    assert np.array_equal(found[0], found[2])
    assert encoder.name == str(tmp_path) and len(encoder.fingerprint()) == 16
    assert encoder.encode([]).shape[0] == 0


def test_encoder_remembers_what_it_has_seen(monkeypatch):
    config = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertModel(BertConfig(vocab_size=64, **config))
    batches = []
    model.register_forward_pre_hook(lambda m, a, kwargs: batches.append(len(kwargs["input_ids"])), with_kwargs=True)
    encoder = SentenceEncoder(model, build_tokenizer(), "tiny")
    first = encoder.encode(["good", "bad"])
    assert np.array_equal(encoder.encode(["bad", "film", "good"])[[2, 0]], first)
    assert batches == [2, 1]
    encoder.cache_size = 2
    encoder.encode(["cold", "warm", "plot"])
    assert len(encoder._answers) == 2


@pytest.mark.slow
def test_encoder_survives_memory_that_runs_out():
    config = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=64, **config))
    sentences = ["good " * count for count in range(1, 12)]
    expected = SentenceEncoder(model, build_tokenizer(), "tiny").encode(sentences)

    def limit(module, arguments, named):
        if named["input_ids"].numel() > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model.register_forward_pre_hook(limit, with_kwargs=True)
    found = SentenceEncoder(model, build_tokenizer(), "tiny").encode(sentences)
    assert np.allclose(found, expected, atol=1e-5)


def test_wrong_settings_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="angular, cosine, got 'l2'"):
        SentenceSimilarity(LetterEncoder(), metric="l2")
    with pytest.raises(ValueError, match="previous, original, got 'next'"):
        SentenceSimilarity(LetterEncoder(), reference="next")
    with pytest.raises(ValueError, match="--min_similarity"):
        SentenceSimilarity(LetterEncoder(), minimum=1.5)
    with pytest.raises(ValueError, match="--sentence_encoder .* cannot be loaded"):
        load_encoder(str(tmp_path))


def test_the_encoder_is_named_in_the_description():
    which = attack("synonym", encoder=LetterEncoder())
    assert which.describe()["similarity"]["encoder"] == "letters"
    assert attack("synonym").describe()["similarity"] is None
    assert which.fingerprint() != attack("synonym").fingerprint()
    assert which.plan_fingerprint() == attack("synonym").plan_fingerprint()
