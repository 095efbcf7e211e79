"""Opens what a user gives as a victim: a model with its tokenizer, or a function of texts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from hf_robust.attacks.engine.black_box import BlackBox
from hf_robust.data.length import usable_length
from hf_robust.wiring.opened_victim import FunctionSettings, OpenedVictim
from hf_robust.wiring.restored import restore_inference, text_length

KINDS = (
    "a folder, a Hub id, a (model, tokenizer) pair, a pipeline, an estimator with predict_proba or predict, or a "
    "function from a list of texts to scores or labels"
)
"""What can be attacked, for errors."""


def opened_model(name: str, model: Any, tokenizer: Any, requested: int | None = None) -> OpenedVictim:
    """Open a model that was loaded from the folder or Hub id ``name``, with the inference of its training.

    Args:
        requested: ``--max_seq_length``.
    """
    length = text_length(requested, name, tokenizer, model.config)
    return OpenedVictim(name, model, tokenizer, model.config, length, restore_inference(name, model, tokenizer))


def opened_pair(model: Any, tokenizer: Any, requested: int | None = None) -> OpenedVictim:
    """Open a model in memory; if it was loaded from somewhere, as one from there."""
    config = getattr(model, "config", None)
    if config is None or not callable(tokenizer) or not hasattr(tokenizer, "pad_token_id"):
        raise ValueError(
            f"a pair must be a transformers classifier and its tokenizer, got {type(model).__name__} and "
            f"{type(tokenizer).__name__}; other classifiers are given as a function from a list of texts to scores."
        )
    source = getattr(config, "name_or_path", "")
    if source:
        return opened_model(source, model, tokenizer, requested)
    usable = usable_length(tokenizer, config)
    lengths = [length for length in (requested, usable) if length is not None]
    return OpenedVictim(type(model).__name__, model, tokenizer, config, min(lengths, default=None))


def opened_object(given: Any, settings: FunctionSettings, requested: int | None = None) -> OpenedVictim:
    """Open a victim that is in memory: a pair, a pipeline, an estimator, or a function of texts.

    Raises:
        ValueError: it is none of these, or a setting has no effect on it.
    """
    from transformers import Pipeline, PreTrainedModel, TextClassificationPipeline

    opened = None
    if isinstance(given, tuple) and len(given) == 2:
        opened = opened_pair(*given, requested=requested)
    elif isinstance(given, TextClassificationPipeline) and _is_plain(given):
        cut = given._preprocess_params.get("max_length") if given._preprocess_params.get("truncation") else None
        opened = opened_pair(given.model, given.tokenizer, requested or cut)
    elif isinstance(given, PreTrainedModel):
        raise ValueError(f"a {type(given).__name__} alone reads no texts: give (model, tokenizer).")
    elif isinstance(given, Pipeline) and not isinstance(given, TextClassificationPipeline):
        raise ValueError(
            f"a {type(given).__name__} is no text classifier; give a pipeline of the task text-classification."
        )
    if opened is None:
        return _opened_function(given, settings, requested)
    if settings.passed():
        raise ValueError(
            f"{', '.join(settings.passed())}: only a function of texts is called with these settings, and "
            f"{opened.name} is a model; leave them out (attack_token_budget sets the size of its batches)."
        )
    return opened


def _is_plain(pipeline: Any) -> bool:
    """Whether a pipeline is its model and its tokenizer, without steps of the user's own."""
    from transformers import TextClassificationPipeline

    steps = ("preprocess", "_forward", "postprocess", "__call__")
    overridden = any(getattr(type(pipeline), step) is not getattr(TextClassificationPipeline, step) for step in steps)
    known = {"truncation", "max_length", "padding"}
    return (
        not overridden
        and set(pipeline._preprocess_params) <= known
        and pipeline._postprocess_params.get("function_to_apply") is None
    )


def _opened_function(given: Any, settings: FunctionSettings, requested: int | None) -> OpenedVictim:
    from transformers import TextClassificationPipeline

    if requested is not None:
        raise ValueError("--max_seq_length needs a tokenizer: a function of texts gets whole texts and cuts them.")
    if isinstance(given, TextClassificationPipeline):
        names = tuple(given.model.config.id2label[index] for index in range(given.model.config.num_labels))
        return _black_box(_scores_of(given, names), type(given).__name__, names, settings)
    function = getattr(given, "predict_proba", getattr(given, "predict", given))
    if not callable(function):
        raise ValueError(f"a victim is {KINDS}, got a {type(given).__name__}.")
    owner = getattr(function, "__self__", function)
    names = getattr(owner, "classes_", getattr(owner, "class_names", ()))
    return _black_box(function, name_of(function), tuple(str(name) for name in names), settings)


def _black_box(
    function: Callable[..., Any], name: str, class_names: tuple[str, ...], settings: FunctionSettings
) -> OpenedVictim:
    box = BlackBox(function, name=name, num_classes=len(class_names) or None, **settings.passed())
    return OpenedVictim(name, black_box=box, class_names=class_names)


def _scores_of(pipeline: Any, class_names: Sequence[str]) -> Callable[[list[Any]], list[list[float]]]:
    """Return the function from texts to scores of a pipeline, in the order of the classes."""

    def scores(texts: list[Any]) -> list[list[float]]:
        inputs = [text if isinstance(text, str) else {"text": text[0], "text_pair": text[1]} for text in texts]
        answers = pipeline(inputs, top_k=None)
        by_label = [{answer["label"]: answer["score"] for answer in answers_of_text} for answers_of_text in answers]
        return [[scored[name] for name in class_names] for scored in by_label]

    return scores


def name_of(function: Any) -> str:
    """Return a function's module and name, the same in every process."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', None) or type(function).__module__}.{name}"


def imported_victim(spec: str) -> Any:
    """Import the object that ``--victim module:name`` names; modules of the working folder too.

    Raises:
        ValueError: there is no such module or name, or importing the module failed.
    """
    module, colon, name = spec.partition(":")
    if not colon or not module or not name:
        raise ValueError(f"--victim {spec} must be module:name, such as my_model:predict for predict in my_model.py.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ValueError(f"--victim {spec} cannot be imported: {type(error).__name__}: {error}.") from error
    return found
