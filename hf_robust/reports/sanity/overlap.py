"""What did training know of what it was measured with: the table, the attack, the evaluation texts?"""

from __future__ import annotations

import math

from hf_robust.reports.provenance import (
    SharedTable,
    drawn_from,
    fingerprint_of,
    leaked_splits,
    shared_tables,
    tables_of_training,
    trained_attacks,
)
from hf_robust.reports.sanity.commands import attack_command, source_of
from hf_robust.reports.sanity.evidence import Evidence, Measured
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.tables import percent

_NO_CARD = "the run card of the training is not at hand"


def held_out_table(evidence: Evidence) -> Finding:
    """A defence that trains on the attacker's own table is measured in-distribution (ATK-SYN-2).

    Flagged where an attack draws on a table of training and no attack on a table of substitutes of another content
    was measured beside it.
    """
    finding = Finding("held_out_table", "some attack draws on a table that training did not see")
    card = evidence.main.training
    if not card:
        finding.missing.append(f"{_NO_CARD}, so that nobody knows what training drew on.")
        return finding
    trained = [fingerprint_of(lexicon) for _, lexicon in tables_of_training(card)]
    lexicons = [(one, drawn_from(one.described)) for one in evidence.measured if one.searches]
    others = [one for one, lexicon in lexicons if lexicon and fingerprint_of(lexicon) not in trained]
    shared = shared_tables(card, {one.label: one.described for one in evidence.measured if one.searches})
    if not shared:
        finding.seen.append("no attack draws on a table that training drew on.")
        return finding
    for one in shared:
        said = _shared(one)
        if others:
            finding.seen.append(f"{said}; other tables: {', '.join(map(_rate, others))}.")
            continue
        finding.flags.append(f"{said}; no attack on another table was measured.")
        users = [found for found in evidence.main.attacks if found.name in one.attacks]
        table = source_of(one.lexicon)
        if users:
            finding.suggest(attack_command(evidence.main, users, "other-table", lexicon="OTHER_TABLE"))
        finding.suggest(f"hf-robust lexicon split {table} --output_dir halves")
        finding.advice.append(
            "the protocol: train with --lexicon halves/train.json --attack_lexicon halves/held_out.json."
        )
    return finding


def _shared(one: SharedTable) -> str:
    size = one.lexicon.get("size")
    words = f", {size:,} words" if isinstance(size, int) else ""
    mark = f"{one.lexicon.get('name', 'unnamed')}{words}, fingerprint {fingerprint_of(one.lexicon)}"
    return f"training and {' and '.join(one.attacks)} draw on one table of {one.role} ({mark})"


def _rate(one: Measured) -> str:
    asr, count = float(one.result.get("asr", math.nan)), one.result.get("num_attacked", 0)
    return f"{one.label} ASR {percent(asr)} % of {count:,.0f}"


def evaluation_unseen(evidence: Evidence) -> Finding:
    """Texts that were trained on, and attacks that made training texts, measure memory (X13, ADA-1)."""
    finding = Finding("evaluation_unseen", "training saw neither the evaluation texts nor the attacks")
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
    _seen_texts(finding, card.get("data") or {})
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
