"""Checks for overlap of training and measurement: substitute tables, attacks, and evaluation texts."""

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

_NO_CARD = "the run card of the training was not found"


def held_out_table(evidence: Evidence) -> Finding:
    """Flag attacks that use only substitute tables of training: they measure the defence in-distribution."""
    finding = Finding("held_out_table", "attack with a substitute table that training did not use")
    card = evidence.main.training
    if not card:
        finding.missing.append(f"{_NO_CARD}, so the tables of training are unknown.")
        return finding
    trained = [fingerprint_of(lexicon) for _, lexicon in tables_of_training(card)]
    drawing = [one for one in evidence.measured if drawn_from(one.described)]
    shared = shared_tables(card, {one.label: one.described for one in drawing})
    if not shared:
        finding.observations.append("no attack uses a table of training.")
    for table in shared:
        others = [one for one in drawing if _is_another(drawn_from(one.described), table.lexicon, trained)]
        sentence = _shared(table)
        if others:
            finding.observations.append(f"{sentence}; other tables: {', '.join(map(_rate, others))}.")
        else:
            finding.flags.append(f"{sentence}; no attack on another table of {table.role} was measured.")
            _suggest(finding, evidence, table)
    return finding


def _is_another(lexicon: Mapping[str, Any], table: Mapping[str, Any], trained: Sequence[str | None]) -> bool:
    return lexicon.get("relation") == table.get("relation") and fingerprint_of(lexicon) not in trained


def _suggest(finding: Finding, evidence: Evidence, table: SharedTable) -> None:
    """Suggest an attack with another table, and the protocol that trains on one half and attacks with the other."""
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
        finding.advice.append(f"attack that model with --antonym_lexicon {halves[1]}.")


def _shared(one: SharedTable) -> str:
    size = one.lexicon.get("size")
    words = f", {size:,} words" if isinstance(size, int) else ""
    mark = f"{one.lexicon.get('name', 'unnamed')}{words}, fingerprint {fingerprint_of(one.lexicon)}"
    return f"training and {' and '.join(one.attacks)} use the same table of {one.role} ({mark})"


def _rate(one: MeasuredAttack) -> str:
    asr, count = float(one.result.get("asr", math.nan)), one.result.get("num_attacked", 0)
    return f"{one.label} ASR {percent(asr)} % of {count:,.0f}"


def evaluation_unseen(evidence: Evidence) -> Finding:
    """Flag evaluation texts and attacks that were part of training: they measure memorisation."""
    finding = Finding("evaluation_unseen", "evaluation texts and attacks used in training")
    card = evidence.main.training
    if not card:
        finding.missing.append(f"{_NO_CARD}, so the texts of training are unknown.")
        return finding
    for split in leaked_splits(card):
        finding.flags.append(f"the model was trained on views of texts from the {split} split.")
    names = [one.name for one in evidence.main.attacks]
    for name in trained_attacks(card, names):
        count = sum(int(view["found"]) for view in card["views"] if view["view"] == name)
        finding.flags.append(f"the {name} attack made {count:,} training texts and also measures the model.")
        if name == names[-1] and len(trained_attacks(card, names)) == len(names):
            finding.advice.append("measure an attack that training did not use.")
    if card is evidence.run.card or same_rows(card.get("data") or {}, evidence.run.data):
        _seen_texts(finding, card.get("data") or {})
    else:
        finding.missing.append("the attacked texts are not the evaluation texts of the training run.")
    return finding


def _seen_texts(finding: Finding, data: dict[str, object]) -> None:
    seen, rows = data.get("seen_in_training"), data.get("eval_samples")
    if not isinstance(seen, int):
        finding.missing.append("the number of evaluation texts in the training set is unknown (older run).")
        return
    share = f"{seen:,} of {rows:,}" if isinstance(rows, int) else f"{seen:,}"
    finding.numbers.append({"seen_in_training": seen, "eval_samples": rows})
    if seen:
        finding.flags.append(
            f"{share} evaluation texts are also training texts, up to case and white space; remove them from one of "
            "the two sets."
        )
    else:
        finding.observations.append(f"{share} evaluation texts are also training texts.")
