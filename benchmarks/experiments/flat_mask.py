"""Does FLAT's word mask learn to tell words apart, and which change of the implementation makes it?

    python -m benchmarks.experiments.flat_mask --data DIR [--seeds 1 2 3]

BERT-tiny is trained with `flat` on the clean texts of SST-2 for three epochs, in three settings. First ("before") the
mask reads raw word embeddings from PyTorch's initial weights, and masked words are left out of the attention mask.
Second, its input is normalised. Third ("after"), masked words are also attended to, all words start with the same high
probability of being kept, and the mask has its own learning rate.
phi is taken for the words that occur at least three times in 2,000 training texts. The importance of a word to the
model is the change in the difference of the logits when the word is left out, without any mask; it is a mean over the
occurrences in 300 test texts, for words with at least three. The rank correlation is Spearman's between it and phi.
Accuracies are on the whole test set. Intervals are 95 % bootstrap intervals over words, for accuracies over texts, of
all seeds together. Nothing is attacked. Writes ``benchmarks/results/flat_mask.json``. Takes ten minutes on one core.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

from benchmarks.experiments.small_model import flags_parser, write_result
from benchmarks.study.packaged import packaged_model
from hf_robust.attacks import ATTACKS, Resources, Victim
from hf_robust.data import TextDataset
from hf_robust.data.files import read_rows
from hf_robust.lexicons import TableLexicon
from hf_robust.metrics import sampled_rows
from hf_robust.metrics.paired import DRAWS
from hf_robust.trainers import METHODS
from hf_robust.trainers.flat import FIRST_SPREAD
from hf_robust.training.mask_report import correct_rows, predict_sampled, predict_unmasked
from hf_robust.words import Text

BEFORE, NORM, AFTER = "before", "input of one norm", "after"
SETTINGS: dict[str, dict[str, Any]] = {
    BEFORE: {"normalised": False, "attended": False, "alike": False, "mask_learning_rate": 3e-4, "mask_bias": 0.0},
    NORM: {"normalised": True, "attended": False, "alike": False, "mask_learning_rate": 3e-4, "mask_bias": 0.0},
    AFTER: {"normalised": True, "attended": True, "alike": True, "mask_learning_rate": None, "mask_bias": None},
}
"""Whether the mask's input is normalised, whether masked words are attended to, and whether all words start alike; the
mask's learning rate and initial bias, None for the defaults."""
TRAINING: dict[str, Any] = {
    "learning_rate": 3e-4, "num_train_epochs": 3, "warmup_steps": 50, "per_device_train_batch_size": 32,
}  # fmt: skip
TEXTS, OFTEN, MASKS = 300, 3, 5
Values = np.ndarray[Any, Any]


def main() -> None:
    flags = flags_parser(__doc__, "sst2/train.jsonl.gz and test.jsonl.gz").parse_args()
    results = {name: [measure(flags.data, seed, name) for seed in flags.seeds] for name in SETTINGS}
    result = {
        "model": "bert_tiny", "data": "sst2", "seeds": flags.seeds, "training": TRAINING, "texts": TEXTS,
        "settings": SETTINGS,
        "measured": {name: summary(seeds) for name, seeds in results.items()},
    }  # fmt: skip
    write_result("flat_mask", result, "measured")


def measure(data: Path, seed: int, setting: str) -> dict[str, Values]:
    """Measure one trained model.

    Returns:
        ``phi`` (words,); ``ranked`` (words, 2), phi and the importance to the model; ``right`` (texts, 3), whether
        each test text is classified correctly at the expected mask and without a mask, and the share of sampled
        masks at which it is.
    """
    name = packaged_model("bert_tiny")
    tokenizer = AutoTokenizer.from_pretrained(name)
    train, test = (
        TextDataset(read_rows(data / "sst2" / f"{split}.jsonl.gz"), ("sentence",), tokenizer, max_length=64)
        for split in ("train", "test")
    )
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=2)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(model, train, tokenizer, folder, seed, SETTINGS[setting])
        change(trainer, SETTINGS[setting])
        trainer.train()
    phi = trainer.report.word_importances()
    word_effects = importances(model, tokenizer, [test.texts(row)[0] for row in sampled_rows(len(test), TEXTS)])
    rows = range(len(test))
    masks = [correct_rows(trainer, test, rows, predict_sampled(trainer, draw)).float() for draw in range(MASKS)]
    columns = [
        correct_rows(trainer, test, rows, trainer.inference),
        correct_rows(trainer, test, rows, predict_unmasked),
    ]
    return {
        "phi": np.array(list(phi.values())),
        "ranked": np.array([(phi[word], word_effects[word]) for word in sorted(phi.keys() & word_effects.keys())]),
        "right": np.stack(
            [*(column.float().numpy() for column in columns), torch.stack(masks).mean(0).numpy()], axis=1
        ),
    }


