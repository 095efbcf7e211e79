"""A page for each attack, made from its recipe."""

from __future__ import annotations

import inspect
import re

from transformers import HfArgumentParser

from benchmarks.study import attack_tables, readme
from benchmarks.study.stored import RESULTS
from docs.generate.methods import rows_of
from docs.generate.text import flags_of, flags_table, paragraphs, rst_block, sentence
from hf_robust.attacks import ATTACKS, AttackArguments
from hf_robust.attacks.flag_readers import READ_SYNONYMS, READ_WORD_VECTORS, READERS
from hf_robust.data.arguments import DataTrainingArguments, ModelArguments
from hf_robust.hub.citations import ATTACK_CITATIONS


def page(name: str) -> str:
    """What an attack does, how it differs from its paper, its flags and its results."""
    parts_of_docstring = paragraphs(inspect.getdoc(ATTACKS[name]) or "")
    differs = [part for part in parts_of_docstring if re.match(r"Differs|Unlike", part)]
    description = [part for part in parts_of_docstring if part not in differs]
    papers = ", ".join(f"{{cite:t}}`{key}`" for key in ATTACK_CITATIONS[name])
    parts = [
        f"# {name}",
        f"*{sentence(readme.attack_idea(name))}* Kind: {readme.attack_kind(name)}. Papers: {papers}.",
        f"```text\nhf-robust attack MODEL --data FILE --attacks {name}\n```",
        "## What it does",
        rst_block("\n\n".join(description)),
    ]
    if differs:
        parts += ["## What differs", rst_block("\n\n".join(differs))]
    parts += ["## Flags that it reads", flags(name), "Flags of every attack are in [Attacks](../../attacks.md)."]
    parts += ["## Measured here", *measured_sections(name)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def measured_sections(name: str) -> list[str]:
    """Rows of an attack in the tables of real data, and its comparison with TextAttack."""
    tables = {
        model.title: rows_of(attack_tables.table(model), {name}) for model in attack_tables.attacked_models(RESULTS)
    }
    parts = [f"**{title}.**\n\n" + "\n".join(rows) for title, rows in tables.items() if len(rows) > 2]
    same = rows_of(attack_tables.identity_table(attack_tables.identity(RESULTS)), {name})
    parts += ["**Compared with TextAttack.**\n\n" + "\n".join(same)] * (len(same) > 2)
    if not parts:
        return ["The committed results have no run of this attack alone. [Results](../../results.md) has all runs."]
    return [*parts, "How this was measured: [Attacks on real data](../results/attacks.md)."]


def flags(name: str) -> str:
    """Table of the flags that this attack reads and not every attack does."""
    read = [flag for flag, readers in READERS.items() if name in readers]
    read = ["lexicon"] * (name in READ_SYNONYMS) + ["antonym_lexicon"] * (name == "antonym") + read
    read += ["word_vectors"] * (name in READ_WORD_VECTORS)
    parser = HfArgumentParser((ModelArguments, DataTrainingArguments, AttackArguments), allow_abbrev=False)
    return flags_table(flags_of(parser, read)) if read else "It has no flags of its own."


def flags_of_all() -> str:
    """Table of the flags that every attack reads."""
    parser = HfArgumentParser((AttackArguments,), allow_abbrev=False)
    special = {*READERS, "lexicon", "antonym_lexicon", "word_vectors"}
    names = [name for name in AttackArguments.__dataclass_fields__ if name not in special]
    return flags_table(flags_of(parser, names))
