import gzip
import json

import pytest

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.load import load_corpus

ROWS = [{"sentence": "good", "label": 1}, {"sentence": "bad", "label": 0}]


def save(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def test_files_by_role_with_where_they_came_from(tmp_path):
    train, test = save(tmp_path / "a.jsonl", ROWS), save(tmp_path / "b.json.gz", ROWS[:1])
    corpus = load_corpus(DataTrainingArguments(train_file=train, test_file=test))
    assert corpus.splits == {"train": ROWS, "test": ROWS[:1]}
    assert corpus.origins == {"train": "a.jsonl", "test": "b.json.gz"}
    with pytest.raises(ValueError, match=r"--do_eval needs a validation split, and \w+ has \['train', 'test'\]"):
        corpus.rows("validation")


def test_files_are_called_by_the_folder_that_holds_them(tmp_path, monkeypatch):
    files = [tmp_path / "reviews" / name for name in ("train.jsonl", "dev.jsonl")]
    for path in files:
        path.parent.mkdir(exist_ok=True)
        save(path, ROWS)
    train, dev = map(str, files)
    assert load_corpus(DataTrainingArguments(train_file=train, validation_file=dev)).name == "reviews"
    assert load_corpus(DataTrainingArguments(validation_file=dev)).name == "reviews"
    other = save(tmp_path / "other.jsonl", ROWS)
    assert (
        load_corpus(DataTrainingArguments(train_file=train, validation_file=other)).name == "train.jsonl, other.jsonl"
    )
    # A user's home would be the user's name, and where one works says nothing.
    monkeypatch.setenv("HOME", str(tmp_path / "reviews"))
    assert load_corpus(DataTrainingArguments(train_file=train, validation_file=dev)).name == "train.jsonl, dev.jsonl"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "reviews")
    assert load_corpus(DataTrainingArguments(train_file="train.jsonl")).name == "train.jsonl"


def test_files_of_two_kinds_are_an_error(tmp_path):
    train = save(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "b.csv").write_text("sentence,label\ngood,1\n")
    with pytest.raises(ValueError, match="must be of one kind, got .csv, .jsonl"):
        load_corpus(DataTrainingArguments(train_file=train, validation_file=str(tmp_path / "b.csv")))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["1", "0", ""], [1, 0, None]),
        (["1.5", "0", "-2e-1"], [1.5, 0.0, -0.2]),
        (["1", "x", "NA"], ["1", "x", "NA"]),
        (["-1", "0", "1"], [-1, 0, 1]),
        (["1.0", " 0", "  "], [1.0, 0.0, None]),
    ],
)
def test_csv_labels_are_numbers_where_all_are(tmp_path, written, read):
    path = tmp_path / "a.csv"
    path.write_text("sentence,label\n" + "".join(f"007,{label}\n" for label in written))
    rows = load_corpus(DataTrainingArguments(train_file=str(path))).splits["train"]
    assert [row["label"] for row in rows] == read
    assert [type(row["label"]) for row in rows] == [type(value) for value in read]
    assert {row["sentence"] for row in rows} == {"007"}


def test_each_csv_split_has_integers_or_floats_of_its_own(tmp_path):
    written = {"train": "0 1 1", "validation": "0.0 1.0", "test": "1"}
    for name, labels in written.items():
        (tmp_path / f"{name}.csv").write_text("sentence,label\n" + "".join(f"a,{one}\n" for one in labels.split()))
    splits = load_corpus(DataTrainingArguments(dataset_name=str(tmp_path))).splits
    read = {name: [row["label"] for row in rows] for name, rows in splits.items()}
    assert read == {"train": [0, 1, 1], "validation": [0.0, 1.0], "test": [1]}
    assert [type(read[name][0]) for name in written] == [int, float, int]
    (tmp_path / "test.csv").write_text("sentence,label\na,x\n")
    splits = load_corpus(DataTrainingArguments(dataset_name=str(tmp_path))).splits
    assert [row["label"] for row in splits["train"]] == ["0", "1", "1"]  # text in one split is text in all


