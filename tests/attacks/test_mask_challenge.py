"""The [MASK] challenge set: which word, in which column, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from attack_parts import attack, examples, victim
from tiny import build_model

from hf_robust.attacks import Example, attack_dataset
from hf_robust.attacks.building import with_ranking
from hf_robust.words import Text


def run(which, target, rows):
    return attack_dataset(which, target, rows, progress=False)


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


@pytest.mark.parametrize("columns", [1, 2])
def test_the_top_word_of_the_last_column_becomes_the_mask_token(target, columns):
    rows = examples(target, 30, columns, seed=3)
    records = run(attack("gradient_mask"), target, rows)
    assert {"succeeded", "failed", "skipped"} <= {record.status for record in records}
    for record, row in zip(records, rows, strict=True):
        if record.status == "skipped":
            continue
        text = Text(row.texts)
        open_words = [i for i, word in enumerate(text.words) if word.column == columns - 1]
        (saliency,) = target.saliency([text], loss="margin")
        best = max(open_words, key=lambda i: saliency[i])
        assert record.perturbed == list(text.replace({best: "[MASK]"}).columns)
        assert record.changed == [[best, text.tokens[best], "[MASK]"]]
        assert record.queries == 2 and record.num_candidates == 1


@pytest.mark.parametrize(("frozen", "open_column"), [(frozenset(), 1), (frozenset({0}), 1), (frozenset({1}), 0)])
def test_only_the_hypothesis_changes_unless_it_is_frozen(target, frozen, open_column):
    which = attack("gradient_mask", frozen_columns=frozen)
    assert which.frozen_columns == frozen
    for record in run(which, target, examples(target, 20, 2, seed=5)):
        assert record.perturbed[1 - open_column] == record.original[1 - open_column]
        assert record.status == "skipped" or record.perturbed[open_column] != record.original[open_column]


def test_the_masked_text_counts_whether_or_not_it_lowers_the_confidence(target):
    records = run(attack("gradient_mask"), target, examples(target, 40, 2, seed=6))
    rises = [one for one in records if one.status == "failed" and one.perturbed_score > one.original_score]
    assert rises and all(one.changed for one in rises)


def test_a_word_of_two_pieces_becomes_one_mask_token(target):
    label = int(target.probabilities([("the film", "splendid")]).argmax())
    (record,) = run(attack("gradient_mask"), target, [Example(0, ("the film", "splendid"), label)])
    assert record.perturbed == ["the film", "[MASK]"]


def test_a_query_budget_of_one_masks_nothing(target):
    records = run(attack("gradient_mask", query_budget=1), target, examples(target, 10, 2, seed=1))
    assert {record.stop for record in records if record.status != "skipped"} == {"budget"}
    assert all(record.perturbed == record.original for record in records)


def test_a_random_ranking_masks_other_words(target):
    rows = examples(target, 30, 2, seed=3)
    ours, others = (
        run(one, target, rows) for one in (attack("gradient_mask"), with_ranking(attack("gradient_mask"), "random"))
    )
    assert [one.perturbed for one in ours] != [one.perturbed for one in others]
    assert all(one.queries <= 2 for one in others)


def test_no_mask_token_and_no_ranking_are_one_sentence_each(target):
    other = victim(build_model(num_labels=3))
    other.tokenizer.mask_token = None
    rows = examples(target, 3, 2, seed=3)
    with pytest.raises(ValueError, match="needs a tokenizer with a mask token"):
        run(attack("gradient_mask"), other, rows)
    with pytest.raises(ValueError, match="needs a ranking"):
        run(replace(attack("gradient_mask"), ranking=None), target, rows)
