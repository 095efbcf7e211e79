"""The step that is tried before training: it changes nothing, and refuses what would fail later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import IterableDataset
from tiny import build_tokenizer, build_trainer, model_for, review_data, review_rows, weights
from torch import nn
from transformers import MraForSequenceClassification, ReformerForSequenceClassification

from benchmarks.architectures.configs import tiny_config
from hf_robust.data import TextDataset
from hf_robust.data.stream import TextStream
from hf_robust.trainers import METHODS
from hf_robust.training import generation
from hf_robust.training.first_step import check_first_step


@pytest.mark.parametrize("name", METHODS)
def test_it_changes_nothing(name: str, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, model=model_for(name, dropout=0.3), **METHODS[name].mid_run)
    trainer.model.eval()
    before, state = weights(trainer), torch.get_rng_state()
    buffers = {key: value.clone() for key, value in trainer.model.named_buffers()}
    steps: list[bool] = []
    compute_loss = trainer.compute_loss

    def watched(*args: Any, **kwargs: Any) -> Any:
        steps.append(trainer.model.training)
        return compute_loss(*args, **kwargs)

    trainer.compute_loss = watched
    check_first_step(trainer)
    assert steps == [True]
    if trainer._auxiliary is not None and trainer._auxiliary.after_step is not None and name != "smart":
        trainer._auxiliary.after_step()  # what the passes recorded is no part of the first step
    assert all(torch.equal(value, before[key]) for key, value in weights(trainer).items())
    assert all(torch.equal(value, buffers[key]) for key, value in trainer.model.named_buffers())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert torch.equal(state, torch.get_rng_state()) and not trainer.model.training
    sources = trainer.generation.sources.values() if trainer.generation else ()
    assert trainer.means.take() == {} and not any(source.share or source.pool for source in sources)


def test_running_means_of_a_model_stay(tmp_path: Path) -> None:
    trainer = build_trainer("normal", tmp_path)
    trainer.model.bert.pooler.dense = nn.Sequential(trainer.model.bert.pooler.dense, nn.BatchNorm1d(16))
    check_first_step(trainer)
    (norm,) = (module for module in trainer.model.modules() if isinstance(module, nn.BatchNorm1d))
    assert not norm.running_mean.any() and int(norm.num_batches_tracked) == 0


@pytest.mark.parametrize("name", ["normal", "fgm", "ada"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("sizes 16 and 15."),
            r"{} cannot train this BertForSequenceClassification \(RuntimeError: sizes 16 and 15\); use another model "
            r"or method\.",
        ),
        (ValueError("the batch has no label; give one."), r"the batch has no label; give one\."),
    ],
)
def test_a_failing_step_is_one_sentence_before_any_epoch(
    name: str, error: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build_trainer(name, tmp_path)
    monkeypatch.setattr(generation, "train_plain_victim", lambda *_: pytest.fail("a victim was trained"))

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise error

    trainer.compute_loss = fails
    with pytest.raises(ValueError, match=f"^{message.format(name)}$"):
        trainer.train()
    assert trainer.state.global_step == 0 and not trainer.state.log_history


def test_the_step_meets_the_views(tmp_path: Path) -> None:
    """An error that only rows with a view can cause."""
    trainer = build_trainer("taichi", tmp_path)

    def fails(*args: Any) -> Any:
        raise RuntimeError("a view was paired")

    trainer._paired = fails
    with pytest.raises(ValueError, match="taichi cannot train .*a view was paired"):
        trainer.train()


def test_a_stream_gives_its_first_rows(tmp_path: Path) -> None:
    data = review_data()
    stream = IterableDataset.from_generator(lambda: iter(review_rows(16)))
    trainer = build_trainer(
        "fgm", tmp_path, data=TextStream(stream, lambda rows, where: review_data(rows=rows), data, 0)
    )
    sizes: list[int] = []
    compute_loss = trainer.compute_loss

    def watched(model: Any, batch: Any) -> Any:
        sizes.append(len(batch["input_ids"]))
        return compute_loss(model, batch)

    trainer.compute_loss = watched
    check_first_step(trainer)
    assert sizes == [2]


class TestModelsThatIgnoreTheText:
    def test_are_refused(self, tmp_path: Path) -> None:
        """MRA's attention is zero without its GPU kernel, so that its first token sees no other."""
        model = MraForSequenceClassification(tiny_config("mra", vocab_size=128, num_labels=2))
        trainer = build_trainer("normal", tmp_path, model=model)
        with pytest.raises(ValueError, match="^MraFor.* predicts the same for two different texts"):
            trainer.train()

    @pytest.mark.parametrize("bias", [0.0, 0.5])
    def test_a_new_head_of_zeros_is_trained(self, bias: float, tmp_path: Path) -> None:
        trainer = build_trainer("normal", tmp_path)
        with torch.no_grad():
            trainer.model.classifier.weight.zero_()
            trainer.model.classifier.bias.fill_(bias)
        check_first_step(trainer)


class TestReversibleLayers:
    @pytest.fixture
    def model(self) -> Any:
        return ReformerForSequenceClassification(
            tiny_config("reformer", vocab_size=128, num_labels=2, axial_pos_shape=[2, 2])
        )

    @pytest.mark.parametrize("name", ["fgm", "freelb", "flat", "bat_pairwise"])
    def test_refuse_several_passes(self, name: str, model: Any, tmp_path: Path) -> None:
        message = rf"^{name} makes \d forward and \d backward passes in a step, and the reversible layers of Reformer"
        with pytest.raises(ValueError, match=message):
            build_trainer(name, tmp_path, model=model)

    @pytest.mark.parametrize("name", ["normal", "flooding"])
    def test_train_by_one_pass(self, name: str, model: Any, tmp_path: Path) -> None:
        rows = [{"sentence": "good film", "label": row % 2} for row in range(8)]  # 4 tokens: no chunk to fill
        data = TextDataset(rows, ("sentence",), build_tokenizer(), max_length=8)
        trainer = build_trainer(name, tmp_path, model=model, data=data, max_steps=1)
        trainer.train()
        assert trainer.state.global_step == 1
