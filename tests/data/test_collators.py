import pytest
import torch
from transformers import DataCollatorWithPadding

from hf_robust.data import VIEW_COLUMNS, PairedCollator, TextDataset, split_views

TEXTS = ["the film was good", "dull", "it is not very good and bad"]
VIEWED = ["fine", "a dull plot was bad and it is so", "who says"]


@pytest.fixture
def features(word_tokenizer):
    rows = [{"a": text, "label": index % 2} for index, text in enumerate(TEXTS)]
    dataset = TextDataset(rows, ["a"], word_tokenizer, max_length=32)
    found = []
    for index, text in enumerate(VIEWED):
        view = {f"adv_{key}": value for key, value in dataset.encode((text,)).items()}
        found.append({**dataset[index], **view, "adv_ok": float(index != 1)})
    return found


def test_main_columns_come_out_as_without_views(word_tokenizer, features):
    base = DataCollatorWithPadding(word_tokenizer)
    plain = base([{key: value for key, value in one.items() if not key.startswith("adv_")} for one in features])
    batch = PairedCollator(base, ["adv"])(features)
    assert {key for key in batch if not key.startswith("adv_")} == set(plain)
    assert all(torch.equal(batch[key], plain[key]) for key in plain)


def test_each_view_is_padded_on_its_own(word_tokenizer, features):
    batch = PairedCollator(DataCollatorWithPadding(word_tokenizer), ["adv"])(features)
    assert batch["input_ids"].shape == (3, 9) and batch["adv_input_ids"].shape == (3, 11)
    expected = word_tokenizer(VIEWED, padding=True, return_tensors="pt")
    assert all(torch.equal(batch[f"adv_{key}"], expected[key]) for key in expected)
    assert torch.equal(batch["adv_ok"], torch.tensor([1.0, 0.0, 1.0]))
    assert batch["adv_ok"].dtype == torch.float32


def test_features_are_not_changed_and_nothing_is_drawn(word_tokenizer, features):
    before, state = [dict(one) for one in features], torch.random.get_rng_state()
    PairedCollator(DataCollatorWithPadding(word_tokenizer), ["adv"])(features)
    assert features == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_no_view_columns_is_the_base_collator(word_tokenizer, features):
    plain = [{key: value for key, value in one.items() if not key.startswith("adv_")} for one in features]
    batch = PairedCollator(DataCollatorWithPadding(word_tokenizer), ["adv"])(plain)
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids", "labels"}


def test_a_view_that_some_features_lack_is_an_error(word_tokenizer, features):
    del features[0]["adv_input_ids"]
    with pytest.raises(ValueError, match="view 'adv' must have the same columns"):
        PairedCollator(DataCollatorWithPadding(word_tokenizer), ["adv"])(features)


def test_views_whose_names_begin_alike_do_not_mix(word_tokenizer, features):
    second = [{**one, **{f"adv_2_{c}": one[f"adv_{c}"] for c in VIEW_COLUMNS}} for one in features]
    batch = PairedCollator(DataCollatorWithPadding(word_tokenizer), ["adv", "adv_2"])(second)
    main, views = split_views(batch, ["adv", "adv_2"])
    assert set(main) == {"input_ids", "attention_mask", "token_type_ids", "labels"}
    assert set(views) == {"adv", "adv_2"}
    assert set(views["adv"]) == set(views["adv_2"]) == set(VIEW_COLUMNS)


def test_split_views_inverts_the_collator(word_tokenizer, features):
    batch = PairedCollator(DataCollatorWithPadding(word_tokenizer), ["adv"])(features)
    before = dict(batch)
    main, views = split_views(batch, ["adv"])
    assert batch == before
    assert {**main, **{f"adv_{key}": value for key, value in views["adv"].items()}} == batch
    assert split_views(main, ["adv"]) == (main, {})
