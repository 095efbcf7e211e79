"""`hf-robust sweep --backend ray` on two nodes of a real Ray cluster, one of which is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_parts import Stage
from test_sweep_grid import interrupt_when

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

pytestmark = pytest.mark.slow

SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
HEALTH = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 3,
}
GRID = {"seed": [1, 2, 3, 4]}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    cluster = Cluster(initialize_head=True, head_node_args={**SMALL, "_system_config": HEALTH})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def stage(tmp_path: Path, cluster: Any) -> Stage:
    while len(cluster.list_all_nodes()) < 2:
        cluster.add_node(**SMALL)
    stage = Stage(tmp_path)
    stage.flags = ["--backend", "ray", "--address", cluster.address]
    return stage


def is_alive(process: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def kill_a_node_when_two_runs_have_checkpoints(stage: Stage, cluster: Any) -> threading.Thread:
    """Kill a node at this moment, and let the hanging runs end as soon as one of the two has died with its node."""

    def wait_until(is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not is_so() and time.monotonic() < end:
            time.sleep(0.05)

    def kill() -> None:
        wait_until(lambda: len(list(stage.folder.glob("out/runs/*/checkpoint-5/trainer_state.json"))) == 2)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        wait_until(lambda: not all(map(is_alive, stage.processes())))
        stage.go()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_a_killed_node_was_doing_goes_on_elsewhere_and_nothing_is_done_twice(
    stage: Stage, cluster: Any, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.output = f"{scheme}{stage.output}"
    stage.control(hang=GRID["seed"])
    thread = kill_a_node_when_two_runs_have_checkpoints(stage, cluster)
    assert stage.sweep(grid=GRID) == 0
    thread.join()
    (lost, starts), *others = Counter(stage.names()).most_common()
    assert starts == 2 and sorted([lost, *(name for name, _ in others)]) == ["seed1", "seed2", "seed3", "seed4"]
    assert {count for _, count in others} == {1}
    checkpoints = [checkpoint for name, checkpoint in stage.started() if name == lost]
    assert checkpoints[0] is None and checkpoints[1].endswith("/checkpoint-5")
    assert [checkpoint for name, checkpoint in stage.started() if name != lost] == [None] * 3
    result = json.loads((stage.folder / "out" / "sweep.json").read_text())
    assert set(result["runs"].values()) == {"finished"} and result["settings"][0]["seeds"] == GRID["seed"]
    capsys.readouterr()
    assert stage.sweep() == 0 and len(stage.names()) == 5
    assert capsys.readouterr().out.startswith("0 of 4 runs to do\n")


def test_the_trials_of_a_search_are_one_study_on_both_nodes_and_failed_ones_are_run_again(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    search = {"learning_rate": {"low": 1e-4, "high": 1e-2}}
    stage.control(fail=[42])
    assert stage.sweep(search=search, trials=3, objectives={"eval_accuracy": "maximize"}) == 2
    out, error = capsys.readouterr()
    assert "failed (exit code 3, " in out and "    the disk is full\n" in out
    assert error.splitlines()[-1].startswith("hf-robust sweep: 3 of 3 runs failed: learning_rate")
    stage.control(together=3 + 2)  # the first two wait for each other, on two nodes
    assert stage.sweep() == 0
    assert len(stage.names()) == 6 and set(Counter(stage.names()).values()) == {2}
    assert len(stage.result()["settings"]) == 3


def test_an_interruption_ends_the_runs_and_they_go_on_later(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.control(hang=[2])
    thread = interrupt_when(stage.folder / "hanging", signal.SIGTERM)
    assert stage.sweep("--jobs", "1", grid={"seed": [1, 2, 3]}) == 2
    thread.join()
    assert "hf-robust sweep: interrupted: " in capsys.readouterr().err
    assert list(stage.result()["runs"].values()) == ["finished", "interrupted", "not begun"]
    assert not any(map(is_alive, stage.processes()))
    stage.control()
    assert stage.sweep() == 0 and sorted(stage.names()) == ["seed1", "seed2", "seed2", "seed3"]


def test_each_run_has_its_gpus(stage: Stage, cluster: Any) -> None:
    node = cluster.add_node(**{**SMALL, "num_cpus": 2, "num_gpus": 1})  # a GPU by name only
    try:
        stage.control(together=2)
        assert stage.sweep("--gpus_per_run", "0.5", grid={"seed": [1, 2]}) == 0
        assert stage.sweep("--gpus_per_run", "0", grid={"seed": [3]}) == 0
        assert stage.sweep(grid={"seed": [4]}) == 0
        assert stage.gpus() == ["0", "0", "", "0"]
    finally:
        cluster.remove_node(node)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            "--gpus_per_run 1",
            "no machine of the Ray cluster has a processor and 1 GPUs (--gpus_per_run): give a smaller",
        ),
        ("--address 127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1 ("),
    ],
)
def test_what_the_cluster_lacks_is_one_sentence(
    stage: Stage, flags: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stage.sweep(*flags.split(), grid=GRID) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and stage.names() == []


def test_an_output_that_the_machines_do_not_share_is_one_sentence(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.output = "memory://of_one_process"
    assert stage.sweep(grid=GRID) == 2 and stage.names() == []
    error = capsys.readouterr().err
    assert " does not see memory://of_one_process: give --output_dir a folder that all machines share" in error
    assert error.count("\n") == 1


def test_a_ray_of_this_machine_starts_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    stage = Stage(tmp_path)
    assert stage.sweep("--backend", "ray", grid={"seed": [1, 2]}) == 0 and len(stage.names()) == 2


def test_without_ray_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert Stage(tmp_path).sweep("--backend", "ray", grid=GRID) == 2
    assert '--backend ray needs ray, which is not installed: pip install "hf_robust[ray]"' in capsys.readouterr().err
