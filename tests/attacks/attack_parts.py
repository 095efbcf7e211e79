"""What the attack tests share: texts, tables, a tagger, and the searches written out one text at a time."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest
import torch
from tiny import build_model, build_tokenizer, table
from transformers import AutoConfig, AutoModelForMaskedLM, set_seed

from hf_robust.attacks import ATTACKS, Attack, Example, MaskedLM, Resources, Victim
from hf_robust.attacks.engine.plans import make_plan
from hf_robust.lexicons import NameLists
from hf_robust.words import Text

SYNONYMS = {
    "good": ["fine", "great", "splendid", "warm"],
    "bad": ["awful", "dreadful", "poor"],
    "film": ["movie", "picture", "story"],
    "plot": ["story", "ending"],
    "warm": ["tender", "good"],
    "cold": ["chilly", "dreadful"],
    "music": ["actor", "the music", "music"],
    "was": ["is"],
}
ANTONYMS = {
    "good": ["bad", "awful", "poor"],
    "bad": ["good", "great"],
    "fine": ["bad"],
    "great": ["awful"],
    "awful": ["great", "fine"],
    "warm": ["cold", "chilly"],
    "cold": ["warm", "tender"],
    "actor": ["music"],
}
TAGS = {
    **dict.fromkeys(["good", "bad", "fine", "great", "awful", "splendid", "warm", "cold", "poor", "tender"], "JJ"),
    **dict.fromkeys(["film", "movie", "picture", "plot", "story", "ending", "music", "actor"], "NN"),
    "was": "VBD",
    "is": "VBZ",
    "chilly": "RB",
    "and": "CC",
    "very": "RB",
}
THESAURUS = {
    "good": ["good", "fine", "upper_class", "great", "fine", "GOOD"],
    "bad": ["bad", "awful", "poor", "Bad"],
    "film": ["movie", "picture", "moving_picture", "film"],
    "plot": ["story", "secret plan", "ending"],
    "warm": ["tender"],
    "cold": ["chilly", "cold"],
    "was": ["is", "be"],
    "very": ["really", "rattling"],
}
NAMES = {"first": ["Ann", "Bo", "Film"], "last": ["Smith", "Good Story"]}
PLACES = {"country": ["France", "Plot"], "city": ["New York", "Paris", "Music"]}
COMMON = frozenset({"the", "and", "with", "a", "not"})
NAIVE = ("synonym", "antonym", "negation")
"""The attacks that ``Naive`` writes out; those of ``textattack_oracle.RECIPES`` have an oracle of their own."""
SEARCHED = (
    *NAIVE,
    *("textfooler", "pwws", "deepwordbug", "textbugger", "a2t", "input_reduction", "checklist", "hotflip"),
)
"""The recipes that the tests of the engine run whole; those of populations and language models take longer, and run
with a few queries in ``test_attack_properties``."""
LEMMAS = {"was": "be", "is": "be", "went": "go"}
WORDS = ["good", "bad", "film", "plot", "warm", "cold", "music", "was", "and", "very", "with", "the", "actor", "not"]


class TableTagger:
    """Penn tags by word, whatever stands around it; counts its calls."""

    name = "table"
    calls = 0

    def __call__(self, words):
        self.calls += 1
        return [TAGS.get(word.lower(), "NN") for word in words]


class FakeThesaurus:
    """What pwws asks of WordNet, from a table."""

    calls = 0

    def lemmas(self, word):
        self.calls += 1
        return THESAURUS.get(word.lower(), [])

    def describe(self):
        return {"name": "fake", "size": len(THESAURUS)}

    def fingerprint(self):
        return "fake"


def lemma(word: str) -> str:
    return LEMMAS.get(word, word)


def resources(**changes: Any) -> Resources:
    synonyms, antonyms = table(SYNONYMS, "synonym"), table(ANTONYMS, "antonym")
    synonyms.keeps_part_of_speech = antonyms.keeps_part_of_speech = False
    parts = {"synonyms": synonyms, "antonyms": antonyms, "tagger": TableTagger(), "lemmatizer": lemma}
    parts |= {"thesaurus": FakeThesaurus(), "stop_words": COMMON}
    parts |= {"names": NameLists(NAMES), "locations": NameLists(PLACES)}
    return Resources(**{**parts, **changes})


class LetterEncoder:
    """Counts letters: texts of the same letters are equal."""

    name = "letters"

    def __init__(self):
        self.asked = []

    def encode(self, sentences):
        self.asked.append(list(sentences))
        counts = np.array(
            [[one.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz "] for one in sentences]
        )
        return (counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)).astype(np.float32)

    def fingerprint(self):
        return "letters"


class TableParaphraser:
    """Shuffles the words of a text and swaps some for synonyms of a table; counts the texts that it was asked for."""

    name = "table"
    asked = 0

    def paraphrase(self, wanted):
        self.asked += len(wanted)
        return [self._written(each) for each in wanted]

    def _written(self, wanted):
        rng, found = random.Random(f"{wanted.text} {wanted.seed}"), {}
        for _ in range(wanted.draws):
            words = wanted.text.split()
            rng.shuffle(words)
            found[" ".join(rng.choice([word, *SYNONYMS.get(word, [])]) for word in words)] = None
        return [text for text in found if text != wanted.text]

    def describe(self):
        return {"name": self.name}

    def fingerprint(self):
        return self.name


def tools(name: str) -> dict[str, Any]:
    """The models that a recipe needs beside the usual resources."""
    if name in ("bae", "bert_attack", "clare"):
        return {"masked_lm": masked_lm()}
    if name == "paraphrase":
        return {"encoder": LetterEncoder(), "paraphraser": TableParaphraser()}
    if name == "chinese":
        return {"similar_characters": table({"a": ["e", "o"], "o": ["u"], "i": ["l"], "e": ["a"]}, "synonym")}
    return {"encoder": LetterEncoder()} if name == "hlbb" else {}


def attack(name: str, **changes: Any) -> Attack:
    return ATTACKS[name](resources(**{**tools(name), **changes}))


def victim(model: Any = None, **options: Any) -> Victim:
    return Victim(build_model() if model is None else model, build_tokenizer(), **options)


def masked_lm(kind: str = "bert", extra: dict[str, Any] | None = None, **options: Any) -> MaskedLM:
    """A random two-layer masked language model of the tiny tokenizer's vocabulary."""
    tokenizer = build_tokenizer()
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        max_position_embeddings=80,
        pad_token_id=0,
        initializer_range=0.5,
        **sizes,
        **(extra or {}),
    )
    set_seed(1)
    return MaskedLM(AutoModelForMaskedLM.from_config(config), tokenizer, "tiny", **options)


