"""What did training know of what it was measured with: the table, the attack, the evaluation texts?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.reports.cells import percent
from hf_robust.reports.compare import same_rows
from hf_robust.reports.sanity.commands import attack_command, source_of, train_command
from hf_robust.reports.sanity.evidence import Evidence, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.training_overlap import (
    SharedTable,
    drawn_from,
    fingerprint_of,
    leaked_splits,
    shared_tables,
    tables_of_training,
    trained_attacks,
)

_NO_CARD = "the run card of the training is not at hand"


def held_out_table(evidence: Evidence) -> Finding:
    """A defence that trains on the attacker's own table is measured in-distribution.

    Flagged where an attack draws on a table of training and no attack on a table of substitutes of another content
    was measured beside it.
    """
    finding = Finding("held_out_table", "a table that training did not see")
    card = evidence.main.training
    if not card:
        finding.missing.append(f"{_NO_CARD}, so that nobody knows what training drew on.")
        return finding
    trained = [fingerprint_of(lexicon) for _, lexicon in tables_of_training(card)]
    drawing = [one for one in evidence.measured if drawn_from(one.described)]
    shared = shared_tables(card, {one.label: one.described for one in drawing})
    if not shared:
        finding.seen.append("no attack draws on a table that training drew on.")
    for table in shared:
        others = [one for one in drawing if _is_another(drawn_from(one.described), table.lexicon, trained)]
        said = _shared(table)
        if others:
            finding.seen.append(f"{said}; other tables: {', '.join(map(_rate, others))}.")
        else:
            finding.flags.append(f"{said}; no attack on another table of {table.role} was measured.")
            _suggest(finding, evidence, table)
    return finding


def _is_another(lexicon: Mapping[str, Any], table: Mapping[str, Any], trained: Sequence[str | None]) -> bool:
    return lexicon.get("relation") == table.get("relation") and fingerprint_of(lexicon) not in trained


def _suggest(finding: Finding, evidence: Evidence, table: SharedTable) -> None:
    """Another table for this model; or the protocol: train with one half of the table, attack with the other."""
    relation = str(table.lexicon.get("relation", "synonym"))
    flag = "antonym_lexicon" if relation == "antonym" else "lexicon"
    users = [one for one in evidence.main.attacks if one.name in table.attacks]
    if users:
        finding.suggest(attack_command(evidence.main, users, f"other-{relation}s", **{flag: "OTHER_TABLE"}))
    folder = f"halves-{relation}s"
    halves = [f"{folder}/{name}.json" for name in ("train", "held_out")]
    relates = " --relation antonym" if relation == "antonym" else ""
    finding.suggest(f"hf-robust lexicon split {source_of(table.lexicon)}{relates} --output_dir {folder}")
    attack = {} if relation == "antonym" else {"attack_lexicon": halves[1]}
    again = train_command(evidence.main, f"held-out-{relation}s", **{flag: halves[0], **attack})
    if again:
        finding.suggest(again)
    if relation == "antonym":
        finding.advice.append(f"attack the model trained so with --antonym_lexicon {halves[1]}.")


def _shared(one: SharedTable) -> str:
    size = one.lexicon.get("size")
    words = f", {size:,} words" if isinstance(size, int) else ""
    mark = f"{one.lexicon.get('name', 'unnamed')}{words}, fingerprint {fingerprint_of(one.lexicon)}"
    return f"training and {' and '.join(one.attacks)} draw on one table of {one.role} ({mark})"


def _rate(one: MeasuredAttack) -> str:
    asr, count = float(one.result.get("asr", math.nan)), one.result.get("num_attacked", 0)
    return f"{one.label} ASR {percent(asr)} % of {count:,.0f}"


def evaluation_unseen(evidence: Evidence) -> Finding:
    """Texts that were trained on, and attacks that made training texts, measure memory."""
    finding = Finding("evaluation_unseen", "evaluation texts and attacks that training saw")
    card = evidence.main.training
    if not card:
        finding.missing.append(f"{_NO_CARD}, so that nobody knows what training saw.")
        return finding
    for split in leaked_splits(card):
        finding.flags.append(f"texts of the {split} split were made into views and trained on.")
    names = [one.name for one in evidence.main.attacks]
    for name in trained_attacks(card, names):
        found = sum(int(view["found"]) for view in card["views"] if view["view"] == name)
        finding.flags.append(f"the {name} attack made {found:,} training texts and measured the model too.")
        if name == names[-1] and len(trained_attacks(card, names)) == len(names):
            finding.advice.append("measure an attack that training did not know.")
    if card is evidence.run.card or same_rows(card.get("data") or {}, evidence.run.data):
        _seen_texts(finding, card.get("data") or {})
    else:
        finding.missing.append("the texts attacked are not those that training was evaluated on.")
    return finding


def _seen_texts(finding: Finding, data: dict[str, object]) -> None:
    seen, rows = data.get("seen_in_training"), data.get("eval_samples")
    if not isinstance(seen, int):
        finding.missing.append("the run card does not say how many evaluation texts were trained on (older run).")
        return
    of = f"{seen:,} of {rows:,}" if isinstance(rows, int) else f"{seen:,}"
    finding.numbers.append({"seen_in_training": seen, "eval_samples": rows})
    if seen:
        finding.flags.append(
            f"{of} evaluation texts are training texts but for case and white space; leave them out of one of the two."
        )
    else:
        finding.seen.append(f"{of} evaluation texts are training texts.")
