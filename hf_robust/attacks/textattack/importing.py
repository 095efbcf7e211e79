"""Importing TextAttack, which is optional, beside a transformers that its dependency flair does not know."""

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

INSTALL = "pip install --no-deps -r requirements-textattack.txt"
_DOWNLOAD_TIMEOUT = 20.0


def import_textattack() -> Any:
    """The module ``textattack``; the first import takes about ten seconds.

    A stand-in for ``flair`` is put in place first, unless flair was imported before. What TextAttack's import does to
    the process is undone: it switches off every logger made before it, sets environment variables, and downloads NLTK
    data whether or not it is needed (a recipe that needs some says so when it is built).

    Raises:
        ValueError: it is not installed, or something it needs is not.
    """
    if "textattack" in sys.modules:
        return sys.modules["textattack"]
    if find_spec("textattack") is None:
        raise ValueError(f"--attack_backend textattack needs TextAttack, which is not installed: {INSTALL}.")
    put_flair_stub()
    try:
        with _process_as_before(), _no_post_install(), _no_stop_words_needed():
            textattack = import_module("textattack")
    except (ImportError, OSError, LookupError) as error:
        for name in [name for name in sys.modules if name.split(".")[0] == "textattack"]:
            del sys.modules[name]
        raise ValueError(f"TextAttack cannot be imported ({error}); install it with {INSTALL}.") from error
    _mend_look_alikes(textattack)
    return textattack


class _Missing(dict[str, list[str]]):
    """In place of a table that is not there."""

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self.sentence = sentence

    def __contains__(self, key: object) -> bool:
        raise ValueError(self.sentence)


def _mend_look_alikes(textattack: Any) -> None:
    """Let ``WordSwapHomoglyphSwap`` be built without the file that 0.3.11's wheel lacks.

    TextBugger's letters stand in the code; the file's are for ``bad-characters``, where their lack is then an error.
    """
    swap = textattack.transformations.WordSwapHomoglyphSwap
    original = swap.__init__

    def mended(self: Any, *args: Any, **options: Any) -> None:
        try:
            original(self, *args, **options)
        except FileNotFoundError:
            self.homos_intentional = _Missing(
                "this TextAttack recipe reads intentional_homoglyphs.txt, which its wheel lacks."
            )

    swap.__init__ = mended


def textattack_version() -> str:
    """The installed version, without importing it; "not installed" where there is none."""
    try:
        return version("textattack")
    except PackageNotFoundError:
        return "not installed"


def put_flair_stub() -> None:
    """Put modules named ``flair``, ``flair.data`` and ``flair.models`` in place, if flair is not imported yet.

    They hold just what TextAttack names at import. Loading a flair tagger raises a ValueError: of the recipes only
    ``checklist`` does, and only for texts with names and places.
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
    module = ModuleType(name, "A stand-in: flair itself does not import beside this transformers.")
    # Without a spec, importlib.util.find_spec("flair") raises, and other libraries ask it.
    module.__spec__ = ModuleSpec(name, None, is_package=name == "flair")
    return module


def _refuse(*args: Any, **options: Any) -> Any:
    raise ValueError(
        "this TextAttack recipe tags words with flair, which does not import beside this transformers; "
        "use a recipe that tags with NLTK or not at all."
    )


@contextlib.contextmanager
def _process_as_before() -> Iterator[None]:
    """Put back the process-wide settings that the import changes."""
    loggers = logging.Logger.manager.loggerDict.values()
    enabled = [one for one in loggers if isinstance(one, logging.Logger) and not one.disabled]
    environment = dict(os.environ)
    try:
        yield
    finally:
        for one in enabled:
            one.disabled = False
        os.environ.clear()
        os.environ.update(environment)


@contextlib.contextmanager
def _no_post_install() -> Iterator[None]:
    """Keep the import from downloading; a TextAttack that is used by itself later still does so."""
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
    """Let the import go on without NLTK's stop words: only TextAttack's augmenters, made at import, ask for them."""
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
    """Without what TextAttack reports of its own set-up; the logger gets its level at import, so the root is asked."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def quiet_building() -> Iterator[None]:
    """Build a recipe without NLTK's chatter, without waiting long for a network, and without a lock left behind.

    TextAttack locks a file before it downloads to it and does not let go where that fails: the next recipe of this
    process would stop at the lock.
    """
    import nltk

    install: Any = import_module("textattack.shared.utils.install")
    download = nltk.download
    locks: list[Any] = []
    filelock = install.filelock

    class Remembered(filelock.FileLock):  # type: ignore[name-defined]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            locks.append(self)

    seen = ModuleType("filelock")
    vars(seen).update(FileLock=Remembered)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT)
    install.filelock = seen
    # Where NLTK prints its errors was settled when it was imported, so no redirection reaches them.
    nltk.download = partial(download, quiet=True, print_error_to=io.StringIO())
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), _quiet_log():
            yield
    finally:
        install.filelock, nltk.download = filelock, download
        socket.setdefaulttimeout(timeout)
        for lock in locks:
            lock.release(force=True)
