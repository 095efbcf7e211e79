"""Means that reach the log: of steps, of valid rows, over ranks; and what every method with views logs of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import build_trainer, review_data, review_rows, table

from hf_robust.trainers import METHODS
from hf_robust.training.task_loss import StepMeans

VIEWS = [name for name, method in METHODS.items() if {"attacks", "synonyms"} & {*method.needs}] + ["gradient_mask"]
VIEWS = [name for name in VIEWS if name not in ("ascc", "dne")]  # these draw on a table of tokens

steps = st.lists(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=1, max_size=4), min_size=1, max_size=6)


@given(steps, st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_means_are_those_of_all_steps_or_of_all_valid_values(rows: list[list[tuple[float, bool]]], cut: int) -> None:
    means, ranks = StepMeans(), (StepMeans(), StepMeans())
    for number, row in enumerate(rows):
        values = torch.tensor([value for value, _ in row])
        valid = torch.tensor([float(ok) for _, ok in row])
        for one in (means, ranks[number >= cut]):
            one.add("step", values)
            one.add("valid", values, valid)
    good = [value for row in rows for value, ok in row if ok]
    expected = {"step": sum(sum(value for value, _ in row) / len(row) for row in rows) / len(rows)}
    if good:
        expected["valid"] = sum(good) / len(good)
    sums: list[torch.Tensor] = []
    if 0 < cut < len(rows):  # each rank has values
        ranks[0].take(lambda own: (sums.append(own), own)[1])
        assert ranks[1].take(lambda own: own + sums[0]) == pytest.approx(expected, abs=1e-4)
    assert means.take() == pytest.approx(expected, abs=1e-4) and means.take() == {}


@pytest.mark.parametrize("name", VIEWS)
def test_every_method_with_views_logs_the_share_of_rows_that_have_one(name: str, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, max_steps=4, logging_steps=2, max_grad_norm=1.0, learning_rate=1e-3)
    seen: dict[str, list[float]] = {}
    step = trainer.compute_loss

    def watched(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        for view in trainer.view_names:
            seen.setdefault(view, []).append(inputs[f"{view}_ok"].mean().item())
        return step(model, inputs, *args, **kwargs)

    trainer.compute_loss = watched  # type: ignore[method-assign]
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert trainer.view_names and len(entries) == 2
    for view in trainer.view_names:
        expected = [sum(seen[view][start : start + 2]) / 2 for start in (0, 2)]
        assert [entry[f"view_ok_{view}"] for entry in entries] == pytest.approx(expected)
    assert all(math.isfinite(value) for entry in entries for value in entry.values())


def test_a_method_without_views_logs_no_share(tmp_path: Path) -> None:
    trainer = build_trainer("normal", tmp_path, max_steps=1)
    trainer.train()
    assert not [key for entry in trainer.state.log_history for key in entry if key.startswith("view_ok")]


@pytest.mark.parametrize("name", ["bat_pairwise", "bat_triplet"])
def test_bat_logs_the_mean_distances_of_valid_views(name: str, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, max_steps=1, skip_labels=frozenset({1}))
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.eval()
    found = trainer.view_distances(trainer.model, batch)
    trainer.means.take()
    trainer.compute_loss(trainer.model, batch)
    logged = trainer.means.take()
    for view, distances, ok in (
        ("fickle", found.fickle, found.fickle_ok),
        ("obstinate", found.obstinate, found.obstinate_ok),
    ):
        assert 0 < ok.sum() < 8
        assert logged[f"distance_{view}"] == pytest.approx(distances[ok.bool()].mean().item(), rel=1e-5)


def test_no_valid_view_no_distance(tmp_path: Path) -> None:
    """Two words that the tokenizer does not know are the same tokens."""
    rows = [{"sentence": f"{row['sentence']} zebra", "label": row["label"]} for row in review_rows(16)]
    lexicons = {"synonyms": table({"zebra": ["gnu"]}, "synonym"), "antonyms": table({"zebra": ["yak"]}, "antonym")}
    trainer = build_trainer("bat_triplet", tmp_path, data=review_data(rows=rows), **lexicons, max_steps=2)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert entry["view_ok_fickle"] == entry["view_ok_obstinate"] == 0.0
    assert not [key for key in entry if key.startswith("distance")]


def test_taichi_logs_the_distances_of_pairs_and_of_others(tmp_path: Path) -> None:
    trainer = build_trainer("taichi", tmp_path, data=review_data(16), max_steps=2, learning_rate=1e-3)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert 0 < entry["distance_pair"] < 2 and 0 < entry["distance_others"] < 2
    plain = build_trainer("taichi", tmp_path / "plain", taichi_variant="no_ctr", max_steps=1, learning_rate=1e-3)
    plain.train()
    assert "distance_pair" not in plain.state.log_history[0]
