"""A trainer whose evaluations are certified and attacked, for tests in one and in two processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from test_attack_callback import attacks, examples
from tiny import build_trainer, review_data, table

from hf_robust.attacks import Vote
from hf_robust.callbacks import AttackCallback, CertifyCallback
from hf_robust.certify import CertifySettings, Smoothing

ROWS = 12
# Sets that are closed, so that a swap changes no draw, and one that is not: some certificates hold and some do not.
SETS = (["good", "fine", "great"], ["bad", "awful", "poor"], ["film", "movie"], ["plot", "story"])
LEXICON = table(
    {**{word: [one for one in words if one != word] for words in SETS for word in words}, "warm": ["tender"]},
    "synonym",
)


def trainer_of(folder: Path, **options: Any) -> Any:
    """Two epochs of two steps on the review rows, nothing attached."""
    settings = {"max_steps": -1, "num_train_epochs": 2, "learning_rate": 0.05, **options}
    return build_trainer("normal", folder, eval_data=review_data(ROWS, seed=5), **settings)


def attach_attacks(trainer: Any, votes: int = 0, **options: Any) -> AttackCallback:
    vote = Vote(Smoothing(LEXICON), votes) if votes else None
    given = {"max_length": 32, "vote": vote, "rows": examples() if votes else (), **options}
    return AttackCallback(attacks("synonym"), examples(), **given).attach(trainer)


def attach_certificates(trainer: Any, votes: int = 30, **options: Any) -> CertifyCallback:
    given = {"strategy": "epoch", "max_length": 32, **options}
    return CertifyCallback(Smoothing(LEXICON), CertifySettings(votes=votes), examples(), **given).attach(trainer)