def test_csv_labels_are_lists_where_all_are(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('sentence,label\na,"[""x"", ""y""]"\nb,[]\nc,\n')
    rows = load_corpus(DataTrainingArguments(train_file=str(path))).splits["train"]
    assert [row["label"] for row in rows] == [["x", "y"], [], None]
    path.write_text("sentence,label\na,[x]\n")
    with pytest.raises(ValueError, match=r"the label \[x\] is no JSON list: write"):
        load_corpus(DataTrainingArguments(train_file=str(path)))
    path.write_text("sentence,label\na,[x]\nb,y\n")
    rows = load_corpus(DataTrainingArguments(train_file=str(path))).splits["train"]
    assert [row["label"] for row in rows] == ["[x]", "y"]


def test_labels_of_a_json_file_beside_a_csv_file_stay_as_they_are(tmp_path):
    (tmp_path / "train.csv").write_text("sentence,label\na,0\nb,1\nc,\n")
    (tmp_path / "validation.jsonl").write_text('{"sentence": "a", "label": 0}\n{"sentence": "b", "label": 1}\n')
    splits = load_corpus(DataTrainingArguments(dataset_name=str(tmp_path))).splits
    assert [row["label"] for row in splits["train"]] == [0, 1, None]
    assert [row["label"] for row in splits["validation"]] == [0, 1]


def test_glue_dir_with_one_file_for_each_split(tmp_path):
    for name in ("train", "dev", "test"):
        save(tmp_path / "SST-2" / f"{name}.jsonl.gz", ROWS)
    corpus = load_corpus(DataTrainingArguments(task_name="SST2", glue_dir=str(tmp_path)))
    assert corpus.name == "glue/sst2"
    assert set(corpus.splits) == {"train", "validation", "test"}
    assert corpus.label_names == ("negative", "positive")


def test_glue_dir_mnli_has_mismatched_splits_and_others_do_not(tmp_path):
    names = ["train", "validation_matched", "validation_mismatched", "test_matched", "test_mismatched"]
    for index, name in enumerate(names):
        save(tmp_path / "mnli" / f"{name}.json", [{"premise": name, "hypothesis": "", "label": index % 3}])
    corpus = load_corpus(DataTrainingArguments(task_name="mnli", glue_dir=str(tmp_path)))
    assert {role: rows[0]["premise"] for role, rows in corpus.splits.items()} == {
        "train": "train",
        "validation": "validation_matched",
        "validation_mismatched": "validation_mismatched",
        "test": "test_matched",
        "test_mismatched": "test_mismatched",
    }
    folder = load_corpus(DataTrainingArguments(dataset_name=str(tmp_path / "mnli")))
    assert set(folder.splits) == {"train", "validation", "test"}


def test_folder_laid_out_as_a_hub_data_set_keeps_its_label_names(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    made = datasets.Dataset.from_list(ROWS, features=features)
    (tmp_path / "hub" / "one").mkdir(parents=True)
    made.to_parquet(tmp_path / "hub" / "one" / "train-00000-of-00001.parquet")
    (tmp_path / "hub" / "README.md").write_text(
        "---\nconfigs:\n- config_name: one\n  data_files:\n  - split: train\n    path: one/train-*\n---\n# data\n"
    )
    corpus = load_corpus(DataTrainingArguments(dataset_name=str(tmp_path / "hub"), dataset_config_name="one"))
    assert corpus.splits["train"] == ROWS and corpus.label_names == ("no", "yes")
    datasets.DatasetDict({"train": made}).save_to_disk(tmp_path / "saved")
    assert load_corpus(DataTrainingArguments(dataset_name=str(tmp_path / "saved"))).splits["train"] == ROWS


def test_offline_hub_is_one_sentence():
    pytest.importorskip("datasets")
    with pytest.raises(ValueError, match="cannot load the data set nobody/nothing: .*--dataset_name FOLDER"):
        load_corpus(DataTrainingArguments(dataset_name="nobody/nothing"))


def test_splits_by_name_joined_removed_and_missing(tmp_path):
    for index, name in enumerate(("one", "two", "train")):
        save(tmp_path / f"{name}.jsonl", [{"sentence": name, "label": index, "extra": 0}])
    folder = str(tmp_path)
    corpus = load_corpus(
        DataTrainingArguments(dataset_name=folder, train_split_name="one,two", remove_columns="extra")
    )
    assert corpus.splits == {"train": [{"sentence": "one", "label": 0}, {"sentence": "two", "label": 1}]}
    assert "train" not in load_corpus(DataTrainingArguments(dataset_name=folder, remove_splits="train")).splits
    with pytest.raises(ValueError, match="--test_split_name: .* has no split three: choose among"):
        load_corpus(DataTrainingArguments(dataset_name=folder, test_split_name="three"))


def test_folders_without_splits_or_with_two_files_for_one(tmp_path):
    with pytest.raises(ValueError, match="has no split: add files such as train.jsonl"):
        load_corpus(DataTrainingArguments(dataset_name=str(tmp_path)))
    save(tmp_path / "train.json", ROWS)
    save(tmp_path / "train.jsonl", ROWS)
    with pytest.raises(ValueError, match="several files for split train"):
        load_corpus(DataTrainingArguments(dataset_name=str(tmp_path)))


def test_shuffle_is_seeded_and_a_permutation(tmp_path):
    rows = [{"sentence": str(i), "label": i % 2} for i in range(50)]
    path = save(tmp_path / "train.jsonl", rows)

    def shuffled(seed):
        args = DataTrainingArguments(train_file=path, shuffle_train_dataset=True, shuffle_seed=seed)
        return load_corpus(args).splits["train"]

    assert shuffled(1) == shuffled(1) != shuffled(2)
    assert sorted(shuffled(1), key=lambda row: int(row["sentence"])) == rows


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({}, "no data is named: give a GLUE task"),
        ({"task_name": "sst3"}, "--task_name sst3 is not a GLUE task"),
        ({"glue_dir": "x", "dataset_name": "y"}, "--glue_dir needs a --task_name"),
        ({"dataset_name": "x", "max_seq_length": 0}, "--max_seq_length must be at least 1"),
        ({"dataset_name": "x", "shuffle_seed": -1}, "--shuffle_seed must be at least 0, got -1"),
        ({"dataset_name": "x", "max_eval_samples": 0}, "--max_eval_samples must be at least 1"),
        ({"dataset_name": "x", "text_column_delimiter": " "}, "needs --text_column_names"),
    ],
)
def test_contradictory_flags_are_one_sentence(flags, sentence):
    with pytest.raises(ValueError, match=sentence):
        DataTrainingArguments(**flags)


def test_glue_dir_that_is_not_there():
    with pytest.raises(ValueError, match="is not a folder: give a folder with files such as sst2/train.jsonl"):
        load_corpus(DataTrainingArguments(task_name="sst2", glue_dir="/nowhere"))
