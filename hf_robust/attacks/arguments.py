"""Flags of the attacks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from hf_robust.attacks.control import RANDOM_PREFIX, check_controls
from hf_robust.attacks.labels_and_columns import NO_RELATION
from hf_robust.attacks.recipes import check_recipes
from hf_robust.attacks.static import FILE_PREFIX
from hf_robust.metrics import ConfidenceSequence
from hf_robust.words import ENGLISH, Protection, check_language, language_name, read_protection
from hf_robust.words.protected import KINDS

STANDARD = "standard"
"""The attack that is a fixed list of others (``hf_robust.attacks.standard``)."""
_WITH_ANTONYMS = ("builtin", "wordnet")
# Without --lexicon, --antonym_lexicon, --skip_labels and --word_vectors, which training methods and new models read.
_NATIVE_ONLY = (
    "attack_time_limit", "attack_target", "attack_warm_start", "attack_votes", "vote_mask_rate",
    "attack_ranking", "attack_early_exit", "attack_fixed", "attack_scores", "attack_lexicon", "language",
    "pos_tagger", "sentence_encoder", "min_similarity", "masked_lm", "language_model", "paraphraser", "sememes",
    "name_lists", "antonym_success", "negation_count", "num_bad_characters", "similar_characters",
)  # fmt: skip

MISMATCHED = "_mm"
"""Ending of the names of attacks on MNLI's mismatched rows, as of the accuracy on them in run_glue."""
OF_TRAINING = ("attack_strategy", "attack_warm_start", "attack_mismatched")
"""Flags of attacks on a model that is trained: a checkpoint has no epochs, and its rows are those of one --split."""


