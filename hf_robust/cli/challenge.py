"""`hf-robust challenge`: the challenge set of one model, and what it and others make of it (GradMask, Section 4)."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.cli.flags import add_checkpoint_flags, output_folder

if TYPE_CHECKING:
    from hf_robust.attacks import Example
    from hf_robust.cli.challenge_results import ChallengeScores
    from hf_robust.data.labels import Labels
    from hf_robust.views import ChallengeText
    from hf_robust.wiring.checkpoint_attack import Attacked
    from hf_robust.wiring.measured_checkpoint import Answers, Checkpoint

SET_FILE, PREDICTIONS_FILE, STEM = "challenge.jsonl", "challenge_predictions.jsonl", "challenge"
MASKS = ("gradient", "random")
"""Those of `hf_robust.views.challenge`, whose import would make `--help` slow."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The model and its data, how the token is chosen, and other models."""
    add_checkpoint_flags(parser, data_needed=True)
    parser.add_argument(
        "--mask", choices=MASKS, default="gradient",
        help="Which token of the last text column becomes the mask token: that of the largest gradient of the model's "
        "loss, or, to compare with, any. Pieces of words are tokens apart, and so are signs. Default: gradient.",
    )  # fmt: skip
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="MODEL", help="Other models to measure on the set of the first."
    )
    parser.add_argument(
        "--num_examples", type=int, default=0, help="At most so many texts, drawn by the seed; 0: all. Default: 0."
    )
    parser.add_argument("--seed", type=int, default=0, help="Draws texts, and tokens for --mask random. Default: 0.")


def run(options: argparse.Namespace) -> str:
    """Write ``challenge.jsonl``, what each model predicts, numbers, table and a run card; return the table.

    Raises:
        ValueError: a model or the data cannot be read, they do not fit together, or the model cannot be masked.
    """
    from hf_robust.cli.challenge_results import challenge_text
    from hf_robust.runs import claim_folder
    from hf_robust.views import challenge_set
    from hf_robust.wiring.checkpoint_attack import AttackOptions
    from hf_robust.wiring.measured_checkpoint import Checkpoint

    options.output_dir = output_folder(options)
    own = AttackOptions(
        **{f.name: getattr(options, f.name) for f in dataclasses.fields(AttackOptions) if hasattr(options, f.name)}
    )
    first = Checkpoint.load(options.model, options.data, own)
    others = [Checkpoint.load(source, options.data, own) for source in options.models]
    masks = [mask_token_of(one) for one in (first, *others)]  # whatever is refused is refused before masking
    examples = first.examples(options.num_examples, options.seed)
    made = challenge_set(first.victim, examples, options.mask, options.seed)
    measured = [
        _measure(one, one.examples(options.num_examples, options.seed), made, mask)
        for one, mask in zip((first, *others), masks, strict=True)
    ]
    exact = _by_tokens(first, made)
    folder = claim_folder("challenge", options.output_dir)
    text = challenge_text(options.mask, made, measured, exact)
    _write(folder, options, first, made, measured, exact, text)
    return f"{text}\nThe set is {folder / SET_FILE}; what was measured is beside it.\n"


def _measure(
    checkpoint: Checkpoint, examples: Sequence[Example], made: Sequence[ChallengeText], mask: str
) -> ChallengeScores:
    from hf_robust.cli.challenge_results import ChallengeScores

    plain = checkpoint.answers(examples)
    masked = checkpoint.answers(examples, [one.texts(mask) for one in made])
    mark, remarks = checkpoint.guessing(plain).mark, checkpoint.remarks(checkpoint.source, plain)
    return ChallengeScores(checkpoint.source, mask, plain, masked, mark, remarks, checkpoint.describe())


def mask_token_of(checkpoint: Checkpoint) -> str:
    """The model's own mask token: another's would be words to it.

    Raises:
        ValueError: it has none.
    """
    try:
        return checkpoint.victim.mask_token
    except ValueError as error:
        raise ValueError(f"{checkpoint.source}: {error}") from error


def _by_tokens(checkpoint: Checkpoint, made: Sequence[ChallengeText]) -> Answers | None:
    """The model on the very tokens with one of them masked; None where all texts are read as these."""
    if all(one.alike for one in made):
        return None
    return checkpoint.token_answers([one.example for one in made], [one.ids for one in made])


