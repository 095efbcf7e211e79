"""Views whose most salient token, by the gradient of a victim's loss, is masked."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from hf_robust.attacks import Example
from hf_robust.attacks.engine.examples import balanced_shares
from hf_robust.runs import read_json_lines
from hf_robust.views.generated import Made
from hf_robust.views.view import View
from hf_robust.views.workplace import Workplace
from hf_robust.words import UNICODE_WORDS, Protection, Text

if TYPE_CHECKING:
    from hf_robust.attacks import Victim
    from hf_robust.attacks.engine.batches import Encoded
    from hf_robust.attacks.engine.tokens import Aligned
    from hf_robust.attacks.engine.victim import GradientNorms

logger = logging.getLogger(__name__)

CHUNK = 512
"""Examples masked between two writes to the journal."""
UNITS = ("token", "word")


class Masked(NamedTuple):
    """One row of the journal: what was masked, and the probability and correctness of the label before and after."""

    idx: int
    masked: list[int]
    changed: list[int]
    before: float
    after: float
    right_before: bool
    right_after: bool


@dataclass(frozen=True)
class MaskedViews:
    r"""GradMask, Section 3: mask where the loss of the true label is steepest.

    .. math:: sal_l = \sum_{d=1}^{E} |\partial\,\mathrm{CE}(f(x), y) / \partial e_{l,d}|

    over the tokens of the last text column (the hypothesis of a pair, or the one text), special tokens left out; e are
    the word embeddings (L, E). The label is kept. An example whose last column has no token has no view. The gradient
    is computed as that of ``log((1 - p) / p)``, p the label's probability, which ranks the tokens of a text alike and
    does not vanish where the victim is certain.

    What was measured on the way is among the round's notes: the mean fall of the label's probability
    (``confidence_drop``) and the victim's accuracy on the texts before and after masking.

    Args:
        topk: how many tokens, or words, are masked.
        unit: ``token``, or ``word``: all pieces of the word whose mean gradient is the largest (L1).
        per_class: examples of each class, drawn by ``seed``; a class that has fewer gives all it has.
        protection: what is never masked; None for nothing.
    """

    topk: int = 1
    unit: str = "token"
    per_class: int = 5000
    seed: int = 0
    protection: Protection | None = None

    def describe(self) -> dict[str, Any]:
        settings = {"topk": self.topk, "unit": self.unit, "per_class": self.per_class, "seed": self.seed}
        described = {"name": "gradient_mask", "column": "last", "word_rule": UNICODE_WORDS.name, **settings}
        return {**described, "protected": self.protection.describe()} if self.protection else described

    def key(self, victim: Victim, examples: Sequence[Example]) -> str:
        """Of the victim's weights and way of predicting, the texts, and what is masked."""
        from hf_robust.attacks import weights_hash
        from hf_robust.attacks.engine.journal import prediction_of

        described = [self.describe(), "odds", weights_hash(victim.model), prediction_of(victim), victim.max_length]
        described += [self.protection.fingerprint()] if self.protection else []
        content = json.dumps([*described, list(examples)])
        return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()

    def __call__(self, victim: Victim, examples: Sequence[Example], place: Workplace) -> Made:
        """The views, on every rank.

        Raises:
            ValueError: the tokenizer has no mask token, or is not a fast one.
        """
        from accelerate.utils import gather_object

        from hf_robust.attacks.engine.tokens import check_mask_token

        check_mask_token(victim.tokenizer)
        victim.check_saliency("masking by gradient")
        chosen = self.sample(examples)
        mine = balanced_shares(chosen, place.ranks)[place.rank]
        with victim.measuring():
            rows = _journalled(self, victim, mine, place)
        found = {row.idx: row for row in sorted(Masked(*one) for one in gather_object([list(row) for row in rows]))}
        made = Made(
            (one.idx, View(Text(one.texts), True, tuple(row.changed), masked=tuple(row.masked)))
            for one in chosen
            if (row := found[one.idx]).masked
        )
        made.attempts = len(chosen)
        made.notes = _notes([row for row in found.values() if row.masked], chosen)
        if place.rank == 0 and made:
            logger.info("Masking lowers the label's probability by %.3f on average.", made.notes["confidence_drop"])
        return made

    def sample(self, examples: Sequence[Example]) -> list[Example]:
        """At most ``per_class`` examples of each class, in their order."""
        kept: set[int] = set()
        for label in sorted({one.label for one in examples}):
            own = [one.idx for one in examples if one.label == label]
            kept.update(random.Random(f"masked:{self.seed}:{label}").sample(own, min(self.per_class, len(own))))
        return [one for one in examples if one.idx in kept]

    def positions(self, salience: GradientNorms, text: Text, tokenizer: Any) -> list[int]:
        """Which tokens of a text are masked, ascending."""
        places, last = salience.aligned.positions, len(text.columns) - 1
        real = maskable(salience.aligned, text, tokenizer, self.protection)
        if self.unit == "word":
            words = {i: places[i] for i, word in enumerate(text.words) if word.column == last and real & {*places[i]}}
            ranked = sorted(words, key=lambda word: (-salience.words[word], word))
            return sorted({at for word in ranked[: self.topk] for at in words[word] if at in real})
        return sorted(sorted(real, key=lambda at: (-salience.tokens[at], at))[: self.topk])

    def mask(self, victim: Victim, examples: Sequence[Example]) -> list[Masked]:
        """Mask some examples: one forward and one backward for each, and two forwards for the probabilities."""
        texts = [Text(one.texts) for one in examples]
        saliences = victim.gradient_norms(texts, [one.label for one in examples], loss="odds")
        chosen = [self.positions(*pair, victim.tokenizer) for pair in zip(saliences, texts, strict=True)]
        plain = [salience.aligned.encoded for salience in saliences]
        mask_id = victim.tokenizer.mask_token_id
        hidden = [replaced(one, places, mask_id) for one, places in zip(plain, chosen, strict=True)]
        before, after = (victim.score_tokens(sequences).probabilities for sequences in (plain, hidden))
        return [
            Masked(
                one.idx,
                places,
                [word for word, own in enumerate(salience.aligned.positions) if {*own} & {*places}],
                round(float(first[one.label]), 6),
                round(float(second[one.label]), 6),
                bool(first.argmax() == one.label),
                bool(second.argmax() == one.label),
            )
            for one, places, salience, first, second in zip(examples, chosen, saliences, before, after, strict=True)
        ]


