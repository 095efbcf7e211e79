"""``--streaming``: what does not work with training rows that are read while the model trains."""

from __future__ import annotations

from hf_robust.data.arguments import DataTrainingArguments, ModelArguments
from hf_robust.trainers import RobustTrainer
from hf_robust.training.arguments import RobustTrainingArguments

SEQUENTIAL = "sequential"
"""Value of --train_sampling_strategy for training rows in the order of their source."""


def check_streaming(
    data: DataTrainingArguments,
    model: ModelArguments,
    training: RobustTrainingArguments,
    method: type[RobustTrainer],
) -> None:
    """Refuse, before anything is loaded, ``--streaming`` with what needs all training rows.

    Raises:
        ValueError: nothing is trained, there is no ``--max_steps``, or the method or a flag needs the rows.
    """
    if not data.streaming:
        return
    if not training.do_train:
        raise ValueError("--streaming is for training rows, and nothing is trained: add --do_train, or leave it out.")
    if training.max_steps <= 0:
        raise ValueError(
            "--streaming does not count the training rows: set the length of the training by --max_steps."
        )
    reason = method.needs_whole_data(training)
    if reason:
        raise ValueError(
            f"--streaming keeps no training rows in memory, and {method.name} {reason}: leave --streaming out, or use "
            "a method that perturbs embeddings, such as freelb."
        )
    for flag, (given, why) in unstreamed(data, model, training).items():
        if given:
            raise ValueError(f"{flag} does not work with --streaming: {why}; leave one of the two out.")


def unstreamed(
    data: DataTrainingArguments, model: ModelArguments, training: RobustTrainingArguments
) -> dict[str, tuple[bool, str]]:
    """Flags that ``--streaming`` excludes, each with whether it is given, and why."""
    sampling, workers = str(training.train_sampling_strategy), training.dataloader_num_workers
    return {
        "--max_train_samples": (data.max_train_samples is not None, "--max_steps says how many rows are used"),
        "--shuffle_train_dataset": (
            data.shuffle_train_dataset, f"rows are shuffled while they are read, unless --train_sampling_strategy is "
            f"{SEQUENTIAL}"
        ),
        "--extra_rows": (bool(data.extra_rows), "it adds rows to a training set in memory"),
        f"--model_name_or_path {model.model_name_or_path}": (
            model.is_new_word_model, "its vocabulary is made of all training texts"
        ),
        f"--train_sampling_strategy {sampling}": (
            sampling not in ("random", SEQUENTIAL), "it sorts rows that are not read yet"
        ),
        f"--dataloader_num_workers {workers}": (workers > 1, "a stream has one reader in each process, so use 0 or 1"),
    }  # fmt: skip


def stream_seed(training: RobustTrainingArguments) -> int | None:
    """The seed of the order of streamed rows, as of the Trainer's sampler; None for the order of the source."""
    if training.train_sampling_strategy == SEQUENTIAL:
        return None
    return int(training.seed if training.data_seed is None else training.data_seed)