# ---- what is written ----


def _write(
    folder: Path,
    options: argparse.Namespace,
    first: Checkpoint,
    made: Sequence[ChallengeText],
    measured: Sequence[ChallengeScores],
    exact: Answers | None,
    text: str,
) -> None:
    from hf_robust.runs import redact, write_history_line, write_json, write_json_lines, write_text
    from hf_robust.wiring.checkpoint_attack import write_attacks

    labels, corpus = first.splits.labels, first.splits.corpus
    rows = (
        {"idx": one.idx}
        | dict(zip(first.splits.text_columns, one.texts, strict=True))
        | {corpus.label_column: _said(labels, one.label)}
        for one in _masked_examples(first, made)
    )
    write_json_lines(folder / SET_FILE, rows)
    write_json_lines(folder / PREDICTIONS_FILE, _predicted(made, measured))
    attacked = _as_a_file(options, first, made, measured[0].plain)
    write_attacks(attacked, folder)
    write_history_line(folder, {**attacked.line, "accuracy": measured[0].plain.accuracy.value})
    numbers = {
        "mask": options.mask,
        "unmasked": sum(one.place is None for one in made),
        "read_otherwise": sum(not one.alike for one in made),
        "by_tokens": None if exact is None else {"accuracy": exact.accuracy.value, "loss": exact.loss.value},
        "models": [one.to_json() for one in measured],
    }
    write_json(folder / f"{STEM}.json", {**redact(attacked.card), **numbers})
    write_text(folder / f"{STEM}.md", text)


def _as_a_file(
    options: argparse.Namespace, first: Checkpoint, made: Sequence[ChallengeText], plain: Answers
) -> Attacked:
    """The set as ``--attacks file:PATH`` shows it to the model, so that reports read this folder as any other."""
    from hf_robust.attacks import attack_dataset, examples_of
    from hf_robust.attacks.static import labelled_file
    from hf_robust.data.splits import describe_data
    from hf_robust.metrics import AttackSummary
    from hf_robust.runs import measured_card
    from hf_robust.wiring.checkpoint_attack import Attacked

    name = f"{STEM}_{options.mask}"
    attack = labelled_file(name, SET_FILE, _masked_examples(first, made))
    records = attack_dataset(attack, first.victim, examples_of(attack, []), progress=False)
    data = describe_data(first.splits.corpus, None, first.dataset, first.splits.labels)
    cut = sum(one.example.idx in first.dataset.cut_rows for one in made)
    data |= {"eval_samples": len(made), "eval_cut": cut}
    data["challenge_sample"] = f"{options.num_examples} rows, seed {options.seed}"
    card = measured_card(
        options.model,
        options.command_line,
        data=data,
        attacks={name: attack.describe()},
        **first.splits.labels.describe(),
        seed=options.seed,
    )
    if permuted := first.permuted(plain):
        card["label_permutation"] = permuted
    card |= first.measured.card
    return Attacked({name: records}, {name: AttackSummary.from_records(records)}, {name: attack}, card)


def _masked_examples(first: Checkpoint, made: Sequence[ChallengeText]) -> list[Example]:
    return [one.example._replace(texts=one.texts(first.victim.mask_token)) for one in made]


def _predicted(made: Sequence[ChallengeText], measured: Sequence[ChallengeScores]) -> Iterator[dict[str, Any]]:
    """What every model makes of each text: label ids, which are each model's own."""
    by_model = [one.rows() for one in measured]
    for one, answers in zip(made, zip(*by_model, strict=True), strict=True):
        stated = {"idx": one.example.idx, "masked": one.token, "place": one.place, "alike": one.alike}
        yield {**stated, "models": list(answers)}


def _said(labels: Labels, label: int) -> Any:
    """A label as any model's data may write it: its name, else the number that the data has for it."""
    from hf_robust.data.labels import are_unnamed

    if not are_unnamed(labels.names):
        return labels.names[label]
    return next(
        (raw for raw, found in labels.ids.items() if found == label and isinstance(raw, int)), labels.names[label]
    )
