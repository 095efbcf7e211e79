"""`hf-robust sweep --output_dir` at an fsspec address: runs work in scratch folders, and nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import fsspec
import pytest
from sweep_parts import Stage
from test_sweep_grid import interrupt_when

from hf_robust.sweep.copies import Upload, download
from hf_robust.sweep.perform import adopt
from hf_robust.sweep.search import JOURNAL

GRID = {"seed": [1, 2, 3]}


@pytest.fixture(params=["file", "memory"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.output = f"file://{tmp_path}/out" if request.param == "file" else f"memory://{tmp_path.name}/out"
    return stage


def names_at(stage: Stage) -> set[str]:
    system, root = fsspec.core.url_to_fs(stage.output)
    return {path[len(root) + 1 :] for path in system.find(root)}


def text_at(stage: Stage, name: str) -> str:
    with fsspec.open(f"{stage.output}/{name}", encoding="utf-8", mode="rt") as file:
        return str(file.read())


def run_names(stage: Stage) -> dict[str, str]:
    names = {name.split("/")[1] for name in names_at(stage) if name.startswith("runs/")}
    return {name.rpartition("-")[0]: name for name in sorted(names)}


def test_a_sweep_is_kept_at_the_address_and_not_done_twice(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.control(fail=[3])
    assert stage.sweep("--jobs", "2", grid={"learning_rate": [1e-3], **GRID}) == 2
    out, error = capsys.readouterr()
    assert "the disk is full" in out and f"Read their _log.txt in {stage.output}/runs" in error
    runs = run_names(stage)
    assert {f"runs/{runs['learning_rate0.001-seed1']}/{name}" for name in ("all_results.json", "_log.txt")} <= (
        names_at(stage)
    )
    stage.control()
    assert stage.sweep("--dry_run") == 0 and capsys.readouterr().out.count("finished  ") == 2
    assert stage.sweep() == 0
    assert [name[-1] for name in stage.names()][2:] in (["3", "3"], ["2", "3"])
    assert len(stage.names()) == 4 and names_at(stage) >= {"sweep.md", "sweep.json"}
    assert json.loads(text_at(stage, "sweep.json"))["settings"][0]["seeds"] == [1, 2, 3]
    assert not any("_failed.json" in name for name in names_at(stage))


def test_an_interrupted_run_goes_on_from_its_checkpoint_in_another_folder(stage: Stage) -> None:
    stage.control(hang=[2])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread = interrupt_when(stage.folder / "hanging", signal.SIGTERM)
        assert stage.sweep(grid=GRID) == 2
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert list(json.loads(text_at(stage, "sweep.json"))["runs"].values()) == [
        "finished", "interrupted", "not begun",
    ]  # fmt: skip
    stage.control()
    assert stage.sweep() == 0 and stage.names() == ["seed1", "seed2", "seed2", "seed3"]
    first, second = (folder for name, folder in stage.folders() if name == "seed2")
    checkpoint = stage.started()[2][1]
    assert checkpoint == f"{second}/checkpoint-5" and first != second
    assert not Path(first).exists() and not Path(second).exists()  # nothing is left on the machine


def test_a_search_is_gone_on_with(stage: Stage) -> None:
    search = {"search": {"learning_rate": {"low": 1e-4, "high": 1e-2}}, "objectives": {"eval_accuracy": "maximize"}}
    assert stage.sweep(**search, trials=2) == 0 and JOURNAL in names_at(stage)
    assert stage.sweep(**search, trials=4) == 0
    assert len(stage.names()) == 4 and len(json.loads(text_at(stage, "sweep.json"))["runs"]) == 4


def test_an_older_sweep_gives_way_to_a_newer_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(tmp_path)
    stage.output = f"file://{tmp_path}/out"
    newer = 'print("epoch 1"); (here / "out" / "_lock").write_text("newer")'
    stage.script.write_text(stage.script.read_text().replace('print("epoch 1")', newer))
    assert stage.sweep(grid=GRID) == 2 and stage.names() == ["seed1"]
    assert f"another sweep has begun in {stage.output}: give each sweep" in capsys.readouterr().err


def test_an_unknown_file_system_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(tmp_path)
    stage.output = "nowhere://bucket/sweep"
    assert stage.sweep(grid=GRID) == 2
    error = capsys.readouterr().err
    assert "nowhere://bucket/sweep cannot be opened (Protocol not known: nowhere): install" in error
    assert error.count("\n") == 1 and stage.names() == []


# ---- copies ----


def test_the_best_checkpoint_is_the_one_in_the_run_s_new_folder(tmp_path: Path) -> None:
    """The Trainer would say that the best checkpoint does not exist anymore, and take the last model for the best."""
    checkpoint = tmp_path / "new" / "checkpoint-9"
    checkpoint.mkdir(parents=True)
    for best, adopted in [("/old/checkpoint-6", f"{tmp_path}/new/checkpoint-6"), (None, None)]:
        (checkpoint / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": best, "global_step": 9}))
        adopt(checkpoint)
        assert json.loads((checkpoint / "trainer_state.json").read_text()) == {
            "best_model_checkpoint": adopted, "global_step": 9,
        }  # fmt: skip


def test_a_copy_is_brought_up_to_date_in_the_order_of_writing(tmp_path: Path) -> None:
    folder, address = tmp_path / "folder", f"memory://{tmp_path.name}/copy"
    (folder / "deep").mkdir(parents=True)
    system, root = fsspec.core.url_to_fs(address)
    upload = Upload(folder, address)
    for second, name in enumerate(["last", "deep/first", "_lock", "a.partial"]):
        (folder / name).write_text(name)
        os.utime(folder / name, ns=(0, -second * 10**9 + 10**10))
    order: list[str] = []
    put_file, system.put_file = (
        system.put_file,
        lambda source, target: (order.append(target), put_file(source, target)),
    )
    try:
        upload.send()
        (folder / "deep/first").unlink()
        (folder / "last").write_text("changed")
        upload.send()
        upload.send()
    finally:
        system.put_file = put_file
    assert order == [f"{root}/deep/first", f"{root}/last", f"{root}/last"]
    download(address, tmp_path / "back")
    assert {path.name: path.read_text() for path in (tmp_path / "back").rglob("*") if path.is_file()} == {
        "last": "changed"
    }