def build(model: Any, data: Any, tokenizer: Any, folder: str, seed: int, setting: dict[str, Any]) -> Any:
    """A `flat` trainer that trains on clean texts alone."""
    method = METHODS["flat"]
    # There are no adversarial rounds, but the method requires an attack.
    attack = ATTACKS["synonym"](Resources(synonyms=TableLexicon(read_table(data), name="copies", relation="synonym")))
    arguments = method.config(
        output_dir=folder, robust_method="flat", seed=seed, n_rounds=0, clean_epochs=0, save_strategy="no",
        train_sampling_strategy="group_by_length", per_device_eval_batch_size=128, report_to="none", use_cpu=True,
        disable_tqdm=True, logging_strategy="no", mask_learning_rate=setting["mask_learning_rate"],
        mask_bias=setting["mask_bias"], **TRAINING,
    )  # fmt: skip
    return method(
        model=model, args=arguments, train_dataset=data, processing_class=tokenizer, attacks={"synonym": attack}
    )


def read_table(data: Any) -> dict[str, list[str]]:
    """A table that gives each word of some rows one substitute, so that the attack covers the data."""
    words = sorted({word for row in range(200) for word in Text(data.texts(row)).tokens})
    return {word: [other] for word, other in zip(words, words[1:], strict=False)}


def change(trainer: Any, setting: dict[str, Any]) -> None:
    """Change the mask of a trainer to a setting."""
    masking = trainer.masking
    masking.network.normalised, masking.attention = setting["normalised"], not setting["attended"]
    if not setting["alike"]:
        with torch.no_grad():
            for parameter in masking.network.score.parameters():
                parameter.div_(FIRST_SPREAD)


def importances(model: Any, tokenizer: Any, texts: Sequence[str]) -> dict[str, float]:
    """Lower-case word -> mean absolute change in the difference of the two logits when the word is left out."""
    victim = Victim(model, tokenizer, max_length=64)
    whole = [Text((text,)) for text in texts]
    left_out = [(place, word) for place, text in enumerate(whole) for word in range(len(text.words))]
    queries = [*(text.columns for text in whole), *(whole[place].delete(word).columns for place, word in left_out)]
    scores = np.log(np.maximum(victim.probabilities(queries), 1e-30))
    margins = scores[:, 1] - scores[:, 0]
    changes = defaultdict[str, list[float]](list)
    for (place, word), margin in zip(left_out, margins[len(whole) :], strict=True):
        changes[whole[place].words[word].text.lower()].append(abs(float(margins[place] - margin)))
    return {word: float(np.mean(values)) for word, values in changes.items() if len(values) >= OFTEN}


def summary(seeds: Sequence[dict[str, Values]]) -> dict[str, Any]:
    """Each quantity as a mean over seeds, with its interval and the value of each seed."""
    words, ranks, texts = ([values[key] for values in seeds] for key in ("phi", "ranked", "right"))
    return {
        "phi mean": interval(words, np.mean),
        "phi std": interval(words, np.std),
        "rank correlation": interval(ranks, lambda rows: spearmanr(rows[:, 0], rows[:, 1]).statistic),
        "accuracy at the expected mask": interval(texts, lambda rows: rows[:, 0].mean()),
        "accuracy without a mask": interval(texts, lambda rows: rows[:, 1].mean()),
        "accuracy with sampled masks": interval(texts, lambda rows: rows[:, 2].mean()),
        "expected less none": interval(texts, lambda rows: (rows[:, 0] - rows[:, 1]).mean()),
        "words": [len(values) for values in words],
        "ranked words": [len(values) for values in ranks],
    }


def interval(seeds: Sequence[Values], of: Callable[[Values], Any]) -> dict[str, Any]:
    """Mean of a quantity over seeds, with the bootstrap interval over the rows of each seed."""
    rng = np.random.default_rng(0)
    drawn = [
        np.mean([of(rows[rng.integers(0, len(rows), len(rows))]) for rows in seeds]) for _ in range(min(DRAWS, 1000))
    ]
    values = [float(of(rows)) for rows in seeds]
    low, high = np.percentile(drawn, [2.5, 97.5])
    numbers = {"value": np.mean(values), "low": low, "high": high}
    return {
        **{name: round(float(number), 4) for name, number in numbers.items()},
        "seeds": [round(number, 4) for number in values],
    }


if __name__ == "__main__":
    main()
