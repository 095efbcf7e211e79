"""What training and measuring had in common, from a run card: tables, attacks, and rows of the evaluation split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Card = Mapping[str, Any]


class SharedTable(NamedTuple):
    """A table that training drew on, and the attacks that draw on it too."""

    role: str
    lexicon: Mapping[str, Any]
    attacks: list[str]


def drawn_from(described: Mapping[str, Any]) -> Any:
    """The lexicon behind an attack's candidates, also where it is one source of several; None where there is none."""
    candidates = described.get("candidates") or {}
    sources = (candidates, *candidates.get("sources", ()))
    return next((source["lexicon"] for source in sources if source.get("lexicon")), None)


def fingerprint_of(lexicon: Any) -> str | None:
    """Of a described lexicon; None where it has none."""
    return lexicon.get("fingerprint") if isinstance(lexicon, Mapping) else None


def tables_of_training(card: Card) -> list[tuple[str, Mapping[str, Any]]]:
    """(role, described lexicon) of what training substituted from: by itself, or through attacks that made its texts.

    A card that does not say what training drew on (``trained_on``) is taken to mean all its lexicons but those of the
    attacks alone.
    """
    trained_on = card.get("trained_on")
    tables = [
        (str(role), lexicon)
        for role, lexicon in (card.get("lexicons") or {}).items()
        if (role in trained_on if trained_on is not None else not str(role).startswith("attack_"))
    ]
    for view in _found(card):
        lexicon = drawn_from(view.get("how") or {})
        if lexicon and fingerprint_of(lexicon) not in [fingerprint_of(other) for _, other in tables]:
            tables.append((f"{lexicon.get('relation', 'substitute')}s", lexicon))
    return tables


def shared_tables(card: Card, attacks: Mapping[str, Mapping[str, Any]]) -> list[SharedTable]:
    """The tables of this card's training that these described attacks draw on as well."""
    drawn = {name: drawn_from(described) for name, described in attacks.items()}
    found = []
    for role, lexicon in tables_of_training(card):
        users = [name for name, other in drawn.items() if other and fingerprint_of(other) == fingerprint_of(lexicon)]
        if users:
            found.append(SharedTable(role, lexicon, users))
    return found


def leaked_splits(card: Card) -> list[str]:
    """Evaluation splits whose texts were made into views and trained on."""
    return sorted({str(view["split"]) for view in card.get("views") or () if view.get("leaked")})


def trained_attacks(card: Card, measured: Iterable[str]) -> list[str]:
    """Of the attacks measured, those that also found texts to train on."""
    made = {str(view["view"]) for view in _found(card)}
    return [name for name in measured if name in made]


def _found(card: Card) -> list[Mapping[str, Any]]:
    return [view for view in card.get("views") or () if view.get("found")]
