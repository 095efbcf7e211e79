"""Masked views against a linear model with known gradients, and tokens that are never masked."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import KINDS, build_model, build_tokenizer, pair_rows, review_rows
from torch import nn

from hf_robust.attacks import Example, Victim
from hf_robust.data import TextDataset
from hf_robust.views import (
    GenerationContext,
    MaskedViews,
    View,
    ViewedDataset,
    assign_to_rows,
    masked,
    read_views,
    write_views,
)
from hf_robust.views.generated import ViewRound
from hf_robust.words import Protection, Text

WIDTH = 4


class Linear(nn.Module):
    """Logits are a sum over tokens, so that the gradient at a token depends on its own coefficients."""

    def __init__(self, num_labels: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embed = nn.Embedding(64, WIDTH)
        self.scale = nn.Parameter(torch.randn(64, generator=generator), requires_grad=False)
        self.head = nn.Parameter(torch.randn(WIDTH, num_labels, generator=generator), requires_grad=False)
        self.config = SimpleNamespace(num_labels=num_labels)

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        weights = (self.scale[input_ids] * attention_mask).unsqueeze(-1)
        return {"logits": (self.embed(input_ids) * weights).sum(1) @ self.head}


def examples(count: int = 24, pairs: bool = True) -> list[Example]:
    if pairs:
        return [Example(i, (r["sentence1"], r["sentence2"]), r["label"]) for i, r in enumerate(pair_rows(count))]
    return [Example(i, (row["sentence"],), row["label"]) for i, row in enumerate(review_rows(count))]


def victim(model: Any = None, **options: Any) -> Victim:
    return Victim(build_model(num_labels=3) if model is None else model, build_tokenizer(), **options)


def place(folder: Path, rank: int = 0, ranks: int = 1) -> GenerationContext:
    return GenerationContext(folder, rank=rank, ranks=ranks)


def columns_of(example: Example) -> tuple[list[int], list[int | None]]:
    encoding = build_tokenizer()(*[[column] for column in example.texts])
    return encoding["input_ids"][0], encoding.sequence_ids(0)


def test_saliency_of_a_linear_model_is_the_sum_of_its_coefficients() -> None:
    model = Linear()
    target = victim(model)
    for example in examples(12):
        (salience,) = target.gradient_norms([Text(example.texts)], [example.label])
        ids, _ = columns_of(example)
        with torch.no_grad():
            logits = model(torch.tensor([ids]), torch.ones(1, len(ids)))["logits"][0]
        slope = logits.softmax(-1) - nn.functional.one_hot(torch.tensor(example.label), 3)
        per_unit = float((model.head @ slope).abs().sum())
        expected = [abs(float(model.scale[token])) * per_unit for token in ids]
        assert salience.tokens.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_victim_that_is_very_certain_is_masked_alike(tmp_path: Path) -> None:
    """In float32 the gradient of the cross-entropy would be 0, and the first token of each text would be masked."""
    models = [build_model(), build_model()]
    with torch.no_grad():
        models[1].classifier.weight *= 4096
        models[1].classifier.bias *= 4096
    rows = examples(16, pairs=False)
    made = [MaskedViews()(victim(one), rows, place(tmp_path / str(at))) for at, one in enumerate(models)]
    assert [view.masked for _, view in made[0]] == [view.masked for _, view in made[1]]
    assert len({view.masked for _, view in made[1]}) > 3
    tokens = [one.tokens for one in victim(models[1]).gradient_norms([Text(row.texts) for row in rows])]
    assert any(not values.any() for values in tokens)


@pytest.mark.parametrize("topk", [1, 2])
def test_the_largest_coefficients_of_the_hypothesis_are_masked(topk: int, tmp_path: Path) -> None:
    model = Linear()
    made = MaskedViews(topk=topk)(victim(model), examples(), place(tmp_path))
    assert [idx for idx, _ in made] == list(range(24)) and made.attempts == 24
    for idx, view in made:
        ids, columns = columns_of(examples()[idx])
        open_places = [at for at, column in enumerate(columns) if column == 1]
        ranked = sorted(open_places, key=lambda at: (-abs(float(model.scale[ids[at]])), at))
        assert list(view.masked) == sorted(ranked[:topk])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pairs", [True, False])
def test_special_tokens_and_the_premise_are_never_masked(kind: str, pairs: bool, tmp_path: Path) -> None:
    rows = examples(pairs=pairs)
    made = MaskedViews()(victim(build_model(kind, num_labels=3)), rows, place(tmp_path))
    assert len(made) == len(rows)
    for idx, view in made:
        _, columns = columns_of(rows[idx])
        assert [columns[at] for at in view.masked] == [1 if pairs else 0]
        assert view.text.columns == rows[idx].texts and view.label is None and view.ok


def test_a_mask_token_in_the_text_is_not_masked_again_and_an_unknown_word_may_be(tmp_path: Path) -> None:
    rows = [Example(0, ("a film", "[MASK] [SEP] zebra"), 0), Example(1, ("a film", "[MASK]"), 0)]
    made = MaskedViews()(victim(), [*rows, Example(2, ("a film", ""), 0)], place(tmp_path))
    ids, _ = columns_of(rows[0])
    unknown = build_tokenizer().unk_token_id
    assert [(idx, [ids[at] for at in view.masked]) for idx, view in made] == [(0, [unknown])]
    assert made.attempts == 3


@pytest.mark.parametrize("unit", ["token", "word"])
def test_nothing_of_a_protected_span_is_masked(unit: str, tmp_path: Path) -> None:
    column = "it was good, @film is warm, splendid #music. and the cold story"
    rows = [Example(number, ("a film", column), number) for number in range(3)]
    protection = Protection(["mentions", "hashtags"], ["warm, splendid"])
    maker = MaskedViews(topk=9, unit=unit, protection=protection)
    encoding = build_tokenizer()("a film", column, return_offsets_mapping=True)
    offsets, columns = encoding["offset_mapping"], encoding.sequence_ids(0)
    spans = protection.spans(column)
    inside = {
        at
        for at, (start, end) in enumerate(offsets)
        if columns[at] == 1 and any(start < last and first < end for first, last in spans)
    }
    assert len(inside) >= 7  # punctuation and both pieces of "splendid" too
    for _, view in maker(victim(), rows, place(tmp_path)):
        assert view.masked and not inside & {*view.masked}
    free = MaskedViews(topk=9, unit=unit)(victim(), rows, place(tmp_path / "free"))
    assert any(inside & {*view.masked} for _, view in free)


def test_a_word_is_masked_with_all_its_pieces(tmp_path: Path) -> None:
    example = Example(0, ("a film", "splendid"), 0)
    token, word = (
        MaskedViews(unit=unit)(victim(), [example], place(tmp_path / unit))[0][1] for unit in ("token", "word")
    )
    assert len(token.masked) == 1 and len(word.masked) == 2 and {*token.masked} < {*word.masked}
    assert token.changed == word.changed == (2,)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("padding", [False, "max_length"])
def test_exactly_one_id_of_a_row_becomes_the_mask(side: str, padding: Any, tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    tokenizer.padding_side = side
    data = TextDataset(pair_rows(8), ("sentence1", "sentence2"), tokenizer, max_length=24, padding=padding)
    rows = [Example(i, data.texts(i), int(data.label(i))) for i in range(8)]
    target = Victim(build_model(num_labels=3), tokenizer, max_length=24)
    views = dict(MaskedViews()(target, rows, place(tmp_path)))

    def source(text: Text, label: int | None, rng: Any, read: Any = None) -> View:
        return next(view for view in views.values() if view.text.columns == text.columns)

    viewed = ViewedDataset(data, {"masked": source}, 0, mask_token_id=tokenizer.mask_token_id)
    for index in range(8):
        row = viewed[index]
        pairs = list(zip(row["input_ids"], row["masked_input_ids"], strict=True))
        differ = [at for at, (old, new) in enumerate(pairs) if old != new]
        assert len(differ) == 1 and row["masked_input_ids"][differ[0]] == tokenizer.mask_token_id
        separators = [at for at, token in enumerate(row["input_ids"]) if token == tokenizer.sep_token_id]
        assert separators[0] < differ[0] < separators[1]


def test_a_shorter_cut_than_the_views_were_made_with_is_one_sentence() -> None:
    data = TextDataset(review_rows(1), ("sentence",), build_tokenizer(), max_length=4)
    viewed = ViewedDataset(data, {"v": lambda text, *_: View(text, True, (), masked=(6,))}, 0, mask_token_id=4)
    with pytest.raises(ValueError, match=r"masks token 6 of a text that is cut to 4 tokens.*--max_seq_length"):
        viewed[0]


def test_the_sample_is_balanced_as_far_as_the_classes_go() -> None:
    rows = [Example(i, (f"text {i}",), 0 if i < 20 else 1) for i in range(23)]
    maker = MaskedViews(per_class=5, seed=1)
    chosen = maker.sample(rows)
    assert [sum(one.label == label for one in chosen) for label in (0, 1)] == [5, 3]
    assert chosen == sorted(chosen) == maker.sample(rows) and chosen != MaskedViews(per_class=5, seed=2).sample(rows)


def test_the_fall_of_confidence_is_measured_on_the_masked_rows(tmp_path: Path) -> None:
    target, rows = victim(), examples()
    made = MaskedViews()(target, rows, place(tmp_path))
    drops, right = [], []
    for (_, view), row in zip(made, rows, strict=True):
        ids, _ = columns_of(row)
        hidden = [4 if at in view.masked else token for at, token in enumerate(ids)]
        with torch.no_grad():
            first, second = (
                target.model(input_ids=torch.tensor([one])).logits[0].softmax(-1) for one in (ids, hidden)
            )
        drops.append(float(first[row.label] - second[row.label]))
        right.append(int(second.argmax()) == row.label)
    assert made.notes["confidence_drop"] == pytest.approx(sum(drops) / len(drops), abs=1e-5)
    assert made.notes["accuracy_masked"] == pytest.approx(sum(right) / len(right), abs=1e-5)
    assert made.notes["per_class"] == [8, 8, 8]


def test_batches_and_a_restart_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = MaskedViews()(victim(), examples(), place(tmp_path / "whole"))
    monkeypatch.setattr(masked, "CHUNK", 4)
    folder = tmp_path / "part"
    MaskedViews()(victim(token_budget=40), examples()[:10], place(folder))
    (file,) = folder.iterdir()
    file.write_text(file.read_text()[:-7], encoding="utf-8")  # the last line was cut off
    target = victim(token_budget=40)
    again = MaskedViews()(target, examples(), place(folder))
    assert list(again) == list(whole)
    # 9 rows were read from the journal; 15 rows needed two forward passes each.
    assert target.queries == 2 * 15
    assert again.notes["confidence_drop"] == pytest.approx(whole.notes["confidence_drop"], abs=1e-6)


def test_masking_shows_how_far_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    MaskedViews()(victim(), examples(6), place(tmp_path / "quiet"))
    assert "masking: " not in capfd.readouterr().err
    MaskedViews()(victim(), examples(6), GenerationContext(tmp_path / "shown", progress=True))
    assert "masking: " in capfd.readouterr().err


def test_each_rank_masks_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(MaskedViews()(victim(), examples(), place(tmp_path / "whole")))
    gathered: list[Any] = []
    monkeypatch.setattr("accelerate.utils.gather_object", lambda rows: (gathered.extend(rows), [*gathered])[1])
    with pytest.raises(KeyError):  # the first rank alone does not have all rows
        MaskedViews()(victim(), examples(), place(tmp_path / "two", 0, 2))
    assert len(gathered) == 12
    assert list(MaskedViews()(victim(), examples(), place(tmp_path / "two", 1, 2))) == whole


def test_views_survive_the_file_with_their_notes(tmp_path: Path) -> None:
    made = MaskedViews()(victim(), examples(6), place(tmp_path))
    write_views(tmp_path / "views.jsonl", {"name": "masked"}, made)
    header, again = read_views(tmp_path / "views.jsonl", {})
    assert list(again) == list(made) and again.notes == made.notes == header["notes"]


def test_spread_views_keep_what_is_masked_and_their_label() -> None:
    source = [Example(7, ("a film",), 2)]
    made = ViewRound([(7, View(Text(("a film",)), True, (1,), masked=(2,)))])
    carried = assign_to_rows(made, source, [Example(0, ("a plot",), 0), Example(1, ("the plot",), 1)], seed=0)
    ((_, view),) = carried.items()
    assert (view.masked, view.label, view.text.columns) == ((2,), 2, ("a film",))


def test_the_key_names_the_content() -> None:
    target, rows = victim(), examples(6)
    keys = {
        MaskedViews().key(target, rows),
        MaskedViews(topk=2).key(target, rows),
        MaskedViews(unit="word").key(target, rows),
        MaskedViews(per_class=3).key(target, rows),
        MaskedViews(seed=1).key(target, rows),
        MaskedViews(protection=Protection(["urls"])).key(target, rows),
        MaskedViews(protection=Protection((), ["urls"])).key(target, rows),
        MaskedViews().key(target, rows[:5]),
        MaskedViews().key(victim(build_model(num_labels=3, seed=1)), rows),
        MaskedViews().key(victim(max_length=12), rows),
    }
    assert len(keys) == 10 and MaskedViews().key(victim(), examples(6)) in keys
    assert json.dumps(MaskedViews().describe())


def test_a_vocabulary_without_a_mask_token_is_one_sentence(tmp_path: Path) -> None:
    target = victim()
    target.tokenizer.mask_token = None
    with pytest.raises(ValueError, match=r"needs a tokenizer with a mask token.*such as BERT"):
        MaskedViews()(target, examples(), place(tmp_path))
