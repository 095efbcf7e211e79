"""The challenge set against the paper's rule, computed by hand, and the tokens of its texts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import build_model, build_tokenizer, pair_rows, review_rows
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from hf_robust.attacks import Example, Victim
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.cli.challenge import MASKS as FLAG_MASKS
from hf_robust.views import MASKS, challenge_set

MASK = 4


def examples(count: int, pairs: bool) -> list[Example]:
    """Texts with words of two pieces among them."""

    def pieced(row: dict[str, Any], *columns: str) -> tuple[str, ...]:
        return tuple(row[column].replace("good", "splendid").replace("cold", "dreadful") for column in columns)

    if pairs:
        return [Example(i, pieced(r, "sentence1", "sentence2"), r["label"]) for i, r in enumerate(pair_rows(count))]
    return [Example(i, pieced(r, "sentence"), r["label"]) for i, r in enumerate(review_rows(count))]


def victim(**options: Any) -> Victim:
    return Victim(build_model(num_labels=3), build_tokenizer(), max_length=40, **options)


def steepest(model: Any, ids: list[int], open_places: list[int], label: int) -> int:
    """arg max_l sum_d |d CE / d e_ld|, by one backward pass through the embeddings of one text."""
    embedded = model.get_input_embeddings()(torch.tensor([ids])).detach().requires_grad_()
    logits = model(inputs_embeds=embedded).logits
    torch.nn.functional.cross_entropy(logits, torch.tensor([label])).backward()
    norms = embedded.grad[0].abs().sum(-1)
    return max(open_places, key=lambda place: float(norms[place]))


@pytest.mark.parametrize("pairs", [True, False])
def test_the_token_of_the_largest_gradient_of_every_row_is_masked(pairs: bool) -> None:
    target, rows, tokenizer = victim(token_budget=100), examples(120, pairs), build_tokenizer()
    made = challenge_set(target, rows)
    assert [one.example for one in made] == rows
    target.model.eval()
    wrong, pieces, signs = 0, 0, 0
    for one, row in zip(made, rows, strict=True):
        encoding = tokenizer(*[[column] for column in row.texts])
        ids, columns = encoding["input_ids"][0], encoding.sequence_ids(0)
        open_places = [place for place, column in enumerate(columns) if column == len(row.texts) - 1]
        place = steepest(target.model, ids, open_places, row.label)
        assert one.place == place
        assert one.ids.ids.tolist() == [MASK if at == place else token for at, token in enumerate(ids)]
        wrong += int(target.probabilities([row.texts]).argmax()) != row.label
        pieces += tokenizer.convert_ids_to_tokens(ids[place]).startswith("##")
        signs += one.token in ".,"
    assert wrong and signs and pieces, "rows that were wrong, signs of punctuation and pieces are among them"


def test_the_text_is_the_old_one_with_the_mask_token_and_says_where_it_is_read_otherwise() -> None:
    target, tokenizer = victim(), build_tokenizer()
    made = challenge_set(target, examples(60, True), "random", seed=3)
    assert {one.alike for one in made} == {True, False}
    for one in made:
        column, texts = one.example.texts[-1], one.texts("[MASK]")
        assert texts[0] == one.example.texts[0] and texts[1].count("[MASK]") == 1
        assert texts[1].replace("[MASK]", one.token) == column
        assert one.alike == (tokenizer(*texts)["input_ids"] == one.ids.ids.tolist())
        behind = tokenizer.convert_ids_to_tokens(tokenizer(*one.example.texts)["input_ids"])[one.place + 1]
        assert one.alike != behind.startswith("##")


def test_a_random_token_depends_on_seed_and_row_alone() -> None:
    target, rows = victim(), examples(30, True)
    places = {one.example.idx: one.place for one in challenge_set(target, rows, "random", seed=1)}
    again = {one.example.idx: one.place for one in challenge_set(target, rows[::-2], "random", seed=1)}
    assert again == {idx: places[idx] for idx in again}
    assert places != {one.example.idx: one.place for one in challenge_set(target, rows, "random", seed=2)}
    for one in challenge_set(target, rows, "random"):
        assert build_tokenizer()(*one.example.texts).sequence_ids(0)[one.place] == 1


def test_a_text_without_a_token_in_its_last_column_stands_as_it_is() -> None:
    rows = [Example(0, ("a film", ""), 0), Example(1, ("a film", "a plot"), 1)]
    for mask in MASKS:
        first, second = challenge_set(victim(), rows, mask)
        assert (first.place, first.token, first.alike, first.texts("[MASK]")) == (None, "", True, ("a film", ""))
        assert second.place is not None
    # Truncated tokens cannot be masked either.
    (cut,) = challenge_set(
        Victim(build_model(), build_tokenizer(), max_length=3), [Example(0, ("good film plot",), 0)]
    )
    assert cut.place == 1 and cut.texts("[MASK]") == ("[MASK] film plot",)


def test_byte_level_tokens_are_masked_with_the_blanks_that_they_need() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    texts = ["a good film was good .", "the plot , a story , was cold"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>", "<pad>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    mask = AddedToken("<mask>", lstrip=True, special=True)  # like RoBERTa's, which includes the space before it
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", mask_token=mask,
        model_max_length=40,
    )  # fmt: skip
    model = build_model("roberta")
    model.resize_token_embeddings(400)
    target = Victim(model, fast, max_length=40)
    made = challenge_set(target, [Example(i, (text,), i % 2) for i, text in enumerate(texts * 20)], "random")
    assert len({one.place for one in made}) > 5 and all(one.alike for one in made)
    assert all(one.texts("<mask>")[0].replace("<mask>", one.token) == one.example.texts[0] for one in made)
    read = TextTokenizer(fast, 40).encode([one.texts("<mask>") for one in made])
    assert [one.key() for one in read] == [one.ids.key() for one in made]


def test_without_a_mask_token_or_offsets_it_is_one_sentence() -> None:
    assert FLAG_MASKS == MASKS
    target = victim()
    target.tokenizer.mask_token = None
    with pytest.raises(ValueError, match="needs a tokenizer with a mask token"):
        challenge_set(target, examples(2, True))
