"""The defaults of the released code keep the contract of all methods, and train other weights than the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import BATCH_CODE, CODE, build_model, build_tokenizer, build_trainer, dense_synonyms
from transformers import AutoModelForSequenceClassification

from hf_robust.trainers import METHODS
from hf_robust.training.follow import FollowArguments

pytestmark = pytest.mark.slow

NAMES = [*CODE, *BATCH_CODE]


def train(name: str, folder: Path, **options: Any) -> Any:
    trainer = build_trainer(name, folder, **{"synonyms": dense_synonyms(), **options})
    trainer.train()
    return trainer


def same(first: Any, second: Any, tolerance: float = 0.0) -> bool:
    pairs = zip(first.model.state_dict().values(), second.model.state_dict().values(), strict=True)
    return all(torch.allclose(a, b, rtol=0.0, atol=tolerance) for a, b in pairs)


def test_these_are_the_methods_that_follow_a_code() -> None:
    assert set(NAMES) == {name for name, method in METHODS.items() if issubclass(method.config, FollowArguments)}
    for name in NAMES:
        assert METHODS[name].config.code_reading and not METHODS[name].config.code_reading.endswith(".")


@pytest.mark.parametrize("name", NAMES)
class TestEveryCode:
    def test_it_trains_other_weights_than_the_paper_and_the_same_ones_again(self, name: str, tmp_path: Path) -> None:
        # adv_iter's code differs for the LSTM and the CNN, and for failed attacks, of which there are none here.
        kind = "hf_robust_cnn" if name == "adv_iter" else "bert"
        options: dict[str, Any] = {"max_steps": 3}
        runs = [
            train(name, tmp_path / str(number), model=build_model(kind, dropout=0.1), follow=follow, **options)
            for number, follow in enumerate(["paper", "code", "code"])
        ]
        assert not same(runs[0], runs[1], tolerance=1e-7) and same(runs[1], runs[2])

    def test_resume_equals_the_uninterrupted_run(self, name: str, tmp_path: Path) -> None:
        options: dict[str, Any] = {
            "optim": "adamw_torch", "learning_rate": 1e-3, "save_strategy": "steps", "save_steps": 1,
            "max_steps": 4, "follow": "code",
        }  # fmt: skip
        whole = train(name, tmp_path / "whole", model=build_model(dropout=0.1), **options)
        for step in (1, 2):
            again = build_trainer(
                name, tmp_path / "again", model=build_model(dropout=0.1, seed=9), synonyms=dense_synonyms(), **options
            )
            again.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
            assert same(whole, again)

    def test_export_loads_with_plain_transformers(self, name: str, tmp_path: Path) -> None:
        trainer = train(name, tmp_path, follow="code")
        trainer.save_model(str(tmp_path / "export"))
        model, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export", output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]
        batch = build_tokenizer()(["a good film", "a bad plot"], padding=True, return_tensors="pt")
        trainer.model.eval()
        assert torch.equal(model.eval()(**batch).logits, trainer.model(**batch)["logits"])
        assert (trainer.saved_inference(tmp_path) is not None) == (
            name == "flat"
        )  # with the mask after the embedding block


@pytest.mark.parametrize("name", CODE)
class TestEveryCodeWhoseLossIsAMeanOverTexts:
    def test_accumulation_equals_a_large_batch(self, name: str, tmp_path: Path) -> None:
        options: dict[str, Any] = {"max_steps": 2, **CODE[name]}
        large = train(name, tmp_path / "large", **options)
        options |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
        assert same(large, train(name, tmp_path / "small", **options), tolerance=1e-6)

    @pytest.mark.slow
    def test_two_ranks_equal_one_process(self, name: str, two_ranks: dict[str, Any], tmp_path: Path) -> None:
        first, second = two_ranks[f"{name}_code"]
        one = train(name, tmp_path, max_steps=2, **CODE[name]).model.state_dict()
        for key, value in one.items():
            assert torch.equal(first[key], second[key]), key
            assert torch.allclose(value, first[key], rtol=0.0, atol=1e-6), key


def test_a_code_that_would_change_nothing_is_refused(tmp_path: Path) -> None:
    for name, flags in {
        "infobert": "--infobert_alpha",
        "smart": "--smart_lambda",
        "r_drop": "--r_drop_alpha",
        "ascc": "--ascc_beta and --ascc_weight",
    }.items():
        weights = dict.fromkeys(METHODS[name].config.code_weights, 0.0)
        with pytest.raises(ValueError, match=f"--follow code has no effect if {flags} is 0; leave it out"):
            METHODS[name].config(output_dir=str(tmp_path), follow="code", **weights)
    with pytest.raises(ValueError, match="--follow code with --failed_views drop has no effect .*BertForSeq.*; leave"):
        build_trainer("adv_iter", tmp_path, follow="code", failed_views="drop")
    build_trainer("adv_iter", tmp_path, follow="code", failed_views="drop", model=build_model("hf_robust_cnn"))
