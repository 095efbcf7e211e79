"""What TaiChi's head and its pairing of every row change: BERT-tiny on TREC, two of its ablations.

    python benchmarks/taichi_head.py --data DIR [--seeds 1 2 3]

For each head a plain model (``normal``, the paper's Base_clean) is trained and attacked on the training texts, once;
``taichi`` then trains on the pairs as ``base_adv`` (adversarial texts alone) and ``no_kl`` (without KL), with the rows
whose attack failed left out (``--failed_views drop``) or with their own text (``clean``). All models of a seed are
measured on the same pairs: test texts, and the texts that fooled the plain model of either head. Intervals are
Student's over the seeds. TextFooler's attack is without its sentence encoder and its tagger. Writes
``benchmarks/results/taichi_head.json``; ten minutes on one core.
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

from benchmarks.experiments import small_model as over_seeds
from benchmarks.study.run import packaged_model
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
    flags = over_seeds.parser(__doc__, "trec/ and resources/").parse_args()
    write([Measured(flags.data, seed).values() for seed in flags.seeds], flags.seeds)


def write(seen: list[dict[str, dict[str, float]]], seeds: list[int]) -> None:
    """The result file of what was measured with each seed."""
    result = {
        "model": "bert_tiny", "data": "trec", "seeds": seeds, "rows": ROWS, "attacked_test_rows": ATTACKED,
        "training": TRAINING, "settings": SETTINGS,
        "measured": {
            key: {what: interval([one[key][what] for one in seen]) for what in seen[0][key]} for key in seen[0]
        },
        "differences": {
            f"{second} - {first}": {
                what: interval([one[second][what] - one[first][what] for one in seen]) for what in MEASURES
            }
            for first, second in contrasts()
        },
    }  # fmt: skip
    over_seeds.write("taichi_head", result, "measured", "differences")


def contrasts() -> list[tuple[str, str]]:
    """Of each setting the two heads, and of each head and variant the two ways with rows whose attack failed."""
    heads = [(f"own, {setting}", f"mean, {setting}") for setting in SETTINGS]
    return heads + [(f"{head}, {one}, drop", f"{head}, {one}, clean") for head in HEADS for one in VARIANTS]


class Measured:
    """The models of one seed, and what they make of clean texts and pairs."""

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
        """By head and setting what was measured; of the heads also the share of training rows whose attack failed."""
        models: dict[str, Any] = {}
        failed = {}
        pairs: Pairs = []
        for head in HEADS:
            with tempfile.TemporaryDirectory() as folder:
                plain = self._trained(head, NORMAL, Path(folder, NORMAL))
                models[f"{head}, {NORMAL}"] = plain
                pairs += self._pairs(plain)
                given: dict[str, Any] = {"view_victim": str(Path(folder, NORMAL)), "view_cache": folder}
                for setting, (variant, of_failed) in list(SETTINGS.items())[:0:-1]:
                    place = Path(folder, setting.replace(", ", "_"))
                    options = {"taichi_variant": variant, "failed_views": of_failed, **given}
                    models[f"{head}, {setting}"] = self._trained(head, "taichi", place, **options)
                    if "view_file" not in given:  # the others train on the same attacks
                        made = place / "_views" / "textfooler-round0.jsonl"
                        given = {"view_file": [str(made)]}
                        header = json.loads(made.read_text().split("\n", 1)[0])
                        texts = [json.loads(line) for line in made.read_text().splitlines()[1:]]
                        failed[head] = sum(one["failed"] for one in texts) / header["attempts"]
        found = {key: self._measured(model, pairs) for key, model in models.items()}
        return {key: {**one, "failed": failed[key.split(", ")[0]]} for key, one in found.items()}

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
        found = [one for one in records if one.status == "succeeded"]
        return [(tuple(one.original), tuple(one.perturbed), one.label) for one in found]

    def _victim(self, model: Any) -> Victim:
        return Victim(model, self.tokenizer, max_length=LENGTH)

    def _measured(self, model: Any, pairs: Pairs) -> dict[str, float]:
        victim = self._victim(model)
        rows = range(len(self.test))
        with victim.measuring():
            clean = victim.probabilities([self.test.texts(row) for row in rows])
            own, adv = (victim.probabilities([pair[side] for pair in pairs]) for side in (0, 1))
        labels = np.array([pair[2] for pair in pairs])
        logs = [torch.tensor(np.asarray(one)).clamp(min=1e-12).log() for one in (own, adv)]
        right = clean.argmax(1) == [self.test.label(row) for row in rows]
        found = (right.mean(), (adv.argmax(1) == labels).mean(), sample_kl(*logs).mean())
        return {what: float(value) for what, value in zip(MEASURES, found, strict=True)}


def interval(values: list[float]) -> dict[str, float]:
    """The mean over seeds with Student's 95 % interval."""
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(set(values)) > 1 else 0.0
    return {"value": round(mean, 3), "low": round(mean - half, 3), "high": round(mean + half, 3)}


if __name__ == "__main__":
    main()
