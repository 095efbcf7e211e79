"""What GradMask measures of a finished run: errors on clean texts, and on texts whose most salient token is masked.

Both are on the whole evaluation set, by the models themselves. The masked texts are those of `normal` with the same
seed, the same for every model, also where it was wrong before; the paper masks so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_robust.attacks import Example
from hf_robust.metrics import error_transition, slices
from hf_robust.metrics.transition import Predicted
from hf_robust.views import challenge_set
from hf_robust.wiring.checkpoint_attack import AttackOptions
from hf_robust.wiring.measured_checkpoint import Checkpoint, Outputs

MASKED_ROWS = 3000
"""Most rows that are masked; each takes a backward pass."""


def load(folder: Path, arguments: dict[str, Any]) -> Checkpoint:
    """The model of a run with the evaluation data of its arguments."""
    options = AttackOptions("", None, class_names=arguments.get("class_names"), device="cpu")
    return Checkpoint.load(str(folder), arguments["validation_file"], options)


def predicted(examples: Sequence[Example], outputs: Outputs) -> list[Predicted]:
    """Rows with the predictions of a model."""
    return [
        Predicted(example.idx, example.label, tuple(example.texts), prediction)
        for example, prediction in zip(examples, outputs.predictions, strict=True)
    ]


def transition(baseline: Checkpoint, model: Checkpoint) -> dict[str, Any]:
    """Errors of the baseline that the model fixed, and those it introduced, on all texts and by slice."""
    rows = [(one.examples(0, 0), one) for one in (baseline, model)]
    before, after = (predicted(examples, one.outputs(examples)) for examples, one in rows)
    return {name: report.to_json() for name, report in error_transition(before, after, slices()).items()}


def challenge(baseline: Checkpoint, model: Checkpoint) -> dict[str, str]:
    """Outcomes of a model by row, 1 where it is right: on the texts, and on those that are masked for the baseline."""
    masked = challenge_set(baseline.victim, baseline.examples(MASKED_ROWS, 0))
    texts = [text.texts(model.victim.mask_token) for text in masked]
    rows = model.examples(MASKED_ROWS, 0)
    return {"clean": digits(model.outputs(rows)), "masked": digits(model.outputs(rows, texts))}


def digits(outputs: Outputs) -> str:
    """A digit for each row: 1 where the prediction is right."""
    return "".join("1" if right else "0" for right in outputs.correct)
