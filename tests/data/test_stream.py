"""A stream has the rows of a data set in memory, in an order by its seed, and checks them when they are read."""

import csv
import json
from itertools import islice

import pytest
from accelerate.data_loader import prepare_data_loader
from tiny import build_model, build_tokenizer, review_rows
from torch.utils.data import DataLoader

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.label_order import find_labels
from hf_robust.data.load import load_corpus
from hf_robust.data.splits import Splits, describe_data
from hf_robust.data.stream import TextStream

ROWS = review_rows(1200)
CONFIG = build_model("bert").config


def write(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def splits_of(tmp_path, rows, validation=None, ending="jsonl", streaming=True, **flags):
    files = {"train_file": write(tmp_path / f"train.{ending}", rows)}
    if validation is not None:
        files["validation_file"] = write(tmp_path / f"validation.{ending}", validation)
    args = DataTrainingArguments(**files, streaming=streaming, max_seq_length=16, **flags)
    corpus = load_corpus(args)
    labels = find_labels(corpus, args, CONFIG)
    return Splits(corpus, labels, build_tokenizer(), args, CONFIG)


def first_items(stream, rows):
    return list(islice(iter(stream), rows))


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
@pytest.mark.parametrize("flags", [{}, {"pad_to_max_length": False}])
def test_a_stream_in_order_has_the_items_of_the_data_set(tmp_path, ending, flags):
    streamed = splits_of(tmp_path, ROWS, ROWS[:20], ending, **flags).streamed(None)
    in_memory = splits_of(tmp_path, ROWS, ROWS[:20], ending, streaming=False, **flags).labelled("train")
    assert first_items(streamed, 2 * len(ROWS)) == 2 * [in_memory[row] for row in range(len(in_memory))]


def test_passes_have_the_same_rows_in_orders_by_the_seed(tmp_path):
    rows = [{"sentence": " ".join(["good"] * (index % 13 + 1)), "label": index % 2} for index in range(300)]
    splits = splits_of(tmp_path, rows, rows[:2])
    read = [tuple(item["input_ids"]) for item in first_items(splits.streamed(3), 600)]
    source = [tuple(item["input_ids"]) for item in first_items(splits.streamed(None), 300)]
    assert sorted(read[:300]) == sorted(read[300:]) == sorted(source)
    assert len({tuple(read[:300]), tuple(read[300:]), tuple(source)}) == 3
    assert read == [tuple(item["input_ids"]) for item in first_items(splits.streamed(3), 600)]
    assert read != [tuple(item["input_ids"]) for item in first_items(splits.streamed(4), 600)]


def test_ranks_share_the_batches_of_a_data_set_in_memory(tmp_path):
    rows = [{**row, "sentence": f"{'good ' * (index % 11)}film"} for index, row in enumerate(review_rows(24))]

    def batches(dataset, rank):
        loader = DataLoader(dataset, batch_size=4, collate_fn=lambda items: [item["input_ids"] for item in items])
        options = {"num_processes": 2, "process_index": rank, "put_on_device": False, "dispatch_batches": False}
        return list(islice(iter(prepare_data_loader(loader, **options)), 3))

    stream = splits_of(tmp_path, rows, rows, pad_to_max_length=False).streamed(None)
    in_memory = splits_of(tmp_path, rows, rows, streaming=False, pad_to_max_length=False).labelled("train")
    assert batches(stream, 0) == batches(in_memory, 0) != batches(stream, 1) == batches(in_memory, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"sentence": "good", "label": 7},
            "rows 1,000 to 1,200 as read, has labels that are no class .*7.*class_names",
        ),
        ({"sentence": "good", "label": None}, "among rows 1,000 to 1,200 as read, has no label"),
        ({"sentence": 5, "label": 1}, "has 5 in column 'sentence'"),
    ],
)
def test_a_wrong_row_is_named_when_it_is_read(tmp_path, row, message):
    stream = splits_of(tmp_path, [*ROWS, row], ROWS[:20]).streamed(None)
    rows = iter(stream)
    assert len(list(islice(rows, 1000))) == 1000
    with pytest.raises(ValueError, match=message):
        next(rows)


