"""Push to a local hub, and load from it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from hub_server import HubServer

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parents[1]
TOKEN = "hf_" + "x" * 34
FLAG_TOKEN = "hf_" + "y" * 34
STRATEGIES = ("end", "every_save", "checkpoint", "all_checkpoints")


class Pushed(NamedTuple):
    hub: HubServer
    report: dict[str, bool]
    work: Path


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    pytest.importorskip("peft")
    work = tmp_path_factory.mktemp("push")
    with HubServer() as hub:
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(work / "_home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        }
        script = [sys.executable, str(TESTS / "hub" / "push_and_load.py"), str(work), "--hub_token", FLAG_TOKEN]
        outcome = subprocess.run(script, env={**os.environ, **settings}, capture_output=True, text=True, timeout=300)
        assert outcome.returncode == 0, outcome.stderr[-4000:]
        yield Pushed(hub, json.loads((work / "report.json").read_text()), work)


def front_matter(readme: bytes) -> dict[str, Any]:
    return yaml.safe_load(readme.decode().split("---\n")[1])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_weights_come_back_bit_equal(pushed: Pushed, strategy: str) -> None:
    assert pushed.report[strategy]


def test_a_hub_id_is_attacked_like_its_model(pushed: Pushed) -> None:
    assert pushed.report["attack by hub id"]


def test_checkpoints_come_back_bit_equal(pushed: Pushed) -> None:
    assert pushed.report["last-checkpoint"]
    assert pushed.report["checkpoint-2"]
    assert pushed.report["checkpoint-2 is not the end"]


def test_adapters_come_back_bit_equal(pushed: Pushed) -> None:
    assert pushed.report["adapter by transformers"]
    assert pushed.report["adapter by peft"]
    assert pushed.report["adapter by us"]
    assert pushed.report["adapter by its card"]
    assert pushed.report["adapter differs from its base"]


def test_a_mask_beside_the_weights_comes_back_from_the_hub(pushed: Pushed) -> None:
    assert pushed.report["block mask"] and pushed.report["block mask differs"]


def test_adapters_come_back_with_their_label_names(pushed: Pushed) -> None:
    assert pushed.report["adapter has its names"]
    first = next(one for one in pushed.hub.repos["me/adapter"] if "adapter_model.safetensors" in one.files)
    assert "classifier/config.json" in first.files  # with the first checkpoint, not only at the end


@pytest.mark.parametrize(("strategy", "saves"), [("end", 0), ("every_save", 2), ("checkpoint", 4)])
def test_each_strategy_pushes_as_often_as_it_says(pushed: Pushed, strategy: str, saves: int) -> None:
    messages = [commit.message for commit in pushed.hub.repos[f"me/{strategy}"]]
    assert len([message for message in messages if message.startswith("Training in progress")]) == saves
    assert messages[-1] == "End of training"


@pytest.mark.parametrize("name", [*STRATEGIES, "adapter"])
def test_reports_are_pushed_and_scratch_files_are_not(pushed: Pushed, name: str) -> None:
    files = pushed.hub.files(f"me/{name}")
    assert {"README.md", "robustness_history.jsonl", "run_card.json", "tradeoff_curves.png"} <= set(files)
    assert "attack_results/epoch-2/synonym.jsonl" in files
    assert not [path for path in files if path.startswith("_")]
    folders = {path.split("/")[0] for path in files if "checkpoint" in path}
    expected = {"checkpoint": {"last-checkpoint"}, "all_checkpoints": {"checkpoint-2", "checkpoint-4"}}
    assert folders == expected.get(name, set())


@pytest.mark.parametrize("name", ["end", "adapter"])
def test_card_holds_robustness_after_the_push(pushed: Pushed, name: str) -> None:
    files = pushed.hub.files(f"me/{name}")
    card = front_matter(files["README.md"])
    last = [json.loads(line) for line in files["robustness_history.jsonl"].decode().splitlines()][-1]
    found = [metric for result in card["model-index"][0]["results"] for metric in result["metrics"]]
    values = {metric["type"]: metric["value"] for metric in found}
    assert values["accuracy"] == pytest.approx(last["accuracy"], abs=1e-6)
    # Models this small guess, so that their rates under attack are in the text alone, below a warning.
    assert set(values) == {"accuracy"} and found[0]["args"]["larger_class"] == 0.5
    assert {"robustness", "adversarial-training", "hf_robust", "safer"} <= set(card["tags"])
    text = files["README.md"].decode()
    assert text.count("## Robustness") == 1 and "> **Warning:** The accuracy of the model, " in text
    assert f"| {100 * last['attacks']['synonym']['robust_accuracy']:.0f} [" in text
    assert "ye2020safer" in text and "same table of synonyms" in text


def test_card_keeps_tags_of_the_trainer_and_of_peft(pushed: Pushed) -> None:
    assert {"mine", "generated_from_trainer"} <= set(front_matter(pushed.hub.files("me/end")["README.md"])["tags"])
    adapter = front_matter(pushed.hub.files("me/adapter")["README.md"])
    assert {"lora", "base_model:adapter:me/base"} <= set(adapter["tags"])
    assert adapter["library_name"] == "peft" and adapter["base_model"] == "me/base"


def test_an_evaluation_publishes_the_card_of_what_it_measured(pushed: Pushed) -> None:
    assert pushed.report["evaluated"]
    assert [commit.message for commit in pushed.hub.repos["me/evaluated"]][-1] == "Evaluation"
    files = pushed.hub.files("me/evaluated")
    assert {"model.safetensors", "run_card.json", "robustness_history.jsonl"} <= set(files)
    text, card = files["README.md"].decode(), json.loads(files["run_card.json"])
    assert (card["method"], card["model"]) == ("safer", "end")
    assert "The model `end`, trained with the method `safer`" in text and "learning_rate" not in text
    assert {"hf_robust", "safer"} <= set(front_matter(files["README.md"])["tags"])


ALL = [*STRATEGIES, "flat", "taichi", "adapter"]
# The Trainer resumes from these, and pickles them.
OF_A_CHECKPOINT = {"optimizer.pt", "scheduler.pt", "rng_state.pth"}
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".npy", ".npz", ".ckpt")


def published(pushed: Pushed, name: str) -> Iterator[tuple[str, bytes]]:
    """Every file of every commit, since files deleted by a later commit stay readable."""
    for commit in pushed.hub.repos[f"me/{name}"]:
        yield from commit.files.items()


@pytest.mark.parametrize("name", ALL)
def test_no_pickle_is_published_but_the_trainers_own(pushed: Pushed, name: str) -> None:
    files = [Path(path) for path, _ in published(pushed, name)]
    pickles = {path for path in files if path.suffix in PICKLES}
    inside = {path for path in pickles if "checkpoint" in path.parts[0]}
    assert pickles - inside == {Path("training_args.bin")}
    saved = name in ("checkpoint", "all_checkpoints")
    assert {path.name for path in inside} == ({"training_args.bin"} | OF_A_CHECKPOINT if saved else set())
    known = {".md", ".json", ".jsonl", ".safetensors", ".png", ".svg"}
    assert {path.suffix for path in {*files} - pickles if "tfevents" not in path.name} <= known


@pytest.mark.parametrize("name", [*ALL, "evaluated"])
def test_no_token_is_published(pushed: Pushed, name: str) -> None:
    for path, content in published(pushed, name):
        assert TOKEN.encode() not in content and FLAG_TOKEN.encode() not in content, path
        if path.endswith("training_args.bin"):
            args = torch.load(io.BytesIO(content), weights_only=False)
            assert args.hub_token is None and args.push_to_hub


@pytest.mark.parametrize("name", [*ALL, "evaluated"])
def test_no_folder_of_this_machine_is_published(pushed: Pushed, name: str) -> None:
    folders = {str(pushed.work), str(TESTS.parent), f"{Path.home()}/"}
    for path, content in published(pushed, name):
        if "checkpoint" in path and path.endswith("trainer_state.json"):
            content = content.replace(b'"best_model_checkpoint": "' + str(pushed.work).encode(), b"")  # to resume
        for folder in folders:
            assert folder.encode() not in content, (path, folder)


@pytest.mark.parametrize("name", ["flat", "taichi"])
def test_the_best_checkpoint_is_named_without_its_folder(pushed: Pushed, name: str) -> None:
    state = json.loads(pushed.hub.files(f"me/{name}")["trainer_state.json"])
    assert state["best_model_checkpoint"] == f"checkpoint-{state['best_global_step']}"
    kept = [json.loads(path.read_text()) for path in (pushed.work / name).glob("checkpoint-*/trainer_state.json")]
    assert [Path(one["best_model_checkpoint"]).is_absolute() for one in kept] == [True]  # resuming looks there


@pytest.mark.parametrize("name", ALL)
def test_events_of_tensorboard_are_published_with_the_curves_in_them(pushed: Pushed, name: str) -> None:
    events = [content for path, content in published(pushed, name) if path.startswith("runs/")]
    assert events and any(b"tradeoff_curves" in content and b"run_card" in content for content in events)


def test_hub_server_knows_every_request(pushed: Pushed) -> None:
    assert pushed.hub.unknown == []
