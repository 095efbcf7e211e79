"""FLAT: the loss re-derived, a mask that belongs to a text, and a saved model that predicts as the masked one."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, CLS, EOS, PAD, VOCABULARY, build_architecture, padded_batch
from hypothesis import given
from hypothesis import strategies as st
from tiny import build_model, build_tokenizer, build_trainer, review_data, synonym_attack
from torch.nn.functional import cross_entropy, pad
from transformers import AutoModelForSequenceClassification

from hf_robust.adversary import Noise, embedding_width
from hf_robust.attacks import Victim
from hf_robust.data import split_views, stack_rows
from hf_robust.modules.mask_export import IMPORTANCES, MASK_FILE
from hf_robust.modules.word_mask import WordMask, draw, entropy, importance_distance, masked_mean
from hf_robust.modules.word_masking import WordMasking, embedding_block
from hf_robust.trainers import METHODS
from hf_robust.trainers.flat import FIRST_SPREAD

SPECIAL = torch.tensor([PAD, CLS, EOS])
KEEP_ALL: dict[str, Any] = {"mask_bias": 50.0, "flat_beta": 0.0, "flat_gamma": 0.0}


def logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def masking(model: Any, special: torch.Tensor = SPECIAL, **options: Any) -> WordMasking:
    network = WordMask(embedding_width(model), 8, 0.0, seed=3)
    with torch.no_grad():
        network.score.weight.mul_(5.0)  # importances of different words differ widely
    return WordMasking(model, network, special=special, **options)


def first_batch(trainer: Any) -> dict[str, torch.Tensor]:
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)  # attacks
    trainer.model.train()
    return trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))


def tokenised(*texts: str) -> dict[str, torch.Tensor]:
    return dict(build_tokenizer()(list(texts), padding=True, return_tensors="pt"))


def spread_importances(trainer: Any) -> None:
    """Make importances of words differ widely."""
    with torch.no_grad():
        trainer.masking.network.score.weight.mul_(100.0)


# ---- the parts of the loss ----


@pytest.mark.parametrize("probability, expected", [(0.5, math.log(2.0)), (0.9, 0.3250829733914482)])
def test_entropy_in_nats(probability: float, expected: float) -> None:
    assert entropy(torch.tensor(logit(probability))).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("value", [50.0, -50.0, 200.0, -200.0])
def test_entropy_of_a_certain_mask_is_zero_and_differentiable(value: float) -> None:
    logits = torch.tensor(value, requires_grad=True)
    found = entropy(logits)
    found.backward()
    assert found.item() == pytest.approx(0.0, abs=1e-6) and logits.grad is not None and logits.grad.isfinite()


def test_importance_distance_of_one_word() -> None:
    first, second = torch.tensor([[0.1, 0.9, 0.3]]), torch.tensor([[0.8, 0.4]])
    found = importance_distance(first, torch.tensor([[0, 1, 0]]), second, torch.tensor([[0, 1]]))
    assert found.tolist() == [pytest.approx(0.5)]


def test_a_word_is_its_most_important_piece_and_others_do_not_count() -> None:
    first = torch.tensor([[0.9, 0.2, 0.5, 0.7], [0.1, 0.2, 0.3, 0.4]])
    second = torch.tensor([[0.1, 0.4, 0.3, 0.6, 0.8], [0.5, 0.6, 0.7, 0.8, 0.9]])
    words = torch.tensor([[1, 0, 2, 3], [0, 0, 0, 0]])
    other = torch.tensor([[0, 1, 1, 2, 0], [0, 0, 0, 0, 0]])  # word 1 is two pieces, word 3 was cut off
    found = importance_distance(first, words, second, other)
    assert found.tolist() == [pytest.approx(abs(0.9 - 0.4) + abs(0.5 - 0.6)), 0.0]


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=2, max_size=2), st.integers(0, 99))
def test_importance_distance_by_loops(words: list[list[int]], seed: int) -> None:
    values = torch.rand(2, 4, generator=torch.Generator().manual_seed(seed))
    expected = 0.0
    for number in range(1, 4):
        pieces = [[values[text, at] for at in range(4) if words[text][at] == number] for text in range(2)]
        if all(pieces):
            expected += abs(float(max(pieces[0])) - float(max(pieces[1])))
    numbers = torch.tensor(words)
    found = importance_distance(values[:1], numbers[:1], values[1:], numbers[1:])
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_masked_mean_of_a_text_without_words_is_zero() -> None:
    values, mask = torch.tensor([[1.0, 3.0], [5.0, 7.0]]), torch.tensor([[True, True], [False, False]])
    assert masked_mean(values, mask).tolist() == [2.0, 0.0]


# ---- the draws ----


def test_draws_are_zero_or_one_as_often_as_phi_says() -> None:
    ids = torch.arange(40_000).view(100, 400)
    for probability in (0.1, 0.5, 0.8):
        drawn = draw(torch.full(ids.shape, logit(probability)), ids, torch.ones_like(ids), Noise(0, 0))
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert drawn.mean().item() == pytest.approx(probability, abs=0.01)


def test_gradient_of_a_draw_is_that_of_the_relaxed_one() -> None:
    ids = torch.arange(60).view(3, 20)
    logits = torch.linspace(-2.0, 2.0, 60).view(3, 20).requires_grad_()
    noise = Noise(1, 2)
    uniform = (noise.uniform(ids, torch.ones_like(ids), 2).double() + 1.0) / 2.0
    gumbel = -torch.log(-torch.log(uniform))
    scores = torch.stack([torch.zeros_like(logits), logits], dim=-1).double()
    relaxed = ((scores + gumbel) / 0.5).softmax(-1)[..., 1]
    (expected,) = torch.autograd.grad(relaxed.sum(), logits)
    drawn = draw(logits, ids, torch.ones_like(ids), noise, temperature=0.5)
    (found,) = torch.autograd.grad(drawn.sum(), logits)
    assert torch.equal(drawn, (relaxed > 0.5).float()) and torch.allclose(found, expected, atol=1e-5)


def test_the_largest_uniform_number_gives_a_finite_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noise, "uniform", lambda *_: torch.tensor([[[1.0 - 2.0**-24, -1.0 + 2.0**-24]]]))
    logits = torch.zeros(1, 1, requires_grad=True)
    drawn = draw(logits, torch.ones(1, 1), torch.ones(1, 1), Noise(0, 0))
    (gradient,) = torch.autograd.grad(drawn.sum(), logits)
    assert drawn.item() == 0.0 and gradient.isfinite().all()


def test_the_mask_of_a_text_does_not_depend_on_its_padding() -> None:
    found = []
    for side in ("right", "left"):
        mask, batch = masking(build_architecture("bert")), padded_batch(side)
        words: list[torch.Tensor] = []
        with mask.sampled(Noise(0, 5)):
            # Registered after the mask's hook, it sees what that returns.
            mask._layers[0].register_forward_hook(lambda m, a, out, words=words: words.append(out))
            mask.model(**batch)
        found.append(words[-1][batch["attention_mask"].bool()])
    assert (found[0].abs().sum(-1) == 0).any() and torch.equal(found[0], found[1])


# ---- the masked pass ----


@pytest.mark.parametrize("protect", [True, False])
def test_a_text_with_every_word_masked_keeps_its_first_token(protect: bool) -> None:
    for side in ("right", "left"):
        batch = padded_batch(side)
        mask = masking(build_architecture("bert"), protect=protect)
        with torch.no_grad():
            mask.network.score.bias[1] -= 200.0
        given: list[Any] = []
        with mask.sampled(Noise(0, 0)):
            # Hooks run in the order of registration: this one comes after the mask's.
            mask.model.register_forward_pre_hook(lambda m, a, k, given=given: given.append(k), with_kwargs=True)
            logits = mask.model(**batch)["logits"]
        real = batch["attention_mask"].bool()
        first = real & (real.cumsum(1) == 1)
        special = real & torch.isin(batch["input_ids"], SPECIAL)
        assert torch.equal(given[-1]["attention_mask"].bool(), special if protect else first)
        assert logits.isfinite().all()


def test_masked_attention_can_be_left_as_it_is() -> None:
    mask, batch = masking(build_architecture("bert"), attention=False), padded_batch()
    given: list[Any] = []
    with mask.sampled(Noise(0, 0)):
        mask.model.register_forward_pre_hook(lambda m, a, k: given.append(k), with_kwargs=True)
        mask.model(**batch)
    assert torch.equal(given[-1]["attention_mask"], batch["attention_mask"])


def test_the_mask_reads_and_hides_what_bert_sees_as_inputs_embeds() -> None:
    mask, batch = masking(build_architecture("bert")), padded_batch()
    with mask.sampled(Noise(0, 1)) as seen:
        found = mask.model(**batch)["logits"]
    ids, real = batch["input_ids"], batch["attention_mask"]
    embedded = mask.model.get_input_embeddings()(ids)
    keep = draw(mask.network(embedded), ids, real, Noise(0, 1))
    keep = torch.where(torch.isin(ids, SPECIAL), 1.0, keep)
    expected = mask.model(inputs_embeds=embedded * keep.unsqueeze(-1), attention_mask=real * keep.long())["logits"]
    assert 0.0 < keep[real.bool()].mean() < 1.0
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.equal(seen[0].words, real.bool() & ~torch.isin(ids, SPECIAL))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_importances_are_of_a_words_direction_whatever_the_size_of_a_models_embeddings(scale: float) -> None:
    vectors = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    network = WordMask(16, 400, 0.0, seed=3)
    expected = scores_of(network, vectors)
    assert torch.allclose(network(vectors * scale), expected[:, 1] - expected[:, 0], atol=1e-5)
    assert network(torch.zeros(1, 16)).isfinite().all()


def test_words_start_about_equally_important_and_pytorchs_own_weights_far_apart() -> None:
    vectors = torch.randn(2000, 128, generator=torch.Generator().manual_seed(1))
    first, own = (WordMask(128, 400, 0.0, seed=3, spread=spread)(vectors).sigmoid() for spread in (FIRST_SPREAD, 1.0))
    assert first.std() < 0.01 and own.std() > 0.07


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_folding_predicts_as_the_mask_does(kind: str) -> None:
    for side in ARCHITECTURES[kind].sides:
        model, batch = build_architecture(kind).eval(), padded_batch(side)
        mask, before = masking(model), model.get_input_embeddings().weight.detach().clone()
        with torch.no_grad():
            plain = model(**batch)["logits"]
            with mask.expected():
                expected = model(**batch)["logits"]
            with mask.folded():
                folded = model(**batch)["logits"]
            again = model(**batch)["logits"]
        assert torch.allclose(folded, expected, atol=0.0 if kind != "bart" else 1e-6)
        assert not torch.equal(folded, plain) and torch.equal(again, plain)
        assert torch.equal(model.get_input_embeddings().weight, before)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_training_through_the_mask_gives_gradients(kind: str) -> None:
    side = ARCHITECTURES[kind].sides[0]
    model, batch = build_architecture(kind), padded_batch(side)
    mask = masking(model)
    with mask.sampled(Noise(0, 0)) as seen:
        cross_entropy(model(**batch)["logits"], torch.tensor([0, 1, 2])).backward()
    gradient = mask.network.hidden.weight.grad
    assert len(seen) == 1 and gradient is not None and gradient.isfinite().all() and gradient.abs().sum() > 0


def test_the_decoder_of_t5_reads_the_words_that_its_encoder_reads() -> None:
    model, batch = build_architecture("t5"), padded_batch()
    mask, outputs = masking(model), []
    with mask.sampled(Noise(0, 0)):
        for layer in mask._layers:
            layer.register_forward_hook(lambda m, a, out: outputs.append((a[0], out)))
        model(**batch)
    (ids, encoder), (moved, decoder) = outputs[-2:]
    assert torch.equal(moved[:, 1:], ids[:, :-1])
    assert torch.equal(decoder[:, 1:].abs().sum(-1) == 0, encoder[:, :-1].abs().sum(-1) == 0)
    assert (encoder.abs().sum(-1) == 0).any()


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "adamw_torch", "sgd"])
def test_importances_are_of_the_present_weights(optim: str, tmp_path: Path) -> None:
    """A fused step leaves no trace on the parameters' version counters."""
    trainer: Any = build_trainer("flat", tmp_path, optim=optim, view_fraction=0.0)
    mask = trainer.masking
    before = mask.importances()
    assert mask.importances() is before
    trainer.train()
    after = mask.importances()
    mask.forget()
    assert not torch.equal(before, after) and torch.equal(after, mask.importances())


