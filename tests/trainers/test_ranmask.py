"""RanMASK: masks are drawn uniformly, as the vote draws them."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tiny import build_tokenizer, build_trainer, review_data

from hf_robust.certify import RandomMasking, kept_words
from hf_robust.data import TextDataset
from hf_robust.trainers.ranmask import RandomMasks
from hf_robust.words import Protection, Text


def test_as_many_words_are_masked_as_the_rate_says_and_anew_in_each_epoch(tmp_path: Path) -> None:
    trainer = build_trainer("ranmask", tmp_path, ranmask_rate=0.6)
    rows, mask = trainer.train_dataset, build_tokenizer().mask_token_id

    def masked() -> list[list[int]]:
        return [rows[index]["masked_input_ids"] for index in range(len(rows))]

    first = masked()
    for index, ids in enumerate(first):
        words = len(rows.dataset.text(index).words)
        assert ids.count(mask) == words - kept_words(words, 0.6) > 0
    rows.set_epoch(1)
    assert masked() != first


def test_training_draws_from_the_distribution_of_the_vote() -> None:
    text, count = Text(("good film, bad plot",)), 6000
    view, vote = RandomMasks("[MASK]", 0.5), RandomMasking("[MASK]", 0.5)
    rng = random.Random(0)
    trained = Counter(view(text, 0, rng).text.columns for _ in range(count))
    voted = vote.draws(text, count)
    assert set(trained) == set(voted) and len(trained) == len(list(combinations(range(4), 2)))
    for columns, times in trained.items():
        assert times / count == pytest.approx(1 / 6, abs=0.02) and voted[columns] / count == pytest.approx(
            1 / 6, abs=0.02
        )


def test_both_sentences_are_masked_and_protected_words_are_not(tmp_path: Path) -> None:
    rows = [{"sentence1": "good film", "sentence2": "bad plot", "label": 0} for _ in range(8)]
    data = TextDataset(rows, ("sentence1", "sentence2"), build_tokenizer(), max_length=16)
    options: dict[str, Any] = {"ranmask_rate": 0.5, "protection": Protection((), ["plot"])}
    trainer = build_trainer("ranmask", tmp_path, data=data, **options)
    decode = build_tokenizer().decode
    drawn = set()
    for epoch in range(6):
        trainer.train_dataset.set_epoch(epoch)
        drawn |= {decode(trainer.train_dataset[index]["masked_input_ids"]) for index in range(8)}
    assert drawn == {
        f"[CLS] {one} [SEP] {two} plot [SEP]"
        for one, two in (("[MASK] film", "bad"), ("good [MASK]", "bad"), ("good film", "[MASK]"))
    }


def test_a_tokenizer_without_a_mask_token_is_refused(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="masking tokens needs a tokenizer with a mask token"):
        build_trainer("ranmask", tmp_path, tokenizer=tokenizer, data=review_data())


def test_a_rate_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--ranmask_rate must be between 0.0 and 0.99, got 1.0; 0 masks no word"):
        build_trainer("ranmask", tmp_path, ranmask_rate=1.0)


@pytest.mark.parametrize(
    ("words", "rate", "masks"), [(9, 0.05, False), (11, 0.05, True), (2, 0.9, False), (3, 0.4, True)]
)
def test_a_rate_that_masks_no_word_is_refused(words: int, rate: float, masks: bool, tmp_path: Path) -> None:
    rows = [{"sentence": " ".join(["good"] * words), "label": row % 2} for row in range(8)]
    options: dict[str, Any] = {"data": review_data(rows=rows), "ranmask_rate": rate}
    if masks:
        build_trainer("ranmask", tmp_path, **options)
        return
    message = (
        f"--ranmask_rate {rate} masks no word of the training texts: they have at most {words} open words.*normal"
    )
    with pytest.raises(ValueError, match=message):
        build_trainer("ranmask", tmp_path, **options)
