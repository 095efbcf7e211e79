"""Trackers: the robustness metrics, the curves and the run card arrive in the one run that each of them has."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tiny import SYNONYMS, build_trainer, review_data, table
from transformers import PrinterCallback, TrainerCallback
from transformers.integrations import TensorBoardCallback, WandbCallback, integration_utils

from hf_robust.attacks import ATTACKS, Example, Resources
from hf_robust.callbacks import AttackCallback, CurvesCallback, RunCardCallback, TrackersCallback
from hf_robust.callbacks.trackers import settings

pytestmark = pytest.mark.slow

CERTIFIED = {"certified_accuracy": 0.25, "certified_accuracy_low": 0.125, "smoothed_accuracy": 0.75}


def tracked(folder: Path, *report_to: str, epochs: int = 2, **options: Any) -> Any:
    """A trainer of two steps an epoch, attacked after each, with all that writes and draws, in the script's order."""
    data = review_data(8, seed=5)
    trainer = build_trainer(
        "normal",
        folder,
        eval_data=data,
        max_steps=-1,
        num_train_epochs=epochs,
        learning_rate=0.05,
        report_to=list(report_to) or "none",
        compute_metrics=lambda _: dict(CERTIFIED),
        **options,
    )
    attack = ATTACKS["synonym"](Resources(synonyms=table(SYNONYMS, "synonym")))
    examples = [Example(index, data.texts(index), int(data.label(index))) for index in range(8)]
    AttackCallback({"synonym": attack}, examples).attach(trainer)
    trainer.add_callback(RunCardCallback({"name": "reviews"}, {}, {"synonym": attack.describe()}, "normal"))
    trainer.add_callback(CurvesCallback())
    trainer.tracking = TrackersCallback().attach(trainer)
    return trainer


def wanted(prefix: str = "eval/") -> set[str]:
    attack = {f"synonym_{key}" for key in ("asr", "robust_accuracy", "queries", "seconds")}
    return {f"{prefix}{key}" for key in {*attack, *CERTIFIED}}


# ---- TensorBoard ----


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = tracked(tmp_path_factory.mktemp("run"), "tensorboard")
    trainer.train()
    trainer.evaluate()
    folders = list((Path(trainer.args.output_dir) / "runs").iterdir())
    assert len(folders) == 1 and not [path for path in folders[0].iterdir() if path.is_dir()]  # one run, not two
    return EventAccumulator(str(folders[0])).Reload()


def test_tensorboard_has_every_robustness_metric_of_each_epoch(events: Any) -> None:
    assert wanted() <= set(events.Tags()["scalars"])
    assert [one.step for one in events.Scalars("eval/synonym_asr")] == [2, 4, 4]
    assert [one.value for one in events.Scalars("eval/certified_accuracy")] == [0.25] * 3


def test_tensorboard_has_the_curves_after_each_measured_epoch(events: Any) -> None:
    pictures = events.Images("tradeoff_curves")
    assert [one.step for one in pictures][:2] == [2, 4] and all(one.width > 100 for one in pictures)


def test_tensorboard_has_the_run_card_at_the_begin_and_complete(events: Any) -> None:
    first, last = (one.tensor_proto.string_val[0].decode() for one in events.Tensors("run_card/text_summary"))
    assert '"final_step": null' in first and '"final_step": 4' in last and '"method": "normal"' in first


def test_tensorboard_has_hparams_with_the_attacks_as_metrics(events: Any) -> None:
    from tensorboard.plugins.hparams import metadata

    content = events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    assert {one.name.tag for one in experiment.metric_infos} == {"eval/accuracy", "eval/synonym_asr"}
    assert {"method", "seed", "learning_rate"} <= {one.name for one in experiment.hparam_infos}


# ---- Trackio, offline ----


@pytest.fixture
def trackio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    trackio = pytest.importorskip("trackio")

    def connect(*args: Any) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", connect)
    yield trackio
    if trackio.context_vars.current_run.get() is not None:
        trackio.finish()