def test_importances_of_the_vocabulary_are_those_of_its_tokens() -> None:
    for protect in (True, False):
        mask = masking(build_architecture("albert"), protect=protect)
        found = mask.importances()
        table = mask.model.get_input_embeddings().weight
        for number in range(VOCABULARY):
            expected = 1.0 if protect and number in SPECIAL else mask.network(table[number]).sigmoid().item()
            assert found[number].item() == pytest.approx(expected, abs=1e-6)


def test_the_output_of_the_block_is_masked_where_asked() -> None:
    model, batch = build_architecture("bert").eval(), padded_batch()
    mask = masking(model, block=embedding_block(model))
    with torch.no_grad(), mask.expected():
        found = model(**batch)["logits"]
    block = model.bert.embeddings
    handle = block.register_forward_hook(
        lambda m, a, out: (
            out * torch.where(torch.isin(batch["input_ids"], SPECIAL), 1.0, mask.network(out).sigmoid()).unsqueeze(-1)
        )
    )
    with torch.no_grad():
        assert torch.allclose(found, model(**batch)["logits"], atol=1e-6)
    handle.remove()
    with mask.sampled(Noise(0, 1)) as seen:
        sampled = model(**batch)["logits"]
    assert seen[0].logits.shape == batch["input_ids"].shape and sampled.isfinite().all()


