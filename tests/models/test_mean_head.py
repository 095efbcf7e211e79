"""The mean-head classifier: the paper's formula, saving and loading, refused encoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, build_architecture, padded_batch
from tiny import NO_DATA, build_legacy_model, build_model, build_tokenizer, build_trainer, review_data
from transformers import AutoModel, AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from benchmarks.architectures.configs import full_batch, tiny_config
from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.data.length import usable_length
from hf_robust.hub.loading import add_loading
from hf_robust.interpret.head import HEAD, chosen_pooling
from hf_robust.models import MeanHeadConfig, MeanHeadForSequenceClassification, with_mean_head
from hf_robust.models.architecture import architecture
from hf_robust.models.mean_head import check_mean_head
from hf_robust.models.trained import load_trained
from hf_robust.training.twin import twin_of
from hf_robust.wiring.checkpoints import load_config, load_model

LABELS = named_labels(("no", "yes"))
REFUSED = {"t5": "an encoder and a decoder", "bart": "an encoder and a decoder"} | {
    kind: r"none \(AutoModel\)" for kind in ("hf_robust_lstm", "hf_robust_cnn", "perceiver")
}
TAKEN = [kind for kind in ARCHITECTURES if kind not in REFUSED]


def mean_headed(kind: str) -> Any:
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(with_mean_head(build_architecture(kind).config)).eval()


def logits(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**batch).logits


def by_hand(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """W z + b, z the mean over a text's tokens of what the encoder gives, one token after the other."""
    with torch.no_grad():
        states = model.base_model(**batch).last_hidden_state
    found = []
    for row, mask in zip(states, batch["attention_mask"], strict=True):
        real = [state for state, kept in zip(row, mask.tolist(), strict=True) if kept]
        found.append(model.mean_classifier.weight @ (sum(real) / len(real)) + model.mean_classifier.bias)
    return torch.stack(found).detach()


@pytest.mark.parametrize("kind", TAKEN)
def test_logits_are_linear_in_the_mean_of_the_real_tokens(kind: str) -> None:
    model = mean_headed(kind)
    for side in ARCHITECTURES[kind].sides:
        batch = padded_batch(side)
        assert torch.allclose(logits(model, batch), by_hand(model, batch), atol=1e-5)


@pytest.mark.parametrize("kind", TAKEN)
def test_what_is_saved_loads_with_the_same_logits(kind: str, tmp_path: Path) -> None:
    model, batch = mean_headed(kind), padded_batch(ARCHITECTURES[kind].sides[0])
    model.save_pretrained(tmp_path)
    again = load_trained(str(tmp_path))
    assert isinstance(again, MeanHeadForSequenceClassification)
    assert torch.equal(logits(again, batch), logits(model, batch))


