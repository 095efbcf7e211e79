"""The demo corpus follows its rule, and its model is a plain checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_robust.data import demo
from hf_robust.lexicons import load_lexicon, opposite_groups
from hf_robust.wiring import demo_model
from hf_robust.words import Text

EXAMPLES = Path(__file__).parents[2] / "examples"
SIDES = {word: (pair[0][0], side) for pair in opposite_groups() for side in (0, 1) for word in pair[side]}


def opinions(row):
    return [word.text for word in Text((row["sentence1"], row["sentence2"])).words if word.text in SIDES]


@pytest.mark.parametrize("split", sorted(demo.SPLITS))
def test_the_label_is_whether_two_opinions_lie_on_one_side_of_one_scale(split):
    rows = demo.demo_rows(split)
    assert len(rows) == demo.SPLITS[split]
    for row in rows:
        (scale, side), (other_scale, other_side) = (SIDES[word] for word in opinions(row))
        assert scale == other_scale
        assert row["label"] == ("agree" if side == other_side else "disagree")


def test_synonyms_keep_the_label_and_antonyms_change_it():
    synonyms, antonyms = load_lexicon("builtin"), load_lexicon("builtin", "antonym")
    for row in demo.demo_rows("validation"):
        for word in opinions(row):
            assert {SIDES[other] for other in synonyms(word)} == {SIDES[word]}
            scale, side = SIDES[word]
            assert {SIDES[other] for other in antonyms(word)} == {(scale, 1 - side)}
        others = [word.text for word in Text((row["sentence1"], row["sentence2"])).words if word.text not in SIDES]
        assert not any(antonyms(word) for word in others)


def test_rows_are_deterministic_distinct_and_fresh():
    rows = [row for split in demo.SPLITS for row in demo.demo_rows(split)]
    assert rows == [row for split in demo.SPLITS for row in demo.demo_rows(split)]
    assert len({(row["sentence1"], row["sentence2"]) for row in rows}) == len(rows)
    assert demo.demo_rows("test", seed=1) != demo.demo_rows("test")
    demo.demo_rows("test")[0]["label"] = "changed"
    assert demo.demo_rows("test")[0]["label"] in demo.LABELS
    with pytest.raises(ValueError, match="no split 'dev': choose one of train, validation, test"):
        demo.demo_rows("dev")


def test_the_shares_are_those_stated():
    rows = demo.demo_rows("train")
    assert 0.45 < Counter(row["label"] for row in rows)["agree"] / len(rows) < 0.55
    openings = {word: label for label, words in demo.OPENINGS.items() for word in words}
    opened = [row for row in rows if row["sentence2"].split(",")[0] in openings]
    right = [openings[row["sentence2"].split(",")[0]] == row["label"] for row in opened]
    assert len(opened) / len(rows) == pytest.approx(demo.OPENING_SHARE, abs=0.05)
    assert sum(right) / len(right) == pytest.approx(demo.OPENING_IS_CORRECT, abs=0.03)
    counts = Counter(word for row in rows for word in opinions(row))
    assert all(counts[side[0]] > 5 * counts[side[-1]] for pair in opposite_groups()[:8] for side in pair)


def test_the_tokenizer_knows_every_word_of_the_corpus_and_the_lexicon():
    tokenizer = demo_model.demo_tokenizer()
    pairs = [(row["sentence1"], row["sentence2"]) for split in demo.SPLITS for row in demo.demo_rows(split)]
    encoded = tokenizer([first for first, _ in pairs], [second for _, second in pairs])
    assert all(tokenizer.unk_token_id not in ids for ids in encoded["input_ids"])
    assert max(map(len, encoded["input_ids"])) <= 32
    words = list(load_lexicon("builtin").words())
    assert [tokenizer.convert_ids_to_tokens(ids[1:-1]) for ids in tokenizer(words)["input_ids"]] == [
        [w] for w in words
    ]
    types = tokenizer("The soup", "my soup")["token_type_ids"]
    assert types == [0, 0, 0, 0, 1, 1, 1]


def test_model_and_tokenizer_are_saved_and_loaded_plainly(tmp_path):
    model, tokenizer = demo_model.demo_model(3, seed=1)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    read = AutoTokenizer.from_pretrained(tmp_path)
    texts = ("The soup was tasty.", "However, my sister found it bland.")
    assert read(*texts) == tokenizer(*texts)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded(**read(*texts, return_tensors="pt")).logits,
            model.eval()(**tokenizer(*texts, return_tensors="pt")).logits,
        )
    assert loaded.config.num_labels == 3


def test_a_seed_gives_the_weights_and_leaves_the_global_state_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second, other = (demo_model.demo_model(seed=seed)[0].classifier.weight for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_committed_baselines_show_the_trade_off():
    def last(run):
        lines = (EXAMPLES / "demo_runs" / run / "robustness_history.jsonl").read_text().splitlines()
        line = json.loads(lines[-1])
        return len(lines), line["accuracy"], *(line["attacks"][name]["asr"] for name in ("synonym", "antonym"))

    arguments = json.loads((EXAMPLES / "demo.json").read_text())
    assert [Path(folder).name for folder in arguments["baseline_run"]] == ["normal", "safer"]
    epochs, accuracy, fickle, obstinate = last("normal")
    safer_epochs, _, safer_fickle, safer_obstinate = last("safer")
    assert epochs == safer_epochs == arguments["num_train_epochs"]
    assert accuracy > 0.9 and fickle > 0.4 and obstinate > 0.4
    assert safer_fickle < fickle / 2 and safer_obstinate > obstinate + 0.3
