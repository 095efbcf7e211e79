"""Flags of model and data: those of run_glue, and the additional ones of run_classification."""

from dataclasses import dataclass, field

from hf_robust.data.tasks import GLUE_TASKS

NEW_WORD_MODELS = ("lstm", "cnn")
"""Word models that start without a checkpoint and take their vocabulary from the data."""
NEW_MODELS = ("demo", *NEW_WORD_MODELS)
"""Values of --model_name_or_path that are not checkpoints."""
OWN_HEAD, MEAN_HEAD = CLASSIFIER_HEADS = ("own", "mean")
"""Values of --classifier_head: the head of the model's own class, or one linear layer on the mean of the tokens."""


@dataclass
class DataTrainingArguments:
    """Flags of data, columns, text length and number of rows. Flags of run_glue keep their meaning and defaults."""

    task_name: str | None = field(
        default=None, metadata={"help": "GLUE task to train on: " + ", ".join(GLUE_TASKS) + "."}
    )
    glue_dir: str | None = field(
        default=None,
        metadata={
            "help": "Read the GLUE task from this folder instead of the hub: GLUE_DIR/TASK/SPLIT.jsonl (also .json, "
            ".csv, .tsv, .parquet; .gz too), or a folder whose README.md has `configs`."
        },
    )
    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "Data set to train on: an id on the hub, a local folder with one file for each split, or `demo` "
            "for the built-in corpus."
        },
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "Configuration of --dataset_name."})
    train_file: str | None = field(
        default=None, metadata={"help": "Training rows: a csv, tsv, json or jsonl file (.gz too) or a parquet file."}
    )
    validation_file: str | None = field(default=None, metadata={"help": "Validation rows, a file as --train_file."})
    test_file: str | None = field(default=None, metadata={"help": "Rows for --do_predict, a file as --train_file."})
    extra_rows: list[str] | None = field(
        default=None,
        metadata={
            "help": "Files of texts that an earlier run made of this training set (its _views/*.jsonl): they are "
            "training rows too, with their labels. For methods that make no texts of their own (see --view_file)."
        },
    )

    label_column_name: str | None = field(default=None, metadata={"help": "Column of the labels (default: label)."})
    text_column_names: str | None = field(
        default=None,
        metadata={
            "help": "Text columns, comma separated: one, or two for pairs (default: sentence1 and sentence2, else the "
            "first one or two columns beside the label). With --text_column_delimiter they become one text."
        },
    )
    text_column_delimiter: str | None = field(
        default=None, metadata={"help": "Join the --text_column_names into a single text with this between them."}
    )
    class_names: list[str] | None = field(
        default=None,
        metadata={
            "help": "Names of the classes: of integer labels in their order from 0, or, where the data has names, of "
            "the model's classes in theirs."
        },
    )
    do_regression: bool | None = field(
        default=None, metadata={"help": "Predict a number; unset: yes where the labels are floats."}
    )
    metric_name: str | None = field(
        default=None, metadata={"help": "What to measure instead of the task's own metrics, e.g. f1_macro."}
    )
    train_split_name: str | None = field(
        default=None, metadata={"help": "Split(s) to train on, comma separated (default: train)."}
    )
    validation_split_name: str | None = field(
        default=None, metadata={"help": "Split(s) to evaluate on, comma separated (default: validation)."}
    )
    test_split_name: str | None = field(
        default=None, metadata={"help": "Split(s) to predict, comma separated (default: test)."}
    )
    remove_splits: str | None = field(default=None, metadata={"help": "Splits to leave out, comma separated."})
    remove_columns: str | None = field(default=None, metadata={"help": "Columns to leave out, comma separated."})

    max_seq_length: int = field(
        default=128, metadata={"help": "Longest input in tokens; longer ones are cut, shorter ones padded."}
    )
    pad_to_max_length: bool = field(
        default=True, metadata={"help": "Pad to --max_seq_length; False: to the longest input of each batch."}
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on the first so many rows."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Evaluate on the first so many rows."})
    max_predict_samples: int | None = field(default=None, metadata={"help": "Predict the first so many rows."})
    shuffle_train_dataset: bool = field(
        default=False, metadata={"help": "Shuffle the training rows once, before --max_train_samples."}
    )
    shuffle_seed: int = field(default=42, metadata={"help": "Seed of --shuffle_train_dataset."})
    overwrite_cache: bool = field(
        default=False, metadata={"help": "Accepted for run_glue command lines: tokens are not cached, nothing to do."}
    )
    preprocessing_num_workers: int | None = field(
        default=None, metadata={"help": "Accepted for run_classification command lines: one process tokenises."}
    )

    def __post_init__(self) -> None:
        if self.task_name is not None:
            self.task_name = self.task_name.lower()
            if self.task_name not in GLUE_TASKS:
                raise ValueError(f"--task_name {self.task_name} is not a GLUE task: {', '.join(GLUE_TASKS)}.")
        elif self.glue_dir is not None:
            raise ValueError("--glue_dir needs a --task_name; for other folders use --dataset_name.")
        elif self.dataset_name is None and not (self.train_file or self.validation_file or self.test_file):
            raise ValueError(
                "no data is named: give a GLUE task (--task_name), a --dataset_name, or --train_file and "
                "--validation_file."
            )
        if self.text_column_delimiter is not None and self.text_column_names is None:
            raise ValueError("--text_column_delimiter needs --text_column_names, the columns to join.")
        for flag in ("max_seq_length", "max_train_samples", "max_eval_samples", "max_predict_samples"):
            value = getattr(self, flag)
            if value is not None and value < 1:
                raise ValueError(f"--{flag} must be at least 1, got {value}; leave it out for the default.")


