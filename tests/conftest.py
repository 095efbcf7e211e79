"""Fixtures over the builders of ``tiny.py``."""

from __future__ import annotations

import gc
import logging
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import settings
from tiny import ANTONYMS, SYNONYMS, build_model, build_tokenizer, table
from transformers import PreTrainedTokenizerFast

from hf_robust.lexicons import TableLexicon

# A machine that is busy with other tests is slow at times, which says nothing about what is tested. The same examples
# in each run: a change fails for what it did. HYPOTHESIS_PROFILE=search draws new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """A test with the mark ``slow_but(VALUE)`` is slow for every other value of its parameter."""
    for item in items:
        for mark in item.iter_markers("slow_but"):
            if mark.args[0] not in item.callspec.params.values():
                item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="module")
def short_collections() -> None:
    """Each training collects garbage in full; what imports and earlier modules left is none, and stays unread."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is cached between runs stays out of the user's cache, for this process and those it starts."""
    os.environ["HF_ROBUST_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["TRACKIO_DIR"] = str(tmp_path_factory.mktemp("trackio"))
    for name in ("HF_EVALUATE_CACHE", "HF_METRICS_CACHE", "HF_MODULES_CACHE"):  # of the package evaluate
        os.environ[name] = str(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(autouse=True)
def default_logging() -> None:
    """The training script sets how much is logged, and a later test in the process must not see it."""
    for name in ("hf_robust", "run_glue_robust"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    transformers.utils.logging.set_verbosity_warning()


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


@pytest.fixture(scope="session")
def synonyms() -> TableLexicon:
    return table(SYNONYMS, "synonym")


@pytest.fixture(scope="session")
def antonyms() -> TableLexicon:
    return table(ANTONYMS, "antonym")


@pytest.fixture(scope="session")
def model_folder(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``model_folder(kind, num_labels, **config)``: a saved tiny model with its tokenizer, made once a session."""
    made: dict[Any, Path] = {}

    def make(kind: str = "bert", num_labels: int = 2, **extra: Any) -> Path:
        key = (kind, num_labels, tuple(sorted(extra.items())))
        if key not in made:
            made[key] = tmp_path_factory.mktemp(f"{kind}-{num_labels}")
            build_model(kind, num_labels, **extra).save_pretrained(made[key])
            tokenizer.save_pretrained(made[key])
        return made[key]

    return make
