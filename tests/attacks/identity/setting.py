"""What both sides of the stored identity test are given: the file's texts and tables, and a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tiny import build_model, build_tokenizer

from hf_robust.attacks import Example, Resources, Victim
from hf_robust.lexicons import TableLexicon

EXPECTED = Path(__file__).with_name("expected.json")
RECIPES = {
    **dict.fromkeys(["textfooler", "pwws", "deepwordbug", "textbugger", "a2t", "input_reduction"], ("single", "pair")),
    "checklist": ("everyday",),
}
"""Recipe -> the sets of examples that it attacks."""


def read() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(EXPECTED.read_text(encoding="utf-8"))
    return stored


class Tags:
    """A tagger by table; every word it does not have is a noun."""

    name = "table"

    def __init__(self, tags: dict[str, str]) -> None:
        self.tags = tags

    def __call__(self, words: Any) -> list[str]:
        return [self.tags.get(word.lower(), "NN") for word in words]


class Senses:
    """A thesaurus by table: a word has one sense."""

    def __init__(self, lemmas: dict[str, list[str]]) -> None:
        self.table = lemmas

    def lemmas(self, word: str) -> list[str]:
        return self.table.get(word.lower(), [])

    def describe(self) -> dict[str, Any]:
        return {"name": "table"}

    def fingerprint(self) -> str:
        return "table"


def resources_of(stored: dict[str, Any]) -> Resources:
    return Resources(
        synonyms=TableLexicon(stored["synonyms"]),
        tagger=Tags(stored["tags"]),
        thesaurus=Senses(stored["thesaurus"]),
        stop_words=frozenset(stored["stop_words"]),
        seed=stored["seed"],
    )


def victim() -> Victim:
    return Victim(build_model(num_labels=3), build_tokenizer())


def examples(stored: dict[str, Any], name: str) -> list[Example]:
    return [Example(idx, tuple(columns), label) for idx, columns, label in stored["examples"][name]]


def probe(target: Victim, columns: list[str]) -> list[float]:
    """Logits of one text, straight from the model."""
    encoding = target.tokenizer(*[[column] for column in columns], return_tensors="pt", max_length=64, truncation=True)
    with torch.no_grad():
        logits: list[float] = target.model.eval()(**encoding).logits[0].tolist()
    return logits
