"""Push to a hub that runs here, and load back from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hub_server import HubServer

TESTS = Path(__file__).parents[1]
TOKEN = "hf_" + "x" * 34
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
        script = [sys.executable, str(TESTS / "hub" / "push_and_load.py"), str(work), "--hub_token", TOKEN]
        outcome = subprocess.run(script, env={**os.environ, **settings}, capture_output=True, text=True, timeout=300)
        assert outcome.returncode == 0, outcome.stderr[-4000:]
        yield Pushed(hub, json.loads((work / "report.json").read_text()), work)


def front_matter(readme: bytes) -> dict[str, Any]:
    return yaml.safe_load(readme.decode().split("---\n")[1])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_weights_come_back_bit_equal(pushed: Pushed, strategy: str) -> None:
    assert pushed.report[strategy]


def test_checkpoints_come_back_bit_equal(pushed: Pushed) -> None:
    assert pushed.report["last-checkpoint"]
    assert pushed.report["checkpoint-2"]
    assert pushed.report["checkpoint-2 is not the end"]


def test_adapters_come_back_bit_equal(pushed: Pushed) -> None:
    assert pushed.report["adapter by transformers"]
    assert pushed.report["adapter by peft"]
    assert pushed.report["adapter differs from its base"]


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
    results = [result for result in card["model-index"][0]["results"] if "synonym attack" in result["dataset"]["name"]]
    values = {metric["type"]: metric["value"] for metric in results[0]["metrics"]}
    assert values["attack_success_rate"] == pytest.approx(last["attacks"]["synonym"]["asr"], abs=1e-6)
    assert values["robust_accuracy"] == pytest.approx(last["attacks"]["synonym"]["robust_accuracy"], abs=1e-6)
    assert {"robustness", "adversarial-training", "hf_robust", "safer"} <= set(card["tags"])
    text = files["README.md"].decode()
    assert text.count("## Robustness") == 1
    assert "ye2020safer" in text and "same table of synonyms" in text


def test_card_keeps_tags_of_the_trainer_and_of_peft(pushed: Pushed) -> None:
    assert {"mine", "generated_from_trainer"} <= set(front_matter(pushed.hub.files("me/end")["README.md"])["tags"])
    adapter = front_matter(pushed.hub.files("me/adapter")["README.md"])
    assert {"lora", "base_model:adapter:me/base"} <= set(adapter["tags"])
    assert adapter["library_name"] == "peft" and adapter["base_model"] == "me/base"


@pytest.mark.parametrize("name", [*STRATEGIES, "adapter"])
def test_no_token_and_no_folder_of_this_machine_is_published(pushed: Pushed, name: str) -> None:
    for path, content in pushed.hub.files(f"me/{name}").items():
        if path.endswith((".md", ".json", ".jsonl", ".svg", ".txt")):
            text = content.decode()
            assert TOKEN not in text, path
            assert str(pushed.work) not in text and str(TESTS.parent) not in text, path


def test_hub_server_knows_every_request(pushed: Pushed) -> None:
    assert pushed.hub.unknown == []
