"""A token classifier as the tagger of the part-of-speech constraint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from attack_parts import resources
from multilingual import LANGUAGES, sentence, tokenizer
from transformers import BertConfig, BertForTokenClassification

from hf_robust.attacks import ATTACKS
from hf_robust.attacks.engine.plans import make_plan
from hf_robust.attacks.languages import in_language
from hf_robust.attacks.models.tagger import ModelTagger, load_tagger
from hf_robust.lexicons import TableLexicon
from hf_robust.words import StopWords, coarse_tag, context_tag, context_tags

LABELS = ["NOUN", "ADJ", "AUX"]


def tagger(tag_of: dict[str, str], labels: list[str] = LABELS) -> ModelTagger:
    """A tagger whose tag depends on a word's first token alone: one layer that adds nothing, embeddings as scores."""
    tokens = tokenizer()
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=12, num_hidden_layers=0, num_attention_heads=2, intermediate_size=4,
        max_position_embeddings=64, num_labels=len(labels), id2label=dict(enumerate(labels)),
    )  # fmt: skip
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.bert.embeddings.parameters():
            if parameter.dim() == 2:
                parameter.zero_()
        model.classifier.weight.copy_(torch.eye(len(labels), 12))
        model.classifier.bias.zero_()
        for word, tag in tag_of.items():
            first = tokens([[word]], is_split_into_words=True, add_special_tokens=False)["input_ids"][0][0]
            model.bert.embeddings.word_embeddings.weight[first, labels.index(tag)] = 1.0
    return ModelTagger(model, tokens, "a tagger")


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch) -> ModelTagger:
    none = StopWords(frozenset(), "none here")
    monkeypatch.setattr("hf_robust.attacks.languages.stop_words_of", lambda language: none)
    return tagger({"Geschichte": "NOUN", "Erzählung": "NOUN", "großartig": "ADJ", "toll": "AUX", "war": "AUX"})


def test_each_word_has_the_tag_of_its_first_token(german: ModelTagger) -> None:
    assert german(["Geschichte", "war", "großartig"]) == ["NOUN", "AUX", "ADJ"]
    assert german.many([["war"], ["Geschichte", "war"]]) == [["AUX"], ["NOUN", "AUX"]]
    assert [coarse_tag(tag) for tag in ("AUX", "PROPN", "SCONJ", "INTJ")] == ["VERB", "NOUN", "CONJ", "X"]


def test_tags_in_context_are_those_of_single_calls(german: ModelTagger) -> None:
    words, candidates = LANGUAGES["de"].words, ["großartig", "toll", "Erzählung"]
    together = context_tags(german, words, 3, candidates)
    assert together == [context_tag(german, words, 3, word) for word in candidates] == ["ADJ", "VERB", "NOUN"]


def test_substitutes_of_another_part_of_speech_are_left_out(german: ModelTagger) -> None:
    lexicon = TableLexicon(LANGUAGES["de"].table)
    attack = in_language(ATTACKS["synonym"](resources(synonyms=lexicon, tagger=german)), "de")
    assert make_plan(attack, (sentence("de"),)).swaps == {1: ("Erzählung",)}
    [described] = [part for part in attack.describe()["constraints"] if part["name"] == "part_of_speech"]
    assert described["tagger"] == german.name != tagger({}).name


def test_a_folder_is_loaded_and_other_models_are_one_sentence(german: ModelTagger, tmp_path: Path) -> None:
    def save(part: Any, name: str) -> str:
        part.save_pretrained(tmp_path / name)
        tokenizer().save_pretrained(tmp_path / name)
        return str(tmp_path / name)

    loaded = load_tagger(save(german.model, "tagger"))
    assert loaded(["Geschichte"]) == ["NOUN"] and loaded.fingerprint() == german.fingerprint()
    with pytest.raises(ValueError, match="has the labels PER, LOC, O, and parts of speech are needed"):
        tagger({}, ["PER", "LOC", "O"])
    with pytest.raises(ValueError, match="lacks weights of a token classifier"):
        load_tagger(save(german.model.bert, "encoder"))
    with pytest.raises(ValueError, match="--pos_tagger nowhere cannot be loaded .* universal tags"):
        load_tagger("nowhere")
