"""BAT against a naive re-derivation, and its traps by id."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, build_architecture
from tiny import ANTONYMS, build_model, build_tokenizer, build_trainer, review_data, review_rows, table

from hf_robust.attacks import ATTACKS, Resources
from hf_robust.data import TextDataset
from hf_robust.interpret.head import EMBEDDINGS
from hf_robust.lexicons import TableLexicon
from hf_robust.losses import balanced_pairwise, balanced_triplet
from hf_robust.trainers import METHODS
from hf_robust.words import Text

BAT = ("bat_pairwise", "bat_triplet")


def loss_of(trainer: Any, batch: dict[str, Any]) -> torch.Tensor:
    trainer.model.train()
    return trainer.compute_loss(trainer.model, dict(batch))


def batch_of(trainer: Any) -> dict[str, Any]:
    return next(iter(trainer.get_train_dataloader()))


def naive(trainer: Any, batch: dict[str, Any]) -> tuple[float, list[float], list[float], list[float], list[float]]:
    """Task loss, distances and masks, one row at a time through the encoder, without padding."""

    def encode(prefix: str, row: int) -> torch.Tensor:
        length = int(batch[f"{prefix}attention_mask"][row].sum())
        ids = batch[f"{prefix}input_ids"][row : row + 1, :length]
        return trainer.model.bert(input_ids=ids).last_hidden_state[0, 0]

    def distance(row: int, view: str) -> float:
        a, b = encode("", row), encode(f"{view}_", row)
        return 1.0 - float(a @ b / (a.norm() * b.norm()))

    rows = range(len(batch["labels"]))
    with torch.no_grad():
        logits = trainer.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        task = -logits.log_softmax(-1)[list(rows), batch["labels"]].mean().item()
        fickle, obstinate = ([distance(row, view) for row in rows] for view in ("fickle", "obstinate"))
    return task, fickle, obstinate, batch["fickle_ok"].tolist(), batch["obstinate_ok"].tolist()


def test_pairwise_equals_the_naive_loss(tmp_path: Path) -> None:
    trainer = build_trainer("bat_pairwise", tmp_path, bat_alpha=0.7, bat_beta=1.3, bat_margin=0.4)
    batch = batch_of(trainer)
    task, fickle, obstinate, f_ok, o_ok = naive(trainer, batch)
    pull = sum(d for d, ok in zip(fickle, f_ok, strict=True) if ok) / max(1.0, sum(f_ok))
    push = sum(max(0.0, 0.4 - d) for d, ok in zip(obstinate, o_ok, strict=True) if ok) / max(1.0, sum(o_ok))
    assert loss_of(trainer, batch).item() == pytest.approx(task + 0.7 * pull + 1.3 * push, abs=1e-5)


def test_triplet_equals_the_naive_loss(tmp_path: Path) -> None:
    trainer = build_trainer("bat_triplet", tmp_path, bat_lambda=0.6, bat_margin=0.9)
    batch = batch_of(trainer)
    task, *columns = naive(trainer, batch)
    rows = list(zip(*columns, strict=True))
    triplet = sum(max(0.0, f_ok * f + o_ok * (0.9 - o)) for f, o, f_ok, o_ok in rows) / len(rows)
    assert loss_of(trainer, batch).item() == pytest.approx(task + 0.6 * triplet, abs=1e-5)


def test_the_likelihood_term_is_cross_entropy(tmp_path: Path) -> None:
    trainer = build_trainer("bat_triplet", tmp_path, bat_lambda=0.0)
    batch = batch_of(trainer)
    logits = trainer.model(batch["input_ids"], batch["attention_mask"]).logits
    expected = torch.nn.functional.cross_entropy(logits, batch["labels"])
    assert loss_of(trainer, batch).item() == pytest.approx(expected.item(), abs=1e-6) and expected > 0


@pytest.mark.parametrize("name", BAT)
def test_a_batch_without_a_valid_view_equals_normal(name: str, tmp_path: Path, uncovered: None) -> None:
    nothing = table({}, "synonym")
    bat = build_trainer(name, tmp_path / "bat", synonyms=nothing, skip_labels=frozenset({0, 1}))
    normal = build_trainer("normal", tmp_path / "normal")
    for trainer in (bat, normal):
        trainer.train()
    for key, value in normal.model.state_dict().items():
        assert torch.equal(value, bat.model.state_dict()[key]), key


@pytest.mark.parametrize("name", BAT)
def test_skip_labels_have_no_obstinate_view(name: str, tmp_path: Path) -> None:
    batch = batch_of(build_trainer(name, tmp_path, skip_labels=frozenset({1})))
    assert batch["obstinate_ok"].tolist() == [float(label != 1) for label in batch["labels"].tolist()]


@pytest.mark.parametrize("name", BAT)
def test_labels_are_skipped_by_the_models_names_or_must_be_said(name: str, tmp_path: Path) -> None:
    model = build_model()
    with pytest.raises(ValueError, match="the classes have no names .LABEL_0, LABEL_1."):
        build_trainer(name, tmp_path, model=model, skip_labels=None)
    model.config.id2label = {0: "other", 1: "Neutral"}
    batch = batch_of(build_trainer(name, tmp_path, model=model, skip_labels=None))
    assert batch["obstinate_ok"].tolist() == [float(label != 1) for label in batch["labels"].tolist()]


def test_a_pair_is_valid_when_only_its_second_sentence_changed(tmp_path: Path) -> None:
    rows = [{"sentence1": "the actor was", "sentence2": "Good Plot", "label": i % 2} for i in range(8)]
    data = TextDataset(rows, ("sentence1", "sentence2"), build_tokenizer(), max_length=32)
    one_synonym = table({"good": ["fine"]}, "synonym")
    batch = batch_of(build_trainer("bat_triplet", tmp_path, data=data, synonyms=one_synonym))
    changed = (batch["fickle_input_ids"] != batch["input_ids"]).any(dim=1)
    assert changed.any() and not changed.all()
    assert batch["fickle_ok"].tolist() == changed.float().tolist()


def test_the_optimizer_steps_after_a_whole_accumulation(tmp_path: Path) -> None:
    trainer = build_trainer(
        "bat_triplet",
        tmp_path,
        max_steps=-1,
        num_train_epochs=1,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
    )
    trainer.train()
    assert trainer.state.global_step == 2  # 16 rows: two groups of four micro-batches


@pytest.mark.parametrize("name", BAT)
def test_the_fickle_view_carries_no_label_unless_asked(name: str, tmp_path: Path) -> None:
    plain, labelled = (build_trainer(name, tmp_path, label_fickle=flag) for flag in (False, True))
    batch = batch_of(plain)
    logits = plain.model(batch["fickle_input_ids"], batch["fickle_attention_mask"]).logits
    extra = torch.nn.functional.cross_entropy(logits, batch["labels"])
    assert loss_of(labelled, batch).item() == pytest.approx(loss_of(plain, batch).item() + extra.item(), abs=1e-5)


def test_the_triplet_mean_is_over_all_rows(tmp_path: Path, uncovered: None) -> None:
    half = build_trainer("bat_triplet", tmp_path, synonyms=table({}, "synonym"), skip_labels=frozenset({1}))
    batch = batch_of(half)
    task, _, obstinate, _, ok = naive(half, batch)
    expected = sum(max(0.0, 1.0 - d) for d, valid in zip(obstinate, ok, strict=True) if valid) / 8
    assert 0 < sum(ok) < 8
    assert loss_of(half, batch).item() == pytest.approx(task + expected, abs=1e-5)


def test_both_forms_stop_at_the_same_target(tmp_path: Path) -> None:
    """A fickle view on the anchor and an obstinate one orthogonal to it cost nothing in either form."""
    zero, one = torch.zeros(2), torch.ones(2)
    assert (
        sum(balanced_pairwise(zero, one, one, one, 1.0)).item()
        == balanced_triplet(zero, one, one, one, 1.0).item()
        == 0
    )


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_every_sentence_embedding_trains(embedding: str, tmp_path: Path) -> None:
    loss = loss_of(
        trainer := build_trainer("bat_pairwise", tmp_path, sentence_embed_type=embedding), batch_of(trainer)
    )
    assert torch.isfinite(loss)


def test_views_are_redrawn_and_the_loss_changes_with_them(tmp_path: Path) -> None:
    trainer = build_trainer("bat_triplet", tmp_path)
    rows = [[tuple(trainer.train_dataset[i]["fickle_input_ids"]) for i in range(16)]]
    trainer.train_dataset.set_epoch(1)
    rows.append([tuple(trainer.train_dataset[i]["fickle_input_ids"]) for i in range(16)])
    assert rows[0] != rows[1]


def test_a_model_without_hidden_states_is_one_sentence(tmp_path: Path) -> None:
    model = build_model()
    forward = model.forward
    model.forward = lambda **batch: {k: v for k, v in forward(**batch).items() if k != "hidden_states"}  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="need the model's hidden states, and BertFor.* returns none"):
        build_trainer("bat_triplet", tmp_path, model=model, remove_unused_columns=False)


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("bat_pairwise", {"bat_alpha": -1.0}, "--bat_alpha must be at least 0.0, got -1.0"),
        ("bat_pairwise", {"bat_beta": -0.1}, "--bat_beta must be at least 0.0"),
        ("bat_triplet", {"bat_lambda": -2.0}, "--bat_lambda must be at least 0.0"),
        ("bat_triplet", {"bat_margin": 2.5}, "--bat_margin must be between 0.0 and 2.0, got 2.5"),
        (
            "bat_triplet",
            {"sentence_embed_type": "first"},
            "--sentence_embed_type must be one of classifier, cls, last_token, mean_pool, max_pool",
        ),
    ],
)
def test_bad_values_fail_at_parsing(name: str, option: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        METHODS[name].config(output_dir=str(tmp_path), **option)


def test_paper_defaults(tmp_path: Path) -> None:
    pairwise = METHODS["bat_pairwise"].config(output_dir=str(tmp_path))
    triplet = METHODS["bat_triplet"].config(output_dir=str(tmp_path))
    assert (pairwise.bat_alpha, pairwise.bat_beta, pairwise.bat_margin) == (1.0, 1.2, 1.0)
    assert (triplet.bat_lambda, triplet.bat_margin, triplet.antonym_views) == (1.0, 1.0, "authors")
    assert len(review_rows(4)) == len(review_data(4))


# ---- every architecture: what is compared is what the classifier reads ----


def of_architecture(kind: str, folder: Path, name: str, **options: Any) -> Any:
    tokenizer = build_tokenizer()
    tokenizer.padding_side = "left" if kind == "xlnet" else "right"
    data = TextDataset(review_rows(16), ("sentence",), tokenizer, max_length=32)
    return build_trainer(
        name, folder, model=build_architecture(kind), data=data, tokenizer=tokenizer, learning_rate=0.01, **options
    )


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_views_lie_apart_and_the_contrast_trains(kind: str, tmp_path: Path) -> None:
    """By more than noise: equal runs give equal weights, so any difference is the contrast's."""
    models = {
        "contrast": of_architecture(kind, tmp_path / "1", "bat_triplet"),
        "without": of_architecture(kind, tmp_path / "2", "bat_triplet", bat_lambda=0.0),
        "normal": of_architecture(kind, tmp_path / "3", "normal"),
    }
    distances = models["contrast"].view_distances(models["contrast"].model, batch_of(models["contrast"]))
    assert (distances.obstinate[distances.obstinate_ok.bool()] > 1e-5).all() and distances.obstinate_ok.any()
    assert (distances.fickle[distances.fickle_ok.bool()] > 1e-5).all() and distances.fickle_ok.any()
    found = {}
    for name, trainer in models.items():
        trainer.train()
        found[name] = torch.cat([one.detach().flatten() for one in trainer.model.parameters()])
    assert torch.equal(found["without"], found["normal"])
    moved = (found["normal"] - torch.cat([p.detach().flatten() for p in build_architecture(kind).parameters()])).norm()
    assert (found["contrast"] - found["normal"]).norm() > 1e-3 * moved


