"""Classifiers of this project as Hugging Face models; importing this package registers them with the Auto classes."""

from transformers import AutoConfig, AutoModelForSequenceClassification

from hf_robust.models.base import WordConfig, WordModel
from hf_robust.models.cnn import CnnConfig, CnnForSequenceClassification
from hf_robust.models.lstm import LstmConfig, LstmForSequenceClassification
from hf_robust.models.mean_head import MeanHeadConfig, MeanHeadForSequenceClassification, with_mean_head
from hf_robust.models.tokenizer import WordSource, read_source, word_level_tokenizer, word_tokenizer
from hf_robust.models.vectors import fill_embeddings

WORD_MODELS: dict[str, type[WordConfig]] = {"lstm": LstmConfig, "cnn": CnnConfig}
"""Configurations of the models that start without a checkpoint, by the name on the command line."""

for _config, _model in (
    (LstmConfig, LstmForSequenceClassification),
    (CnnConfig, CnnForSequenceClassification),
    (MeanHeadConfig, MeanHeadForSequenceClassification),
):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoModelForSequenceClassification.register(_config, _model, exist_ok=True)

__all__ = [
    "WORD_MODELS",
    "CnnConfig",
    "CnnForSequenceClassification",
    "LstmConfig",
    "LstmForSequenceClassification",
    "MeanHeadConfig",
    "MeanHeadForSequenceClassification",
    "WordConfig",
    "WordModel",
    "WordSource",
    "fill_embeddings",
    "read_source",
    "with_mean_head",
    "word_level_tokenizer",
    "word_tokenizer",
]
