"""`hf-robust interpret pairs`, `space`, `errors` and `conflict`: their flags and their files."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import ANTONYMS, SYNONYMS, build_model, build_tokenizer, review_rows
from transformers import AutoModelForSequenceClassification

from hf_robust.cli.command import Command
from hf_robust.cli.interpret import pairs as pair_commands
from hf_robust.cli.interpret.pairs import TASKS
from hf_robust.cli.output import model_names
from hf_robust.interpret.head import EMBEDDINGS
from hf_robust.metrics import AttackRecord
from hf_robust.runs import write_records

ROOT = Path(__file__).parents[1]
SWAPS = {"good": "fine", "warm": "tender", "bad": "poor", "cold": "chilly"}
OPPOSITES = {"good": "bad", "warm": "cold", "bad": "good", "cold": "warm"}


def call(task: str, *flags: Any) -> str:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    TASKS[task].add_flags(parser)
    return TASKS[task].run(parser.parse_args([str(flag) for flag in flags]))


def swapped(sentence: str, swaps: dict[str, str]) -> str:
    for old, new in swaps.items():
        if old in sentence:
            return sentence.replace(old, new, 1)
    return sentence


def records(swaps: dict[str, str], count: int = 24, status: str = "succeeded", **other: Any) -> list[AttackRecord]:
    made = []
    for index, row in enumerate(review_rows(count)):
        right = row["label"] if index % 3 else 1 - row["label"]
        made.append(
            AttackRecord(
                idx=index, label=row["label"], status=status, original=[row["sentence"]],
                perturbed=[swapped(row["sentence"], swaps)], changed=[], queries=2, original_prediction=right,
                perturbed_prediction=1 - right, original_score=0.6, perturbed_score=0.4, stop="success",
                num_candidates=1, **other,
            )
        )  # fmt: skip
    return made


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Result files of a synonym and of an antonym attack."""
    made = {"synonym": records(SWAPS), "antonym": records(OPPOSITES, remains=True)}
    paths = {name: tmp_path / "run" / f"{name}.jsonl" for name in made}
    for name, found in made.items():
        write_records(paths[name], found)
    return paths


def test_tasks_are_commands_with_help() -> None:
    assert list(TASKS) == ["pairs", "space", "errors", "conflict"]
    assert all(isinstance(task, Command) and task.help.endswith(".") for task in TASKS.values())


def test_flags_are_made_without_torch() -> None:
    code = "import sys, argparse, hf_robust.cli.interpret.pairs as p\n"
    code += "for task in p.TASKS.values(): task.add_flags(argparse.ArgumentParser())\n"
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    assert pair_commands.POOLINGS == EMBEDDINGS


def test_pairs_shows_every_model_the_same_texts(
    model_folder: Callable[..., Path], files: dict[str, Path], tmp_path: Path
) -> None:
    models = [model_folder(), model_folder("distilbert")]
    printed = call("pairs", "--model", *models, "--pairs", files["synonym"], "--output_dir", tmp_path / "out")
    written = json.loads((tmp_path / "out" / "pairs.json").read_text())
    assert [row["num_pairs"] for row in written["models"]] == [24, 24]
    assert [row["model"] for row in written["models"]] == [models[0].name, models[1].name]
    for row in written["models"]:
        assert row["mse_neg"] > row["mse_pos"] > 0 and row["kl_neg_std"] > 0
        assert row["ctr"] < math.log(23)
        assert f"| {row['model']} | 24 | {row['mse_pos']:.4g} |" in printed
    table = (tmp_path / "out" / "pairs.md").read_text()
    assert printed == f"{table}\nWritten to {tmp_path / 'out'}.\n"
    assert call("pairs", "--model", *models, "--pairs", files["synonym"]) == table
    fewer = call("pairs", "--model", models[0], "--pairs", files["synonym"], "--num_pairs", 10)
    assert f"| {models[0].name} | 10 |" in fewer


