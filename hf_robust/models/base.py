"""Base classes of the LSTM and the CNN: word embeddings, attention mask, max pooling, loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput


class WordConfig(PreTrainedConfig):
    """Sizes of a classifier over word embeddings; the defaults are those of FLAT's code.

    Args:
        vocab_size: rows of the embedding table.
        embedding_size: width E of a word vector: 300 as in FLAT, or the width of given word vectors.
        embedding_dropout: dropout rate of the single entries of the word vectors.
        dropout: dropout rate of the pooled vector, before the classifier.
        initializer_range: standard deviation of random initial word vectors.
    """

    def __init__(
        self,
        vocab_size: int = 30522,
        embedding_size: int = 300,
        embedding_dropout: float = 0.0,
        dropout: float = 0.2,
        initializer_range: float = 0.1,
        pad_token_id: int | None = 0,
        **kwargs: Any,
    ) -> None:
        self.vocab_size, self.embedding_size = vocab_size, embedding_size
        self.embedding_dropout, self.dropout = embedding_dropout, dropout
        self.initializer_range = initializer_range
        # Set after the base class too: its own default differs between versions of transformers.
        super().__init__(pad_token_id=pad_token_id, **kwargs)
        self.pad_token_id = pad_token_id


class WordModel(PreTrainedModel):
    """A classifier on the maximum over time of its states, one state for each token.

    A subclass creates its layers in ``__init__``, passes the width of its states to ``finish``, and computes the
    states in ``states``. Only tokens whose ``attention_mask`` is not zero are read: padding on either side has no
    effect, and a masked token inside a text only the one that ``states`` documents. The pooled vector of a text whose
    tokens are all masked is zero.
    """

    base_model_prefix = "model"
    main_input_name = "input_ids"

    def __init__(self, config: WordConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        rows, width = config.vocab_size, config.embedding_size
        self.embeddings: nn.Module = nn.Embedding(rows, width, padding_idx=config.pad_token_id)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.dropout = nn.Dropout(config.dropout)

    def finish(self, width: int) -> None:
        """Add the linear classifier over states of ``width`` and initialise all weights."""
        self.classifier = nn.Linear(width, self.num_labels)
        self.post_init()

    def states(self, words: Tensor, keep: Tensor) -> Tensor:
        """States (B, L, H) of the word vectors ``words`` (B, L, E), which are zero where ``keep`` (B, L) is False."""
        raise NotImplementedError(f"{type(self).__name__} must define states.")

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings = value

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise as torch does, except word vectors; also called for weights that a checkpoint lacks."""
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.initializer_range)
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                module.weight[module.padding_idx].zero_()
        elif isinstance(module, nn.LSTM):
            for parameter in module.parameters():
                init.uniform_(parameter, -(module.hidden_size**-0.5), module.hidden_size**-0.5)
        elif isinstance(module, (nn.Linear, nn.Conv1d)):
            bound = module.weight[0].numel() ** -0.5
            init.uniform_(module.weight, -bound, bound)
            init.uniform_(module.bias, -bound, bound)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Compute logits (B, K) and, with ``labels``, the loss of the configuration's ``problem_type``.

        ``hidden_states`` are the word vectors (B, L, E) and the states (B, L, H), which are zero at masked tokens.
        ``attention_mask`` (B, L): any value except zero marks a real token. Other inputs (token types) are ignored.
        ``inputs_embeds`` (B, L, E) may replace ``input_ids`` (B, L).
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError(f"{type(self).__name__} needs either input_ids or inputs_embeds; pass one of them.")
        embedded = self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        real = torch.ones(embedded.shape[:2], device=embedded.device) if attention_mask is None else attention_mask
        keep = real != 0
        masked = ~keep.unsqueeze(-1)
        words = self.embedding_dropout(embedded).masked_fill(masked, 0.0)
        states = self.states(words, keep).masked_fill(masked, 0.0)
        logits = self.classifier(self.dropout(max_over_time(states, keep)))
        loss = None if labels is None else self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        outputs = SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=(embedded, states) if wanted else None
        )
        is_dict = self.config.return_dict if return_dict is None else return_dict
        return outputs if is_dict else outputs.to_tuple()


def max_over_time(states: Tensor, keep: Tensor) -> Tensor:
    """(B, H) maximum of ``states`` (B, L, H) over the tokens where ``keep`` (B, L) is True; zero if there are none."""
    highest = states.masked_fill(~keep.unsqueeze(-1), torch.finfo(states.dtype).min).amax(1)
    return highest.masked_fill(~keep.any(1, keepdim=True), 0.0)
