"""A saved model is measured with the inference of its run, or the output says that the plain model was measured."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import SYNONYMS, build_model, build_trainer, review_rows

from hf_robust.attacks import Victim
from hf_robust.cli.main import main
from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.modules.adapters import CLEAN
from hf_robust.modules.mask_export import MASK_FILE
from hf_robust.modules.saved_inference import INFERENCE_FILE, read_saved_inference
from hf_robust.reports.limits import limits
from hf_robust.runs import load_run, read_records
from hf_robust.trainers import METHODS
from hf_robust.wiring.checkpoint_attack import load_classifier
from hf_robust.wiring.checkpoints import load_config, load_model
from hf_robust.wiring.restored import restore_inference

pytestmark = pytest.mark.slow

TEXTS = [("a good film",), ("a bad plot with the cold ending",), ("warm music",), ("the actor was very poor",)]
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {"robust_method": name} for name in METHODS},
    "block mask": {"robust_method": "flat", "mask_input": "block"},
    "block mask of special tokens too": {"robust_method": "flat", "follow": "code"},
    "mixed outputs": {"robust_method": "adpmixup", "adpmixup_mixing": "outputs"},
    "no mix": {"robust_method": "adpmixup", "adpmixup_mixing": "clean"},
    "no vote": {"robust_method": "dne", "dne_votes": 0},
    "average": {"robust_method": "taichi", "taichi_variant": "linear_average", "taichi_lambda": 0.3},
}
# Whose folder, or whose checkpoints, plain transformers loads as another classifier that nothing restores.
PLAIN_EXPORT = {"dne"}
PLAIN_CHECKPOINT = {"dne", "adpmixup", "mixed outputs", "no mix", "average"}


def trained(folder: Path, robust_method: str = "normal", **options: Any) -> Any:
    trainer = build_trainer(
        robust_method, folder, **{"save_strategy": "steps", "save_steps": 4, "max_steps": 4, **options}
    )
    trainer.train()
    with torch.no_grad():
        if robust_method == "flat":  # importances that differ widely
            trainer.masking.network.score.weight.mul_(30.0)
            trainer.masking.forget()
        elif robust_method == "adpmixup":  # adapters that do
            for name, up in trainer.adapters.up.items():
                up.add_(0.3 if name.startswith(CLEAN) else -0.3)
        elif robust_method == "taichi":
            trainer.twin.classifier.weight.mul_(-3.0)
    trainer.save_model(str(folder))
    trainer._save_checkpoint(trainer.model, trial=None)
    return trainer


def own_probabilities(trainer: Any) -> Any:
    return Victim(trainer.model, trainer.processing_class, inference=trainer.inference).probabilities(TEXTS)


def loaded_probabilities(folder: Path) -> tuple[Any, str]:
    model, tokenizer = load_classifier(str(folder), "cpu")
    measured = restore_inference(str(folder), model, tokenizer)
    return Victim(model, tokenizer, inference=measured.inference).probabilities(TEXTS), measured.remark


@pytest.mark.parametrize("name", SETTINGS)
def test_a_loaded_run_predicts_as_it_did_or_says_that_it_does_not(name: str, tmp_path: Path) -> None:
    trainer = trained(tmp_path, **SETTINGS[name])
    expected = own_probabilities(trainer)
    for folder, plain in ((tmp_path, PLAIN_EXPORT), (tmp_path / "checkpoint-4", PLAIN_CHECKPOINT)):
        found, remark = loaded_probabilities(folder)
        same = abs(found - expected).max() < 1e-5
        assert bool(remark) is (name in plain) and same is not (name in plain)
        assert (folder / INFERENCE_FILE).exists() == (trainer.saved_inference(folder) is not None)


def test_a_mask_on_an_adapters_words_comes_back(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    build_model().save_pretrained(tmp_path / "base")
    model = type(build_model()).from_pretrained(tmp_path / "base")
    lora = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"]))
    trainer = trained(tmp_path / "run", "flat", model=lora)
    found, remark = loaded_probabilities(tmp_path / "run")
    assert abs(found - own_probabilities(trainer)).max() < 1e-6 and not remark
    (tmp_path / "run" / INFERENCE_FILE).unlink()
    assert abs(loaded_probabilities(tmp_path / "run")[0] - found).max() > 1e-3


def test_a_mask_that_is_lost_or_broken_is_one_sentence(tmp_path: Path) -> None:
    trained(tmp_path, "flat", mask_input="block")
    file = tmp_path / MASK_FILE
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{MASK_FILE} is cut or damaged .*; copy it again from the run that wrote"):
        loaded_probabilities(tmp_path)
    file.unlink()
    with pytest.raises(ValueError, match=f"has no {MASK_FILE}, without which it does not predict as in its run"):
        loaded_probabilities(tmp_path)
    record = tmp_path / INFERENCE_FILE
    record.write_text(record.read_text().replace('"flat"', '"other"'))
    with pytest.raises(
        ValueError, match="needs the inference of the method other, which is unknown to this version: update hf_robust"
    ):
        loaded_probabilities(tmp_path)
    record.write_text("{")
    with pytest.raises(ValueError, match=f"{INFERENCE_FILE} cannot be read"):
        loaded_probabilities(tmp_path)


def test_a_later_run_in_the_folder_takes_the_record_away(tmp_path: Path) -> None:
    trained(tmp_path, "flat", mask_input="block")
    assert read_saved_inference(str(tmp_path)) is not None
    trained(tmp_path)
    assert read_saved_inference(str(tmp_path)) is None


# ---- the commands ----


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    rows, table = tmp_path / "reviews.jsonl", tmp_path / "table.json"
    rows.write_text("".join(json.dumps(row) + "\n" for row in review_rows(20)))
    table.write_text(json.dumps(SYNONYMS))
    return ["--data", str(rows), "--lexicon", str(table)]


def asked(command: str, model: Path, data: list[str], out: Path, *more: str) -> dict[str, Any]:
    assert main([command, str(model), *data, "--output_dir", str(out), *more]) == 0
    return dict(json.loads((out / "run_card.json").read_text()))


def test_attack_meets_the_mask(data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path / "run", "flat", mask_input="block")
    flags = ["--attacks", "synonym", "--pos_tagger", "none"]
    card = asked("attack", tmp_path / "run", data, tmp_path / "out", *flags)
    assert card["inference"]["restored"] and "plain model" not in capsys.readouterr().out
    model, tokenizer = load_classifier(str(tmp_path / "run"), "cpu")
    measured = restore_inference(str(tmp_path / "run"), model, tokenizer)
    records = read_records(tmp_path / "out" / "attack_results" / "synonym.jsonl")
    texts = [tuple(record.original) for record in records]
    masked = Victim(model, tokenizer, inference=measured.inference).probabilities(texts)
    unmasked = Victim(model, tokenizer).probabilities(texts)
    scores = [max(row[record.label], 1 - row[record.label]) for row, record in zip(masked, records, strict=True)]
    found = [max(record.original_score, 1 - record.original_score) for record in records]
    assert found == pytest.approx(scores, abs=1e-6) and abs(masked - unmasked).max() > 1e-3


def test_a_vote_that_is_not_restored_is_said_by_every_command(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "run", "dne", dne_votes=3)
    flags = ["--attacks", "synonym", "--pos_tagger", "none"]
    sentence = "These are the numbers of the plain model. The rates were measured with a vote of 3."
    card = asked("attack", tmp_path / "run", data, tmp_path / "out", *flags)
    assert sentence in capsys.readouterr().out and not card["inference"]["restored"]
    assert any(sentence in limit for limit in limits(load_run(tmp_path / "out")))
    card = asked("certify", tmp_path / "run", data, tmp_path / "certified", "--votes", "40")
    assert sentence in capsys.readouterr().out and not card["inference"]["restored"]
    pairs, both = tmp_path / "out" / "attack_results" / "synonym.jsonl", ["--status", "succeeded", "failed"]
    assert main(["interpret", "pairs", "--model", str(tmp_path / "run"), "--pairs", str(pairs), *both]) == 0
    assert f"run: {sentence}" in capsys.readouterr().out


def test_a_run_that_starts_from_more_than_weights_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained(tmp_path / "run", "flat", mask_input="block")
    with caplog.at_level(logging.WARNING):
        args = ModelArguments(model_name_or_path=str(tmp_path / "run"))
        load_model(args, load_config(args), named_labels(("no", "yes")))
    assert (
        "is loaded as a plain model, without its method's inference. The saved model has no word mask" in caplog.text
    )
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        build_trainer("ada", tmp_path / "ada", view_victim=str(tmp_path / "run"), max_steps=1).train()
    assert f"--view_victim {tmp_path / 'run'}: the attacks use the model without its special inference." in caplog.text
