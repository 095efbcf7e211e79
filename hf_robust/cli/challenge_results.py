"""What models make of a challenge set, as numbers and as the table that is printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hf_robust.cli.output import model_names
from hf_robust.metrics import Mean, mean_interval
from hf_robust.reports import markdown_table, percent
from hf_robust.runs import portable_path
from hf_robust.views import ChallengeText
from hf_robust.wiring.measured_checkpoint import Answers


class ChallengeScores(NamedTuple):
    """A model on the texts as they are and on the challenge set."""

    source: str
    mask_token: str
    plain: Answers
    masked: Answers
    mark: str
    remarks: str
    described: dict[str, Any]

    @property
    def fall(self) -> Mean:
        """Accuracy on the challenge set minus that on the texts as they are, over the same rows."""
        return mean_interval((self.masked.right - self.plain.right).tolist())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Of each text the label, and prediction and loss on it as it is and on the set."""
        keys = ("label", "prediction", "challenge_prediction", "loss", "challenge_loss")
        values = (
            self.plain.labels.tolist(), self.plain.predictions, self.masked.predictions, self.plain.losses.tolist(),
            self.masked.losses.tolist(),
        )  # fmt: skip
        model = portable_path(self.source)
        return ({"model": model, **dict(zip(keys, row, strict=True))} for row in zip(*values, strict=True))

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"model": portable_path(self.source), "mask_token": self.mask_token}
        found["num_examples"] = len(self.plain.labels)
        for key, mean in (
            ("accuracy", self.plain.accuracy), ("challenge_accuracy", self.masked.accuracy), ("difference", self.fall),
            ("loss", self.plain.loss), ("challenge_loss", self.masked.loss),
        ):  # fmt: skip
            found |= {key: mean.value, f"{key}_low": mean.low, f"{key}_high": mean.high}
        return {**found, "right_on_both": int((self.plain.right * self.masked.right).sum()), **self.described}


def challenge_text(
    mask: str, made: Sequence[ChallengeText], measured: Sequence[ChallengeScores], exact: Answers | None
) -> str:
    """A row for each model, and what the numbers are of."""
    names = model_names([one.source for one in measured])
    header = [
        "model",
        "texts",
        "accuracy, %",
        "accuracy on the set, %",
        "difference, points",
        "loss",
        "loss on the set",
    ]
    rows = [_cells(name, one) for name, one in zip(names, measured, strict=True)]
    which = "the token of the largest gradient of its loss" if mask == "gradient" else "one token, drawn,"
    said = [
        f"The set is that of {names[0]}: in each of the {len(made):,} texts {which} is masked, also where the model "
        "was wrong before. Labels are kept, though without such a token a text may have another. In brackets: 95 % "
        "intervals, of the difference over the same texts.",
        _about_the_attack(measured[0], len(made)),
    ]
    if unmasked := sum(one.place is None for one in made):
        said.append(f"Texts that stand as they are, for their last column has no token to mask: {unmasked:,}.")
    if exact is not None:
        otherwise = sum(not one.alike for one in made)
        said.append(
            f"Written as a text, {otherwise:,} of them have other tokens behind the mask token, since no text is "
            f"read as a mask and the second piece of a word; on the very tokens {names[0]} reaches "
            f"{100 * exact.accuracy.value:.1f} % (loss {exact.loss.value:.4f})."
        )
    said += [
        f"{name} was shown its own mask token, {one.mask_token}, in the place of {measured[0].mask_token}."
        for name, one in zip(names, measured, strict=True)
        if one.mask_token != measured[0].mask_token
    ]
    remarks = "".join(f"Warning: {line}\n\n" for one in measured for line in one.remarks.splitlines())
    return f"{remarks}{markdown_table(header, rows)}\n" + "\n".join(filter(None, said)) + "\n"


def _cells(name: str, one: ChallengeScores) -> list[str]:
    plain, masked, fall = one.plain.accuracy, one.masked.accuracy, one.fall
    losses = [f"{loss.value:.4f} [{loss.low:.4f}, {loss.high:.4f}]" for loss in (one.plain.loss, one.masked.loss)]
    return [
        name,
        f"{len(one.plain.labels):,}",
        percent(plain.value, plain[1:]) + (f" ({one.mark})" if one.mark else ""),
        percent(masked.value, masked[1:]),
        f"{100 * fall.value:+.1f} [{100 * fall.low:+.1f}, {100 * fall.high:+.1f}]",
        *losses,
    ]


def _about_the_attack(one: ChallengeScores, count: int) -> str:
    """What leaving out the rows that were wrong before would make of it."""
    both = int((one.plain.right * one.masked.right).sum())
    gained = int(one.masked.right.sum()) - both
    if not gained:
        return ""
    return (
        f"{gained:,} texts that were wrong before are right on the set. An attack leaves these out: its robust "
        f"accuracy would be {100 * both / count:.1f} %."
    )
