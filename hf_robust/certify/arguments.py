"""Flags of certification during training."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from hf_robust.certify.rules import CertifySettings

_DEFAULT = CertifySettings()


@dataclass
class CertifyArguments:
    """Certification of the vote over random substitutions by ``--lexicon``."""

    certify: Literal["no", "epoch", "end"] = field(
        default="no",
        metadata={
            "help": "Certify the vote over random substitutions by --lexicon (SAFER) at the end of every epoch, at "
            "the end of training, or not at all."
        },
    )
    certify_votes: int = field(default=_DEFAULT.votes, metadata={"help": "Random substitutions of each text."})
    certify_alpha: float = field(
        default=_DEFAULT.alpha, metadata={"help": "Probability with which one text's certificate may be wrong."}
    )
    certify_bound: Literal["clopper_pearson", "hoeffding"] = field(
        default="clopper_pearson", metadata={"help": "Confidence bound of a class's share of the votes."}
    )
    certify_rule: Literal["half", "margin"] = field(
        default="half",
        metadata={
            "help": "half: the label keeps half of all votes; margin: more than any other class (for many classes)."
        },
    )
    certify_num_examples: int = field(default=200, metadata={"help": "Examples to certify; 0 or fewer: all."})
    certify_seed: int = field(default=0, metadata={"help": "Chooses the examples that are certified, and the votes."})

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

    def settings(self) -> CertifySettings:
        """The ``CertifySettings`` of these flags.

        Raises:
            ValueError: a value is out of range, or not even a unanimous vote could be certified.
        """
        try:
            return CertifySettings(self.certify_votes, self.certify_alpha, self.certify_bound, self.certify_rule)
        except ValueError as error:
            raise ValueError(f"--certify {self.certify}: {error}") from error