def test_pairs_of_the_encoder_before_fine_tuning_have_the_first_row(
    model_folder: Callable[..., Path], files: dict[str, Path], tmp_path: Path
) -> None:
    encoder, out = tmp_path / "encoder", tmp_path / "out"
    model = AutoModelForSequenceClassification.from_pretrained(model_folder())
    model.bert.save_pretrained(encoder)
    build_tokenizer().save_pretrained(encoder)
    flags = ["--model", model_folder(), "--pairs", files["synonym"]]
    printed = call("pairs", *flags, "--before_fine_tuning", encoder, "--output_dir", out)
    untuned, tuned = json.loads((out / "pairs.json").read_text())["models"]
    assert untuned["model"] == "before fine-tuning" and untuned["encoder"] == "encoder"
    assert "before fine-tuning: encoder with a head of random weights (seed 0)" in printed
    same = ("num_pairs", "mse_pos", "mse_neg", "ctr")  # the same encoder, so the same embeddings
    assert [untuned[key] for key in same] == pytest.approx([tuned[key] for key in same])
    assert untuned["kl_pos"] != tuned["kl_pos"]
    again, other = (
        call("pairs", *flags, "--before_fine_tuning", encoder, "--seed", seed).splitlines()[2] for seed in (0, 1)
    )
    assert again in printed and other != again
    with pytest.raises(ValueError, match="has a trained classification head, so that it is no model before"):
        call("pairs", *flags, "--before_fine_tuning", model_folder())


def test_pairs_that_cannot_be_measured_are_one_sentence(
    model_folder: Callable[..., Path], files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "attack" / "other.jsonl"

    def refused(found: list[AttackRecord], message: str, *more: str) -> None:
        write_records(path, found)
        with pytest.raises(ValueError, match=message):
            call("pairs", "--model", model_folder(), "--pairs", path, *more)

    refused(records(SWAPS, status="failed"), "none of its 24 examples succeeded with a changed text")
    refused(records({}), "holds no pair of texts")
    refused(records(OPPOSITES, remains=True), "changes the true label")
    refused([dataclasses.replace(one, label=2) for one in records(SWAPS)], "has the label ids 2, and the")
    refused([one for one in records(SWAPS) if one.label], "need two labels")
    refused(records(SWAPS), "tau must be above 0", "--tau", "0")
    (tmp_path / "attack" / "config.json").write_text(json.dumps({"id2label": {"0": "no", "1": "yes", "2": "maybe"}}))
    named = tmp_path / "named"
    build_model(id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1}).save_pretrained(named)
    build_tokenizer().save_pretrained(named)
    with pytest.raises(ValueError, match="labels no, yes, maybe, and this model has bad, good"):
        call("pairs", "--model", named, "--pairs", path)
    with pytest.raises(ValueError, match="none.jsonl is not a file"):
        call("pairs", "--model", model_folder(), "--pairs", tmp_path / "none.jsonl")


