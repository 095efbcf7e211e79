"""Flags of our own are few, and a loss weight is named after its method and symbol."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from transformers import TrainingArguments

from hf_robust.trainers import METHODS
from hf_robust.wiring.parsing import SECTIONS, sections_of

MOST = 146
EXPERIMENTS = [
    path
    for path in sorted((Path(__file__).parents[1] / "benchmarks" / "experiments").glob("*.json"))
    if "args" in json.loads(path.read_text(encoding="utf-8"))
]
RUN_GLUE = set(
    "task_name dataset_name dataset_config_name max_seq_length overwrite_cache pad_to_max_length max_train_samples "
    "max_eval_samples max_predict_samples train_file validation_file test_file model_name_or_path config_name "
    "tokenizer_name cache_dir use_fast_tokenizer model_revision token trust_remote_code "
    "ignore_mismatched_sizes".split()
)
LANGUAGE_MODELING = {"streaming"}
RUN_CLASSIFICATION = set(
    "label_column_name text_column_names text_column_delimiter do_regression metric_name train_split_name "
    "validation_split_name test_split_name remove_splits remove_columns shuffle_train_dataset shuffle_seed".split()
)
OTHERS = RUN_GLUE | LANGUAGE_MODELING | RUN_CLASSIFICATION | set(TrainingArguments.__dataclass_fields__)
SHARED = {"clean_weight": {"fgm", "fgsm", "pgd"}}
"""Loss weights of the same meaning in several methods."""
VIEWS = {"view_fraction", "num_train_adv_examples"}
"""Flags that weaken a loss on views by making fewer of them."""
WEIGHT = re.compile(r"(\[\w+\] )?weight of ", re.IGNORECASE)
PREFIXES = {"bat_pairwise": "bat", "bat_triplet": "bat"}


def own_flags() -> dict[str, set[str]]:
    """Each flag that is neither transformers' nor one of its example scripts, with the methods that have it."""
    owners: dict[str, set[str]] = defaultdict(set)
    for group in SECTIONS.values():
        for field in dataclasses.fields(group):
            owners[field.name] |= set()
    for name in METHODS:
        for field in dataclasses.fields(METHODS[name].config):
            owners[field.name].add(name)
    return {flag: names for flag, names in owners.items() if flag not in OTHERS}


def test_there_are_few_flags_of_our_own() -> None:
    assert len(own_flags()) <= MOST


@pytest.mark.parametrize("name", METHODS)
def test_a_loss_weight_is_named_after_its_method(name: str) -> None:
    fields = {field.name: field for field in dataclasses.fields(METHODS[name].config) if field.name not in OTHERS}
    weights = {flag for flag, field in fields.items() if WEIGHT.match(field.metadata["help"])} - {"class_weights"}
    weights |= {flag for part, flag in METHODS[name].weakened_by.items() if part.startswith("loss_")} - VIEWS
    for flag in weights:
        if flag in SHARED:
            assert own_flags()[flag] == SHARED[flag]
        else:
            assert re.fullmatch(rf"{PREFIXES.get(name, name)}_[a-z]+", flag)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_names_flags_that_there_are(path: Path) -> None:
    experiment = json.loads(path.read_text(encoding="utf-8"))
    settings = experiment.get("settings") or {name: {"robust_method": name} for name in experiment["methods"]}
    for setting in settings.values():
        method = METHODS[setting["robust_method"]]
        flags = {field.name for group in sections_of(method).values() for field in dataclasses.fields(group)}
        assert {*experiment["args"], *experiment.get("method_args", {}).get(method.name, {}), *setting} <= flags


def test_every_help_text_is_a_sentence_of_its_own() -> None:
    groups = [*SECTIONS.values(), *(METHODS[name].config for name in METHODS)]
    for group in groups:
        for field in dataclasses.fields(group):
            if field.name not in TrainingArguments.__dataclass_fields__ and field.init:
                text = field.metadata["help"]
                assert text.endswith(".") and "  " not in text and text[0] in "[" + text[0].upper(), (field.name, text)
