"""The flags of the certificates that are measured while a model trains."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from hf_robust.certify.rules import CertifySettings

_DEFAULT = CertifySettings()


@dataclass
class CertifyArguments:
    """Whether and how the vote over random substitutions by ``--lexicon`` is certified."""

    certify: Literal["no", "epoch", "end"] = field(
        default="no",
        metadata={
            "help": "When to certify the vote over random substitutions by --lexicon (SAFER): at the end of every "
            "epoch, at the end of training, or not at all."
        },
    )
    certify_votes: int = field(
        default=_DEFAULT.votes, metadata={"help": "Number of random substitutions of each text."}
    )
    certify_alpha: float = field(
        default=_DEFAULT.alpha, metadata={"help": "Maximum probability that one text's certificate is wrong."}
    )
    certify_rule: Literal["half", "margin"] = field(
        default="half",
        metadata={
            "help": "Condition of a certificate. half: the label keeps half of all votes; margin: it keeps more "
            "votes than any other class (for many classes)."
        },
    )
    certify_num_examples: int = field(
        default=200, metadata={"help": "Number of examples to certify; 0 or fewer: all."}
    )
    certify_seed: int = field(default=0, metadata={"help": "Seed of the certified examples and of the votes."})

    def __post_init__(self) -> None:
        if self.certify == "no":
            given = [f"--{one.name}" for one in fields(self) if getattr(self, one.name) != one.default]
            if given:
                verb = "says" if len(given) == 1 else "say"
                raise ValueError(
                    f"{', '.join(given)} {verb} how to certify, and nothing is certified; add --certify end or epoch, "
                    f"or leave out what is named."
                )
        self.settings()

    def settings(self) -> CertifySettings:
        """How votes are counted.

        Raises:
            ValueError: a value is out of range, or no vote could be certified with them.
        """
        try:
            return CertifySettings(self.certify_votes, self.certify_alpha, rule=self.certify_rule)
        except ValueError as error:
            raise ValueError(f"--certify {self.certify}: {error}") from error
