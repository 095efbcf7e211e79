"""How TaiChi's head and its pairs for every row change two of its ablations: BERT-tiny on TREC.

    python -m benchmarks.experiments.taichi_head --data DIR [--seeds 1 2 3]

For each head a plain model (``normal``, the paper's Base_clean) is trained, and its training texts are attacked once.
``taichi`` then trains on these pairs as ``base_adv`` (adversarial texts alone) and as ``no_kl`` (without KL). Rows
whose attack failed are left out (``--failed_views drop``) or paired with their own text (``clean``). All models of a
seed are measured on the same pairs of a test text and a text that fooled the plain model of one of the heads.
Intervals are Student's over the seeds. TextFooler runs without its sentence encoder and tagger. Writes
``benchmarks/results/taichi_head.json``. Takes ten minutes on one core.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, set_seed

from benchmarks.experiments.small_model import flags_parser, write_result
from benchmarks.study.packaged import packaged_model
from hf_robust.attacks import ATTACKS, Resources, Victim, attack_dataset, choose_examples
from hf_robust.data import TextDataset
from hf_robust.data.files import read_rows
from hf_robust.lexicons import load_lexicon
from hf_robust.losses import sample_kl
from hf_robust.models import with_mean_head
from hf_robust.trainers import METHODS

CLASSES, LENGTH, ROWS, TESTED, ATTACKED = 6, 50, 1000, 500, 200
TRAINING: dict[str, Any] = {
    "num_train_epochs": 8, "learning_rate": 1e-3, "per_device_train_batch_size": 32, "per_device_eval_batch_size": 100,
}  # fmt: skip
HEADS = ("own", "mean")
VARIANTS, FAILED = ("base_adv", "no_kl"), ("drop", "clean")
NORMAL = "normal"
SETTINGS = {NORMAL: ("", ""), **{f"{one}, {failed}": (one, failed) for one in VARIANTS for failed in FAILED}}
MEASURES = ("clean accuracy", "accuracy on x'", "KL of pairs")
Pairs = list[tuple[tuple[str, ...], tuple[str, ...], int]]


def main() -> None:
    flags = flags_parser(__doc__, "trec/ and resources/").parse_args()
    write([SeedMeasurement(flags.data, seed).values() for seed in flags.seeds], flags.seeds)


def write(results: list[dict[str, dict[str, float]]], seeds: list[int]) -> None:
    """Write the result file from the measurements of each seed."""
    result = {
        "model": "bert_tiny", "data": "trec", "seeds": seeds, "rows": ROWS, "attacked_test_rows": ATTACKED,
        "training": TRAINING, "settings": SETTINGS,
        "measured": {
            model: {measure: interval([result[model][measure] for result in results]) for measure in measures}
            for model, measures in results[0].items()
        },
        "differences": {
            f"{second} - {first}": {
                measure: interval([result[second][measure] - result[first][measure] for result in results])
                for measure in MEASURES
            }
            for first, second in contrasts()
        },
    }  # fmt: skip
    write_result("taichi_head", result, "measured", "differences")


def contrasts() -> list[tuple[str, str]]:
    """Pairs of models to compare: both heads in each setting, and both treatments of failed rows for each variant."""
    heads = [(f"own, {setting}", f"mean, {setting}") for setting in SETTINGS]
    return heads + [
        (f"{head}, {variant}, drop", f"{head}, {variant}, clean") for head in HEADS for variant in VARIANTS
    ]


class SeedMeasurement:
    """Trains the models of one seed and measures them on clean texts and pairs."""

    def __init__(self, data: Path, seed: int) -> None:
        self.seed, self.name = seed, packaged_model("bert_tiny")
        self.tokenizer = AutoTokenizer.from_pretrained(self.name)
        train = read_rows(data / "trec" / "train.jsonl.gz")[:ROWS]
        test = read_rows(data / "trec" / "test.jsonl.gz")[:TESTED]
        self.train, self.test = (
            TextDataset(rows, ("sentence",), self.tokenizer, max_length=LENGTH) for rows in (train, test)
        )
        table = load_lexicon(str(data / "resources" / "counterfitted_neighbors.json.gz"))
        self.attack = ATTACKS["textfooler"](Resources(synonyms=table))

    def values(self) -> dict[str, dict[str, float]]:
        """Head and setting -> measurements, with the share of training rows whose attack failed for that head."""
        models: dict[str, Any] = {}
        failed = {}
        pairs: Pairs = []
        for head in HEADS:
            with tempfile.TemporaryDirectory() as folder:
                plain = self._trained(head, NORMAL, Path(folder, NORMAL))
                models[f"{head}, {NORMAL}"] = plain
                pairs += self._pairs(plain)
                paths: dict[str, Any] = {"view_victim": str(Path(folder, NORMAL)), "view_cache": folder}
                for setting, (variant, of_failed) in list(SETTINGS.items())[:0:-1]:
                    place = Path(folder, setting.replace(", ", "_"))
                    options = {"taichi_variant": variant, "failed_views": of_failed, **paths}
                    models[f"{head}, {setting}"] = self._trained(head, "taichi", place, **options)
                    if "view_file" not in paths:  # the others train on the same attacks
                        view_file = place / "_views" / "textfooler-round0.jsonl"
                        paths = {"view_file": [str(view_file)]}
                        header = json.loads(view_file.read_text().split("\n", 1)[0])
                        texts = [json.loads(line) for line in view_file.read_text().splitlines()[1:]]
                        failed[head] = sum(record["failed"] for record in texts) / header["attempts"]
        by_model = {key: self._measured(model, pairs) for key, model in models.items()}
        return {key: {**record, "failed": failed[key.split(", ")[0]]} for key, record in by_model.items()}

    def _trained(self, head: str, method: str, folder: Path, **options: Any) -> Any:
        config = AutoConfig.from_pretrained(self.name, num_labels=CLASSES)
        set_seed(self.seed)
        model = AutoModelForSequenceClassification.from_pretrained(
            self.name, config=with_mean_head(config) if head == "mean" else config
        )
        arguments = METHODS[method].config(
            output_dir=str(folder), robust_method=method, seed=self.seed, save_strategy="no", report_to="none",
            use_cpu=True, disable_tqdm=True, **TRAINING, **options,
        )  # fmt: skip
        trainer = METHODS[method](
            model=model, args=arguments, train_dataset=self.train, processing_class=self.tokenizer,
            attacks={"textfooler": self.attack} if method != NORMAL else None,
        )  # fmt: skip
        trainer.train()
        trainer.save_model()
        return model.eval()

    def _pairs(self, model: Any) -> Pairs:
        examples = choose_examples(self.test, ATTACKED, self.seed)
        records = attack_dataset(self.attack, self._victim(model), examples)
        successes = [record for record in records if record.status == "succeeded"]
        return [(tuple(record.original), tuple(record.perturbed), record.label) for record in successes]

    def _victim(self, model: Any) -> Victim:
        return Victim(model, self.tokenizer, max_length=LENGTH)

    def _measured(self, model: Any, pairs: Pairs) -> dict[str, float]:
        victim = self._victim(model)
        rows = range(len(self.test))
        with victim.measuring():
            clean = victim.probabilities([self.test.texts(row) for row in rows])
            on_texts, adv = (victim.probabilities([pair[side] for pair in pairs]) for side in (0, 1))
        labels = np.array([pair[2] for pair in pairs])
        logs = [torch.tensor(np.asarray(probabilities)).clamp(min=1e-12).log() for probabilities in (on_texts, adv)]
        correct = clean.argmax(1) == [self.test.label(row) for row in rows]
        values = (correct.mean(), (adv.argmax(1) == labels).mean(), sample_kl(*logs).mean())
        return {what: float(value) for what, value in zip(MEASURES, values, strict=True)}


def interval(values: list[float]) -> dict[str, float]:
    """Mean over seeds with Student's 95 % interval."""
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(set(values)) > 1 else 0.0
    return {"value": round(mean, 3), "low": round(mean - half, 3), "high": round(mean + half, 3)}


if __name__ == "__main__":
    main()