def test_trackio_offline_has_metrics_curves_and_card_in_one_run(trackio: Any, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    trainer = tracked(tmp_path, "trackio", project="one-run")
    trainer.train()
    assert trackio.context_vars.current_run.get() is None  # finished with the last picture in it
    (run,) = trackio.Api().runs("one-run")
    assert run.config["run_card"]["final_step"] == 4 and run.config["learning_rate"] == 0.05

    trainer.evaluate()  # transformers opens Trackio again
    trackio.finish()
    (run,) = trackio.Api().runs("one-run")
    assert run.config["run_card"]["final_step"] == 4
    logs = logs_of("one-run", run)
    evaluations = [entry for entry in logs if "eval/loss" in entry]
    assert len(evaluations) == 3 and all(wanted() <= set(entry) for entry in evaluations)
    pictures = [entry for entry in logs if "tradeoff_curves" in entry]
    assert [entry["train/global_step"] for entry in pictures][:2] == [2, 4]
    media = Path(trackio.utils.MEDIA_DIR) / pictures[-1]["tradeoff_curves"]["file_path"]
    assert media.read_bytes() == (tmp_path / "tradeoff_curves.png").read_bytes()
    assert [entry["run_card"]["_type"] for entry in logs if "run_card" in entry] == ["trackio.markdown"]
    assert trainer.args.run_name is None
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not any("sender" in name or "Server" in name or "uvicorn" in name for name in left)


def logs_of(project: str, run: Any) -> list[dict[str, Any]]:
    from trackio.sqlite_storage import SQLiteStorage

    return SQLiteStorage.get_logs(project, run.name, run_id=run.id)


def test_a_second_training_is_a_second_trackio_run(trackio: Any, tmp_path: Path) -> None:
    trainer = tracked(tmp_path, "trackio", project="two-runs", epochs=1)
    trainer.train()
    trainer.train()
    first, second = trackio.Api().runs("two-runs")
    assert first.name != second.name and second.config["run_card"]["final_step"] == 2


# ---- wandb, by a module that notes the calls ----


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What transformers' callback and ours call of wandb, and no more; ``calls`` has what they said."""
    stub: Any = ModuleType("wandb")
    stub.calls, stub.run = [], None

    def init(**options: Any) -> None:
        stub.run = SimpleNamespace(summary={}, _label=lambda **_: None)
        stub.calls.append(("init", options))

    class Config(dict):
        def update(self, values: Any, allow_val_change: bool = False) -> None:
            assert allow_val_change  # wandb refuses a second value without
            stub.calls.append(("config", dict(values)))

    stub.init, stub.config = init, Config()
    stub.log = lambda values: stub.calls.append(("log", values))
    stub.Image = lambda path: ("image", Path(path).read_bytes())
    errors: Any = ModuleType("wandb.sdk.lib.config_util")
    errors.ConfigError = ValueError
    monkeypatch.setitem(sys.modules, "wandb", stub)
    monkeypatch.setitem(sys.modules, "wandb.sdk.lib.config_util", errors)
    monkeypatch.setattr(integration_utils, "is_wandb_available", lambda: True)
    return stub


def test_wandb_gets_metrics_curves_and_card_in_one_run(wandb: Any, tmp_path: Path) -> None:
    trainer = tracked(tmp_path, "wandb")
    trainer.train()
    trainer.evaluate()
    assert [name for name, _ in wandb.calls].count("init") == 1
    cards = [values["run_card"] for name, values in wandb.calls if name == "config" and "run_card" in values]
    assert [card["final_step"] for card in cards] == [None, 4]
    logged = [values for name, values in wandb.calls if name == "log"]
    assert [wanted() <= set(values) for values in logged if "eval/loss" in values] == [True] * 3
    pictures = [values for values in logged if "tradeoff_curves" in values]
    assert [values["train/global_step"] for values in pictures][:2] == [2, 4]
    assert pictures[-1]["tradeoff_curves"] == ("image", (tmp_path / "tradeoff_curves.png").read_bytes())


# ---- any of them ----


def test_the_trackers_come_last_and_the_printer_after_them(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    kinds = [type(callback) for callback in tracked(tmp_path, "tensorboard").callback_handler.callbacks]
    assert kinds[-3:] == [TrackersCallback, TensorBoardCallback, PrinterCallback]
    assert kinds.index(CurvesCallback) < kinds.index(TrackersCallback)


def test_no_tracker_that_was_not_asked_for(tmp_path: Path, wandb: Any) -> None:
    trainer = tracked(tmp_path, epochs=1)
    trainer.train()
    assert trainer.tracking.trackers == {} and wandb.calls == [] and not (tmp_path / "runs").exists()


def test_a_tracker_that_fails_is_a_warning(
    tmp_path: Path, wandb: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: str) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(wandb, "Image", full)
    with caplog.at_level(logging.WARNING):
        trainer = tracked(tmp_path, "wandb", epochs=1)
        trainer.train()
    assert "wandb did not take the tradeoff curves: no room" in caplog.text
    assert trainer.state.global_step == 2 and [values for name, values in wandb.calls if "run_card" in values]


def test_other_ranks_and_pictures_of_an_earlier_run_send_nothing(tmp_path: Path, wandb: Any) -> None:
    (tmp_path / "tradeoff_curves.png").write_bytes(b"of an earlier run")
    trainer = tracked(tmp_path, "wandb", epochs=1)
    wandb.init()
    args, state, control = trainer.args, trainer.state, trainer.control
    events: list[Callable[..., None]] = [trainer.tracking.on_evaluate, trainer.tracking.on_train_end]
    for event in events:
        event(args, state, control)
    (tmp_path / "tradeoff_curves.png").write_bytes(b"of this run, drawn by the main process")
    (tmp_path / "run_card.json").write_text('{"method": "normal"}')
    state.is_world_process_zero = False
    for event in [trainer.tracking.on_train_begin, trainer.tracking.on_epoch_begin, *events]:
        event(args, state, control)
    assert [name for name, _ in wandb.calls] == ["init"]


def test_the_same_picture_is_sent_once(tmp_path: Path, wandb: Any) -> None:
    trainer = tracked(tmp_path, "wandb")
    wandb.init()
    for content in (b"one", b"one", b"another"):
        (tmp_path / "tradeoff_curves.png").write_bytes(content)
        trainer.tracking.on_evaluate(trainer.args, trainer.state, trainer.control)
    sent = [values["tradeoff_curves"][1] for name, values in wandb.calls if name == "log"]
    assert sent == [b"one", b"another"]


def test_a_run_that_dies_has_its_card(tmp_path: Path, wandb: Any) -> None:
    class Dies(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("power cut")

    trainer = tracked(tmp_path, "wandb")
    trainer.add_callback(Dies())
    with pytest.raises(RuntimeError, match="power cut"):
        trainer.train()
    assert [values["run_card"]["method"] for _, values in wandb.calls if "run_card" in values] == ["normal"]


def test_a_subclass_of_a_trackers_callback_is_one(tmp_path: Path, wandb: Any) -> None:
    class Mine(WandbCallback):
        pass

    trainer = build_trainer("normal", tmp_path, callbacks=[Mine()])
    assert set(TrackersCallback().attach(trainer).trackers) == {"wandb"}


def test_settings_are_flat_and_plain() -> None:
    card = {"method": "pgd", "seed": 3, "data": {"name": "sst2"}, "config": {"adv_steps": 3, "layers": [1, 2]}}
    card |= {"training": {"fp16": True, "warmup_steps": None}, "model": None}
    assert settings(card) == {
        "method": "pgd", "seed": 3, "data": "sst2", "fp16": True, "adv_steps": 3, "layers": "[1, 2]"
    }  # fmt: skip