def close(first: Any, second: Any) -> bool:
    """Whether two records are equal but for the noise of batching in their scores."""
    inexact = {"original_score", "perturbed_score"}
    for name, value in first.to_json().items():
        other = getattr(second, name)
        assert value == (pytest.approx(other, abs=1e-5) if name in inexact else other), name
    return True


def all_close(first: Any, second: Any) -> bool:
    """``close`` for two lists."""
    return len(first) == len(second) and all(close(*pair) for pair in zip(first, second, strict=True))


def texts(count: int, columns: int = 1, seed: int = 0) -> list[tuple[str, ...]]:
    rng = random.Random(seed)
    cases = [str.lower, str.capitalize, str.upper]
    return [
        tuple(
            " ".join(rng.choice(cases)(word) if rng.random() < 0.2 else word for word in rng.choices(WORDS, k=k)) + "."
            for k in (rng.randint(1, 9) for _ in range(columns))
        )
        for _ in range(count)
    ]


def examples(target: Victim, count: int = 40, columns: int = 1, seed: int = 0) -> list[Example]:
    """Examples that the model classifies correctly, but for every fifth."""
    found = texts(count, columns, seed)
    predictions = target.probabilities(found).argmax(-1)
    classes = target.model.config.num_labels
    return [
        Example(3 * index, one, int(label + (index % 5 == 4)) % classes)
        for index, (one, label) in enumerate(zip(found, predictions, strict=True))
    ]


def logits_of(target: Victim, columns: tuple[str, ...]) -> torch.Tensor:
    """One text through the model, nothing shared with the victim's own code."""
    # As lists: given alone, a pair with an empty second text would be encoded as one text.
    pair = [[column] for column in columns]
    encoding = target.tokenizer(*pair, return_tensors="pt", truncation=True, max_length=target.max_length)
    with torch.no_grad():
        return target.model.eval()(**encoding).logits[0].double()


def probabilities_of(target: Victim, columns: tuple[str, ...]) -> np.ndarray:
    """Of one text, in double precision."""
    return logits_of(target, columns).softmax(-1).numpy()


def margin_of(target: Victim, columns: tuple[str, ...], label: int) -> float:
    """The label's logit less the highest other one."""
    logits = logits_of(target, columns).tolist()
    return logits.pop(label) - max(logits)


def saliency_of(target: Victim, text: Text, margin: bool = False) -> list[float]:
    """Gradient importance by ``inputs_embeds``, one text at a time (right padding, so the model may not differ)."""
    pair, cut = [[column] for column in text.columns], {"truncation": True, "max_length": target.max_length}
    encoding = target.tokenizer(*pair, return_tensors="pt", return_offsets_mapping=True, **cut)
    offsets, columns = encoding.pop("offset_mapping")[0].tolist(), encoding.sequence_ids(0)
    embeddings = target.model.eval().get_input_embeddings()(encoding.pop("input_ids")).detach().requires_grad_()
    logits = target.model(inputs_embeds=embeddings, **encoding).logits[0]
    first, second = logits.topk(2).values
    (second - first if margin else -logits.log_softmax(-1)[logits.argmax()]).backward()
    target.model.zero_grad()
    found = []
    for word in text.words:
        places = [
            place
            for place, ((start, end), column) in enumerate(zip(offsets, columns, strict=True))
            if column == word.column and start < word.end and end > word.start
        ]
        found.append(float(embeddings.grad[0, places].mean(0).abs().sum()) if places else 0.0)
    return found


