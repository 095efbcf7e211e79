"""Write ``expected.json``: what TextAttack itself does with the texts and tables here.

    pip install --no-deps -r requirements-textattack.txt
    PYTHONPATH=.:tests:tests/attacks python tests/attacks/identity/record.py

The recipes are TextAttack's lists of parts, made of its own transformations, constraints, goals and searches. Where
these read a resource (vectors, WordNet, a tagger), they read the tables here instead; the sentence encoders and the
bound on word vectors are left out. The model answers one text at a time, texts of equal tokens once: no noise of
batching decides anything.
"""

from __future__ import annotations

import json
import random
from collections import OrderedDict
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from identity.setting import EXPECTED, RECIPES, Tags, examples, probe, resources_of, victim

from hf_robust.attacks.textattack.importing import import_textattack
from hf_robust.words import STOP_WORDS, coarse_tag

textattack = import_textattack()

from textattack import transformations as swaps  # noqa: E402
from textattack.constraints.grammaticality import PartOfSpeech  # noqa: E402
from textattack.constraints.overlap import LevenshteinEditDistance  # noqa: E402
from textattack.constraints.pre_transformation import (  # noqa: E402
    MaxModificationRate,
    RepeatModification,
    StopwordModification,
)
from textattack.goal_functions import InputReduction, UntargetedClassification  # noqa: E402
from textattack.models.wrappers import HuggingFaceModelWrapper  # noqa: E402
from textattack.search_methods import GreedySearch, GreedyWordSwapWIR  # noqa: E402
from textattack.shared import AbstractWordEmbedding  # noqa: E402
from textattack.transformations.word_swaps import word_swap_wordnet  # noqa: E402

WORDS = ["good", "bad", "film", "plot", "warm", "cold", "music", "was", "and", "very", "with", "the", "actor", "not"]
TABLES: dict[str, Any] = {
    "seed": 7,
    "synonyms": {
        "good": ["fine", "great", "splendid", "warm"],
        "bad": ["awful", "dreadful", "poor"],
        "film": ["movie", "Movie", "picture", "was", "story"],
        "plot": ["story", "ending"],
        "warm": ["tender", "good"],
        "cold": ["chilly", "dreadful", "Poor"],
        "music": ["actor", "music", "is"],
        "actor": ["music", "film"],
        "was": ["is"],
    },
    "thesaurus": {
        "good": ["good", "fine", "upper_class", "great", "fine", "GOOD"],
        "bad": ["bad", "awful", "poor", "Bad"],
        "film": ["movie", "picture", "moving_picture", "film"],
        "plot": ["story", "secret plan", "ending"],
        "warm": ["tender"],
        "cold": ["chilly", "cold"],
        "was": ["is", "it"],
        "very": ["splendid", "a"],
    },
    "stop_words": ["a", "and", "not", "the", "with"],
    "tags": {
        **dict.fromkeys(["good", "bad", "fine", "great", "awful", "splendid", "dreadful", "poor"], "JJ"),
        **dict.fromkeys(["warm", "cold", "tender"], "JJ"),
        **{"was": "VBD", "is": "VBZ", "chilly": "RB", "very": "RB", "and": "CC"},
    },
}
EVERYDAY = ["I'm", "it is", "it's", "12", "7", "2", "they will not", "good", "bad", "won't", "who's", "film,", "the"]


class Table(AbstractWordEmbedding):
    """Neighbours of a word by table, in its order."""

    def __init__(self, lexicon: Any) -> None:
        self.lexicon = lexicon
        self.words = list(
            dict.fromkeys([*lexicon.words(), *(new for word in lexicon.words() for new in lexicon(word))])
        )

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError

    def get_mse_dist(self, a: int, b: int) -> float:
        raise NotImplementedError

    get_cos_sim = get_mse_dist

    def word2index(self, word: str) -> int:
        return {other: index for index, other in enumerate(self.words)}[word]

    def index2word(self, index: int) -> str:
        return self.words[index]

    def nearest_neighbours(self, index: int, topn: int) -> list[int]:
        return [self.word2index(word) for word in self.lexicon(self.words[index])[:topn]]


class WordNet(swaps.WordSwapWordNet):
    def __init__(self, senses: Any) -> None:
        self.language = "eng"
        sense = {word: SimpleNamespace(lemma_names=lambda lang, found=found: found) for word, found in senses.items()}
        word_swap_wordnet.wordnet = SimpleNamespace(
            synsets=lambda word, lang: [sense[word.lower()]] if word.lower() in sense else []
        )


class TableTags(PartOfSpeech):
    def __init__(self, tagger: Tags, verb_noun_swap: bool) -> None:
        super().__init__(allow_verb_noun_swap=verb_noun_swap)
        self.tagger = tagger

    def _get_pos(self, before_ctx: list[str], word: str, after_ctx: list[str]) -> str:
        return coarse_tag(self.tagger([word])[0])


class OneByOne(HuggingFaceModelWrapper):
    """TextAttack's wrapper and its gradients, but without padding."""

    def __call__(self, text_input_list: list[Any]) -> torch.Tensor:
        rows, known = [], vars(self).setdefault("known", {})
        for one in text_input_list:
            columns = [one] if isinstance(one, str) else list(one)
            encoding = self.tokenizer(*[[column] for column in columns], truncation=True, max_length=64)
            key = tuple(encoding["input_ids"][0])
            if key not in known:
                known[key] = torch.tensor(probe(SimpleNamespace(model=self.model, tokenizer=self.tokenizer), columns))
            rows.append(known[key])
        return torch.stack(rows)


