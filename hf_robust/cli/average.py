"""`hf-robust average`: models between a clean one and its adversarial twin, each attacked (TaiChi, Figure 5)."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.cli.flags import add_attack_flags, output_folder

if TYPE_CHECKING:
    from hf_robust.attacks import AttackArguments
    from hf_robust.wiring.checkpoint_attack import AttackOptions

STEM = "linear_average"
LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Those of `hf-robust attack`; its MODEL is the clean one."""
    add_attack_flags(parser)
    parser.add_argument("--twin", help="The other model. Default: the folder _twin of MODEL, where taichi left it.")
    parser.add_argument(
        "--lambdas",
        nargs="+",
        type=float,
        default=list(LAMBDAS),
        metavar="LAMBDA",
        help=f"Shares of MODEL in the averages. Default: {' '.join(f'{one:g}' for one in LAMBDAS)}.",
    )
    parser.add_argument(
        "--beside",
        nargs="+",
        default=[],
        metavar="MODEL",
        help="Other models to attack alike and to show beside the averages: normal and taichi in the paper's figure.",
    )


def run(options: argparse.Namespace) -> str:
    """Write ``lambda-<share>`` folders with a loadable average and its attack's results in each, and a summary.

    The results of models beside them lie in ``beside-<name>``.

    Raises:
        ValueError: a share is no share, the two models cannot be averaged, or were trained to agree.
    """
    from hf_robust.attacks import AttackArguments
    from hf_robust.modules.auxiliary import PEER_FOLDER
    from hf_robust.reports import average_figure, save_figure
    from hf_robust.runs import claim_folder, portable_path, write_json
    from hf_robust.wiring.checkpoint_attack import AttackOptions, checked_lexicons, splits_of
    from hf_robust.wiring.restored import text_length

    options.output_dir = output_folder(options)
    given = vars(options)
    flags = AttackArguments(**{f.name: given[f.name] for f in dataclasses.fields(AttackArguments) if f.name in given})
    attack = AttackOptions(**{f.name: given[f.name] for f in dataclasses.fields(AttackOptions)})
    twin = options.twin or str(Path(options.model) / PEER_FOLDER)
    if options.twin is None and not Path(twin).is_dir():
        raise ValueError(
            f"{options.model} has no folder {PEER_FOLDER}; train it with --robust_method taichi --taichi_variant "
            "linear_average, or name the other model by --twin."
        )
    checked_lexicons(attack, flags)
    apart = trained_apart(options.model, twin)
    model, other, tokenizer = load_pair(options.model, twin, options.lambdas)
    # The averages have no run card of their own.
    attack.max_seq_length = text_length(attack.max_seq_length, options.model, tokenizer, model.config)
    if attack.data is not None:
        splits_of(attack, attack.data, model, tokenizer)  # before any model is written
    named = names_of(options.beside)
    for path in named.values():
        _check_beside(path, attack)
    output = claim_folder("average", options.output_dir)
    folders = write_averages(model, other, tokenizer, options.lambdas, output)
    points = [{"lambda": lam, **attacked(str(folder), folder, attack, flags)} for lam, folder in folders.items()]
    beside = [
        {"name": name, "model": portable_path(path), **attacked(path, output / f"beside-{name}", attack, flags)}
        for name, path in named.items()
    ]
    models = {"clean": portable_path(options.model), "twin": portable_path(twin)}
    write_json(output / f"{STEM}.json", {**models, "points": points, "beside": beside})
    save_figure(average_figure(points, beside), output, STEM)
    return f"{_table(points, beside, output)}{apart}\nModels, results and picture are in {output}."


def trained_apart(clean: str, twin: str) -> str:
    """Nothing where the run card says that the two were trained apart, a sentence where there is no card.

    Raises:
        ValueError: they are the two models of one run whose predictions a KL term drew together.
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
        return f"\n{clean} has no run card that says whether the two models were trained apart.\n"
    if VARIANTS[variant].kl and config.get("taichi_gamma", 1.0) != 0:
        raise ValueError(
            f"{clean} and its twin were trained with --taichi_variant {variant}, whose KL term has fused them; "
            "train with --taichi_variant linear_average to average two models that were trained apart, and give this "
            "one by --beside."
        )
    return ""


def names_of(models: Sequence[str]) -> dict[str, str]:
    """A name for each model: the method of its run card, else its folder's name; the second of a name has a number."""
    from hf_robust.runs import read_card

    names: dict[str, str] = {}
    for model in models:
        name = read_card(model).get("method") or Path(model).name
        taken = sum(one == name or one.rpartition("-")[0] == name for one in names)
        names[f"{name}-{taken + 1}" if taken else name] = model
    return names


