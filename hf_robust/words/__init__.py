"""Text, its words, their case, parts of speech, and the tokens they are cut into. No torch, no nltk at import."""

from hf_robust.words.alignment import word_token_positions
from hf_robust.words.case import match_case
from hf_robust.words.lemmatizer import Lemmatizer, WordNetVerbs
from hf_robust.words.protected import Protection, read_protection
from hf_robust.words.stopwords import STOP_WORDS, nltk_stop_words
from hf_robust.words.tagger import NltkTagger, Tagger, coarse_tag, context_tag, nltk_tagger
from hf_robust.words.text import Text, Word, is_one_word, split_words

__all__ = [
    "STOP_WORDS",
    "Lemmatizer",
    "NltkTagger",
    "Protection",
    "Tagger",
    "Text",
    "Word",
    "WordNetVerbs",
    "coarse_tag",
    "context_tag",
    "is_one_word",
    "match_case",
    "nltk_stop_words",
    "nltk_tagger",
    "read_protection",
    "split_words",
    "word_token_positions",
]
