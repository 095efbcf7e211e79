"""GradMask's challenge set of a model: each text with one token masked, whether or not the model was correct on it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from hf_robust.attacks import Example
from hf_robust.views.masked import CHUNK, MaskedViews, maskable_tokens, with_mask_token
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.attacks import Victim
    from hf_robust.attacks.engine.batches import Encoded
    from hf_robust.attacks.engine.requests import Columns
    from hf_robust.attacks.engine.tokens import Aligned, TextTokenizer

MASKS = ("gradient", "random")
"""Ways to choose the masked token."""
_SPACES = (("", ""), (" ", ""), ("", " "), (" ", " "))
"""Spaces before and after a mask token, in the order of preference."""


class ChallengeText(NamedTuple):
    """One text of a challenge set.

    Attributes:
        example: the original text with its label.
        around: the parts of the last column before and after the mask token; None if no token was masked.
        place: index of the masked token among all tokens that the model reads; None if no token was masked.
        token: the masked token as written in the text.
        ids: the tokens with the mask token at this index, as in the paper.
        alike: whether the tokenizer turns ``texts`` into ``ids``. It cannot if the second piece of a word follows the
            mask token: after a mask token the tokenizer reads "ing" as a separate word.
    """

    example: Example
    around: tuple[str, str] | None
    place: int | None
    token: str
    ids: Encoded
    alike: bool

    def texts(self, mask: str) -> Columns:
        """The columns with ``mask`` in place of the masked token; unchanged if no token was masked."""
        return self.example.texts if self.around is None else (*self.example.texts[:-1], mask.join(self.around))


def challenge_set(
    victim: Victim, examples: Sequence[Example], mask: str = "gradient", seed: int = 0
) -> list[ChallengeText]:
    r"""GradMask, Section 4: the mask token replaces the token with the largest gradient in each text.

    .. math:: l^* = \arg\max_l \sum_{d=1}^{E} |\partial\,\mathrm{CE}(f(x), y) / \partial e_{l,d}|

    l runs over the tokens of the last text column: pieces of words count separately, and punctuation counts too. y is
    the true label, also of a text that the model misclassifies; the set keeps this label, although it may not fit the
    masked text. A model whose pre-training had no mask token (ELECTRA's discriminator) is out of its distribution on
    all these texts, which explains a part of its loss of accuracy. The cost is one forward and one backward pass for
    each text.

    Args:
        mask: ``gradient``, or ``random``: any of these tokens, drawn by ``seed`` and the row. The random mask is a
            control that shows the effect of masking as such.

    Raises:
        ValueError: the tokenizer has no mask token, or is not a fast one.
    """
    from hf_robust.attacks.engine.tokens import TextTokenizer, check_mask_token

    check_mask_token(victim.tokenizer)
    victim.check_saliency("masking by token")
    tokens = TextTokenizer(victim.tokenizer, victim.max_length)
    challenge: list[ChallengeText] = []
    with victim.measuring(), tqdm(total=len(examples), desc="masking", leave=False) as bar:
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            texts = [Text(example.texts) for example in chunk]
            if mask == "gradient":
                aligned, places = _largest_gradients(victim, chunk, texts)
            else:
                aligned = [tokens.align(text) for text in texts]
                places = [_random_place(*row, victim, seed) for row in zip(chunk, texts, aligned, strict=True)]
            challenge += _mask_places(victim, tokens, chunk, aligned, places)
            bar.update(len(chunk))
    return challenge


def _largest_gradients(
    victim: Victim, examples: Sequence[Example], texts: Sequence[Text]
) -> tuple[list[Aligned], list[int | None]]:
    saliences = victim.gradient_norms(texts, [example.label for example in examples], loss="odds")
    maker = MaskedViews()
    places = [maker.positions(*pair, victim.tokenizer) for pair in zip(saliences, texts, strict=True)]
    return [salience.aligned for salience in saliences], [first[0] if first else None for first in places]


def _random_place(example: Example, text: Text, aligned: Aligned, victim: Victim, seed: int) -> int | None:
    candidates = sorted(maskable_tokens(aligned, text, victim.tokenizer))
    return random.Random(f"challenge:{seed}:{example.idx}").choice(candidates) if candidates else None


def _mask_places(
    victim: Victim,
    tokens: TextTokenizer,
    examples: Sequence[Example],
    aligned: Sequence[Aligned],
    places: Sequence[int | None],
) -> list[ChallengeText]:
    mask, mask_id = victim.tokenizer.mask_token, victim.tokenizer.mask_token_id
    masked, spans = [], {}
    for row, (example, tokenized, place) in enumerate(zip(examples, aligned, places, strict=True)):
        if place is None:
            masked.append(ChallengeText(example, None, None, "", tokenized.encoded, True))
            continue
        start, end = spans[row] = tokenized.offsets[place]
        column, ids = example.texts[-1], with_mask_token(tokenized.encoded, [place], mask_id)
        masked.append(ChallengeText(example, (column[:start], column[end:]), place, column[start:end], ids, False))
    for before, after in _SPACES:
        unlike = [row for row, text in enumerate(masked) if not text.alike]
        trials = []
        for row in unlike:
            (start, end), column = spans[row], examples[row].texts[-1]
            trials.append(masked[row]._replace(around=(column[:start] + before, after + column[end:])))
        encoded = tokens.encode([text.texts(mask) for text in trials])
        for row, text, read in zip(unlike, trials, encoded, strict=True):
            if read.key() == text.ids.key():
                masked[row] = text._replace(alike=True)
    return masked