# ---- the trainer ----


def scores_of(network: WordMask, embedded: torch.Tensor) -> torch.Tensor:
    """(..., 2) VMASK's scores of dropping and of keeping a word, from its vector at the norm sqrt(E)."""
    length = embedded.pow(2).sum(-1, keepdim=True).sqrt()
    h = embedded / length * math.sqrt(embedded.shape[-1])
    u = torch.tanh(h @ network.hidden.weight.T + network.hidden.bias)
    return u @ network.score.weight.T + network.score.bias


def naive_loss(trainer: Any, batch: dict[str, torch.Tensor], beta: float, gamma: float) -> torch.Tensor:
    """The paper's objective with a loop over the texts of D and D', their pairs and words: each text of D or D' has a
    cross-entropy and an entropy; each of D' the distances of its replaced words, where one of D has 0."""
    main, views = split_views(batch, trainer.view_names)
    (view,) = views.values()
    model, network, share = trainer.model, trainer.masking.network, trainer.view_share
    texts = [(main, row) for row in range(len(main["labels"]))]
    pairs = [row for row in range(len(texts)) if view["ok"][row]]
    texts += [(view, row) for row in pairs]
    special, embed = {0, 2, 3}, model.get_input_embeddings()
    longest = max(source["input_ids"].shape[1] for source, _ in texts)
    total, divisor = torch.zeros(()), len(main["labels"]) * (1.0 + share)
    for source, row in texts:
        real = source["attention_mask"][row].bool()
        ids = source["input_ids"][row][real].unsqueeze(0)
        scores = scores_of(network, embed(ids))
        keep = draw(
            scores[..., 1] - scores[..., 0],
            ids,
            torch.ones_like(ids),
            Noise(trainer.args.seed, trainer.state.global_step),
        )
        framing = torch.tensor([[int(number) in special for number in ids[0]]])
        keep = torch.where(framing, 1.0, keep)
        missing = longest - ids.shape[1]  # BERT's positions and its pooled token are the padded row's
        sides = (missing, 0) if trainer.processing_class.padding_side == "left" else (0, missing)
        masked = embed(pad(ids, sides)) * pad(keep, sides, value=1.0).unsqueeze(-1)
        outputs = model(inputs_embeds=masked, attention_mask=pad(torch.ones_like(ids), sides))["logits"]
        phi = scores.softmax(-1)[..., 1][~framing]
        own = -(phi * phi.log() + (1 - phi) * (1 - phi).log()).mean()
        total = total + (cross_entropy(outputs, source["labels"][row : row + 1]) - beta * own) / divisor
    for row in pairs:
        for number in range(1, int(view["words"][row].max()) + 1):
            texts_of = [(view, "words"), (main, "main_words")]
            phis = [
                scores_of(network, embed(source["input_ids"][row][view[column][row] == number]))
                .softmax(-1)[..., 1]
                .max()
                for source, column in texts_of
            ]
            total = total + gamma * (phis[0] - phis[1]).abs() / divisor
    return total


