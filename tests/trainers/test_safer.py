"""SAFER: what is substituted, and when nothing is."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny import build_tokenizer, build_trainer, table, weights

from hf_robust.data import TextDataset


def test_both_sentences_of_a_pair_are_substituted(tmp_path: Path) -> None:
    rows = [{"sentence1": "good", "sentence2": "good", "label": 0} for _ in range(8)]
    tokenizer = build_tokenizer()
    data = TextDataset(rows, ("sentence1", "sentence2"), tokenizer, max_length=16)
    trainer = build_trainer("safer", tmp_path, data=data, synonyms=table({"good": ["fine"]}, "synonym"))
    drawn = {tokenizer.decode(trainer.train_dataset[i]["substituted_input_ids"]) for i in range(8)}
    trainer.train_dataset.set_epoch(1)
    drawn |= {tokenizer.decode(trainer.train_dataset[i]["substituted_input_ids"]) for i in range(8)}
    assert drawn == {f"[CLS] {a} [SEP] {b} [SEP]" for a in ("good", "fine") for b in ("good", "fine")}


def test_a_table_that_changes_no_token_gives_the_weights_of_normal(tmp_path: Path) -> None:
    """The tokenizer strips accents. SAFER has no arguments that do so, and no ``zero_strength``."""
    accents = table({"film": ["fílm"], "good": ["gòod"]}, "synonym")
    normal, safer = (build_trainer(name, tmp_path / name, synonyms=accents) for name in ("normal", "safer"))
    normal.train()
    safer.train()
    after = weights(safer)
    assert all(torch.equal(value, after[name]) for name, value in weights(normal).items())
