"""gcg: suffixes that stay the tokens they are, a step against a naive one, long texts, what the gradient adds."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import all_close, attack, examples, victim
from tiny import FILLERS, NEGATIVE, POSITIVE, build_model, build_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast, set_seed

from hf_robust.attacks import Example, Victim, attack_dataset
from hf_robust.attacks.building import with_ranking
from hf_robust.attacks.engine.black_box import BlackBox
from hf_robust.attacks.engine.requests import Insertion, NewSuffix, SuffixSwaps
from hf_robust.attacks.engine.suffixes import FIRST, SuffixWriter
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.attacks.engine.trial import Trial
from hf_robust.attacks.parts.suffix import SuffixTokens

WORDS = [*POSITIVE, *NEGATIVE, *FILLERS]


def pieces_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE of a few merges, as decoders have: most strings of two tokens are read as other tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS[start:] + WORDS[:start]) + " ! ! !" for start in range(20)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", model_max_length=64,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


TOKENIZERS = {"pieces of words": build_tokenizer, "bytes": pieces_tokenizer}


def brief(**settings: Any) -> Any:
    """The recipe with a suffix of few tokens and few draws."""
    limits = {key: settings.pop(key) for key in ("query_budget", "frozen_columns") if key in settings}
    which, few = attack("gcg", **limits), {"length": 5, "batch": 24, "top": 8, **settings}
    return dataclasses.replace(which, candidates=dataclasses.replace(which.candidates, **few))


@pytest.fixture(scope="module")
def target() -> Victim:
    return victim(build_model(num_labels=3))


@pytest.mark.parametrize(
    "columns", [("good film",), ("good film.", "the plot was bad"), ("",), ("  so ",), ("the actor",)]
)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_swap_is_read_as_the_token_that_it_is(kind: str, columns: tuple[str, ...]) -> None:
    tokenizer = TOKENIZERS[kind]()
    writer, rng = SuffixWriter(TextTokenizer(tokenizer, 64)), np.random.RandomState(0)
    special = set(tokenizer.all_special_ids)
    suffix = writer.first(NewSuffix(columns, len(columns) - 1, 6))
    assert suffix is not None
    seen = set()
    for _ in range(12):
        before = tokenizer(*([column] for column in suffix.columns))["input_ids"][0]
        found = writer.swaps(SuffixSwaps(suffix, 20, None, rng), writer.align(suffix), None)
        assert 0 < len(found) <= 20 and len({one.columns for one in found}) == len(found)
        for one in found:
            after = tokenizer(*([column] for column in one.columns))["input_ids"][0]
            (place,) = [place for place, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
            seen.add((place, after[place]))
            assert after[place] not in special
            text = one.columns[one.column]
            assert text[: one.start] + text[one.end :] == suffix.columns[one.column][: suffix.start]
            assert text.startswith(columns[-1]) and one.columns[:-1] == columns[:-1]
            assert text[one.start : one.end].isascii() and text[one.start : one.end].isprintable()
        suffix = found[0]
    assert len({place for place, _ in seen}) == 6 and len({token for _, token in seen}) > 6


def naive_best(target: Victim, suffix: Insertion, positions: list[int], top: int) -> list[list[int]]:
    """The one-hot gradient of minus the margin: the words' vectors times the gradient, one text alone."""
    encoding = target.tokenizer(suffix.columns[0], return_tensors="pt")
    table = target.model.get_input_embeddings().weight.detach()
    hot = torch.nn.functional.one_hot(encoding.pop("input_ids"), len(table)).to(table.dtype).requires_grad_()
    first, second = target.model.eval()(inputs_embeds=hot @ table, **encoding).logits[0].topk(2).values
    (second - first).backward()
    target.model.zero_grad()
    assert hot.grad is not None
    return [hot.grad[0, place].topk(len(table)).indices.tolist() for place in positions]