@dataclass
class ModelArguments:
    """Flags of model, configuration, tokenizer and LoRA adapters."""

    model_name_or_path: str = field(
        metadata={
            "help": "Checkpoint to start from: an id on the hub, a folder, or a small new model: `demo` (a BERT), "
            "`lstm` or `cnn` (over words of the training texts and of --word_vectors, from which they start)."
        }
    )
    config_name: str | None = field(default=None, metadata={"help": "Configuration, if not the model's."})
    tokenizer_name: str | None = field(default=None, metadata={"help": "Tokenizer, if not the model's."})
    cache_dir: str | None = field(default=None, metadata={"help": "Where downloads are kept."})
    use_fast_tokenizer: bool = field(default=True, metadata={"help": "Use the fast tokenizer where there is one."})
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit of the model."})
    token: str | None = field(
        default=None, metadata={"help": "Hub token for private files (default: that of `hf auth login`)."}
    )
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Run model or data set code that comes from the hub; read it first."}
    )
    ignore_mismatched_sizes: bool = field(
        default=False, metadata={"help": "Start a new head where the checkpoint's has another number of classes."}
    )
    classifier_head: str = field(
        default=OWN_HEAD,
        metadata={
            "help": "What reads a text: own, the head of the checkpoint's class, or mean, one linear layer on the "
            "mean of its last hidden states (TaiChi, Section 3.2), a new one unless the checkpoint has it.",
            "choices": list(CLASSIFIER_HEADS),
        },
    )
    vocabulary_size: int | None = field(
        default=None, metadata={"help": "Most words that a new lstm or cnn knows. Default: 100,000."}
    )
    freeze_embeddings: bool = field(default=False, metadata={"help": "Leave the word embeddings as they start."})
    lora_rank: int = field(
        default=0, metadata={"help": "Train LoRA adapters of this rank and the head only; 0: all weights."}
    )
    lora_alpha: float = field(default=16.0, metadata={"help": "LoRA scale: adapters weigh lora_alpha / lora_rank."})
    lora_dropout: float = field(default=0.1, metadata={"help": "Dropout before each LoRA adapter."})
    lora_target_modules: list[str] | None = field(
        default=None,
        metadata={
            "help": "Layers that get an adapter, by the ends of their names, or `all-linear`. Default: attention's "
            "query and value, as peft has it. What no checkpoint held (a head, a pooler) trains as a whole."
        },
    )

    def __post_init__(self) -> None:
        if self.classifier_head not in CLASSIFIER_HEADS:
            raise ValueError(f"--classifier_head must be {' or '.join(CLASSIFIER_HEADS)}, got {self.classifier_head}.")
        if self.lora_rank < 0:
            raise ValueError(f"--lora_rank must be at least 0, got {self.lora_rank}; 0 trains all weights.")
        if self.vocabulary_size is not None and not self.is_new_word_model:
            raise ValueError(
                f"--vocabulary_size is for a new {' or '.join(NEW_WORD_MODELS)}, and {self.model_name_or_path} has a "
                "vocabulary: leave it out."
            )

    @property
    def is_new_word_model(self) -> bool:
        """Whether the model is a new word model, whose vocabulary comes from the data."""
        return self.model_name_or_path in NEW_WORD_MODELS
