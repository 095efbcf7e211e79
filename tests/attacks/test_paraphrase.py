"""Paraphrases: what a model draws, and the attack that takes the best of those that are similar enough."""

from __future__ import annotations

import dataclasses
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import SYNONYMS, LetterEncoder, TableParaphraser, attack, examples, probabilities_of, victim
from population_parts import ToyVictim, rows
from test_hard_label import by_label, similarity
from tiny import FILLERS, build_model, build_tokenizer, pair_rows
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    T5Config,
)
from transformers import set_seed as seed_everything

from hf_robust.attacks import ATTACKS, Example, Resources, attack_dataset
from hf_robust.attacks.models.paraphraser import NUCLEUS, ParaphrasingModel, _Draw, load_paraphraser
from hf_robust.attacks.parts.paraphrases import Wanted
from hf_robust.words import Text

TEXTS = ["a good film", "the plot was very bad and cold", "warm music"]


def tokenizer() -> Any:
    made = build_tokenizer()
    made.eos_token = "[SEP]"  # noqa: S105
    return made


def model(kind: str) -> Any:
    """A random model of the tiny vocabulary that writes texts of several lengths."""
    sizes = {"vocab_size": len(tokenizer()), "pad_token_id": 0, "eos_token_id": 3, "bos_token_id": 2}
    seed_everything(0)
    if kind == "t5":
        config: Any = T5Config(
            **sizes, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
        )
        return AutoModelForSeq2SeqLM.from_config(config)
    config = GPT2Config(**sizes, n_embd=16, n_layer=1, n_head=2, n_positions=80)
    return AutoModelForCausalLM.from_config(config)


def paraphraser(kind: str, **options: Any) -> ParaphrasingModel:
    return ParaphrasingModel(model(kind), tokenizer(), "tiny", **options)


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_paraphrases_depend_on_text_and_seed_alone(kind: str) -> None:
    wanted = [Wanted(text, 6, 0) for text in TEXTS]
    together = paraphraser(kind).paraphrase(wanted)
    for each, found in zip(wanted, together, strict=True):
        assert 1 < len(found) <= 6 and len(set(found)) == len(found) and each.text not in found
        assert all(one.strip() == one and one and "[SEP]" not in one for one in found)
        torch.manual_seed(9)
        assert paraphraser(kind, token_budget=40).paraphrase([each]) == [found]
        longest = 2 * len(tokenizer()(each.text, add_special_tokens=False)["input_ids"]) + 16
        assert all(len(one.split()) <= longest for one in found)
    # The first draws are the same ones, whatever their number; another seed draws others.
    assert set(paraphraser(kind).paraphrase([Wanted(TEXTS[1], 2, 0)])[0]) <= set(together[1])
    assert paraphraser(kind).paraphrase([Wanted(TEXTS[1], 6, 1)])[0] != together[1]


def test_a_text_is_written_once() -> None:
    writer, calls = paraphraser("t5"), []
    original = writer._generate
    writer._generate = lambda *args: calls.append(1) or original(*args)  # type: ignore[method-assign]
    first = writer.paraphrase([Wanted(text, 3, 0) for text in TEXTS])
    counted = len(calls)
    assert writer.paraphrase([Wanted(text, 3, 0) for text in reversed(TEXTS)]) == first[::-1]
    assert counted == len(calls) > 0


def test_draws_are_from_the_nucleus_by_its_probabilities() -> None:
    scores = torch.log(torch.tensor([0.03, 0.5, 0.25, 0.2, 0.02])).repeat(20_000, 1)
    drawn = _Draw([np.random.RandomState(row) for row in range(len(scores))])(torch.empty(0), scores).argmax(-1)
    shares = drawn.bincount(minlength=5) / len(scores)
    # 0.5 + 0.25 + 0.2 is the nucleus; rounding decides whether the next token belongs to it.
    kept = torch.tensor([0.0, 0.5, 0.25, 0.2, 0.0])
    assert NUCLEUS == 0.95 and shares[4] == 0
    assert torch.allclose(shares, kept / kept.sum(), atol=0.03)


