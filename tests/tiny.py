"""Tiny random models, a tokenizer with two-piece words, a small corpus and its lexicons. No download, no GPU."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast, set_seed

from hf_robust.attacks import ATTACKS, Attack, Resources
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.data import TextDataset
from hf_robust.lexicons import TableLexicon
from hf_robust.models import with_mean_head  # the Auto classes then know our own architectures too
from hf_robust.models.dropout import set_dropout
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.follow import FollowArguments
from hf_robust.training.view_arguments import GenerationArguments

SYNONYMS = {
    "good": ["fine", "great", "splendid"],
    "bad": ["awful", "dreadful", "poor"],
    "film": ["movie", "picture"],
    "plot": ["story"],
    "warm": ["tender"],
    "cold": ["chilly"],
}
ANTONYMS = {
    "good": ["bad", "awful"],
    "bad": ["good"],
    "fine": ["bad"],
    "great": ["awful"],
    "awful": ["great"],
    "warm": ["cold"],
    "cold": ["warm"],
}
POSITIVE, NEGATIVE = ["good", "fine", "great", "warm"], ["bad", "awful", "poor", "cold"]
FILLERS = ["film", "movie", "plot", "story", "actor", "music", "ending", "was", "and", "very", "with", "the", "a"]
# "splendid", "dreadful" and "picture" are two pieces each, so that words and tokens never coincide everywhere.
PIECES = ["splen", "##did", "dread", "##ful", "pic", "##ture", "tender", "chilly", ",", ".", "not", "'", "is", "it"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

KINDS: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {"type_vocab_size": 1},
    "electra": {"embedding_size": 8},
    "deberta-v2": {"pos_att_type": ["c2p", "p2c"], "relative_attention": True, "max_relative_positions": 16},
    "albert": {"embedding_size": 8, "num_hidden_groups": 1},
    "distilbert": {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2},
    "hf_robust_lstm": {"embedding_size": 8},
    "hf_robust_cnn": {"embedding_size": 8, "num_filters": 8},
}

BATCH_CODE = ("infobert", "r_drop")
"""Methods whose code changes the very term that depends on the batch, so that there is nothing to split."""

# What makes splitting a batch change nothing under ``--follow code``, whose TA-VAT takes a norm over the batch.
CODE: dict[str, dict[str, Any]] = {
    name: {"follow": "code", **method.row_wise, **({"tavat_norm": "sample"} if name == "tavat" else {})}
    for name, method in METHODS.items()
    if issubclass(method.config, FollowArguments) and name not in BATCH_CODE
}

NO_DATA = object()
"""Given as ``data``: the trainer gets none, as one that only evaluates."""


def review_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of one sentence each; every sentence has a word with synonyms and a word with antonyms."""
    rng = random.Random(seed)
    rows = []
    for index in range(count):
        label = index % 2
        words = rng.choices(FILLERS, k=rng.randint(2, 6)) + [
            rng.choice(["good", "warm"] if label else ["bad", "cold"])
        ]
        rng.shuffle(words)
        rows.append({"sentence": " ".join(words) + ".", "label": label})
    return rows


