"""The output folder of a sweep, locked; of an fsspec address a temporary folder with its small files."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hf_robust.runs import HISTORY_FILE, METRICS_FILE, RUN_CARD_FILE, TRAINER_STATE_FILE
from hf_robust.sweep.copies import Upload, download, is_address, write_text
from hf_robust.sweep.home import Home
from hf_robust.sweep.runs import ARGUMENTS, FAILED, LOCK, LOG, RUNS

SMALL_FILES = {ARGUMENTS, FAILED, HISTORY_FILE, LOG, METRICS_FILE, RUN_CARD_FILE, TRAINER_STATE_FILE}
"""Files of a run that tables and pictures read; the others stay at the address."""


@dataclass(frozen=True)
class Output:
    """The folder that a sweep reads and writes, and the home of its runs."""

    folder: Path
    home: Home
    upload: Upload | None = None

    @property
    def shown(self) -> str:
        """The address to show to people."""
        return self.home.address if self.upload else str(self.folder)

    def fetch(self, name: str) -> None:
        """Get the small files of a run from the address."""
        if self.upload:
            shutil.rmtree(self.folder / RUNS / name, ignore_errors=True)
            download(f"{self.home.address}/{RUNS}/{name}", self.folder / RUNS / name, SMALL_FILES.__contains__)

    def send(self) -> None:
        """Copy tables, pictures and the journal of a search to the address."""
        if self.upload:
            self.upload.send()


@contextmanager
def opened_output(address: str) -> Iterator[Output]:
    """Lock the output folder of a sweep against a second one, and yield it.

    Raises:
        ValueError: another sweep holds the lock, or the address cannot be opened.
    """
    mark = uuid.uuid4().hex
    if is_address(address):
        address = address.rstrip("/")
        with fetched(address) as folder:
            write_text(f"{address}/{LOCK}", mark)
            output = Output(folder, Home(address, mark), Upload(folder, address, _is_of_the_sweep))
            try:
                yield output
            finally:
                output.send()
        return
    folder = Path(address)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{address} is in use by another sweep: wait until it ends, or give another --output_dir."
            ) from None
        file.truncate(0)
        file.write(mark)
        file.flush()
        yield Output(folder, Home(str(folder.absolute()), mark))


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """Yield the folder of a sweep; of an fsspec address a temporary folder with its small files."""
    if not is_address(address):
        yield Path(address)
        return
    with tempfile.TemporaryDirectory(prefix="hf_robust_") as folder:
        download(address, Path(folder), _is_small)
        yield Path(folder)


def _is_of_the_sweep(name: str) -> bool:
    return not name.startswith(f"{RUNS}/")


def _is_small(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 1 or (len(parts) == 3 and parts[0] == RUNS and parts[2] in SMALL_FILES)