@pytest.mark.parametrize("kind", ["opt", "reformer", "tapas", "gemma3"])
def test_architectures_with_sizes_of_other_names(kind: str, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_config(with_mean_head(tiny_config(kind))).eval()
    batch = full_batch()
    check_mean_head(model, batch)
    assert torch.allclose(logits(model, batch), by_hand(model, batch), atol=1e-5)
    model.save_pretrained(tmp_path)
    assert torch.equal(logits(load_trained(str(tmp_path)), batch), logits(model, batch))


@pytest.mark.parametrize(("kind", "has"), REFUSED.items())
def test_a_model_without_a_state_for_each_token_is_refused(kind: str, has: str) -> None:
    config = tiny_config(kind) if kind == "perceiver" else build_architecture(kind).config
    with pytest.raises(ValueError, match=rf"reads one last hidden state for each token, and \w+ has {has}; use a"):
        with_mean_head(config)


def test_a_model_with_code_of_its_own_is_refused() -> None:
    config = build_model().config
    config.auto_map = {"AutoModel": "modeling.Own"}
    with pytest.raises(ValueError, match="uses custom code; leave --classifier_head out"):
        with_mean_head(config)


def test_states_of_another_width_are_refused_before_training() -> None:
    config = with_mean_head(build_model().config)
    config.state_size = 24
    model = AutoModelForSequenceClassification.from_config(config)
    with pytest.raises(ValueError, match=r"here of shape \(3, 9, 24\), and BertModel gives \(3, 9, 16\)"):
        check_mean_head(model, padded_batch())


def test_the_head_starts_from_the_papers_distribution_and_nothing_pools_or_drops() -> None:
    model = build_model(head="mean", num_labels=1600, dropout=0.5)
    weight, bias = model.mean_classifier.weight, model.mean_classifier.bias
    assert weight.std().item() == pytest.approx(model.config.initializer_range, rel=0.05)  # 25,600 numbers
    assert abs(weight.mean().item()) < 0.01 and not bias.any()
    assert model.base_model.pooler is None
    twin = twin_of(model, seed=1)
    assert twin.mean_classifier.weight.std().item() == pytest.approx(model.config.initializer_range, rel=0.05)
    assert not torch.equal(twin.mean_classifier.weight, weight)
    batch = padded_batch()
    model.train().base_model.eval()
    assert torch.equal(model(**batch).logits, model(**batch).logits)  # only the encoder has dropout


def test_representations_and_head_read_the_same_vector() -> None:
    model = build_model(head="mean")
    assert chosen_pooling(model, build_tokenizer(), HEAD, "") == "mean_pool"


def test_the_configuration_is_the_encoders_but_for_the_labels() -> None:
    own = build_model("roberta", num_labels=3).config
    config = with_mean_head(own)
    assert with_mean_head(config) is config
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (16, 2, 64)
    assert (config.model_type, config.num_labels, config.pad_token_id) == ("roberta", 3, 0)
    assert usable_length(build_tokenizer(), config) == usable_length(build_tokenizer(), own)
    written = json.loads(config.to_json_string())
    assert (written["model_type"], written["encoder"]["model_type"]) == ("hf_robust_mean_head", "roberta")
    with pytest.raises(AttributeError, match="no attribute"):
        config.nothing_of_the_kind  # noqa: B018
    found = architecture(build_model("electra", head="mean"))
    assert (found["type"], found["head"]) == ("electra", "mean")
    assert "head" not in architecture(build_model("electra"))


def test_labels_of_a_regression_and_of_several_classes() -> None:
    batch = padded_batch()
    one = build_model(head="mean", num_labels=1)
    one.config.problem_type = "regression"
    values = torch.tensor([0.5, 1.0, -1.0])
    assert one(**batch, labels=values).loss.item() == pytest.approx(
        (logits(one, batch).squeeze(1) - values).pow(2).mean().item(), rel=1e-5
    )
    loss, found = build_model(head="mean")(**batch, labels=torch.tensor([0, 1, 1]), return_dict=False)
    assert loss.ndim == 0 and found.shape == (3, 2)


def test_attention_is_computed_as_asked_for(tmp_path: Path) -> None:
    build_model(head="mean").save_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation="eager")
    assert model.config._attn_implementation == model.base_model.config._attn_implementation == "eager"
    own = build_model().config
    own._attn_implementation = "eager"
    model = AutoModelForSequenceClassification.from_config(with_mean_head(own))
    assert model.base_model.config._attn_implementation == "eager"