@pytest.mark.parametrize("side", ["right", "left"])
def test_loss_and_gradient_are_the_formula(side: str, tmp_path: Path) -> None:
    trainer = build_trainer("flat", tmp_path, flat_beta=0.7, flat_gamma=3.0)
    trainer.processing_class.padding_side = side
    batch = first_batch(trainer)
    spread_importances(trainer)
    assert batch["synonym_ok"].sum() > 2 and batch["synonym_words"].max() >= 1
    expected = naive_loss(trainer, batch, 0.7, 3.0)
    parameters = list(trainer.model.parameters())
    naive = torch.autograd.grad(expected, parameters, allow_unused=True)
    found = trainer.compute_loss(trainer.model, batch)
    gradients = torch.autograd.grad(found, parameters, allow_unused=True)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for one, other in zip(gradients, naive, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert torch.allclose(one, other, atol=1e-5, rtol=1e-3)


def importance_gradient(folder: Path, **options: Any) -> torch.Tensor:
    trainer: Any = build_trainer("flat", folder, flat_beta=0.0, mask_input="word", **options)
    trainer.compute_loss(trainer.model, first_batch(trainer)).backward()
    gradient: torch.Tensor = trainer.masking.network.hidden.weight.grad
    return gradient


@pytest.mark.parametrize("follow", ["paper", "code"])
def test_the_distance_trains_the_mask_unless_the_code_is_followed(follow: str, tmp_path: Path) -> None:
    without = importance_gradient(tmp_path / "0", flat_gamma=0.0, follow=follow)
    found = importance_gradient(tmp_path / "1", flat_gamma=100.0, follow=follow)
    assert torch.equal(found, without) is (follow == "code")


def test_the_code_of_bert_means_its_entropy_over_all_places_and_masks_special_tokens(tmp_path: Path) -> None:
    trainer: Any = build_trainer("flat", tmp_path, follow="code", view_fraction=0.0)
    assert trainer.args.mask_input == "block" and not trainer.masking.protect and trainer.masking.attention
    batch = first_batch(trainer)
    with trainer.masking.sampled(Noise(0, 0)) as seen:
        trainer.model(**{key: value for key, value in batch.items() if not key.startswith("synonym")})
    spread, _ = trainer.regularisers(batch, seen[0])
    expected = 0.0
    for logits, mask in zip(seen[0].logits, batch["attention_mask"], strict=True):
        for value in logits[mask.bool()].sigmoid():
            expected -= float((value * value.log() + (1 - value) * (1 - value).log()).detach()) / 32  # tokens at most
    assert spread.item() == pytest.approx(expected / len(batch["labels"]), rel=1e-5)


def test_entropy_is_of_words_alone(tmp_path: Path) -> None:
    trainer: Any = build_trainer("flat", tmp_path, view_fraction=0.0)
    batch = first_batch(trainer)
    with trainer.masking.sampled(Noise(0, 0)) as seen:
        trainer.model(**{key: value for key, value in batch.items() if not key.startswith("synonym")})
    (pass_,) = seen
    before = trainer.regularisers(batch, pass_)[0]
    pass_.logits = torch.where(pass_.words, pass_.logits, 30.0)
    assert torch.equal(before, trainer.regularisers(batch, pass_)[0])


def test_a_mask_that_keeps_all_is_adv_iter(tmp_path: Path) -> None:
    runs: dict[str, Any] = {}
    for name, options in {"adv_iter": {}, "flat": KEEP_ALL}.items():
        runs[name] = build_trainer(name, tmp_path / name, max_steps=4, n_rounds=1, **options)
        runs[name].train()
    assert runs["flat"].generation.rounds[0]["found"] == runs["adv_iter"].generation.rounds[0]["found"] > 0
    masked = runs["flat"].model.state_dict()
    for name, value in runs["adv_iter"].model.state_dict().items():
        assert torch.equal(value, masked[name]), name


def test_evaluation_is_deterministic_and_scales_by_importance(tmp_path: Path) -> None:
    trainer: Any = build_trainer("flat", tmp_path, eval_data=review_data(12))
    spread_importances(trainer)
    trainer.model.eval()
    first, again = trainer.predict(review_data(12)).predictions, trainer.predict(review_data(12)).predictions
    assert (first == again).all()
    batch = tokenised("a splendid film.", "bad plot and cold music.")
    embedded = trainer.model.get_input_embeddings()(batch["input_ids"])
    phi = trainer.masking.network(embedded).sigmoid()
    phi = torch.where(torch.isin(batch["input_ids"], torch.tensor([0, 2, 3])), 1.0, phi)
    expected = trainer.model(
        inputs_embeds=embedded * phi.unsqueeze(-1), attention_mask=batch["attention_mask"]
    ).logits.softmax(-1)
    victim = Victim(trainer.model, trainer.processing_class, max_length=32, inference=trainer.inference)
    found = victim.probabilities([("a splendid film.",), ("bad plot and cold music.",)])
    assert torch.allclose(torch.tensor(found), expected, atol=1e-5)
    plain = Victim(trainer.model, trainer.processing_class, max_length=32).probabilities([("a splendid film.",)])
    assert abs(plain[0] - found[0]).max() > 1e-4


def test_a_bias_of_50_reproduces_the_unmasked_model(tmp_path: Path) -> None:
    trainer = build_trainer("flat", tmp_path, mask_bias=50.0)
    batch = tokenised("a good film.", "bad plot.")
    trainer.model.eval()
    assert torch.equal(trainer.inference(trainer.model, batch)["logits"], trainer.model(**batch).logits)


def test_gradients_of_words_pass_the_mask(tmp_path: Path) -> None:
    from hf_robust.words import Text

    trainer = build_trainer("flat", tmp_path)
    victim = Victim(trainer.model, trainer.processing_class, max_length=32, inference=trainer.inference)
    victim.probabilities([("a good film",)])  # fills the table in inference mode
    (importance,) = victim.saliency([Text(("a good film",))])
    assert importance.shape == (3,) and (importance > 0).all()


# ---- what is saved ----


def logits_of(folder: Path) -> torch.Tensor:
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        logits: torch.Tensor = model(**tokenised("a good film.", "bad plot and cold music.")).logits
    return logits


def own_logits(trainer: Any) -> torch.Tensor:
    trainer.model.eval()
    with torch.no_grad():
        logits: torch.Tensor = trainer.inference(
            trainer.model, tokenised("a good film.", "bad plot and cold music.")
        ).logits
    return logits


def test_the_best_model_is_kept_and_saved_as_it_was_evaluated(tmp_path: Path) -> None:
    trainer: Any = build_trainer(
        "flat", tmp_path, eval_data=review_data(12, seed=5), max_steps=4, save_strategy="steps", save_steps=2,
        eval_strategy="steps", eval_steps=2, load_best_model_at_end=True, metric_for_best_model="eval_loss",
        mask_learning_rate=1.0,
    )  # fmt: skip
    trainer.train()
    best = Path(trainer.state.best_model_checkpoint)
    assert torch.equal(logits_of(best), own_logits(trainer))
    assert trainer.evaluate()["eval_loss"] == pytest.approx(trainer.state.best_metric, abs=1e-6)
    trainer.save_model(str(tmp_path / "final"))
    assert torch.equal(logits_of(tmp_path / "final"), logits_of(best))
    trainer.save_model(str(tmp_path / "again"))  # saving leaves the weights as they are
    assert torch.equal(logits_of(tmp_path / "again"), logits_of(best))


def test_importances_are_written_by_token_and_told_by_word(tmp_path: Path) -> None:
    trainer: Any = build_trainer("flat", tmp_path)
    spread_importances(trainer)
    trainer.save_model(str(tmp_path / "out"))
    written = json.loads((tmp_path / "out" / IMPORTANCES).read_text(encoding="utf-8"))
    assert set(written) == set(build_tokenizer().get_vocab()) and written["[CLS]"] == 1.0
    found = trainer.word_importances(["good", "splendid"])
    assert found["good"] == pytest.approx(written["good"], abs=1e-6)
    assert found["splendid"] == pytest.approx(max(written["splen"], written["##did"]), abs=1e-6)


def test_a_block_mask_is_saved_beside_the_model_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        trainer: Any = build_trainer("flat", tmp_path, mask_input="block")
    assert "saved model has no word mask" in caplog.text
    trainer.train()
    trainer.save_model(str(tmp_path))
    trainer.model.eval()
    with torch.no_grad():
        plain = trainer.model(**tokenised("a good film.", "bad plot and cold music.")).logits
    assert torch.equal(logits_of(tmp_path), plain) and not torch.equal(plain, own_logits(trainer))
    assert (tmp_path / MASK_FILE).is_file() and not (tmp_path / IMPORTANCES).exists()
    for _ in range(2):
        trainer.create_model_card()
        assert (tmp_path / "README.md").read_text(encoding="utf-8").count("## The published model") == 1
    with pytest.raises(ValueError, match="--mask_input block.*--mask_input word"):
        trainer.word_importances(["good"])


# ---- what it does not go with ----


@pytest.mark.parametrize(
    "options, message",
    [
        ({"flat_beta": -1.0}, "--flat_beta must be at least 0"),
        ({"flat_gamma": -1.0}, "--flat_gamma must be at least 0"),
        ({"mask_input": "sentence"}, "--mask_input must be one of word, block"),
        ({"torch_compile": True}, "leave --torch_compile out"),
    ],
    ids=["beta", "gamma", "input", "compile"],
)
def test_bad_settings_are_one_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer("flat", tmp_path, **options)


def test_a_tokenizer_is_needed(tmp_path: Path) -> None:
    args = METHODS["flat"].config(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    with pytest.raises(ValueError, match="flat got no tokenizer.*processing_class"):
        attacks = {"synonym": synonym_attack()}
        METHODS["flat"](model=build_model(), args=args, train_dataset=review_data(), attacks=attacks)


def test_tied_word_embeddings_are_refused(tmp_path: Path) -> None:
    model = build_model()
    model.head = torch.nn.Linear(16, 64, bias=False)
    model.head.weight = model.get_input_embeddings().weight
    with pytest.raises(ValueError, match="uses in head too.*not tied"):
        build_trainer("flat", tmp_path, model=model)


def test_a_block_mask_needs_an_embedding_block() -> None:
    with pytest.raises(ValueError, match="needs a model with an embedding block.*--mask_input word"):
        embedding_block(build_architecture("gpt2"))


def test_rows_of_views_come_after_the_main_rows() -> None:
    """What the regularisers count on."""
    first, second = tokenised("a good film."), tokenised("a very splendid film.")
    rows = stack_rows([first, second], build_tokenizer())["input_ids"]
    assert torch.equal(rows[1], second["input_ids"][0]) and rows[0, 0] == first["input_ids"][0, 0]


def test_bf16_full_eval_casts_the_mask_too(tmp_path: Path) -> None:
    trainer = build_trainer("flat", tmp_path, eval_data=review_data(8))
    exact = trainer.evaluate()["eval_loss"]
    trainer.args.bf16_full_eval = True
    assert trainer.evaluate()["eval_loss"] == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({"learning_rate": 1e-5}, 1e-3),
        ({"learning_rate": 0.01}, 0.01),
        ({"learning_rate": 1e-5, "mask_learning_rate": 1e-4}, 1e-4),
        ({"learning_rate": 1e-5, "follow": "code"}, 1e-5),
    ],
)
def test_the_mask_has_a_learning_rate_of_its_own(options: dict[str, Any], rate: float, tmp_path: Path) -> None:
    trainer: Any = build_trainer("flat", tmp_path, **options)
    trainer.create_optimizer()
    own = next(iter(trainer.masking.network.parameters()))
    found = [group["lr"] for group in trainer.optimizer.param_groups if any(one is own for one in group["params"])]
    assert found == [rate] and trainer.used_arguments()["mask_learning_rate"] == rate


@pytest.mark.parametrize(("follow", "kept"), [("paper", 0.9526), ("code", 0.5)])
def test_a_mask_starts_with_nearly_all_words_and_that_of_the_code_with_half(
    follow: str, kept: float, tmp_path: Path
) -> None:
    trainer: Any = build_trainer("flat", tmp_path, follow=follow)
    width = trainer.masking.network.hidden.in_features
    phi = trainer.masking.network(torch.randn(500, width, generator=torch.Generator().manual_seed(1))).sigmoid()
    assert phi.mean().item() == pytest.approx(kept, abs=0.1 if follow == "code" else 0.01)
