"""Flips by gradient and the attack made of them, against loops over texts, words and the vocabulary."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from attack_parts import COMMON, TAGS, all_close, attack, examples, probabilities_of, texts, victim
from tiny import KINDS, build_model, build_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, XLNetConfig, XLNetForSequenceClassification

from hf_robust.attacks import Victim, attack_dataset
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Flip, Flips
from hf_robust.attacks.engine.vocabulary import whole_words
from hf_robust.attacks.parts.flips import GradientFlips
from hf_robust.attacks.parts.word_distance import WordVectors
from hf_robust.words import Text, coarse_tag

PIECES = {"splen", "dread", "pic"}
SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
FLIPPED = [word for word in build_tokenizer().get_vocab() if word.isalpha()]


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


def every(text, k=3):
    return Flips(text, tuple(range(len(text.words))), k)


def estimates_of(target, text):
    """For each word the estimate of every word of the vocabulary, one dot product at a time, in double precision."""
    pair, cut = [[column] for column in text.columns], {"truncation": True, "max_length": target.max_length}
    encoding = target.tokenizer(*pair, return_tensors="pt", return_offsets_mapping=True, **cut)
    offsets, columns = encoding.pop("offset_mapping")[0].tolist(), encoding.sequence_ids(0)
    layer, ids = target.model.eval().get_input_embeddings(), encoding.pop("input_ids")
    embeddings = layer(ids).detach().requires_grad_()
    logits = target.model(inputs_embeds=embeddings, **encoding).logits[0]
    (-logits.log_softmax(-1)[logits.argmax()]).backward()
    target.model.zero_grad()
    vocabulary, weights, found = target.tokenizer.get_vocab(), layer.weight.detach().double(), []
    for word in text.words:
        places = [
            place
            for place, ((start, end), column) in enumerate(zip(offsets, columns, strict=True))
            if column == word.column and start < word.end and end > word.start
        ]
        row = {}
        for new in FLIPPED if places else ():
            if [vocabulary[new]] == [int(ids[0, place]) for place in places]:
                continue
            changes = [
                float((weights[vocabulary[new]] - weights[ids[0, place]]) @ embeddings.grad[0, place].double())
                for place in places
            ]
            row[new] = sum(changes) / len(changes)
        found.append(row)
    return found


def check_flips(found, text, rows, k=3):
    """``found`` are the best k of each of ``rows``, word by word, and highest first."""
    assert [flip.place for flip in found] == [i for i, row in enumerate(rows) for _ in range(min(k, len(row)))]
    for index, row in enumerate(rows):
        best = sorted(row.values(), reverse=True)[:k]
        flips = [flip for flip in found if flip.place == index]
        assert [flip.estimate for flip in flips] == pytest.approx(best, rel=1e-3, abs=1e-5)
        for flip in flips:
            assert row[flip.word] == pytest.approx(flip.estimate, rel=1e-3, abs=1e-5)
        assert len({flip.word for flip in flips}) == len(flips)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "deberta-v2"])
def test_flips_are_those_of_single_texts_and_loops(kind):
    target = victim(build_model(kind, num_labels=3), token_budget=40)
    found = [Text(one) for one in texts(6, 2)] + [Text(("splendid Dreadful picture", "Chilly well-made xyz"))]
    for text, flips in zip(found, target.flips([every(text) for text in found]), strict=True):
        check_flips(flips, text, estimates_of(target, text))


def test_left_padding_and_transposed_embeddings():
    tokenizer = build_tokenizer()
    tokenizer.padding_side = "left"
    torch.manual_seed(0)
    sizes = {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16, "initializer_range": 0.3, "dropout": 0.0}
    model = XLNetForSequenceClassification(XLNetConfig(vocab_size=64, pad_token_id=0, **sizes))
    target, found = Victim(model, tokenizer, token_budget=60), [Text(one) for one in texts(8)]
    for text, flips in zip(found, target.flips([every(text) for text in found]), strict=True):
        check_flips(flips, text, estimates_of(target, text))


class Linear(torch.nn.Module):
    """Logits linear in the sum of the embeddings."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.config = SimpleNamespace(num_labels=2)
        self.words, self.out = torch.nn.Embedding(64, 8), torch.nn.Linear(8, 2)
        with torch.no_grad():
            self.words.weight *= 1e-3

    def get_input_embeddings(self):
        return self.words

    def forward(self, input_ids, attention_mask):
        return {"logits": self.out((self.words(input_ids) * attention_mask[..., None]).sum(1))}


def test_the_estimate_is_the_change_of_the_loss_where_the_model_is_linear():
    target, text = victim(Linear()), Text(("good film, the plot was cold",))
    (before,) = target.probabilities([text.columns])
    (flips,) = target.flips([every(text, 100)])
    assert len(flips) == len(text.words) * (len(FLIPPED) - 1)
    after = target.probabilities([text.replace({flip.place: flip.word}).columns for flip in flips])
    losses = np.log(before[before.argmax()]) - np.log(after[:, before.argmax()])
    # Embeddings are so short that the softmax is linear too, but for a thousandth.
    assert np.abs(losses).max() > 5e-4
    assert losses == pytest.approx([flip.estimate for flip in flips], abs=1e-5)


