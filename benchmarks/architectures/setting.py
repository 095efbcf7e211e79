"""What a cell of the matrix runs on: an architecture as a tiny random classifier, its tokenizer, texts and attacks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, set_seed
from transformers.pytorch_utils import Conv1D

from benchmarks.architectures.configs import CLS, EOS, tiny_config
from benchmarks.architectures.vocabularies import train_tokenizer
from hf_robust.attacks import ATTACKS, Attack, Resources, choose_examples
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.callbacks import AttackCallback
from hf_robust.data import TextDataset
from hf_robust.data.demo import LABELS, demo_rows
from hf_robust.lexicons import load_lexicon
from hf_robust.models.architecture import parts_of
from hf_robust.models.dropout import set_dropout
from hf_robust.models.padding import set_padding_token
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.words import NLTK_STOP_WORDS

LENGTH, VOCABULARY, TRAIN_ROWS, ATTACKED_ROWS, STEPS = 16, 480, 12, 4, 3
SCALE = 0.3
"""Standard deviation of the random weights."""
DROPOUT = 0.3
NO_DROPOUT = ("diffllama",)
"""Architectures that transformers does not make with dropout."""
ATTACKED_AS = {"fickle": "synonym", "obstinate": "antonym", "gradient": "hotflip", "population": "genetic"}
"""The attack of each kind that is run."""

STRENGTHS: dict[str, dict[str, Any]] = {
    "flooding": {"flood_level": 3.0},
    "flooding_x": {"flood_level": "3"},
    "semrode": {"semrode_lambda": 1.0},
    # Its published step is nearly nothing beside the large word vectors of T5.
    "smart": {"adv_lr": 0.1, "adv_max_norm": 0.1, "smart_lambda": 5.0},
}
"""Arguments under which a few steps of a method differ from plain training."""

_CLS_SEP = {"single": "[CLS] $A [SEP]"}
_BOS_EOS = {"bos_token": "[CLS]", "eos_token": "[SEP]"}
_BOS = {"single": "[CLS] $A", "pad_token": "[PAD]", **_BOS_EOS}
_NO_PAD = {"single": "$A", **_BOS_EOS}
_EOS = {"single": "$A [SEP]", "pad_token": "[PAD]", "eos_token": "[SEP]"}

_FAMILIES: list[tuple[str, dict[str, Any], str]] = [
    ("uncased WordPiece", _CLS_SEP,
     "bert distilbert electra mpnet funnel mobilebert squeezebert hf_robust_lstm hf_robust_cnn"),
    ("cased WordPiece", _CLS_SEP, "convbert megatron-bert nystromformer fnet"),
    ("byte-level BPE", _CLS_SEP, "roberta longformer modernbert deberta xlm-roberta big_bird"),
    ("SentencePiece", _CLS_SEP, "albert deberta-v2"),
    ("byte-level BPE", {**_CLS_SEP, "pad_token": "[PAD]", "mask_token": "[MASK]", **_BOS_EOS}, "bart"),
    ("SentencePiece", _EOS, "t5 mt5 umt5"),
    ("SentencePiece", {"single": "$A [SEP] [CLS]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]",
                       "mask_token": "[MASK]", "padding_side": "left"}, "xlnet"),
    ("SentencePiece", _BOS, "llama mistral phi3 gemma gemma2 gemma3_text"),
    ("byte-level BPE", _NO_PAD, "gpt2 gpt_neo gpt_neox bloom opt"),
    ("byte-level BPE", {**_NO_PAD, "pad_token": "[PAD]"}, "qwen2 qwen3"),
    # All others of transformers; "ernie", "layoutlm", "nomic_bert" and the like have BERT's vocabulary, as those not
    # named here.
    ("byte-level BPE", _CLS_SEP,
     "data2vec-text esm esmc eurobert flaubert gte ibert layoutlmv3 lilt luke markuplm modernvbert mra "
     "roberta-prelayernorm ultrabert ultravbert xlm yoso perceiver canine"),
    ("SentencePiece", _CLS_SEP, "camembert jina_embeddings_v3 rembert reformer xlm-roberta-xl xmod"),
    ("byte-level BPE", {**_CLS_SEP, "pad_token": "[PAD]", "mask_token": "[MASK]", **_BOS_EOS}, "mvp"),
    ("SentencePiece", _EOS, "bigbird_pegasus mbart plbart t5gemma t5gemma2"),
    ("SentencePiece", _BOS,
     "arcee axk1 axk2 gemma3 jamba minicpm3 minimax ministral ministral3 mistral4 mixtral persimmon phimoe zamba "
     "zamba2"),
    ("byte-level BPE", _NO_PAD,
     "biogpt cohere_compass_text ctrl deepseek_v2 deepseek_v3 diffllama doge exaone4 falcon glm glm4 gpt-sw3 "
     "gpt_bigcode gpt_oss gptj helium hunyuan_v1_dense hunyuan_v1_moe jetmoe mpt nemotron olmo "
     "olmo2 olmo3 openai-gpt phi seed_oss smollm3 stablelm starcoder2"),
    ("byte-level BPE", {**_NO_PAD, "pad_token": "[PAD]"}, "qwen2_moe qwen3_5 qwen3_5_text qwen3_moe qwen3_next"),
    ("byte-level BPE", {**_NO_PAD, "pad_token": "[PAD]"}, "modernbert-decoder"),
]  # fmt: skip
TOKENIZERS = {kind: (vocabulary, form) for vocabulary, form, kinds in _FAMILIES for kind in kinds.split()}
"""Kind of vocabulary and form of a text, by architecture; decoders pad with a token that their configuration lacks."""

DECODERS = [kind for kind, (_, form) in TOKENIZERS.items() if form in (_BOS, _NO_PAD) or kind.startswith("qwen")]


class AnyChange(Misclassify):
    """Reached by every changed text, so that an attack on any weights makes a view of each text."""

    def reached(self, predictions: Any) -> Any:
        return np.ones(len(predictions.is_predicted), dtype=bool)


def dropout_of(method: str) -> float:
    """Share of dropout in the model of a method: none but for one that needs it, so that no noise hides its effect."""
    return DROPOUT if METHODS[method].needs_dropout else 0.0


@cache
def _rows() -> list[dict[str, Any]]:
    rows = demo_rows("train")[: TRAIN_ROWS + ATTACKED_ROWS]
    return [{"text": row["sentence2"], "label": LABELS.index(row["label"])} for row in rows]


@cache
def _resources() -> Resources:
    return Resources(
        synonyms=load_lexicon("builtin", "synonym"),
        antonyms=load_lexicon("builtin", "antonym"),
        stop_words=NLTK_STOP_WORDS,
        query_budget=40,
    )


def build_attacks() -> dict[str, Attack]:
    """An attack of each kind, by the kind."""
    return {kind: ATTACKS[name](_resources()) for kind, name in ATTACKED_AS.items()}


@dataclass
class Setting:
    """One architecture; ``dropout`` is its share in all places."""

    kind: str
    folder: Path
    dropout: float = 0.0
    tokenizer: Any = field(init=False)

    def __post_init__(self) -> None:
        vocabulary, form = TOKENIZERS.get(self.kind, ("uncased WordPiece", _CLS_SEP))
        options = dict(form)
        single = options.pop("single")
        texts = [row["sentence2"] for row in demo_rows("train")]
        self.tokenizer = train_tokenizer(vocabulary, texts, VOCABULARY, single, **options)
        set_padding_token(self.tokenizer, self.kind)

    def model(self) -> Any:
        """The random classifier; its weights are large enough that predictions differ between texts."""
        changes: dict[str, Any] = {"vocab_size": VOCABULARY, "num_labels": 2, "bos_token_id": CLS, "eos_token_id": EOS}
        if self.kind in DECODERS:
            changes["pad_token_id"] = None
        config = tiny_config(self.kind, **changes)
        for part in (config, *parts_of(config).values()):
            for name in ("initializer_range", "init_std"):
                if hasattr(part, name):
                    setattr(part, name, SCALE)
        set_dropout(config, 0.0 if self.kind in NO_DROPOUT else self.dropout)
        set_seed(0)
        model = AutoModelForSequenceClassification.from_config(config)
        if self.kind == "openai-gpt":  # transformers leaves its matrices at the default
            for module in model.modules():
                if isinstance(module, Conv1D):
                    torch.nn.init.normal_(module.weight, std=SCALE)
        return model

    def dataset(self, start: int, stop: int | None = None) -> TextDataset:
        """Some of the rows."""
        return TextDataset(_rows()[start:stop], ("text",), self.tokenizer, max_length=LENGTH)

    def trainer(self, name: str, attacks: dict[str, Attack], **options: Any) -> RobustTrainer:
        """The method's trainer, whose model is attacked at the end of the last epoch."""
        method = METHODS[name]
        settings: dict[str, Any] = {
            "output_dir": str(self.folder / self.kind / name), "robust_method": name, "max_steps": STEPS,
            "per_device_train_batch_size": 4, "learning_rate": 0.05, "optim": "sgd", "lr_scheduler_type": "constant",
            "logging_steps": 1, "save_strategy": "no", "report_to": "none", "use_cpu": True, "seed": 0,
            "disable_tqdm": True, **method.mid_run, **STRENGTHS.get(name, {}), **options,
        }  # fmt: skip
        if "view_cache" in method.config.__dataclass_fields__:
            settings["view_cache"] = str(self.folder / self.kind / "views")
        views = {"synonym": dataclasses.replace(build_attacks()["fickle"], goal=AnyChange())}
        trainer = method(
            model=self.model(),
            args=method.config(**settings),
            train_dataset=self.dataset(ATTACKED_ROWS),
            eval_dataset=self.dataset(0, ATTACKED_ROWS),
            processing_class=self.tokenizer,
            synonyms=_resources().synonyms,
            antonyms=_resources().antonyms,
            attacks=views if "attacks" in method.needs else {},
            skip_labels=frozenset(),
        )
        if attacks:
            examples = choose_examples(trainer.eval_dataset, 0, 0)
            AttackCallback(attacks, examples, strategy="end", max_length=LENGTH).attach(trainer)
        return trainer


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the weights."""
    return {name: value.detach().clone().float() for name, value in model.named_parameters()}
