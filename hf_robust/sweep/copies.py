"""Copies of a folder at an fsspec address (``s3://``, ``gs://``, ``file://``, ``memory://``), file by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

NOT_COPIED = ("_lock", ".partial")
"""Ends of the names of files that belong to one machine."""


def is_address(text: str) -> bool:
    """Whether a text is an fsspec address and not the path of a folder."""
    return "://" in text


def file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Raises:
        ValueError: the protocol is unknown, or its package is not installed.
    """
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"{address} cannot be opened ({str(error).rstrip('.')}): install the package of its file system, or give "
            "a folder."
        ) from error
    system.invalidate_cache()
    return system, root.rstrip("/")


def download(address: str, folder: Path, wanted: Callable[[str], bool] = bool) -> None:
    """Copy the files of an address into a folder; ``wanted`` chooses them by their path below the address."""
    system, root = file_system(address)
    for path in system.find(root):
        name = path[len(root) :].lstrip("/")
        if wanted(name):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(path, str(target))


def read_text(address: str) -> str | None:
    """Return the text of a file; None if there is no such file."""
    system, path = file_system(address)
    try:
        content: bytes = system.cat_file(path)
    except FileNotFoundError:
        return None
    return content.decode()


def write_text(address: str, text: str) -> None:
    """Write a text to a file."""
    system, path = file_system(address)
    system.makedirs(path.rpartition("/")[0], exist_ok=True)
    system.pipe_file(path, text.encode())


class Upload:
    """Brings an address up to date with a folder; files that the folder has at the start count as copied.

    Files are copied in the order in which they were written. So a file that is written last, since it says that others
    are complete, is also copied last.
    """

    def __init__(self, folder: Path, address: str, wanted: Callable[[str], bool] = bool) -> None:
        self.folder, self.address, self.wanted = folder, address, wanted
        self.copied = self._files()

    def send(self) -> None:
        """Copy what is new or has changed, and remove what the folder no longer has."""
        system, root = file_system(self.address)
        files = self._files()
        for name in sorted(files, key=lambda name: files[name]):
            if self.copied.get(name) != files[name]:
                target = f"{root}/{name}"
                system.makedirs(target.rpartition("/")[0], exist_ok=True)
                try:
                    system.put_file(str(self.folder / name), target)
                except FileNotFoundError:  # a checkpoint that the Trainer removed meanwhile
                    continue
                self.copied[name] = files[name]
        for name in self.copied.keys() - files.keys():
            system.rm_file(f"{root}/{name}")
            del self.copied[name]

    def _files(self) -> dict[str, tuple[int, int]]:
        """Return the time of the last change in nanoseconds and the size of each file."""
        files = {}
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if name.endswith(NOT_COPIED) or not self.wanted(name):
                continue
            try:
                if path.is_file():
                    status = path.stat()
                    files[name] = (status.st_mtime_ns, status.st_size)
            except FileNotFoundError:
                continue
        return files
