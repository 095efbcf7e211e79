"""Flags of certification during training."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from hf_robust.certify.rules import INTERVALS, CertifySettings

_DEFAULT = CertifySettings()


@dataclass
class CertifyArguments:
    """Certification of the vote over random substitutions by ``--lexicon``, or of the network itself."""

    certify: Literal["no", "epoch", "end"] = field(
        default="no",
        metadata={
            "help": "When to certify against swaps by --lexicon (by a vote over random substitutions, SAFER, or by "
            "--certify_rule intervals): at the end of every epoch, at the end of training, or not at all."
        },
    )
    certify_votes: int = field(
        default=_DEFAULT.votes, metadata={"help": "Number of random substitutions of each text."}
    )
    certify_alpha: float = field(
        default=_DEFAULT.alpha, metadata={"help": "Maximum probability that one text's certificate is wrong."}
    )
    certify_rule: Literal["half", "margin", "intervals"] = field(
        default="half",
        metadata={
            "help": "Condition of a certificate. half: the label keeps half of all votes; margin: it keeps more "
            "votes than any other class (for many classes); intervals: no vote, but interval bounds of the network "
            "itself, an LSTM or a CNN."
        },
    )
    certify_num_examples: int = field(
        default=200, metadata={"help": "Number of examples to certify; 0 or fewer: all."}
    )
    certify_seed: int = field(default=0, metadata={"help": "Seed of the certified examples and of the votes."})

    def __post_init__(self) -> None:
        if self.certify == "no":
            passed = [f"--{option.name}" for option in fields(self) if getattr(self, option.name) != option.default]
            if passed:
                verb = "has" if len(passed) == 1 else "have"
                raise ValueError(
                    f"{', '.join(passed)} {verb} no effect without --certify; add --certify end or epoch, or leave "
                    f"{'it' if len(passed) == 1 else 'them'} out."
                )
        self.settings()

    @property
    def by_intervals(self) -> bool:
        """Whether the network itself is certified, without a vote."""
        return self.certify != "no" and self.certify_rule == INTERVALS

    @property
    def draws_votes(self) -> bool:
        """Whether a vote is certified."""
        return self.certify != "no" and not self.by_intervals

    def settings(self) -> CertifySettings:
        """The ``CertifySettings`` of these flags.

        Raises:
            ValueError: a value is out of range, or not even a unanimous vote could be certified.
        """
        try:
            return CertifySettings(self.certify_votes, self.certify_alpha, rule=self.certify_rule)
        except ValueError as error:
            raise ValueError(f"--certify {self.certify}: {error}") from error
