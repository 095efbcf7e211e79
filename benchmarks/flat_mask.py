"""Does FLAT's word mask tell words apart, and what lets it? Asked of a mask that is trained with its classifier.

    python benchmarks/flat_mask.py --data DIR [--seeds 1 2 3]

BERT-tiny is trained with `flat` on the clean texts of SST-2, three epochs, in steps from what the mask was to what it
is: it read raw word embeddings from PyTorch's first weights, and masked words left the attention mask; then its input
has one norm; then masked words are attended to, words start alike and nearly always kept, and the mask has a learning
rate of its own.
phi is of the words that 2,000 training texts hold three times or more. A word's own importance to the model is what
leaving it out changes in the difference of the logits, without any mask, a mean over the places of 300 test texts that
hold it three times or more; the rank correlation is Spearman's with phi. Accuracies are on the whole test set.
Intervals are 95 % bootstrap intervals over words, of accuracies over texts, of all seeds together. Writes
``benchmarks/results/flat_mask.json``. Ten minutes on one core; nothing is attacked.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

# As a script this file's own folder is on the path, not the checkout.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import over_seeds
from benchmarks.run import packaged_model
from hf_robust.attacks import ATTACKS, Resources, Victim
from hf_robust.data import TextDataset
from hf_robust.data.files import read_rows
from hf_robust.lexicons import TableLexicon
from hf_robust.metrics import some_rows
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
"""Whether the mask's input has one norm, masked words are attended to, and all words start alike; its learning rate
and first score of keeping, None for the defaults."""
TRAINING: dict[str, Any] = {
    "learning_rate": 3e-4, "num_train_epochs": 3, "warmup_steps": 50, "per_device_train_batch_size": 32,
}  # fmt: skip
TEXTS, OFTEN, MASKS = 300, 3, 5
Values = np.ndarray[Any, Any]


def main() -> None:
    flags = over_seeds.parser(__doc__, "sst2/train.jsonl.gz and test.jsonl.gz").parse_args()
    found = {name: [measure(flags.data, seed, name) for seed in flags.seeds] for name in SETTINGS}
    result = {
        "model": "bert_tiny", "data": "sst2", "seeds": flags.seeds, "training": TRAINING, "texts": TEXTS,
        "settings": SETTINGS,
        "measured": {name: summary(seeds) for name, seeds in found.items()},
    }  # fmt: skip
    over_seeds.write("flat_mask", result, "measured")


def measure(data: Path, seed: int, setting: str) -> dict[str, Values]:
    """``phi`` (words,), ``ranked`` (words, 2) phi and the model's own importance, and ``right`` (texts, 3): whether
    each test text is classified correctly at the expected mask, without one, and on how many of the sampled masks."""
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
    own = importances(model, tokenizer, [test.texts(row)[0] for row in some_rows(len(test), TEXTS)])
    rows = range(len(test))
    masks = [correct_rows(trainer, test, rows, predict_sampled(trainer, draw)).float() for draw in range(MASKS)]
    columns = [
        correct_rows(trainer, test, rows, trainer.inference),
        correct_rows(trainer, test, rows, predict_unmasked),
    ]
    return {
        "phi": np.array(list(phi.values())),
        "ranked": np.array([(phi[word], own[word]) for word in sorted(phi.keys() & own.keys())]),
        "right": np.stack([*(one.float().numpy() for one in columns), torch.stack(masks).mean(0).numpy()], axis=1),
    }


def build(model: Any, data: Any, tokenizer: Any, folder: str, seed: int, setting: dict[str, Any]) -> Any:
    """A trainer of `flat` on clean texts alone."""
    method = METHODS["flat"]
    # No round is made; a method that attacks has to be given an attack.
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
    """Each word of some rows with another one: a table that covers something."""
    words = sorted({word for row in range(200) for word in Text(data.texts(row)).tokens})
    return {word: [other] for word, other in zip(words, words[1:], strict=False)}


def change(trainer: Any, setting: dict[str, Any]) -> None:
    """Bring a trainer's mask to one of the settings."""
    masking = trainer.masking
    masking.network.normalised, masking.attention = setting["normalised"], not setting["attended"]
    if not setting["alike"]:
        with torch.no_grad():
            for parameter in masking.network.score.parameters():
                parameter.div_(FIRST_SPREAD)


def importances(model: Any, tokenizer: Any, texts: Sequence[str]) -> dict[str, float]:
    """By word in lower case, how much leaving it out moves the difference of two logits."""
    victim = Victim(model, tokenizer, max_length=64)
    whole = [Text((text,)) for text in texts]
    left_out = [(place, word) for place, text in enumerate(whole) for word in range(len(text.words))]
    queries = [*(text.columns for text in whole), *(whole[place].delete(word).columns for place, word in left_out)]
    scores = np.log(np.maximum(victim.probabilities(queries), 1e-30))
    margins = scores[:, 1] - scores[:, 0]
    found = defaultdict[str, list[float]](list)
    for (place, word), margin in zip(left_out, margins[len(whole) :], strict=True):
        found[whole[place].words[word].text.lower()].append(abs(float(margins[place] - margin)))
    return {word: float(np.mean(values)) for word, values in found.items() if len(values) >= OFTEN}


def summary(seeds: Sequence[dict[str, Values]]) -> dict[str, Any]:
    """Every quantity as a mean over seeds, with its interval and the value of each seed."""
    words, ranks, texts = ([one[key] for one in seeds] for key in ("phi", "ranked", "right"))
    return {
        "phi mean": interval(words, np.mean),
        "phi std": interval(words, np.std),
        "rank correlation": interval(ranks, lambda rows: spearmanr(rows[:, 0], rows[:, 1]).statistic),
        "accuracy at the expected mask": interval(texts, lambda rows: rows[:, 0].mean()),
        "accuracy without a mask": interval(texts, lambda rows: rows[:, 1].mean()),
        "accuracy with sampled masks": interval(texts, lambda rows: rows[:, 2].mean()),
        "expected less none": interval(texts, lambda rows: (rows[:, 0] - rows[:, 1]).mean()),
        "words": [len(one) for one in words],
        "ranked words": [len(one) for one in ranks],
    }


def interval(seeds: Sequence[Values], of: Callable[[Values], Any]) -> dict[str, Any]:
    """The mean over seeds of a quantity, with the bootstrap interval over the rows of each."""
    rng = np.random.default_rng(0)
    drawn = [
        np.mean([of(rows[rng.integers(0, len(rows), len(rows))]) for rows in seeds]) for _ in range(min(DRAWS, 1000))
    ]
    values = [float(of(rows)) for rows in seeds]
    low, high = np.percentile(drawn, [2.5, 97.5])
    found = {"value": np.mean(values), "low": low, "high": high}
    return {**{name: round(float(one), 4) for name, one in found.items()}, "seeds": [round(one, 4) for one in values]}


if __name__ == "__main__":
    main()
