"""GradMask's views: the mask token replaces the token with the largest gradient of a victim's loss."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from hf_robust.attacks import Example
from hf_robust.runs import balanced_shares, read_json_lines
from hf_robust.views.generated import ViewRound
from hf_robust.views.generation_context import GenerationContext
from hf_robust.views.view import View
from hf_robust.words import UNICODE_WORDS, Protection, Text, WordRule

if TYPE_CHECKING:
    from hf_robust.attacks import Victim
    from hf_robust.attacks.engine.batches import Encoded
    from hf_robust.attacks.engine.gradients import GradientNorms
    from hf_robust.attacks.engine.tokens import Aligned

logger = logging.getLogger(__name__)

CHUNK = 512
"""Number of examples between two writes to the journal."""
UNITS = ("token", "word")


class MaskedRow(NamedTuple):
    """One row of the journal: the masked tokens and changed words, and the label's probability and correctness.

    ``before`` and ``right_before`` belong to the plain text, ``after`` and ``right_after`` to the masked one.
    """

    idx: int
    masked: list[int]
    changed: list[int]
    before: float
    after: float
    right_before: bool
    right_after: bool


@dataclass(frozen=True)
class MaskedViews:
    r"""GradMask, Section 3: mask the tokens where the loss of the true label has the largest gradient.

    .. math:: sal_l = \sum_{d=1}^{E} |\partial\,\mathrm{CE}(f(x), y) / \partial e_{l,d}|

    over the tokens of the last text column (the hypothesis of a pair, or the only text) without special tokens; e are
    the word embeddings (L, E). The view keeps the label. An example whose last column has no token has no view. The
    code differentiates ``log((1 - p) / p)`` with p the label's probability: this ranks the tokens of a text in the
    same order and does not vanish if the victim is certain.

    The notes of the round contain the mean decrease of the label's probability (``confidence_drop``) and the victim's
    accuracy on the texts before and after masking.

    Args:
        topk: number of masked tokens, or words.
        unit: ``token``, or ``word``: all pieces of the word with the largest mean gradient (L1).
        per_class: maximum number of examples of each class, drawn by ``seed``.
        protection: parts of a text that are never masked; None for none.
        word_rule: the definition of a word.
    """

    topk: int = 1
    unit: str = "token"
    per_class: int = 5000
    seed: int = 0
    protection: Protection | None = None
    word_rule: WordRule = UNICODE_WORDS

    def describe(self) -> dict[str, Any]:
        settings = {"topk": self.topk, "unit": self.unit, "per_class": self.per_class, "seed": self.seed}
        described = {"name": "gradient_mask", "column": "last", **self.word_rule.describe(), **settings}
        return {**described, "protected": self.protection.describe()} if self.protection else described

    def key(self, victim: Victim, examples: Sequence[Example]) -> str:
        """Hash of the victim's weights and inference, the texts, and the settings of the masking."""
        from hf_robust.attacks import weights_hash
        from hf_robust.attacks.engine.journal import prediction_of

        described = [self.describe(), "odds", weights_hash(victim.model), prediction_of(victim), victim.max_length]
        described += [self.protection.fingerprint()] if self.protection else []
        content = json.dumps([*described, list(examples)])
        return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()

    def __call__(self, victim: Victim, examples: Sequence[Example], context: GenerationContext) -> ViewRound:
        """Mask the examples; returns the views of all ranks on each rank.

        Raises:
            ValueError: the tokenizer has no mask token, or is not a fast one.
        """
        from accelerate.utils import gather_object

        from hf_robust.attacks.engine.tokens import check_mask_token

        check_mask_token(victim.tokenizer)
        victim.check_saliency("masking by gradient")
        sample = self.sample(examples)
        share = balanced_shares(sample, context.ranks)[context.rank]
        with victim.measuring():
            rows = _mask_with_journal(self, victim, share, context)
        gathered = sorted(MaskedRow(*fields) for fields in gather_object([list(row) for row in rows]))
        by_idx = {row.idx: row for row in gathered}
        views = ViewRound(
            (
                example.idx,
                View(Text(example.texts, self.word_rule), True, tuple(row.changed), masked=tuple(row.masked)),
            )
            for example in sample
            if (row := by_idx[example.idx]).masked
        )
        views.attempts = len(sample)
        views.notes = _notes([row for row in by_idx.values() if row.masked], sample)
        if context.rank == 0 and views:
            logger.info("Masking lowers the label's probability by %.3f on average.", views.notes["confidence_drop"])
        return views

    def check(self, victim: Victim, examples: Sequence[Example]) -> None:
        """Mask the shortest example and discard it.

        Raises:
            ValueError: the tokenizer or the model cannot mask by gradient.
        """
        from hf_robust.attacks.engine.tokens import check_mask_token

        check_mask_token(victim.tokenizer)
        victim.check_saliency("masking by gradient")
        shortest = sorted(examples, key=lambda example: sum(map(len, example.texts)))[:1]
        try:
            with victim.measuring():
                self.mask(victim, shortest)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(
                f"masking by gradient failed on a first text of this {type(victim.model).__name__} "
                f"({type(error).__name__}: {str(error).rstrip('.')}); use another model or method."
            ) from error

    def sample(self, examples: Sequence[Example]) -> list[Example]:
        """At most ``per_class`` random examples of each class, in their former order."""
        sampled: set[int] = set()
        for label in sorted({example.label for example in examples}):
            rows = [example.idx for example in examples if example.label == label]
            sampled.update(random.Random(f"masked:{self.seed}:{label}").sample(rows, min(self.per_class, len(rows))))
        return [example for example in examples if example.idx in sampled]

    def positions(self, salience: GradientNorms, text: Text, tokenizer: Any) -> list[int]:
        """Positions of the tokens to mask in a text, ascending."""
        of_words, last = salience.aligned.positions, len(text.columns) - 1
        allowed = maskable_tokens(salience.aligned, text, tokenizer, self.protection)
        if self.unit == "word":
            words = {
                index: of_words[index]
                for index, word in enumerate(text.words)
                if word.column == last and allowed & {*of_words[index]}
            }
            ranked = sorted(words, key=lambda word: (-salience.words[word], word))
            return sorted({at for word in ranked[: self.topk] for at in words[word] if at in allowed})
        return sorted(sorted(allowed, key=lambda at: (-salience.tokens[at], at))[: self.topk])

    def mask(self, victim: Victim, examples: Sequence[Example]) -> list[MaskedRow]:
        """Mask some examples, by one forward and one backward pass for each, and two forward passes for its scores."""
        texts = [Text(example.texts, self.word_rule) for example in examples]
        saliences = victim.gradient_norms(texts, [example.label for example in examples], loss="odds")
        masked = [self.positions(*pair, victim.tokenizer) for pair in zip(saliences, texts, strict=True)]
        plain = [salience.aligned.encoded for salience in saliences]
        mask_id = victim.tokenizer.mask_token_id
        hidden = [with_mask_token(encoded, places, mask_id) for encoded, places in zip(plain, masked, strict=True)]
        before, after = (victim.score_tokens(sequences).probabilities for sequences in (plain, hidden))
        return [
            MaskedRow(
                example.idx,
                places,
                [word for word, tokens in enumerate(salience.aligned.positions) if {*tokens} & {*places}],
                round(float(first[example.label]), 6),
                round(float(second[example.label]), 6),
                bool(first.argmax() == example.label),
                bool(second.argmax() == example.label),
            )
            for example, places, salience, first, second in zip(
                examples, masked, saliences, before, after, strict=True
            )
        ]


