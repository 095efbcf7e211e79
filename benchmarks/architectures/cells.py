"""One cell of the matrix: a method and an attack on an architecture, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any, NamedTuple

from torch import Tensor
from transformers import TrainerCallback

from benchmarks.architectures.setting import ATTACKED_AS, Setting, build_attacks, weights
from hf_robust.attacks import Attack
from hf_robust.runs import read_history
from hf_robust.trainers import METHODS

NOISE = 1e-4
"""Below this share of the way that plain training goes, a method's weights are those of plain training."""
OK, REFUSED = "ok", "refused"
DEFECTS = PLAIN, STRONG, LATE, ERROR, SILENT = "plain", "strong", "late", "error", "silent"


class Outcome(NamedTuple):
    """How a cell ended: ``ok``, ``refused`` in a sentence before training, or a defect.

    Defects: ``plain`` has the weights of plain training, ``strong`` has other ones at zero strength, ``late`` failed
    when training had begun, ``error`` failed before it without a sentence, ``silent`` left the attack out.
    """

    word: str
    sentence: str = ""


class Begun(TrainerCallback):
    """Knows whether training has begun: whether time was spent that an error loses."""

    def __init__(self) -> None:
        self.yes = False

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        self.yes = True


@dataclass
class Architecture:
    """The cells of one architecture."""

    setting: Setting

    def __post_init__(self) -> None:
        self.start = weights(self.setting.model())
        self.plain: dict[str, Tensor] | None = None

    def cells(self, method: str) -> dict[str, Outcome]:
        """How the method ended with each kind of attack."""
        attacks = build_attacks()
        outcome = self.run(method, attacks)
        if outcome.word == OK or not attacks:
            return dict.fromkeys(ATTACKED_AS, outcome)
        alone = self.run(method, {})
        if alone.word != OK:  # the attacks are not the reason
            return dict.fromkeys(ATTACKED_AS, alone)
        return {kind: self.run(method, {kind: attack}) for kind, attack in attacks.items()}

    def at_zero_strength(self, method: str) -> Outcome:
        """Whether the method is plain training at zero strength; ``ok`` for a method without such a setting."""
        options = METHODS[method].zero_strength
        if not options:
            return Outcome(OK)
        outcome = self.run(method, {}, **options)
        if outcome.word == OK:
            return Outcome(STRONG, f"weights differ from plain training by {outcome.sentence} of its way")
        return Outcome(OK) if outcome.word == PLAIN else outcome

    def run(self, method: str, attacks: Mapping[str, Attack], **options: Any) -> Outcome:
        """Train with the method, attack at the end, and compare with plain training."""
        begun = Begun()
        try:
            trainer = self.setting.trainer(method, dict(attacks), **options)
            trainer.callback_handler.callbacks.insert(0, begun)
            with redirect_stdout(StringIO()):
                trainer.train()
        except Exception as error:
            sentence = " ".join(f"{error}".split())
            if begun.yes:
                return Outcome(LATE, f"{type(error).__name__}: {sentence}")
            plain_words = isinstance(error, ValueError) and "\n" not in str(error)
            return Outcome(REFUSED, sentence) if plain_words else Outcome(ERROR, f"{type(error).__name__}: {sentence}")
        if attacks:
            (line,) = read_history(f"{trainer.args.output_dir}/robustness_history.jsonl")
            if set(line["attacks"]) != set(attacks):
                return Outcome(SILENT, "an attack has no result")
        return self._compared(method, weights(trainer.model))

    def _compared(self, method: str, trained: dict[str, Tensor]) -> Outcome:
        if method == "normal":
            self.plain = trained
        if self.plain is None:
            self.run("normal", {})
        assert self.plain is not None
        way, apart = (farthest(self.plain, other) for other in (self.start, trained))
        if way == 0:
            return Outcome(PLAIN, "plain training changed nothing")
        if method != "normal" and apart <= NOISE * way:
            return Outcome(PLAIN, f"weights differ from plain training by {apart / way:.0e} of its way")
        return Outcome(OK, f"{apart / way:.1g}")


def farthest(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Maximum difference of the weights that both have; infinity if they share none."""
    shared = [name for name in first if name in second]
    return max((float((first[name] - second[name]).abs().max()) for name in shared), default=float("inf"))
