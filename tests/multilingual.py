"""Six languages: a sentence, the words it has, a small table of synonyms, and a wordnet file in the format of wn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import torch
from tokenizers import models
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from benchmarks.architectures.vocabularies import SPECIAL, train_tokenizer


class Sample(NamedTuple):
    """``frame`` is a sentence with a place for an adjective; ``words`` are those of the frame with ``praise[0]``."""

    frame: str
    words: list[str]
    praise: list[str]
    blame: list[str]
    table: dict[str, list[str]]


LANGUAGES: dict[str, Sample] = {
    "de": Sample(
        "Die Geschichte war {}, gibt's nicht!",
        ["Die", "Geschichte", "war", "großartig", "gibt's", "nicht"],
        ["großartig", "spannend"],
        ["langweilig", "öde"],
        {"geschichte": ["Erzählung"], "großartig": ["toll"], "langweilig": ["fad"]},
    ),
    "fr": Sample(
        "L’histoire était {}, qu'il dit aujourd'hui.",
        ["L’", "histoire", "était", "superbe", "qu'", "il", "dit", "aujourd'hui"],
        ["superbe", "charmante"],
        ["triste", "ennuyeuse"],
        {"histoire": ["intrigue"], "superbe": ["magnifique"], "triste": ["morne"], "l'": ["le"]},
    ),
    "hi": Sample(
        "फ़िल्म की कहानी {} थी।",
        ["फ़िल्म", "की", "कहानी", "सुंदर", "थी"],
        ["सुंदर", "बढ़िया"],
        ["ख़राब", "उबाऊ"],
        {"कहानी": ["कथा"], "सुंदर": ["मनोहर"], "उबाऊ": ["नीरस"]},
    ),
    "ar": Sample(
        "كانت القصة {}، في النهاية.",
        ["كانت", "القصة", "رائِعة", "في", "النهاية"],
        ["رائِعة", "ممتازة"],
        ["مملة", "ضعيفة"],
        {"القصة": ["الحكاية"], "رائعة": ["مدهشة"], "مملة": ["كئيبة"]},
    ),
    "zh": Sample(
        "这部电影{}，演员也是。",
        ["这", "部", "电影", "精彩", "演员", "也是"],
        ["精彩", "优秀"],
        ["糟糕", "无聊"],
        {"电影": ["影片"], "精彩": ["出色"], "糟糕": ["恶劣"]},
    ),
    "th": Sample(
        "หนังเรื่องนี้{}มาก",
        ["หนัง", "เรื่อง", "นี้", "สวยงาม", "มาก"],
        ["สวยงาม", "สนุก"],
        ["เศร้า", "แย่"],
        {"หนัง": ["ภาพยนตร์"], "สวยงาม": ["งดงาม"], "เศร้า": ["โศก"]},
    ),
}


def sentence(language: str) -> str:
    """The sentence whose words are ``LANGUAGES[language].words``."""
    return LANGUAGES[language].frame.format(LANGUAGES[language].praise[0])


def rows(language: str, count: int = 16) -> list[dict[str, Any]]:
    """Labelled sentences: odd rows praise."""
    sample = LANGUAGES[language]
    sides = sample.blame, sample.praise
    return [{"sentence": sample.frame.format(sides[row % 2][row // 2 % 2]), "label": row % 2} for row in range(count)]


def write_files(folder: Path, language: str) -> tuple[str, str]:
    """Write rows and table; return both paths."""
    data, table = folder / f"{language}.jsonl", folder / f"{language}.json"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows(language)), encoding="utf-8")
    table.write_text(json.dumps(LANGUAGES[language].table), encoding="utf-8")
    return str(data), str(table)


def tokenizer() -> PreTrainedTokenizerFast:
    """A cased WordPiece tokenizer with a token for each word and character of all six languages.

    Its vocabulary is not trained: pairs of equal frequency would be merged in another order in each process.
    """
    texts = [row["sentence"] for language in LANGUAGES for row in rows(language)]
    texts += [word for sample in LANGUAGES.values() for row in sample.table.items() for word in (row[0], *row[1])]
    tokens = train_tokenizer("cased WordPiece", texts)
    backend = tokens.backend_tokenizer
    split = (backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text)) for text in texts)
    words = {word for pairs in split for word, _ in pairs}
    characters = {character for word in words for character in word}
    pieces = [*SPECIAL, *sorted(words | characters | {f"##{character}" for character in characters})]
    backend.model = models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]")  # noqa: S106
    return tokens


def model(size: int) -> BertForSequenceClassification:
    """A tiny random classifier of two classes."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, num_labels=2,
    )  # fmt: skip
    return BertForSequenceClassification(config).eval()


def save_classifier(folder: Path) -> str:
    """Save the classifier with its tokenizer; return the folder."""
    tokens = tokenizer()
    tokens.save_pretrained(folder)
    model(len(tokens)).save_pretrained(folder)
    return str(folder)


def write_wordnet(
    path: Path, language: str, synsets: Sequence[Sequence[str]], antonyms: Mapping[str, str], name: str = "toy"
) -> None:
    """Write a wordnet for ``wn.add``: each synset's lemmas, and the antonym of some lemmas in each of their senses."""
    lemmas = list(dict.fromkeys(lemma for synset in synsets for lemma in synset))
    senses_in_order = [(lemma, number) for number, synset in enumerate(synsets) for lemma in synset]
    sense = {(lemma, number): f"{name}-s{lemmas.index(lemma)}-{number}" for lemma, number in senses_in_order}
    first = {lemma: identity for (lemma, _), identity in reversed(sense.items())}
    entries = []
    for place, lemma in enumerate(lemmas):
        relation = f'<SenseRelation relType="antonym" target="{first[antonyms[lemma]]}"/>' if lemma in antonyms else ""
        senses = "".join(
            f'<Sense id="{identity}" synset="{name}-{number}">{relation}</Sense>'
            for (of, number), identity in sense.items()
            if of == lemma
        )
        form = f'<Lemma writtenForm={quoteattr(lemma)} partOfSpeech="a"/>'
        entries.append(f'<LexicalEntry id="{name}-e{place}">{form}{senses}</LexicalEntry>')
    entries += [f'<Synset id="{name}-{number}" ili="" partOfSpeech="a"/>' for number in range(len(synsets))]
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE LexicalResource SYSTEM '
    head += '"http://globalwordnet.github.io/schemas/WN-LMF-1.0.dtd">\n'
    about = f'id="{name}" label="Toy" language="{language}" email="a@b.c" license="none" version="1"'
    body = "\n".join(entries)
    path.write_text(
        f'{head}<LexicalResource xmlns:dc="http://purl.org/dc/elements/1.1/">\n<Lexicon {about}>\n{body}\n</Lexicon>'
        "</LexicalResource>",
        encoding="utf-8",
    )
