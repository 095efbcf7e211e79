"""`hf-robust challenge`: make the challenge set of a model and measure models on it (GradMask, Section 4)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.cli.flags import add_checkpoint_flags, add_seed, from_flags, output_folder

if TYPE_CHECKING:
    from hf_robust.attacks import Example
    from hf_robust.cli.challenge_results import ChallengeScores
    from hf_robust.data.labels import Labels
    from hf_robust.views import ChallengeText
    from hf_robust.wiring.attack_results import AttackResults
    from hf_robust.wiring.measured_checkpoint import Checkpoint, Outputs

SET_FILE, PREDICTIONS_FILE, STEM = "challenge.jsonl", "challenge_predictions.jsonl", "challenge"
MASKS = ("gradient", "random")
"""The choices of `hf_robust.views.challenge`, whose import would make `--help` slow."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add flags of the model and data, the choice of the token, and other models."""
    add_checkpoint_flags(parser, data_needed=True)
    group = parser.add_argument_group("challenge set")
    group.add_argument(
        "--mask", choices=MASKS, default="gradient",
        help="Token of the last text column to mask: the one with the largest gradient of MODEL's loss, or a random "
        "one as a control. Word pieces and punctuation are tokens of their own. Default: gradient.",
    )  # fmt: skip
    group.add_argument(
        "--models", nargs="+", default=[], metavar="MODEL",
        help="Other models to measure on the challenge set of MODEL. Default: none.",
    )  # fmt: skip
    group.add_argument(
        "--num_examples", type=int, default=0,
        help="Maximum number of texts, drawn by --seed; 0 for all. Default: 0.",
    )  # fmt: skip
    add_seed(group, "for the choice of texts, and of tokens with --mask random")


def run(options: argparse.Namespace) -> str:
    """Write ``challenge.jsonl``, the predictions of each model, numbers and a run card; return the table.

    Raises:
        ValueError: a model or the data cannot be read, they do not fit together, or a model has no mask token.
    """
    from hf_robust.cli.challenge_results import challenge_text
    from hf_robust.runs import claim_folder
    from hf_robust.views import challenge_set
    from hf_robust.wiring.checkpoint_attack import AttackOptions
    from hf_robust.wiring.measured_checkpoint import Checkpoint

    options.output_dir = output_folder(options)
    data_options = from_flags(AttackOptions, options)
    first = Checkpoint.load(options.model, options.data, data_options)
    others = [Checkpoint.load(source, options.data, data_options) for source in options.models]
    mask_tokens = [mask_token_of(model) for model in (first, *others)]  # refuse models before the set is made
    examples = first.examples(options.num_examples, options.seed)
    challenged = challenge_set(first.victim, examples, options.mask, options.seed)
    scores = [
        _measure(model, model.examples(options.num_examples, options.seed), challenged, mask_token)
        for model, mask_token in zip((first, *others), mask_tokens, strict=True)
    ]
    exact = _outputs_on_tokens(first, challenged)
    folder = claim_folder("challenge", options.output_dir)
    text = challenge_text(options.mask, challenged, scores, exact)
    _write(folder, options, first, challenged, scores, exact, text)
    return f"{text}\nThe challenge set is {folder / SET_FILE}; predictions and numbers are in the same folder.\n"


def _measure(
    checkpoint: Checkpoint, examples: Sequence[Example], challenged: Sequence[ChallengeText], mask_token: str
) -> ChallengeScores:
    from hf_robust.cli.challenge_results import ChallengeScores

    plain = checkpoint.outputs(examples)
    masked = checkpoint.outputs(examples, [text.texts(mask_token) for text in challenged])
    mark, remarks = checkpoint.guessing(plain).mark, checkpoint.remarks(checkpoint.source, plain)
    return ChallengeScores(checkpoint.source, mask_token, plain, masked, mark, remarks, checkpoint.describe())


