"""A page for each attack, made from its recipe, and the table of all of them."""

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
    """What an attack does, where it differs, and the flags that it reads."""
    found = paragraphs(inspect.getdoc(ATTACKS[name]) or "")
    differs = [part for part in found if re.match(r"Differs|Unlike", part)]
    kept = [part for part in found if part not in differs]
    papers = ", ".join(f"{{cite:t}}`{key}`" for key in ATTACK_CITATIONS[name])
    parts = [
        f"# {name}",
        f"*{sentence(readme.attack_idea(name))}* Kind: {readme.attack_kind(name)}. Papers: {papers}.",
        f"```text\nhf-robust attack MODEL --data FILE --attacks {name}\n```",
        "## What it does",
        rst_block("\n\n".join(kept)),
    ]
    if differs:
        parts += ["## What differs", rst_block("\n\n".join(differs))]
    parts += ["## Flags that it reads", flags(name), "Flags of every attack are in [Attacks](../../attacks.md)."]
    parts += ["## Measured here", *measured(name)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def measured(name: str) -> list[str]:
    """The rows of an attack on real data, and how it compared with TextAttack's."""
    found = {one.title: rows_of(attack_tables.table(one), {name}) for one in attack_tables.attacked_models(RESULTS)}
    parts = [f"**{title}.**\n\n" + "\n".join(rows) for title, rows in found.items() if len(rows) > 2]
    same = rows_of(attack_tables.identity_table(attack_tables.identity(RESULTS)), {name})
    parts += ["**Beside TextAttack's own.**\n\n" + "\n".join(same)] * (len(same) > 2)
    if not parts:
        return ["No run of this attack alone is among the committed results. [Results](../../results.md) has all."]
    return [*parts, "How this was measured: [Attacks on real data](../results/attacks.md)."]


def flags(name: str) -> str:
    """The flags that not every attack reads, and this one does."""
    read = [flag for flag, readers in READERS.items() if name in readers]
    read = ["lexicon"] * (name in READ_SYNONYMS) + ["antonym_lexicon"] * (name == "antonym") + read
    read += ["word_vectors"] * (name in READ_WORD_VECTORS)
    parser = HfArgumentParser((ModelArguments, DataTrainingArguments, AttackArguments), allow_abbrev=False)
    return flags_table(flags_of(parser, read)) if read else "It reads no flag that is not every attack's."


def flags_of_all() -> str:
    """The flags of attacks that every attack reads, or none in particular."""
    parser = HfArgumentParser((AttackArguments,), allow_abbrev=False)
    special = {*READERS, "lexicon", "antonym_lexicon", "word_vectors"}
    names = [name for name in AttackArguments.__dataclass_fields__ if name not in special]
    return flags_table(flags_of(parser, names))
