"""Attacks from files: columns, labels, and the errors if they do not fit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tiny import build_tokenizer

from hf_robust.attacks.static import examples_of
from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.labels import named_labels
from hf_robust.data.load import Corpus
from hf_robust.data.splits import Splits
from hf_robust.metrics import AttackRecord
from hf_robust.runs import write_records
from hf_robust.wiring.static_attacks import file_attacks, label_names_of_run, replay_attacks

NAMES = ("negative", "positive")
ROWS = [{"sentence": "a good film", "label": 1}, {"sentence": "NA", "label": 0}]


def splits(columns: str = "sentence", label: str = "label", **flags: Any) -> Splits:
    rows = [{**{column: "a text" for column in columns.split(",")}, label: 0}]
    args = DataTrainingArguments(
        validation_file="v.jsonl", text_column_names=columns, label_column_name=label, pad_to_max_length=False, **flags
    )
    corpus = Corpus("v.jsonl", {"validation": rows}, {"validation": "v.jsonl"}, label_column=label)
    return Splits(corpus, named_labels(NAMES), build_tokenizer(), args)


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text(text)
    else:
        separator = {".csv": ",", ".tsv": "\t"}[path.suffix]
        lines = [separator.join(map(str, row)) for row in (rows[0], *(row.values() for row in rows))]
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.jsonl.gz", "t.csv", "t.tsv"])
def test_every_format_gives_the_same_examples(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, ROWS)
    ((found, attack),) = file_attacks(["synonym", f"file:{path}"], splits()).items()
    assert found == attack.name == "file_t"
    assert [(one.idx, one.texts, one.label) for one in examples_of(attack, [])] == [
        (0, ("a good film",), 1),
        (1, ("NA",), 0),
    ]
    assert str(tmp_path) not in json.dumps(attack.describe())


def test_labels_by_name_other_columns_and_pairs(tmp_path: Path) -> None:
    rows = [{"idx": 5, "b": "two", "gold": "positive", "a": "one"}, {"idx": 6, "b": "", "gold": "negative", "a": "x"}]
    path = written(tmp_path / "pairs.jsonl", rows)
    (attack,) = file_attacks([f"file:{path}"], splits("a,b", "gold")).values()
    assert [(one.texts, one.label) for one in examples_of(attack, [])] == [(("one", "two"), 1), (("x", ""), 0)]
    joined = splits("a,b", "gold", text_column_delimiter=" ")
    (attack,) = file_attacks([f"file:{path}"], joined).values()
    assert [one.texts for one in examples_of(attack, [])] == [("one two",), ("x ",)]


def test_two_files_of_one_name_and_rows_without_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "deep").mkdir()
    first = written(tmp_path / "t.jsonl", ROWS)
    second = written(tmp_path / "deep" / "t.jsonl", [*ROWS, {"sentence": "?", "label": -1}])
    found = file_attacks([f"file:{first}", f"file:{second}"], splits())
    assert list(found) == ["file_t", "file_t_2"] and len(examples_of(found["file_t_2"], [])) == 2
    assert "1 of 3 rows of file (t.jsonl) have label -1" in caplog.text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"text": "a", "label": 0}],
            "has no column sentence, only text, label: rename .* sentence for the text and label for the labels",
        ),
        ([{"sentence": "a", "gold": 0}], "has no column label"),
        ([{"sentence": "a", "label": 2}], "labels that are no class of the task: 2"),
        ([{"sentence": "a", "label": None}], "row 0 of file .t.jsonl. has no label"),
        ([{"sentence": None, "label": 0}], "row 0 of file .t.jsonl. has None in column 'sentence', which needs text"),
        ([{"sentence": "a", "label": -1}], "file .t.jsonl. has no rows"),
        ([], "has no rows: give a file of labelled adversarial texts"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=message):
        file_attacks([f"file:{path}"], splits())


def test_missing_and_torn_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--attacks file:.*none.csv: .* does not exist"):
        file_attacks([f"file:{tmp_path / 'none.csv'}"], splits())
    path = written(tmp_path / "t.jsonl", ROWS)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="--attacks file:.* is neither JSON lines nor"):
        file_attacks([f"file:{path}"], splits())
    path = written(tmp_path / "t.jsonl.gz", ROWS)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="is not a complete gzip file"):
        file_attacks([f"file:{path}"], splits())


def results(folder: Path, labels: tuple[int, ...] = (0, 1), columns: int = 1) -> Path:
    path = folder / "attack_results" / "pwws.jsonl"
    texts = (["good"] * columns, ["fine"] * columns)
    write_records(
        path,
        [AttackRecord(i, label, "succeeded", *texts, [], 9, 1, 0, 0.9, 0.1, "", 3) for i, label in enumerate(labels)],
    )
    return path


def test_label_ids_are_translated_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = results(tmp_path)
    (attack,) = replay_attacks([path], NAMES, 1).values()
    assert attack.name == "replay_pwws" and [one.label for one in examples_of(attack, [])] == [0, 1]
    assert "are read as the ids of the model's classes, 0 negative, 1 positive, because one of the two" in caplog.text
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"1": "Negative", "0": "positive"}}))
    (attack,) = replay_attacks([path], NAMES, 1).values()
    assert [one.label for one in examples_of(attack, [])] == [1, 0]
    (tmp_path / "attack_summary.json").write_text(json.dumps({"label_names": NAMES}))
    found = replay_attacks([path, path], NAMES, None, ["replay_pwws"])
    assert list(found) == ["replay_pwws_2", "replay_pwws_3"]
    assert [one.label for one in examples_of(found["replay_pwws_2"], [])] == [0, 1]


@pytest.mark.parametrize(
    ("beside", "own", "class_names", "labels"),
    [
        (None, NAMES, ["positive", "negative"], [1, 0]),  # the file's ids are named
        (["LABEL_0", "LABEL_1"], NAMES, ["positive", "negative"], [1, 0]),
        (None, ["LABEL_0", "LABEL_1"], ["positive", "negative"], [0, 1]),
        (None, NAMES, ["LABEL_1", "LABEL_0"], [1, 0]),
        (["positive", "negative"], ["LABEL_0", "LABEL_1"], NAMES, [1, 0]),  # the model's classes are
        (["pos", "neg"], NAMES, ["neg", "pos"], [1, 0]),
        (["positive", "negative"], NAMES, NAMES, [1, 0]),
        (["0", "1"], ["0", "1"], None, [0, 1]),
    ],
)
def test_class_names_say_what_ids_mean(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, beside: Any, own: Any, class_names: Any, labels: list[int]
) -> None:
    path = results(tmp_path)
    if beside:
        (tmp_path / "attack_summary.json").write_text(json.dumps({"label_names": beside}))
    (attack,) = replay_attacks([path], own, 1, class_names=class_names).values()
    assert [one.label for one in examples_of(attack, [])] == labels
    assert not caplog.text


def test_ids_without_meaning_are_said_to_be_taken_for_the_models(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "attack_summary.json").write_text(json.dumps({"label_names": ["LABEL_0", "LABEL_1"]}))
    for own in (["LABEL_0", "LABEL_1"], NAMES, ["0", "1"]):
        caplog.clear()
        (attack,) = replay_attacks([results(tmp_path)], own, 1).values()
        assert [one.label for one in examples_of(attack, [])] == [0, 1]
        assert "because one of the two has no names" in caplog.text and "--class_names" in caplog.text


def test_integers_beside_data_with_names_are_said_to_be_taken_for_ids(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, data = written(tmp_path / "t.jsonl", ROWS), splits()
    file_attacks([f"file:{path}"], data)
    assert "integers" not in caplog.text
    data.corpus.splits["validation"][0]["label"] = "negative"
    file_attacks([f"file:{path}"], data)
    assert "are integers and those of the data are names, so the integers are read as the ids" in caplog.text


def test_a_replay_of_another_task_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has the label ids 2, and the 2 labels of the model are negative, positive"):
        replay_attacks([results(tmp_path, (0, 2))], NAMES, 1)
    with pytest.raises(ValueError, match="has texts of 2 columns and the data has 1"):
        replay_attacks([results(tmp_path, columns=2)], NAMES, 1)
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "no", "1": "yes"}}))
    with pytest.raises(ValueError, match="with the labels no, yes, and this model has negative, positive"):
        replay_attacks([results(tmp_path)], NAMES, 1)


def test_results_of_texts_with_several_labels_are_refused_where_labels_are_ids(tmp_path):
    (tmp_path / "config.json").write_text('{"problem_type": "multi_label_classification", "id2label": {"0": "a"}}')
    with pytest.raises(ValueError, match="the texts of .* have several labels, and this command needs one class"):
        label_names_of_run(tmp_path / "attack_results" / "synonym.jsonl")
