"""The journal: a killed measurement goes on where it stopped."""

import json

import pytest
import torch
from attack_parts import all_close, attack, examples, victim

from hf_robust.attacks import Example, attack_dataset, attack_key, journal_seconds
from hf_robust.attacks.engine.journal import Journal, prediction_of, share_path
from hf_robust.runs import balanced_shares, journal, read_records


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


@pytest.mark.parametrize("name", ["synonym", "deepwordbug", "textbugger"])
def test_what_finished_before_a_crash_is_kept(name, tmp_path):
    target, path, which = victim(), tmp_path / "journal.jsonl", attack(name, seed=3)
    rows = examples(target, 20)
    expected = run(target, rows, tmp_path / "other.jsonl", which)
    score, rounds = target.score, []

    def crashing(texts):
        rounds.append(len(texts))
        if len(rounds) == 12:
            raise KeyboardInterrupt
        return score(texts)

    target.score = crashing
    with pytest.raises(KeyboardInterrupt):
        run(target, rows, path, which, live=2)
    target.score = score
    kept = read_records(path)
    assert 0 < len(kept) < len(rows)
    # What a recipe draws for an example depends on nothing but the seed and the example.
    assert all_close(run(target, rows, path, which), expected)


def test_a_finished_example_does_not_wait_for_the_next(tmp_path, monkeypatch):
    target, path, clock = victim(), tmp_path / "journal.jsonl", [0.0]
    records = run(target, examples(target, 2), tmp_path / "other.jsonl")
    monkeypatch.setattr(journal.time, "perf_counter", lambda: clock[0])
    with Journal(path) as book:
        book.add(records[0])
        assert not path.exists()
        clock[0] = 5.0
        book.tick()
        assert len(read_records(path)) == 1 and journal_seconds(path) == 5.0
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
        attack_key(attack("synonym"), "weights", rows, 128, "autocast bfloat16, inference model"),
    ]
    assert len({base, *others}) == 10


def test_precision_and_inference_are_part_of_how_a_victim_predicts():
    class Method:
        def inference(self, model, batch):
            return model(**batch)

    def smoothed(model, batch):
        return model(**batch)

    plain = prediction_of(victim())
    assert plain == "autocast none, inference model"
    half = prediction_of(victim(autocast=lambda: torch.autocast("cpu", torch.bfloat16)))
    assert half == "autocast bfloat16, inference model"
    off = prediction_of(victim(autocast=lambda: torch.autocast("cpu", torch.bfloat16, enabled=False)))
    assert off == plain
    named = [prediction_of(victim(inference=one)) for one in (Method().inference, smoothed)]
    assert named[0].endswith("Method.inference") and named[1].endswith("smoothed") and named[0] != named[1]
    voting = Method()
    voting.inference_settings = "(votes=12)"
    assert prediction_of(victim(inference=voting.inference)).endswith("Method.inference(votes=12)")


def test_any_number_of_ranks_reads_what_others_measured(tmp_path):
    target = victim()
    rows = examples(target, 20)
    expected = attack_dataset(attack("synonym"), target, rows, progress=False)
    for rank, share in enumerate(balanced_shares(rows[:15], 3)):
        run(target, share, share_path(tmp_path, "key", rank, 3))
    (tmp_path / "other-0-of-3.jsonl").write_text("not JSON\nat all\n")
    target.queries, found = 0, []
    for rank, share in enumerate(balanced_shares(rows, 2)):
        found += run(target, share, share_path(tmp_path, "key", rank, 2))
    assert all_close(sorted(found, key=lambda record: record.idx), expected)
    # A text asked before is answered from memory.
    assert 0 < target.queries <= sum(record.queries for record in expected[15:])
    written = [read_records(share_path(tmp_path, "key", rank, 2)) for rank in range(2)]
    assert {record.idx for records in written for record in records} == {row.idx for row in rows[15:]}
    # One process reads the same files too.
    target.queries = 0
    assert all_close(run(target, rows, share_path(tmp_path, "key", 0, 1)), expected) and target.queries == 0


def test_ranks_that_worked_side_by_side_count_once(tmp_path):
    for rank, seconds in enumerate((3.0, 5.0)):
        share_path(tmp_path, "key", rank, 2).write_text(json.dumps({"seconds": seconds}) + "\n")
    share_path(tmp_path, "key", 0, 1).write_text('{"seconds": 2.0}\n{"seconds": 0.5}\n')
    for path in (share_path(tmp_path, "key", 1, 2), share_path(tmp_path, "key", 0, 4)):
        assert journal_seconds(path) == 7.5
    assert journal_seconds(tmp_path / "key.jsonl") == 7.5  # the journal of an older version
    (tmp_path / "key.jsonl").write_text('{"seconds": 1.0}\n')
    assert journal_seconds(share_path(tmp_path, "key", 1, 2)) == 8.5
    assert journal_seconds(tmp_path / "other.jsonl") == 0


def test_the_record_of_this_rank_is_read_where_others_have_the_example_too(tmp_path):
    target, path = victim(), share_path(tmp_path, "key", 1, 2)
    (record,) = run(target, examples(target, 1), path)
    for rank, queries in ((0, 77), (2, 88)):
        other = {**record.to_json(), "queries": queries}
        share_path(tmp_path, "key", rank, 3).write_text(json.dumps(other) + "\n")
    assert list(Journal(path).earlier()) == [record]
    assert [found.queries for found in Journal(share_path(tmp_path, "key", 0, 1)).earlier()] != [record.queries]


def test_another_ranks_torn_line_is_no_warning(tmp_path, caplog):
    share_path(tmp_path, "key", 1, 2).write_text('{"seconds": 1.0}\n{"idx": 3, "la')
    assert journal_seconds(share_path(tmp_path, "key", 0, 2)) == 1.0
    assert caplog.text == ""