def build(name: str, stored: dict[str, Any], wrapper: Any) -> Any:
    """TextAttack's recipe of that name."""
    parts = resources_of(stored)
    table = Table(parts.synonyms)
    stop_words = set(STOP_WORDS) if name == "textfooler" else set(stored["stop_words"])
    rules: list[Any] = [RepeatModification(), StopwordModification(stop_words)]
    goal: Any = UntargetedClassification(wrapper)
    inner = {"random_one": True, "skip_first_char": True, "skip_last_char": True}
    if name == "textfooler":
        rules.append(TableTags(parts.tagger, True))
        change, search = swaps.WordSwapEmbedding(50, table), GreedyWordSwapWIR("delete")
    elif name == "pwws":
        change, search = WordNet(stored["thesaurus"]), GreedyWordSwapWIR("weighted-saliency")
    elif name == "deepwordbug":
        rules.append(LevenshteinEditDistance(30))
        edits = ["NeighboringCharacterSwap", "RandomCharacterSubstitution", "RandomCharacterDeletion"]
        edits.append("RandomCharacterInsertion")
        change = swaps.CompositeTransformation([getattr(swaps, f"WordSwap{edit}")() for edit in edits])
        search = GreedyWordSwapWIR("unk")
    elif name == "textbugger":
        change = swaps.CompositeTransformation(
            [
                swaps.WordSwapRandomCharacterInsertion(letters_to_insert=" ", **inner),
                swaps.WordSwapRandomCharacterDeletion(**inner),
                swaps.WordSwapNeighboringCharacterSwap(**inner),
                swaps.WordSwapHomoglyphSwap(),
                swaps.WordSwapEmbedding(5, table),
            ]
        )
        search = GreedyWordSwapWIR("delete")
    elif name == "a2t":
        rules += [TableTags(parts.tagger, False), MaxModificationRate(max_rate=0.1, min_threshold=4)]
        change = swaps.WordSwapEmbedding(20, table)
        search = GreedyWordSwapWIR("gradient", truncate_words_to=64)
    elif name == "input_reduction":
        goal = InputReduction(wrapper, maximizable=True)
        change, search = swaps.WordDeletion(), GreedyWordSwapWIR("delete")
    else:
        rules = [RepeatModification()]
        kinds = [swaps.WordSwapExtend(), swaps.WordSwapContract(), swaps.WordSwapChangeNumber()]
        change, search = swaps.CompositeTransformation(kinds), GreedySearch()
    return textattack.Attack(goal, rules, change, search)


def attacked(attack: Any, example: Any, seed: int) -> list[Any]:
    """Status, queries and final columns of one example."""
    np.random.seed(seed + example.idx)
    random.seed(seed + example.idx)
    names = ["text"] if len(example.texts) == 1 else ["sentence1", "sentence2"]
    result = attack.attack(OrderedDict(zip(names, example.texts, strict=True)), example.label)
    statuses = {"Successful": "succeeded", "Maximized": "succeeded", "Failed": "failed", "Skipped": "skipped"}
    status = statuses[type(result).__name__.removesuffix("AttackResult")]
    text = result.perturbed_result.attacked_text
    return [status, attack.goal_function.num_queries, list(text._text_input.values())]


def texts(count: int, columns: int, words: list[str], rng: random.Random) -> list[list[str]]:
    """Lines of one to ten words, a fifth of them in another case."""
    cases = [str.capitalize, str.upper]
    found = []
    for _ in range(count):
        lines = [rng.choices(words, k=rng.randint(1, 10)) for _ in range(columns)]
        cased = [[rng.choice(cases)(word) if rng.random() < 0.2 else word for word in line] for line in lines]
        found.append([", ".join([" ".join(line[:4]), *line[4:5]]) + " ".join(["", *line[5:]]) + "." for line in cased])
    return found


def main() -> None:
    rng, target = random.Random(1), victim()
    sets = {"single": texts(40, 1, WORDS, rng), "pair": texts(20, 2, WORDS, rng)}
    sets["everyday"] = [[line.replace("I'M", "I'm") for line in one] for one in texts(20, 1, EVERYDAY, rng)]
    stored = dict(TABLES)
    stored["versions"] = {name: version(name) for name in ("textattack", "torch", "transformers", "numpy")}
    stored["probes"] = [[columns, probe(target, columns)] for columns in sets["single"][:3] + sets["pair"][:2]]
    stored["examples"] = {
        name: [
            [3 * place, columns, (int(np.argmax(probe(target, columns))) + (place % 8 == 7)) % 3]
            for place, columns in enumerate(found)
        ]
        for name, found in sets.items()
    }
    wrapper = OneByOne(target.model, target.tokenizer)
    stored["expected"] = {
        name: {
            one: [attacked(build(name, stored, wrapper), row, stored["seed"]) for row in examples(stored, one)]
            for one in chosen
        }
        for name, chosen in RECIPES.items()
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in stored.items()]
    EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