@pytest.mark.parametrize("kind", ["gpt2", "llama", "hf_robust_lstm"])
def test_the_first_token_of_a_model_that_reads_on_is_refused_before_training(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the pooling cls ignores the text.*choose another --sentence_embed_type"):
        of_architecture(kind, tmp_path, "bat_triplet", sentence_embed_type="cls")


# ---- the attack's own rule ----


def test_matched_views_are_the_attacks_candidates(tmp_path: Path) -> None:
    lexicon = table({**ANTONYMS, "was": ["differ"], "the": ["no"]}, "antonym")
    attack = ATTACKS["antonym"](Resources(antonyms=lexicon))
    options = {"antonyms": lexicon, "attacks": {"antonym": attack}}
    drawn = {}
    for rule in ("authors", "matched"):
        trainer = build_trainer("bat_triplet", tmp_path / rule, antonym_views=rule, **options)
        source = trainer.train_dataset.sources["obstinate"]
        texts = [Text(trainer.train_dataset.dataset.texts(row)) for row in range(16)]
        drawn[rule] = {
            text.tokens[source(text, 0, random.Random(seed)).changed[0]] for text in texts for seed in range(30)
        }
        trainer.train()
    assert "was" in drawn["authors"] and not drawn["matched"] & {"was", "the"}
    assert drawn["matched"] == drawn["authors"] - {"was", "the"}


def test_matched_views_need_the_attack_and_a_candidate(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='matched needs the antonym attack; pass attacks={"antonym": '):
        build_trainer("bat_triplet", tmp_path, antonym_views="matched")
    lexicon = TableLexicon({"film": ["novel"]}, relation="antonym")

    class Tagger:
        name = "nouns and adjectives"

        def __call__(self, words: Sequence[str]) -> list[str]:
            return ["JJ" if word == "novel" else "NN" for word in words]

    attacks = {"antonym": ATTACKS["antonym"](Resources(antonyms=lexicon, tagger=Tagger()))}
    with pytest.raises(ValueError, match="none of the 16 training texts has a word that the model reads and the ant"):
        build_trainer("bat_triplet", tmp_path, antonym_views="matched", antonyms=lexicon, attacks=attacks)


@pytest.mark.parametrize("name", BAT)
def test_views_with_the_tokens_of_their_text_are_no_views(name: str, tmp_path: Path) -> None:
    """Two words that the tokenizer does not know, in every text: nothing is pulled, and no text pushed from itself."""
    rows = [{"sentence": f"{row['sentence']} zebra", "label": row["label"]} for row in review_rows(16)]
    unknown = {"synonyms": table({"zebra": ["gnu"]}, "synonym"), "antonyms": table({"zebra": ["yak"]}, "antonym")}
    bat = build_trainer(name, tmp_path / "bat", data=review_data(rows=rows), **unknown)
    normal = build_trainer("normal", tmp_path / "normal", data=review_data(rows=rows))
    for trainer in (bat, normal):
        trainer.train()
    assert bat.state.log_history[0]["view_ok_obstinate"] == 0.0
    for key, value in normal.model.state_dict().items():
        assert torch.equal(value, bat.model.state_dict()[key]), key
