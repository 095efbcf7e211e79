"""Texts and their words: word rules, case, parts of speech, alignment with tokens. Imports neither torch nor nltk."""

from hf_robust.words.alignment import word_token_positions
from hf_robust.words.contractions import folded
from hf_robust.words.language_words import word_rule, words_of
from hf_robust.words.languages import ENGLISH, LANGUAGES, UNSPACED, check_language, language_name
from hf_robust.words.protected import Protection, read_protection
from hf_robust.words.stopwords import NLTK_STOP_WORDS, STOP_WORDS, StopWords, nltk_stop_words, stop_words_of
from hf_robust.words.tagger import (
    UPOS,
    Lemmatizer,
    NltkTagger,
    Tagger,
    WordNetVerbs,
    coarse_tag,
    context_tag,
    context_tags,
    nltk_tagger,
)
from hf_robust.words.text import Text
from hf_robust.words.word_rules import TEXTATTACK_WORDS, UNICODE_WORDS, Word, WordRule, match_case

__all__ = [
    "ENGLISH",
    "LANGUAGES",
    "NLTK_STOP_WORDS",
    "STOP_WORDS",
    "TEXTATTACK_WORDS",
    "UNICODE_WORDS",
    "UNSPACED",
    "UPOS",
    "Lemmatizer",
    "NltkTagger",
    "Protection",
    "StopWords",
    "Tagger",
    "Text",
    "Word",
    "WordNetVerbs",
    "WordRule",
    "check_language",
    "coarse_tag",
    "context_tag",
    "context_tags",
    "folded",
    "language_name",
    "match_case",
    "nltk_stop_words",
    "nltk_tagger",
    "read_protection",
    "stop_words_of",
    "word_rule",
    "word_token_positions",
    "words_of",
]
