"""Flags of model and data: those of run_glue, and the additional ones of run_classification."""

from dataclasses import dataclass, field

from hf_robust.data.tasks import GLUE_TASKS

NEW_WORD_MODELS = ("lstm", "cnn")
"""Word models that start without a checkpoint and take their vocabulary from the data."""
NEW_MODELS = ("demo", *NEW_WORD_MODELS)
"""Values of --model_name_or_path that are not checkpoints."""
AUTO = "auto"
DTYPES = (AUTO, "float32", "bfloat16", "float16")
"""Values of --dtype."""
FLASH = "flash_attention_2"
ATTENTIONS = ("eager", "sdpa", FLASH)
"""Values of --attn_implementation."""
QUANTIZATIONS = ("4bit", "8bit")
"""Values of --quantization."""
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
            "help": "Folder to read the GLUE task from, in place of the Hub: GLUE_DIR/TASK/SPLIT.jsonl (also .json, "
            ".csv, .tsv, .parquet; .gz too), or a folder whose README.md has `configs`."
        },
    )
    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "Data set to train on: a Hub id, a local folder with one file for each split, or `demo` for the "
            "built-in corpus."
        },
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "Configuration of --dataset_name."})
    train_file: str | None = field(
        default=None, metadata={"help": "Training rows: a csv, tsv, json or jsonl file (.gz too) or a parquet file."}
    )
    validation_file: str | None = field(default=None, metadata={"help": "Validation rows: a file like --train_file."})
    test_file: str | None = field(default=None, metadata={"help": "Rows for --do_predict: a file like --train_file."})
    extra_rows: list[str] | None = field(
        default=None,
        metadata={
            "help": "Files of labelled texts that an earlier run made from this training set (its _views/*.jsonl), "
            "added to the training rows. For methods that make no texts of their own (see --view_file)."
        },
    )

    label_column_name: str | None = field(default=None, metadata={"help": "Column of the labels. Default: label."})
    text_column_names: str | None = field(
        default=None,
        metadata={
            "help": "Text columns, comma separated: one, or two for pairs; more with --text_column_delimiter. "
            "Default: sentence1 and sentence2, else the first one or two columns that are not the label."
        },
    )
    text_column_delimiter: str | None = field(
        default=None, metadata={"help": "Separator that joins the --text_column_names into one text."}
    )
    class_names: list[str] | None = field(
        default=None,
        metadata={
            "help": "Names of the classes. For integer labels: in the order 0, 1, ...; for labels that are names: in "
            "the order of the model's classes."
        },
    )
    do_regression: bool | None = field(
        default=None, metadata={"help": "Predict a number. Default: yes if the labels are floats."}
    )
    metric_name: list[str] | None = field(
        default=None,
        metadata={
            "help": "Metrics in place of the task's own: built-in ones, e.g. f1_macro, or names, Hub ids and folders "
            "that evaluate.load takes, with their configuration and settings, e.g. precision:average=macro."
        },
    )
    train_split_name: str | None = field(
        default=None, metadata={"help": "Splits to train on, comma separated. Default: train."}
    )
    validation_split_name: str | None = field(
        default=None, metadata={"help": "Splits to evaluate on, comma separated. Default: validation."}
    )
    test_split_name: str | None = field(
        default=None, metadata={"help": "Splits to predict, comma separated. Default: test."}
    )
    remove_splits: str | None = field(default=None, metadata={"help": "Splits to leave out, comma separated."})
    remove_columns: str | None = field(default=None, metadata={"help": "Columns to leave out, comma separated."})

    max_seq_length: int = field(
        default=128,
        metadata={"help": "Maximum length of an input in tokens: longer inputs are cut, shorter ones padded."},
    )
    pad_to_max_length: bool = field(
        default=True, metadata={"help": "Pad to --max_seq_length; False: to the longest input of each batch."}
    )
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Maximum number of training rows; the first ones are used."}
    )
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Maximum number of evaluation rows; the first ones are used."}
    )
    max_predict_samples: int | None = field(
        default=None, metadata={"help": "Maximum number of rows to predict; the first ones are used."}
    )
    shuffle_train_dataset: bool = field(
        default=False,
        metadata={"help": "Shuffle the training rows once. --max_train_samples then takes the first ones."},
    )
    shuffle_seed: int = field(default=42, metadata={"help": "Seed of --shuffle_train_dataset."})
    streaming: bool = field(
        default=False,
        metadata={"help": "Read the training rows while the model trains. Needs --max_steps."},
    )
    overwrite_cache: bool = field(
        default=False,
        metadata={"help": "Tokenise again: the tokens of a split of 20,000 rows or more are stored for later runs."},
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
        if self.shuffle_seed < 0:
            raise ValueError(f"--shuffle_seed must be at least 0, got {self.shuffle_seed}.")


@dataclass(kw_only=True)
class LoRAArguments:
    """Size and place of LoRA adapters."""

    lora_rank: int = field(
        default=0,
        metadata={
            "help": "Rank of LoRA adapters, which then train with the head and with other layers that no checkpoint "
            "held; 0: train all weights."
        },
    )
    lora_alpha: float = field(
        default=16.0, metadata={"help": "Scale of LoRA: an adapter weighs lora_alpha / lora_rank."}
    )
    lora_dropout: float = field(default=0.1, metadata={"help": "Dropout before each LoRA adapter."})
    lora_target_modules: list[str] = field(
        default_factory=lambda: ["all-linear"],
        metadata={
            "help": "Layers that get an adapter: ends of their names, or `all-linear` for all linear layers of the "
            "encoder."
        },
    )


@dataclass
class CheckpointArguments:
    """Which model, configuration and tokenizer to fine-tune from."""

    model_name_or_path: str = field(
        metadata={
            "help": "Checkpoint to start from: a Hub id, a folder, or the name of a small new model: `demo` (a "
            "BERT), `lstm` or `cnn` (their words are those of the training texts and of --word_vectors)."
        }
    )
    config_name: str | None = field(default=None, metadata={"help": "Configuration to use in place of the model's."})
    tokenizer_name: str | None = field(default=None, metadata={"help": "Tokenizer to use in place of the model's."})
    cache_dir: str | None = field(default=None, metadata={"help": "Folder for downloads."})
    use_fast_tokenizer: bool = field(default=True, metadata={"help": "Use the fast tokenizer if there is one."})
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit of the model."})
    token: str | None = field(
        default=None, metadata={"help": "Hub token for private files. Default: the token of `hf auth login`."}
    )
    trust_remote_code: bool = field(
        default=False,
        metadata={"help": "Run code of the model, data set or metric that comes from the Hub. Read the code first."},
    )
    ignore_mismatched_sizes: bool = field(
        default=False, metadata={"help": "Start a new head if the checkpoint's head has another number of classes."}
    )
    classifier_head: str = field(
        default=OWN_HEAD,
        metadata={
            "help": "Classification head. own: the head of the checkpoint's class; mean: one linear layer on the "
            "mean of the last hidden states (TaiChi, Section 3.2), a new one unless the checkpoint has it.",
            "choices": list(CLASSIFIER_HEADS),
        },
    )
    vocabulary_size: int | None = field(
        default=None, metadata={"help": "Maximum size of the vocabulary of a new lstm or cnn. Default: 100,000."}
    )
    freeze_embeddings: bool = field(default=False, metadata={"help": "Do not train the word embeddings."})
    dtype: str = field(
        default=AUTO,
        metadata={
            "help": "Data type of the weights, in memory and in what is saved. auto: as in the checkpoint.",
            "choices": list(DTYPES),
        },
    )
    attn_implementation: str | None = field(
        default=None,
        metadata={
            "help": "Implementation of attention. Default: sdpa if the architecture has it, else eager.",
            "choices": list(ATTENTIONS),
        },
    )

    def __post_init__(self) -> None:
        for flag, choices in (("dtype", DTYPES), ("attn_implementation", (None, *ATTENTIONS))):
            if getattr(self, flag) not in choices:
                names = ", ".join(filter(None, choices))
                raise ValueError(f"--{flag} must be one of {names}, got {getattr(self, flag)}.")
        if self.classifier_head not in CLASSIFIER_HEADS:
            raise ValueError(f"--classifier_head must be {' or '.join(CLASSIFIER_HEADS)}, got {self.classifier_head}.")
        if self.vocabulary_size is not None and not self.is_new_word_model:
            raise ValueError(
                f"--vocabulary_size is for a new {' or '.join(NEW_WORD_MODELS)}, and {self.model_name_or_path} has a "
                "vocabulary: leave it out."
            )

    @property
    def is_new_word_model(self) -> bool:
        """Whether the model is a new word model, whose vocabulary comes from the data."""
        return self.model_name_or_path in NEW_WORD_MODELS


@dataclass
class ModelArguments(LoRAArguments, CheckpointArguments):
    """Which model to fine-tune from, and whether to train LoRA adapters only."""

    quantization: str | None = field(
        default=None,
        metadata={
            "help": "Hold the linear layers of the encoder in 4 bits (QLoRA) or 8 bits, by bitsandbytes. Needs "
            "--lora_rank.",
            "choices": list(QUANTIZATIONS),
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lora_rank < 0:
            raise ValueError(f"--lora_rank must be at least 0, got {self.lora_rank}; 0 trains all weights.")
        if self.quantization is None:
            return
        if self.quantization not in QUANTIZATIONS:
            names = " or ".join(QUANTIZATIONS)
            raise ValueError(f"--quantization must be {names}, got {self.quantization}; leave it out for none.")
        if self.model_name_or_path in NEW_MODELS:
            raise ValueError(
                f"--quantization {self.quantization} is for a checkpoint, and {self.model_name_or_path} starts from "
                "random weights: leave it out."
            )
        if not self.lora_rank:
            raise ValueError(
                f"--quantization {self.quantization} holds weights that cannot be trained: add adapters by "
                "--lora_rank, or leave it out."
            )
