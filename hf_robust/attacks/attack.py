"""An attack is a list of parts; a recipe is a function that names them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hf_robust.attacks.candidates import Candidates
from hf_robust.attacks.constraints import Constraint
from hf_robust.attacks.goals import Goal
from hf_robust.attacks.ranking import Ranking
from hf_robust.attacks.similarity import Encoder, SentenceSimilarity
from hf_robust.words import Lemmatizer, Tagger

if TYPE_CHECKING:
    from hf_robust.attacks.search import Search
    from hf_robust.lexicons import Lexicon


class Example(NamedTuple):
    """One row to attack: its row number, its one or two text columns, and its label id."""

    idx: int
    texts: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class Attack:
    """The parts of one attack (design.md section 5).

    ``constraints`` are asked in their order, so the cheap ones stand first. ``max_changed`` None means all words.
    ``frozen_columns`` closes text columns, by number; none is ever closed by its name alone (ATTACK-1, ATTACK-2).
    ``query_budget`` counts the clean text; None is no limit, as TextAttack's default, where BAT stops at 2000 queries
    (ATTACK-3). Examples with a label in ``skip_labels`` are not attacked.
    ``needs_candidates`` makes it an error when no example of a set has any admissible substitute.
    """

    name: str
    goal: Goal
    candidates: Candidates
    search: Search
    constraints: Sequence[Constraint] = ()
    similarity: SentenceSimilarity | None = None
    ranking: Ranking | None = None
    max_changed: int | None = None
    query_budget: int | None = None
    skip_labels: frozenset[int] = frozenset()
    frozen_columns: frozenset[int] = frozenset()
    needs_candidates: bool = False

    def __post_init__(self) -> None:
        if self.query_budget is not None and self.query_budget < 1:
            raise ValueError(
                f"--attack_query_budget must be at least 1 (the clean text is query 1), got {self.query_budget}."
            )

    def describe(self) -> dict[str, Any]:
        """Every part by name, for result files and the run card; JSON-ready."""
        return {
            "name": self.name,
            "goal": self.goal.describe(),
            "candidates": self.candidates.describe(),
            "constraints": [constraint.describe() for constraint in self.constraints],
            "similarity": self.similarity.describe() if self.similarity else None,
            "ranking": _name(self.ranking) if self.ranking else None,
            "search": _name(self.search),
            "max_changed": self.max_changed,
            "query_budget": self.query_budget,
            "skip_labels": sorted(self.skip_labels),
            "frozen_columns": sorted(self.frozen_columns),
        }

    def plan_fingerprint(self) -> str:
        """16 hexadecimal characters of the parts that do not depend on the model; names and paths do not count."""
        return _digest(
            [
                self.candidates.fingerprint(),
                [constraint.describe() for constraint in self.constraints],
                sorted(self.frozen_columns),
            ]
        )

    def fingerprint(self) -> str:
        """16 hexadecimal characters that change whenever a result could."""
        parts = {key: value for key, value in self.describe().items() if key not in ("name", "candidates")}
        encoder = self.similarity.encoder.fingerprint() if self.similarity else None
        return _digest([self.plan_fingerprint(), parts, encoder])


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()


Part = TypeVar("Part")


@dataclass
class Resources:
    """What recipes are made from; a recipe asks for what it needs.

    ``encoder`` None leaves the sentence similarity out, ``tagger`` None the part of speech. ``lemmatizer`` None takes
    WordNet's when the negation attack first needs it.
    """

    synonyms: Lexicon | None = None
    antonyms: Lexicon | None = None
    tagger: Tagger | None = None
    encoder: Encoder | None = None
    lemmatizer: Lemmatizer | None = None
    skip_labels: frozenset[int] = frozenset()
    frozen_columns: frozenset[int] = frozenset()
    query_budget: int | None = None
    min_similarity: float = 0.840845057
    antonym_success: str = "raises"
    negation_official_count: bool = False

    @staticmethod
    def needed(part: Part | None, attack: str, what: str, remedy: str) -> Part:
        """``part``, or one sentence that says which attack lacks what and how to give it.

        Raises:
            ValueError: ``part`` is None.
        """
        if part is None:
            raise ValueError(f"the {attack} attack needs {what}, got none; {remedy}.")
        return part
