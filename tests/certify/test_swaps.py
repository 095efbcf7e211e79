"""Certificates by interval bounds, on texts: no swap by the table contradicts one, and what is not covered says so."""

from __future__ import annotations

import logging
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import FILLERS, SYNONYMS, build_model, build_tokenizer

from hf_robust.attacks import Victim
from hf_robust.certify import CertifySettings, RandomMasking, Smoothing, check_draws
from hf_robust.certify.intervals import BOUNDED
from hf_robust.certify.swaps import SwapBounds, certify_swaps
from hf_robust.lexicons import TableLexicon
from hf_robust.metrics import Certificate
from hf_robust.models import word_tokenizer
from hf_robust.runs import Ranks
from hf_robust.words import Protection, Text

WORDS = [*SYNONYMS, *FILLERS]
TABLE = Smoothing(TableLexicon(SYNONYMS))


def victim(kind: str, seed: int = 0, labels: int = 2, vocabulary: Any = None, **options: Any) -> Victim:
    """A random classifier of the vocabulary, by default all words of the table."""
    substitutes = [new for others in SYNONYMS.values() for new in others]
    tokens = vocabulary or ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*WORDS, *substitutes]), "."]
    model = build_model(kind, num_labels=labels, seed=seed, vocab_size=len(tokens))
    return Victim(model, word_tokenizer(tokens), max_length=12, **options)


def certified(of: Victim, texts: list[Any], labels: list[int], table: Smoothing = TABLE) -> list[Certificate]:
    examples = [(10 * place, text, label) for place, (text, label) in enumerate(zip(texts, labels, strict=True))]
    with of.measuring():
        return certify_swaps(of, examples, table, Ranks())[0]


def every_swap(columns: tuple[str, ...], table: Smoothing = TABLE) -> list[tuple[str, ...]]:
    """All texts that the attacker can make: an exhaustive attack."""
    text = table.text(columns)
    swaps = table.swaps(text)
    choices = [[(index, word) for word in (text.tokens[index], *swaps[index])] for index in swaps]
    return [text.replace(dict(one)).columns for one in product(*choices)]


@pytest.mark.parametrize("kind", BOUNDED)
@given(
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=5),
    second=st.lists(st.sampled_from(WORDS), max_size=2),
    seed=st.integers(0, 400),
    label=st.integers(0, 2),
)
@settings(max_examples=25, deadline=None)
def test_no_swaps_contradict_a_certificate(
    kind: str, words: list[str], second: list[str], seed: int, label: int
) -> None:
    """Every combination goes through tokenizer and network as the attacks' texts do, capitals and pairs included."""
    of = victim(kind, seed, labels=3)
    columns = (" ".join(words).capitalize() + ".", " ".join(second)) if second else (" ".join(words) + ".",)
    (one,) = certified(of, [columns], [label])
    with of.measuring():
        logits = torch.as_tensor(of.score(every_swap(columns)).logits)
    others = logits.clone()
    others[:, label] = -torch.inf
    margins = logits[:, label] - others.amax(-1)
    assert one.lower <= margins.min() + 1e-4
    assert one.prediction == int(logits[0].argmax()) and one.lower + one.slack == pytest.approx(
        float(margins[0]), abs=1e-5
    )
    if one.certified:
        assert (margins > 0).all() and one.radius == len(TABLE.changeable(TABLE.text(columns)))
    else:
        assert one.radius is None


@pytest.mark.parametrize("kind", BOUNDED)
def test_certified_accuracy_is_not_above_accuracy_under_an_exhaustive_attack(kind: str) -> None:
    of, texts = victim(kind, seed=3), [(f"{a} {b} was {c}",) for a, b, c in product(WORDS[:3], WORDS[5:8], WORDS[2:5])]
    with of.measuring():
        labels = of.probabilities(texts).argmax(-1).tolist()
        found = [set(of.probabilities(every_swap(text)).argmax(-1).tolist()) for text in texts]
    survived = [classes == {label} for classes, label in zip(found, labels, strict=True)]
    certificates = [one.certified for one in certified(of, texts, labels)]
    assert all(robust for sure, robust in zip(certificates, survived, strict=True) if sure)
    assert 0 < sum(certificates) <= sum(survived)


def test_a_text_without_swaps_is_certified_if_it_is_right() -> None:
    of = victim(BOUNDED[1], seed=1)
    with of.measuring():
        label = int(of.probabilities([("music was",)]).argmax())
    right, wrong, empty = certified(of, [("music was",), ("music was",), ("",)], [label, 1 - label, label])
    assert right.certified and right.radius == 0 and right.slack == pytest.approx(0, abs=1e-5) and right.votes == []
    assert not wrong.certified and wrong.prediction == label and wrong.lower < 0
    assert empty.label == label and [right.idx, wrong.idx, empty.idx] == [0, 10, 20]


