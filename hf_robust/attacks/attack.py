"""``Attack``, the parts of one attack; a recipe is a function that returns an ``Attack``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Union

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.reading import READINGS, Reading
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.engine.set_readings import SET_READINGS
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap
from hf_robust.attacks.parts.constraints import Constraint, OpenColumns
from hf_robust.attacks.parts.goals import Goal
from hf_robust.attacks.parts.ranking import BY_GRADIENT, Ranking
from hf_robust.attacks.parts.similarity import SentenceSimilarity
from hf_robust.words import TEXTATTACK_WORDS, UNICODE_WORDS, WordRule

if TYPE_CHECKING:
    from hf_robust.attacks.cascade import Cascade
    from hf_robust.attacks.engine.victim import Victim
    from hf_robust.attacks.parts.search import Search
    from hf_robust.metrics import AttackRecord


class Example(NamedTuple):
    """One row to attack: its row number, its one or two text columns, and its label id.

    The label of a text with several labels is the number of their set (``hf_robust.metrics.label_sets``).
    """

    idx: int
    texts: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class Attack:
    """The parts of one attack (design.md section 5).

    Attributes:
        constraints: applied in their order, so cheap ones come first.
        max_changed: maximum number of changed words; None for all words.
        query_budget: maximum number of queries per example, the clean text included; None for no limit, TextAttack's
            default (BAT stops at 2000 queries).
        time_limit: seconds of work per example; results that the limit cuts short depend on the machine.
        skip_labels: label ids whose examples are not attacked.
        skip_misclassified: whether misclassified examples are skipped.
        seed: ``seed`` plus an example's ``idx`` seeds the random draws for this example.
        ranks_movable_only: whether words without substitutes are left out of the ranking. The outcome is the same for
            fewer queries; TextAttack spends one query on each such word.
        needs_candidates: whether it is an error if no example has an admissible substitute. Only candidates that do
            not depend on the model are tested for this.
        own_examples: examples that the attack brings and that replace the examples of the data.
        word_rule: the definition of a word. The recipes that are identical with TextAttack's use TextAttack's rule.
        scores: how searches and gradients read the model's outputs: by ``probability`` or by ``margin``
            (``ByProbability``, ``ByMargin``); None for an attack without a search.
    """

    name: str
    goal: Goal
    candidates: Candidates
    search: Search
    constraints: Sequence[Constraint] = ()
    ranking: Ranking | None = None
    max_changed: int | None = None
    query_budget: int | None = None
    time_limit: float | None = None
    skip_labels: frozenset[int] = frozenset()
    skip_misclassified: bool = True
    seed: int = 0
    ranks_movable_only: bool = False
    needs_candidates: bool = True
    own_examples: tuple[Example, ...] | None = None
    word_rule: WordRule = UNICODE_WORDS
    scores: str | None = "probability"

    def __post_init__(self) -> None:
        if self.scores is not None and self.scores not in READINGS:
            raise ValueError(f"--attack_scores must be one of {', '.join(READINGS)}, got {self.scores!r}.")
        if self.query_budget is not None and self.query_budget < 1:
            raise ValueError(
                f"--attack_query_budget must be at least 1 (the clean text is query 1), got {self.query_budget}."
            )
        if self.time_limit is not None and self.time_limit <= 0:
            raise ValueError(f"--attack_time_limit must be above 0 seconds, got {self.time_limit}.")

    @property
    def frozen_columns(self) -> frozenset[int]:
        """Numbers of the text columns that do not change."""
        column_sets = [rule.frozen for rule in self.constraints if isinstance(rule, OpenColumns)]
        return frozenset().union(*column_sets)

    @property
    def similarity(self) -> SentenceSimilarity | None:
        """The constraint on sentence similarity; None for an attack without one."""
        return next((rule for rule in self.constraints if isinstance(rule, SentenceSimilarity)), None)

    def reading(self, multi_label: bool = False) -> Reading:
        """The ``Reading`` of the model's outputs: of one class for each text, or of a set of labels."""
        return (SET_READINGS if multi_label else READINGS)[self.scores or "probability"]

    @property
    def needs_gradient(self) -> bool:
        """Whether a part uses gradients by word, which need a tokenizer that aligns words with tokens."""
        return self.ranking in BY_GRADIENT or self.candidates.needs_gradient

    def open_words(self, draft: Draft, indices: Iterable[int] | None = None) -> set[int]:
        """Numbers of the words that every constraint allows to change, among all words or among ``indices``."""
        open_words = set(range(len(draft.text.words))) if indices is None else set(indices)
        for rule in self.constraints:
            opened = rule.opens(draft)
            if opened is not None:
                # These are TextAttack's set operations: the order in which the result is iterated decides ties.
                open_words = open_words & opened
        return open_words if draft.words_read is None else open_words & draft.words_read

    @property
    def leaves_unread_words(self) -> bool:
        """Whether words behind the truncation are closed and count in no share.

        Swapping them cannot change a prediction and costs queries. TextAttack does not know the truncation, so the
        recipes that are identical with TextAttack's try these words.
        """
        return self.word_rule is not TEXTATTACK_WORDS

    def proposals(self, clean: Draft, draft: Draft, indices: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        """The swaps of these words that pass the constraints on single words."""
        swaps = yield from self.candidates.propose(draft, indices, rng)
        for rule in self.constraints:
            if type(rule).admits is Constraint.admits or not swaps:
                continue
            by_word: dict[int, list[str]] = {}
            for index, new in swaps:
                by_word.setdefault(index, []).append(new)
            good = {index: set(rule.admits(clean.text, draft.text, index, new)) for index, new in by_word.items()}
            swaps = [(index, new) for index, new in swaps if new in good[index]]
        return swaps

    def describe(self) -> dict[str, Any]:
        """The name and settings of every part, for result files and the run card; JSON-ready."""
        return {
            "name": self.name,
            "goal": self.goal.describe(),
            "candidates": self.candidates.describe(),
            "constraints": [constraint.describe() for constraint in self.constraints],
            "similarity": self.similarity.describe() if self.similarity else None,
            "ranking": _function_name(self.ranking) if self.ranking else None,
            "search": _function_name(self.search),
            "scores": self.scores,
            "max_changed": self.max_changed,
            "query_budget": self.query_budget,
            "time_limit": self.time_limit,
            "skip_labels": sorted(self.skip_labels),
            "skip_misclassified": self.skip_misclassified,
            "frozen_columns": sorted(self.frozen_columns),
            "seed": self.seed,
            "ranks_movable_only": self.ranks_movable_only,
            **self.word_rule.describe(),
        }

    def plan_fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of the parts that do not depend on the model, without names and paths."""
        defaults = (Constraint.opens, Constraint.admits)
        lexical = [rule for rule in self.constraints if (type(rule).opens, type(rule).admits) != defaults]
        described = [rule.describe() for rule in lexical]
        return _digest(
            [*self.word_rule.describe().values(), self.candidates.fingerprint(), described, _fingerprints(lexical)]
        )

    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of everything that a result can depend on."""
        parts = {key: value for key, value in self.describe().items() if key not in ("name", "candidates")}
        return _digest([self.plan_fingerprint(), parts, _fingerprints(self.constraints)])

    def to(self, device: Any) -> None:
        """Move the models that the parts use to the victim's device."""
        for part in (self.candidates, *self.constraints):
            if hasattr(part, "to"):
                part.to(device)


class ForeignAttack(Protocol):
    """An attack that another library runs example by example (``--attack_backend textattack``)."""

    name: str
    seed: int
    skip_labels: frozenset[int]
    needs_candidates: bool
    own_examples: tuple[Example, ...] | None

    def describe(self) -> dict[str, Any]: ...

    def fingerprint(self) -> str: ...

    def run(self, victim: Victim, waiting: Iterable[Example], seed: int) -> Iterator[AttackRecord]:
        """Yield records in the order of ``waiting``; call it inside ``victim.measuring``."""
        ...


AttackOrForeign = Union[Attack, ForeignAttack, "Cascade"]


def _function_name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _fingerprints(rules: Iterable[Constraint]) -> list[str]:
    return [rule.fingerprint() for rule in rules if hasattr(rule, "fingerprint")]


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()
