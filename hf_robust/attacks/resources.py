"""Resources of the recipes (lexicons, taggers, models): passed in, or loaded from the flags on first use."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hf_robust.attacks.parts.constraints import Constraint, NoStopWords, OpenColumns
from hf_robust.attacks.parts.similarity import Encoder
from hf_robust.lexicons import Lexicon, NameLists, Thesaurus, WordNetLexicon, language_wordnet, load_lexicon
from hf_robust.lexicons.sememes import SememeTable, load_sememes
from hf_robust.words import (
    ENGLISH,
    TEXTATTACK_WORDS,
    Lemmatizer,
    Tagger,
    language_name,
    nltk_stop_words,
    nltk_tagger,
    stop_words_of,
    words_of,
)

if TYPE_CHECKING:
    from hf_robust.attacks.arguments import AttackArguments
    from hf_robust.attacks.models.masked_lm import MaskedLM
    from hf_robust.attacks.parts.fluency import LanguageModel
    from hf_robust.attacks.parts.paraphrases import Paraphraser
    from hf_robust.attacks.parts.word_distance import WordVectors

logger = logging.getLogger(__name__)

Part = TypeVar("Part")
READ_WORDNET = ("pwws", "french", "spanish")
"""Attacks that take their substitutes from WordNet, whatever --lexicon is."""


@dataclass
class Resources:
    """Lexicons, taggers, models and settings from which a recipe takes what it needs.

    Attributes:
        tagger: None leaves out the part-of-speech constraint.
        encoder: None leaves out the sentence-similarity constraint.
        stop_words: NLTK's stop words, for the recipes that use them.
        lemmatizer: None loads WordNet's when the negation attack first needs one.
        word_vectors, language_model: None leaves out these constraints of the genetic attacks.
        paraphraser: the language model of the paraphrase attack.
        names, locations: None leaves out these parts of the checklist, french and spanish attacks.
        similar_characters: characters that sound or look like a character, for the chinese attack.
    """

    synonyms: Lexicon | None = None
    antonyms: Lexicon | None = None
    tagger: Tagger | None = None
    encoder: Encoder | None = None
    thesaurus: Thesaurus | None = None
    stop_words: frozenset[str] | None = None
    lemmatizer: Lemmatizer | None = None
    masked_lm: MaskedLM | None = None
    paraphraser: Paraphraser | None = None
    word_vectors: WordVectors | None = None
    language_model: LanguageModel | None = None
    sememes: SememeTable | None = None
    names: NameLists | None = None
    locations: NameLists | None = None
    skip_labels: frozenset[int] = frozenset()
    frozen_columns: frozenset[int] = frozenset()
    query_budget: int | None = None
    time_limit: float | None = None
    seed: int = 0
    min_similarity: float = 0.840845057
    antonym_success: str = "raises"
    negation_official_count: bool = False
    num_bad_characters: int = 1
    similar_characters: Lexicon | None = None

    def limits(self) -> dict[str, Any]:
        """Keyword arguments of ``Attack`` that every recipe passes on."""
        return {"query_budget": self.query_budget, "time_limit": self.time_limit, "seed": self.seed}

    def with_columns(self, *rules: Constraint, always: bool = False) -> list[Constraint]:
        """Return ``rules`` and, if columns are frozen, the constraint that keeps them.

        ``always`` adds this constraint even if no column is frozen, as TextAttack's recipe does. It then closes no
        word, but one more set intersection can change the order of a set of words, and this order decides ties.
        """
        return [*rules, OpenColumns(self.frozen_columns)] if always or self.frozen_columns else list(rules)

    def neighbours(self, attack: str, k: int, min_cosine: float) -> Lexicon:
        """The synonym lexicon for ``attack``; one from word vectors is rebuilt with this ``k`` and ``min_cosine``."""
        return self.needed(self.synonyms, attack, "a synonym lexicon", "pass --lexicon").nearest(k, min_cosine)

    def common_words(self, attack: str) -> frozenset[str]:
        """NLTK's stop words for ``attack``."""
        remedy = "set NLTK_DATA to a folder that holds corpora/stopwords"
        return self.needed(self.stop_words, attack, "NLTK's English stop words", remedy)

    def no_stop_words(self, attack: str) -> NoStopWords:
        """The constraint that keeps NLTK's stop words."""
        return NoStopWords(self.common_words(attack), "nltk")

    @staticmethod
    def needed(part: Part | None, attack: str, what: str, remedy: str) -> Part:
        """Return ``part``.

        Raises:
            ValueError: ``part`` is None; the message names the attack, the missing resource and the remedy.
        """
        if part is None:
            raise ValueError(f"the {attack} attack needs {what}, got none; {remedy}.")
        return part


