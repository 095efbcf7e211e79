"""Can a model look robust by the scale of its logits? One attack by probability and by margin on five models.

    python -m benchmarks.experiments.miscalibration --data DIR --lexicon TABLE --models FOLDER [--examples 200]

The models are trained on SST-2: `normal`; `normal` with its logits times 50, the same classifier of every text; one
whose loss divides the logits by a temperature of 20, so that its logits are large when it is used; `flooding_x`; and
`adv_iter`, which trains on texts of the attack. Each is attacked by `textfooler` as published, by float32
probabilities, and by margins of the logits, with everything else equal. Writes
``benchmarks/results/miscalibration.json``. Needs ``NLTK_DATA`` with the tagger. Trained models and results of attacks
are kept in the folder of the models, so that a run that was stopped continues. Takes some minutes on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

import run_glue_robust
from benchmarks.experiments.small_model import write_result
from benchmarks.study.packaged import packaged_model
from hf_robust import RobustTrainer, attack
from hf_robust.metrics import AttackSummary

ATTACK, LENGTH, EPOCHS, SCALE, TEMPERATURE = "textfooler", 64, 2, 50.0, 20.0
SCORES = ("probability", "margin")
NORMAL, SCALED = "normal", f"normal, logits times {SCALE:g}"
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    NORMAL: ("normal", {}),
    f"temperature {TEMPERATURE:g} in training": ("benchmarks.experiments.miscalibration:HotTrainer", {}),
    "flooding_x": ("flooding_x", {"flood_level": "auto"}),
    "adv_iter": ("adv_iter", {"view_attacks": ["textfooler"], "view_fraction": 0.05, "n_rounds": 1}),
}


class HotTrainer(RobustTrainer):
    """Cross-entropy of the logits divided by a temperature, which is left out when the model is used."""

    name = "hot"

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels = inputs["labels"]
        outputs = model(**{key: value for key, value in inputs.items() if key != "labels"})
        loss = torch.nn.functional.cross_entropy(outputs["logits"] / TEMPERATURE, labels)
        return (loss, outputs) if return_outputs else loss


def main() -> None:
    parser = argparse.ArgumentParser(
        description=str(__doc__).split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2/train.jsonl.gz and test.jsonl.gz")
    parser.add_argument("--lexicon", required=True, help="table of substitutes of the attack")
    parser.add_argument("--models", type=Path, required=True, help="folder of the models that are trained")
    parser.add_argument(
        "--leave_out", nargs="*", default=[], choices=list(MODELS), metavar="MODEL", help="models to leave out"
    )
    parser.add_argument("--examples", type=int, default=200)
    flags = parser.parse_args()
    trained = {name: _trained(flags, *setting) for name, setting in MODELS.items() if name not in flags.leave_out}
    trained[SCALED] = _scaled(trained[NORMAL], flags.models / "scaled")
    order = [NORMAL, SCALED, *(name for name in trained if name not in (NORMAL, SCALED))]
    measured = {name: {scores: _attacked(flags, trained[name], scores) for scores in SCORES} for name in order}
    result = {
        "model": "bert_tiny", "data": "sst2", "attack": ATTACK, "lexicon": Path(flags.lexicon).name,
        "examples": flags.examples, "epochs": EPOCHS, "left_out": flags.leave_out, "models": measured,
    }  # fmt: skip
    write_result("miscalibration", result, "models")


def _trained(flags: argparse.Namespace, method: str, options: dict[str, Any]) -> Path:
    """Train by the script, unless the model is there already."""
    output: Path = flags.models / method.rpartition(":")[2]
    if (output / "model.safetensors").is_file():
        return output
    arguments = {
        "model_name_or_path": packaged_model("bert_tiny"), "train_file": flags.data / "sst2" / "train.jsonl.gz",
        "validation_file": flags.data / "sst2" / "validation.jsonl.gz", "robust_method": method, "output_dir": output,
        "lexicon": flags.lexicon, "num_train_epochs": EPOCHS, "learning_rate": 3e-4, "max_seq_length": LENGTH,
        "per_device_train_batch_size": 32, "save_strategy": "no", "logging_strategy": "no", "report_to": "none",
        "log_level": "warning", "pad_to_max_length": False, **options,
    }  # fmt: skip
    if method != "adv_iter":
        del arguments["lexicon"]
    flat = [
        part
        for name, value in arguments.items()
        for part in (f"--{name}", *map(str, value if isinstance(value, list) else [value]))
    ]
    run_glue_robust.main([*flat, "--do_train"])
    return output


def _scaled(source: Path, folder: Path) -> Path:
    """Copy a model with its logits multiplied: weight and bias of its last layer."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(source)
    with torch.no_grad():
        model.classifier.weight.mul_(SCALE)
        model.classifier.bias.mul_(SCALE)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def _attacked(flags: argparse.Namespace, model: Path, scores: str) -> dict[str, float]:
    """Accuracy on the attacked rows, robust accuracy with its interval, queries, and share of saturated queries."""
    results = attack(
        str(model),
        str(flags.data / "sst2" / "test.jsonl.gz"),
        ATTACK,
        lexicon=flags.lexicon,
        attack_scores=scores,
        attack_num_examples=flags.examples,
        max_seq_length=LENGTH,
        output_dir=model / f"{ATTACK}_{scores}",
    )
    summary: AttackSummary = results.summaries[ATTACK]
    keys = ("robust_accuracy", "robust_accuracy_low", "robust_accuracy_high", "num_examples", "queries")
    numbers = {"accuracy": summary.extra["accuracy"], **{key: getattr(summary, key) for key in keys}}
    if "saturated_share" in summary.extra:
        numbers["saturated_share"] = summary.extra["saturated_share"]
    return {key: round(float(value), 4) for key, value in numbers.items()}


if __name__ == "__main__":
    main()