@dataclass
class AttackArguments:
    """Which attacks measure the model, on how many examples, and with which resources."""

    attacks: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Attacks to measure the model with, by name (`hf-robust attacks` lists them). standard: a fixed "
            "list of them as one; random:NAME, beside NAME: texts drawn blindly for as many queries; file:PATH: "
            "labelled adversarial texts, such as AdvGLUE's. Default: none; of `hf-robust attack`: standard."
        },
    )
    attack_num_examples: int = field(default=500, metadata={"help": "Number of examples to attack; 0 or fewer: all."})
    attack_strategy: Literal["no", "epoch", "end"] = field(
        default="epoch",
        metadata={"help": "When to attack: at the end of every epoch, at the end of training, or not at all."},
    )
    attack_mismatched: bool = field(
        default=False,
        metadata={
            "help": "Attack as many rows of MNLI's mismatched validation set too; their numbers have the ending _mm."
        },
    )
    attack_seed: int = field(
        default=0, metadata={"help": "Seed of the attacked examples and of what the attacks draw."}
    )
    attack_query_budget: int | None = field(
        default=None,
        metadata={"help": "Maximum number of queries per example, the clean text included. Default: no limit."},
    )
    attack_until_interval: float | None = field(
        default=None,
        metadata={
            "help": "Attack rows in random order only until the interval (95 percent) of robust accuracy, or of the "
            "success rate of an obstinate attack, is narrower than this many points. The interval is then that of a "
            "confidence sequence, which allows this. Default: attack all rows."
        },
    )
    attack_target: str | None = field(
        default=None,
        metadata={
            "help": "Label, by name or number, that the attacks make the model predict; rows of that label are left "
            "out. Default: any wrong label."
        },
    )
    attack_time_limit: float | None = field(
        default=None,
        metadata={
            "help": "Maximum number of seconds per example; results then depend on the machine. Default: no limit."
        },
    )
    attack_warm_start: bool = field(
        default=False,
        metadata={
            "help": "Try the text that succeeded in the epoch before first; results say where it succeeded again."
        },
    )
    attack_ranking: Literal["recipe", "gradient", "random"] = field(
        default="recipe", metadata={"help": "Order in which words are visited: the recipe's, by gradient, or random."}
    )
    attack_early_exit: bool = field(
        default=False,
        metadata={"help": "Leave a word at its first success, for fewer queries; the text found may differ."},
    )
    attack_fixed: bool = field(
        default=False, metadata={"help": "Fix known TextAttack bugs; results then differ from TextAttack."}
    )
    attack_scores: Literal["probability", "margin"] | None = field(
        default=None,
        metadata={
            "help": "Score that searches climb. probability: as in TextAttack, flat in float32 where the model is "
            "certain; margin: the margin of the logits, never flat. Default: margin for synonym, antonym, negation, "
            "gradient_mask, paraphrase, viper, gcg, --view_attacks and with --attack_fixed, else probability. hlbb "
            "has none."
        },
    )
    attack_votes: int = field(
        default=0,
        metadata={
            "help": "Number of random substitutions by --lexicon over which the attacked model votes, as SAFER does, "
            "or of random masks (--vote_mask_rate); an odd number avoids ties. Default: 0, the plain model."
        },
    )
    vote_mask_rate: float | None = field(
        default=None,
        metadata={
            "help": "Share of the words that each draw of a vote (--attack_votes, certificates) masks, as RanMASK "
            "does, instead of substituting by --lexicon. Default: that of --robust_method ranmask, else no mask."
        },
    )
    attack_backend: Literal["native", "textattack"] = field(
        default="native",
        metadata={
            "help": "Engine of the attacks: this package's own, or TextAttack (--attacks then takes TextAttack's "
            "names)."
        },
    )
    attack_token_budget: int | None = field(
        default=None,
        metadata={"help": "Maximum number of padded tokens in one batch of queries. Default: by the device."},
    )
    attack_max_changed: float | None = field(
        default=None,
        metadata={
            "help": "Maximum share of a text's words (those that the model reads) that an attack may change, also an "
            "attack that makes texts to train on; a smaller limit of the recipe still holds. Default: the recipe's "
            "limit."
        },
    )
    frozen_columns: list[str] = field(
        default_factory=list, metadata={"help": "Text columns that no attack may change, by name. Default: none."}
    )
    protect: list[str] = field(
        default_factory=list,
        metadata={
            "help": f"Spans that no attack, vote or text to train on may change: {', '.join(KINDS)}, and word:FILE, "
            "a text file with one word or phrase per line. Default: none."
        },
    )
    language: str = field(
        default=ENGLISH,
        metadata={
            "help": "Language of the texts, by its two letters (de, fr, zh, ...). It decides what a word is, which "
            "WordNet and stop words are used, and which attacks there are. Default: en."
        },
    )
    lexicon: str = field(
        default="wordnet",
        metadata={
            "help": "Source of synonyms: wordnet, a JSON table, a file of word vectors, or builtin (a small table "
            "for the demo corpus, of little use for other texts). Default: wordnet."
        },
    )
    attack_lexicon: str | None = field(
        default=None,
        metadata={"help": "Source of synonyms for the attacks that measure the model. Default: --lexicon."},
    )
    antonym_lexicon: str | None = field(
        default=None,
        metadata={"help": "Source of antonyms. Default: --lexicon, if it has antonyms (builtin, wordnet)."},
    )
    pos_tagger: str = field(
        default="auto",
        metadata={
            "help": "Tagger of the part-of-speech constraint: nltk (English), the folder or Hub id of a token "
            "classifier with universal tags, or none (no such constraint). Default: nltk for English, else none."
        },
    )
    sentence_encoder: str | None = field(
        default=None,
        metadata={
            "help": "Folder or Hub id of the encoder of the similarity constraint, and of hlbb and paraphrase. "
            "Default: no such constraint."
        },
    )
    min_similarity: float = field(
        default=0.840845057,
        metadata={
            "help": "Minimum angular similarity, with --sentence_encoder: to the text before a swap (synonym), or to "
            "the original (paraphrase)."
        },
    )
    masked_lm: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub id of the masked language model of bae, bert_attack, clare and chinese."},
    )
    language_model: str | None = field(
        default=None,
        metadata={
            "help": "Folder or Hub id of the causal language model of the genetic attacks and kuleshov. Default: none."
        },
    )
    paraphraser: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Folder or Hub id of the sequence-to-sequence or causal language model of paraphrase and, if it "
            "needs another than the default, its prompt with {text} in the text's place."
        },
    )
    word_vectors: str | None = field(
        default=None,
        metadata={
            "help": "File of word vectors, from which a new lstm or cnn starts and whose distances bound the genetic "
            "attacks, iga, kuleshov and hotflip. Default: none."
        },
    )
    sememes: str | None = field(default=None, metadata={"help": "JSON table of HowNet sememes for pso and chinese."})
    name_lists: list[str] = field(
        default_factory=list,
        metadata={
            "help": "One or two JSON files of names for checklist, french and spanish: people, then places. Default: "
            "no names are changed."
        },
    )
    antonym_success: Literal["raises", "remains"] = field(
        default="raises",
        metadata={
            "help": "When an antonym succeeds: it raises the confidence (as published), or the prediction remains."
        },
    )
    negation_count: Literal["aligned", "official"] = field(
        default="aligned",
        metadata={
            "help": "How changed words are counted: after aligning the texts, or position by position (official, as "
            "published)."
        },
    )
    similar_characters: str | None = field(
        default=None,
        metadata={
            "help": "JSON table {character: [characters]} of homophones and look-alikes for chinese. Default: none."
        },
    )
    num_bad_characters: int = field(
        default=1,
        metadata={
            "help": "Number of perturbed places per text of homoglyphs, invisible_characters, deletion_characters and "
            "reordering_characters."
        },
    )
    skip_labels: list[str] | None = field(
        default=None,
        metadata={
            "help": "Labels that antonym and negation attacks and antonym views leave out, by name; none: no label. "
            f"Needed if classes have no names. Default: those of {', '.join(NO_RELATION)} that the task has."
        },
    )

    def __post_init__(self) -> None:
        if self.attack_backend == "native":
            recipes = [name for name in self.recipes if name != STANDARD]
            check_recipes(recipes, "--attacks", f"{STANDARD} runs a list of them, file:PATH a file of texts")
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
            raise ValueError(f"--attack_votes must be at least 1 (0: the plain network), got {self.attack_votes}.")
        if self.vote_mask_rate is not None and not 0 < self.vote_mask_rate < 1:
            raise ValueError(
                f"--vote_mask_rate must lie between 0 and 1, got {self.vote_mask_rate:g}; RanMASK takes 0.3 to 0.9."
            )
        if self.attack_time_limit is not None and self.attack_time_limit <= 0:
            raise ValueError(f"--attack_time_limit must be above 0 seconds, got {self.attack_time_limit}.")
        if self.attack_token_budget is not None and self.attack_token_budget < 1:
            raise ValueError(f"--attack_token_budget must be at least 1, got {self.attack_token_budget}.")
        self._check_goals()
        check_controls(self)
        if not 0 <= self.min_similarity <= 1:
            raise ValueError(f"--min_similarity must lie in [0, 1], got {self.min_similarity}.")
        if self.attack_max_changed is not None and not 0 < self.attack_max_changed <= 1:
            raise ValueError(
                f"--attack_max_changed must be above 0 and at most 1, got {self.attack_max_changed:g}; TextDefender "
                "uses 0.1 and 0.3."
            )
        if self.num_bad_characters < 1:
            raise ValueError(
                f"--num_bad_characters must be at least 1, got {self.num_bad_characters}; the paper uses 1 to 5."
            )
        if len(self.name_lists) > 2:
            raise ValueError(f"--name_lists takes a file of people and a file of places, got {len(self.name_lists)}.")
        if len(self.paraphraser) > 2 or any("{text}" not in prompt for prompt in self.paraphraser[1:]):
            raise ValueError(
                "--paraphraser takes a model and, if needed, its prompt with {text} in the text's place, got "
                f"{' '.join(self.paraphraser)}."
            )
        self.protection()
        check_language(self.language)
        if self.pos_tagger == "nltk" and self.language != ENGLISH:
            raise ValueError(
                f"--pos_tagger nltk is a tagger of English, and the texts are {language_name(self.language)}: give a "
                "token classifier with universal tags, or none."
            )

    def _check_goals(self) -> None:
        """Refuse a target, and an interval to stop at, for attacks whose goal has none."""
        from hf_robust.attacks.recipes import goal_of

        width, target, goals = self.attack_until_interval, self.attack_target, {n: goal_of(n) for n in self.recipes}
        if width is not None and not 0 < width < 100:
            raise ValueError(
                f"--attack_until_interval must lie between 0 and 100 points, got {width:g}; 3 stops at an interval "
                "such as 41.2 to 44.1 %."
            )
        for name, goal in goals.items():
            if width is not None and goal.maximises:
                raise ValueError(
                    f"--attack_until_interval {width:g} waits for the interval of a rate, and {name} has none, since "
                    "it succeeds on every text that is classified correctly; leave one of the two out."
                )
            if target is not None and goal.keeps_prediction:
                raise ValueError(
                    f"--attack_target {target} names a prediction to reach, and {name} keeps the prediction; leave "
                    "one of the two out."
                )

    def sequence(self) -> ConfidenceSequence | None:
        """The confidence sequence that ``--attack_until_interval`` asks for; None to attack all rows."""
        return None if self.attack_until_interval is None else ConfidenceSequence(self.attack_until_interval / 100)

    def _refuse_native_flags(self) -> None:
        defaults = vars(AttackArguments())
        passed = [f"--{name}" for name in _NATIVE_ONLY if getattr(self, name) != defaults[name]]
        if passed:
            verb = "is" if len(passed) == 1 else "are"
            raise ValueError(
                f"{', '.join(passed)} {verb} for --attack_backend native; TextAttack's recipes bring their own parts. "
                "Leave these flags out, or use the native backend."
            )

    @property
    def recipes(self) -> list[str]:
        """Names of the attacks, without files of adversarial texts and without random controls."""
        return [name for name in self.attacks if not name.startswith((FILE_PREFIX, RANDOM_PREFIX))]

    @property
    def names(self) -> list[str]:
        """The attacks as in metrics and file names, without files of adversarial texts."""
        return [self.name_of(name) for name in self.recipes]

    def name_of(self, recipe: str) -> str:
        """Name of an attack in metrics and files: ``pwws``, or ``pwws_to_positive`` with ``--attack_target``."""
        if self.attack_target is None or recipe == STANDARD:
            return recipe
        return f"{recipe}_to_{re.sub(r'[^A-Za-z0-9]+', '_', self.attack_target).strip('_')}"

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
