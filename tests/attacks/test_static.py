"""Texts that are there already: read, checked, shown to a model as they are."""

from __future__ import annotations

import dataclasses

import pytest
from attack_parts import attack, examples, probabilities_of, victim
from tiny import build_model

from hf_robust.attacks import Example, attack_dataset, attack_key
from hf_robust.attacks.static import examples_of, labelled_file, read_replay, results_on_data, static_name, transferred
from hf_robust.metrics import AttackSummary
from hf_robust.runs import write_records


def attacked(tmp_path, count=40):
    """Records of one model under attack, on disk, and the examples."""
    target = victim()
    rows = examples(target, count)
    records = attack_dataset(attack("synonym"), target, rows, progress=False)
    path = tmp_path / "synonym.jsonl"
    write_records(path, records)
    return path, records, rows


def test_a_file_is_the_models_accuracy_on_it():
    target = victim()
    rows = examples(target, 20)
    static = labelled_file("file_texts", "texts.jsonl", rows)
    assert examples_of(static, [Example(99, ("other",), 0)]) == rows
    records = attack_dataset(static, target, examples_of(static, []), progress=False)
    right = [int(probabilities_of(target, row.texts).argmax()) == row.label for row in rows]
    assert [record.status for record in records] == ["failed" if one else "succeeded" for one in right]
    assert all(record.queries == 1 and record.original == record.perturbed for record in records)
    summary = AttackSummary.from_records(records)
    assert (summary.num_skipped, summary.num_attacked) == (0, 20)
    assert summary.robust_accuracy == pytest.approx(sum(right) / 20) == 1 - summary.asr
    assert summary.queries == 1 and 0 < sum(right) < 20


def test_replay_is_the_transfer_rate(tmp_path):
    path, there, _ = attacked(tmp_path)
    fooled = [record for record in there if record.status == "succeeded"]
    static = transferred("replay_synonym", path.name, read_replay(path))
    other = victim(build_model(seed=3))
    records = attack_dataset(static, other, examples_of(static, []), progress=False)
    assert [record.idx for record in records] == [record.idx for record in fooled]
    for record, source in zip(records, fooled, strict=True):
        texts = [tuple(source.original), tuple(source.perturbed)]
        before, after = (int(probabilities_of(other, text).argmax()) for text in texts)
        if before != source.label:
            assert (record.status, record.queries) == ("skipped", 1)
            continue
        assert (record.status, record.queries) == ("succeeded" if after != source.label else "failed", 2)
        assert record.perturbed == source.perturbed and record.perturbed_prediction == after
    assert {"skipped", "failed"} <= {record.status for record in records}


def test_a_model_is_fooled_by_its_own_texts(tmp_path):
    path, there, _ = attacked(tmp_path)
    static = transferred("replay_synonym", path.name, read_replay(path))
    records = attack_dataset(static, victim(), examples_of(static, []), progress=False)
    assert records and all(record.status == "succeeded" for record in records)
    failed = read_replay(path, succeeded_only=False)
    assert len(failed) == sum(record.status != "skipped" for record in there) > len(records)


def test_one_query_is_no_budget_for_a_replay(tmp_path):
    path, *_ = attacked(tmp_path, 20)
    static = dataclasses.replace(transferred("r", "r.jsonl", read_replay(path)), query_budget=1)
    records = attack_dataset(static, victim(), examples_of(static, []), progress=False)
    assert {(record.status, record.stop, record.queries) for record in records} == {("failed", "budget", 1)}


def test_fingerprints_follow_content_and_not_names():
    rows = [Example(0, ("good",), 0), Example(1, ("bad",), 1)]
    one, same = labelled_file("file_a", "a.csv", rows), labelled_file("file_b", "b/b.jsonl.gz", rows)
    assert one.fingerprint() == same.fingerprint()
    assert attack_key(one, "w", rows, 8) == attack_key(same, "w", rows, 8)
    others = [
        labelled_file("file_a", "a.csv", [rows[0], Example(1, ("bad",), 0)]),
        labelled_file("file_a", "a.csv", [rows[0], Example(1, ("Bad",), 1)]),
        labelled_file("file_a", "a.csv", rows[:1]),
    ]
    assert len({one.fingerprint(), *(other.fingerprint() for other in others)}) == 4
    described = one.describe()
    assert described["candidates"]["source"] == "a.csv" and described["candidates"]["rows"] == 2
    assert described["search"] == "as_it_is"


def test_a_replays_fingerprint_follows_the_perturbed_texts(tmp_path):
    path, *_ = attacked(tmp_path)
    records = read_replay(path)
    one = transferred("r", "r.jsonl", records)
    records[0].perturbed = ["another text"]
    assert one.fingerprint() != transferred("r", "r.jsonl", records).fingerprint()
    assert one.describe()["search"] == "replay"


def test_results_of_own_texts_are_told_apart():
    attacks = {"synonym": attack("synonym"), "file_a": labelled_file("file_a", "a", [Example(0, ("a",), 0)])}
    assert results_on_data(attacks, {"synonym": 1, "file_a": 2}) == {"synonym": 1}


def test_names_are_safe_and_unique():
    assert static_name("file", "/data/advglue/sst2.jsonl.gz") == "file_sst2"
    assert static_name("file", "a b/My texts (v2).CSV") == "file_My_texts_v2"
    assert static_name("file", "x/é.json") == "file_texts"
    assert static_name("file", "b/sst2.tsv", {"file_sst2": 1, "file_sst2_2": 1}) == "file_sst2_3"


def test_bad_replay_files_are_one_sentence(tmp_path):
    path, records, _ = attacked(tmp_path, 20)
    with pytest.raises(ValueError, match="no.jsonl is not a file; give an attack_results"):
        read_replay(tmp_path / "no.jsonl")

    def refused(changed, message):
        write_records(path, changed)
        with pytest.raises(ValueError, match=message):
            read_replay(path)

    won = next(record for record in records if record.status == "succeeded")
    refused([dataclasses.replace(won, status="failed")], "none of its 1 examples succeeded")
    refused([], "none of its 0 examples")
    refused([won, won], "holds an example twice")
    refused([won, dataclasses.replace(won, idx=777, perturbed=["a", "b"])], "mixes single texts and text pairs")
    refused([dataclasses.replace(won, remains=True)], "whose goal is to keep the prediction")
    write_records(path, [won, dataclasses.replace(won, idx=778)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert [record.idx for record in read_replay(path)] == [won.idx]
    path.write_bytes(b'{"idx": 3, ' + b"\n" + whole)
    with pytest.raises(ValueError, match="line 1 is not JSON"):
        read_replay(path)
