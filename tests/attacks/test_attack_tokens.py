"""The shortened way to token ids gives the tokenizer's own.

Packing sequences into batches.
"""

from __future__ import annotations

from math import ceil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import FILLERS, POSITIVE, build_tokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from hf_robust.attacks.engine.batches import Encoded, packed
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.attacks.engine.word_ids import WordIds


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 100), st.integers(0, 50))
def test_packing_keeps_the_budget_and_every_place(lengths, budget, overhead):
    batches = list(packed(lengths, budget, overhead))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    flat = [lengths[place] for batch in batches for place in batch]
    assert flat == sorted(flat, reverse=True)


def cheapest(counts, budget, overhead):
    """Over all ways to cut [(length, count)] into neighbouring groups, the fewest tokens when each is padded."""
    if not counts:
        return 0
    costs = []
    for cut in range(1, len(counts) + 1):
        longest, rows = counts[0][0], sum(count for _, count in counts[:cut])
        batches = ceil(rows / max(budget // longest, 1))
        costs.append(rows * longest + overhead * batches + cheapest(counts[cut:], budget, overhead))
    return min(costs)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 100), st.integers(0, 30))
def test_packing_costs_least(lengths, budget, overhead):
    found = sum(max(lengths[p] for p in batch) * len(batch) + overhead for batch in packed(lengths, budget, overhead))
    counts = [(length, lengths.count(length)) for length in sorted(set(lengths), reverse=True)]
    assert found <= cheapest(counts, budget, overhead)


def test_one_length_is_never_padded_for_nothing():
    lengths = [30] * 4 + [29] * 4 + [5] * 4
    assert list(packed(lengths, 1000, 0)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert list(packed(lengths, 1000, 32)) == [list(range(8)), [8, 9, 10, 11]]
    assert list(packed(lengths, 1000, 4000)) == [list(range(12))]
    assert list(packed([], 10, 5)) == []


@pytest.mark.parametrize("types", [None, [0, 0, 1]])
def test_keys_are_equal_where_the_tokens_are(types):
    def encoded(ids, types):
        return Encoded(np.array(ids, np.int32), None if types is None else np.array(types, np.int32)).key()

    assert encoded([1, 2, 3], types) == encoded([1, 2, 3], types) != encoded([1, 2, 4], types)
    if types is not None:
        assert encoded([1, 2, 3], types) != encoded([1, 2, 3], [0, 1, 1])


CORPUS = [" ".join([*POSITIVE, *FILLERS]), "naïve café – it's “good”, isn't it?", "新しい映画 好き"]


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>", "<pad>"], initial_alphabet=alphabet)
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", model_max_length=30)


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<pad>", "</s>"]
    tokenizer.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>")
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", truncation_side="left"
    )


def typed():
    tokenizer = build_tokenizer()
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.add_tokens(["good film"])
    return tokenizer


def bert():
    """With token types, as BERT's own."""
    tokenizer = build_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return tokenizer


TOKENIZERS = [build_tokenizer(), bert(), typed(), byte_level(), unigram()]
TEXT = st.text(st.sampled_from("good film  it's[UNK]<pad> \n\tÄéß新“–\u200b😀0."), max_size=30) | st.text(max_size=12)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["wordpiece", "bert", "typed", "bytes", "unigram"])
@settings(max_examples=40, deadline=None)
@given(data=st.data(), columns=st.integers(1, 2), cut=st.sampled_from([None, 5, 12]))
def test_ids_are_the_tokenizers_own(tokenizer, data, columns, cut):
    found = data.draw(st.lists(st.tuples(*[TEXT] * columns), min_size=1, max_size=4))
    tokens = TextTokenizer(tokenizer, cut)
    assert tokens._backend is not None
    plain = tokenizer(*map(list, zip(*found, strict=True)), truncation=cut is not None, max_length=cut)
    encoded = tokens.encode(found)
    assert [one.ids.tolist() for one in encoded] == plain["input_ids"]
    types = [None if one.types is None else one.types.tolist() for one in encoded]
    assert types == plain.get("token_type_ids", [None] * len(found))


