"""TextAttack's greedy recipes on one example, one text at a time, from its rules alone.

Nothing here is shared with the engine but the model and the gradient of ``attack_parts``: words are split, swapped,
drawn, filtered, ranked and counted anew.
"""

from __future__ import annotations

import math
import random
import string
from typing import Any, NamedTuple

import numpy as np
import torch
from attack_parts import TAGS, THESAURUS, saliency_of

from hf_robust.attacks import Example, Resources, Victim
from hf_robust.words import STOP_WORDS, TEXTATTACK_WORDS, Text

RECIPES = ("textfooler", "pwws", "deepwordbug", "textbugger", "a2t", "input_reduction")
COARSE = {"JJ": "ADJ", "NN": "NOUN", "VBD": "VERB", "VBZ": "VERB", "RB": "ADV", "CC": "CONJ"}
EDGE = "'-_*@"
GLYPHS = dict(zip("-9876543210'abcdefghijklmnopqrstuvwxyz", "˗৭Ȣ𝟕бƼᏎƷᒿlO`ɑЬϲԁе𝚏ɡհіϳ𝒌ⅼｍոорԛⲅѕ𝚝սѵԝ×уᴢ", strict=True))


def split(text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end."""
    spans, start = [], 0
    for word in "".join(one if one.isalnum() or one in "_˗`×'-*@" else " " for one in text).split():
        start = text.index(word, start)
        core = word.strip(EDGE)
        if core:
            at = text.index(core, start)
            spans.append((at, at + len(core)))
        start += len(word)
    return spans


def words_of(text: str) -> list[str]:
    return [text[start:end] for start, end in split(text)]


def put(text: str, index: int, new: str) -> str:
    """The text with word ``index`` replaced, or with "" deleted together with one space."""
    start, end = split(text)[index]
    before, after = text[:start], text[end:]
    if not new and after:
        if index == 0:
            after = after[1:] if after[0] == " " else after
        elif before.endswith(" "):
            before = before[:-1]
    return before + new + after


def cased(new: str, like: str) -> str:
    if like == like.lower() and like != like.upper():
        return new.lower()
    if like == like.upper() and like != like.lower() and len(like) > 1:
        return new.upper()
    return new.capitalize() if like == like.capitalize() and len(like) > 1 else new


def edits(first: str, second: str) -> int:
    """Levenshtein's distance, row by row."""
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (one != other))
    return row[-1]


class State(NamedTuple):
    """A text on its way: columns joined by a line break, numbers of the changed words, and what was done."""

    text: str
    modified: frozenset[int] = frozenset()
    steps: tuple[tuple[int, str, str], ...] = ()

    def swap(self, index: int, new: str) -> State:
        made = len(words_of(new))
        moved = {old + (made - 1) * (old > index) for old in self.modified if old != index}
        moved |= set(range(index, index + made))
        return State(
            put(self.text, index, new), frozenset(moved), (*self.steps, (index, words_of(self.text)[index], new))
        )


