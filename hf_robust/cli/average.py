"""`hf-robust average`: attack weighted averages of a clean model and its adversarial twin (TaiChi, Figure 5)."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.cli.flags import add_attack_flags, from_flags, output_folder

if TYPE_CHECKING:
    from hf_robust.attacks import AttackArguments
    from hf_robust.wiring.checkpoint_attack import AttackOptions

STEM = "linear_average"
LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hf-robust attack`, whose MODEL is the clean model, and those of the averages."""
    add_attack_flags(parser)
    group = parser.add_argument_group("averages")
    group.add_argument(
        "--twin",
        metavar="MODEL",
        help="Twin of MODEL, trained on adversarial texts. Default: MODEL/_twin, which --robust_method taichi writes.",
    )
    group.add_argument(
        "--lambdas",
        nargs="+",
        type=float,
        default=list(LAMBDAS),
        metavar="LAMBDA",
        help=f"Shares of MODEL in the averages, from 0 to 1. Default: {' '.join(f'{share:g}' for share in LAMBDAS)}.",
    )
    group.add_argument(
        "--beside",
        nargs="+",
        default=[],
        metavar="MODEL",
        help="Other models to attack and to show with the averages; the paper shows normal and taichi. Default: none.",
    )


def run(options: argparse.Namespace) -> str:
    """Write a folder ``lambda-<share>`` with each average and the results of its attacks; return a table.

    The results of the models of ``--beside`` go to ``beside-<name>``.

    Raises:
        ValueError: a share is not in [0, 1], the two models cannot be averaged, or they were trained to agree.
    """
    from hf_robust.attacks import AttackArguments
    from hf_robust.modules.auxiliary import PEER_FOLDER
    from hf_robust.reports import average_figure, save_figure
    from hf_robust.runs import claim_folder, portable_path, write_json
    from hf_robust.wiring.checkpoint_attack import AttackOptions, check_and_load_lexicons, splits_of
    from hf_robust.wiring.restored import text_length

    options.output_dir = output_folder(options)
    flags, attack = from_flags(AttackArguments, options), from_flags(AttackOptions, options)
    twin = options.twin or str(Path(options.model) / PEER_FOLDER)
    if options.twin is None and not Path(twin).is_dir():
        raise ValueError(
            f"{options.model} has no folder {PEER_FOLDER}, where its twin would be: train it with --robust_method "
            f"taichi "
            "--taichi_variant linear_average, or give the twin by --twin."
        )
    check_and_load_lexicons(attack, flags)
    warning = check_trained_apart(options.model, twin)
    model, other, tokenizer = load_pair(options.model, twin, options.lambdas)
    # The averages have no run card of their own.
    attack.max_seq_length = text_length(attack.max_seq_length, options.model, tokenizer, model.config)
    if attack.data is not None:
        splits_of(attack, attack.data, model, tokenizer)  # before any model is written
    others = names_of(options.beside)
    for path in others.values():
        _check_loads(path, attack)
    output = claim_folder("average", options.output_dir)
    folders = write_averages(model, other, tokenizer, options.lambdas, output)
    points = [
        {"lambda": lam, **attack_and_summarise(str(folder), folder, attack, flags)} for lam, folder in folders.items()
    ]
    comparisons = [
        {
            "name": name,
            "model": portable_path(path),
            **attack_and_summarise(path, output / f"beside-{name}", attack, flags),
        }
        for name, path in others.items()
    ]
    models = {"clean": portable_path(options.model), "twin": portable_path(twin)}
    write_json(output / f"{STEM}.json", {**models, "points": points, "beside": comparisons})
    save_figure(average_figure(points, comparisons), output, STEM)
    return f"{_table(points, comparisons, output)}{warning}\nModels, results and picture are in {output}."


def check_trained_apart(clean: str, twin: str) -> str:
    """Check that two models were trained apart; return a warning if there is no run card that says so, else "".

    Raises:
        ValueError: they are the two models of one run, and a KL term made their predictions agree.
    """
    from hf_robust.data.legacy_flags import current_names
    from hf_robust.modules.auxiliary import PEER_FOLDER
    from hf_robust.runs import read_card
    from hf_robust.training.taichi_arguments import VARIANTS

    if Path(twin).resolve() != (Path(clean) / PEER_FOLDER).resolve():
        return ""  # the other model is from a run of its own
    config = current_names(read_card(clean).get("config") or {})
    variant = config.get("taichi_variant")
    if variant not in VARIANTS:
        return f"\nWarning: {clean} has no run card, so it is unknown whether the two models were trained apart.\n"
    if VARIANTS[variant].kl and config.get("taichi_gamma", 1.0) != 0:
        raise ValueError(
            f"{clean} and its twin were trained with --taichi_variant {variant}, whose KL term makes them agree, so "
            f"that "
            "their average shows nothing: average models of --taichi_variant linear_average, and compare them with "
            "this one by --beside."
        )
    return ""


def names_of(models: Sequence[str]) -> dict[str, str]:
    """Name each model by the method in its run card, else by its folder; a repeated name gets a number."""
    from hf_robust.runs import read_card

    names: dict[str, str] = {}
    for model in models:
        name = read_card(model).get("method") or Path(model).name
        taken = sum(other == name or other.rpartition("-")[0] == name for other in names)
        names[f"{name}-{taken + 1}" if taken else name] = model
    return names