def test_words_beyond_the_truncation_have_no_flip_and_memory_may_run_out():
    target, text = victim(max_length=5), Text(("good film was warm and cold",))
    assert [flip.place for flip in target.flips([every(text, 1)])[0]] == [0, 1, 2]
    assert target.flips([Flips(text, (4, 5), 3)]) == [[]] and target.flips([]) == []
    assert target.queries == 0

    def small(model, batch):
        if batch["input_ids"].numel() > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return model(**batch)

    asked = [every(Text(one)) for one in texts(12)]
    model = build_model()
    tight, roomy = victim(model, inference=small, token_budget=400).flips(asked), victim(model).flips(asked)
    for flips, expected in zip(tight, roomy, strict=True):
        assert [flip[:2] for flip in flips] == [flip[:2] for flip in expected]


def test_gradients_are_taken_in_eval_mode_and_leave_no_trace():
    model, text = build_model(dropout=0.5), Text(("good film was warm",))
    target = victim(model)
    model.train()
    first, second = target.flips([every(text)]), target.flips([every(text)])
    assert first == second and model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def byte_level(words):
    """A cased byte-level tokenizer, as RoBERTa's: whole words have a space before them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merged, merges = [], []
    for word in words:
        for end in range(2, len(word) + 1):
            if word[:end] not in merged:
                merged.append(word[:end])
                merges.append((word[: end - 1], word[end - 1]))
    entries = {token: number for number, token in enumerate(["<pad>", *letters, *merged])}
    tokenizer = Tokenizer(models.BPE(entries, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")


def test_the_vocabulary_is_the_words_of_one_token():
    tokenizer = build_tokenizer()
    vocabulary = whole_words(tokenizer)
    # "splen" is a piece of one word here, and a word by itself there.
    assert set(vocabulary.words) == set(FLIPPED) >= PIECES and not set(vocabulary.words) & SPECIAL
    assert [tokenizer.convert_tokens_to_ids(word) for word in vocabulary.words] == list(vocabulary.ids)
    cased = byte_level(["\u0120good", "\u0120Good", "film", "\u0120a", "\u012012"])
    found = whole_words(cased)
    inside = {"Good", "good", "go", "Go", "goo", "Goo", "g", "G", "a"}
    assert set(found.words) == inside and len(found.words) == len(inside)
    assert all(
        cased.convert_ids_to_tokens(number) == "\u0120" + word for word, number in zip(*pairs_of(found), strict=True)
    )


def pairs_of(vocabulary):
    return vocabulary.words, vocabulary.ids


def test_bad_input_for_flips_is_one_sentence():
    slow = SimpleNamespace(is_fast=False, pad_token_id=0, padding_side="right", model_max_length=9)
    with pytest.raises(
        ValueError, match="flipping words by gradient needs a fast tokenizer, got SimpleNamespace; load"
    ):
        Victim(build_model(), slow).flips([every(Text(("a",)))])
    with pytest.raises(ValueError, match="a vocabulary with whole words, \\w+ has none; use an attack without"):
        whole_words(byte_level([]))
    with pytest.raises(ValueError, match="a k of at least 1, got 0"):
        GradientFlips(k=0)


def proposed(source, text, target, open_words):
    """What the source proposes, with the victim's answer to its one request."""
    steps = source.propose(Draft(text), open_words, None)
    with pytest.raises(StopIteration) as end:
        steps.send(target.flips([next(steps)])[0])
    return end.value.value


def test_flips_are_each_words_or_the_texts(target):
    text = Text(("good film was warm and cold",))
    rows = estimates_of(target, text)
    best = {index: max(rows[index], key=rows[index].get) for index in (5, 0, 2)}
    assert proposed(GradientFlips(), text, target, [5, 0, 2]) == list(best.items())
    top = sorted((-rows[index][new], index, new) for index in (0, 2, 5) for new in rows[index])[:4]
    expected = [(index, new) for _, index, new in top]
    assert proposed(GradientFlips(k=4, per_word=False), text, target, [5, 0, 2]) == expected
    with pytest.raises(StopIteration) as end:
        next(GradientFlips().propose(Draft(text), set(), None))
    assert end.value.value == []
    assert (
        GradientFlips().fingerprint() != GradientFlips(per_word=False).fingerprint() != GradientFlips(2).fingerprint()
    )


VECTORS = WordVectors(
    ["good", "fine", "it", "with", "music", "film", "was", "very", "plot"],
    np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32),
    "test",
)


def tag(word):
    return coarse_tag(TAGS.get(word.lower(), "NN"))