def test_space_draws_views_from_lexicons(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tmp_path / "reviews.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in review_rows(40)))
    flags = ["--data", data, "--class_names", "bad", "good"]
    for flag, table in (("--lexicon", SYNONYMS), ("--antonym_lexicon", ANTONYMS)):
        path = tmp_path / f"{flag[2:]}.json"
        path.write_text(json.dumps(table))
        flags += [flag, path]
    models = [model_folder(), model_folder("distilbert")]
    out = tmp_path / "out"
    printed = call("space", "--model", *models, *flags, "--num_texts", 12, "--output_dir", out)
    written = json.loads((out / "space.json").read_text())
    assert written["perplexity"] == pytest.approx(35 / 3)
    assert [row["texts"] for row in written["models"]] == [12, 12]
    assert f"| {models[0].name} | cls | 12 | {written['models'][0]['fickle']:.3f} |" in printed
    assert "perplexity 11.7" in printed and (out / "space.png").is_file()
    drawn = (out / "space.svg").read_text()
    assert all(word in drawn for word in ("originals", "fickle", "obstinate", models[1].name))
    again = call("space", "--model", *models, *flags, "--num_texts", 12)
    assert printed.startswith(again)
    with pytest.raises(ValueError, match="have a synonym and an antonym"):
        call("space", "--model", models[0], *flags, "--skip_labels", "bad", "good")


def test_space_takes_the_texts_of_attacks(
    model_folder: Callable[..., Path], files: dict[str, Path], tmp_path: Path
) -> None:
    flags = ["--model", model_folder(), "--fickle", files["synonym"]]
    both = call("space", *flags, "--obstinate", files["antonym"], "--pooling", "mean_pool")
    assert "| 24 |" in both and "obstinate further, %" in both
    alone = call("space", *flags, "--num_texts", 7, "--output_dir", tmp_path / "out")
    assert "| 7 |" in alone and "obstinate" not in alone
    assert "obstinate" not in (tmp_path / "out" / "space.svg").read_text()


def test_space_colours_texts_by_their_label(
    model_folder: Callable[..., Path], files: dict[str, Path], tmp_path: Path
) -> None:
    data, out = tmp_path / "reviews.jsonl", tmp_path / "out"
    data.write_text("".join(json.dumps(row) + "\n" for row in review_rows(40)))
    models = [model_folder(), model_folder("distilbert")]
    by_label = ["--colour_by", "label", "--class_names", "bad", "good"]
    call("space", "--model", *models, "--fickle", files["synonym"], *by_label, "--output_dir", out)
    drawn = (out / "space.svg").read_text()
    assert all(word in drawn for word in ("bad", "good", "originals", "fickle", "nearest texts", models[1].name))
    for row in json.loads((out / "space.json").read_text())["models"]:
        assert 0.5 <= row["regions_agree"] <= 1 and f"agree with {100 * row['regions_agree']:.1f} %" in drawn
    tables = []
    for flag, table in (("--lexicon", SYNONYMS), ("--antonym_lexicon", ANTONYMS)):
        (tmp_path / f"{flag[2:]}.json").write_text(json.dumps(table))
        tables += [flag, tmp_path / f"{flag[2:]}.json"]
    call("space", "--model", models[0], "--data", data, *tables, *by_label, "--output_dir", tmp_path / "drawn")
    assert all(word in (tmp_path / "drawn" / "space.svg").read_text() for word in ("bad", "good", "obstinate"))
    named = tmp_path / "named"
    build_model(id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1}).save_pretrained(named)
    build_tokenizer().save_pretrained(named)
    with pytest.raises(ValueError, match="named has the class no, and the first model has LABEL_0, LABEL_1"):
        flags = ["--colour_by", "label", "--output_dir", tmp_path / "refused"]
        call("space", "--model", models[0], named, "--fickle", files["synonym"], *flags)
    with pytest.raises(ValueError, match="without --output_dir there is none: give the folder"):
        call("space", "--model", models[0], "--fickle", files["synonym"], *by_label)


def test_what_space_cannot_show_is_one_sentence(
    model_folder: Callable[..., Path], files: dict[str, Path], tmp_path: Path
) -> None:
    flags = ["--model", model_folder(), "--fickle", files["synonym"]]
    other = tmp_path / "other.jsonl"

    def refused(message: str, *flags: Any) -> None:
        with pytest.raises(ValueError, match=message):
            call("space", *flags)

    refused("give one of the two", *flags[:2])
    refused("give one of the two", *flags, "--data", "sst2")
    refused("--obstinate needs --fickle", *flags[:2], "--data", "sst2", "--obstinate", other)
    refused("--num_texts must be at least 2, got 1", *flags, "--num_texts", 1)
    write_records(other, [dataclasses.replace(one, idx=one.idx + 100) for one in records(OPPOSITES)])
    refused("has 0 texts with views", *flags, "--obstinate", other)
    write_records(other, [dataclasses.replace(one, original=["a plot"]) for one in records(OPPOSITES)])
    refused("have different texts under one idx", *flags, "--obstinate", other)


