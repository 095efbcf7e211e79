"""Results of models on a challenge set, as numbers and as the printed table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hf_robust.cli.output import model_names
from hf_robust.metrics import Mean, mean_interval
from hf_robust.reports import markdown_table, percent
from hf_robust.runs import portable_path
from hf_robust.views import ChallengeText
from hf_robust.wiring.measured_checkpoint import Outputs


class ChallengeScores(NamedTuple):
    """Outputs of one model on the unchanged texts and on the challenge set."""

    source: str
    mask_token: str
    plain: Outputs
    masked: Outputs
    mark: str
    remarks: str
    described: dict[str, Any]

    @property
    def difference(self) -> Mean:
        """Accuracy on the challenge set minus accuracy on the unchanged texts, over the same rows."""
        return mean_interval((self.masked.correct - self.plain.correct).tolist())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield for each text its label, and the prediction and loss before and after masking."""
        keys = ("label", "prediction", "challenge_prediction", "loss", "challenge_loss")
        values = (
            self.plain.labels.tolist(), self.plain.predictions, self.masked.predictions, self.plain.losses.tolist(),
            self.masked.losses.tolist(),
        )  # fmt: skip
        model = portable_path(self.source)
        return ({"model": model, **dict(zip(keys, row, strict=True))} for row in zip(*values, strict=True))

    def to_json(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {"model": portable_path(self.source), "mask_token": self.mask_token}
        numbers["num_examples"] = len(self.plain.labels)
        for key, mean in (
            ("accuracy", self.plain.accuracy), ("challenge_accuracy", self.masked.accuracy),
            ("difference", self.difference), ("loss", self.plain.loss), ("challenge_loss", self.masked.loss),
        ):  # fmt: skip
            numbers |= {key: mean.value, f"{key}_low": mean.low, f"{key}_high": mean.high}
        return {**numbers, "right_on_both": int((self.plain.correct * self.masked.correct).sum()), **self.described}


def challenge_text(
    mask: str, challenged: Sequence[ChallengeText], scores: Sequence[ChallengeScores], exact: Outputs | None
) -> str:
    """Format a table with a row for each model, and notes that explain the numbers."""
    names = model_names([model.source for model in scores])
    header = [
        "model",
        "texts",
        "accuracy, %",
        "accuracy on the set, %",
        "difference, points",
        "loss",
        "loss on the set",
    ]
    rows = [_cells(name, model) for name, model in zip(names, scores, strict=True)]
    which = "the token with the largest gradient of its loss" if mask == "gradient" else "one random token"
    notes = [
        f"The challenge set was made with {names[0]}: in each of the {len(challenged):,} texts {which} is masked, "
        f"also "
        "in texts that the model classified wrongly. Labels are kept, though a text may mean something else without "
        "the token. In brackets: 95 % intervals; for the difference, over pairs of the same text.",
        _note_on_robust_accuracy(scores[0], len(challenged)),
    ]
    if unmasked := sum(text.place is None for text in challenged):
        notes.append(f"Unchanged texts, whose last column has no token to mask: {unmasked:,}.")
    if exact is not None:
        different = sum(not text.alike for text in challenged)
        notes.append(
            f"{different:,} of the masked texts are tokenised differently when written as text, because a word piece "
            f"after the mask token is read as a word. On the masked tokens themselves {names[0]} reaches "
            f"{100 * exact.accuracy.value:.1f} % (loss {exact.loss.value:.4f})."
        )
    notes += [
        f"{name} was shown its own mask token, {model.mask_token}, instead of {scores[0].mask_token}."
        for name, model in zip(names, scores, strict=True)
        if model.mask_token != scores[0].mask_token
    ]
    remarks = "".join(f"Warning: {line}\n\n" for model in scores for line in model.remarks.splitlines())
    return f"{remarks}{markdown_table(header, rows)}\n" + "\n".join(filter(None, notes)) + "\n"


def _cells(name: str, model: ChallengeScores) -> list[str]:
    plain, masked, change = model.plain.accuracy, model.masked.accuracy, model.difference
    losses = [f"{loss.value:.4f} [{loss.low:.4f}, {loss.high:.4f}]" for loss in (model.plain.loss, model.masked.loss)]
    return [
        name,
        f"{len(model.plain.labels):,}",
        percent(plain.value, plain[1:]) + (f" ({model.mark})" if model.mark else ""),
        percent(masked.value, masked[1:]),
        f"{100 * change.value:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]",
        *losses,
    ]


def _note_on_robust_accuracy(model: ChallengeScores, count: int) -> str:
    """Explain how accuracy on the set differs from the robust accuracy of an attack, if they differ."""
    both = int((model.plain.correct * model.masked.correct).sum())
    gained = int(model.masked.correct.sum()) - both
    if not gained:
        return ""
    return (
        f"{gained:,} texts are classified wrongly without the mask and correctly with it. An attack does not count "
        f"these: its robust accuracy would be {100 * both / count:.1f} %."
    )