def admits(old, new, vectors):
    """Cosine of 0.8 or more where both have a vector, and the same part of speech but for nouns and verbs."""
    if not (tag(old) == tag(new) or {tag(old), tag(new)} == {"NOUN", "VERB"}):
        return False
    a, b = (None, None) if vectors is None else (vectors.get(old), vectors.get(new))
    return a is None or b is None or float(a @ b) >= 0.8 * float(np.linalg.norm(a) * np.linalg.norm(b))


class Naive:
    """The attack on one example, one text, one word and one candidate at a time."""

    def __init__(self, target, example, vectors, budget):
        self.target, self.example, self.vectors, self.budget = target, example, vectors, budget
        self.clean, self.queries = Text(example.texts), 0

    def score(self, text):
        self.queries += 1
        found = probabilities_of(self.target, text.columns)
        return 1 - found[self.example.label], found.argmax() != self.example.label

    def children(self, text):
        changed = [index for index, old in enumerate(self.clean.tokens) if old != text.tokens[index]]
        found = []
        for index, row in enumerate(estimates_of(self.target, text)):
            if index in changed or text.tokens[index] in COMMON or not row or len(changed) == 2:
                continue
            new = max(row, key=row.get)
            if admits(self.clean.tokens[index], new, self.vectors):
                found.append(text.replace({index: new}))
        return sorted((one for one in found if one != text), key=lambda one: one.columns)

    def run(self):
        if self.score(self.clean)[1]:
            return self.outcome(self.clean, "skipped", "misclassified")
        beam, best, stop = [self.clean], self.clean, None
        while stop is None:
            if self.budget is not None and self.queries >= self.budget:
                stop = "budget"
                break
            found = [child for text in beam for child in self.children(text)]
            if not found:
                stop = "no_candidates" if best is self.clean else "exhausted"
                break
            scored = []
            for text in found:
                if self.budget is None or self.queries < self.budget:
                    scored.append((*self.score(text), text))
            scored.sort(key=lambda one: -round(one[0], 6))
            _, reached, best = scored[0]
            stop = "success" if reached else None
            beam = [text for _, _, text in scored[:10]]
        return self.outcome(best, "succeeded" if stop == "success" else "failed", stop)

    def outcome(self, text, status, stop):
        pairs = enumerate(zip(self.clean.tokens, text.tokens, strict=True))
        changed = [[index, old, new] for index, (old, new) in pairs if old != new]
        parts = {"perturbed": list(text.columns), "changed": changed, "queries": self.queries}
        return {"idx": self.example.idx, "status": status, "stop": stop, **parts}


@pytest.mark.parametrize(
    ("columns", "vectors", "budget"), [(1, None, None), (2, None, None), (1, VECTORS, None), (1, None, 4)]
)
def test_equals_one_text_at_a_time(columns, vectors, budget, target):
    rows = examples(target, 20, columns, seed=3)
    records = attack_dataset(
        attack("hotflip", word_vectors=vectors, query_budget=budget), target, rows, progress=False
    )
    for record, row in zip(records, rows, strict=True):
        expected = Naive(target, row, vectors, budget).run()
        assert {key: getattr(record, key) for key in expected} == expected
        assert len(record.changed) <= 2
    assert {record.status for record in records} == {"succeeded", "failed", "skipped"}
    assert any(len(record.changed) == 2 for record in records)


def test_batches_and_order_change_nothing(target):
    rows, which = examples(target, 12, 2, seed=4), attack("hotflip")
    expected = attack_dataset(which, target, rows, progress=False)
    for token_budget, live, order in [(1, 3, 1), (40, 256, -1)]:
        other = victim(target.model, token_budget=token_budget)
        assert all_close(attack_dataset(which, other, rows[::order], live=live, progress=False), expected)


def test_no_gradient_is_taken_once_two_words_are_changed(target, monkeypatch):
    asked, flips = [], Victim.flips
    monkeypatch.setattr(
        Victim,
        "flips",
        lambda self, requests, loss, target: asked.extend(requests) or flips(self, requests, loss, target),
    )
    rows = [row for row in examples(target, 12, seed=3) if len(Text(row.texts).words) > 3]
    records = attack_dataset(attack("hotflip"), target, rows, progress=False)
    assert any(record.stop == "exhausted" and len(record.changed) == 2 for record in records)
    clean = [Text(row.texts).tokens for row in rows]
    for one in asked:
        own = [sum(map(str.__ne__, one.text.tokens, words)) for words in clean if len(words) == len(one.text.tokens)]
        assert min(own) < 2


def test_the_recipe_names_its_parts():
    description = attack("hotflip", word_vectors=VECTORS).describe()
    names = [rule["name"] for rule in description["constraints"]]
    assert names == ["no_repeat", "stop_words", "max_changed_words", "word_distance", "part_of_speech"]
    assert (description["search"], description["max_changed"]) == ("beam 10", 2)
    assert description["candidates"] == {"name": "gradient_flips", "k": 1, "per_word": True}
    with pytest.raises(ValueError, match=re.escape("the hotflip attack needs NLTK's English stop words")):
        attack("hotflip", stop_words=None)
    assert Flip(1, "it", 0.5)[:2] == (1, "it")
