"""Attack a checkpoint that is there already: `hf-robust attack`, without any training."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_robust.attacks import (
    Attack,
    AttackArguments,
    Example,
    Plans,
    Victim,
    attack_dataset,
    attack_key,
    build_attacks,
    choose_examples,
    journal_seconds,
    weights_hash,
)
from hf_robust.callbacks.attack import JOURNAL_FOLDER, RESULTS_FOLDER
from hf_robust.callbacks.run_card import versions
from hf_robust.data import GLUE_TASKS
from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.files import EXTENSIONS
from hf_robust.data.load import load_corpus
from hf_robust.data.splits import Splits, describe_data, find_labels
from hf_robust.lexicons import load_lexicon
from hf_robust.metrics import AttackRecord, AttackSummary, write_records
from hf_robust.reports import RUN_CARD_FILE, read_json, redact, write_history_line

SUMMARY_FILE = "attack_summary.json"


@dataclass
class AttackOptions:
    """What `hf-robust attack` takes beside the flags of the attacks."""

    model: str
    data: str
    output_dir: Path
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
    """Run the attacks and write ``attack_results/<attack>.jsonl`` and ``attack_summary.json``.

    A history of one line and a run card are written too, so that `hf-robust report` can put the folder beside training
    runs. A measurement that was killed goes on where it stopped, if model, data and attack are the same.

    Raises:
        ValueError: the model has no trained classification head, or model, data and attacks do not fit together.
    """
    if not flags.attacks:
        raise ValueError("No attack given; name at least one after --attacks (`hf-robust attacks` lists them).")
    model, tokenizer = load_classifier(options.model, options.device)
    arguments = data_arguments(options)
    corpus = load_corpus(arguments)
    labels = find_labels(corpus, arguments, model.config)
    if not labels.is_single or labels.num_labels != model.config.num_labels:
        raise ValueError(
            f"{options.model} has {model.config.num_labels} classes and {options.data} has {labels.num_labels} "
            f"({labels.problem_type.replace('_', ' ')}); attack with the data that the model was made for."
        )
    splits = Splits(corpus, labels, tokenizer, arguments)
    dataset = splits.labelled("validation")
    synonyms = load_lexicon(flags.lexicon) if "synonym" in flags.attacks else None
    antonyms = load_lexicon(flags.antonym_source(), "antonym") if "antonym" in flags.attacks else None
    attacks = build_attacks(flags, synonyms, antonyms, labels.names, splits.text_columns)
    victim = Victim(model, tokenizer, max_length=splits.max_length, token_budget=flags.attack_token_budget)
    examples = choose_examples(dataset, flags.attack_num_examples, flags.attack_seed)
    records, summaries = _run(attacks, victim, examples, splits.max_length, options.output_dir)
    lexicons = {"synonyms": synonyms, "antonyms": antonyms}
    sample = f"{flags.attack_num_examples} rows, seed {flags.attack_seed}"
    card = {
        "method": read_json(Path(options.model) / RUN_CARD_FILE).get("method", "checkpoint"),
        "model": options.model,
        "data": describe_data(corpus, None, dataset) | {"eval_samples": len(examples), "attack_sample": sample},
        "lexicons": {role: lexicon.describe() for role, lexicon in lexicons.items() if lexicon is not None},
        "attacks": {name: attack.describe() for name, attack in attacks.items()},
        "seed": flags.attack_seed,
        "versions": versions(),
    }
    _write(options.output_dir, card, summaries)
    return Attacked(records, summaries, labels.names)


def load_classifier(name: str, device: str | None = None) -> tuple[Any, Any]:
    """A fine-tuned classifier, on a GPU where there is one, and its tokenizer; adapter repositories included.

    Raises:
        ValueError: there is no such checkpoint, or its classification head was never trained.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model, loading = AutoModelForSequenceClassification.from_pretrained(name, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except OSError as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"{name} cannot be loaded ({reason}); give a folder or a Hub id of a checkpoint.") from error
    missing = sorted(loading["missing_keys"])
    if missing and not getattr(model, "_hf_peft_config_loaded", False):
        raise ValueError(
            f"{name} has no trained classification head (missing: {', '.join(missing[:3])}); give a fine-tuned model."
        )
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), tokenizer


def data_arguments(options: AttackOptions) -> DataTrainingArguments:
    """``--data`` as the flags of the training script: a file, a GLUE task, or a data set by folder or name."""
    source: dict[str, Any] = {"dataset_name": options.data}
    if options.data.lower() in GLUE_TASKS and not Path(options.data).exists():
        source = {"task_name": options.data}
    elif Path(options.data).is_file() or options.data.endswith(tuple(EXTENSIONS)):
        source = {"validation_file": options.data}
    return DataTrainingArguments(
        **source,
        validation_split_name=options.split,
        label_column_name=options.label_column_name,
        text_column_names=options.text_column_names,
        max_seq_length=options.max_seq_length,
        pad_to_max_length=False,
    )


def _run(
    attacks: dict[str, Attack], victim: Victim, examples: list[Example], max_length: int, folder: Path
) -> tuple[dict[str, list[AttackRecord]], dict[str, AttackSummary]]:
    records, summaries, plans = {}, {}, Plans()
    weights = weights_hash(victim.model)
    for name, attack in attacks.items():
        journal = folder / JOURNAL_FOLDER / f"{attack_key(attack, weights, examples, max_length)}.jsonl"
        records[name] = attack_dataset(attack, victim, examples, plans=plans, journal=journal)
        summaries[name] = AttackSummary.from_records(records[name], journal_seconds(journal))
        write_records(folder / RESULTS_FOLDER / f"{name}.jsonl", records[name])
    return records, summaries


def _write(folder: Path, card: dict[str, Any], summaries: dict[str, AttackSummary]) -> None:
    card = redact(card)
    (folder / RUN_CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    attacks = {name: summary.history() for name, summary in summaries.items()}
    accuracy = next(iter(summaries.values())).extra["accuracy"]
    write_history_line(folder, {"epoch": 0.0, "step": 0, "accuracy": accuracy, "attacks": attacks})
    rates = {name: dataclasses.asdict(summary) for name, summary in summaries.items()}
    text = json.dumps({**card, "results": rates}, indent=2)
    (folder / SUMMARY_FILE).write_text(text + "\n", encoding="utf-8")
