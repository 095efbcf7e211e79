"""``Trial``: mutable state of one attack on one example."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.engine.draft import Draft, Reader
from hf_robust.attacks.engine.requests import Columns, Floats, Score, Scores, Steps
from hf_robust.attacks.parts.candidates import RandomStates, Swap
from hf_robust.attacks.parts.goals import LabelPredictions
from hf_robust.metrics import AttackRecord
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.attacks.engine.plans import Plan

_ITEM = np.dtype(np.float32).itemsize


class Evaluations(NamedTuple):
    """Results of n scored texts.

    Attributes:
        rows: the attack's reading [n, W].
        scores: the goal's scores [n].
        reached: whether the goal is reached [n].
        sequences: keys of the tokens [n].
    """

    rows: Floats
    scores: Floats
    reached: NDArray[np.bool_]
    sequences: Sequence[bytes]

    def best(self) -> int:
        """Index of the first text with the highest score."""
        return int(self.scores.argmax())

    def joined(self, other: Evaluations) -> Evaluations:
        """The results of these texts, followed by those of ``other``."""
        arrays = [np.concatenate(pair) for pair in zip(self[:3], other[:3], strict=True)]
        return Evaluations(arrays[0], arrays[1], arrays[2], [*self.sequences, *other.sequences])

    def row(self, place: int) -> Evaluation:
        """The result of the text at ``place``."""
        return Evaluation(
            self.rows[place], self.sequences[place], float(self.scores[place]), bool(self.reached[place])
        )


class Evaluation(NamedTuple):
    """Result of one scored text: its reading [W], token key and score, and whether it reaches the goal."""

    row: Floats
    sequence: bytes
    score: float
    reached: bool


class Trial:
    """State of one attack on one example; searches and rankings modify it.

    Attributes:
        clean: the draft of the clean text.
        plan: the plan of the clean text.
        reading: how the model's outputs are read; ``multi_label`` says whether the model gives a text several labels.
        current: the draft that the record would hold if the search stopped now.
        evaluation: the result of scoring ``current``.
        score: the goal's score that the next accepted text must exceed.
        queries: number of scored texts, the clean text included.
        saturated: number of queries whose confidence was flat for lack of precision; None if this is not counted.
        seconds: this example's share of the time of its queries.
        rng: the random states of this example.
        clean_neighbours: drafts one step from the clean text, by the word that they change; searches that come back to
            the clean text keep them here.
    """

    def __init__(
        self,
        attack: Attack,
        example: Example,
        plan: Plan,
        reader: Reader | None = None,
        start_reader: Callable[[Columns], Columns] | None = None,
        multi_label: bool = False,
    ) -> None:
        self.attack, self.example, self.plan = attack, example, plan
        self._start_reader = start_reader
        self.reading = attack.reading(multi_label)
        self.clean = self.current = Draft(plan.text, reader=reader)
        self.rng = RandomStates(attack.seed + example.idx)
        self.queries = 0
        self.saturated: int | None = 0 if attack.scores is not None else None
        self.seconds = 0.0
        self.near_ties = 0
        self.num_candidates = sum(len(self.plan.swaps[index]) for index in self._movable())
        self.truncated = False
        self.remains = False
        # A population scores thousands of texts, and hundreds of trials run at once, so hashes are stored, not texts.
        self._token_keys: dict[bytes, bytes] = {}
        self._rows: dict[bytes, bytes] = {}
        self._clean_row: Floats | None = None
        self.clean_neighbours: dict[int, list[Draft]] = {}
        self._saturated_share = 0.0
        self._clean_size = attack.goal.size(self.text)

    @property
    def num_remembered(self) -> int:
        """Number of texts whose scores are stored until this example is finished."""
        return len(self._token_keys)

    @property
    def text(self) -> Text:
        """The clean text."""
        return self.clean.text

    @property
    def positions(self) -> list[int]:
        """Numbers of the clean text's words to rank, in the order that decides ties."""
        open_words = list(self.attack.open_words(self.clean))
        if self.attack.ranks_movable_only:
            return [index for index in open_words if index in self.plan.swaps]
        return open_words

    def _movable(self) -> set[int]:
        """Numbers of the clean text's open words that have a planned substitute."""
        swaps = self.plan.swaps
        return swaps.keys() & self.attack.open_words(self.clean) if swaps else set()

    @property
    def limit_reached(self) -> str | None:
        """The limit that allows no further query: ``budget`` or ``time``; None if queries are allowed."""
        attack = self.attack
        if attack.query_budget is not None and self.queries >= attack.query_budget:
            return "budget"
        return "time" if attack.time_limit is not None and self.seconds >= attack.time_limit else None

    @property
    def is_correct(self) -> bool:
        """Whether the clean text is predicted as its label."""
        return int(self.reading.predictions(self.before.row)) == self.example.label

    @property
    def watched(self) -> int:
        """The label whose confidence the goal reads: its target, else the true label."""
        target = self.attack.goal.target
        return self.example.label if target is None else target

    @property
    def noise(self) -> float:
        """Size of the batching noise of a score."""
        return self.reading.noise(self.watched, self.before.row)

    def ask_clean(self) -> Steps[None]:
        """Score the clean text (query 1)."""
        scored = yield from self.ask([self.text])
        self.before = self.evaluation = scored.row(0)
        self.score = self.attack.goal.start(self.evaluation.score)

    def ask(self, wanted: Iterable[Text]) -> Steps[Evaluations]:
        """Score texts and count them, as many as the budget allows; further texts are not generated.

        A text that was scored before is answered from memory, and texts with equal tokens get equal scores: scores of
        the same tokens in different batches differ by noise, which must not count as a rise. Of a cut text only the
        start that the model can read is stored and asked for: a word behind it changes nothing.
        """
        keys: list[bytes] = []
        sizes: list[int] = []
        new: dict[bytes, Columns] = {}
        for text in self._affordable(wanted):
            columns = text.columns if self._start_reader is None else self._start_reader(text.columns)
            key = _digest(columns)
            keys.append(key)
            sizes.append(self.attack.goal.size(text))
            if key not in self._token_keys:
                new[key] = columns
        self.queries += len(keys)
        if new:
            answer: Scores = yield Score(list(new.values()))
            self.seconds += answer.seconds
            self._store(list(new), answer)
        sequences = [self._token_keys[key] for key in keys]
        stored = b"".join(self._rows[sequence] for sequence in sequences)
        width = len(next(iter(self._rows.values()))) // _ITEM
        rows = np.frombuffer(stored, np.float32).reshape(len(keys), width)
        self._count_saturated(rows)
        predictions, goal = self._read(rows), self.attack.goal
        return Evaluations(
            rows, goal.scores(predictions, sizes, self._clean_size), goal.reached(predictions), sequences
        )

    def _store(self, keys: list[bytes], answer: Scores) -> None:
        for key, row, sequence in zip(keys, self.reading.rows(answer), answer.sequences, strict=True):
            self._rows.setdefault(sequence, row.tobytes())
            self._token_keys[key] = sequence
        if answer.logits is None:
            # Vote shares always move in steps.
            self.saturated = None

    def _read(self, rows: Floats) -> LabelPredictions:
        reading, label = self.reading, self.watched
        if self._clean_row is None and len(rows):
            self._clean_row = rows[0]
        confidence = reading.confidence(rows, label, rows[0] if self._clean_row is None else self._clean_row)
        return LabelPredictions(
            confidence,
            reading.share(confidence),
            reading.predictions(rows) == label,
            reading.label_probability(rows, label),
        )

    def _count_saturated(self, rows: Floats) -> None:
        count = self.reading.num_saturated(rows)
        if count is None or self.saturated is None:
            self.saturated = None
        else:
            self.saturated += count
            self._saturated_share = count / max(len(rows), 1)

    def repeat(self, count: int) -> None:
        """Count ``count`` queries of texts that were scored just before, within the budget, without scoring them."""
        budget = self.attack.query_budget
        if budget is not None and self.queries + count > budget:
            count, self.truncated = budget - self.queries, True
        self.queries += count
        if self.saturated is not None:
            self.saturated += round(self._saturated_share * count)

    def _affordable(self, texts: Iterable[Text]) -> Iterator[Text]:
        budget = self.attack.query_budget
        for count, text in enumerate(texts, self.queries + 1):
            if budget is not None and count > budget:
                self.truncated = True
                return
            yield text

    def neighbours(self, draft: Draft, indices: Iterable[int] | None = None) -> Steps[list[Draft]]:
        """The admissible drafts one step away from ``draft``, at ``indices`` or at any word, sorted by their text.

        The order decides ties between scores, so it must not depend on the order of the substitutes.
        """
        drafts = yield from self.admissible(draft, (yield from self.proposals(draft, indices)))
        if not self.attack.candidates.planned:
            self.num_candidates += len(drafts)
        return sorted(drafts, key=lambda neighbour: neighbour.text.joined)

    def proposals(self, draft: Draft, indices: Iterable[int] | None = None) -> Steps[list[Draft]]:
        """The neighbours of ``draft`` before the constraints on whole texts."""
        open_words = self.attack.open_words(draft, indices)
        proposed = yield from self._proposed(draft, open_words)
        rewritten = yield from self.attack.candidates.rewrites(draft, open_words, self.rng)
        if self.attack.candidates.planned:  # planned swaps were counted in __init__
            self.num_candidates += len(rewritten)
        drafts = [draft.swap(index, new) for index, new in proposed] + rewritten
        return [neighbour for neighbour in drafts if neighbour.text.columns != draft.text.columns]

    def admissible(self, draft: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        """Those of ``drafts``, made from ``draft``, that pass the constraints on whole texts."""
        for rule in self.attack.constraints:
            if drafts:
                drafts = yield from rule.keeps(self.clean, draft, drafts)
        return drafts

    def _proposed(self, draft: Draft, open_words: set[int]) -> Steps[list[Swap]]:
        """Swaps of the open words: from the plan for unchanged words, else computed now."""
        clean, words = self.text.tokens, draft.text.tokens
        if self.attack.candidates.planned and len(clean) == len(words):
            planned = [index for index in open_words if clean[index] == words[index]]
        else:
            planned = []
        swaps = [(index, new) for index in planned for new in self.plan.swaps.get(index, ())]
        # Not a copy where nothing is planned: the order of the set, in which sources draw, would change.
        others = open_words.difference(planned) if planned else open_words
        if others:
            swaps += yield from self.attack.proposals(self.clean, draft, others, self.rng)
        return swaps

    def record_decision(self, scored: Evaluations) -> None:
        """Record whether a candidate kept the prediction, and whether noise may have decided between the best two."""
        self.remains |= bool((self.reading.predictions(scored.rows) == self.example.label).any())
        order = np.argsort(-scored.scores, kind="stable")
        top, rivals = order[0], [(scored.scores[place], scored.sequences[place]) for place in order[1:2]]
        rivals.append((self.score, self.evaluation.sequence))
        self.near_ties += any(
            0 < abs(float(scored.scores[top]) - float(score)) < self.noise and scored.sequences[top] != sequence
            for score, sequence in rivals
        )

    def replay(self, columns: Columns) -> Steps[bool]:
        """Score a text from an earlier run, and make it the current one if it reaches the goal; whether it did."""
        drafts = [self.clean.become(columns)]
        for rule in self.attack.constraints:
            if rule.binds_replays and drafts:
                drafts = yield from rule.keeps(self.clean, self.clean, drafts)
        if not drafts:
            return False
        scored = yield from self.ask([self.text.like(columns)])
        if not len(scored.scores) or not scored.reached[0] or scored.scores[0] <= self.score:
            return False
        self.take(drafts[0], scored.row(0))
        return True

    def take(self, draft: Draft, evaluation: Evaluation) -> None:
        """Make a scored draft the current one."""
        self.current, self.evaluation, self.score = draft, evaluation, evaluation.score

    def record(self, status: str, stop: str) -> AttackRecord:
        """The record of the current draft."""
        label, reading = self.example.label, self.reading
        rows = np.stack([self.before.row, self.evaluation.row])
        (before, after), predictions = reading.label_probability(rows, label), reading.predictions(rows)
        sure, surer = reading.confidence(rows, label, self.before.row)
        keeps = self.attack.goal.keeps_prediction
        return AttackRecord(
            idx=self.example.idx,
            label=label,
            status=status,
            original=list(self.text.columns),
            perturbed=list(self.current.text.columns),
            changed=self.current.changes(self.text),
            queries=self.queries,
            original_prediction=int(predictions[0]),
            perturbed_prediction=int(predictions[1]),
            original_score=float(before),
            perturbed_score=float(after),
            stop=stop,
            num_candidates=self.num_candidates,
            remains=self.remains if keeps else None,
            raised=bool(surer > sure) if keeps else None,
            near_ties=self.near_ties,
            word_rule=self.text.rule.name,
            saturated=self.saturated,
        )


def _digest(columns: Columns) -> bytes:
    return hashlib.blake2b(repr(columns).encode(), digest_size=16).digest()
