"""Sources of rows: a folder with one file for each split, or the `datasets` library."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_robust.data.files import EXTENSIONS, Rows, extension_of, iterate_rows

SHARD = re.compile(r"-\d{5}-of-\d{5}$")


@dataclass(frozen=True)
class HubAccess:
    """Options with which the `datasets` library accesses the Hub."""

    token: str | None = None
    cache_dir: str | None = None
    trust_remote_code: bool = False


class Source:
    """Splits by name, read on request."""

    def __init__(self, name: str, splits: dict[str, list[Path]]) -> None:
        self.name = name
        self._files = splits

    @property
    def split_names(self) -> list[str]:
        return list(self._files)

    @property
    def paths(self) -> list[Path]:
        """The files of the splits; none if a library reads them."""
        return [path for paths in self._files.values() for path in paths]

    def read(self, split: str) -> Rows:
        """Read the rows of a split."""
        return list(_rows_of(self._files[split]))

    def stream(self, split: str) -> Any:
        """Return the rows of a split as a ``datasets.IterableDataset``, which reads them when it is iterated.

        Raises:
            ValueError: `datasets` is not installed.
        """
        return _datasets().IterableDataset.from_generator(_rows_of, gen_kwargs={"paths": self._files[split]})

    def describe(self, split: str) -> str:
        """Describe a split for errors and the run card."""
        return ", ".join(path.name for path in self._files[split])

    def label_names(self, label_column: str) -> tuple[str, ...]:
        """Return the label names that the source declares; none if it declares none."""
        return ()


def _rows_of(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        yield from iterate_rows(path)


class DatasetsSource(Source):
    """Splits of a ``datasets.DatasetDict``, or of a ``datasets.IterableDatasetDict``."""

    def __init__(self, name: str, splits: Any) -> None:
        super().__init__(name, {})
        self._splits = splits

    @property
    def split_names(self) -> list[str]:
        return list(self._splits)

    def read(self, split: str) -> Rows:
        rows: Rows = self._splits[split].to_list()
        return rows

    def stream(self, split: str) -> Any:
        rows = self._splits[split]
        return rows.to_iterable_dataset() if hasattr(rows, "to_iterable_dataset") else rows

    def describe(self, split: str) -> str:
        return f"{self.name}, {split}"

    def label_names(self, label_column: str) -> tuple[str, ...]:
        for rows in self._splits.values():
            feature = (rows.features or {}).get(label_column)  # a stream of csv files has none
            names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
            if names:
                return tuple(names)
        return ()


def has_configs(folder: Path) -> bool:
    """Whether a folder has the layout of a Hub data set: a README.md whose header lists ``configs``."""
    readme = folder / "README.md"
    return readme.is_file() and re.search(r"\A---\n(?:.*\n)*?configs:", readme.read_text(encoding="utf-8")) is not None


def folder_source(folder: Path, config: str | None, access: HubAccess, streaming: bool = False) -> Source:
    """Return the source of a local folder: written by ``save_to_disk``, a Hub data set, or one file for each split.

    ``streaming`` is that of `datasets_source`.

    Raises:
        ValueError: the folder is none of these, or has two files for one split.
    """
    if (folder / "dataset_dict.json").is_file():
        return DatasetsSource(folder.name, _datasets().load_from_disk(str(folder)))
    if has_configs(folder):
        return datasets_source(str(folder), config, access, streaming)
    splits: dict[str, list[Path]] = {}
    for path, split in _split_files(folder):
        splits.setdefault(split, []).append(path)
    for split, paths in splits.items():
        if len(paths) > 1 and not all(SHARD.search(path.name.split(".")[0]) for path in paths):
            raise ValueError(
                f"{folder} has several files for split {split}, {[path.name for path in paths]}: keep one."
            )
    if not splits:
        raise ValueError(f"{folder} has no split: add files such as train.jsonl ({', '.join(EXTENSIONS)}, .gz).")
    return Source(folder.name, splits)


def _split_files(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and extension_of(path) in EXTENSIONS:
            yield path, SHARD.sub("", path.name.split(".")[0])


def datasets_source(name: str, config: str | None, access: HubAccess, streaming: bool = False) -> Source:
    """Load a data set of the Hub, or a folder with its layout, by the `datasets` library.

    With ``streaming`` nothing is downloaded: rows are read when a split is iterated.

    Raises:
        ValueError: `datasets` is not installed, or it cannot load the data set (offline, unknown name or config).
    """
    options = {"trust_remote_code": True} if access.trust_remote_code else {}
    options |= {"streaming": True} if streaming else {}
    try:
        loaded = _datasets().load_dataset(name, config, cache_dir=access.cache_dir, token=access.token, **options)
    except (OSError, ValueError) as error:
        title = name if config is None else f"{name} ({config})"
        raise ValueError(
            f"cannot load the data set {title}: {error} Without network, give local files by --glue_dir, "
            "--dataset_name FOLDER or --train_file."
        ) from error
    return DatasetsSource(short_name(name, config), loaded)


def short_name(name: str, config: str | None) -> str:
    """Return the short name of a data set for reports."""
    return name if config is None else f"{name}/{config}"


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ValueError(
            "this data set needs the `datasets` library: pip install datasets, or give local csv or json files."
        ) from error
    return datasets