def test_what_the_model_reads() -> None:
    assert paraphraser("t5").prompt == "paraphrase: {text}" and paraphraser("gpt2").prompt.endswith("Paraphrase:")
    assert paraphraser("t5", prompt="{text}").fingerprint() != paraphraser("t5").fingerprint()
    with pytest.raises(ValueError, match=r"must have \{text\} once, got 'rewrite'"):
        paraphraser("t5", prompt="rewrite")
    chatty = tokenizer()
    chatty.chat_template = "{% for one in messages %}{{ one['content'] }}{% endfor %} music"
    chat = ParaphrasingModel(model("gpt2"), chatty, "tiny")
    assert chat.chats and chat._prompted("a good film").endswith("a good film music")
    assert not ParaphrasingModel(model("t5"), chatty, "tiny").chats


def test_a_text_that_does_not_fit_has_no_paraphrases(caplog: pytest.LogCaptureFixture) -> None:
    short, long = Wanted("a good film", 3, 0), Wanted(" ".join(["film"] * 70), 3, 0)
    found = paraphraser("gpt2", prompt="{text}").paraphrase([short, long])
    assert found[0] and found[1] == () and "do not fit into its 64 tokens" in caplog.text


def test_a_folder_is_loaded_and_what_writes_nothing_is_refused(tmp_path: Path) -> None:
    for kind in ("t5", "gpt2"):
        model(kind).save_pretrained(tmp_path / kind)
        tokenizer().save_pretrained(tmp_path / kind)
        loaded = load_paraphraser(str(tmp_path / kind), "{text}")
        wanted = [Wanted(TEXTS[0], 3, 0)]
        assert loaded.paraphrase(wanted) == paraphraser(kind, prompt="{text}").paraphrase(wanted)
        assert loaded.describe()["name"] == str(tmp_path / kind)
    config = BertConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    for kind, sentence in (
        (BertModel, "lacks weights that write text .* never trained to: give the folder"),
        (BertForMaskedLM, "is a masked language model, which fills blanks and writes no text: give the folder"),
    ):
        folder = tmp_path / kind.__name__
        kind(config).save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        with pytest.raises(ValueError, match=sentence):
            load_paraphraser(str(folder))
    with pytest.raises(ValueError, match="--paraphraser .*nothing"):
        load_paraphraser(str(tmp_path / "nothing"))


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_a_model_attacks(kind: str) -> None:
    """Random weights write nothing of the text's meaning, so the threshold is low."""
    target = victim(build_model(num_labels=3, seed=1))
    which = attack("paraphrase", paraphraser=paraphraser(kind), min_similarity=0.4)
    records = attack_dataset(which, target, examples(target, 12), progress=False)
    assert {record.status for record in records} >= {"succeeded", "skipped"}
    assert all(record.queries <= 21 for record in records)


def test_the_best_of_the_similar_ones_is_taken() -> None:
    target = victim(build_model(num_labels=3, seed=1))
    shown, least = examples(target, 30), 0.9
    writer = TableParaphraser()
    records = attack_dataset(
        attack("paraphrase", paraphraser=writer, min_similarity=least), target, shown, progress=False
    )
    statuses = set()
    for record, example in zip(records, shown, strict=True):
        statuses.add(record.status)
        if record.status == "skipped":
            assert record.queries == 1
            continue
        text = Text(example.texts)
        (found,) = writer.paraphrase([Wanted(example.texts[0], 20, 0)])
        near = [one for one in found if similarity(text, Text((one,))) >= least]
        assert record.queries == 1 + len(near) and record.num_candidates == len(near)
        sure = [probabilities_of(target, (one,)) for one in near]
        wrong = any(int(row.argmax()) != example.label for row in sure)
        assert (record.status == "succeeded") == wrong
        if not near:
            assert record.stop == "no_candidates" and record.perturbed == record.original
            continue
        margins = [np.log(row[example.label]) - np.log(np.delete(row, example.label).max()) for row in sure]
        assert margins[near.index(record.perturbed[0])] == pytest.approx(min(margins), abs=1e-4)
    assert statuses == {"succeeded", "failed", "skipped"}