def test_rows_without_a_label_are_left_out(tmp_path):
    unlabelled = [{**row, "label": -1} for row in ROWS[:5]]
    splits = splits_of(tmp_path, [*unlabelled, *ROWS[:10]], ROWS[:20])
    stream, labelled = splits.streamed(None), splits.streamed(None).head
    assert first_items(stream, 20) == 2 * [labelled[row] for row in range(10)]
    stream.rows = stream.rows.take(5)
    with pytest.raises(ValueError, match="no row of train .* has a label"):
        next(iter(stream))


def test_class_names_are_known_before_the_rows_are_read(tmp_path):
    named = [{**row, "label": ["negative", "positive"][row["label"]]} for row in ROWS[:20]]
    with pytest.raises(ValueError, match="--streaming needs the names of all classes .*--class_names"):
        splits_of(tmp_path, named)
    assert splits_of(tmp_path, named, class_names=["positive", "negative"]).labels.names == ("positive", "negative")
    assert splits_of(tmp_path, named, named).labels.names == ("negative", "positive")
    assert splits_of(tmp_path, named, do_regression=True).labels.is_regression


def test_the_classes_of_a_trained_model_are_those_of_the_data(tmp_path, monkeypatch):
    trained = build_model("bert", num_labels=3).config
    trained.id2label = {0: "neutral", 1: "positive", 2: "negative"}
    monkeypatch.setitem(globals(), "CONFIG", trained)
    named = [{**row, "label": ["negative", "positive"][row["label"]]} for row in ROWS[:20]]
    for validation in (None, named):  # the validation rows have two of the three classes
        assert splits_of(tmp_path, named, validation).labels.names == ("neutral", "positive", "negative")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["0.5", "-1", "2e1"], [0.5, -1.0, 20.0]), (['["a"]', "[]", '["b", "a"]'], [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])],
)
def test_labels_of_csv_files_are_read_by_the_kind_of_the_task(tmp_path, labels, expected):
    rows = [{"sentence": "good", "label": label} for label in labels]
    stream = splits_of(tmp_path, rows, rows, "csv").streamed(None)
    assert [item["label"] for item in first_items(stream, 3)] == expected


def test_the_run_card_says_what_is_streamed(tmp_path):
    splits = splits_of(tmp_path, ROWS, ROWS[:20])
    stream, evaluation = splits.streamed(3), splits.labelled("validation")
    data = describe_data(splits.corpus, stream, evaluation, splits.labels)
    assert data["variant"] == "train: train.jsonl (streamed); validation: validation.jsonl (20 rows)"
    assert data["streaming"] == {"shuffled_rows": 10_000} and data["train_samples"] is None
    assert data["fingerprint"] == f"{stream.fingerprint()}-{evaluation.fingerprint()}"
    assert stream.fingerprint() != stream.head.fingerprint()
    in_order = describe_data(splits.corpus, splits.streamed(None), evaluation, splits.labels)
    assert in_order["streaming"] == {"shuffled_rows": 0}


def test_a_stream_reads_no_more_than_it_needs(tmp_path):
    splits = splits_of(tmp_path, ROWS, ROWS[:20])
    stream = splits.streamed(None)
    read = []
    encode = stream.encode
    counted = TextStream(
        stream.rows, lambda rows, place: read.append(len(rows)) or encode(rows, place), stream.head, None
    )
    assert len(list(islice(iter(counted), 10))) == 10 and read == [1000]


def test_a_set_without_rows_is_refused(tmp_path):
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(ValueError, match="the train split .* is empty"):
        load_corpus(DataTrainingArguments(train_file=str(tmp_path / "train.jsonl"), streaming=True))
