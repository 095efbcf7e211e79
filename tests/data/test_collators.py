import pytest
import torch
from transformers import DataCollatorWithPadding, default_data_collator

from hf_robust.data import VIEW_COLUMNS, PairedCollator, TextDataset, split_views, stack_rows

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
    columns = [column for column in VIEW_COLUMNS if f"adv_{column}" in features[0]]
    second = [{**one, **{f"adv_2_{c}": one[f"adv_{c}"] for c in columns}} for one in features]
    batch = PairedCollator(DataCollatorWithPadding(word_tokenizer), ["adv", "adv_2"])(second)
    main, views = split_views(batch, ["adv", "adv_2"])
    assert set(main) == {"input_ids", "attention_mask", "token_type_ids", "labels"}
    assert set(views) == {"adv", "adv_2"}
    assert set(views["adv"]) == set(views["adv_2"]) == set(columns)


def test_split_views_inverts_the_collator(word_tokenizer, features):
    batch = PairedCollator(DataCollatorWithPadding(word_tokenizer), ["adv"])(features)
    before = dict(batch)
    main, views = split_views(batch, ["adv"])
    assert batch == before
    assert {**main, **{f"adv_{key}": value for key, value in views["adv"].items()}} == batch
    assert split_views(main, ["adv"]) == (main, {})


# ---- what views bring along ----

COLLATORS = {
    "padded in the batch": (False, DataCollatorWithPadding),
    "to a multiple": (False, lambda tokenizer: DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)),
    "to full length": ("max_length", lambda _: default_data_collator),
    "to full length, then collated": ("max_length", DataCollatorWithPadding),
}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("how", COLLATORS)
def test_numbers_stay_beside_their_tokens(word_tokenizer, side, how, monkeypatch):
    monkeypatch.setattr(word_tokenizer, "padding_side", side)
    padding, collator = COLLATORS[how]
    rows = [{"a": text, "label": index % 2} for index, text in enumerate(TEXTS)]
    dataset = TextDataset(rows, ["a"], word_tokenizer, max_length=16, padding=padding)
    features = []
    for index, text in enumerate(VIEWED):
        row, view = dataset[index], dataset.encode((text,))
        # Every token's number is its id, the padding's 0: what is read off the ids must come out.
        features.append(
            {
                **row,
                **{f"adv_{key}": value for key, value in view.items()},
                "adv_main_words": row["input_ids"],
                "adv_words": view["input_ids"],
                "adv_labels": index,
                "adv_soft": [0.25, 0.75],
            }
        )
    batch = PairedCollator(collator(word_tokenizer), ["adv"])(features)
    assert word_tokenizer.pad_token_id == 0
    assert torch.equal(batch["adv_main_words"], batch["input_ids"])
    assert torch.equal(batch["adv_words"], batch["adv_input_ids"])
    assert batch["adv_labels"].tolist() == [0, 1, 2] and batch["labels"].tolist() == [0, 1, 0]
    assert batch["adv_soft"].dtype == torch.float32 and batch["adv_soft"].shape == (3, 2)
    assert batch["adv_ok"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("side", ["right", "left"])
def test_stacked_rows_are_those_of_the_batches(word_tokenizer, side, monkeypatch):
    monkeypatch.setattr(word_tokenizer, "padding_side", side)
    batches = []
    for texts in (TEXTS, VIEWED[:1], VIEWED):
        batch = word_tokenizer(texts, padding=True, return_tensors="pt")
        batches.append({**batch, "labels": torch.arange(len(texts))})
    batches[1]["only_here"] = torch.zeros(1)
    stacked = stack_rows(batches, word_tokenizer)
    together = word_tokenizer([*TEXTS, VIEWED[0], *VIEWED], padding=True, return_tensors="pt")
    assert all(torch.equal(stacked[key], together[key]) for key in together)
    assert stacked["labels"].tolist() == [0, 1, 2, 0, 0, 1, 2]
    assert set(stacked) == {*together, "labels"}
