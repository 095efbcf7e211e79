"""How many words and texts an attack can change; computed without a model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hf_robust.attacks.attack import Attack, AttackOrForeign, Example
from hf_robust.attacks.cascade import Cascade
from hf_robust.attacks.engine.classifier import Classifier
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.excerpt import excerpt_of
from hf_robust.attacks.engine.plans import Plan, Plans
from hf_robust.attacks.parts.bad_characters import BadCharacters
from hf_robust.attacks.parts.candidates import AnyOf
from hf_robust.lexicons import Lexicon, unknown_words
from hf_robust.metrics import Coverage, sampled_rows
from hf_robust.words import TEXTATTACK_WORDS, UNICODE_WORDS, Text

_TRIED_TEXTS, _TRIED_VECTORS = 64, 16
logger = logging.getLogger(__name__)


def table_coverage(
    attack: AttackOrForeign,
    plans: Plans,
    examples: Sequence[Example],
    classifier: Classifier | None,
    max_examples: int | None = None,
) -> Coverage | None:
    """Count the open words with a substitute in the attack's table, and the texts that have such a word.

    The attack's constraints on single words apply. Returns None if the attack has no table or brings its own texts.
    Of a cascade the first attack with a table counts.

    Args:
        classifier: the classifier under attack, which knows what it reads of a text; None if it reads all.
        max_examples: number of examples to count, evenly spaced; None for all. Planning one takes milliseconds.
    """
    attack = _with_table(attack)
    if not isinstance(attack, Attack) or attack.own_examples is not None or attack.candidates.lookup is None:
        return None
    table_attack = replace(attack, candidates=attack.candidates.lookup)
    chosen = _attackable(attack, examples)
    if max_examples is not None:
        chosen = [chosen[row] for row in sampled_rows(len(chosen), max_examples)]
    planner = plans.planner(table_attack)
    planned = (planner(excerpt_of(table_attack, example, classifier).example) for example in chosen)
    words = ((plan.swaps.keys(), _open_words(table_attack, plan, classifier)) for plan in planned)
    return Coverage.of((len(with_substitutes & opened), len(opened)) for with_substitutes, opened in words)


def log_coverage(attack: AttackOrForeign, coverage: Coverage | None, examples: Sequence[Example] = ()) -> None:
    """Log the coverage in one line, as a warning if it is small.

    Also warn of an English table that lacks most words of the examples.
    """
    attack = _with_table(attack)
    for sentence in filter(None, (unknown_words(table, [row.texts for row in examples]) for table in _tables(attack))):
        logger.warning("%s attack: %s.", attack.name, sentence)
    if coverage is None or not coverage.open_words or not isinstance(attack, Attack):
        return
    sentence = f"{attack.name} attack: {_source(attack)} has substitutes for {coverage.in_words()}"
    if coverage.is_little:
        flag = attack.candidates.flag
        logger.warning("%s: its rate says little%s.", sentence, f"; give a larger table ({flag})" * bool(flag))
    else:
        logger.info("%s.", sentence)


def describe_with_coverage(
    attack: AttackOrForeign, coverage: Coverage | None, examples: Sequence[Example]
) -> dict[str, Any]:
    """The attack's entry in the run card: its description, its coverage, and the rows that its target leaves out.

    ``examples`` are those of the data.
    """
    entry = {**attack.describe(), **({"coverage": coverage.describe()} if coverage else {})}
    target = attack.goal.target if isinstance(attack, Attack) else None
    if target is not None and attack.own_examples is None:
        entry["rows_left_out"] = sum(example.label == target for example in examples)
    return entry


def require_candidates(
    attack: AttackOrForeign, plans: Plans, examples: Sequence[Example], classifier: Classifier | None
) -> None:
    """Raise if none of these examples has a candidate.

    Attacks whose candidates depend on the model are not checked, except bad characters, which a tokenizer may drop.

    ``classifier`` as in :func:`table_coverage`.

    Raises:
        ValueError: no example whose label is attacked has an admissible substitute.
    """
    if not isinstance(attack, Attack) or not attack.needs_candidates:
        return
    if isinstance(attack.candidates, BadCharacters):
        _require_read(attack, attack.candidates, _attackable(attack, examples), classifier)
    if not attack.candidates.planned:
        return
    chosen, planner = _attackable(attack, examples), plans.planner(attack)
    planned = (planner(excerpt_of(attack, example, classifier).example) for example in chosen)
    if attack.own_examples is not None or not chosen:
        return
    if any(plan.swaps.keys() & _open_words(attack, plan, classifier) for plan in planned):
        return
    texts_of = (Text(example.texts, attack.word_rule) for example in chosen)
    cut = sum(classifier is not None and classifier.words_read(text) is not None for text in texts_of)
    texts = f"{len(chosen):,} texts" + f" ({cut:,} of them cut, see --max_seq_length)" * bool(cut)
    problem = f"the {attack.name} attack can change nothing: no open word of {texts} has an admissible "
    if attack.candidates.lookup is None:
        raise ValueError(f"{problem}change; leave the attack out.")
    flag = attack.candidates.flag
    remedy = f"give a table of their language and words ({flag}), or " * bool(flag)
    raise ValueError(f"{problem}substitute in {_source(attack)}; {remedy}leave the attack out.")


def _with_table(attack: AttackOrForeign) -> AttackOrForeign:
    return (attack.with_table or attack) if isinstance(attack, Cascade) else attack


def _require_read(
    attack: Attack, source: BadCharacters, examples: Sequence[Example], classifier: Classifier | None
) -> None:
    """Raise if no text has a place to perturb, or the classifier reads perturbed texts as it reads clean ones."""
    rng, tried = np.random.RandomState(0), 0
    for row in sampled_rows(len(examples), _TRIED_TEXTS):
        text = Text(examples[row].texts, attack.word_rule)
        space = source.space(text, attack.open_words(Draft(text)), attack.frozen_columns)
        if space is None:
            continue
        low, high = np.array(space.bounds).T
        drawn = {space.write(low + rng.uniform(size=len(low)) * (high - low)) for _ in range(_TRIED_VECTORS)}
        if classifier is None or len(set(classifier.sequences([text.columns, *drawn]))) > 1:
            return
        tried += 1
    if not examples:
        return
    problem = f"the {attack.name} attack can change nothing: "
    if tried:
        raise ValueError(
            f"{problem}the model's tokenizer drops or restores its characters, and the model reads the clean text in "
            f"all {tried:,} texts that were tried; leave the attack out."
        )
    raise ValueError(f"{problem}no text has a character that it can perturb; leave the attack out.")


def _open_words(attack: Attack, plan: Plan, classifier: Classifier | None) -> set[int]:
    reader = classifier.words_read if classifier is not None and attack.leaves_unread_words else None
    return attack.open_words(Draft(plan.text, reader=reader))


def _attackable(attack: Attack, examples: Sequence[Example]) -> list[Example]:
    return [example for example in examples if example.label not in attack.skip_labels]


def _tables(attack: AttackOrForeign) -> list[Lexicon]:
    """The tables of an attack on English texts."""
    if not isinstance(attack, Attack) or attack.word_rule not in (TEXTATTACK_WORDS, UNICODE_WORDS):
        return []
    sources = attack.candidates.sources if isinstance(attack.candidates, AnyOf) else [attack.candidates]
    tables = [getattr(source, "lexicon", getattr(source, "thesaurus", None)) for source in sources]
    return [table for table in tables if isinstance(table, Lexicon)]


def _source(attack: Attack) -> str:
    table = attack.candidates.lookup
    described: dict[str, Any] = {} if table is None else table.describe()
    inner = next(iter(described.get("sources", ())), described)
    lexicon = inner.get("lexicon") or inner.get("table") or {}
    return str(lexicon.get("source") or lexicon.get("name") or "its table")