def test_substitutes_outside_the_vocabulary_are_the_unknown_token() -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "fine", "film"]
    of = victim(BOUNDED[1], vocabulary=tokens)
    choices = SwapBounds(of.model, of.tokenizer, None, TABLE).choices(("good film",))
    assert choices == [[2], [5, 6, 1, 1], [7, 1, 1], [3]]


def test_a_word_that_is_cut_off_is_not_read_and_protected_words_stay() -> None:
    of = victim(BOUNDED[0])
    ids = of.tokenizer.convert_tokens_to_ids
    cut = SwapBounds(of.model, of.tokenizer, 4, TABLE).choices(("was good film",))
    assert cut == [[2], [ids("was")], [ids(word) for word in ("good", *SYNONYMS["good"])], [3]]
    kept = Smoothing(TableLexicon(SYNONYMS), protection=Protection((), ["good"]))
    assert SwapBounds(of.model, of.tokenizer, 4, kept).choices(("was good film",)) == [
        [2],
        [ids("was")],
        [ids("good")],
        [3],
    ]


def test_the_certificate_is_for_the_attackers_table() -> None:
    of = victim(BOUNDED[1])
    fewer = Smoothing(TableLexicon(SYNONYMS), neighbours=TableLexicon({"good": ["fine"]}))
    (one,) = SwapBounds(of.model, of.tokenizer, None, fewer).choices(("good film",))[1:2]  # type: ignore[index]
    assert one == of.tokenizer.convert_tokens_to_ids(["good", "fine"])


def test_substitutes_of_another_number_of_tokens_are_not_covered(caplog: pytest.LogCaptureFixture) -> None:
    """Pieces of words too: "splendid" is two tokens of a WordPiece tokenizer, "picture" as well."""
    of, table = victim(BOUNDED[1]), Smoothing(TableLexicon({"good": ["very fine"], "bad": ["poor"]}))
    with caplog.at_level(logging.WARNING):
        first, second = certified(of, [("good film",), ("bad film",)], [0, 0], table)
    assert first.lower == float("-inf") and not first.certified and second.lower > float("-inf")
    assert "1 of 2 texts have a substitute with another number of tokens than its word" in caplog.text
    pieces = build_tokenizer()
    same = Smoothing(TableLexicon({"splendid": ["dreadful"], "good": ["splendid"]}))
    bounds = SwapBounds(build_model(BOUNDED[1]), pieces, None, same)
    a, b, c, d = pieces.convert_tokens_to_ids(["splen", "##did", "dread", "##ful"])
    assert bounds.choices(("splendid",)) == [[2], [a, c], [b, d], [3]]
    assert bounds.choices(("good",)) is None


def test_a_classifier_that_predicts_otherwise_than_its_network_is_refused() -> None:
    of = victim(BOUNDED[1], inference=lambda model, batch: {"logits": 2 * model(**batch).logits})
    with pytest.raises(ValueError, match=r"hold for the plain network in float32, and the classifier .* votes, mixes"):
        certified(of, [("good film",)], [0])


def test_what_cannot_be_bounded_is_refused() -> None:
    with pytest.raises(ValueError, match="go through the LSTM and the CNN of this package"):
        SwapBounds(build_model(), build_tokenizer(), None, TABLE)
    slow = build_tokenizer()
    slow.__class__ = type("SlowTokenizer", (type(slow),), {"is_fast": False})
    with pytest.raises(ValueError, match="needs a fast tokenizer, got SlowTokenizer"):
        SwapBounds(build_model(BOUNDED[0]), slow, None, TABLE)


def test_settings_without_votes() -> None:
    found = CertifySettings(rule="intervals")
    assert (found.votes, found.alpha, found.describe()) == (0, 0.0, {"rule": "intervals"})
    found.check_classes(2)
    with pytest.raises(ValueError, match="at least 2 classes"):
        found.check_classes(1)
    with pytest.raises(
        ValueError, match="rule intervals counts no votes and does not read votes 50 and bound hoeffding"
    ):
        CertifySettings(votes=50, bound="hoeffding", rule="intervals")
    with pytest.raises(ValueError, match="rule intervals bounds swaps by a table, and a mask rate of 0.7 is none"):
        check_draws(RandomMasking("[MASK]", 0.7), found)


def test_ranks_share_the_texts() -> None:
    class Second(Ranks):
        def gather(self, value: Any) -> list[Any]:
            return [value]

    of = victim(BOUNDED[1])
    examples = [(place, (f"good {word}",), 0) for place, word in enumerate(WORDS[:6])]
    with of.measuring():
        whole = certify_swaps(of, examples, TABLE, Ranks())[0]
        parts = [certify_swaps(of, examples, TABLE, Second(rank, 2))[0] for rank in (0, 1)]
    assert sorted(one.idx for part in parts for one in part) == [one.idx for one in whole]
    assert Text(("good film",)).words and all(len(part) == 3 for part in parts)