class _Loaded:
    """Descriptor of a resource that is loaded at its first access and then stored."""

    def __init__(self, load: Callable[[AttackArguments], Any]) -> None:
        self.load = load

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, resources: FlaggedResources, owner: type) -> Any:
        value = self.load(resources.flags)
        vars(resources)[self.name] = value
        return value


def _tagger(flags: AttackArguments) -> Tagger | None:
    if flags.pos_tagger in ("auto", "nltk"):
        if flags.language == ENGLISH:
            return nltk_tagger()
        logger.warning(
            "Substitutes may have another part of speech than their words, since no tagger of %s is given "
            "(--pos_tagger MODEL).",
            language_name(flags.language),
        )
        return None
    if flags.pos_tagger == "none":
        return None
    from hf_robust.attacks.models.tagger import load_tagger

    return load_tagger(flags.pos_tagger)


def _encoder(flags: AttackArguments) -> Encoder | None:
    if flags.sentence_encoder is None:
        return None
    from hf_robust.attacks.models.encoder import load_encoder

    return load_encoder(flags.sentence_encoder)


def _masked_lm(flags: AttackArguments) -> MaskedLM | None:
    if flags.masked_lm is None:
        return None
    from hf_robust.attacks.models.masked_lm import load_masked_lm

    rule = TEXTATTACK_WORDS if flags.language == ENGLISH else words_of(flags.language)
    return load_masked_lm(flags.masked_lm, rule=rule)


def _paraphraser(flags: AttackArguments) -> Paraphraser | None:
    if not flags.paraphraser:
        return None
    from hf_robust.attacks.models.paraphraser import load_paraphraser

    return load_paraphraser(*flags.paraphraser)


def _language_model(flags: AttackArguments) -> LanguageModel | None:
    if flags.language_model is None:
        return None
    from hf_robust.attacks.models.language_model import load_language_model

    return load_language_model(flags.language_model)


def _word_vectors(flags: AttackArguments) -> WordVectors | None:
    if flags.word_vectors is None:
        return None
    from hf_robust.attacks.parts.word_distance import load_word_vectors

    return load_word_vectors(flags.word_vectors)


def _thesaurus(flags: AttackArguments) -> Thesaurus:
    try:
        return WordNetLexicon() if flags.language == ENGLISH else language_wordnet(flags.language)
    except ValueError as error:
        reader = next((name for name in flags.recipes if name in READ_WORDNET), READ_WORDNET[0])
        raise ValueError(f"the {reader} attack uses WordNet and not --lexicon: {error}") from error


def _stop_words(flags: AttackArguments) -> frozenset[str]:
    return nltk_stop_words() if flags.language == ENGLISH else stop_words_of(flags.language).words


class FlaggedResources(Resources):
    """The resources that the flags name, each loaded when a recipe first uses it."""

    synonyms: Any = _Loaded(lambda flags: load_lexicon(flags.synonym_source(), "synonym", flags.language))
    antonyms: Any = _Loaded(lambda flags: load_lexicon(flags.antonym_source(), "antonym", flags.language))
    tagger: Any = _Loaded(_tagger)
    encoder: Any = _Loaded(_encoder)
    thesaurus: Any = _Loaded(_thesaurus)
    stop_words: Any = _Loaded(_stop_words)
    masked_lm: Any = _Loaded(_masked_lm)
    paraphraser: Any = _Loaded(_paraphraser)
    language_model: Any = _Loaded(_language_model)
    word_vectors: Any = _Loaded(_word_vectors)
    sememes: Any = _Loaded(lambda flags: flags.sememes and load_sememes(flags.sememes))
    similar_characters: Any = _Loaded(
        lambda flags: (
            load_lexicon(flags.similar_characters, "synonym", flags.language) if flags.similar_characters else None
        )
    )
    names: Any = _Loaded(lambda flags: NameLists.load(flags.name_lists[0]) if flags.name_lists else None)
    locations: Any = _Loaded(lambda flags: NameLists.load(flags.name_lists[1]) if flags.name_lists[1:] else None)

    def __init__(self, flags: AttackArguments, **passed: Any) -> None:
        super().__init__(
            query_budget=flags.attack_query_budget,
            time_limit=flags.attack_time_limit,
            seed=flags.attack_seed,
            min_similarity=flags.min_similarity,
            antonym_success=flags.antonym_success,
            negation_official_count=flags.negation_count == "official",
            num_bad_characters=flags.num_bad_characters,
            **passed,
        )
        self.flags = flags
        for name, value in list(vars(self).items()):
            if value is None and isinstance(vars(FlaggedResources).get(name), _Loaded):
                del vars(self)[name]