def test_errors_compares_predictions_on_clean_texts(files: dict[str, Path], tmp_path: Path) -> None:
    new = tmp_path / "new" / "pwws.jsonl"
    better = [dataclasses.replace(one, original_prediction=one.label, status="failed") for one in records(SWAPS)]
    better[1].original_prediction = 1 - better[1].label
    write_records(new, better)
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "negative", "1": "positive"}}))
    out = tmp_path / "out"
    printed = call("errors", "--baseline", files["synonym"], "--new", new, "--output_dir", out)
    written = json.loads((out / "errors.json").read_text())
    counted = written["slices"]["all"]
    assert [counted[key] for key in ("fixed", "introduced", "remaining", "kept")] == [8, 1, 0, 15]
    assert counted["fix_rate"] == 1.0 and counted["fixed_of_union"] == pytest.approx(8 / 9)
    assert set(written["slices"]) == {"all", "negation", "ambiguity", "long"} and not counted["doubtful"]
    assert "| all | positive | new |" in printed and (out / "errors.svg").is_file()
    assert str(tmp_path) not in (out / "errors.json").read_text()
    right = tmp_path / "right.jsonl"
    write_records(right, [dataclasses.replace(one, original_prediction=one.label) for one in better])
    nothing = call("errors", "--baseline", right, "--new", right, "--output_dir", tmp_path / "none")
    assert "Neither model makes an error" in nothing and not (tmp_path / "none" / "errors.png").exists()


def test_errors_of_different_rows_are_one_sentence(files: dict[str, Path], tmp_path: Path) -> None:
    new = tmp_path / "new.jsonl"
    write_records(new, records(SWAPS)[:20])
    with pytest.raises(ValueError, match="--new .*new.jsonl: the files hold different rows \\(4 only in the first"):
        call("errors", "--baseline", files["synonym"], "--new", new)
    with pytest.raises(ValueError, match="--new .*none.jsonl is not a file"):
        call("errors", "--baseline", files["synonym"], "--new", tmp_path / "none.jsonl")


def test_conflict_prints_and_writes(tmp_path: Path) -> None:
    for name, accuracy in (("clean", 0.9), ("adv", 0.8)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all_results.json").write_text(json.dumps({"eval_accuracy": accuracy, "eval_samples": 50}))
    out = tmp_path / "out"
    printed = call("conflict", tmp_path / "clean", tmp_path / "adv", "--output_dir", out)
    assert "| adv | 80.0 [67.0, 88.8] | 50 | -10.0 |" in printed
    assert json.loads((out / "conflict.json").read_text())["runs"][1]["samples"] == 50
    assert sorted(path.name for path in out.iterdir()) == [f"conflict.{end}" for end in ("json", "md", "png", "svg")]


def test_models_are_called_by_method_and_by_folder_where_that_is_not_enough(tmp_path: Path) -> None:
    for name, method in (("one", "normal"), ("two", "pgd"), ("three", "pgd")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run_card.json").write_text(json.dumps({"method": method}))
    found = model_names([str(tmp_path / name) for name in ("one", "two", "three")] + ["hub/plain"])
    assert found == ["normal", "pgd (two)", "pgd (three)", "plain"]


def test_pairs_that_a_model_does_not_read_are_counted(
    model_folder: Callable[..., Path], files: dict[str, Path]
) -> None:
    for task, flag in (("space", "--fickle"), ("pairs", "--pairs")):
        flags = (task, "--model", model_folder("bert"), flag, files["synonym"])
        assert "reads the same tokens" not in call(*flags)
        cut = call(*flags, "--max_seq_length", 2)
        assert "reads the same tokens for both texts of 24 pairs" in cut