def test_tokens_are_drawn_from_those_of_the_one_hot_gradient(target: Victim) -> None:
    (suffix,) = target.new_suffixes([NewSuffix(("the film was good",), 0, 4)])
    assert suffix is not None
    writer = target._suffixes
    encoded, positions = writer.align(suffix)
    allowed, top = writer.allowed.tolist(), 5
    expected = [
        [token for token in ranked if token in allowed and token != encoded.ids[place]][:top]
        for place, ranked in zip(positions, naive_best(target, suffix, positions, top), strict=True)
    ]
    drawn: list[set[int]] = [set() for _ in positions]
    others = [SuffixSwaps(suffix, 64, top, np.random.RandomState(seed)) for seed in range(20)]
    for found in target.suffix_swaps(others, "margin"):
        for one in found:
            ids = writer.align(one).encoded.ids
            (place,) = np.flatnonzero(ids != encoded.ids)
            drawn[positions.index(int(place))].add(int(ids[place]))
    # A token that would join its neighbours ("##did") is never written; all others are.
    assert all(found <= set(wanted) for found, wanted in zip(drawn, expected, strict=True))
    shown = target.tokenizer.convert_ids_to_tokens
    whole = [{token for token in wanted if not shown([token])[0].startswith("##")} for wanted in expected]
    assert all(found >= wanted for found, wanted in zip(drawn, whole, strict=True)) and all(drawn)


def test_each_step_takes_the_best_of_its_batch(target: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[float]] = []
    original = Trial.ask

    def watched(trial: Trial, wanted: Any) -> Any:
        scored = yield from original(trial, wanted)
        asked.append([float(score) for score in scored.scores])
        return scored

    monkeypatch.setattr(Trial, "ask", watched)
    row = next(row for row in examples(target, 20) if row.label == target.probabilities([row.texts])[0].argmax())
    (record,) = attack_dataset(brief(query_budget=120), target, [row], progress=False)
    clean, first, *steps = asked
    assert len(clean) == len(first) == 1 and all(1 <= len(step) <= 24 for step in steps)
    assert record.queries == sum(map(len, asked)) <= 120
    assert record.num_candidates >= record.queries - 1
    assert record.status == "succeeded" or len(steps) >= 3


def many_words() -> Victim:
    """A random model of a vocabulary of 800 words, of which random draws rarely hit the few that matter."""
    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *(f"w{number}" for number in range(800))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    options = {"pad_token": "[PAD]", "unk_token": "[UNK]", "model_input_names": ["input_ids", "attention_mask"]}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **options)
    return Victim(build_model(num_labels=2, vocab_size=len(words)), fast)


def test_the_gradient_finds_what_random_tokens_do_not() -> None:
    """By gradient and at random, with the same number of queries."""
    target, rng = many_words(), random.Random(0)
    texts = [(" ".join(f"w{rng.randrange(800)}" for _ in range(5)),) for _ in range(60)]
    labels = target.probabilities(texts).argmax(-1).tolist()
    rows = [Example(row, columns, label) for row, (columns, label) in enumerate(zip(texts, labels, strict=True))]
    which = brief(query_budget=60, top=8, batch=12, length=3)
    records = [attack_dataset(one, target, rows, progress=False) for one in (which, with_ranking(which, "random"))]
    won, won_at_random = ({one.idx for one in found if one.status == "succeeded"} for found in records)
    score, score_at_random = (np.mean([one.perturbed_score for one in found]) for found in records)
    assert len(won) > 2 * len(won_at_random) and score < score_at_random - 0.05
    assert 0 < len(won) < len(rows)  # without a suffix all are classified correctly
    assert all(one.changed for one in records[0] if one.status == "succeeded")


@pytest.mark.parametrize("length", [10, 24, 31])
def test_the_suffix_stands_before_the_cut(length: int) -> None:
    target = Victim(build_model(num_labels=3), build_tokenizer(), max_length=length)
    words = "the film was good and the plot was bad with very warm music and a cold ending"
    which = brief(query_budget=60, length=3)
    for columns in [(words,), (words, words), ("film", words), (words, "film")]:
        label = int(target.probabilities([columns]).argmax())
        (record,) = attack_dataset(which, target, [Example(0, columns, label)], progress=False)
        added = " ".join(new for _, _, new in record.changed)
        *others, column = record.perturbed
        place = column.index(added)
        assert record.queries >= 2 and added and others == list(columns[:-1])
        assert " ".join((column[:place] + column[place + len(added) :]).split()) == columns[-1]
        pair = ([one] for one in record.perturbed)
        ids = target.tokenizer(*pair, truncation=True, max_length=length)["input_ids"][0]
        read = target.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert added.replace(" ", "") in read.replace(" ", "")


