"""The vote over random substitutions as the classifier under attack (SAFER at test time)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hf_robust.attacks.engine.batches import Encoded
from hf_robust.attacks.engine.requests import Columns, Floats, Scores
from hf_robust.attacks.engine.victim import Victim
from hf_robust.words import Text

DRAWS = 65_536
"""Drawn texts that are held at once, so that a request of many texts and many votes fits into memory."""


class Sampler(Protocol):
    """Where a vote draws from; ``hf_robust.certify.Smoothing`` is one."""

    def draws(self, text: Text, votes: int) -> Counter[Columns]:
        """How often each text is drawn for this one, which nothing else decides but the sampler's seed."""
        ...

    def varies(self, text: Text) -> bool: ...

    def describe(self) -> dict[str, Any]: ...

    def fingerprint(self) -> list[Any]: ...


@dataclass(frozen=True)
class Vote:
    """``votes`` random substitutions of each text by ``sampler``.

    Raises:
        ValueError: there are fewer than one.
    """

    sampler: Sampler
    votes: int

    def __post_init__(self) -> None:
        if self.votes < 1:
            raise ValueError(f"a vote needs at least 1 random substitution of each text, got {self.votes}.")

    def require_substitutes(self, texts: Sequence[Columns]) -> None:
        """Check that the vote is not the plain prediction, asked ``votes`` times.

        Raises:
            ValueError: no word of any text has a substitute.
        """
        if texts and not any(self.sampler.varies(Text(columns)) for columns in texts):
            source = self.sampler.describe()["lexicon"]["source"]
            raise ValueError(
                f"the lexicon {source} has no word of the {len(texts)} texts, so that every one of the {self.votes} "
                "votes is the plain prediction; give a --lexicon that covers them, or leave --attack_votes out."
            )

    def describe(self) -> dict[str, Any]:
        """What the run card says about it; JSON-ready."""
        return {"votes": self.votes, **self.sampler.describe()}

    def fingerprint(self) -> str:
        """What decides the draws, for the name of a journal."""
        return json.dumps([self.votes, *self.sampler.fingerprint()])


class VotingVictim(Victim):
    r"""A classifier whose score for a class is the share of N hard votes that it got.

    Ye, Gong and Liu 2020, arXiv:2005.14424, Section 3: :math:`s_c(X) = \frac1N\sum_n 1[f(\tilde X_n) = c]`, each
    :math:`\tilde X_n` a random substitution of X. Draws depend on the sampler's seed and the text alone, so the same
    text has the same scores in every request, batch and order, and an attacker gains nothing by asking twice. Every
    distinct draw of a request is forwarded once (of those held at once). Of classes with equally many votes the one
    with the lowest id is predicted; with an odd number of votes two classes never tie.

    Differs from the paper, which certifies the vote and does not attack it: N is then thousands. Few votes are another
    draw of the classifier, not the one of a certificate, and their shares move in steps of 1/N: an attack that climbs
    by scores climbs less well on them, so its rate is a weaker lower bound than on the plain network.

    One vote is one query of the attack: ``queries`` counts texts asked, ``forwarded`` the up to N times as many draws
    behind them. A text with the word ``[UNK]`` in it (ranking by unknown words) is a text like any other. Gradients by
    word are refused, since a count of votes has none, and so are token sequences, which have no words.

    Args:
        vote: how many draws, and from where. The others are those of ``Victim``.
    """

    def __init__(self, *given: Any, vote: Vote, **options: Any) -> None:
        super().__init__(*given, **options)
        self.vote = vote

    @property
    def transform(self) -> str:
        """The vote is part of what predicts: its number, seed and table."""
        return f"vote {self.vote.fingerprint()}"

    def score(self, texts: Sequence[Columns]) -> Scores:
        """Shares of the votes, and a key of each text: texts of equal tokens may be drawn from differently.

        Raises:
            ValueError: as in ``Victim``.
        """
        self.queries += len(texts)
        block = max(1, DRAWS // self.vote.votes)
        parts = [self._shares(texts[start : start + block]) for start in range(0, len(texts), block)]
        shares = np.concatenate(parts) if parts else self._score_texts([]).probabilities
        return Scores(shares, [_key(columns) for columns in texts])

    def score_tokens(self, sequences: Sequence[Encoded]) -> Scores:
        """Refused.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"a vote of {self.vote.votes} needs texts to substitute words in, got {len(sequences)} token sequences; "
            "leave --attack_votes out."
        )

    def check_saliency(self, doing: str = "ranking words by gradient") -> None:
        """Refused, as everything that asks for a gradient.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{doing} needs a gradient, and shares of {self.vote.votes} votes have none; leave --attack_votes out, or "
            "take attacks that ask for scores alone (--attack_ranking random replaces a ranking by gradient)."
        )

    def _shares(self, texts: Sequence[Columns]) -> Floats:
        """Class shares [n, K] in float32."""
        ballots = [self.vote.sampler.draws(Text(columns), self.vote.votes) for columns in texts]
        asked = list(dict.fromkeys(columns for drawn in ballots for columns in drawn))
        probabilities = self._score_texts(asked).probabilities
        chosen = dict(zip(asked, probabilities.argmax(-1).tolist(), strict=True))
        counts = np.zeros((len(texts), probabilities.shape[1]), dtype=np.float32)
        for row, drawn in enumerate(ballots):
            for columns, times in drawn.items():
                counts[row, chosen[columns]] += times
        return counts / np.float32(self.vote.votes)


def _key(columns: Columns) -> bytes:
    return hashlib.blake2b(json.dumps(columns).encode(), digest_size=16).digest()
