"""run_glue_robust.py is a drop-in for run_glue.py: same flags, same weights, same files."""

import csv
import gzip
import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from architectures import build_architecture
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from scipy.stats import pearsonr
from tiny import ANTONYMS, SYNONYMS, build_model, build_tokenizer, pair_rows, review_rows
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
    default_data_collator,
    set_seed,
)
from two_ranks import on_two_ranks

import run_glue_robust
from hf_robust.cli.main import main as command_line
from hf_robust.runs import label_names, load_run, read_records
from hf_robust.trainers import METHODS
from hf_robust.wiring.checkpoint_attack import load_classifier
from run_glue_robust import main

ROOT = Path(__file__).parents[1]
SETTINGS = {
    "per_device_train_batch_size": 4,
    "num_train_epochs": 2,
    "learning_rate": 1e-2,
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
    "seed": 7,
}
FLAGS = [f"--{name}={value}" for name, value in SETTINGS.items()]


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    """A checkpoint without a classifier, so that the head is initialised as in run_glue."""
    folder = tmp_path_factory.mktemp("encoder")
    build_model("bert", dropout=0.1).bert.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def run(model, out, *flags, train=None, validation=None, test=None):
    """Write rows to files, run the script in this process, and return its all_results.json."""
    files = []
    for split, rows in {"train": train, "validation": validation, "test": test}.items():
        if rows is not None:
            files += [f"--{split}_file", write_rows(out.parent / f"{out.name}-{split}.jsonl", rows)]
    main(
        [
            "--model_name_or_path",
            str(model),
            *FLAGS,
            "--output_dir",
            str(out),
            "--max_seq_length",
            "24",
            *files,
            *flags,
        ]
    )
    return results(out)


def results(out, name="all_results"):
    path = out / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def weights(out):
    return load_file(out / "model.safetensors")


def same_weights(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# ---- the same as a stock Trainer ----


def score_rows(count, seed=0):
    return [{**row, "label": index * 0.5} for index, row in enumerate(pair_rows(count, seed))]


def stock_run(folder, out, train, validation, columns, num_labels, compute_metrics):
    """The steps of run_glue with the stock Trainer, without code of this package."""

    def encode(rows):
        texts = [[row[column] for row in rows] for column in columns]
        batch = tokenizer(*texts, padding="max_length", max_length=24, truncation=True)
        return [{**{k: batch[k][i] for k in batch}, "label": row["label"]} for i, row in enumerate(rows)]

    args = TrainingArguments(output_dir=str(out), **SETTINGS)
    set_seed(args.seed)
    config = AutoConfig.from_pretrained(folder, num_labels=num_labels)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, config=config)
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=encode(train),
        eval_dataset=encode(validation),
        compute_metrics=compute_metrics,
        processing_class=tokenizer,
        data_collator=default_data_collator,
    )
    metrics = trainer.train().metrics
    trainer.save_model()
    return {**metrics, **trainer.evaluate()}


def accuracy(evaluated):
    return {"accuracy": (evaluated.predictions.argmax(1) == evaluated.label_ids).mean().item()}


def correlation(evaluated):
    return {"pearson": pearsonr(evaluated.predictions[:, 0], evaluated.label_ids)[0]}


CASES = {
    "single": ((review_rows(18), review_rows(8, 1)), ("sentence",), 2, accuracy, "sst2"),
    "pair": ((pair_rows(18), pair_rows(8, 1)), ("sentence1", "sentence2"), 3, accuracy, None),
    "stsb": ((score_rows(18), score_rows(8, 1)), ("sentence1", "sentence2"), 1, correlation, "stsb"),
}


@pytest.mark.parametrize("case", CASES)
def test_normal_is_bitwise_the_stock_trainer(case, encoder_folder, tmp_path):
    (train, validation), columns, num_labels, compute_metrics, task = CASES[case]
    stock = stock_run(encoder_folder, tmp_path / "stock", train, validation, columns, num_labels, compute_metrics)
    if task is None:
        ours = run(encoder_folder, tmp_path / "ours", "--do_train", "--do_eval", train=train, validation=validation)
    else:
        for split, rows in {"train": train, "validation": validation}.items():
            write_rows(tmp_path / "glue" / task / f"{split}.jsonl", rows)
        flags = ["--do_train", "--do_eval", "--task_name", task, "--glue_dir", str(tmp_path / "glue")]
        ours = run(encoder_folder, tmp_path / "ours", *flags)
    assert same_weights(weights(tmp_path / "stock"), weights(tmp_path / "ours"))
    shared = [key for key in stock if not key.endswith(("runtime", "per_second"))]
    assert {key: ours[key] for key in shared} == {key: stock[key] for key in shared}
    assert {"train_loss", "eval_loss"} <= set(shared)