class RandomTexts(TableParaphraser):
    """The control: as many random texts of the same length."""

    def _written(self, wanted: Wanted) -> list[str]:
        rng = random.Random(f"{wanted.text} {wanted.seed}")
        count = len(wanted.text.split())
        words = [*FILLERS, "good", "bad", "warm", "cold"]
        return list(dict.fromkeys(" ".join(rng.choices(words, k=count)) for _ in range(wanted.draws)))


class Meanings(LetterEncoder):
    """Counts the words of a text, synonyms as one word."""

    def encode(self, sentences: Any) -> Any:
        counts = np.zeros((len(sentences), 64), dtype=np.float32)
        for row, sentence in zip(counts, sentences, strict=True):
            for word in sentence.lower().replace(".", " ").split():
                root = min([key for key, synonyms in SYNONYMS.items() if word in synonyms] or [word])
                row[zlib.crc32(root.encode()) % 64] += 1
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def test_it_finds_more_than_as_many_random_texts() -> None:
    shown, found = rows(60, seed=3), {}
    for writer in (TableParaphraser(), RandomTexts()):
        which = ATTACKS["paraphrase"](Resources(encoder=Meanings(), paraphraser=writer))
        records = attack_dataset(which, ToyVictim(), shown, progress=False)
        found[type(writer)] = sum(record.status == "succeeded" for record in records)
    assert found[TableParaphraser] > 2 * found[RandomTexts]


def test_labels_are_enough_to_succeed() -> None:
    which, shown = attack("paraphrase"), rows(30, seed=3)
    by_score = attack_dataset(which, ToyVictim(), shown, progress=False)
    alone = attack_dataset(which, by_label(), shown, progress=False)
    assert "succeeded" in {record.status for record in alone}
    for one, other in zip(by_score, alone, strict=True):
        assert (one.status, one.queries) == (other.status, other.queries)


def test_each_open_column_is_written_on_its_own() -> None:
    target = victim(build_model(num_labels=3))
    texts = [(row["sentence1"], row["sentence2"]) for row in pair_rows(8)]
    shown = [Example(i, one, int(target.probabilities([one])[0].argmax())) for i, one in enumerate(texts)]
    writer = TableParaphraser()
    which = attack("paraphrase", paraphraser=writer, min_similarity=0.0, frozen_columns=frozenset({0}))
    frozen = attack_dataset(which, target, shown, progress=False)
    assert writer.asked == len(shown) and all(record.perturbed[0] == record.original[0] for record in frozen)
    both = attack_dataset(attack("paraphrase", min_similarity=0.0), target, shown, progress=False)
    for record in both:
        assert record.perturbed[0] == record.original[0] or record.perturbed[1] == record.original[1]
    assert max(record.queries for record in both) > 21


def test_what_is_missing_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="the paraphrase attack needs a language model, got none; pass --paraphraser"):
        ATTACKS["paraphrase"](Resources(encoder=LetterEncoder()))
    with pytest.raises(ValueError, match="needs a sentence encoder, got none; pass --sentence_encoder"):
        ATTACKS["paraphrase"](Resources(paraphraser=TableParaphraser()))
    described = attack("paraphrase").describe()
    assert described["similarity"]["minimum"] == 0.840845057 and described["similarity"]["encoder"] == "letters"
    seeded = dataclasses.replace(attack("paraphrase"), seed=3)
    assert attack("paraphrase", seed=3).fingerprint() != attack("paraphrase").fingerprint() != seeded.fingerprint()
