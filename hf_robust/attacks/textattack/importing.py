"""Imports TextAttack, an optional package, with a transformers version that its dependency flair does not support."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from hf_robust.attacks.parts.bad_characters import INTENTIONAL

INSTALL = "pip install --no-deps -r requirements-textattack.txt"
_DOWNLOAD_TIMEOUT = 20.0


def import_textattack() -> Any:
    """Import and return the module ``textattack``; the first import takes about ten seconds.

    A stub replaces ``flair``, unless flair was imported before. The side effects of TextAttack's import are undone or
    prevented: it disables every existing logger, sets environment variables, and downloads NLTK data whether or not it
    is needed (a recipe that lacks data raises when it is built).

    Raises:
        ValueError: TextAttack or one of its dependencies is not installed.
    """
    if "textattack" in sys.modules:
        return sys.modules["textattack"]
    if find_spec("textattack") is None:
        raise ValueError(f"--attack_backend textattack needs TextAttack, which is not installed: {INSTALL}.")
    install_flair_stub()
    try:
        with _process_as_before(), _no_post_install(), _no_stop_words_needed():
            textattack = import_module("textattack")
    except (ImportError, OSError, LookupError) as error:
        for name in [name for name in sys.modules if name.split(".")[0] == "textattack"]:
            del sys.modules[name]
        raise ValueError(f"TextAttack cannot be imported ({error}); install it with {INSTALL}.") from error
    _patch_homoglyphs(textattack)
    return textattack


class _Missing(dict[str, list[str]]):
    """Replaces a missing table: raises ``sentence`` at each lookup."""

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self.sentence = sentence

    def __contains__(self, key: object) -> bool:
        raise ValueError(self.sentence)


def _patch_homoglyphs(textattack: Any) -> None:
    """Patch ``WordSwapHomoglyphSwap`` so that it can be built without a file that the wheel of 0.3.11 lacks.

    TextBugger's letters are in the code. The file's letters, Unicode's, are for ``bad-characters``.
    """
    swap = textattack.transformations.WordSwapHomoglyphSwap
    original = swap.__init__

    def patched(self: Any, *args: Any, **options: Any) -> None:
        try:
            original(self, *args, **options)
        except FileNotFoundError:
            self.homos_intentional = {letter: list(same) for letter, same in INTENTIONAL.items()}

    swap.__init__ = patched


def textattack_version() -> str:
    """The installed version, without importing TextAttack; "not installed" if there is none."""
    try:
        return version("textattack")
    except PackageNotFoundError:
        return "not installed"


def install_flair_stub() -> None:
    """Install stub modules ``flair``, ``flair.data`` and ``flair.models``, if flair is not imported yet.

    They define the names that TextAttack's import uses. Loading a flair tagger raises a ValueError; among the recipes
    only ``checklist`` loads one, and only for texts with names and places.
    """
    if "flair" in sys.modules:
        return
    flair, data, models = (_module(name) for name in ("flair", "flair.data", "flair.models"))
    flair.__path__ = []
    vars(flair).update(data=data, models=models)
    vars(data).update(Tokenizer=type("Tokenizer", (), {}), Sentence=type("Sentence", (), {"__init__": _refuse}))
    vars(models).update(SequenceTagger=type("SequenceTagger", (), {"load": staticmethod(_refuse)}))
    sys.modules.update({module.__name__: module for module in (flair, data, models)})


def _module(name: str) -> ModuleType:
    module = ModuleType(name, "A stub: flair itself cannot be imported with this version of transformers.")
    # Without a spec, importlib.util.find_spec("flair") raises, and other libraries call it.
    module.__spec__ = ModuleSpec(name, None, is_package=name == "flair")
    return module


def _refuse(*args: Any, **options: Any) -> Any:
    raise ValueError(
        "this TextAttack recipe tags words with flair, which cannot be imported with this version of transformers; "
        "use a recipe that tags with NLTK or does not tag."
    )


@contextlib.contextmanager
def _process_as_before() -> Iterator[None]:
    """Context that restores the process-wide settings that the import changes."""
    loggers = logging.Logger.manager.loggerDict.values()
    enabled = [logger for logger in loggers if isinstance(logger, logging.Logger) and not logger.disabled]
    environment = dict(os.environ)
    try:
        yield
    finally:
        for logger in enabled:
            logger.disabled = False
        os.environ.clear()
        os.environ.update(environment)


@contextlib.contextmanager
def _no_post_install() -> Iterator[None]:
    """Context that keeps the import from downloading; TextAttack used on its own later still downloads."""
    import nltk

    cache = Path(os.environ.get("TA_CACHE_DIR") or Path.home() / ".cache" / "textattack")
    mark = cache / "post_install_check_3"
    was_there, download = mark.exists(), nltk.download
    nltk.download = lambda *args, **options: False
    try:
        with contextlib.redirect_stdout(io.StringIO()), _quiet_log():
            yield
    finally:
        nltk.download = download
        if not was_there:
            mark.unlink(missing_ok=True)


@contextlib.contextmanager
def _no_stop_words_needed() -> Iterator[None]:
    """Context that allows the import without NLTK's stop words, which only TextAttack's augmenters read."""
    import nltk

    corpus = nltk.corpus.stopwords
    try:
        corpus.words("english")
    except LookupError:
        nltk.corpus.stopwords = SimpleNamespace(words=lambda language: [])
    else:
        yield
        return
    try:
        yield
    finally:
        nltk.corpus.stopwords = corpus
    recipes = sys.modules["textattack.augmentation.recipes"]
    for constraint in recipes.DEFAULT_CONSTRAINTS:
        if hasattr(constraint, "stopwords"):
            constraint.stopwords = _Missing("TextAttack's augmenters need NLTK's stop words; set NLTK_DATA.")


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """Context without TextAttack's set-up messages; its logger gets its level at import, so the root is disabled."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def quiet_building() -> Iterator[None]:
    """Context for building a recipe: without NLTK's output, with a short network timeout, and without stale locks.

    TextAttack locks a file before it downloads to it and keeps the lock if the download fails, so the next recipe of
    this process would wait for the lock.
    """
    import nltk

    install: Any = import_module("textattack.shared.utils.install")
    download = nltk.download
    locks: list[Any] = []
    filelock = install.filelock

    class RecordedLock(filelock.FileLock):  # type: ignore[name-defined]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            locks.append(self)

    stub = ModuleType("filelock")
    vars(stub).update(FileLock=RecordedLock)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT)
    install.filelock = stub
    # NLTK chose its error stream when it was imported, so redirection does not affect it.
    nltk.download = partial(download, quiet=True, print_error_to=io.StringIO())
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), _quiet_log():
            yield
    finally:
        install.filelock, nltk.download = filelock, download
        socket.setdefaulttimeout(timeout)
        for lock in locks:
            lock.release(force=True)
