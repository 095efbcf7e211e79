"""Put a run's robustness into its model card: model-index, tags and a Markdown section."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard

from hf_robust.hub.section import robustness_section
from hf_robust.reports.aims import robust_accuracy_applies, success_rate_applies
from hf_robust.reports.captions import dataset_name
from hf_robust.reports.cells import (
    OBSTINACY,
    accuracy_interval,
    attack_interval,
    clean_accuracy_of,
    obstinacy_of,
    union_label,
)
from hf_robust.reports.guessing import guesses, guessing_of
from hf_robust.runs import (
    EMPTY_BASE_SENTENCE,
    FROM_SCRATCH_SENTENCE,
    UNKNOWN_METHOD,
    Run,
    drop_local_base_model,
    history_path,
    load_run,
)

TAGS = ("robustness", "adversarial-training", "hf_robust")
MEASURED_TAGS = ("robustness", "hf_robust")
"""Tags of a model that was measured and not trained."""

_BEGIN = "<!-- robustness section written by hf_robust: begin -->"
_END = "<!-- robustness section written by hf_robust: end -->"
_SECTION = re.compile(rf"\n*{re.escape(_BEGIN)}.*?{re.escape(_END)}\n*", flags=re.DOTALL)
# For each metric: key in the history, name, whether it is meaningful for an attack, and numbers to add as arguments.
_ATTACK_METRICS: dict[str, tuple[str, str, Callable[[Run, str], bool], tuple[str, ...]]] = {
    "attack_success_rate": ("asr", "Attack success rate", success_rate_applies, ("num_attacked", *OBSTINACY)),
    "robust_accuracy": ("robust_accuracy", "Accuracy under attack", robust_accuracy_applies, ("clean_accuracy",)),
}
_VOTE_METRICS = {"certified_accuracy": "Certified accuracy", "smoothed_accuracy": "Accuracy of the vote"}
_ROBUSTNESS_METRICS = {*_ATTACK_METRICS, *_VOTE_METRICS}
CONFIDENCE = 0.95
"""Confidence of the Wilson intervals in the ``args`` of a result."""


def add_robustness(output_dir: Path) -> None:
    """Add the results of ``robustness_history.jsonl`` and ``run_card.json`` to the ``README.md`` beside them.

    The card is that of ``Trainer.create_model_card`` (with PEFT's additions). Its results and tags stay; a local
    folder named as base model is removed. A second call replaces what the first one added. Without a measured epoch
    the card stays unchanged. Of a run that only measured, the section says which model it measured.

    Raises:
        ValueError: there is no README.md, or a file of the run is malformed.
    """
    output_dir = Path(output_dir)
    readme = output_dir / "README.md"
    if not readme.is_file():
        raise ValueError(f"{readme} does not exist; call trainer.create_model_card() first.")
    if not history_path(output_dir).is_file():
        return
    run = load_run(output_dir)
    card = ModelCard.load(readme)
    card.data.model_name = card.data.model_name or output_dir.resolve().name
    clean = [result for result in card.data.eval_results or [] if not _is_robustness(result)]
    card.data.eval_results = [*clean, *_eval_results(run, clean)]
    drop_local_base_model(card.data)
    card.data.tags = list(dict.fromkeys([*(card.data.tags or []), *_tags(run)]))
    card.data.pipeline_tag = card.data.pipeline_tag or "text-classification"
    text = _SECTION.sub("\n\n", card.text).replace(EMPTY_BASE_SENTENCE, FROM_SCRATCH_SENTENCE).rstrip()
    card.text = f"{text}\n\n{_BEGIN}\n{robustness_section(run)}{_END}\n"
    scratch = readme.with_name(f"_README.{os.getpid()}.md")
    card.save(scratch)
    os.replace(scratch, readme)


def _tags(run: Run) -> Iterator[str]:
    yield from TAGS if run.trained else MEASURED_TAGS
    method = run.card.get("method", UNKNOWN_METHOD)
    if method != UNKNOWN_METHOD:
        yield method


def _eval_results(run: Run, clean: list[EvalResult]) -> Iterator[EvalResult]:
    """Results of the published weights; none if these weights were not attacked.

    For a model that guesses there is only the accuracy with the share of the most frequent class, since programs that
    read the results do not see warnings. Number of examples and interval of each result are in its ``args``.
    """
    if not run.measured_exactly:
        return
    data = _dataset(run, clean)
    accuracy = float(run.published["accuracy"])
    # The accuracy of a vote is not that of the published network.
    plain = math.isfinite(accuracy) and not run.card.get("vote")
    if plain and not any(result.metric_type == "accuracy" for result in clean):
        guess = guessing_of(run)
        numbers = {"num_examples": run.eval_samples, "larger_class": guess.larger_class if guess else None}
        counted = _counted(numbers, accuracy_interval(run), "larger_class")
        yield _result(data, "accuracy", "Accuracy", accuracy, counted)
    if guesses(run):
        return
    # The name of each result says that it is not a result of the published network.
    on_a_vote = f" on a vote of {run.card['vote']['votes']:,}" if run.card.get("vote") else ""
    for attack, result in run.published["attacks"].items():
        named = _under(data, f"{attack} attack{on_a_vote}")
        numbers = {**result, **obstinacy_of(run, attack), "clean_accuracy": clean_accuracy_of(run, attack)[0]}
        for metric, (key, name, applies, arguments) in _ATTACK_METRICS.items():
            value = _number(numbers, key)
            if math.isfinite(value) and applies(run, attack):
                counted = _counted(numbers, attack_interval(result, key), *arguments)
                yield _result(named, metric, f"{name} ({attack})", value, counted)
    union = run.published.get("union")
    if union and math.isfinite(union["robust_accuracy"]):
        worst, counted = union_label(union) + on_a_vote, _counted(union, attack_interval(union, "robust_accuracy"))
        name = f"Accuracy under attack ({worst})"
        yield _result(_under(data, worst), "robust_accuracy", name, float(union["robust_accuracy"]), counted)
    yield from _vote_results(run.published.get("certified") or {}, _under(data, _certified_classifier(run)))


def _certified_classifier(run: Run) -> str:
    by_intervals = (run.card.get("certify") or {}).get("rule") == "intervals"
    return "interval bounds of swaps by a table" if by_intervals else "vote over random substitutions"


def _vote_results(certified: dict[str, Any], data: dict[str, Any]) -> Iterator[EvalResult]:
    for metric, name in _VOTE_METRICS.items():
        value = _number(certified, metric)
        of_vote = metric != "smoothed_accuracy" or certified.get("votes") != 0
        if math.isfinite(value) and of_vote:
            interval = (_number(certified, f"{metric}_low"), _number(certified, f"{metric}_high"))
            yield _result(data, metric, name, value, _counted(certified, interval, "votes", "alpha"))


def _result(data: dict[str, Any], metric: str, name: str, value: float, counted: dict[str, Any]) -> EvalResult:
    return EvalResult(
        **data, metric_type=metric, metric_name=name, metric_value=round(value, 6), metric_args=counted or None
    )


def _counted(numbers: Mapping[str, Any], interval: tuple[float, float] | None, *more: str) -> dict[str, Any]:
    """Number of examples and interval of a rate, and ``more`` of the numbers, as far as known."""
    counts = {key: _number(numbers, key) for key in ("num_examples", *filter(None, more))}
    known = {key: round(value, 6) for key, value in counts.items() if math.isfinite(value)}
    whole = {key: int(value) if value == int(value) else value for key, value in known.items()}
    if interval is None or not all(map(math.isfinite, interval)):
        return whole
    return {**whole, "low": round(interval[0], 6), "high": round(interval[1], 6), "confidence": CONFIDENCE}


def _number(numbers: Mapping[str, Any], key: str) -> float:
    value = numbers.get(key)
    return math.nan if value is None else float(value)


def _under(data: dict[str, Any], attack: str) -> dict[str, Any]:
    """The data set under attack: huggingface_hub merges results by task, data set, config and split alone."""
    name, split = data["dataset_name"], data["dataset_split"] or "evaluation"
    return {**data, "dataset_name": f"{name} ({attack})", "dataset_split": f"{split} ({attack})"}


def _dataset(run: Run, clean: list[EvalResult]) -> dict[str, Any]:
    """The data set as named in the model card, else as in the run card."""
    task = {"task_type": "text-classification", "task_name": "Text Classification"}
    split = run.data.get("attack_split")
    if clean:
        first = clean[0]
        named = {
            "dataset_type": first.dataset_type,
            "dataset_name": first.dataset_name,
            "dataset_config": first.dataset_config,
            "dataset_args": first.dataset_args,
        }
        return {**task, **named, "dataset_split": first.dataset_split or split}
    name = dataset_name(run) or "unknown"
    return {**task, "dataset_type": name, "dataset_name": name, "dataset_split": split}


def _is_robustness(result: EvalResult) -> bool:
    # An accuracy added by an earlier call is a clean result and stays.
    return result.metric_type in _ROBUSTNESS_METRICS
