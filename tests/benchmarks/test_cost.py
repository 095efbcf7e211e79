"""The cost benchmark on a tiny model: what it counts and writes; nothing here looks at how long anything took."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import POSITIVE, build_trainer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.performance import cost, cost_setting
from benchmarks.performance import memory as step_memory
from benchmarks.performance.cost import expected_seconds, pairs, summary
from benchmarks.performance.passes import KINDS, counting, totals
from benchmarks.study import readme
from hf_robust.trainers import METHODS
from hf_robust.training.generation import GenerateViews
from hf_robust.training.view_arguments import GenerationArguments

ONE_SECOND = {clock: 1.0 for clock in ("seconds", "cpu_seconds")}


def counted(name: str, folder: Path, **options: Any) -> dict[str, float]:
    return cost.count_passes(build_trainer(name, folder, max_steps=2, **options))


@pytest.mark.parametrize(
    ("name", "options", "counts"),
    [
        ("normal", {}, {"forward": 1, "backward": 1}),
        ("pgd", {"adv_steps": 3}, {"forward": 4, "backward": 1, "backward_partial": 3}),
        ("freelb", {"adv_steps": 3}, {"forward": 3, "backward": 1, "backward_more": 2}),
        ("tavat", {"adv_steps": 2}, {"forward": 2, "backward": 1, "backward_more": 1}),
        ("adaptive_freelb", {"adv_steps": 3}, {"forward": 4, "backward": 1, "backward_partial": 3}),
        ("bat_triplet", {}, {"forward": 3, "backward": 1, "backward_more": 2}),
        ("fgsm", {}, {"forward": 2, "backward": 1, "backward_partial": 1}),
    ],
)
def test_passes_of_a_step(name: str, options: dict[str, Any], counts: dict[str, int], tmp_path: Path) -> None:
    found = counted(name, tmp_path, **options)
    assert {kind: count for kind, count in found.items() if count} == counts


def test_freelb_that_keeps_its_graphs_makes_partial_and_full_passes(tmp_path: Path) -> None:
    found = counted("freelb", tmp_path, adv_steps=3, multi_backward="sum")
    assert found == {"forward": 3, "backward": 1, "backward_more": 2, "backward_partial": 2}


def test_a_forward_without_gradients_is_its_own_kind_and_nothing_stays_patched(tmp_path: Path) -> None:
    trainer = build_trainer("normal", tmp_path)
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    before = torch.autograd.backward, torch.autograd.grad
    with counting(trainer.model) as counter:
        with torch.no_grad():
            trainer.model(**batch)
        loss = trainer.model(**batch)["loss"]
        torch.autograd.grad(loss, list(trainer.model.classifier.parameters()))
    assert counter.counts == {"forward_no_grad": 1, "forward": 1, "backward": 1, "backward_more": 0}
    assert (torch.autograd.backward, torch.autograd.grad) == before
    trainer.model(**batch)
    assert counter.counts["forward"] == 1


def test_expected_seconds_are_those_of_the_passes_and_of_normals_rest() -> None:
    prices = dict(zip(KINDS, (1.0, 0.5, 2.0, 2.5, 1.5), strict=True))
    passes = {kind: {"seconds": price} for kind, price in prices.items()}
    assert expected_seconds({"forward": 1, "backward": 1}, passes, 3.7, "seconds") == pytest.approx(3.7)
    adversarial = {"forward": 4, "backward": 1, "backward_partial": 3, "forward_no_grad": 2, "backward_more": 1}
    assert expected_seconds(adversarial, passes, 3.7, "seconds") == pytest.approx(4 + 1 + 2 + 2.5 + 4.5 + 0.7)


def test_ratios_are_taken_within_a_round() -> None:
    passes = {kind: ONE_SECOND for kind in KINDS}
    counts = {"normal": {"forward": 1, "backward": 1}, "pgd": {"forward": 2, "backward": 1, "backward_partial": 1}}
    counts["adaptive_pgd"] = counts["pgd"]
    rounds = []
    for slow in (1.0, 10.0, 2.0):  # a round on a busy machine
        steps = {"normal": 3.0 * slow, "pgd": 6.0 * slow, "adaptive_pgd": 6.06 * slow}
        both = {name: {"seconds": one, "cpu_seconds": one / 2} for name, one in steps.items()}
        rounds.append({name: one | {"between_seconds": 0.0} for name, one in both.items()})
    units = [{kind: {"seconds": slow} for kind in passes} for slow in (1.0, 10.0, 2.0)]
    found = summary(rounds, units, counts, "seconds")
    assert found["pgd"]["relative"] == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert found["pgd"]["overhead"]["median"] == pytest.approx(6 / 5 - 1)
    assert found["normal"]["overhead"]["high"] == 0.0 and found["pgd"]["seconds"]["high"] == 60.0
    pair = pairs(rounds, units, counts, "seconds")["adaptive_pgd/pgd"]
    assert pair["ratio"]["median"] == pytest.approx(1.01) and pair["beyond_passes"]["median"] == pytest.approx(0.01)
    assert pair["within_goal"] and pair["paper"] == 1.011


def test_live_bytes_of_known_tensors() -> None:
    given = torch.ones(1000)
    with step_memory.LiveStorages() as live:
        one = given + 1
        view = one.view(10, 100).add_(1)
        assert live.now == 4000
        other = view * 2
        del one, view
        assert (live.now, live.peak) == (4000, 8000)
        del other
    assert live.now == 0


@pytest.mark.parametrize("name", ["freelb", "tavat", "pgd"])
def test_memory_does_not_grow_with_the_steps(name: str, tmp_path: Path) -> None:
    five, ten = (
        step_memory.step_memory(build_trainer(name, tmp_path, max_steps=2, adv_steps=steps))["step"]
        for steps in (5, 10)
    )
    assert 0 < five <= ten <= five + 5 * 4  # a climb keeps one loss of each step, to check them at the end


def test_graphs_that_are_kept_do_grow(tmp_path: Path) -> None:
    options = {"max_steps": 2, "multi_backward": "sum"}
    two, five = (
        step_memory.step_memory(build_trainer("freelb", tmp_path, adv_steps=k, **options))["step"] for k in (2, 5)
    )
    assert five > 1.5 * two


@pytest.mark.parametrize("name", [name for name in METHODS if issubclass(METHODS[name].config, GenerationArguments)])
def test_texts_made_beforehand_are_there_for_each_row_and_cost_no_search(
    name: str, model_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched(*args: Any) -> None:
        raise AssertionError("a search is no part of a step")

    monkeypatch.setattr(GenerateViews, "_generate", searched)
    folder = model_folder()
    flags = cost.parse(["--batch_size", "4", "--length", "12", "--cpu"])
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    # Words that the tokenizer knows: one unknown word for another is no view.
    rows = [{"sentence": " ".join(random.Random(row).choices(POSITIVE, k=12)), "label": row % 2} for row in range(8)]
    setting = cost_setting.Setting(model, tokenizer, rows, flags, str(tmp_path))
    trainer = cost_setting.build(name, setting, 2)
    passes = totals(cost.count_passes(trainer))
    assert setting.view_share == trainer.view_share == 1.0
    assert passes == trainer.step_passes(trainer.args)


def test_result_file(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    flags = ["--model", str(model_folder()), "--methods", "freelb", "bat_pairwise", "--rounds", "2", "--steps", "1"]
    flags += ["--batch_size", "4", "--length", "12", "--adv_steps", "2", "--cpu", "--output", str(tmp_path)]
    path = cost.main([*flags, "--name", "tiny"])
    result = json.loads(path.read_text())
    assert path.name == "cost_tiny.json" and str(tmp_path) not in path.read_text()
    assert list(result["methods"]) == ["normal", "freelb", "bat_pairwise"]
    freelb = result["methods"]["freelb"]
    assert freelb["counts"] == {**dict.fromkeys(KINDS, 0), "forward": 2, "backward": 1, "backward_more": 1}
    assert freelb["options"] == {"adv_steps": 2} and result["methods"]["normal"]["options"] == {}
    for row in result["methods"].values():
        for key in ("seconds", "cpu_seconds", "relative", "expected", "overhead", "between_steps"):
            assert row[key]["low"] <= row[key]["median"] <= row[key]["high"]
        memory = row["memory"]
        assert memory["peak"] == memory["kept"] + memory["step"] > 0
    assert result["methods"]["normal"]["relative"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert set(result["passes"]) == set(KINDS) and result["pairs"] == {}
    assert list(result["memory_by_steps"]) == ["freelb"] and list(result["memory_by_steps"]["freelb"]) == [
        "2",
        "5",
        "10",
    ]
    assert result["setting"]["data"] == "synthetic" and result["setting"]["tokens_in_a_text"] == 12
    assert {"machine", "versions", "model", "clock", "overhead_goal"} <= set(result)


def stored_result(*names: str, **setting: Any) -> dict[str, Any]:
    common = {"batch_size": 16, "length": 32, "adv_steps": 5, "freelb_pp_steps": 5, "bf16": False, "data": "synthetic"}
    return {
        "machine": {"threads": 1}, "versions": {"torch": "2"}, "model": {"name": "minilm"}, "clock": "cpu_seconds",
        "setting": {**common, "view_share": 1.0, **setting}, "passes": {}, "pairs": {},
        "methods": {name: {"relative": names.index(name)} for name in names},
    }  # fmt: skip


def test_methods_are_added_to_a_stored_result() -> None:
    stored, new = stored_result("normal", "freelb"), stored_result("normal", "flat", "ada", view_share=0.9)
    found = cost.with_added(stored, new)
    # In the order of METHODS; `normal` keeps its first row, and says nothing of when the others were measured.
    assert list(found["methods"]) == ["normal", "ada", "flat", "freelb"]
    assert found["methods"]["normal"] == stored["methods"]["normal"]
    assert list(found["added"]) == ["flat", "ada"] and found["added"]["ada"]["versions"] == new["versions"]
    assert found["setting"]["view_share"] == 0.9
    with pytest.raises(SystemExit, match="--add: length is 32 in the stored result and 64 now"):
        cost.with_added(stored, stored_result("normal", "ada", length=64))


@pytest.mark.parametrize("name", METHODS)
def test_row_of_a_method(name: str) -> None:
    method = METHODS[name]
    idea = METHODS.describe(name).idea
    assert idea and not idea.endswith(".")
    paper = readme.paper_link(method)
    assert (paper == "–") == (not method.citation) and len(paper) < 120


def test_costs_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "cost_minilm.json").write_text(
        json.dumps(
            {
                "machine": {"threads": 1},
                "model": {"name": "minilm", "layers": 6, "width": 384},
                "setting": {"adv_steps": 5, "rounds": 7, "batch_size": 16, "tokens_in_a_text": 64.0},
                "clock": "cpu_seconds",
                "methods": {
                    "freelb_pp": {
                        "counts": {**dict.fromkeys(KINDS, 0), "forward": 10, "backward": 1, "backward_more": 9},
                        "options": {"adv_steps": 10},
                        "relative": {"median": 9.123, "low": 9.0, "high": 9.5},
                    }
                },
            }
        )
    )
    cost = readme.read_cost(tmp_path)
    assert readme.costs(METHODS["freelb_pp"], cost) == ("10 / 10 (k = 10)", "9.12 [9.00, 9.50]")
    assert readme.costs(METHODS["freelb"], cost) == ("5 / 5", readme.ABSENT)
    said = readme.cost_setting(cost)
    assert "1 CPU thread." in said and "processor seconds" in said and "7 rounds" in said
    assert readme.read_cost(tmp_path / "nothing") == {}
    assert readme.costs(METHODS["trades"], {}) == ("7 / 7", readme.ABSENT)
