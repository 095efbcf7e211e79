"""TaiChi's classifier: an encoder of transformers, the mean of its last hidden states, one linear layer."""

from __future__ import annotations

import copy
import inspect
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_robust.losses import sentence_embedding

_REMEDY = "leave --classifier_head out for the model's own head"


class MeanHeadConfig(PreTrainedConfig):
    """The configuration of an encoder, plus the labels of the classifier.

    All other attributes are the encoder's: sizes, positions, padding. ``model_type`` of an instance is the encoder's
    too, because rules for architectures depend on it; ``model_type`` of the class names this configuration in files,
    so that no other class, with an untrained head, can load them.

    Args:
        encoder: the encoder's configuration, as an object or a dictionary.
        state_size: width of its last hidden states.
    """

    model_type = "hf_robust_mean_head"
    classifier_head: ClassVar[str] = "mean"
    """The value of ``--classifier_head``, for the run card."""
    sub_configs = {"encoder": AutoConfig}  # noqa: RUF012  # as transformers declares it
    has_no_defaults_at_init = True

    def __init__(self, encoder: Any = None, state_size: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder = AutoConfig.for_model(**encoder) if isinstance(encoder, dict) else encoder
        self.state_size = state_size
        if self.encoder is not None:
            self.model_type = self.encoder.model_type
            # Set again, because the setter now passes it to the encoder too.
            requested: str | None = self._attn_implementation_internal
            self._attn_implementation = requested or self.encoder._attn_implementation

    def __getattr__(self, name: str) -> Any:
        encoder = self.__dict__.get("encoder")
        if encoder is None or name.startswith("_") or name == "auto_map":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
        return getattr(encoder, name)

    def _get_generation_parameters(self) -> dict[str, Any]:
        # Private in transformers, which refuses to save generation parameters; the encoder's own fields hold them.
        return {}


class MeanHeadForSequenceClassification(PreTrainedModel):
    r"""Chen et al. 2024, Section 3.2: the classifier of TaiChi and of the models that it is compared with.

    .. math:: \mathrm{logits} = W z + b,\qquad z = \frac{1}{n}\sum_{l: m_l = 1} h_l

    ``h`` (B, L, H) are the encoder's last hidden states, and n is the number of real tokens, including [CLS] and
    [SEP]. There is no pooler and no dropout; W (K, H) starts from N(0, ``initializer_range``) and b from 0. The
    encoder's weights have the same names as in its own classifier, so that all its checkpoints load.
    """

    config_class = MeanHeadConfig
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    def __init__(self, config: MeanHeadConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        kind = _encoder_class(config.encoder)
        options = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind).parameters else {}
        encoder = kind(config.encoder, **options)
        self.base_model_prefix = encoder.base_model_prefix or "encoder"
        setattr(self, self.base_model_prefix, encoder)
        self._encoder_inputs = frozenset(inspect.signature(encoder.forward).parameters)
        # Not "classifier": then a checkpoint's head on [CLS] would be loaded into this one.
        self.mean_classifier = nn.Linear(config.state_size, config.num_labels)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        embeddings: nn.Module = self.base_model.get_input_embeddings()
        return embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.base_model.set_input_embeddings(value)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise the head; the encoder initialises its new weights itself."""
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=getattr(self.config, "initializer_range", 0.02))
            init.zeros_(module.bias)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Compute logits (B, K) and, with ``labels``, the loss of the configuration's ``problem_type``.

        ``attention_mask`` (B, L): 1 for real tokens; by default all tokens are real. Token types, positions and
        ``inputs_embeds`` (B, L, E) are ignored if the encoder does not take them.
        """
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
        }
        inputs = {name: value for name, value in inputs.items() if value is not None and name in self._encoder_inputs}
        outputs = self.base_model(**inputs, output_hidden_states=wanted, return_dict=True, **kwargs)
        states: Tensor = outputs.last_hidden_state
        mask = torch.ones(states.shape[:2], device=states.device) if attention_mask is None else attention_mask
        logits = self.mean_classifier(sentence_embedding(states, mask, "mean_pool"))
        loss = None if labels is None else self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        classified = SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.get("hidden_states") if wanted else None,
            attentions=outputs.get("attentions"),
        )
        is_dict = self.config.return_dict if return_dict is None else return_dict
        return classified if is_dict else classified.to_tuple()


def with_mean_head(config: Any) -> MeanHeadConfig:
    """The configuration of a mean-head classifier on the encoder of the model that ``config`` describes.

    Raises:
        ValueError: the model has not one last hidden state for each token, or uses custom code.
    """
    if isinstance(config, MeanHeadConfig):
        return config
    kind = str(getattr(config, "model_type", "")) or type(config).__name__
    if hasattr(config, "auto_map"):
        raise ValueError(
            f"--classifier_head mean needs an encoder that is part of transformers, and {kind} uses custom code; "
            f"{_REMEDY}."
        )
    width = _state_size(config)
    if config.is_encoder_decoder or type(config) not in MODEL_MAPPING or not width:
        has = "an encoder and a decoder" if config.is_encoder_decoder else "none (AutoModel)"
        raise ValueError(
            f"--classifier_head mean reads one last hidden state for each token, and {kind} has {has}; use a model "
            f"such as BERT, RoBERTa or DeBERTa, or {_REMEDY}."
        )
    text = {name: getattr(config, name) for name in ("id2label", "label2id", "problem_type", "dtype")}
    encoder, name = copy.deepcopy(config), config._name_or_path
    encoder._name_or_path = ""  # a nested configuration writes it to config.json, the top one does not
    mean_head = MeanHeadConfig(encoder=encoder, state_size=width, **text)
    mean_head._name_or_path = name
    return mean_head


def check_mean_head(model: Any, tokens: dict[str, Tensor]) -> None:
    """Check that the encoder of ``model`` returns one last hidden state of width ``state_size`` for each token.

    Args:
        model: a classifier with a mean head.
        tokens: ``input_ids`` and ``attention_mask`` (B, L).

    Raises:
        ValueError: the states have another shape.
    """
    with torch.no_grad():
        states = model.base_model(**tokens).last_hidden_state
    expected = (*tokens["input_ids"].shape, model.config.state_size)
    if tuple(states.shape) != expected:
        raise ValueError(
            f"--classifier_head mean reads one last hidden state for each token, here of shape {expected}, and "
            f"{type(model.base_model).__name__} gives {tuple(states.shape)}; {_REMEDY}."
        )


def _encoder_class(config: Any) -> Any:
    kinds = MODEL_MAPPING[type(config)]
    return kinds[0] if isinstance(kinds, tuple | list) else kinds


def _state_size(config: Any) -> int:
    """Width of the last hidden states; 0 if the configuration does not name it."""
    text = config.get_text_config()
    width = getattr(text, "word_embed_proj_dim", None) or getattr(text, "hidden_size", None) or 0
    return int(width) * (2 if config.model_type == "reformer" else 1)  # Reformer concatenates two streams
