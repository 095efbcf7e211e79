"""`hf-robust challenge`: its flags, its files, and its numbers, computed again from the file that it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_tokenizer, pair_rows, review_rows

from hf_robust.cli.main import main
from hf_robust.metrics import wilson_interval
from hf_robust.runs import load_run, read_card, read_records

Model = Callable[..., Path]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in pair_rows(45)))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def scored(model: Any, texts: list[tuple[str, ...]], labels: list[int]) -> tuple[float, float]:
    """Accuracy and mean cross-entropy, a text at a time, by the model alone."""
    tokenizer, right, losses = build_tokenizer(), [], []
    with torch.no_grad():
        for text, label in zip(texts, labels, strict=True):
            (logits,) = model.eval()(**tokenizer(*text, return_tensors="pt")).logits
            right.append(int(logits.argmax()) == label)
            losses.append(-float(logits.log_softmax(-1)[label]))
    return sum(right) / len(right), sum(losses) / len(losses)


def test_accuracy_and_loss_are_over_all_rows_of_the_written_file(
    model_folder: Model, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, other, out = model_folder(num_labels=3), model_folder("distilbert", num_labels=3), tmp_path / "out"
    flags = ["--data", str(pairs), "--models", str(other), "--output_dir", str(out)]
    assert main(["challenge", str(model), *flags]) == 0
    printed = capsys.readouterr().out
    rows, set_, numbers = (
        pair_rows(45),
        lines(out / "challenge.jsonl"),
        json.loads((out / "challenge.json").read_text()),
    )
    assert [row["idx"] for row in set_] == list(range(45)) and list(set_[0]) == [
        "idx",
        "sentence1",
        "sentence2",
        "label",
    ]
    assert [row["label"] for row in set_] == [row["label"] for row in rows]
    assert all(new["sentence1"] == old["sentence1"] for new, old in zip(set_, rows, strict=True))
    assert all(new["sentence2"].count("[MASK]") == 1 for new in set_)
    labels = [row["label"] for row in rows]
    for kind, found in zip(("bert", "distilbert"), numbers["models"], strict=True):
        for prefix, texts in (("", rows), ("challenge_", set_)):
            model = build_model(kind, 3)
            accuracy, loss = scored(model, [(row["sentence1"], row["sentence2"]) for row in texts], labels)
            assert found[f"{prefix}accuracy"] == pytest.approx(accuracy)
            assert found[f"{prefix}loss"] == pytest.approx(loss, rel=1e-5)
            ends = (found[f"{prefix}accuracy_low"], found[f"{prefix}accuracy_high"])
            assert ends == pytest.approx(wilson_interval(round(45 * accuracy), 45))
            assert found[f"{prefix}loss_low"] < found[f"{prefix}loss"] < found[f"{prefix}loss_high"]
        difference = found["challenge_accuracy"] - found["accuracy"]
        assert found["difference"] == pytest.approx(difference) and found["num_examples"] == 45
    first = numbers["models"][0]
    assert first["right_on_both"] < round(45 * first["challenge_accuracy"]), "some are right once they are masked"
    assert f"its robust accuracy would be {100 * first['right_on_both'] / 45:.1f} %" in printed
    assert (out / "challenge.md").read_text() in printed and str(tmp_path) not in (out / "challenge.json").read_text()


def test_the_file_is_read_as_data_and_as_an_attack_and_the_folder_as_a_run(
    model_folder: Model, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(model_folder(num_labels=3)), tmp_path / "out"
    assert main(["challenge", model, "--data", str(pairs), "--output_dir", str(out)]) == 0
    (found, *_) = json.loads((out / "challenge.json").read_text())["models"]
    run = load_run(out)
    assert run.published["accuracy"] == found["accuracy"] and run.eval_samples == 45
    assert run.published["attacks"]["challenge_gradient"]["robust_accuracy"] == found["challenge_accuracy"]
    assert len(read_records(out / "attack_results" / "challenge_gradient.jsonl")) == 45
    assert main(["report", str(out)]) == 0
    flags = ["--data", str(pairs), "--attacks", f"file:{out / 'challenge.jsonl'}"]
    assert main(["attack", model, *flags, "--output_dir", str(tmp_path / "file")]) == 0
    attacked = load_run(tmp_path / "file").published["attacks"]["file_challenge"]
    assert attacked["robust_accuracy"] == found["challenge_accuracy"] and attacked["num_attacked"] == 45
    flags = ["--data", str(out / "challenge.jsonl"), "--mask", "random", "--num_examples", "20"]
    assert main(["challenge", model, *flags, "--output_dir", str(tmp_path / "again")]) == 0
    (again, *_) = json.loads((tmp_path / "again" / "challenge.json").read_text())["models"]
    assert again["num_examples"] == 20
    capsys.readouterr()


def named(folder: Path, names: list[str], order: list[int], tokenizer: Any = None) -> str:
    """One and the same classifier that numbers its classes in another order."""
    model = build_model(num_labels=3, id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})
    with torch.no_grad():
        for tensor in (model.classifier.weight, model.classifier.bias):
            tensor.copy_(tensor[order])
    model.save_pretrained(folder)
    (tokenizer or build_tokenizer()).save_pretrained(folder)
    return str(folder)


def test_models_that_number_their_classes_otherwise_get_one_set(
    tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["entailment", "neutral", "contradiction"]
    rows = [{**row, "label": names[row["label"]]} for row in pair_rows(45)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first = named(tmp_path / "first", names, [0, 1, 2])
    second = named(tmp_path / "second", [names[2], names[0], names[1]], [2, 0, 1])
    for model, other, out in ((first, second, tmp_path / "a"), (second, first, tmp_path / "b")):
        assert main(["challenge", model, "--data", str(pairs), "--models", other, "--output_dir", str(out)]) == 0
        one, two = json.loads((out / "challenge.json").read_text())["models"]
        assert one["challenge_accuracy"] == two["challenge_accuracy"]
        assert one["challenge_loss"] == pytest.approx(two["challenge_loss"])
    assert lines(tmp_path / "a" / "challenge.jsonl") == lines(tmp_path / "b" / "challenge.jsonl")
    assert {row["label"] for row in lines(tmp_path / "a" / "challenge.jsonl")} == {*names}
    capsys.readouterr()


def test_another_model_sees_its_own_mask_token_and_without_one_it_is_refused_first(
    model_folder: Model, tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = build_tokenizer()
    tokenizer.add_special_tokens({"mask_token": "[UNK]"})
    names = ["a", "b", "c"]
    own = named(tmp_path / "own", names, [0, 1, 2])
    other = named(tmp_path / "other", names, [0, 1, 2], tokenizer)
    flags = ["--data", str(pairs), "--class_names", *names]
    assert main(["challenge", own, *flags, "--models", other, "--output_dir", str(tmp_path / "out")]) == 0
    assert "other was shown its own mask token, [UNK], instead of [MASK]." in capsys.readouterr().out
    one, two = json.loads((tmp_path / "out" / "challenge.json").read_text())["models"]
    assert one["accuracy"] == two["accuracy"] and one["challenge_loss"] != two["challenge_loss"]
    texts = [
        (row["sentence1"], row["sentence2"].replace("[MASK]", "[UNK]"))
        for row in lines(tmp_path / "out" / "challenge.jsonl")
    ]
    _, loss = scored(build_model(num_labels=3), texts, [row["label"] for row in pair_rows(45)])
    assert two["challenge_loss"] == pytest.approx(loss, rel=1e-5)
    config = tmp_path / "other" / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "mask_token": None}))
    out = tmp_path / "none"
    assert main(["challenge", own, *flags, "--models", other, "--output_dir", str(out)]) == 2
    assert "other: masking tokens needs a tokenizer with a mask token" in capsys.readouterr().err
    assert not out.exists()


def test_below_a_model_it_is_a_measurement_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, folder = tmp_path / "reviews.jsonl", tmp_path / "model"
    data.write_text("".join(json.dumps(row) + "\n" for row in [*review_rows(20), {"sentence": "", "label": 1}]))
    build_model().save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    (folder / "run_card.json").write_text(json.dumps({"method": "pgd", "final_step": 3, "data": {"max_length": 9}}))
    assert main(["challenge", str(folder), "--data", str(data)]) == 0
    out = folder / "measured" / "challenge-1"
    numbers = json.loads((out / "challenge.json").read_text())
    assert numbers["unmasked"] == 1 and numbers["models"][0]["max_length"] == 9
    assert "Unchanged texts, whose last column has no token to mask: 1." in capsys.readouterr().out
    card = read_card(out)
    assert (
        card["method"] == "pgd"
        and card["data"]["max_length"] == 9
        and card["command"][:2] == ["hf-robust", "challenge"]
    )
    predictions = lines(out / "challenge_predictions.jsonl")
    assert predictions[-1]["place"] is None and predictions[0]["masked"]
    (found,) = numbers["models"]
    losses = [row["models"][0]["challenge_loss"] for row in predictions]
    assert found["challenge_loss"] == pytest.approx(math.fsum(losses) / len(losses))


@pytest.mark.slow
def test_labels_that_seem_permuted_are_said_before_the_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = named(tmp_path / "model", ["a", "b", "c"], [0, 1, 2]), tmp_path / "out"
    rows, data = pair_rows(120), tmp_path / "pairs.jsonl"
    with torch.no_grad():
        for row in rows:
            encoded = build_tokenizer()(row["sentence1"], row["sentence2"], return_tensors="pt")
            row["label"] = (int(build_model(num_labels=3).eval()(**encoded).logits.argmax()) + 1) % 3
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["challenge", model, "--data", str(data), "--output_dir", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Warning: {model}: Labels may be permuted: the accuracy on 120 rows is 0.0 %")
    assert "Labels may be permuted" in read_card(out)["label_permutation"]