def _check_loads(path: str, attack: AttackOptions) -> None:
    """Check that a model loads and fits the data, before anything is attacked."""
    from hf_robust.wiring.checkpoint_attack import load_classifier, splits_of

    model, tokenizer = load_classifier(path, "cpu")
    if attack.data is not None:
        splits_of(dataclasses.replace(attack, model=path), attack.data, model, tokenizer)


def load_pair(clean: str, twin: str, lambdas: Sequence[float]) -> tuple[Any, Any, Any]:
    """Load the two models, with adapters merged into their base model, and their tokenizer.

    Raises:
        ValueError: a share is not in [0, 1], or the two models cannot be averaged.
    """
    from hf_robust.modules.saved_inference import read_saved_inference
    from hf_robust.runs import read_card
    from hf_robust.wiring.checkpoint_attack import load_classifier

    wrong = [share for share in lambdas if not 0 <= share <= 1]
    if wrong:
        raise ValueError(f"--lambdas must be from 0 (the twin) to 1 (MODEL), got {wrong[0]:g}.")
    share = (read_card(clean).get("config") or {}).get("taichi_lambda", 1)
    if share != 1:
        raise ValueError(
            f"{clean} was saved with --taichi_lambda {share}, so it is an average already: train with "
            f"--taichi_lambda 1 "
            "to average it here."
        )
    model, tokenizer = load_classifier(clean, "cpu", merged=True)
    other, _ = load_classifier(twin, "cpu", merged=True)
    for name in (clean, twin):
        saved = read_saved_inference(name)
        if saved is not None:
            raise ValueError(
                f"{name} predicts by more than its weights, and only weights can be averaged. {saved.note}"
            )
    return model, other, tokenizer


def write_averages(
    model: Any, other: Any, tokenizer: Any, lambdas: Sequence[float], output: Path
) -> dict[float, Path]:
    """Write a checkpoint for each share of the clean model; return the folders by share, in rising order."""
    from hf_robust.training.twin import linear_average

    first, second = ({key: value.clone() for key, value in part.state_dict().items()} for part in (model, other))
    folders = {}
    for lam in sorted(set(lambdas)):
        folders[lam] = output / f"lambda-{lam:g}"
        model.load_state_dict(linear_average(first, second, lam))
        model.save_pretrained(folders[lam])
        tokenizer.save_pretrained(folders[lam])
    return folders


def attack_and_summarise(model: str, folder: Path, attack: AttackOptions, flags: AttackArguments) -> dict[str, Any]:
    """Attack a model, write the results to the folder, and return the model's point in the figure."""
    from hf_robust.attacks import results_on_data
    from hf_robust.metrics import wilson_interval
    from hf_robust.wiring.attack_results import write_attacks
    from hf_robust.wiring.checkpoint_attack import measure_attacks

    results = measure_attacks(dataclasses.replace(attack, model=model, output_dir=folder), flags)
    write_attacks(results, folder)
    keys = ("robust_accuracy", "robust_accuracy_low", "robust_accuracy_high", "asr", "num_examples")
    # Accuracy on the texts of --data; attacks that bring their own texts do not count.
    accuracy = results.history_line["accuracy"]
    counts = [summary.num_examples for summary in results_on_data(results.attacks, results.summaries).values()][:1]
    low, high = wilson_interval(round(accuracy * counts[0]), counts[0]) if counts else (math.nan, math.nan)
    return {
        "folder": folder.name,
        "accuracy": accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "attacks": {name: {key: getattr(summary, key) for key in keys} for name, summary in results.summaries.items()},
    }


def _table(points: Sequence[dict[str, Any]], comparisons: Sequence[dict[str, Any]], output: Path) -> str:
    """Format a row for each model; models that are no better than guessing, as some averages are, are marked."""
    from hf_robust.reports import markdown_table, percent
    from hf_robust.reports.guessing import GUESSING_NOTE, dagger
    from hf_robust.runs import load_run

    # Obstinate attacks have no robust accuracy.
    names = [name for name, rates in points[0]["attacks"].items() if math.isfinite(rates["robust_accuracy"])]
    rows, marks = [], []
    for point in (*points, *comparisons):
        attacks = [point["attacks"][name] for name in names]
        marks.append(dagger([load_run(output / point["folder"])]))
        robust = [
            percent(rates["robust_accuracy"], (rates["robust_accuracy_low"], rates["robust_accuracy_high"]))
            for rates in attacks
        ]
        count = str(next(iter(point["attacks"].values()))["num_examples"])
        name = point["name"] if "name" in point else f"{point['lambda']:g}"
        clean = percent(point["accuracy"], (point["accuracy_low"], point["accuracy_high"]))
        rows.append([f"{name}{marks[-1]}", clean, *robust, count])
    table = markdown_table(["lambda", "accuracy, %", *(f"{name} robust accuracy, %" for name in names), "N"], rows)
    return f"{table}\n{GUESSING_NOTE}\n" if any(marks) else table