def maskable(aligned: Aligned, text: Text, tokenizer: Any, protection: Protection | None = None) -> set[int]:
    """Places of the tokens that may be masked: those of the last column that the model reads, signs of punctuation
    included; no special token, and nothing that is protected."""
    last = len(text.columns) - 1
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}  # an unknown word is a word
    ids = aligned.encoded.ids
    real = {at for at, column in enumerate(aligned.columns) if column == last and int(ids[at]) not in special}
    if protection:
        # By characters: the signs between a span's words are tokens too.
        for start, end in protection.spans(text.columns[last]):
            real -= {at for at in real if aligned.offsets[at][0] < end and start < aligned.offsets[at][1]}
    return real


def replaced(encoded: Encoded, positions: Sequence[int], mask_id: int) -> Encoded:
    """The tokens with the mask token at some places."""
    ids = encoded.ids.copy()
    ids[list(positions)] = mask_id
    return encoded._replace(ids=ids)


def _notes(rows: Sequence[Masked], chosen: Sequence[Example]) -> dict[str, Any]:
    if not rows:
        return {}
    classes = Counter(one.label for one in chosen)
    return {
        "confidence_drop": round(float(np.mean([row.before - row.after for row in rows])), 6),
        "accuracy_before": round(float(np.mean([row.right_before for row in rows])), 6),
        "accuracy_masked": round(float(np.mean([row.right_after for row in rows])), 6),
        "per_class": [classes[label] for label in range(max(classes) + 1)],
    }


def _journalled(maker: MaskedViews, victim: Victim, mine: Sequence[Example], place: Workplace) -> list[Masked]:
    """This rank's rows: those of an earlier start are read, the others made in chunks and added to its own file."""
    place.journals.mkdir(parents=True, exist_ok=True)
    wanted = {one.idx for one in mine}
    files = sorted(place.journals.glob("masked-*.jsonl"))
    lines = [line for file in files for line in read_json_lines(file, warn=False)]
    done = {row.idx: row for line in lines if (row := Masked(**line)).idx in wanted}
    open_rows = [one for one in mine if one.idx not in done]
    # A file of its own for every start: a line that was cut off stays the last one of its file.
    own = place.journals / f"masked-{place.rank}-of-{place.ranks}-{_unused(place.journals, place)}.jsonl"
    with tqdm(total=len(mine), initial=len(done), desc="masking", disable=not place.progress, leave=False) as bar:
        for start in range(0, len(open_rows), CHUNK):
            rows = maker.mask(victim, open_rows[start : start + CHUNK])
            with own.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row._asdict()) + "\n" for row in rows)
            done.update({row.idx: row for row in rows})
            bar.update(len(rows))
    return list(done.values())


def _unused(folder: Path, place: Workplace) -> int:
    return sum(1 for _ in folder.glob(f"masked-{place.rank}-of-{place.ranks}-*.jsonl"))
