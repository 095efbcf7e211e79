"""Attack a checkpoint that is there already: `hf-robust attack`, without any training."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_robust.attacks import (
    Attack,
    AttackArguments,
    Example,
    Plans,
    Victim,
    Vote,
    VotingVictim,
    attack_dataset,
    attack_key,
    build_attacks,
    choose_examples,
    examples_of,
    journal_seconds,
    of_the_data,
    weights_hash,
)
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.attacks.journal import prediction_of
from hf_robust.callbacks.measurement import JOURNAL_FOLDER
from hf_robust.callbacks.run_card import versions
from hf_robust.data import GLUE_TASKS
from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.files import EXTENSIONS
from hf_robust.data.labels import labels_of_checkpoint
from hf_robust.data.load import load_corpus
from hf_robust.data.splits import Splits, describe_data, find_labels
from hf_robust.lexicons import cache_folder, load_lexicon
from hf_robust.metrics import AttackRecord, AttackSummary, asr_at_budget, union_of_attacks, write_records
from hf_robust.metrics.budget import budgets_up_to
from hf_robust.reports import (
    RESULTS_FOLDER,
    RUN_CARD_FILE,
    draw_asr_by_budget,
    finite,
    read_json,
    redact,
    redact_command,
    write_history_line,
)
from hf_robust.smoothed import attacked_vote
from hf_robust.static_attacks import LABEL_NAMES, file_attacks, replay_attacks

SUMMARY_FILE = "attack_summary.json"


@dataclass
class AttackOptions:
    """What `hf-robust attack` takes beside the flags of the attacks."""

    model: str
    output_dir: Path
    data: str | None = None
    replay: list[str] = field(default_factory=list)
    split: str | None = None
    label_column_name: str | None = None
    text_column_names: str | None = None
    max_seq_length: int = 128
    device: str | None = None


@dataclass
class Attacked:
    """The records and rates of each attack, and the names of the labels that their predictions are ids of."""

    records: dict[str, list[AttackRecord]]
    summaries: dict[str, AttackSummary]
    label_names: tuple[str, ...]


def attack_checkpoint(options: AttackOptions, flags: AttackArguments) -> Attacked:
    """Run the attacks and write ``attack_results/<attack>.jsonl``, ``attack_summary.json`` and ``asr_by_budget.png``.

    A history of one line and a run card are written too, so that `hf-robust report` can put the folder beside training
    runs. A measurement that was killed goes on where it stopped, if model, data and attack are the same.

    Raises:
        ValueError: the model has no trained classification head, or model, data and attacks do not fit together.
    """
    if not flags.attacks and not options.replay:
        raise ValueError("No attack given; name at least one after --attacks (`hf-robust attacks` lists them).")
    if flags.attacks and options.data is None:
        raise ValueError(f"--attacks {' '.join(flags.attacks)} needs texts to attack; give them by --data.")
    model, tokenizer = load_classifier(options.model, options.device)
    task = _task(options, flags, model, tokenizer)
    victim = _victim(task, flags, model, tokenizer)
    records, summaries = _run(task, victim, options.output_dir)
    card = {
        "method": read_json(Path(options.model) / RUN_CARD_FILE).get("method", "checkpoint"),
        "model": options.model,
        "data": task.data,
        "lexicons": task.lexicons,
        "attacks": {name: attack.describe() for name, attack in task.attacks.items()},
        LABEL_NAMES: list(task.label_names),
        "seed": flags.attack_seed,
        "versions": versions(),
        "command": redact_command(sys.argv),
    }
    if task.vote is not None:
        card["vote"] = task.vote.describe()
    _write(options.output_dir, card, task, records, summaries)
    return Attacked(records, summaries, task.label_names)


@dataclass
class _Task:
    """What is attacked and with what: examples, names of the label ids, the cut in tokens, what a card says."""

    attacks: Mapping[str, AttackOrForeign]
    examples: list[Example]
    label_names: tuple[str, ...]
    max_length: int
    data: dict[str, Any] = field(default_factory=dict)
    lexicons: dict[str, Any] = field(default_factory=dict)
    vote: Vote | None = None


def _task(options: AttackOptions, flags: AttackArguments, model: Any, tokenizer: Any) -> _Task:
    if options.data is None:
        names = labels_of_checkpoint(model.config).names
        replays = replay_attacks(options.replay, names, None)
        return _Task(
            replays, [], names, min(options.max_seq_length, tokenizer.model_max_length), vote=attacked_vote(flags)
        )
    splits = splits_of(options, options.data, model, tokenizer)
    labels, dataset = splits.labels, splits.labelled("validation")
    synonyms = load_lexicon(flags.synonym_source()) if "synonym" in flags.attacks else None
    antonyms = load_lexicon(flags.antonym_source(), "antonym") if "antonym" in flags.attacks else None
    attacks = dict(build_attacks(flags, synonyms, antonyms, labels.names, splits.text_columns))
    attacks.update(file_attacks(flags.attacks, splits))
    attacks.update(replay_attacks(options.replay, labels.names, len(dataset.texts(0)), attacks))
    examples = choose_examples(dataset, flags.attack_num_examples, flags.attack_seed)
    sample = f"{flags.attack_num_examples} rows, seed {flags.attack_seed}"
    data = describe_data(splits.corpus, None, dataset) | {"eval_samples": len(examples), "attack_sample": sample}
    vote = attacked_vote(flags, synonyms if flags.synonym_source() == flags.lexicon else None)
    lexicons = {"synonyms": synonyms, "antonyms": antonyms}
    described = {role: lexicon.describe() for role, lexicon in lexicons.items() if lexicon is not None}
    return _Task(attacks, examples, labels.names, splits.max_length, data, described, vote)


def _victim(task: _Task, flags: AttackArguments, model: Any, tokenizer: Any) -> Victim:
    """Asked before anything is measured whether it can give what the attacks want."""
    limits: dict[str, Any] = {"max_length": task.max_length, "token_budget": flags.attack_token_budget}
    victim = Victim(model, tokenizer, **limits)
    if task.vote is not None:
        victim = VotingVictim(model, tokenizer, vote=task.vote, **limits)
        asked = [one for attack in task.attacks.values() for one in examples_of(attack, task.examples)]
        task.vote.require_substitutes([example.texts for example in asked])
    for attack in task.attacks.values():
        if isinstance(attack, Attack) and attack.needs_gradient:
            victim.check_saliency()
    return victim


def splits_of(options: AttackOptions, data: str, model: Any, tokenizer: Any) -> Splits:
    """The splits of ``data`` as the model reads them.

    Raises:
        ValueError: the data cannot be read, or is not of the model's classes.
    """
    arguments = data_arguments(options, data)
    corpus = load_corpus(arguments)
    labels = find_labels(corpus, arguments, model.config)
    if not labels.is_single or labels.num_labels != model.config.num_labels:
        raise ValueError(
            f"{options.model} has {model.config.num_labels} classes and {data} has {labels.num_labels} "
            f"({labels.problem_type.replace('_', ' ')}); give the data that the model was made for."
        )
    return Splits(corpus, labels, tokenizer, arguments)


def load_classifier(name: str, device: str | None = None) -> tuple[Any, Any]:
    """A fine-tuned classifier, on a GPU where there is one, and its tokenizer; adapter repositories included.

    Raises:
        ValueError: there is no such checkpoint, a part of it was never trained, or an adapter's base is not there.
    """
    import torch
    from transformers import AutoTokenizer

    from hf_robust.models.trained import load_trained

    model = load_trained(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"the tokenizer of {name} cannot be loaded ({reason}); save that of its training beside the model."
        ) from error
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), tokenizer


def data_arguments(options: AttackOptions, data: str) -> DataTrainingArguments:
    """``--data`` as the flags of the training script: a file, a GLUE task, or a data set by folder or name."""
    source: dict[str, Any] = {"dataset_name": data}
    if data.lower() in GLUE_TASKS and not Path(data).exists():
        source = {"task_name": data}
    elif Path(data).is_file() or data.endswith(tuple(EXTENSIONS)):
        source = {"validation_file": data}
    return DataTrainingArguments(
        **source,
        validation_split_name=options.split,
        label_column_name=options.label_column_name,
        text_column_names=options.text_column_names,
        max_seq_length=options.max_seq_length,
        pad_to_max_length=False,
    )


def _run(task: _Task, victim: Victim, folder: Path) -> tuple[dict[str, list[AttackRecord]], dict[str, AttackSummary]]:
    records, summaries, plans = {}, {}, Plans(cache_folder() / "plans")
    weights, prediction = weights_hash(victim.model), prediction_of(victim)
    for name, attack in task.attacks.items():
        examples = examples_of(attack, task.examples)
        key = attack_key(attack, weights, examples, task.max_length, prediction)
        journal = folder / JOURNAL_FOLDER / f"{key}.jsonl"
        records[name] = attack_dataset(attack, victim, examples, plans=plans, journal=journal)
        summaries[name] = AttackSummary.from_records(records[name], journal_seconds(journal))
        write_records(folder / RESULTS_FOLDER / f"{name}.jsonl", records[name])
    return records, summaries


def _write(
    folder: Path,
    card: dict[str, Any],
    task: _Task,
    records: dict[str, list[AttackRecord]],
    summaries: dict[str, AttackSummary],
) -> None:
    card = redact(card)
    (folder / RUN_CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    # Texts that an attack brought along say nothing about clean accuracy, nor have they budgets to speak of.
    searched = of_the_data(task.attacks, records)
    clean = [summary.extra["accuracy"] for summary in of_the_data(task.attacks, summaries).values()]
    line: dict[str, Any] = {"epoch": 0.0, "step": 0, "accuracy": clean[0] if clean else math.nan}
    line["attacks"] = {name: summary.history() for name, summary in summaries.items()}
    union = union_of_attacks(searched)
    if union is not None:
        line["union"] = union.history()
    write_history_line(folder, line)
    results = {
        "results": {name: dataclasses.asdict(summary) for name, summary in summaries.items()},
        "union": union.history() if union is not None else None,
        "asr_by_budget": {name: _by_budget(found) for name, found in searched.items()},
    }
    text = json.dumps(finite({**card, **results}), indent=2, allow_nan=False)
    (folder / SUMMARY_FILE).write_text(text + "\n", encoding="utf-8")
    if searched:
        draw_asr_by_budget(searched, folder, f"{Path(card['model']).name} on {card['data']['name']}")


def _by_budget(records: list[AttackRecord]) -> dict[str, list[float]]:
    """Two lists of the same length, for any plotting program."""
    budgets = budgets_up_to(records)
    return {"budget": list(budgets), "asr": asr_at_budget(records, budgets)}
