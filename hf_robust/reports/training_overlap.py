"""Overlap of training and measurement, from a run card: substitute tables, attacks, and evaluation texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hf_robust.attacks.flag_readers import with_members

Card = Mapping[str, Any]


class SharedTable(NamedTuple):
    """A substitute table of training, and the attacks that use it too."""

    role: str
    lexicon: Mapping[str, Any]
    attacks: list[str]


def drawn_from(described: Mapping[str, Any]) -> Any:
    """Lexicon of an attack's candidates, also if it is one source of several; None if there is none.

    Of the standard it is the table that its attacks share.
    """
    for member in (described.get("members") or {}).values():
        if lexicon := drawn_from(member):
            return lexicon
    candidates = described.get("candidates") or {}
    sources = (candidates, *candidates.get("sources", ()))
    return next((source["lexicon"] for source in sources if source.get("lexicon")), None)


def fingerprint_of(lexicon: Any) -> str | None:
    """Fingerprint of a described lexicon; None if it has none."""
    return lexicon.get("fingerprint") if isinstance(lexicon, Mapping) else None


def tables_of_training(card: Card) -> list[tuple[str, Mapping[str, Any]]]:
    """(role, described lexicon) of the tables that training used, directly or through attacks that made its texts.

    Older run cards have no ``trained_on``; then all lexicons count except those of attacks alone.
    """
    trained_on = card.get("trained_on")
    tables = [
        (str(role), lexicon)
        for role, lexicon in (card.get("lexicons") or {}).items()
        if (role in trained_on if trained_on is not None else not str(role).startswith("attack_"))
    ]
    for view in _attacked_views(card):
        lexicon = drawn_from(view.get("how") or {})
        if lexicon and fingerprint_of(lexicon) not in [fingerprint_of(other) for _, other in tables]:
            tables.append((f"{lexicon.get('relation', 'substitute')}s", lexicon))
    return tables


def shared_tables(card: Card, attacks: Mapping[str, Mapping[str, Any]]) -> list[SharedTable]:
    """Tables of training that these described attacks use as well."""
    drawn = {name: drawn_from(described) for name, described in attacks.items()}
    shared = []
    for role, lexicon in tables_of_training(card):
        users = [name for name, other in drawn.items() if other and fingerprint_of(other) == fingerprint_of(lexicon)]
        if users:
            shared.append(SharedTable(role, lexicon, users))
    return shared


def leaked_splits(card: Card) -> list[str]:
    """Evaluation splits whose views the model was trained on."""
    return sorted({str(view["split"]) for view in card.get("views") or () if view.get("leaked")})


def trained_attacks(card: Card, measured: Iterable[str]) -> list[str]:
    """The measured attacks, those of the standard in its place, that also made training texts."""
    trained_on = {str(view["view"]) for view in _attacked_views(card)}
    return [name for name in dict.fromkeys(with_members(list(measured))) if name in trained_on]


def _attacked_views(card: Card) -> list[Mapping[str, Any]]:
    return [view for view in card.get("views") or () if view.get("found")]
