"""Load configuration, tokenizer and model for training, with LoRA adapters if ``--lora_rank`` is set."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.pytorch_utils import Conv1D

from hf_robust.data.arguments import AUTO, MEAN_HEAD, NEW_MODELS, DataTrainingArguments, ModelArguments
from hf_robust.data.labels import Labels
from hf_robust.data.load import Corpus
from hf_robust.data.splits import train_texts
from hf_robust.interpret.head import probe_texts
from hf_robust.models import WORD_MODELS, WordSource, fill_embeddings, read_source, word_tokenizer
from hf_robust.models.adapter_files import BASE_WEIGHTS, base_name, describe_adapter
from hf_robust.models.files import loading
from hf_robust.models.lora import target_layers, whole_modules
from hf_robust.models.mean_head import (
    MeanHeadConfig,
    MeanHeadForSequenceClassification,
    check_mean_head,
    with_mean_head,
)
from hf_robust.models.padding import set_padding_token, write_padding
from hf_robust.models.quantization import prepare_quantized
from hf_robust.models.trained import adapter_config, load_adapter
from hf_robust.models.weights import is_new, loaded_hash
from hf_robust.modules.saved_inference import read_saved_inference
from hf_robust.wiring.precision import loading_options

logger = logging.getLogger(__name__)

DEMO = "demo"  # a small new model with its tokenizer, instead of a checkpoint


def hub_options(args: ModelArguments) -> dict[str, Any]:
    """Return the arguments of every ``from_pretrained`` call."""
    return {
        "cache_dir": args.cache_dir,
        "revision": args.model_revision,
        "token": args.token,
        "trust_remote_code": args.trust_remote_code,
    }


def _loading(args: ModelArguments, flag: str = "model_name_or_path") -> AbstractContextManager[None]:
    """Turn loading errors of a ``from_pretrained`` call into one sentence that names the flag."""
    flag = flag if getattr(args, flag) else "model_name_or_path"
    name = getattr(args, flag)
    remedy = "give a folder, or the id of a Hub model that is downloaded or can be reached"
    return loading(f"--{flag} {name}", name, remedy, cache_dir=args.cache_dir, revision=args.model_revision)


def _files(args: ModelArguments) -> dict[str, Any]:
    return {key: value for key, value in hub_options(args).items() if key != "trust_remote_code"}


def load_config(args: ModelArguments, training: bool = True) -> Any:
    """Load the checkpoint's configuration, with its own label names.

    Args:
        training: whether the model is to be trained, which an adapter cannot be.

    Raises:
        ValueError: the configuration cannot be loaded, or the flags do not fit together.
    """
    described = None if args.model_name_or_path in NEW_MODELS else _described(args)
    if described is not None:
        _check_only_measured(args, training)
        return adapter_config(args.model_name_or_path, described, **_files(args))
    config = _own_config(args)
    if args.classifier_head != MEAN_HEAD or isinstance(config, MeanHeadConfig):
        return config
    if args.lora_rank:
        raise ValueError(
            f"--classifier_head mean and --lora_rank do not work together: from_pretrained would load the saved "
            f"adapter of "
            f"{args.model_name_or_path} with a random head. Leave one of the two flags out, or start from a model "
            f"that "
            "was trained and saved with --classifier_head mean."
        )
    return with_mean_head(config)


def _described(args: ModelArguments) -> dict[str, Any] | None:
    return describe_adapter(args.model_name_or_path, **_files(args))


def _check_only_measured(args: ModelArguments, training: bool) -> None:
    """Refuse to train an adapter further, and flags that would make another model of it."""
    if training:
        raise ValueError(
            f"--model_name_or_path {args.model_name_or_path} is an adapter, and training needs a whole model: load "
            "it as its README.md says, save model.merge_and_unload() and the tokenizer in a folder, and give that "
            "folder. (--do_eval and --do_predict take an adapter.)"
        )
    flags = {
        "lora_rank": args.lora_rank, "quantization": args.quantization, "config_name": args.config_name,
        "dtype": args.dtype != AUTO, "classifier_head": args.classifier_head == MEAN_HEAD,
    }  # fmt: skip
    given = [f"--{flag}" for flag, value in flags.items() if value]
    if given:
        raise ValueError(
            f"--model_name_or_path {args.model_name_or_path} is an adapter, which is measured as it was trained: "
            f"leave {', '.join(given)} out."
        )


def _own_config(args: ModelArguments) -> Any:
    if args.model_name_or_path == DEMO:
        return _demo()[0].config
    kind = WORD_MODELS.get(args.model_name_or_path)
    if kind is not None and args.config_name is None:
        return kind()
    with _loading(args, "config_name"):
        config = AutoConfig.from_pretrained(args.config_name or args.model_name_or_path, **hub_options(args))
    if kind is not None and not isinstance(config, kind):
        raise ValueError(
            f"--model_name_or_path {args.model_name_or_path} needs a configuration of type {kind.model_type}, and "
            f"--config_name {args.config_name} has the type {config.model_type}: give another, or leave it out."
        )
    return config


def load_words(
    args: ModelArguments, data: DataTrainingArguments, word_vectors: str | None, corpus: Corpus
) -> WordSource | None:
    """Return the vocabulary source of a new LSTM or CNN; None for models that have a vocabulary."""
    if not args.is_new_word_model:
        return None
    size = {} if args.vocabulary_size is None else {"size": args.vocabulary_size}
    return read_source(train_texts(corpus, data), word_vectors, **size)


def load_tokenizer(args: ModelArguments, words: WordSource | None = None) -> Any:
    """Load the tokenizer; one without a padding token (GPT-2) pads with its end-of-text token.

    Args:
        words: the vocabulary source of a new LSTM or CNN.

    Raises:
        ValueError: the tokenizer cannot be loaded, or has neither a padding nor an end-of-text token.
    """
    if args.model_name_or_path == DEMO and args.tokenizer_name is None:
        return _demo()[1]
    if words is not None and args.tokenizer_name is None:
        return word_tokenizer(words.vocabulary())
    with _loading(args, "tokenizer_name"):
        tokenizer = AutoTokenizer.from_pretrained(
            args.tokenizer_name or args.model_name_or_path, use_fast=args.use_fast_tokenizer, **hub_options(args)
        )
    set_padding_token(tokenizer, args.model_name_or_path)
    return tokenizer


def load_model(
    args: ModelArguments,
    config: Any,
    labels: Labels,
    tokenizer: Any = None,
    words: WordSource | None = None,
    mixed: torch.dtype | None = None,
) -> Any:
    """Load the classifier with a head for ``labels``; its configuration gets their names and the padding id.

    A new LSTM or CNN needs its tokenizer and ``words``; if these have vectors, its word embeddings start from them.
    With ``mixed``, the data type of mixed precision, all weights that train beside adapters are float32.

    Raises:
        ValueError: the model cannot be loaded, adapters cannot be trained or saved (see :func:`with_adapters`), or
            vectors do not fit.
    """
    labels.write_to(config)
    options = loading_options(args, config, mixed)
    if words is not None:
        model = _new_word_model(args, config, tokenizer, words, options)
    elif args.model_name_or_path == DEMO:
        model = AutoModelForSequenceClassification.from_config(config, **_of_new(options))
    else:
        model = _load_checkpoint(args, config, options)
    write_padding(model, tokenizer)
    if isinstance(model, MeanHeadForSequenceClassification) and tokenizer is not None:
        check_mean_head(model, probe_texts(tokenizer, model.device))
    if args.lora_rank:
        model = with_adapters(model, args)
        if mixed is not None:
            for weight in model.parameters():
                weight.data = weight.data.float() if weight.requires_grad else weight.data
    if args.freeze_embeddings:
        _freeze_embeddings(model)
    return model


def _load_checkpoint(args: ModelArguments, config: Any, options: dict[str, Any]) -> Any:
    described = _described(args)
    if described is not None:
        name, attention = args.model_name_or_path, args.attn_implementation
        return load_adapter(name, described, attention=attention, **_files(args))
    with _loading(args):
        model = AutoModelForSequenceClassification.from_pretrained(
            args.model_name_or_path,
            config=config,
            ignore_mismatched_sizes=args.ignore_mismatched_sizes,
            **hub_options(args),
            **options,
        )
    if "quantization_config" in options:
        model = prepare_quantized(model, options["quantization_config"])
    saved = read_saved_inference(args.model_name_or_path, **_files(args))
    if saved is not None:
        logger.warning(
            f"{args.model_name_or_path} is loaded as a plain model, without its method's inference. {saved.note}"
        )
    return model


def _of_new(options: dict[str, Any]) -> dict[str, Any]:
    """The options for a model with random weights, whose data type is float32 by default."""
    return {name: value for name, value in options.items() if value != AUTO}


def _freeze_embeddings(model: Any) -> None:
    embeddings = model.get_input_embeddings()
    if any("lora_" in name for name, _ in embeddings.named_parameters()):
        raise ValueError(
            "--freeze_embeddings keeps the word embeddings fixed, and --lora_target_modules adapts them: leave one "
            "of the "
            "two out."
        )
    embeddings.requires_grad_(False)


def _new_word_model(
    args: ModelArguments, config: Any, tokenizer: Any, words: WordSource, options: dict[str, Any]
) -> Any:
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    if words.vectors is not None and args.config_name is None:
        config.embedding_size = int(words.vectors.shape[1])
    config._name_or_path = ""  # otherwise the file of --config_name would be taken for the checkpoint of origin
    if args.freeze_embeddings and words.vectors is None:
        raise ValueError(
            f"--freeze_embeddings keeps the word embeddings fixed, and those of a new {args.model_name_or_path} "
            f"without "
            "--word_vectors are random: give --word_vectors, or leave it out."
        )
    model = AutoModelForSequenceClassification.from_config(config, **_of_new(options))
    if words.vectors is not None:
        fill_embeddings(model.get_input_embeddings(), tokenizer.get_vocab(), words)
    return model


def _demo() -> tuple[Any, Any]:
    from hf_robust.wiring.demo_model import demo_model

    model, tokenizer = demo_model()
    return model, tokenizer


def with_adapters(model: Any, args: ModelArguments) -> Any:
    """Add LoRA adapters of rank ``--lora_rank``; adapters, head, and weights that no checkpoint had are trained.

    Raises:
        ValueError: peft is not installed, the model starts from random weights, or it has no layer to adapt.
    """
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError as error:
        raise ValueError('--lora_rank needs peft: pip install "hf_robust[peft]" or pip install peft.') from error
    if is_new(model):
        raise ValueError(
            f"--lora_rank saves adapters without their base model, and {args.model_name_or_path} starts from random "
            "weights, which could not be loaded again: leave --lora_rank out, or give a checkpoint."
        )
    whole = whole_modules(model)
    targets = target_layers(model, args.lora_target_modules, whole, flag="--lora_target_modules")
    setattr(model.config, BASE_WEIGHTS, loaded_hash(model))
    adapters = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=args.lora_rank,
        lora_alpha=args.lora_alpha,
        lora_dropout=args.lora_dropout,
        target_modules=targets,
        modules_to_save=[name for name in whole if name not in ("classifier", "score")],  # peft adds these itself
        fan_in_fan_out=any(isinstance(model.get_submodule(name), Conv1D) for name in targets),
    )
    try:
        adapted = get_peft_model(model, adapters, revision=args.model_revision)
    except (TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"peft cannot add adapters to {type(model).__name__} ({reason}): name other layers by "
            f"--lora_target_modules, "
            "or leave --lora_rank out."
        ) from error
    adapted.peft_config["default"].base_model_name_or_path = base_name(model)
    if model.config.model_type == "reformer":
        # Its reversible layers stop the gradient if their input needs none, as with frozen embeddings.
        model.enable_input_require_grads()
    return adapted