class TestLoading:
    def load(self, name: Path | str, **flags: Any) -> Any:
        args = ModelArguments(model_name_or_path=str(name), **{"classifier_head": "mean", **flags})
        return load_model(args, load_config(args), LABELS, build_tokenizer())

    def test_the_encoder_is_the_checkpoints_and_a_head_trained_on_CLS_is_not_taken(self, tmp_path: Path) -> None:
        start = build_model()
        start.save_pretrained(tmp_path)
        model = self.load(tmp_path)
        for name, value in model.base_model.state_dict().items():
            assert torch.equal(value, start.bert.state_dict()[name]), name
        assert not torch.equal(model.mean_classifier.weight, start.classifier.weight)
        assert model.config.id2label == {0: "no", 1: "yes"}

    def test_weights_of_an_encoder_alone_and_under_old_names(self, tmp_path: Path) -> None:
        old = build_legacy_model(tmp_path / "old")
        old.bert.save_pretrained(tmp_path / "encoder")
        for folder in ("old", "encoder"):
            found = self.load(tmp_path / folder).base_model.state_dict()
            assert all(torch.equal(value, old.bert.state_dict()[name]) for name, value in found.items())

    def test_a_saved_head_stays_with_either_value_of_the_flag(self, tmp_path: Path) -> None:
        model = build_model(head="mean")
        model.save_pretrained(tmp_path)
        for head in ("own", "mean"):
            again = self.load(tmp_path, classifier_head=head)
            assert torch.equal(logits(again, padded_batch()), logits(model, padded_batch()))

    def test_another_head_is_no_choice(self) -> None:
        with pytest.raises(ValueError, match="--classifier_head must be own or mean, got cls"):
            self.load("bert", classifier_head="cls")

    def test_adapters_of_a_model_that_has_another_head_are_refused(self, tmp_path: Path) -> None:
        build_model().save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="with a random head. Leave one of the two flags out, or start from a"):
            self.load(tmp_path, lora_rank=2)

    def test_adapters_of_a_saved_head_train_it_and_reload(self, tmp_path: Path) -> None:
        build_model(head="mean").save_pretrained(tmp_path / "base")
        model = self.load(tmp_path / "base", lora_rank=2)
        trainer = build_trainer("normal", tmp_path / "out", model=model)
        trainer.train()
        trainer.save_model()
        trained = {name for name, value in model.named_parameters() if value.requires_grad}
        assert any("mean_classifier" in name for name in trained)
        assert all("mean_classifier" in name or "lora_" in name for name in trained)
        again = load_trained(str(tmp_path / "out"))
        assert torch.allclose(logits(again, padded_batch()), logits(model, padded_batch()), atol=1e-6)
        add_loading(tmp_path / "out")
        assert "import hf_robust.models\nfrom peft import PeftModel" in (tmp_path / "out" / "README.md").read_text()

    def test_without_our_class_loading_fails_instead_of_drawing_a_head(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build_model(head="mean").save_pretrained(tmp_path)
        # What importing hf_robust.models adds to transformers.
        monkeypatch.delitem(CONFIG_MAPPING._extra_content, "hf_robust_mean_head")
        with pytest.raises(ValueError, match="`hf_robust_mean_head` but Transformers does not recognize"):
            AutoModelForSequenceClassification.from_pretrained(tmp_path)


class TestTraining:
    def test_a_run_is_saved_resumed_and_described(self, tmp_path: Path) -> None:
        options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
        whole = build_trainer("normal", tmp_path / "whole", model=build_model(head="mean"), **options)
        whole.train()
        whole.save_model()
        rest = build_trainer("normal", tmp_path / "rest", model=build_model(head="mean", seed=5), **options)
        rest.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
        for name, value in whole.model.state_dict().items():
            assert torch.equal(value, rest.model.state_dict()[name]), name
        batch = padded_batch()
        assert torch.equal(logits(load_trained(str(tmp_path / "whole")), batch), logits(whole.model, batch))
        whole.create_model_card()
        add_loading(tmp_path / "whole")
        assert "import hf_robust.models" in (tmp_path / "whole" / "README.md").read_text()

    def test_a_checkpoint_of_another_head_is_not_resumed(self, tmp_path: Path) -> None:
        options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "max_steps": 2}
        build_trainer("normal", tmp_path, model=build_model(), **options).train()
        other = build_trainer("normal", tmp_path / "other", model=build_model(head="mean"), **options)
        with pytest.raises(ValueError, match="lacks tensors of this MeanHeadForSequenceClassification"):
            other.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))

    def test_columns_that_the_encoder_does_not_take_are_ignored(self) -> None:
        model = build_model("distilbert", head="mean")
        batch = padded_batch()
        types = torch.ones_like(batch["input_ids"])
        assert torch.equal(logits(model, batch), logits(model, {**batch, "token_type_ids": types}))
        bert = build_model("bert", head="mean")
        assert not torch.equal(logits(bert, batch), logits(bert, {**batch, "token_type_ids": types}))

    def test_evaluation_alone_loads_and_predicts(self, tmp_path: Path) -> None:
        build_model(head="mean").save_pretrained(tmp_path / "model")
        model = load_trained(str(tmp_path / "model"))
        trainer = build_trainer("normal", tmp_path / "out", model=model, data=NO_DATA, eval_data=review_data(8))
        found = torch.tensor(trainer.predict(review_data(8)).predictions)
        rows = [review_data(8)[row] for row in range(8)]
        texts = [{key: torch.tensor([value]) for key, value in row.items() if key != "labels"} for row in rows]
        alone = torch.cat([logits(model, text) for text in texts])
        assert torch.allclose(found, alone, atol=1e-5)


def test_the_encoder_is_that_of_plain_AutoModel() -> None:
    model = build_model("deberta-v2", head="mean")
    assert isinstance(model.config, MeanHeadConfig)
    assert type(model.base_model) is type(AutoModel.from_config(model.config.encoder))