def test_a_text_without_room_has_no_candidate_and_a_model_without_room_is_refused() -> None:
    target = Victim(build_model(), build_tokenizer(), max_length=8)
    with pytest.raises(ValueError, match="a suffix of 20 tokens needs a model that reads more than 22 tokens of a te"):
        attack_dataset(attack("gcg"), target, [Example(0, ("good film",), 0)], progress=False)
    # The tokens of the frozen column leave no room for as many in the other.
    long = " ".join(["film"] * 12)
    label = int(target.probabilities([(long, "plot")]).argmax())
    which = brief(length=5, frozen_columns=frozenset({0}))
    (record,) = attack_dataset(which, target, [Example(0, (long, "plot"), label)], progress=False)
    assert (record.stop, record.changed, record.queries) == ("no_candidates", [], 1)


def test_frozen_columns_and_batches_change_nothing(target: Victim) -> None:
    rows = examples(target, 6, 2, seed=4)
    which = brief(query_budget=80, frozen_columns=frozenset({1}))
    expected = attack_dataset(which, target, rows, progress=False)
    assert all(record.perturbed[1] == record.original[1] for record in expected)
    assert any(record.perturbed[0] != record.original[0] for record in expected)
    for budget, live, order in [(1, 2, 1), (64, 256, -1)]:
        other = victim(target.model, token_budget=budget)
        assert all_close(attack_dataset(which, other, rows[::order], live=live, progress=False), expected)


def test_the_first_suffix_is_of_a_token_that_the_tokenizer_has() -> None:
    for kind, build in TOKENIZERS.items():
        suffix = SuffixWriter(TextTokenizer(build(), 64)).first(NewSuffix(("a film",), 0, 3))
        assert suffix is not None
        written = suffix.columns[0][suffix.start : suffix.end].split()
        assert len(set(written)) == 1 and (written[0] == FIRST) == (kind == "bytes")


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_decoder_is_attacked_and_reads_the_suffix_as_it_was_found(kind: str) -> None:
    sizes: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    if kind == "llama":
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    tokenizer = pieces_tokenizer()
    config = AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1, num_labels=2, initializer_range=0.3, **sizes
    )
    set_seed(0)
    target = Victim(AutoModelForSequenceClassification.from_config(config).eval(), tokenizer)
    rows = [row for row in examples(target, 16) if row.idx % 5 != 4]
    records = attack_dataset(brief(query_budget=150), target, rows, progress=False)
    attacked = [record for record in records if record.status != "skipped"]
    assert any(record.status == "succeeded" for record in attacked)
    for record in attacked:
        before, after = (tokenizer(text[0])["input_ids"] for text in (record.original, record.perturbed))
        assert len(after) == len(before) + 5 and after[: len(before)] == before


def test_victims_without_gradients_are_refused() -> None:
    box = BlackBox(lambda texts: [[0.6, 0.4]] * len(texts))
    with pytest.raises(ValueError, match="a suffix of tokens needs gradients, and the victim gives only scores"):
        attack_dataset(attack("gcg"), box, [Example(0, ("good film",), 0)], progress=False)


def test_the_recipe_is_the_papers() -> None:
    which = attack("gcg")
    described = which.describe()["candidates"]
    assert described == {
        "name": "suffix_tokens",
        "length": 20,
        "top": 256,
        "batch": 512,
        "ranking": "by_gradient",
        "frozen": [],
    }
    assert which.describe()["search"] == "beam 1, at most 500 steps" and which.needs_gradient
    control = with_ranking(which, "random")
    assert isinstance(control.candidates, SuffixTokens) and control.candidates.ranking == "at_random"
    assert control.fingerprint() != which.fingerprint() == with_ranking(which, "gradient").fingerprint()