def mask_token_of(checkpoint: Checkpoint) -> str:
    """Return the mask token of a model.

    Raises:
        ValueError: it has none.
    """
    try:
        return checkpoint.victim.mask_token
    except ValueError as error:
        raise ValueError(f"{checkpoint.source}: {error}") from error


def _outputs_on_tokens(checkpoint: Checkpoint, challenged: Sequence[ChallengeText]) -> Outputs | None:
    """Run the model on the masked token ids themselves; None if every masked text is tokenised to these ids."""
    if all(text.alike for text in challenged):
        return None
    return checkpoint.token_outputs([text.example for text in challenged], [text.ids for text in challenged])


# ---- what is written ----


def _write(
    folder: Path,
    options: argparse.Namespace,
    first: Checkpoint,
    challenged: Sequence[ChallengeText],
    scores: Sequence[ChallengeScores],
    exact: Outputs | None,
    text: str,
) -> None:
    from hf_robust.runs import redact, write_history_line, write_json, write_json_lines, write_text
    from hf_robust.wiring.attack_results import write_attacks

    labels, corpus = first.splits.labels, first.splits.corpus
    rows = (
        {"idx": example.idx}
        | dict(zip(first.splits.text_columns, example.texts, strict=True))
        | {corpus.label_column: _written_label(labels, example.label)}
        for example in _masked_examples(first, challenged)
    )
    write_json_lines(folder / SET_FILE, rows)
    write_json_lines(folder / PREDICTIONS_FILE, _prediction_lines(challenged, scores))
    results = _as_file_attack(options, first, challenged, scores[0].plain)
    write_attacks(results, folder)
    write_history_line(folder, {**results.history_line, "accuracy": scores[0].plain.accuracy.value})
    numbers = {
        "mask": options.mask,
        "unmasked": sum(text.place is None for text in challenged),
        "read_otherwise": sum(not text.alike for text in challenged),
        "by_tokens": None if exact is None else {"accuracy": exact.accuracy.value, "loss": exact.loss.value},
        "models": [model.to_json() for model in scores],
    }
    write_json(folder / f"{STEM}.json", {**redact(results.card), **numbers})
    write_text(folder / f"{STEM}.md", text)


def _as_file_attack(
    options: argparse.Namespace, first: Checkpoint, challenged: Sequence[ChallengeText], plain: Outputs
) -> AttackResults:
    """Measure the set as ``--attacks file:PATH`` would, so that reports can read this folder like any other."""
    from hf_robust.attacks.static import labelled_file

    name = f"{STEM}_{options.mask}"
    return first.attacked(
        {name: labelled_file(name, SET_FILE, _masked_examples(first, challenged))},
        [],
        command_line=options.command_line,
        seed=options.seed,
        data={
            "eval_samples": len(challenged),
            "eval_cut": sum(text.example.idx in first.dataset.cut_rows for text in challenged),
            "challenge_sample": f"{options.num_examples} rows, seed {options.seed}",
        },
        label_permutation=first.permuted(plain),
    )


def _masked_examples(first: Checkpoint, challenged: Sequence[ChallengeText]) -> list[Example]:
    return [text.example._replace(texts=text.texts(first.victim.mask_token)) for text in challenged]


def _prediction_lines(
    challenged: Sequence[ChallengeText], scores: Sequence[ChallengeScores]
) -> Iterator[dict[str, Any]]:
    """Yield the predictions of all models for each text, as label ids of each model's own numbering."""
    by_model = [model.rows() for model in scores]
    for text, predictions in zip(challenged, zip(*by_model, strict=True), strict=True):
        masked = {"idx": text.example.idx, "masked": text.token, "place": text.place, "alike": text.alike}
        yield {**masked, "models": list(predictions)}


def _written_label(labels: Labels, label: int) -> Any:
    """Return a label as data writes it: its name, else its integer in the data."""
    from hf_robust.data.labels import are_unnamed

    if not are_unnamed(labels.names):
        return labels.names[label]
    return next(
        (raw for raw, index in labels.ids.items() if index == label and isinstance(raw, int)), labels.names[label]
    )
