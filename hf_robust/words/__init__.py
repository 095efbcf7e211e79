"""Texts and their words: word rules, case, parts of speech, alignment with tokens. Imports neither torch nor nltk."""

from hf_robust.words.alignment import word_token_positions
from hf_robust.words.contractions import folded
from hf_robust.words.protected import Protection, read_protection
from hf_robust.words.stopwords import NLTK_STOP_WORDS, STOP_WORDS, nltk_stop_words
from hf_robust.words.tagger import Lemmatizer, NltkTagger, Tagger, WordNetVerbs, coarse_tag, context_tag, nltk_tagger
from hf_robust.words.text import Text
from hf_robust.words.word_rules import TEXTATTACK_WORDS, UNICODE_WORDS, Word, WordRule, match_case, word_rule

__all__ = [
    "NLTK_STOP_WORDS",
    "STOP_WORDS",
    "TEXTATTACK_WORDS",
    "UNICODE_WORDS",
    "Lemmatizer",
    "NltkTagger",
    "Protection",
    "Tagger",
    "Text",
    "Word",
    "WordNetVerbs",
    "WordRule",
    "coarse_tag",
    "context_tag",
    "folded",
    "match_case",
    "nltk_stop_words",
    "nltk_tagger",
    "read_protection",
    "word_rule",
    "word_token_positions",
]
