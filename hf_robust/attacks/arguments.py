"""Flags of the attacks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

from hf_robust.attacks.static import FILE_PREFIX
from hf_robust.words import Protection, read_protection
from hf_robust.words.protected import KINDS

NO_RELATION = ("neutral", "not_duplicate", "not_equivalent")
"""Labels of pairs without a relation, which an antonym or a "not" does not change."""
_GENERIC = re.compile(r"^LABEL_(\d+)$")  # what transformers calls a class without a name
_WITH_ANTONYMS = ("builtin", "wordnet")
# Without --lexicon, --antonym_lexicon, --skip_labels and --word_vectors, which training methods and new models read.
_NATIVE_ONLY = (
    "attack_time_limit",
    "attack_warm_start",
    "attack_votes",
    "attack_ranking",
    "attack_early_exit",
    "attack_mended",
    "attack_scores",
    "attack_lexicon",
    "pos_tagger",
    "sentence_encoder",
    "min_similarity",
    "masked_lm",
    "language_model",
    "sememes",
    "name_lists",
    "location_lists",
    "antonym_success",
    "negation_count",
)


@dataclass
class AttackArguments:
    """Which attacks measure the model, on how many examples, and with which resources."""

    attacks: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Attacks to measure the model with, by name (`hf-robust attacks` lists them); file:PATH shows the "
            "labelled adversarial texts of a file, such as AdvGLUE's. Default: none."
        },
    )
    attack_num_examples: int = field(default=500, metadata={"help": "Examples to attack; 0 or fewer: all."})
    attack_strategy: Literal["no", "epoch", "end"] = field(
        default="epoch", metadata={"help": "Attack at the end of every epoch, at the end of training, or not at all."}
    )
    attack_seed: int = field(
        default=0, metadata={"help": "Chooses the examples that are attacked, and seeds what attacks draw for each."}
    )
    attack_query_budget: int | None = field(
        default=None, metadata={"help": "Queries for each example, the clean text included. Default: no limit."}
    )
    attack_time_limit: float | None = field(
        default=None, metadata={"help": "Seconds of work for each example; what it cuts short depends on the machine."}
    )
    attack_warm_start: bool = field(
        default=False,
        metadata={"help": "First ask the texts that succeeded in the epoch before; results say where one still did."},
    )
    attack_ranking: Literal["recipe", "gradient", "random"] = field(
        default="recipe", metadata={"help": "In which order words are visited: the recipe's, by gradient, at random."}
    )
    attack_early_exit: bool = field(
        default=False, metadata={"help": "Leave a word at its first success: fewer queries, another text at times."}
    )
    attack_mended: bool = field(
        default=False, metadata={"help": "Mend what the recipes keep of TextAttack's defects, for identity with it."}
    )
    attack_scores: Literal["probability", "margin"] | None = field(
        default=None,
        metadata={
            "help": "What searches climb: the probability, as TextAttack's, which float32 makes flat where the model "
            "is certain, or the margin of the logits, which is not. Default: margin for synonym, antonym, negation, "
            "gradient_mask, for --view_attacks and with --attack_mended, else probability."
        },
    )
    attack_votes: int = field(
        default=0,
        metadata={
            "help": "Attack a vote over so many random substitutions of each text by --lexicon, as SAFER predicts; an "
            "odd number does not tie. Default: 0, the plain network."
        },
    )
    attack_backend: Literal["native", "textattack"] = field(
        default="native",
        metadata={"help": "The engine: this package's own, or TextAttack, with its names for --attacks."},
    )
    attack_token_budget: int | None = field(
        default=None, metadata={"help": "Padded tokens in one batch of queries. Default: by the device."}
    )
    attack_max_changed: float | None = field(
        default=None,
        metadata={
            "help": "Share of a text's words, of a cut text those that are read, that an attack may change, also one "
            "that makes texts to train on; a recipe's smaller limit holds too. Default: the recipe's limit."
        },
    )
    frozen_columns: list[str] = field(
        default_factory=list, metadata={"help": "Text columns that no attack changes, by name. Default: none."}
    )
    protect: list[str] = field(
        default_factory=list,
        metadata={
            "help": f"What no attack, vote or text to train on changes: {', '.join(KINDS)}, and word:FILE, a text "
            "file with a word or phrase a line. Default: nothing."
        },
    )
    lexicon: str = field(
        default="wordnet",
        metadata={
            "help": "Where synonyms come from: wordnet, a JSON table, a file of word vectors, or builtin, a small "
            "table for the demo corpus that finds next to nothing elsewhere. Default: wordnet."
        },
    )
    attack_lexicon: str | None = field(
        default=None,
        metadata={"help": "Where the synonyms of the attacks that measure come from. Default: --lexicon."},
    )
    antonym_lexicon: str | None = field(
        default=None,
        metadata={"help": "Where antonyms come from. Default: --lexicon, where that has antonyms (builtin, wordnet)."},
    )
    pos_tagger: Literal["nltk", "none"] = field(
        default="nltk", metadata={"help": "Tagger behind the part-of-speech constraint; none leaves it out."}
    )
    sentence_encoder: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub id of the encoder behind the similarity constraint. Default: left out."},
    )
    min_similarity: float = field(
        default=0.840845057, metadata={"help": "Least angular similarity to the text before a swap, with an encoder."}
    )
    masked_lm: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of the masked language model that bae and clare ask."}
    )
    language_model: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub id of the causal model that the genetic attacks ask. Default: left out."},
    )
    word_vectors: str | None = field(
        default=None,
        metadata={
            "help": "Word vectors: a new lstm or cnn starts from them, and their distances bound the genetic attacks, "
            "iga and hotflip. Default: left out."
        },
    )
    sememes: str | None = field(default=None, metadata={"help": "JSON table of HowNet sememes, for pso."})
    name_lists: str | None = field(
        default=None, metadata={"help": "JSON lists of people's names, for checklist. Default: left out."}
    )
    location_lists: str | None = field(
        default=None, metadata={"help": "JSON lists of places, for checklist. Default: left out."}
    )
    antonym_success: Literal["raises", "remains"] = field(
        default="raises",
        metadata={"help": "An antonym counts where it raises the confidence (as published), or keeps the prediction."},
    )
    negation_count: Literal["aligned", "official"] = field(
        default="aligned",
        metadata={"help": "Count changed words after aligning the texts, or position by position (as published)."},
    )
    skip_labels: list[str] | None = field(
        default=None,
        metadata={
            "help": "Labels that antonym and negation attacks and antonym views leave out, by name; none: no label. "
            f"Default: those of {', '.join(NO_RELATION)} that the task has; needed where classes have no names."
        },
    )

    def __post_init__(self) -> None:
        if self.attack_backend == "native":
            check_recipes(self.recipes, "--attacks", "a file of adversarial texts is file:PATH")
        if len(set(self.attacks)) != len(self.attacks):
            raise ValueError(f"--attacks names an attack twice: {' '.join(self.attacks)}; name each attack once.")
        if self.attack_backend == "textattack":
            self._refuse_native_flags()
        if self.attack_query_budget is not None and self.attack_query_budget < 2:
            raise ValueError(
                "--attack_query_budget must be at least 2 (query 1 is the clean text), "
                f"got {self.attack_query_budget}."
            )
        if self.attack_votes < 0:
            raise ValueError(
                f"--attack_votes must be at least 1, or 0 for the plain network, got {self.attack_votes}."
            )
        if self.attack_time_limit is not None and self.attack_time_limit <= 0:
            raise ValueError(f"--attack_time_limit must be above 0 seconds, got {self.attack_time_limit}.")
        if self.attack_token_budget is not None and self.attack_token_budget < 1:
            raise ValueError(f"--attack_token_budget must be at least 1, got {self.attack_token_budget}.")
        if not 0 <= self.min_similarity <= 1:
            raise ValueError(f"--min_similarity must lie in [0, 1], got {self.min_similarity}.")
        if self.attack_max_changed is not None and not 0 < self.attack_max_changed <= 1:
            raise ValueError(
                f"--attack_max_changed must be above 0 and at most 1, got {self.attack_max_changed:g}; TextDefender "
                "uses 0.1 and 0.3."
            )
        self.protection()

    def _refuse_native_flags(self) -> None:
        defaults = {option.name: option.default for option in fields(self)}
        passed = [f"--{name}" for name in _NATIVE_ONLY if getattr(self, name) != defaults[name]]
        if passed:
            verb = "is" if len(passed) == 1 else "are"
            raise ValueError(
                f"{', '.join(passed)} {verb} for --attack_backend native; TextAttack's recipes bring their own parts. "
                "Leave these flags out, or use the native backend."
            )

    @property
    def recipes(self) -> list[str]:
        """Names of the attacks, without files of adversarial texts."""
        return [name for name in self.attacks if not name.startswith(FILE_PREFIX)]

    def protection(self) -> Protection | None:
        """The protection that ``--protect`` names; None for none.

        Raises:
            ValueError: a kind is unknown, or a file cannot be read or names no word.
        """
        return read_protection(self.protect)

    def synonym_source(self) -> str:
        """The specification of the synonym lexicon of the attacks."""
        return self.lexicon if self.attack_lexicon is None else self.attack_lexicon

    def antonym_source(self) -> str:
        """The specification of the antonym lexicon.

        Raises:
            ValueError: no antonym lexicon is given, and ``--lexicon`` has no antonyms.
        """
        if self.antonym_lexicon is not None:
            return self.antonym_lexicon
        if self.lexicon in _WITH_ANTONYMS:
            return self.lexicon
        raise ValueError(
            f"antonyms are needed, and --lexicon {self.lexicon} has none; pass --antonym_lexicon builtin, wordnet or "
            "a JSON table of antonyms."
        )


def resolve_skip_labels(names: Sequence[str] | None, label_names: Sequence[str]) -> frozenset[int]:
    """Ids of the labels that obstinacy attacks and views leave out.

    Labels are given by name, not by position, since GLUE's QQP and the papers' configuration order them differently.

    Args:
        names: label names, or numbers for classes without names (1, LABEL_1); None for the labels that mean "no
            relation"; ``["none"]`` for no label.
        label_names: the task's labels, by id.

    >>> sorted(resolve_skip_labels(None, ["entailment", "neutral", "contradiction"]))
    [1]
    >>> sorted(resolve_skip_labels(["1"], ["LABEL_0", "LABEL_1"]))
    [1]

    Raises:
        ValueError: a name is not in ``label_names``, or ``names`` is None and the classes have no names.
    """
    folded = [_folded(name) for name in label_names]
    if names is None:
        if all(name.isdecimal() for name in folded):
            raise ValueError(
                f"the classes have no names ({', '.join(label_names)}), so it is unknown which of them antonyms and "
                f"negations do not change, such as {', '.join(NO_RELATION)}: name the classes with --class_names, or "
                "give the classes to leave out with --skip_labels (none for no class)."
            )
        return frozenset(index for index, name in enumerate(folded) if name in NO_RELATION)
    if list(names) == ["none"] and "none" not in folded:
        return frozenset()
    wanted = {_folded(name): name for name in names}
    unknown = [name for key, name in wanted.items() if key not in folded]
    if unknown:
        raise ValueError(
            f"--skip_labels {' '.join(unknown)} is no label of this task; its labels are {', '.join(label_names)}."
        )
    return frozenset(index for index, name in enumerate(folded) if name in wanted)


def _folded(name: str) -> str:
    return _GENERIC.sub(r"\1", name.strip()).casefold()


def resolve_frozen_columns(names: Sequence[str], text_columns: Sequence[str]) -> frozenset[int]:
    """Numbers of the text columns that no attack changes.

    Raises:
        ValueError: a name is no text column, or every column would be frozen.
    """
    unknown = [name for name in names if name not in text_columns]
    if unknown:
        raise ValueError(
            f"--frozen_columns {' '.join(unknown)} is no text column; the text columns are {', '.join(text_columns)}."
        )
    frozen = frozenset(text_columns.index(name) for name in names)
    if len(frozen) == len(text_columns):
        raise ValueError(f"--frozen_columns {' '.join(names)} freezes every text column; leave one open to attack.")
    return frozen


def check_recipes(names: Sequence[str], flag: str, otherwise: str) -> None:
    """Raise if one of the ``names`` is no native attack.

    Args:
        names: the value of ``flag``.
        flag: the flag, for the message.
        otherwise: the remedy, for the message.

    Raises:
        ValueError: a name is no native attack.
    """
    from hf_robust.attacks.recipes import ATTACKS

    unknown = [name for name in names if name not in ATTACKS]
    if unknown:
        raise ValueError(f"{flag} must be among {', '.join(ATTACKS)}, got {', '.join(unknown)}; {otherwise}.")
