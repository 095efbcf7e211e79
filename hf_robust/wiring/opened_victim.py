"""``OpenedVictim``: a victim that is ready to be attacked, and what tells it from others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.attacks import Example, Victim, Vote, VotingVictim
from hf_robust.attacks.attack import Attack, AttackOrForeign
from hf_robust.attacks.engine.black_box import BlackBox
from hf_robust.attacks.engine.journal import Journal, prediction_of
from hf_robust.attacks.engine.requests import Columns
from hf_robust.attacks.recipes import BY_LABEL
from hf_robust.models.architecture import precision
from hf_robust.models.bf16 import bf16_autocast
from hf_robust.models.weights import weights_hash
from hf_robust.runs import Ranks, RunCard
from hf_robust.wiring.restored import RestoredInference

if TYPE_CHECKING:
    from hf_robust.attacks.engine.outputs import Outputs

COMPARED = 8
SAME_SCORE = 0.01
"""A resumed function must score COMPARED finished texts as before, up to this difference of a probability."""


@dataclass
class FunctionSettings:
    """How a function of texts is called; None for the default of ``BlackBox``."""

    batch_size: int | None = None
    retries: int | None = None
    rate: float | None = None
    outputs: Outputs | None = None

    def passed(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass
class OpenedVictim:
    """A victim that is ready to be attacked.

    Attributes:
        name: its name in results, errors and journals.
        config: configuration of a model; for a function of texts it is made by `config_for`.
        max_length: number of tokens at which texts are cut; None for a function of texts, which gets whole texts.
        black_box: the function of texts; None for a model.
        class_names: the function's own names of the classes, by id; empty if it has none.
        bf16: whether the model runs in bfloat16 autocast.
    """

    name: str
    model: Any = None
    tokenizer: Any = None
    config: Any = None
    max_length: int | None = None
    restored: RestoredInference = field(default_factory=RestoredInference)
    black_box: BlackBox | None = None
    class_names: tuple[str, ...] = ()
    bf16: bool = False

    def in_bf16(self, wanted: bool) -> OpenedVictim:
        """The victim, which runs in bfloat16 autocast if ``wanted`` (``--bf16``).

        Raises:
            ValueError: it is a function of texts.
        """
        if wanted and self.black_box is not None:
            raise ValueError(f"--bf16 needs a model and its tokenizer, and {self.name} is a function of texts.")
        return replace(self, bf16=wanted)

    def config_for(
        self,
        class_names: Sequence[str] | None,
        first: Callable[[], list[Columns]] | None,
        data_names: Callable[[], Sequence[str]] | None = None,
    ) -> Any:
        """Return the configuration that has the classes of the victim.

        Without names a function of texts is asked for some texts, whose scores tell the number of classes. If it
        returns labels alone, its classes are those of the data.

        Args:
            class_names: ``--class_names``.
            first: returns texts of the data; None if there is no data.
            data_names: returns the names of the data's labels.

        Raises:
            ValueError: the number of classes is unknown, or the function does not return scores.
        """
        if self.black_box is None:
            return self.config
        from transformers import PretrainedConfig

        names, box = list(self.class_names), self.black_box
        box.class_names, box.find_classes = tuple(names or class_names or ()), data_names
        if not names and not class_names:
            if first is None:
                raise ValueError(f"without --data the classes of {self.name} are unknown: give --class_names.")
            box.score(first()[:COMPARED])
            names = list(box.class_names)
        if not names:
            count = self.black_box.num_classes or len(class_names or ())
            names = [f"LABEL_{index}" for index in range(count)]
        self.black_box.num_classes = len(names)
        return PretrainedConfig(id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})

    def victim(self, max_length: int | None, token_budget: int | None, vote: Vote | None) -> Victim | BlackBox:
        """The victim as the engine needs it.

        Raises:
            ValueError: a function of texts cannot vote, and has no budget of tokens.
        """
        if self.black_box is None:
            options: dict[str, Any] = {"max_length": max_length, "token_budget": token_budget}
            options["inference"] = self.restored.inference
            if self.bf16:
                options["autocast"] = bf16_autocast(next(self.model.parameters()).device)
            plain = (self.model, self.tokenizer)
            return Victim(*plain, **options) if vote is None else VotingVictim(*plain, vote=vote, **options)
        if vote is not None:
            raise ValueError(
                f"--attack_votes needs a model and its tokenizer, and {self.name} is a function of texts."
            )
        if token_budget is not None:
            raise ValueError(
                f"--attack_token_budget needs a tokenizer, and {self.name} is a function of texts: give "
                "--victim_batch_size."
            )
        return self.black_box

    def card(self, ranks: Ranks) -> RunCard:
        """Entries for the run card; what a function of texts was asked is counted over all ranks."""
        if self.black_box is None:
            autocast = {"autocast": "bfloat16"} if self.bf16 else {}
            return {"precision": {**precision(self.model), **autocast}, **self.restored.card}
        described = ranks.gather(self.black_box.describe())
        totals = {name: sum(each[name] for each in described) for name in ("asked", "retried")}
        return {"victim": described[0] | totals}


def identity_of(victim: Victim | BlackBox) -> tuple[str, str]:
    """What tells a victim from others in journal keys: weights and way to predict, or a function's name.

    Whether a function of this name is still the same classifier is told by its answers: `require_same_answers`.
    """
    if isinstance(victim, BlackBox):
        return f"function {victim.name}", ""
    return weights_hash(victim.model), prediction_of(victim)


def require_scores(attacks: Mapping[str, AttackOrForeign], victim: BlackBox) -> None:
    """Raise if an attack needs scores and the function returns labels alone.

    Raises:
        ValueError: names the attacks that do not run, and those that do.
    """
    refused = [name for name, attack in attacks.items() if isinstance(attack, Attack) and attack.needs_scores]
    if victim.labels_only and refused:
        raise ValueError(
            f"{victim.name} returns labels alone, and {' and '.join(refused)} need{'s' * (len(refused) == 1)} scores: "
            f"use the attacks that need labels alone ({', '.join(BY_LABEL)}, file:PATH, --replay), or return "
            "probabilities or logits (predict_proba or decision_function instead of predict)."
        )


def require_repeatable(victim: BlackBox, examples: Sequence[Example]) -> None:
    """Raise if a function scores a text differently when it is asked twice, as a model with dropout does.

    Raises:
        ValueError: the probabilities of a text differ by more than SAME_SCORE.
    """
    texts = [example.texts for example in examples[:COMPARED]]
    first, second = (victim.score(texts).probabilities for _ in range(2))
    if len(texts) and abs(first - second).max() > SAME_SCORE:
        moved = "" if victim.labels_only else f" (a probability moved by {abs(first - second).max():.3f})"
        raise ValueError(
            f"{victim.name} gives other {'labels' if victim.labels_only else 'scores'} when it is asked for the same "
            f"texts again{moved}, so no search can follow them: put its model in eval mode."
        )


def require_same_answers(victim: BlackBox, journal: Path, examples: Sequence[Example]) -> None:
    """Raise if a function scores texts of its journal otherwise than when they were attacked.

    Raises:
        ValueError: another classifier has the same name, or the endpoint changed.
    """
    records = nsmallest(COMPARED, Journal(journal).finished(examples), key=lambda record: record.idx)
    if not records:
        return
    scores = victim.score([tuple(record.original) for record in records]).probabilities
    for record, row in zip(records, scores, strict=True):
        if abs(float(row[record.label]) - record.original_score) > SAME_SCORE:
            raise ValueError(
                f"{victim.name} gives example {record.idx} the probability {row[record.label]:.3f}, and in the "
                f"results in {journal.parent} it has {record.original_score:.3f}: they are of another classifier, or "
                "its answers change; give another output_dir."
            )
