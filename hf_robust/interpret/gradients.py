"""Integrated gradients over the word embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import at_look_ups, word_embeddings
from hf_robust.interpret.attribution import Attribution
from hf_robust.interpret.reader import Columns, Predict, Reader, TokenizedText
from hf_robust.words import UNICODE_WORDS, WordRule

REFERENCES = ("pad", "zero")


def integrated_gradients(
    model: nn.Module,
    tokenizer: Any,
    texts: Sequence[Columns],
    *,
    reference: str = "pad",
    steps: int = 50,
    max_length: int | None = None,
    predict: Predict | None = None,
    batch_size: int = 64,
    rule: WordRule = UNICODE_WORDS,
) -> list[Attribution]:
    r"""Sundararajan et al. 2017, arXiv:1703.01365, by captum, for every class.

    .. math:: a_l = \sum_E (e - e_0)_l \odot \frac1S\sum_{s<S} \nabla_{e_l} z_c\big(e_0 + t_s(e - e_0)\big),
        \quad t_s = \tfrac{s + 1/2}{S}

    ``e`` [L, E] is the output of the embedding layer and ``z_c`` the logit of class c; attributions are summed over
    the pieces of a word. Special tokens are the same in ``e0``, so the whole difference is attributed to the text.
    Punctuation, which is not a word, gets a part of it too. Batches contain steps of one text only, so no text depends
    on another.

    Args:
        texts: tuples of one or two columns.
        reference: ``e0``, the paper's baseline: the vector of the padding token (``pad``), or zeros (``zero``).
        steps: S, the number of midpoints of equal parts of the path.
        predict: prediction function of the method, if it is not ``model(**batch)``.
        batch_size: number of points of the path in one forward and backward pass, at least one for each class.
        rule: the definition of a word.

    Raises:
        ValueError: captum is missing, a number is out of range, or the model has no word embeddings or no classes.
    """
    if reference not in REFERENCES:
        raise ValueError(f"--baseline must be one of {', '.join(REFERENCES)}, got {reference!r}.")
    if steps < 1 or batch_size < 1:
        raise ValueError(f"--steps and the batch size must be at least 1, got {steps} and {batch_size}.")
    _captum()
    reader = Reader(model, tokenizer, max_length, predict)
    with reader.measuring():
        return [_attribution_of(reader, reader.tokens(text, rule), reference, steps, batch_size) for text in texts]


def _captum() -> Any:
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise ValueError(
            'integrated gradients need captum: pip install "hf_robust[interpret]" or pip install captum.'
        ) from error
    return IntegratedGradients


def _attribution_of(reader: Reader, tokens: TokenizedText, reference: str, steps: int, batch_size: int) -> Attribution:
    batch = reader.batch([tokens.inputs])

    def at(points: Tensor) -> Tensor:
        rows = {name: tensor.expand(len(points), -1) for name, tensor in batch.items()}
        with at_look_ups(reader.model, rows["input_ids"], lambda words: points.to(words.dtype)):
            return reader.logits(rows)

    start, end = _ends(reader, tokens, batch["input_ids"], reference)
    with torch.no_grad():
        before, after = at(start)[0].double(), at(end)[0].double()
    classes = torch.arange(len(after), device=end.device)
    # cuDNN's recurrent layers have no backward in eval mode.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        attributions = _captum()(at).attribute(
            end.expand(len(classes), -1, -1),
            start.expand(len(classes), -1, -1),
            target=classes,
            n_steps=steps,
            # captum's midpoint rule needs two points; the Gauss-Legendre rule of one point is the midpoint.
            method="riemann_middle" if steps > 1 else "gausslegendre",
            internal_batch_size=max(batch_size, len(classes)),
        )
    by_token = attributions.detach().double().sum(-1)
    by_word = [by_token[:, positions].sum(-1) for positions in tokens.words]
    values = torch.stack(by_word, -1) if by_word else by_token[:, :0]
    return Attribution(
        words=tuple(tokens.text.tokens),
        values=values.cpu().numpy(),
        covered=torch.tensor([bool(positions) for positions in tokens.words], dtype=torch.bool).numpy(),
        outputs=after.cpu().numpy(),
        difference=(after - before).cpu().numpy(),
        gap=(by_token.sum(-1) - (after - before)).cpu().numpy(),
    )


def _ends(reader: Reader, tokens: TokenizedText, ids: Tensor, reference: str) -> tuple[Tensor, Tensor]:
    """Both ends of the path [1, L, E] in float32: the reference and the text."""
    look_up = word_embeddings(reader.model)[0]
    special = torch.tensor([tokens.special], device=ids.device)
    with torch.no_grad():
        end = look_up(ids)
        start = look_up(torch.where(special, ids, reader.tokenizer.pad_token_id)) if reference == "pad" else end * 0
    return torch.where(special[..., None], end, start).float(), end.float()