def _check_beside(path: str, attack: AttackOptions) -> None:
    """Load a model and fit it to the data before anything is attacked."""
    from hf_robust.wiring.checkpoint_attack import load_classifier, splits_of

    model, tokenizer = load_classifier(path, "cpu")
    if attack.data is not None:
        splits_of(dataclasses.replace(attack, model=path), attack.data, model, tokenizer)


def load_pair(clean: str, twin: str, lambdas: Sequence[float]) -> tuple[Any, Any, Any]:
    """The two models and their tokenizer.

    Raises:
        ValueError: a share is no share, or the two models cannot be averaged.
    """
    from hf_robust.modules.saved_inference import read_saved_inference
    from hf_robust.runs import read_card
    from hf_robust.wiring.checkpoint_attack import load_classifier

    wrong = [one for one in lambdas if not 0 <= one <= 1]
    if wrong:
        raise ValueError(f"--lambdas are shares between 0 and 1, got {wrong[0]:g}; 1 is MODEL itself, 0 its twin.")
    share = (read_card(clean).get("config") or {}).get("taichi_lambda", 1)
    if share != 1:
        raise ValueError(
            f"{clean} was saved with --taichi_lambda {share}, so it is an average already; train with "
            "--taichi_lambda 1 to average afterwards."
        )
    model, tokenizer = load_classifier(clean, "cpu")
    other, _ = load_classifier(twin, "cpu")
    for name, one in ((clean, model), (twin, other)):
        saved = read_saved_inference(name)
        if saved is not None:
            raise ValueError(f"{name} is more than its weights, which alone are averaged. {saved.note}")
        if hasattr(one, "peft_config"):
            raise ValueError(f"{name} is an adapter, whose factors do not average; merge it into its model first.")
    return model, other, tokenizer


def write_averages(
    model: Any, other: Any, tokenizer: Any, lambdas: Sequence[float], output: Path
) -> dict[float, Path]:
    """A folder for each share of the clean model, in rising order, each a checkpoint of its own."""
    from hf_robust.training.twin import linear_average

    first, second = ({key: value.clone() for key, value in one.state_dict().items()} for one in (model, other))
    folders = {}
    for lam in sorted(set(lambdas)):
        folders[lam] = output / f"lambda-{lam:g}"
        model.load_state_dict(linear_average(first, second, lam))
        model.save_pretrained(folders[lam])
        tokenizer.save_pretrained(folders[lam])
    return folders


def attacked(model: str, folder: Path, attack: AttackOptions, flags: AttackArguments) -> dict[str, Any]:
    """Attack a model, write its results into the folder, and return its point of the picture."""
    from hf_robust.attacks import of_the_data
    from hf_robust.metrics import wilson_interval
    from hf_robust.wiring.checkpoint_attack import measure_attacks, write_attacks

    found = measure_attacks(dataclasses.replace(attack, model=model, output_dir=folder), flags)
    write_attacks(found, folder)
    keys = ("robust_accuracy", "robust_accuracy_low", "robust_accuracy_high", "asr", "num_examples")
    # Of the clean texts, which attacks that bring their own texts do not see.
    accuracy = found.line["accuracy"]
    texts = [one.num_examples for one in of_the_data(found.attacks, found.summaries).values()][:1]
    low, high = wilson_interval(round(accuracy * texts[0]), texts[0]) if texts else (math.nan, math.nan)
    return {
        "folder": folder.name,
        "accuracy": accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "attacks": {name: {key: getattr(one, key) for key in keys} for name, one in found.summaries.items()},
    }


def _table(points: Sequence[dict[str, Any]], beside: Sequence[dict[str, Any]], output: Path) -> str:
    """A row for each model; one that is no better than guessing, as averages of two models can be, is marked."""
    from hf_robust.reports import markdown_table, percent
    from hf_robust.reports.guessing import LEGEND, dagger
    from hf_robust.runs import load_run

    # An attack that wants the prediction kept has no robust accuracy.
    names = [name for name, one in points[0]["attacks"].items() if math.isfinite(one["robust_accuracy"])]
    rows, marks = [], []
    for point in (*points, *beside):
        found = [point["attacks"][name] for name in names]
        marks.append(dagger([load_run(output / point["folder"])]))
        robust = [
            percent(one["robust_accuracy"], (one["robust_accuracy_low"], one["robust_accuracy_high"])) for one in found
        ]
        count = str(next(iter(point["attacks"].values()))["num_examples"])
        name = point["name"] if "name" in point else f"{point['lambda']:g}"
        clean = percent(point["accuracy"], (point["accuracy_low"], point["accuracy_high"]))
        rows.append([f"{name}{marks[-1]}", clean, *robust, count])
    table = markdown_table(["lambda", "accuracy, %", *(f"{name} robust accuracy, %" for name in names), "N"], rows)
    return f"{table}\n{LEGEND}\n" if any(marks) else table
