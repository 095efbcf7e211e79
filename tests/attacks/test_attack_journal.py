"""The journal: a killed measurement goes on where it stopped."""

import json

import pytest
from attack_parts import all_close, attack, examples, victim

from hf_robust.attacks import Example, attack_dataset, attack_key, journal, journal_seconds
from hf_robust.attacks.journal import Journal
from hf_robust.metrics import read_records


def run(target, rows, path, which=None, **options):
    return attack_dataset(which or attack("synonym"), target, rows, journal=path, progress=False, **options)


def test_a_restart_measures_only_what_is_missing(tmp_path):
    target, path = victim(), tmp_path / "deep" / "journal.jsonl"
    rows = examples(target, 20)
    expected = attack_dataset(attack("synonym"), target, rows, progress=False)
    run(target, rows[5:12], path)
    target.queries = 0
    assert all_close(run(target, rows, path), expected)
    # A text asked before is answered from memory, so the model sees fewer than the records count.
    assert 0 < target.queries <= sum(record.queries for record in expected[:5] + expected[12:])
    target.queries = 0
    assert all_close(run(target, rows, path), expected)
    assert target.queries == 0
    assert all_close(run(target, rows[:3], path), expected[:3])
    assert all_close(sorted(read_records(path), key=lambda record: record.idx), expected)
    assert journal_seconds(path) >= 0 and journal_seconds(tmp_path / "none.jsonl") == 0


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_torn_last_line_is_measured_again(cut, tmp_path):
    target, path = victim(), tmp_path / "journal.jsonl"
    rows = examples(target, 10)
    expected = run(target, rows, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert all_close(run(target, rows, path), expected)
    for line in path.read_text().splitlines():
        json.loads(line)
    assert {record.idx for record in read_records(path)} == {row.idx for row in rows}


def test_what_finished_before_a_crash_is_kept(tmp_path):
    target, path = victim(), tmp_path / "journal.jsonl"
    rows = examples(target, 20)
    expected = run(target, rows, tmp_path / "other.jsonl")
    score, rounds = target.score, []

    def crashing(texts):
        rounds.append(len(texts))
        if len(rounds) == 12:
            raise KeyboardInterrupt
        return score(texts)

    target.score = crashing
    with pytest.raises(KeyboardInterrupt):
        run(target, rows, path, live=2)
    target.score = score
    kept = read_records(path)
    assert 0 < len(kept) < len(rows)
    assert all_close(run(target, rows, path), expected)


def test_a_finished_example_does_not_wait_for_the_next(tmp_path, monkeypatch):
    target, path, clock = victim(), tmp_path / "journal.jsonl", [0.0]
    records = run(target, examples(target, 2), tmp_path / "other.jsonl")
    monkeypatch.setattr(journal.time, "perf_counter", lambda: clock[0])
    with Journal(path) as book:
        book.add(records[0])
        assert not path.exists()
        clock[0] = 5.0
        book.tick()
        assert len(read_records(path)) == 1 and Journal(path).seconds == 5.0
        book.tick()
    assert len(read_records(path)) == 1
    ticks = []
    monkeypatch.setattr(Journal, "tick", lambda book: ticks.append(len(book._pending)))
    run(target, examples(target, 4), tmp_path / "third.jsonl")
    assert len(ticks) > 4  # more than one for each example: also where none has finished


def test_a_journal_of_other_examples_is_refused(tmp_path):
    target, path = victim(), tmp_path / "journal.jsonl"
    run(target, [Example(0, ("good film",), 0)], path)
    for other in [Example(0, ("bad film",), 0), Example(0, ("good film",), 1)]:
        with pytest.raises(ValueError, match="another text or label for example 0; give each set"):
            run(target, [other], path)


def test_seconds_add_up_over_restarts(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"seconds": 1.5}\n{"seconds": 2.0}\n')
    target = victim()
    run(target, examples(target, 3), path)
    assert 3.5 < journal_seconds(path) < 60


def test_the_key_follows_all_that_decides_a_result():
    rows = [Example(0, ("good",), 0)]
    base = attack_key(attack("synonym"), "weights", rows, 128)
    assert base == attack_key(attack("synonym"), "weights", list(rows), 128) and len(base) == 24
    others = [
        attack_key(attack("synonym", query_budget=5), "weights", rows, 128),
        attack_key(attack("antonym"), "weights", rows, 128),
        attack_key(attack("antonym", antonym_success="remains"), "weights", rows, 128),
        attack_key(attack("antonym", skip_labels=frozenset({1})), "weights", rows, 128),
        attack_key(attack("synonym"), "other", rows, 128),
        attack_key(attack("synonym"), "weights", [Example(1, ("good",), 0)], 128),
        attack_key(attack("synonym"), "weights", [Example(0, ("good",), 1)], 128),
        attack_key(attack("synonym"), "weights", rows, None),
    ]
    assert len({base, *others}) == 9
