"""Each reader names a truncated, empty or missing file of a saved model in its error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from hf_robust.models.files import check_files, loading, read_weights, weight_files


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    build_model().save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def cut(path: Path, left: int) -> None:
    path.write_bytes(path.read_bytes()[:left])


def load(folder: Path | str) -> None:
    with loading(f"--model {folder}", str(folder), "give a folder or a Hub id"):
        config = AutoConfig.from_pretrained(folder)
        AutoTokenizer.from_pretrained(folder)
        AutoModelForSequenceClassification.from_pretrained(folder, config=config)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
@pytest.mark.parametrize("left", [0, 1, 40, -30])
def test_a_cut_file_of_a_folder_is_named(name: str, left: int, saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved, tmp_path / "model")
    cut(folder / name, left)
    with pytest.raises(ValueError, match=rf"{name} is (cut|empty).*; copy it again, or train again\.") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_whole_folder_loads_and_another_error_stays_what_it_is(saved: Path) -> None:
    load(saved)
    with pytest.raises(RuntimeError, match="of mine"), loading("this", str(saved), "do that"):
        raise RuntimeError("of mine")


def test_what_is_nowhere_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^--model .*none cannot be loaded \(.*\); give a folder or a Hub id\.$"):
        load(tmp_path / "none")


def test_a_broken_file_in_the_cache_of_the_hub_is_named(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "models--me--mine" / "snapshots" / ("0" * 40)
    shutil.copytree(saved, snapshot)
    (tmp_path / "models--me--mine" / "refs").mkdir()
    (tmp_path / "models--me--mine" / "refs" / "main").write_text("0" * 40)
    cut(snapshot / "model.safetensors", 100)
    expected = r"model.safetensors is cut or damaged .*; delete .*models--me--mine to download it again\."
    with pytest.raises(ValueError, match=expected), loading("x", "me/mine", "", cache_dir=str(tmp_path)):
        AutoModelForSequenceClassification.from_pretrained("me/mine", cache_dir=tmp_path)


def test_shards_are_found_and_read_and_a_missing_one_is_named(tmp_path: Path) -> None:
    model = build_model()
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    files = weight_files(tmp_path, "mend it")
    assert len(files) > 2
    found = read_weights(files)
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())
    files[1].unlink()
    with pytest.raises(ValueError, match=rf"{files[1].name} is missing; mend it\."):
        weight_files(tmp_path, "mend it")
    cut(tmp_path / "model.safetensors.index.json", 30)
    with pytest.raises(ValueError, match=r"index.json is cut or damaged: it is not JSON .*; mend it\."):
        weight_files(tmp_path, "mend it")
    assert weight_files(tmp_path / "empty", "mend it") == []


@pytest.mark.parametrize("lost", [1, 3, 30, 600])
def test_what_torch_saved_is_missed_by_its_last_bytes(lost: int, tmp_path: Path) -> None:
    for name, value in (("optimizer.pt", torch.zeros(50)), ("scheduler.pt", {"last_epoch": 3})):
        torch.save(value, tmp_path / name)
        check_files([tmp_path / name], "")
        cut(tmp_path / name, -lost)
        with pytest.raises(ValueError, match=f"{name} is cut or damaged"):
            check_files([tmp_path / name], "resume from the one before")


def test_weights_that_torch_saved_without_an_archive_are_read(tmp_path: Path) -> None:
    state: dict[str, Any] = {"weight": torch.arange(4.0)}
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(weight_files(tmp_path, ""))["weight"], state["weight"])


def test_json_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe" + json.dumps({}).encode())
    with pytest.raises(ValueError, match=r"config.json is cut or damaged: it is not JSON"):
        check_files([tmp_path / "config.json"], "")