class Budget(Exception):
    pass


class Naive:
    """An attack on one example, one text at a time: counts, truncates and compares as attack_semantics says."""

    def __init__(self, which: Attack, target: Victim, example: Example) -> None:
        self.which, self.target, self.example = which, target, example
        plan = make_plan(which, example.texts)
        self.text, self.swaps = plan.text, dict(plan.swaps)
        self.queries, self.remains = 0, False
        self.clean_margin = margin_of(target, example.texts, example.label)

    def score(self, columns):
        if self.which.query_budget is not None and self.queries >= self.which.query_budget:
            raise Budget
        self.queries += 1
        p = probabilities_of(self.target, columns)
        label, stays = self.example.label, bool(p.argmax() == self.example.label)
        keeps, sure = self.which.goal.keeps_prediction, p[label]
        if self.which.scores == "margin":
            sure = margin_of(self.target, columns, label) / self.clean_margin
        return (sure * stays if keeps else 1 - sure), stays == keeps, p

    def run(self) -> dict[str, Any]:
        start, _, clean = self.score(self.example.texts)
        self.current, self.changed = self.example.texts, {}
        stop = None
        if self.example.label in self.which.skip_labels:
            stop = "skip_label"
        elif clean.argmax() != self.example.label:
            stop = "misclassified"
        elif not self.swaps:
            stop = "no_candidates"
        else:
            goal = self.which.goal
            self.best = 0.0 if getattr(goal, "success", "") == "remains" else start
            try:
                stop = self.once() if self.which.ranking is None else self.greedy()
            except Budget:
                stop = "budget"
        status = {"success": "succeeded", "skip_label": "skipped", "misclassified": "skipped"}.get(stop, "failed")
        return {
            "idx": self.example.idx,
            "status": status,
            "stop": stop,
            "perturbed": list(self.current),
            "queries": self.queries,
            "remains": self.remains if self.which.goal.keeps_prediction else None,
            "changed": [[index, self.text.tokens[index], new] for index, new in sorted(self.changed.items())],
        }

    def looked_at(self, candidates):
        """Scores of as many candidates as the budget allows."""
        found = []
        try:
            for columns in candidates:
                found.append(self.score(columns))
        except Budget:
            pass
        self.remains |= any(p.argmax() == self.example.label for _, _, p in found)
        return found

    def greedy(self) -> str:
        positions = sorted(self.swaps)
        if self.which.ranking.__name__ == "by_deletion":
            importance = []
            for index in positions:
                importance.append(self.score(self.text.delete(index).columns)[0])
        else:
            saliency = saliency_of(self.target, self.text, self.which.scores == "margin")
            importance = [saliency[index] for index in positions]
        for _, index in sorted(zip([-value for value in importance], positions, strict=True)):
            if self.which.query_budget is not None and self.queries >= self.which.query_budget:
                raise Budget
            makes = {new: self.text.replace({**self.changed, index: new}) for new in self.swaps[index]}
            order = sorted(makes, key=lambda new: "\n".join(makes[new].columns))
            found = self.looked_at([makes[new].columns for new in order])
            place = max(range(len(found)), key=lambda i: found[i][0])
            value, reached, _ = found[place]
            if value > self.best + 1e-7:  # single texts carry other noise than batches: equal tokens are not a rise
                self.best, self.current = value, makes[order[place]].columns
                self.changed[index] = order[place]
                if reached:
                    return "success"
                if len(self.changed) == self.which.max_changed:
                    return "exhausted"
            if len(found) < len(order):
                raise Budget
        return "exhausted"

    def once(self) -> str:
        makes = {}
        for index, news in self.swaps.items():
            for new in news:
                makes[index, new] = self.text.replace({index: new}) if new else self.text.delete(index)
        order = sorted(makes, key=lambda key: (makes[key].joined, key))
        found = self.looked_at([makes[key].columns for key in order])
        if not found:
            raise Budget
        place = max(range(len(found)), key=lambda i: found[i][0])
        index, new = order[place]
        self.current, self.changed = makes[order[place]].columns, {index: new}
        if found[place][1]:
            return "success"
        return "exhausted" if len(found) == len(order) else "budget"


def all_texts(which: Attack, example: Example) -> list[tuple[str, ...]]:
    """Every text the attack may make: each open word kept or swapped, at most ``max_changed`` of them."""
    plan = make_plan(which, example.texts)
    text, swaps = plan.text, list(plan.swaps.items())
    most = len(swaps) if which.max_changed is None else which.max_changed
    found = []
    for count in range(1, most + 1):
        for chosen in itertools.combinations(swaps, count):
            for news in itertools.product(*(new for _, new in chosen)):
                pairs = {index: new for (index, _), new in zip(chosen, news, strict=True)}
                (index, new), *more = pairs.items()
                found.append((text.delete(index) if not new and not more else text.replace(pairs)).columns)
    return found
