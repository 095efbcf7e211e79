"""Put a run's robustness into its model card: model-index, tags and a Markdown section."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard

from hf_robust.hub.section import robustness_section
from hf_robust.reports import robust_accuracy_applies, union_label
from hf_robust.reports.tables import accuracy_interval, attack_interval
from hf_robust.runs import Run, history_path, load_run

TAGS = ("robustness", "adversarial-training", "hf_robust")

_BEGIN = "<!-- robustness section written by hf_robust: begin -->"
_END = "<!-- robustness section written by hf_robust: end -->"
_SECTION = re.compile(rf"\n*{re.escape(_BEGIN)}.*?{re.escape(_END)}\n*", flags=re.DOTALL)
# What the Trainer writes of a model that was made from a configuration, and what it means.
_FROM_NOTHING = "This model is a fine-tuned version of [](https://huggingface.co/) on "
_FROM_SCRATCH = "This model was trained from scratch on "
_OF_AN_ATTACK = {"attack_success_rate": "Attack success rate", "robust_accuracy": "Accuracy under attack"}
_OF_A_VOTE = {"certified_accuracy": "Certified accuracy", "smoothed_accuracy": "Accuracy of the vote"}
_OURS = {**_OF_AN_ATTACK, **_OF_A_VOTE}
CONFIDENCE = 0.95
"""Of the intervals in a result's ``args``, Wilson's, as everywhere in a run's files."""


def add_robustness(output_dir: Path) -> None:
    """Add the results of ``robustness_history.jsonl`` and ``run_card.json`` to the ``README.md`` beside them.

    The card is the one that ``Trainer.create_model_card`` wrote (PEFT's additions included): its results and tags
    stay, ours join them, and a folder of this machine named as base model is taken out. Calling it again replaces what
    an earlier call added. Without a measured epoch the card is left as it is.

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
    clean = [result for result in card.data.eval_results or [] if not _is_ours(result)]
    card.data.eval_results = [*clean, *_eval_results(run, clean)]
    _drop_local_base_model(card.data)
    card.data.tags = list(dict.fromkeys([*(card.data.tags or []), *TAGS, run.method]))
    card.data.pipeline_tag = card.data.pipeline_tag or "text-classification"
    text = _SECTION.sub("\n\n", card.text).replace(_FROM_NOTHING, _FROM_SCRATCH).rstrip()
    card.text = f"{text}\n\n{_BEGIN}\n{robustness_section(run)}{_END}\n"
    scratch = readme.with_name(f"_README.{os.getpid()}.md")
    card.save(scratch)
    os.replace(scratch, readme)


def _eval_results(run: Run, clean: list[EvalResult]) -> Iterator[EvalResult]:
    """Results of the published weights; none where those very weights were not attacked, or nothing could be.

    Each carries its number of examples and its interval as ``args``, which huggingface_hub keeps with the metric.
    """
    if not run.measured_exactly:
        return
    data = _dataset(run, clean)
    accuracy = float(run.published["accuracy"])
    # That of a vote is not the published network's.
    plain = math.isfinite(accuracy) and not run.card.get("vote")
    if plain and not any(result.metric_type == "accuracy" for result in clean):
        counted = _counted({"num_examples": run.eval_samples}, accuracy_interval(run))
        yield _result(data, "accuracy", "Accuracy", accuracy, counted)
    # Who reads the results alone must see that they are not of the network that is published.
    on_a_vote = f" on a vote of {run.card['vote']['votes']:,}" if run.card.get("vote") else ""
    for attack, result in run.published["attacks"].items():
        named = _under(data, f"{attack} attack{on_a_vote}")
        for metric, name in _OF_AN_ATTACK.items():
            key = metric.replace("attack_success_rate", "asr")
            value = _number(result, key)
            if math.isfinite(value) and (key == "asr" or robust_accuracy_applies(run, attack)):
                counted = _counted(result, attack_interval(result, key), "num_attacked" if key == "asr" else "")
                yield _result(named, metric, f"{name} ({attack})", value, counted)
    union = run.published.get("union")
    if union and math.isfinite(union["robust_accuracy"]):
        worst, counted = union_label(union) + on_a_vote, _counted(union, attack_interval(union, "robust_accuracy"))
        name = f"Accuracy under attack ({worst})"
        yield _result(_under(data, worst), "robust_accuracy", name, float(union["robust_accuracy"]), counted)
    yield from _of_a_vote(run.published.get("certified") or {}, _under(data, "vote over random substitutions"))


def _of_a_vote(certified: dict[str, Any], data: dict[str, Any]) -> Iterator[EvalResult]:
    for metric, name in _OF_A_VOTE.items():
        value = _number(certified, metric)
        if math.isfinite(value):
            interval = (_number(certified, f"{metric}_low"), _number(certified, f"{metric}_high"))
            yield _result(data, metric, name, value, _counted(certified, interval, "votes", "alpha"))


def _result(data: dict[str, Any], metric: str, name: str, value: float, counted: dict[str, Any]) -> EvalResult:
    return EvalResult(
        **data, metric_type=metric, metric_name=name, metric_value=round(value, 6), metric_args=counted or None
    )


def _counted(numbers: Mapping[str, Any], interval: tuple[float, float] | None, *more: str) -> dict[str, Any]:
    """How many examples a rate is over, its interval, and ``more`` of the numbers beside it, as far as known."""
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
    """The data set as the card already names it, else as the run card does."""
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
    name = str(run.data.get("name") or "unknown")
    return {**task, "dataset_type": name, "dataset_name": name, "dataset_split": split}


def _is_ours(result: EvalResult) -> bool:
    # The accuracy that an earlier call added is of clean text and stays, as any other clean result.
    return result.metric_type in _OURS


def _drop_local_base_model(data: Any) -> None:
    """PEFT names the base model by the path it was loaded from; only a Hub id means anything to others."""
    base = data.base_model
    if isinstance(base, str) and (os.path.isabs(base) or Path(base).is_dir()):
        data.base_model = None
        data.tags = [tag for tag in data.tags or [] if not (tag.startswith("base_model:") and base in tag)]