def test_an_attack_every_epoch_changes_no_weight(model_folder, tmp_path):
    data = {"train": review_rows(12), "validation": review_rows(8, 1)}
    (tmp_path / "synonyms.json").write_text(json.dumps(SYNONYMS))
    plain = run(model_folder(dropout=0.1), tmp_path / "a", "--do_train", "--do_eval", **data)
    flags = ["--attacks", "synonym", "--lexicon", str(tmp_path / "synonyms.json"), "--pos_tagger", "none"]
    attacked = run(model_folder(dropout=0.1), tmp_path / "b", "--do_train", "--do_eval", *flags, **data)
    assert same_weights(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert attacked["eval_accuracy"] == plain["eval_accuracy"] and 0 <= attacked["eval_synonym_asr"] <= 1
    history = [json.loads(line) for line in (tmp_path / "b" / "robustness_history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1.0, 2.0]
    names = ["tradeoff_curves.png", "run_card.json", "README.md", "attack_results/epoch-2/synonym.jsonl"]
    assert all((tmp_path / "b" / name).is_file() for name in names)
    card = json.loads((tmp_path / "b" / "run_card.json").read_text())
    assert card["data"]["train_samples"] == 12 and card["data"]["attack_split"] == "validation"
    assert card["lexicons"]["synonyms"]["fingerprint"] and card["attacks"]["synonym"]["name"] == "synonym"


# ---- the files and numbers of run_glue ----


def test_a_file_of_texts_and_the_kept_weights_through_the_script(model_folder, tmp_path):
    adversarial = write_rows(tmp_path / "adv.jsonl.gz", review_rows(7, seed=9))
    flags = ["--do_train", "--do_eval", "--attacks", "synonym", f"file:{adversarial}", "--attack_strategy", "end"]
    flags += ["--eval_strategy", "epoch", "--save_strategy", "epoch", "--load_best_model_at_end"]
    flags += ["--lexicon", "builtin"]
    found = run(model_folder(), tmp_path / "out", *flags, train=review_rows(16), validation=review_rows(12, seed=5))
    published = load_run(tmp_path / "out")
    assert published.measured_exactly and published.published["attacks"]["file_adv"]["num_examples"] == 7
    assert found["eval_file_adv_robust_accuracy"] == published.published["attacks"]["file_adv"]["robust_accuracy"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| file_adv | – | " in card and "7 labelled adversarial texts from `adv.jsonl.gz`" in card


def test_the_command_on_the_card_makes_the_run_again(model_folder, tmp_path, monkeypatch):
    """The command of a run card runs without its args file, with folders filled in."""
    data, work = tmp_path / "a folder", tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    flags = {
        **SETTINGS, "model_name_or_path": str(model_folder()), "do_train": True, "do_eval": True, "max_seq_length": 24,
        "train_file": write_rows(data / "train.jsonl", review_rows(16)), "output_dir": str(tmp_path / "first"),
        "validation_file": write_rows(data / "dev.jsonl", review_rows(12, seed=5)), "attacks": ["synonym", "antonym"],
        "robust_method": "bat_triplet", "bat_lambda": 0.5, "lexicon": "builtin", "pos_tagger": "none",
        "class_names": ["negative", "positive"],
    }  # fmt: skip
    (work / "args.json").write_text(json.dumps(flags))
    main(["args.json", "--num_train_epochs", "1"])
    (work / "args.json").unlink()
    card = (tmp_path / "first" / "README.md").read_text()
    assert "MODEL_DIR and DATA_DIR stand for folders of the original machine: replace with your own." in card
    assert "fine-tuned from a local checkpoint (`" in card and "from scratch" not in card
    assert str(tmp_path) not in card and "on a folder (16 training examples)" in card
    (line,) = [line for line in card.splitlines() if line.startswith("run_glue_robust ")]
    filled = line.replace("'DATA_DIR/", f"'{data}/").replace("DATA_DIR", f"'{data}'")
    words = shlex.split(filled.replace("MODEL_DIR", str(Path(model_folder()).parent)))
    main(words[1:])
    assert same_weights(weights(tmp_path / "first"), weights(work / "first"))
    first, again = (load_run(folder).published["attacks"] for folder in (tmp_path / "first", work / "first"))
    assert first["synonym"]["asr"] == pytest.approx(again["synonym"]["asr"], nan_ok=True)


@pytest.mark.slow
def test_upstreams_own_test_on_an_mrpc_shaped_csv(model_folder, tmp_path):
    rows = [
        {"sentence1": row["sentence1"], "sentence2": row["sentence2"], "label": ("no", "equivalent")[i % 2]}
        for i, row in enumerate(pair_rows(16))
    ]
    train, dev = write_rows(tmp_path / "train.csv", rows), write_rows(tmp_path / "dev.csv", rows)
    argv = f"""
        --model_name_or_path {model_folder()} --output_dir {tmp_path / "out"} --train_file {train}
        --validation_file {dev} --do_train --do_eval --per_device_train_batch_size=2 --per_device_eval_batch_size=1
        --learning_rate=1e-4 --max_steps=10 --warmup_steps=2 --seed=42 --max_seq_length=24 --overwrite_output_dir
    """.split()
    completed = subprocess.run(
        [sys.executable, ROOT / "run_glue_robust.py", *argv, "--use_cpu"], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert "--overwrite_output_dir does not exist in transformers 5" in completed.stdout + completed.stderr
    found = results(tmp_path / "out")
    assert 0 <= found["eval_accuracy"] <= 1
    assert found["train_samples"] == found["eval_samples"] == 16
    names = ["train_results.json", "eval_results.json", "trainer_state.json", "README.md", "model.safetensors"]
    assert all((tmp_path / "out" / name).is_file() for name in names)


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl.gz"])
def test_all_kinds_of_files_train_alike(ending, model_folder, tmp_path):
    rows = review_rows(12)
    path = write_rows(tmp_path / f"train{ending}", rows)
    found = run(model_folder(), tmp_path / "out", "--do_train", "--train_file", path)
    expected = run(model_folder(), tmp_path / "same", "--do_train", train=rows)
    assert found["train_loss"] == expected["train_loss"] and found["train_samples"] == 12


@pytest.fixture(scope="module")
def mnli_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glue")
    for seed, split in enumerate(("train", "validation_matched", "validation_mismatched", "test_matched")):
        rows = [
            {"premise": row["sentence1"], "hypothesis": row["sentence2"], "label": row["label"], "idx": i}
            for i, row in enumerate(pair_rows(9, seed))
        ]
        write_rows(folder / "MNLI" / f"{split}.jsonl", rows)
        if split == "test_matched":
            write_rows(folder / "MNLI" / "test_mismatched.jsonl", [{**row, "label": -1} for row in rows])
    return folder


def test_mnli_has_a_mismatched_pass_and_two_prediction_files(mnli_dir, model_folder, tmp_path):
    flags = ["--task_name", "mnli", "--glue_dir", str(mnli_dir), "--do_train", "--do_eval", "--do_predict"]
    found = run(
        model_folder(num_labels=3), tmp_path / "out", *flags, "--max_eval_samples", "6", "--max_predict_samples", "4"
    )
    for key in ("eval_accuracy", "eval_loss", "eval_samples"):
        assert {key, f"{key}_mm"} <= results(tmp_path / "out", "eval_results").keys() & found.keys()
    assert found["eval_samples"] == found["eval_samples_mm"] == 6
    for name in ("mnli", "mnli-mm"):
        lines = (tmp_path / "out" / f"predict_results_{name}.txt").read_text().splitlines()
        assert lines[0] == "index\tprediction" and [line.split("\t")[0] for line in lines[1:]] == list("0123")
        assert {line.split("\t")[1] for line in lines[1:]} <= {"entailment", "neutral", "contradiction"}
    config = AutoConfig.from_pretrained(tmp_path / "out")
    assert config.id2label == {0: "entailment", 1: "neutral", 2: "contradiction"}


def test_attacks_on_both_sets_of_mnli(mnli_dir, model_folder, tmp_path):
    table = tmp_path / "synonyms.json"
    table.write_text(json.dumps(SYNONYMS))
    flags = ["--task_name", "mnli", "--glue_dir", str(mnli_dir), "--do_eval", "--attacks", "synonym"]
    flags += ["--lexicon", str(table), "--pos_tagger", "none", "--attack_num_examples", "5", "--attack_mismatched"]
    found = run(model_folder(num_labels=3), tmp_path / "out", *flags)
    assert {"eval_synonym_asr", "eval_synonym_mm_asr", "eval_accuracy_mm"} <= found.keys()
    for name, split in (("synonym", "validation_matched"), ("synonym_mm", "validation_mismatched")):
        rows = [json.loads(line) for line in (mnli_dir / "MNLI" / f"{split}.jsonl").read_text().splitlines()]
        (path,) = (tmp_path / "out" / "attack_results").glob(f"*/{name}.jsonl")
        records = read_records(path)
        assert len(records) == 5
        assert all(one.original == [rows[one.idx]["premise"], rows[one.idx]["hypothesis"]] for one in records)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--attacks", "synonym", "--lexicon", "builtin"],
            "--attack_mismatched needs the split validation_mismatched",
        ),
        ([], "nothing in this run reads --attack_mismatched"),
    ],
)
def test_a_second_set_that_there_is_not_is_refused(flags, message, model_folder, tmp_path):
    with pytest.raises((SystemExit, ValueError), match=message):
        run(model_folder(), tmp_path / "out", "--do_eval", "--attack_mismatched", *flags, validation=review_rows(6))


def test_predictions_go_by_the_checkpoints_own_names(mnli_dir, tmp_path):
    names = {0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"}
    model = build_model(num_labels=3)
    model.config.id2label, model.config.label2id = names, {name: index for index, name in names.items()}
    model.save_pretrained(tmp_path / "model")
    build_tokenizer().save_pretrained(tmp_path / "model")
    flags = ["--task_name", "mnli", "--glue_dir", str(mnli_dir), "--do_eval", "--do_predict"]
    found = run(tmp_path / "model", tmp_path / "out", *flags)
    rows = [json.loads(line) for line in (mnli_dir / "MNLI" / "validation_matched.jsonl").read_text().splitlines()]

    def name_of(row):
        batch = build_tokenizer()(row["premise"], row["hypothesis"], return_tensors="pt")
        return names[int(model.eval()(**batch).logits.argmax())].lower()

    with torch.no_grad():
        right = [name_of(row) == ("entailment", "neutral", "contradiction")[row["label"]] for row in rows]
        tested = [json.loads(line) for line in (mnli_dir / "MNLI" / "test_matched.jsonl").read_text().splitlines()]
        expected = [f"{index}\t{name_of(row)}" for index, row in enumerate(tested)]
    assert found["eval_accuracy"] == pytest.approx(np.mean(right))
    assert (tmp_path / "out" / "predict_results_mnli.txt").read_text().splitlines()[1:] == expected


def test_prediction_of_files_without_labels_and_of_scores(model_folder, tmp_path):
    texts = [{"sentence": row["sentence"]} for row in review_rows(5, 3)]
    named = [{**row, "label": ("bad", "good")[row["label"]]} for row in review_rows(12)]
    run(model_folder(), tmp_path / "a", "--do_train", "--do_predict", train=named, test=texts)
    lines = (tmp_path / "a" / "predict_results_None.txt").read_text().splitlines()
    assert len(lines) == 6 and {line.split("\t")[1] for line in lines[1:]} <= {"bad", "good"}
    assert AutoConfig.from_pretrained(tmp_path / "a").label2id == {"bad": 0, "good": 1}
    scored = [{**row, "label": float(row["label"])} for row in named_scores(12)]
    found = run(
        model_folder(num_labels=1), tmp_path / "b", "--do_train", "--do_eval", "--do_predict",
        train=scored, validation=scored, test=texts,
    )  # fmt: skip
    assert found["eval_mse"] == pytest.approx(found["eval_loss"], rel=1e-5)
    lines = (tmp_path / "b" / "predict_results_None.txt").read_text().splitlines()
    assert all(len(line.split("\t")[1].split(".")[1]) == 3 for line in lines[1:])
    assert AutoConfig.from_pretrained(tmp_path / "b").num_labels == 1


def named_scores(count):
    return [{**row, "label": index / 4} for index, row in enumerate(review_rows(count))]


def test_a_trained_model_is_evaluated_and_predicts_without_training_rows(model_folder, tmp_path):
    named = [{**row, "label": ("bad", "good")[row["label"]]} for row in review_rows(12)]
    trained = run(model_folder(), tmp_path / "a", "--do_train", "--do_eval", train=named, validation=named[:6])
    again = run(tmp_path / "a", tmp_path / "b", "--do_eval", validation=named[:6])
    assert again["eval_loss"] == trained["eval_loss"]


def test_resumed_training_ends_at_the_same_weights(model_folder, tmp_path):
    data = {"train": review_rows(12)}
    flags = ["--do_train", "--save_strategy", "epoch"]
    run(model_folder(dropout=0.1), tmp_path / "whole", *flags, **data)
    checkpoint = tmp_path / "whole" / "checkpoint-3"
    resume = ["--resume_from_checkpoint", str(checkpoint)]
    run(model_folder(dropout=0.1), tmp_path / "resumed", *flags, *resume, **data)
    assert same_weights(weights(tmp_path / "whole"), weights(tmp_path / "resumed"))
    run(model_folder(dropout=0.1), tmp_path / "whole", *flags, "--resume_from_checkpoint", "True", **data)
    assert same_weights(weights(tmp_path / "whole"), weights(tmp_path / "resumed"))


def test_args_file_with_an_override(model_folder, tmp_path):
    flags = {
        **SETTINGS, "model_name_or_path": str(model_folder()), "output_dir": str(tmp_path / "out"), "do_train": True,
        "train_file": write_rows(tmp_path / "train.jsonl", review_rows(8)), "max_seq_length": 24,
    }  # fmt: skip
    (tmp_path / "args.json").write_text(json.dumps(flags))
    main([str(tmp_path / "args.json"), "--max_train_samples", "5"])
    assert results(tmp_path / "out")["train_samples"] == 5


def test_eval_batches_that_are_not_joined(model_folder, tmp_path):
    data = {"validation": review_rows(10), "train": review_rows(10), "test": review_rows(10)}
    flags = ["--do_eval", "--do_predict", "--per_device_eval_batch_size", "4"]
    joined = run(model_folder(), tmp_path / "a", *flags, **data)
    apart = run(model_folder(), tmp_path / "b", *flags, "--eval_do_concat_batches", "False", **data)
    assert joined["eval_accuracy"] == apart["eval_accuracy"]
    texts = [(tmp_path / name / "predict_results_None.txt").read_text() for name in "ab"]
    assert texts[0] == texts[1]


def test_dynamic_padding_and_lora(model_folder, tmp_path):
    pytest.importorskip("peft")
    data = {"train": review_rows(8), "validation": review_rows(6, 1)}
    flags = ["--do_train", "--do_eval", "--pad_to_max_length", "False", "--lora_rank", "2"]
    found = run(model_folder(), tmp_path / "out", *flags, "--lora_target_modules", "query", "value", **data)
    assert 0 <= found["eval_accuracy"] <= 1
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_an_adapter_of_a_model_without_padding_token_is_attacked_in_batches(tmp_path):
    pytest.importorskip("peft")
    base, out = tmp_path / "base", tmp_path / "out"
    config = build_architecture("gpt2").config
    config.pad_token_id, config.num_labels = None, 2
    tokenizer = build_tokenizer()
    tokenizer.pad_token, tokenizer.eos_token = None, "[SEP]"
    for part in (AutoModelForCausalLM.from_config(config), tokenizer):
        part.save_pretrained(base)
    rows = [{**row, "label": ("cold", "warm", "none")[index % 3]} for index, row in enumerate(review_rows(12))]
    flags = ["--do_train", "--do_eval", "--pad_to_max_length", "False", "--lora_rank", "2"]
    found = run(base, out, *flags, train=rows, validation=rows)
    model, tokenizer = load_classifier(str(out), "cpu")
    assert model.config.pad_token_id == tokenizer.pad_token_id == 3
    assert model.config.id2label == {0: "cold", 1: "none", 2: "warm"}
    with torch.no_grad():
        batch = tokenizer([row["sentence"] for row in rows], padding=True, truncation=True, return_tensors="pt")
        guesses = model(**batch).logits.argmax(-1)
    right = [model.config.id2label[int(guess)] == row["label"] for guess, row in zip(guesses, rows, strict=True)]
    assert sum(right) / len(rows) == found["eval_accuracy"]


@pytest.mark.parametrize("kind", ["modernbert", "llama", "t5"])
def test_an_adapter_of_seven_classes_is_evaluated_and_resumed(kind, tmp_path):
    pytest.importorskip("peft")
    base, out = tmp_path / "base", tmp_path / "out"
    model = build_architecture(kind)  # with a head of three classes
    assert model.config.num_labels == 3
    for part in (model, build_tokenizer()):
        part.save_pretrained(base)
    names = ("anger", "fear", "joy", "love", "none", "sadness", "surprise")
    data = {"train": [{**row, "label": names[index % 7]} for index, row in enumerate(review_rows(14))]}
    data["validation"] = data["train"]
    adapter = ["--do_train", "--lora_rank", "2", "--ignore_mismatched_sizes", "True", "--save_strategy", "epoch"]
    flags = ["--do_eval", "--pad_to_max_length", "False", "--learning_rate", "0.05"]
    trained = run(base, out, *flags, *adapter, **data)
    again = run(out, tmp_path / "again", *flags, "--do_predict", **data, test=data["train"])
    assert again["eval_loss"] == pytest.approx(trained["eval_loss"], abs=1e-6)
    assert again["eval_accuracy"] == trained["eval_accuracy"]
    lines = (tmp_path / "again" / "predict_results_None.txt").read_text().splitlines()
    assert {line.split("\t")[1] for line in lines[1:]} <= set(names) and len(lines) == 15
    assert not (tmp_path / "again" / "adapter_model.safetensors").exists()
    checkpoint = max(out.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    by_checkpoint = run(checkpoint, tmp_path / "checkpoint", *flags, **data)
    assert by_checkpoint["eval_loss"] == pytest.approx(trained["eval_loss"], abs=1e-6)
    with pytest.raises(
        ValueError, match="is an adapter, which is measured as it was trained: leave --lora_rank, --dt"
    ):
        run(out, tmp_path / "wrong", *flags, "--lora_rank", "2", "--dtype", "float32", **data)


def test_several_labels_for_each_row(model_folder, tmp_path):
    rows = [{**row, "label": [["a"], ["b", "c"], []][i % 3]} for i, row in enumerate(review_rows(9))]
    found = run(
        model_folder(num_labels=3), tmp_path / "out", "--do_train", "--do_eval", "--do_predict",
        train=rows, validation=rows, test=rows[:2],
    )  # fmt: skip
    assert 0 <= found["eval_f1"] <= 1 and 0 <= found["eval_f1_macro"] <= 1 and 0 <= found["eval_accuracy"] <= 1
    assert (tmp_path / "out" / "predict_results_None.txt").read_text().startswith("index\tprediction\n0\t[")


LABEL_SETS = [["a"], ["b", "c"], []]


def label_set_rows(count):
    return [{**row, "label": LABEL_SETS[index % 3]} for index, row in enumerate(review_rows(count))]


@pytest.mark.slow
def test_several_labels_are_trained_against_an_adversary_and_attacked(model_folder, tmp_path, capsys):
    rows = label_set_rows(18)
    (tmp_path / "s.json").write_text(json.dumps(SYNONYMS))
    lexicon = ["--lexicon", str(tmp_path / "s.json"), "--pos_tagger", "none"]
    attacked = ["--attacks", "synonym", "--attack_ranking", "gradient", *lexicon]
    model = model_folder(num_labels=3)
    out = tmp_path / "out"
    found = run(
        model, out, "--do_train", "--do_eval", "--robust_method", "freelb", "--adv_relative", "--adv_steps", "2",
        *attacked, train=rows, validation=rows,
    )  # fmt: skip
    # Attacks are on all rows, so that both are the share of rows whose whole set is predicted.
    assert found["eval_synonym_accuracy"] == pytest.approx(found["eval_accuracy"])
    run_folder = load_run(out)
    records = read_records(run_folder.records_file(run_folder.published, "synonym"))
    assert {record.label for record in records} == {0b001, 0b110, 0}
    assert label_names(run_folder)[0b110] == "b + c" and label_names(run_folder)[0] == "no label"
    csv_file = write_rows(tmp_path / "rows.csv", [{**row, "label": json.dumps(row["label"])} for row in rows])
    again = tmp_path / "again"
    command_line(["attack", str(out), "--data", csv_file, *attacked, "--output_dir", str(again)])
    measured = load_run(again)
    assert measured.card["problem_type"] == "multi_label_classification"
    assert measured.published["attacks"]["synonym"]["asr"] == pytest.approx(found["eval_synonym_asr"], nan_ok=True)
    assert "are the labels permuted" not in capsys.readouterr().out


@pytest.mark.slow
def test_floats_are_classes_where_something_needs_classes(model_folder, tmp_path, caplog):
    rows = [row | {"label": float(row["label"])} for row in review_rows(12)]
    flags = ["--do_train", "--do_eval", "--num_train_epochs", "1"]
    assert "eval_mse" in run(model_folder(num_labels=1), tmp_path / "plain", *flags, train=rows, validation=rows)
    assert "whole numbers written as floats, 0.0, 1.0, so this is a regression" in caplog.text
    (tmp_path / "s.json").write_text(json.dumps(SYNONYMS))
    attack = ["--attacks", "synonym", "--lexicon", str(tmp_path / "s.json"), "--pos_tagger", "none"]
    for name, more in {
        "attack": attack,
        "method": ["--robust_method", "fgm"],
        "names": ["--class_names", "bad", "good"],
    }.items():
        assert "eval_accuracy" in run(model_folder(), tmp_path / name, *flags, *more, train=rows, validation=rows)


def test_an_evaluation_of_permuted_labels_is_warned_about(model_folder, tmp_path, caplog):
    rows = review_rows(40)
    run(model_folder(), tmp_path / "first", "--do_eval", "--do_predict", validation=rows, test=rows)
    lines = (tmp_path / "first" / "predict_results_None.txt").read_text().splitlines()[1:]
    predicted = [line.endswith("1") for line in lines]
    for name, wrong in (("right", False), ("wrong", True)):
        caplog.clear()
        labelled = [row | {"label": int(one != wrong)} for row, one in zip(rows, predicted, strict=True)]
        found = run(model_folder(), tmp_path / name, "--do_eval", validation=labelled)
        assert found["eval_accuracy"] == 1 - wrong
        assert ("Labels may be permuted: the accuracy on 40 rows is 0.0 %" in caplog.text) == wrong
    (names,) = re.findall(r"To use this order, give --class_names ([^.]*)\.", caplog.text)
    flags = ["--do_eval", "--class_names", *names.split()]
    assert run(model_folder(), tmp_path / "given", *flags, validation=labelled)["eval_accuracy"] == 1
    # Of a model that was trained here no flag turns round the evaluation rows alone.
    caplog.clear()
    flags = ["--do_train", "--do_eval", "--num_train_epochs", "1", "--learning_rate", "1e-9"]
    run(model_folder(), tmp_path / "trained", *flags, train=rows, validation=labelled)
    assert "training and evaluation rows may number their classes differently" in caplog.text
    assert "--class_names" not in caplog.text.split("Labels may be permuted")[1].split("\n")[0]


@pytest.mark.parametrize(
    "asks", [["--robust_method", "bat_triplet", "--lexicon", "builtin", "--do_train"], ["--attacks", "negation"]]
)
def test_antonyms_for_classes_without_names_end_the_run_before_training(asks, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run_glue_robust, "load_model", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(ValueError, match="the classes have no names .*: name the classes with --class_names"):
        run(model_folder(), tmp_path / "out", "--do_eval", *asks, train=review_rows(8), validation=review_rows(8))


@pytest.mark.parametrize("rule", ["authors", "matched"])
def test_a_robust_method_through_the_script(rule, model_folder, tmp_path):
    for name, words in {"s": SYNONYMS, "a": ANTONYMS}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(words))
    flags = ["--lexicon", str(tmp_path / "s.json"), "--antonym_lexicon", str(tmp_path / "a.json")]
    flags += ["--antonym_views", rule, "--pos_tagger", "none", "--class_names", "bad", "good"]
    found = run(
        model_folder(), tmp_path / "out", "--do_train", "--robust_method", "bat_triplet", *flags, train=review_rows(8)
    )
    assert found["train_loss"] > 0
    card = json.loads((tmp_path / "out" / "run_card.json").read_text())
    assert card["method"] == "bat_triplet" and set(card["lexicons"]) == {"synonyms", "antonyms"}
    assert card["config"]["antonym_views"] == rule


@pytest.fixture(scope="module")
def demo_victim(tmp_path_factory):
    """A plain model that has learnt enough of the demo corpus for an attack to succeed."""
    folder = tmp_path_factory.mktemp("demo") / "victim"
    sizes = ["--max_train_samples", "600", "--num_train_epochs", "4", "--learning_rate", "2e-3"]
    run("demo", folder, "--do_train", "--dataset_name", "demo", *sizes)
    return folder


@pytest.mark.slow_but("bat_triplet")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_is_attacked_on_the_demo_corpus_without_files(method, demo_victim, tmp_path):
    sizes = ["--max_train_samples", "32", "--max_eval_samples", "8", "--attack_num_examples", "4"]
    lexicons = ["--lexicon", "builtin", "--antonym_lexicon", "builtin"]
    flags = ["--dataset_name", "demo", "--num_train_epochs", "1", "--robust_method", method, "--attacks", "synonym"]
    known = METHODS[method].config.__dataclass_fields__
    model = "cnn" if METHODS[method].architectures else "demo"
    model = "lstm" if METHODS[method].needs_dropout else model  # the demo's BERT has none
    if "view_attacks" in known:
        # This needs no NLTK data.
        flags += ["--view_attacks", "synonym", "--pos_tagger", "none"]
    if "view_cache" in known:
        flags += ["--view_cache", str(tmp_path / "cache")]
    if "clean_epochs" in known:
        model, flags = demo_victim, [*flags, "--clean_epochs", "0"]  # the model in training is attacked
    elif "view_victim" in known:
        flags += ["--view_victim", str(demo_victim), "--view_fraction", "1"]
    found = run(model, tmp_path / "out", "--do_train", "--do_eval", *flags, *sizes, *lexicons)
    assert found["train_samples"] == 32 and found["eval_samples"] == 8 and math.isfinite(found["train_loss"])
    assert "eval_synonym_asr" in found
    card = json.loads((tmp_path / "out" / "run_card.json").read_text())
    assert card["method"] == method
    assert [one["found"] > 0 for one in card["views"]] == ([True] if "view_cache" in known else [])


@pytest.mark.parametrize(("given", "scores"), [([], "margin"), (["--attack_scores", "probability"], "probability")])
def test_views_are_searched_by_margin_unless_told(given, scores, model_folder, tmp_path):
    """A victim that is very certain would hide its weaknesses from a search by probabilities."""
    data = {"train": review_rows(16), "validation": review_rows(4, 1)}
    lexicon = tmp_path / "s.json"
    lexicon.write_text(json.dumps(SYNONYMS))
    flags = ["--do_train", "--robust_method", "ada", "--view_attacks", "textfooler", "--pos_tagger", "none", *given]
    flags += ["--lexicon", str(lexicon), "--view_victim", str(model_folder()), "--view_cache", str(tmp_path / "cache")]
    run(model_folder(), tmp_path / "out", *flags, **data)
    card = json.loads((tmp_path / "out" / "run_card.json").read_text())
    assert [view["how"]["scores"] for view in card["views"]] == [scores]


# ---- odd data that must work, and wrong input that must not ----


@pytest.mark.parametrize("count", [1, 2])
def test_one_and_two_rows_train(count, model_folder, tmp_path):
    flags = ["--do_train", "--do_eval", "--class_names", "bad", "good", "--attacks", "synonym", "--pos_tagger", "none"]
    flags += ["--lexicon", "builtin"]
    found = run(model_folder(), tmp_path / "out", *flags, train=review_rows(count), validation=review_rows(1))
    assert found["train_samples"] == count and found["eval_samples"] == 1
    # The one row may be misclassified, and then there is no rate: nan, and null where any reader must cope.
    assert "eval_synonym_asr" in found
    history = [json.loads(line) for line in (tmp_path / "out" / "robustness_history.jsonl").read_text().splitlines()]
    assert [line["attacks"]["synonym"]["num_examples"] for line in history] == [1, 1]


ODD_METHODS = ["normal", "bat_triplet", "freelb", "infobert", "dne", "adaptive_tavat"]


@pytest.mark.slow_but("bat_triplet")
@pytest.mark.parametrize("method", ODD_METHODS)
def test_odd_texts_train_evaluate_and_are_attacked(method, model_folder, tmp_path):
    texts = [
        "",
        "good",
        "good " * 10_000,
        "👩‍👩‍👧 film",
        "\u202eשלום عالم\u202c",
        "a\x00b\x07\tfilm\r\nwas",
        "   ",
        "!?",
    ]
    rows = [{"sentence": text, "label": index % 2} for index, text in enumerate(texts)]
    (tmp_path / "s.json").write_text(json.dumps(SYNONYMS))
    flags = ["--attacks", "synonym", "--lexicon", str(tmp_path / "s.json"), "--pos_tagger", "none"]
    (tmp_path / "a.json").write_text(json.dumps(ANTONYMS))
    flags += ["--robust_method", method, "--antonym_lexicon", str(tmp_path / "a.json"), "--skip_labels", "none"]
    budget = ["--attack_query_budget", "20"]
    found = run(
        model_folder(), tmp_path / "out", "--do_train", "--do_eval", *flags, *budget, train=rows, validation=rows
    )
    assert found["eval_samples"] == len(texts) and "eval_synonym_asr" in found


GOOD = review_rows(4)
WRONG = {
    "no label column": (["--do_train"], {"train": [{"text": "good", "y": 1}]}, r"no column 'label'.*\['text', 'y'\]"),
    "unseen class": (
        ["--do_train", "--do_eval"],
        {"train": GOOD, "validation": [{"sentence": "x", "label": 5}]},
        "labels that are no class of the task: 5",
    ),
    "empty": (["--do_train"], {"train": []}, r"train split \(.*\) is empty"),
    "no validation": (["--do_eval"], {"train": GOOD}, "--do_eval needs a validation split"),
    "no test": (["--do_predict"], {"train": GOOD}, "--do_predict needs a test split"),
    "null text": (
        ["--do_train"],
        {"train": [*GOOD, {"sentence": None, "label": 1}]},
        r"row 4 of train \(.*\) has None in column 'sentence', which needs text",
    ),
    "robust regression": (
        ["--do_train", "--robust_method", "safer", "--lexicon", "builtin"],
        {"train": [{"sentence": "good", "label": 0.5}]},
        "--robust_method safer needs one class for each row, and this is a regression",
    ),
    "attacked regression": (
        ["--do_train", "--attacks", "synonym", "--lexicon", "builtin"],
        {"train": [{"sentence": "good", "label": 0.5}]},
        "--attacks synonym needs one class for each row, and this is a regression",
    ),
    "several labels and another method": (
        ["--do_train", "--robust_method", "safer", "--lexicon", "builtin"],
        {"train": [{"sentence": "good", "label": ["a", "b"]}]},
        "--robust_method safer needs one class for each row, and this is a task with several labels for each row: "
        "give --robust_method normal, or a method that perturbs embeddings, such as freelb",
    ),
    "several labels and an obstinate attack": (
        ["--do_train", "--do_eval", "--attacks", "synonym", "antonym", "--lexicon", "builtin"],
        {"train": [{"sentence": "good", "label": ["a", "b"]}], "validation": [{"sentence": "a", "label": ["a"]}]},
        "--attacks antonym needs one class for each text, and this task has several labels: leave it out",
    ),
    "several labels and a certificate": (
        ["--do_train", "--do_eval", "--certify", "end", "--lexicon", "builtin"],
        {"train": [{"sentence": "good", "label": ["a", "b"]}], "validation": [{"sentence": "a", "label": ["a"]}]},
        "--certify end needs one class for each row, and this is a task with several labels",
    ),
    "a list of one 0 or 1 for each label": (
        ["--do_train"],
        {"train": [{"sentence": "good", "label": [0, 1, 1]}]},
        r"has the labels \[0, 1, 1\], where one occurs twice: list the names or ids",
    ),
    "a list of one 0 or 1 for each named label": (
        ["--do_train", "--class_names", "a", "b", "c", "--ignore_mismatched_sizes"],
        {"train": [{"sentence": "good", "label": [1, 0, 1]}]},
        r"has the labels \[1, 0, 1\], where one occurs twice: list the names or ids",
    ),
    "a list of one 0 or 1 for each of two labels": (
        ["--do_train", "--class_names", "a", "b"],
        {"train": [{"sentence": "good", "label": [1, 0]}, {"sentence": "bad", "label": [0, 1]}]},
        r"has the labels \[1, 0\] and no other than 0 and 1 in every row: list the names or ids",
    ),
    "attack without evaluation": (
        ["--do_train", "--attacks", "synonym", "--lexicon", "builtin"],
        {"train": GOOD},
        "add --do_eval",
    ),
    "metric of another kind": (
        ["--do_train", "--metric_name", "mse"],
        {"train": GOOD},
        "--metric_name mse does not fit this kind of task",
    ),
    "f1 of three classes": (
        ["--do_train", "--metric_name", "f1", "--ignore_mismatched_sizes"],
        {"train": [{"sentence": "good", "label": label} for label in (0, 1, 2)]},
        "--metric_name f1 needs two classes, and there are 3; use f1_macro",
    ),
    "lexicon": (["--do_train", "--robust_method", "safer", "--lexicon", "x"], {"train": GOOD}, "exicon 'x'"),
    "a best metric of another kind of data": (
        ["--do_train", "--do_eval", "--eval_strategy", "epoch", "--metric_for_best_model", "mse"],
        {"train": GOOD, "validation": GOOD},
        "--metric_for_best_model mse is no metric of this run's evaluations: there are loss, accuracy",
    ),
    "view attack": (
        ["--do_train", "--robust_method", "ada", "--lexicon", "builtin", "--view_attacks", "synonym", "file:x"],
        {"train": GOOD},
        "--view_attacks must be among .*, got file:x; texts of an earlier run are given by --view_file",
    ),
    "leak": (
        ["--do_train", "--robust_method", "ada", "--view_split", "validation"],
        {"train": GOOD, "validation": GOOD},
        "--view_split is gone: give a split other than the training set by --leaked_view_split",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_sentence_before_training(case, model_folder, tmp_path, monkeypatch):
    flags, data, sentence = WRONG[case]
    monkeypatch.setattr(Trainer, "train", lambda *args, **kwargs: pytest.fail("training began"))
    with pytest.raises(ValueError, match=sentence) as caught:
        run(model_folder(), tmp_path / "out", *flags, **data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "flags",
    [
        ["--do_train", "--do_eval", "--attacks", "textfooler"],
        ["--do_train", "--robust_method", "safer"],
        ["--do_train", "--robust_method", "ada", "--view_attacks", "a2t"],
        ["--do_train", "--certify", "end"],
    ],
)
def test_the_default_lexicon_is_missed_before_anything_is_loaded(flags, tmp_path, monkeypatch):
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: False)
    where = ["--model_name_or_path", str(tmp_path / "nowhere"), "--train_file", str(tmp_path / "none.csv")]
    with pytest.raises(
        ValueError, match="WordNet is not .* NLTK_DATA .* --lexicon FILE .* --lexicon builtin"
    ) as caught:
        main([*where, "--output_dir", str(tmp_path / "out"), *flags])
    assert "\n" not in str(caught.value)
    # Who does not need it is not asked for it.
    with pytest.raises(ValueError, match=r"none\.csv"):
        main([*where, "--output_dir", str(tmp_path / "out"), *flags, "--lexicon", "builtin"])


def test_missing_wordnet_and_network_end_the_run_before_training(model_folder, tmp_path, monkeypatch):
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: False)
    monkeypatch.setattr(Trainer, "train", lambda *args, **kwargs: pytest.fail("training began"))
    flags = ["--do_train", "--do_eval", "--attacks", "antonym", "--antonym_lexicon", "wordnet"]
    flags += ["--class_names", "bad", "good"]
    with pytest.raises(ValueError, match="WordNet is not in NLTK's paths and could not be downloaded"):
        run(model_folder(), tmp_path / "out", *flags, train=GOOD, validation=GOOD)


def test_missing_nltk_data_of_a_view_attack_end_the_run_before_training(model_folder, tmp_path, monkeypatch):
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: False)
    monkeypatch.setattr(Trainer, "train", lambda *args, **kwargs: pytest.fail("training began"))
    with pytest.raises(
        ValueError, match="set NLTK_DATA to a folder that holds it, or pass --pos_tagger none"
    ) as caught:
        run(
            model_folder(),
            tmp_path / "out",
            "--do_train",
            "--robust_method",
            "ada",
            "--lexicon",
            "builtin",
            train=GOOD,
        )
    assert "\n" not in str(caught.value)


def test_a_method_with_views_is_evaluated_without_what_views_are_made_of(model_folder, tmp_path):
    flags = ["--do_eval", "--robust_method", "ada", "--leaked_view_split", "validation"]
    assert "eval_loss" in run(model_folder(), tmp_path / "out", *flags, validation=GOOD, train=GOOD)


def test_results_of_an_earlier_run_are_not_claimed_by_a_new_one(model_folder, tmp_path):
    data = {"train": review_rows(8), "validation": review_rows(4, 1)}
    flags = ["--do_train", "--do_eval"]
    attack = ["--attacks", "synonym", "--pos_tagger", "none", "--lexicon", "builtin"]
    run(model_folder(), tmp_path / "out", *flags, *attack, **data)
    assert "attack success rate, %" in (tmp_path / "out" / "README.md").read_text()
    run(model_folder(), tmp_path / "out", "--do_eval", validation=data["validation"], train=data["train"])
    assert (tmp_path / "out" / "robustness_history.jsonl").is_file()  # nothing was trained: still of these weights
    run(model_folder(), tmp_path / "out", *flags, **data)
    assert not (tmp_path / "out" / "robustness_history.jsonl").exists()
    assert "attack success rate, %" not in (tmp_path / "out" / "README.md").read_text()


def test_the_worst_of_several_attacks_chooses_the_best_model(model_folder, tmp_path):
    """With an obstinate attack too, whose robust accuracy has no meaning."""
    (tmp_path / "s.json").write_text(json.dumps(SYNONYMS))
    flags = [
        "--do_train", "--do_eval", "--eval_strategy", "epoch", "--save_strategy", "epoch", "--load_best_model_at_end",
        "--metric_for_best_model", "eval_union_robust_accuracy", "--pos_tagger", "none",
        "--lexicon", str(tmp_path / "s.json"), "--attacks", "textfooler", "input_reduction",
    ]  # fmt: skip
    data = {"train": review_rows(16), "validation": review_rows(6, 1)}
    with pytest.raises(ValueError, match="needs at least two attacks that change the prediction, got 1"):
        run(model_folder(), tmp_path / "refused", *flags, **data)
    assert not (tmp_path / "refused").exists()
    metrics = run(model_folder(), tmp_path / "out", *flags, "synonym", **data)
    run_folder = load_run(tmp_path / "out")
    assert run_folder.published["union"]["attacks"] == ["textfooler", "synonym"]
    assert metrics["eval_union_robust_accuracy"] == run_folder.published["union"]["robust_accuracy"]
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    assert state["best_metric"] == metrics["eval_union_robust_accuracy"]


@pytest.mark.slow
def test_two_ranks_train_attack_and_predict_as_one_process(model_folder, tmp_path):
    data = {"train": review_rows(16), "validation": review_rows(7, 1), "test": review_rows(5, 2)}
    for name, words in {"s": SYNONYMS, "a": ANTONYMS}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(words))
    flags = [
        "--do_train", "--do_eval", "--do_predict", "--robust_method", "bat_triplet", "--attacks", "synonym", "antonym",
        "--lexicon", str(tmp_path / "s.json"), "--antonym_lexicon", str(tmp_path / "a.json"), "--pos_tagger", "none",
        "--eval_strategy", "epoch", "--save_strategy", "epoch", "--load_best_model_at_end", "--optim", "sgd",
        "--metric_for_best_model", "eval_synonym_robust_accuracy", "--class_names", "bad", "good",
    ]  # fmt: skip
    expected = run(model_folder(), tmp_path / "one", *flags, "--per_device_train_batch_size", "8", **data)
    files = [f"--{split}_file={tmp_path / f'one-{split}.jsonl'}" for split in data]
    argv = ["--model_name_or_path", str(model_folder()), *FLAGS, "--output_dir", str(tmp_path / "two"), *files, *flags]
    script = ROOT / "run_glue_robust.py"
    completed = on_two_ranks(script, *argv, "--max_seq_length", "24", output=tmp_path / "two")
    found = results(tmp_path / "two")
    # No losses: the Trainer's eval_loss counts the row again that fills up the last round, its train_loss is rank 0's.
    shared = [key for key in expected if not key.endswith(("runtime", "per_second", "_seconds", "flos", "loss"))]
    for key in shared:
        assert found[key] == pytest.approx(expected[key], abs=1e-5, nan_ok=True), key
    for name, value in weights(tmp_path / "one").items():
        assert torch.allclose(value, weights(tmp_path / "two")[name], rtol=0.0, atol=1e-5), name
    names = ["predict_results_None.txt", "attack_results/epoch-2/antonym.jsonl"]
    assert [len((tmp_path / "two" / name).read_text().splitlines()) for name in names] == [6, 7]
    assert completed.stdout.count("epoch 2/2  accuracy") == 1


def test_output_dir_that_cannot_be_written(model_folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="--output_dir .* cannot be written to .*: choose another folder"):
        run(model_folder(), tmp_path / "file" / "out", "--do_train", "--train_file", "x.jsonl")


# ---- the model card and the Hub ----


class Recorder:
    """A fake trainer for the end of the script."""

    def __init__(self, push_to_hub):
        self.args = type("Args", (), {"push_to_hub": push_to_hub, "do_train": True})()
        self.calls = []

    def push_to_hub(self, **kwargs):
        self.calls.append(("push_to_hub", kwargs))

    def create_model_card(self, **kwargs):
        self.calls.append(("create_model_card", kwargs))


@pytest.mark.parametrize("push", [True, False])
def test_card_arguments_are_those_of_run_glue(push, tmp_path):
    trainer = Recorder(push)
    run_glue_robust.finish(trainer, "bert-base-uncased", "sst2")
    run_glue_robust.finish(trainer, str(tmp_path), None)
    name = "push_to_hub" if push else "create_model_card"
    glue = {"language": "en", "dataset_tags": "glue", "dataset_args": "sst2", "dataset": "GLUE SST2"}
    common = {"tasks": "text-classification"}
    assert trainer.calls == [(name, {**common, "finetuned_from": "bert-base-uncased", **glue}), (name, common)]


def test_an_evaluation_writes_the_card_of_what_it_measured(model_folder, tmp_path):
    """A model whose run card names its method, and one without a run card."""
    rows = review_rows(12)
    run(model_folder(), tmp_path / "trained", "--do_train", "--robust_method", "freelb", train=rows, validation=rows)
    method = ", trained with the method `freelb` (*FreeLB: Enhanced Adversarial Training for Natural Language "
    for model, known in ((tmp_path / "trained", True), (model_folder(), False)):
        out = tmp_path / f"evaluated-{known}"
        flags = ["--do_eval", "--attacks", "synonym", "--lexicon", "builtin", "--pos_tagger", "none"]
        run(model, out, *flags, "--class_names", "bad", "good", validation=rows)
        card = load_run(out).card
        assert (card["method"], card["citation"]) == (("freelb", "zhu2020freelb") if known else ("checkpoint", ""))
        assert card["model"] == model.name and card["label_names"] == ["bad", "good"]
        assert card["data"]["eval_samples"] == 12 and card["attacks"]["synonym"]["search"] == "greedy"
        assert not {"training", "final_step", "trained_on", "forwards"} & set(card)
        text = (out / "README.md").read_text()
        assert f"The model `{model.name}`" in text and (method in text) is known
        assert "was attacked on examples of " in text and "of the split `validation`" in text
        assert "This run did not train the model: whether training used" in text and "same table" not in text
        assert "- One model; attacked of N = 12" in text and "Trained with" not in text and "held-out" not in text
        tags = ModelCard(text).data.tags
        assert ("freelb" in tags, "adversarial-training" in tags, "checkpoint" in tags) == (known, False, False)


def test_an_evaluation_leaves_the_card_of_a_training_run(model_folder, tmp_path):
    rows = review_rows(8)
    run(model_folder(), tmp_path / "out", "--do_train", train=rows)
    files = {name: (tmp_path / "out" / name).read_bytes() for name in ("run_card.json", "README.md")}
    run(tmp_path / "out", tmp_path / "out", "--do_eval", validation=rows)
    assert files == {name: (tmp_path / "out" / name).read_bytes() for name in files}


def test_mp_fn_calls_main(monkeypatch):
    called = []
    monkeypatch.setattr(run_glue_robust, "main", lambda: called.append(True))
    run_glue_robust._mp_fn(0)
    assert called == [True]


@pytest.mark.slow
def test_trains_and_attacks_on_a_machine_without_datasets_and_nltk(model_folder, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(SYNONYMS))
    argv = [
        "run_glue_robust.py", "--model_name_or_path", str(model_folder()), *FLAGS, "--num_train_epochs=1",
        "--output_dir", str(tmp_path / "out"), "--do_train", "--do_eval", "--attacks", "synonym",
        "--lexicon", str(tmp_path / "s.json"), "--pos_tagger", "none", "--max_seq_length", "24",
        "--train_file", write_rows(tmp_path / "t.csv", review_rows(8)),
        "--validation_file", write_rows(tmp_path / "v.csv", review_rows(4, 1)),
    ]  # fmt: skip
    code = (
        "import sys; sys.modules.update(datasets=None, nltk=None, pandas=None, peft=None); "
        "sys.modules.update(evaluate=None, sklearn=None); "
        f"sys.path.insert(0, {str(ROOT)!r}); import run_glue_robust; run_glue_robust.main({argv[1:]!r})"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert "eval_synonym_asr" in results(tmp_path / "out")


@pytest.mark.parametrize("flags", [[], ["--robust_method", "ada", "--view_attacks", "gradient_mask"]])
def test_an_attack_that_the_model_cannot_meet_is_refused_before_any_training(flags, model_folder, tmp_path):
    folder = shutil.copytree(model_folder(), tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "mask_token": None}))
    attacks = [] if flags else ["--attacks", "gradient_mask"]
    with pytest.raises((SystemExit, ValueError), match="gradient_mask attack cannot run on this model: masking"):
        data = {"train": review_rows(16), "validation": review_rows(8, 1)}
        run(folder, tmp_path / "out", "--do_train", "--do_eval", *attacks, *flags, **data)
    assert not (tmp_path / "out" / "model.safetensors").exists() and not list(tmp_path.rglob("checkpoint-*"))