def pair_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of two sentences and one of three labels."""
    first, second = review_rows(count, seed), review_rows(count, seed + 1)
    return [
        {"sentence1": a["sentence"], "sentence2": b["sentence"], "label": index % 3}
        for index, (a, b) in enumerate(zip(first, second, strict=True))
    ]


def build_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = list(dict.fromkeys([*SPECIAL, *POSITIVE, *NEGATIVE, *FILLERS, *PIECES]))
    tokenizer = Tokenizer(
        models.WordPiece({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]")  # noqa: S106
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"],
    )


def build_model(
    kind: str = "bert", num_labels: int = 2, dropout: float = 0.0, seed: int = 0, head: str = "own", **extra: Any
) -> Any:
    """A random two-layer classifier; ``initializer_range`` is large so that its predictions differ between texts.

    ``head`` is that of ``--classifier_head``.
    """
    config = AutoConfig.for_model(
        kind,
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=80,
        pad_token_id=0,
        num_labels=num_labels,
        initializer_range=0.3,
        **{"vocab_size": 64, "num_hidden_layers": 2, **KINDS[kind], **extra},
    )
    set_dropout(config, dropout)
    set_seed(seed)
    return AutoModelForSequenceClassification.from_config(with_mean_head(config) if head == "mean" else config)


class TwoMasks(nn.Module):
    """Dropout of one half of the entries and of the other half in turn, the same for all rows.

    Two passes over a batch have different masks, and no split of it into micro-batches or ranks changes a mask.
    """

    passes = 0

    def forward(self, states: Tensor) -> Tensor:
        if not self.training:
            return states
        self.passes += 1
        kept = torch.arange(states.shape[-1], device=states.device) % 2 == self.passes % 2
        return 2 * states * kept


def model_for(name: str | type[RobustTrainer], **options: Any) -> Any:
    """A classifier that the method trains, without randomness: BERT, if it trains all architectures.

    For a method that needs dropout it has :class:`TwoMasks`.
    """
    method = METHODS[name] if isinstance(name, str) else name
    model = build_model(*method.architectures[:1], **options)
    if method.needs_dropout:
        model.dropout = TwoMasks()
    return model


def build_legacy_model(folder: Path, **options: Any) -> Any:
    """A BERT loaded from a checkpoint of the first years, whose LayerNorms are called gamma and beta."""
    model = build_model(**options)
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = load_file(file)
    for new, name in old.items():
        renamed = {key.replace(new, name): value for key, value in renamed.items()}
    save_file(renamed, file, metadata={"format": "pt"})
    return AutoModelForSequenceClassification.from_pretrained(folder)


def review_data(count: int = 16, seed: int = 0, rows: Any = None) -> TextDataset:
    """The review rows as a data set."""
    return TextDataset(rows or review_rows(count, seed), ("sentence",), build_tokenizer(), max_length=32)


def table(words: dict[str, list[str]], relation: str) -> TableLexicon:
    return TableLexicon(words, name="test", relation=relation, keeps_part_of_speech=True)


class AnyChange(Misclassify):
    """Reached by whatever raises the score, so that an attack finds something against any weights."""

    def reached(self, predictions: Any) -> Any:
        return np.ones(len(predictions.is_predicted), dtype=bool)


def synonym_attack() -> Attack:
    """A cheap attack on the review rows that changes one word of each text that is classified correctly."""
    return replace(ATTACKS["synonym"](Resources(synonyms=dense_synonyms())), goal=AnyChange())


def dense_synonyms() -> TableLexicon:
    """So many synonyms that no view stays as it is: batch-relative means are then the same in any split."""
    words = [*POSITIVE, *NEGATIVE, *FILLERS]
    return table({word: [other for other in words if other != word] for word in words}, "synonym")


def build_trainer(
    name: str | type[RobustTrainer], folder: Path | str, *, model: Any = None, data: Any = None, **options: Any
) -> RobustTrainer:
    """A method's trainer on the review rows: batches of 8, plain SGD, so that equal gradients are equal weights.

    ``options`` are the config's fields, but for the parts that a trainer is given (``synonyms``, ``eval_data``, ...).
    """
    method = METHODS[name] if isinstance(name, str) else name
    parts = {
        "synonyms": options.pop("synonyms", table(SYNONYMS, "synonym")),
        "antonyms": options.pop("antonyms", table(ANTONYMS, "antonym")),
        "attacks": options.pop("attacks", {"synonym": synonym_attack()}),
        "view_dataset": options.pop("view_dataset", None),
        "protection": options.pop("protection", None),
        "skip_labels": options.pop("skip_labels", frozenset()),
        "callbacks": options.pop("callbacks", None),
        "compute_metrics": options.pop("compute_metrics", None),
        "eval_dataset": options.pop("eval_data", None),
        "tokenizer": options.pop("tokenizer", None) or build_tokenizer(),
    }
    settings = {
        # Methods that make views do so in these few steps.
        **(method.mid_run if issubclass(method.config, GenerationArguments) else {}),
        "output_dir": str(folder),
        "robust_method": method.name,
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8,
        "learning_rate": 0.1,
        "optim": "sgd",
        "lr_scheduler_type": "constant",
        "max_steps": 3,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "seed": 0,
        "disable_tqdm": True,
        **options,
    }
    if "view_cache" in method.config.__dataclass_fields__:
        settings.setdefault("view_cache", str(Path(folder) / "cache"))
    return method(
        model=model_for(method) if model is None else model,
        args=method.config(**settings),
        train_dataset=None if data is NO_DATA else review_data() if data is None else data,
        processing_class=parts.pop("tokenizer"),
        **parts,
    )


def weights(trainer: Any) -> dict[str, torch.Tensor]:
    """A copy of the weights of a trainer's model."""
    return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}