class Oracle:
    """One recipe on one example."""

    def __init__(self, name: str, parts: Resources, target: Victim, example: Example) -> None:
        self.name, self.parts, self.target, self.example = name, parts, target, example
        self.numpy = np.random.RandomState(parts.seed + example.idx)
        self.python = random.Random(parts.seed + example.idx)
        self.clean = State("\n".join(example.texts))
        self.dtype = target.probabilities([example.texts]).dtype
        self.known: dict[tuple[int, ...], np.ndarray] = {}
        self.queries, self.truncated, self.any = 0, False, False

    # What the model says.

    def probabilities(self, text: str) -> np.ndarray:
        """One text at a time, texts of equal tokens once."""
        columns = [[column] for column in text.split("\n")]
        encoding = self.target.tokenizer(
            *columns, return_tensors="pt", truncation=True, max_length=self.target.max_length
        )
        key = tuple(encoding["input_ids"][0].tolist())
        if key not in self.known:
            with torch.no_grad():
                logits = self.target.model.eval()(**encoding).logits[0]
            self.known[key] = logits.double().softmax(-1).numpy().astype(self.dtype)
        return self.known[key]

    def score(self, text: str) -> Any:
        found, label = self.probabilities(text), self.example.label
        if self.name != "input_reduction":
            return 1 - found[label]
        total = len(words_of(self.clean.text))
        if found.argmax() != label or not total:
            return self.dtype.type(0)
        return min((total - len(words_of(text))) / total + found[label] / total, self.dtype.type(1))

    def ask(self, texts: list[str]) -> np.ndarray:
        budget = self.parts.query_budget
        if budget is not None and self.queries + len(texts) > budget:
            texts, self.truncated = texts[: budget - self.queries], True
        self.queries += len(texts)
        return np.array([self.score(text) for text in texts])

    @property
    def budget_ended(self) -> bool:
        return self.parts.query_budget is not None and self.queries >= self.parts.query_budget

    # What may be indices.

    def open_words(self, state: State, indices: set[int]) -> set[int]:
        words = words_of(state.text)
        stop = STOP_WORDS if self.name == "textfooler" else self.parts.stop_words
        if self.name == "input_reduction":
            stop = frozenset()  # the constraint is on swaps, and does not ask about deletions
        found = indices & (set(range(len(words))) - state.modified)
        found = found & {index for index, word in enumerate(words) if word not in stop}
        if self.parts.frozen_columns:
            columns = [state.text[:start].count("\n") for start, _ in split(state.text)]
            found = found & {index for index, column in enumerate(columns) if column not in self.parts.frozen_columns}
        if self.name == "a2t":
            limit = max(math.ceil(len(words) * 0.1), 4)
            found = found & (set() if len(state.modified) >= limit else set(range(len(words))))
        return found

    def nearest(self, word: str, count: int) -> list[str]:
        return [cased(new, word) for new in self.parts.synonyms(word.lower())[:count]]

    def misspelt(self, word: str, inner: int) -> list[str]:
        """DeepWordBug's four draws (``inner`` 0), or TextBugger's three and its look-alikes (``inner`` 1)."""
        size, draw, found = len(word), self.numpy.randint, []

        def drop() -> None:
            if size - 2 * inner > 0:
                at = draw(inner, size - inner)
                found.append(word[:at] + word[at + 1 :])

        def swap() -> None:
            if size - 1 - 2 * inner > 0:
                at = draw(inner, size - 1 - inner)
                found.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])

        def add(letters: str) -> None:
            if size - 2 * inner > 0:
                at = draw(inner, size - inner)
                found.append(word[:at] + self.python.choice(letters) + word[at:])

        if inner:
            if size > 1:
                add(" ")
                drop()
                swap()
            return found + [word[:at] + GLYPHS[one] + word[at + 1 :] for at, one in enumerate(word) if one in GLYPHS]
        if size > 1:
            swap()
            at = draw(0, size)
            found.append(word[:at] + self.python.choice(string.ascii_letters) + word[at + 1 :])
            drop()
            add(string.ascii_letters)
        return found

    def substitutes(self, words: list[str], word: str) -> list[str]:
        if self.name == "input_reduction":
            return [""] if len(words) > 1 else []
        if self.name == "pwws":
            return [new for new in set(THESAURUS.get(word.lower(), [])) if "_" not in new and " " not in new]
        if self.name == "deepwordbug":
            return list(dict.fromkeys(self.misspelt(word, 0)))
        if self.name == "textbugger":
            return list(dict.fromkeys(self.misspelt(word, 1) + self.nearest(word, 5)))
        return self.nearest(word, 50 if self.name == "textfooler" else 20)

    def same_tag(self, old: str, new: str) -> bool:
        if self.parts.tagger is None or self.name not in ("textfooler", "a2t"):
            return True
        before, after = (COARSE[TAGS.get(word.lower(), "NN")] for word in (old, new))
        return before == after or (self.name == "textfooler" and {before, after} == {"NOUN", "VERB"})

    def neighbours(self, state: State, indices: set[int]) -> list[State]:
        found = []
        for index in self.open_words(state, indices):
            words = words_of(state.text)
            for new in self.substitutes(words, words[index]):
                if new != words[index] and self.same_tag(words_of(self.clean.text)[index], new):
                    found.append(state.swap(index, new))
        if self.name == "deepwordbug":
            # Each step is at most two edits, so only many of them can be too many.
            found = [one for one in found if len(one.steps) <= 15 or edits(self.clean.text, one.text) <= 30]
        self.any |= bool(found)
        return sorted(found, key=lambda one: one.text)

    # The search.

    def seen_by_gradient(self, positions: list[int]) -> str:
        """A single text is cut behind its last open word."""
        text = self.clean.text
        return text if "\n" in text or not positions else text[: split(text)[max(positions)][1]]

    def order(self) -> list[int]:
        positions = list(self.open_words(self.clean, set(range(len(words_of(self.clean.text))))))
        if self.name == "a2t":
            saliency = saliency_of(
                self.target, Text(tuple(self.seen_by_gradient(positions).split("\n")), TEXTATTACK_WORDS)
            )
            positions.sort()
            importance = np.array([saliency[index] for index in positions])
        elif self.name in ("deepwordbug", "pwws"):
            importance = self.ask([put(self.clean.text, index, "[UNK]") for index in positions])
        else:
            importance = self.ask([put(self.clean.text, index, "") for index in positions])
        if self.name == "pwws":
            weights = torch.softmax(torch.tensor(importance, dtype=torch.float32), 0).numpy()
            best = []
            for index in positions[: len(weights)]:
                scores = (
                    [] if self.budget_ended else self.ask([one.text for one in self.neighbours(self.clean, {index})])
                )
                best.append(max(scores) if len(scores) else 0.0)
            importance = weights * np.array(best)
        return [positions[place] for place in (-importance).argsort()]

    def run(self) -> dict[str, Any]:
        state, (score,) = self.clean, self.ask([self.clean.text])
        if self.probabilities(state.text).argmax() != self.example.label:
            return self.result("skipped", "misclassified", state)
        stop = "exhausted"
        for index in self.order():
            if self.budget_ended:
                self.truncated = True
                break
            found = self.neighbours(state, {index})
            scores = self.ask([one.text for one in found])
            if not found or max(scores) <= score:
                continue
            place = int(scores.argmax())
            state, score = found[place], scores[place]
            if self.name != "input_reduction" and self.probabilities(state.text).argmax() != self.example.label:
                stop = "success"
                break
        if stop == "exhausted":
            self.neighbours(self.clean, set(range(len(words_of(self.clean.text)))))
            stop = "no_candidates" if not self.any else "budget" if self.truncated else "exhausted"
        return self.result(
            "succeeded" if stop == "success" or self.name == "input_reduction" else "failed", stop, state
        )

    def result(self, status: str, stop: str, state: State) -> dict[str, Any]:
        steps = state.steps if any(len(words_of(new)) != 1 for _, _, new in state.steps) else sorted(state.steps)
        return {
            "idx": self.example.idx,
            "status": status,
            "stop": stop,
            "perturbed": state.text.split("\n"),
            "queries": self.queries,
            "changed": [list(step) for step in steps],
        }
