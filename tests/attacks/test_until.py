"""``--attack_until_interval``: which rows are attacked, where it stops, and that nothing else decides this."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from attack_parts import all_close, attack, examples, victim

from hf_robust.attacks import AttackArguments, Plans, attack_dataset, attack_on_ranks
from hf_robust.attacks.engine.until import parts_until, require_reachable
from hf_robust.metrics import AttackSummary, ConfidenceSequence, judged_by, union_of_attacks
from hf_robust.runs import Ranks, balanced_shares
from hf_robust.wiring.view_attacks import _OF_MEASURING

WIDE = ConfidenceSequence(0.45)
"""An interval that some dozens of rows reach."""


def run(target, rows, until=WIDE, journals=None, which=None, ranks=None):
    measured = attack_on_ranks(
        which or attack("synonym"), target, rows, "key", journals=journals, ranks=ranks or Ranks(),
        plans=Plans(), progress=False, until=until,
    )  # fmt: skip
    return measured.records, measured.seconds


def test_it_stops_at_the_first_look_at_which_the_interval_is_narrow():
    target = victim()
    rows = examples(target, 120)
    everything = {record.idx: record for record in attack_dataset(attack("synonym"), target, rows, progress=False)}
    records, _ = run(target, rows)
    parts = list(parts_until(rows, WIDE, seed=0))
    for number in range(1, len(parts) + 1):
        seen = [example.idx for part in parts[:number] for example in part]
        if WIDE.is_reached(*judged_by([everything[idx] for idx in seen])):
            break
    assert [record.idx for record in records] == sorted(seen) and len(seen) < len(rows)
    assert all_close(records, [everything[idx] for idx in sorted(seen)])


def test_the_order_is_random_and_that_of_the_seed():
    rows = examples(victim(), 60)
    orders = [[example.idx for part in parts_until(given, WIDE, seed) for example in part]
              for given, seed in ((rows, 0), (rows[::-1], 0), (rows, 1))]  # fmt: skip
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == [row.idx for row in rows] != orders[0]
    assert list(parts_until(rows, None, 0)) == [rows]


@pytest.mark.parametrize("name", ["synonym", "antonym"])
def test_an_interrupted_run_ends_as_one_that_was_not(name, tmp_path):
    target, which = victim(), attack(name)
    rows = examples(target, 120)
    expected, _ = run(target, rows, which=which)
    score, rounds = target.score, Counter()

    def crashing(texts):
        rounds["all"] += 1
        if rounds["all"] == 3:
            raise KeyboardInterrupt
        return score(texts)

    target.score = crashing
    with pytest.raises(KeyboardInterrupt):
        run(target, rows, journals=tmp_path, which=which)
    target.score = score
    resumed, _ = run(target, rows, journals=tmp_path, which=which)
    assert all_close(resumed, expected)
    target.queries = 0
    assert all_close(run(target, rows, journals=tmp_path, which=which)[0], expected) and target.queries == 0


@dataclasses.dataclass(frozen=True)
class FirstOfTwo(Ranks):
    """The first of two ranks, which receives what the second would send."""

    others: Iterator[Any] = iter(())
    received: list[Any] = dataclasses.field(default_factory=list)

    def gather(self, value):
        self.received[:], seconds = next(self.others)
        return [value, seconds]

    def gather_items(self, items):
        yield from [*self.received, *items]


def test_two_ranks_stop_where_one_does():
    target = victim()
    rows = examples(target, 120)
    shares = (balanced_shares(part, 2)[1] for part in parts_until(rows, WIDE, 0))
    others = ((attack_dataset(attack("synonym"), target, share, progress=False), 1.0) for share in shares)
    found, seconds = run(target, rows, ranks=FirstOfTwo(0, 2, others))
    assert all_close(found, run(target, rows)[0]) and seconds >= 1.0


def test_a_sequence_that_is_not_reached_attacks_all_rows():
    target = victim()
    rows = examples(target, 40)
    records, _ = run(target, rows, ConfidenceSequence(0.1))
    assert [record.idx for record in records] == [row.idx for row in rows]


def test_the_summary_has_the_interval_of_the_sequence():
    target = victim()
    rows = examples(target, 120)
    records, _ = run(target, rows)
    summary = AttackSummary.from_records(records, 1.0, WIDE, len(rows))
    plain = AttackSummary.from_records(records, 1.0)
    line = summary.history()
    assert (line["robust_accuracy_low"], line["robust_accuracy_high"]) == WIDE.interval(*judged_by(records))
    assert (line["num_rows"], line["until_interval"], line["num_examples"]) == (120, 0.45, len(records))
    assert summary.asr == plain.asr and (summary.asr_low, summary.asr_high) != (plain.asr_low, plain.asr_high)
    assert "num_rows" not in plain.history() and ConfidenceSequence.of_result(plain.history()) is None
    assert ConfidenceSequence.of_result(line) == WIDE


def test_the_union_is_of_the_rows_of_the_attack_that_stopped_first():
    target = victim()
    rows = examples(target, 120)
    records = {name: run(target, rows, which=attack(name))[0] for name in ("synonym", "deepwordbug")}
    union = union_of_attacks(records, WIDE)
    assert union.num_examples == min(map(len, records.values()))
    assert union.interval == WIDE.interval(union.num_robust, union.num_examples)


def test_an_interval_that_the_rows_cannot_reach_is_refused():
    rows = examples(victim(), 20)
    attacks = {"synonym": attack("synonym")}
    sequence = ConfidenceSequence(0.1)
    message = f"--attack_until_interval 10 cannot be reached on 20 rows: it takes {sequence.rows(0.0)} rows"
    with pytest.raises(ValueError, match=f"{message} if all end alike, and {sequence.rows(0.5)} if half of them"):
        require_reachable(attacks, rows, sequence)
    three = "3 cannot be reached on 20 rows: it takes 363 rows if all end alike, and 10,657 if half of them withstand"
    with pytest.raises(ValueError, match=three):
        require_reachable(attacks, rows, ConfidenceSequence(0.03))
    require_reachable(attacks, rows, None)
    require_reachable(attacks, rows, ConfidenceSequence(0.9))
    own = dataclasses.replace(attacks["synonym"], own_examples=tuple(rows))
    require_reachable({"file": own}, rows, sequence)


@pytest.mark.parametrize("width", [0.0, 100.0, -3.0])
def test_a_width_that_is_none_is_refused(width):
    with pytest.raises(ValueError, match="--attack_until_interval must lie between 0 and 100 points"):
        AttackArguments(attacks=["synonym"], attack_until_interval=width)


def test_an_attack_without_a_rate_is_refused():
    with pytest.raises(ValueError, match="--attack_until_interval 3 waits for the interval of a rate, and input_red"):
        AttackArguments(attacks=["input_reduction"], attack_until_interval=3)
    assert AttackArguments(attacks=["antonym"], attack_until_interval=3).sequence() == ConfidenceSequence(0.03)


def test_texts_to_train_on_do_not_follow_the_flags_of_measuring():
    fields = {field.name for field in dataclasses.fields(AttackArguments)}
    assert set(_OF_MEASURING) <= fields and not any(_OF_MEASURING.values())