def test_only_berts_kind_of_tokenizer_joins_the_ids_of_words():
    assert [TextTokenizer(one, 8)._words is not None for one in TOKENIZERS] == [True, True, False, False, False]
    left, added, other = bert(), bert(), bert()
    left.truncation_side = "left"
    added.add_special_tokens({"additional_special_tokens": [AddedToken("<x>", lstrip=True)]})
    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert not any(WordIds.fits(one) for one in (left, added, other))


def test_words_are_tokenised_once_and_texts_that_are_cut_are_the_tokenizers_own():
    tokenizer, asked = bert(), []
    tokens = TextTokenizer(tokenizer, 7)
    backend = tokens._words._backend
    tokens._words._backend = SimpleNamespace(
        encode_batch_fast=lambda words, **options: asked.extend(words) or backend.encode_batch_fast(words, **options)
    )
    found = [("a good film and a good plot was warm",), ("a bad film",), ("a  good\tfilm",)]
    for _ in range(2):
        plain = tokenizer([text for (text,) in found], truncation=True, max_length=7)["input_ids"]
        assert [one.ids.tolist() for one in tokens.encode(found)] == plain
    calls = []
    tokens.tokenizer = lambda *columns, **options: calls.append(columns) or tokenizer(*columns, **options)
    single = [*found, ("a plot",), ("a new plot",)]
    plain = tokenizer([text for (text,) in single], truncation=True, max_length=7)["input_ids"]
    assert [tokens.encode([text])[0].ids.tolist() for text in single] == plain
    assert calls == [(["a new plot"],)]
    assert sorted(asked) == sorted({word for (text,) in found for word in text.split(" ")} - {""})
    pairs = [("a good film and a good plot", "bad"), ("good", "film")]
    plain = tokenizer(*map(list, zip(*pairs, strict=True)), truncation=True, max_length=7)
    encoded = tokens.encode(pairs)
    assert [one.ids.tolist() for one in encoded] == plain["input_ids"]
    assert [one.types.tolist() for one in encoded] == plain["token_type_ids"]


def test_a_full_store_of_words_begins_anew(monkeypatch):
    monkeypatch.setattr("hf_robust.attacks.engine.word_ids.MOST_WORDS", 4)
    tokens = TextTokenizer(build_tokenizer(), 12)
    found = [(text,) for text in ("a good film", "the bad plot was cold", "a good plot", "the film was not warm")]
    expected = [build_tokenizer()(text)["input_ids"] for (text,) in found]
    for start in (0, 1, 2):
        assert [one.ids.tolist() for one in tokens.encode(found[start:])] == expected[start:]


def test_padding_and_truncation_left_by_another_caller_change_nothing():
    tokenizer = bert()
    tokens = TextTokenizer(tokenizer, 9)
    found = [("unseen,words.of-many'parts here",), ("good film",)]
    expected = bert()([text for (text,) in found], truncation=True, max_length=9)["input_ids"]
    tokenizer(["good", "a film"], padding="max_length", truncation=True, max_length=3)
    assert [one.ids.tolist() for one in tokens.encode(found)] == expected


def test_an_overridden_tokenizer_encodes_by_itself():
    class ReversingTokenizer(PreTrainedTokenizerFast):
        def _encode_plus(self, text, *rest, **options):
            return super()._encode_plus([one[::-1] for one in text], *rest, **options)

    plain = build_tokenizer()
    own = ReversingTokenizer(tokenizer_object=plain.backend_tokenizer, pad_token="[PAD]")
    assert TextTokenizer(own, 8)._backend is None
    assert TextTokenizer(lambda *columns, **options: plain(*columns, **options), 8)._backend is None
    texts = [("good film",), ("bad film",)]
    expected = [one.ids.tolist() for one in TextTokenizer(plain, 8).encode(texts)]
    other = TextTokenizer(plain, 8)
    other._backend = lambda pairs: typed().backend_tokenizer.encode_batch([pair[::-1] for pair in pairs])
    assert [one.ids.tolist() for one in other.encode(texts)] == expected
    assert other.encode([]) == []


def test_three_columns_are_one_sentence():
    tokens = TextTokenizer(build_tokenizer(), 8)
    tokens.encode([("a b c",), ("b",)])
    with pytest.raises(ValueError, match="got 3; join some of them"):
        tokens.encode([("a", "b", "c")])
