"""The home of a sweep's runs: a folder that all machines see, or an fsspec address."""

from __future__ import annotations

import fcntl
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hf_robust.sweep.copies import Upload, download, is_address, read_text
from hf_robust.sweep.place import Place
from hf_robust.sweep.runs import LOCK, RUNS


@dataclass(frozen=True)
class RunFolder:
    """The folder in which a run works.

    Args:
        path: the folder.
        save: copies what is new to the sweep's home; None if the folder is there.
        locks: file descriptors that the process of the run keeps open.
    """

    path: Path
    save: Callable[[], None] | None = None
    locks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Home:
    """Where the runs of a sweep are kept.

    Args:
        address: an absolute folder, or an fsspec address.
        mark: content of the sweep's lock file there.
    """

    address: str
    mark: str

    def check(self) -> None:
        """Check that this machine sees the sweep.

        Raises:
            ValueError: it does not, or another sweep has begun in the same place.
        """
        if is_address(self.address):
            mark = read_text(f"{self.address}/{LOCK}")
        else:
            file = Path(self.address) / LOCK
            mark = file.read_text(encoding="utf-8") if file.is_file() else None
        if mark is None:
            raise ValueError(
                f"the machine {socket.gethostname()} does not see {self.address}: give --output_dir a folder that all "
                "machines share, or an fsspec address such as s3://bucket/sweep."
            )
        if mark != self.mark:
            raise ValueError(f"another sweep has begun in {self.address}: give each sweep an --output_dir of its own.")

    @contextmanager
    def opened(self, name: str, place: Place) -> Iterator[RunFolder]:
        """Open the folder of a run; no other process has it open meanwhile.

        At an fsspec address the folder is a temporary one, into which the run is copied, and from which it is copied
        back at the end. In a shared folder, this waits for a process that a lost machine has left behind.
        """
        if is_address(self.address):
            run = f"{self.address}/{RUNS}/{name}"
            with tempfile.TemporaryDirectory(prefix="hf_robust_") as scratch:
                folder = Path(scratch, name)
                folder.mkdir()
                download(run, folder)
                upload = Upload(folder, run)
                try:
                    yield RunFolder(folder, save=upload.send)
                finally:
                    upload.send()
            return
        folder = Path(self.address, RUNS, name)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    place.pause()
            yield RunFolder(folder, locks=(file.fileno(),))
