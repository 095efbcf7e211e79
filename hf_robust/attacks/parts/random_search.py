"""Random search, the control of an attack: texts drawn blindly, for as many queries as the attack took."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.engine.trial import Trial
from hf_robust.attacks.parts.bad_characters import BadCharacters

STRIDE = 16
"""Number of texts that are drawn before their answers are read."""


@dataclass(frozen=True)
class RandomSearch:
    """Draws texts by the candidates and constraints of an attack, blind to scores, for its number of queries.

    A walk begins at the clean text. Each step takes a random open word that has an admissible candidate, and one of
    its candidates, all equally likely; so ever more words change. Where no step is possible, the next walk begins.
    Perturbed characters (``BadCharacters``) are uniform vectors instead. The first text that reaches the goal is
    taken. Texts are asked ``STRIDE`` at a time, so a success may count up to 15 queries that a search one by one would
    save; no example takes more than its allowance.

    Attributes:
        of: the attack's name in the results.
        allowance: number of queries by ``idx``, the clean text included. Empty before the attack has run; a trial on
            one text then takes ``STRIDE``.
    """

    of: str
    allowance: Mapping[int, int] = field(default_factory=dict)

    @property
    def __name__(self) -> str:
        """Names the attack and, once it has run, a hash of its queries, which are part of journal keys."""
        content = json.dumps(sorted(self.allowance.items())).encode()
        numbers = f" ({hashlib.blake2b(content, digest_size=8).hexdigest()})" if self.allowance else ""
        return f"random, as many queries as {self.of}{numbers}"

    def __call__(self, trial: Trial) -> Steps[str]:
        allowed = self.allowance[trial.example.idx] if self.allowance else STRIDE
        start, draft = trial.score, trial.clean
        next_text = _drawn_vector if isinstance(trial.attack.candidates, BadCharacters) else _one_more_word
        while (left := allowed - trial.queries) > 0:
            if trial.limit_reached:
                return trial.limit_reached
            drawn: list[Draft] = []
            while len(drawn) < min(STRIDE, left):
                following = yield from next_text(trial, draft)
                if following is not None:
                    drawn.append(following)
                elif draft is trial.clean:
                    break
                draft = following or trial.clean
            if not drawn:
                return "exhausted"
            if not trial.attack.candidates.planned:
                trial.num_candidates += len(drawn)
            scored = yield from trial.ask([one.text for one in drawn])
            trial.record_decision(scored)
            won = np.flatnonzero(scored.reached & (scored.scores > start))
            best = int(won[0]) if len(won) else scored.best()
            if len(won) or scored.scores[best] > trial.score:
                trial.take(drawn[best], scored.row(best))
            if len(won):
                return "success"
        return "exhausted"


def _one_more_word(trial: Trial, draft: Draft) -> Steps[Draft | None]:
    """A random admissible text one word away from ``draft``; None if there is none."""
    attack, rng = trial.attack, trial.rng.numpy
    if attack.max_changed is not None and len(draft.modified) >= attack.max_changed:
        return None
    for index in rng.permutation(sorted(attack.open_words(draft))).tolist():
        drafts = yield from trial.proposals(draft, [index])
        order = rng.permutation(len(drafts))
        begun, count = 0, 1
        # Whole texts are checked few at a time, since an encoder or a language model may read each of them.
        while begun < len(order):
            some = [drafts[place] for place in order[begun : begun + count]]
            admitted = yield from trial.admissible(draft, some)
            if admitted:
                return admitted[0]
            begun, count = begun + count, 2 * count
    return None


def _drawn_vector(trial: Trial, draft: Draft) -> Steps[Draft | None]:
    """The text of a uniform vector, as those with which differential evolution begins; None if none is admissible."""
    source, attack = trial.attack.candidates, trial.attack
    assert isinstance(source, BadCharacters)
    space = source.space(trial.text, attack.open_words(trial.clean), attack.frozen_columns)
    if space is None:
        return None
    low, high = np.array(space.bounds, dtype=np.float64).T
    for _ in range(STRIDE):
        columns = space.write(low + trial.rng.numpy.uniform(size=len(low)) * (high - low))
        drafts = [] if columns == trial.text.columns else [trial.clean.become(columns)]
        admitted = yield from trial.admissible(trial.clean, drafts)
        if admitted:
            return admitted[0]
    return None
