"""``VotingVictim``: a vote over random draws as the classifier under attack (SAFER and RanMASK at test time)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hf_robust.attacks.engine.batches import Encoded
from hf_robust.attacks.engine.requests import Columns, Floats, Scores, columns_key
from hf_robust.attacks.engine.victim import Victim
from hf_robust.words import Text

DRAWS = 65_536
"""Maximum number of drawn texts in memory at once, for requests of many texts and many votes."""


class Sampler(Protocol):
    """Draws random changes of a text for a vote: ``Smoothing`` and ``RandomMasking`` of ``hf_robust.certify``."""

    @property
    def source(self) -> str: ...

    def text(self, columns: Columns) -> Text: ...

    def draws(self, text: Text, votes: int) -> Counter[Columns]:
        """How often each text is drawn for ``text``; depends only on the text and the sampler's seed."""
        ...

    def varies(self, text: Text) -> bool: ...

    def describe(self) -> dict[str, Any]: ...

    def fingerprint(self) -> list[Any]: ...


@dataclass(frozen=True)
class Vote:
    """Settings of a vote: ``votes`` random substitutions of each text by ``sampler``.

    Raises:
        ValueError: ``votes`` is less than 1.
    """

    sampler: Sampler
    votes: int

    def __post_init__(self) -> None:
        if self.votes < 1:
            raise ValueError(f"a vote needs at least 1 random substitution of each text, got {self.votes}.")

    def require_substitutes(self, texts: Sequence[Columns]) -> None:
        """Raise if the sampler can change none of these texts, so that the vote would be the plain prediction.

        Raises:
            ValueError: no word of any text has a substitute.
        """
        if texts and not any(self.sampler.varies(self.sampler.text(columns)) for columns in texts):
            raise ValueError(
                f"{self.sampler.source} changes no word of the {len(texts)} texts, so that each of the {self.votes} "
                "votes is the plain prediction; give a --lexicon that covers the texts, or leave --attack_votes out."
            )

    def describe(self) -> dict[str, Any]:
        """The vote's entry in the run card; JSON-ready."""
        return {"votes": self.votes, **self.sampler.describe()}

    def fingerprint(self) -> str:
        """Everything that the draws depend on, for the name of a journal."""
        return json.dumps([self.votes, *self.sampler.fingerprint()])


class VotingVictim(Victim):
    r"""A classifier whose score for a class is its share of N hard votes.

    Ye, Gong and Liu 2020, arXiv:2005.14424, Section 3: :math:`s_c(X) = \frac1N\sum_n 1[f(\tilde X_n) = c]`, where each
    :math:`\tilde X_n` is a random draw of X: its words substituted (SAFER) or masked (RanMASK). Draws depend only on
    the sampler's seed and the text, so a text has the same scores in every request, batch and order, and an attacker
    gains nothing by repeating a query. Every distinct draw of a block of texts is forwarded once. If classes have
    equally many votes, the one with the lowest id is predicted; with an odd number of votes two classes never tie.

    Differs from the paper, which does not attack the vote but certifies it with thousands of votes. A vote with few
    draws is another classifier than the certified one. Its shares move in steps of 1/N, which makes searches by score
    less effective, so the attack's rate is a weaker lower bound than for the plain network.

    One vote is one query of the attack: ``queries`` counts scored texts, ``forwarded`` their draws, up to N for each
    text. A text with the word ``[UNK]`` (ranking by unknown words) is treated like any other text. Gradients by word
    are refused, since vote counts have none, and so are token sequences, since they have no words.

    Args:
        vote: the number of draws and their sampler. The other arguments are those of ``Victim``.
    """

    def __init__(self, *args: Any, vote: Vote, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.multi_label:
            raise ValueError("a vote needs one class for each text, not several labels: leave --attack_votes out.")
        self.vote = vote

    @property
    def transform(self) -> str:
        """The number of votes, the seed and the table of the vote, for journal keys."""
        return f"vote {self.vote.fingerprint()}"

    def readable(self, columns: Columns) -> Columns:
        """The columns: the draws of a vote depend on the whole text."""
        return columns

    def score(self, texts: Sequence[Columns]) -> Scores:
        """Vote shares, and a key of each text's columns, since texts with equal tokens can have different draws.

        Raises:
            ValueError: as in ``Victim``.
        """
        self.queries += len(texts)
        block = max(1, DRAWS // self.vote.votes)
        parts = [self._shares(texts[start : start + block]) for start in range(0, len(texts), block)]
        shares = np.concatenate(parts) if parts else self._score_texts([]).probabilities
        return Scores(shares, self.sequences(texts))

    def sequences(self, texts: Sequence[Columns]) -> list[bytes]:
        """A key of each text's columns."""
        return [columns_key(columns) for columns in texts]

    def score_tokens(self, sequences: Sequence[Encoded]) -> Scores:
        """Refused, since token sequences have no words to substitute.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"a vote of {self.vote.votes} substitutes words of texts and got {len(sequences)} token sequences; leave "
            "--attack_votes out."
        )

    def check_saliency(self, purpose: str = "ranking words by gradient") -> None:
        """Refused, since vote shares have no gradient.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{purpose} needs a gradient, and shares of {self.vote.votes} votes have none; leave --attack_votes out, "
            "or use attacks that need scores only (--attack_ranking random replaces a ranking by gradient)."
        )

    def _shares(self, texts: Sequence[Columns]) -> Floats:
        """Vote shares [n, K] in float32."""
        ballots = [self.vote.sampler.draws(self.vote.sampler.text(columns), self.vote.votes) for columns in texts]
        distinct = list(dict.fromkeys(columns for drawn in ballots for columns in drawn))
        probabilities = self._score_texts(distinct).probabilities
        chosen = dict(zip(distinct, probabilities.argmax(-1).tolist(), strict=True))
        counts = np.zeros((len(texts), probabilities.shape[1]), dtype=np.float32)
        for row, drawn in enumerate(ballots):
            for columns, times in drawn.items():
                counts[row, chosen[columns]] += times
        return counts / np.float32(self.vote.votes)