def maskable_tokens(aligned: Aligned, text: Text, tokenizer: Any, protection: Protection | None = None) -> set[int]:
    """Positions of the tokens that may be masked: all tokens of the last column that the model reads, including
    punctuation, except special and protected ones."""
    last = len(text.columns) - 1
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}  # an unknown word is a word
    ids = aligned.encoded.ids
    allowed = {at for at, column in enumerate(aligned.columns) if column == last and int(ids[at]) not in special}
    if protection:
        # Compare characters, because punctuation between the words of a span is protected too.
        for start, end in protection.spans(text.columns[last]):
            allowed -= {at for at in allowed if aligned.offsets[at][0] < end and start < aligned.offsets[at][1]}
    return allowed


def with_mask_token(encoded: Encoded, positions: Sequence[int], mask_id: int) -> Encoded:
    """The tokens with the mask token at ``positions``."""
    ids = encoded.ids.copy()
    ids[list(positions)] = mask_id
    return encoded._replace(ids=ids)


def _notes(rows: Sequence[MaskedRow], examples: Sequence[Example]) -> dict[str, Any]:
    if not rows:
        return {}
    classes = Counter(example.label for example in examples)
    return {
        "confidence_drop": round(float(np.mean([row.before - row.after for row in rows])), 6),
        "accuracy_before": round(float(np.mean([row.right_before for row in rows])), 6),
        "accuracy_masked": round(float(np.mean([row.right_after for row in rows])), 6),
        "per_class": [classes[label] for label in range(max(classes) + 1)],
    }


def _mask_with_journal(
    maker: MaskedViews, victim: Victim, share: Sequence[Example], context: GenerationContext
) -> list[MaskedRow]:
    """The rows of this rank: read from the journals of earlier starts, or masked and written to a new journal."""
    context.journals.mkdir(parents=True, exist_ok=True)
    wanted = {example.idx for example in share}
    files = sorted(context.journals.glob("masked-*.jsonl"))
    lines = [line for file in files for line in read_json_lines(file, warn=False)]
    done = {row.idx: row for line in lines if (row := MaskedRow(**line)).idx in wanted}
    remaining = [example for example in share if example.idx not in done]
    # A new file for each start, so that a line cut off by a crash stays the last one of its file.
    journal = context.journals / f"masked-{context.rank}-of-{context.ranks}-{_starts(context)}.jsonl"
    with tqdm(total=len(share), initial=len(done), desc="masking", disable=not context.progress, leave=False) as bar:
        for start in range(0, len(remaining), CHUNK):
            rows = maker.mask(victim, remaining[start : start + CHUNK])
            with journal.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row._asdict()) + "\n" for row in rows)
            done.update({row.idx: row for row in rows})
            bar.update(len(rows))
    return list(done.values())


def _starts(context: GenerationContext) -> int:
    """Number of journals that earlier starts of this rank have written."""
    return sum(1 for _ in context.journals.glob(f"masked-{context.rank}-of-{context.ranks}-*.jsonl"))
