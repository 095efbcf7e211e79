"""Lexicons: a lexicon takes a word and returns its synonyms or its antonyms."""

from hf_robust.lexicons.base import Lexicon, Relation, TableLexicon, Thesaurus
from hf_robust.lexicons.builtin import opposite_groups, synonym_groups
from hf_robust.lexicons.coverage import lexicon_coverage, unknown_words
from hf_robust.lexicons.load import LEXICONS, build_counts, build_perturbation_sets, build_table, load_lexicon
from hf_robust.lexicons.multilingual import LanguageWordNet, language_wordnet
from hf_robust.lexicons.name_lists import NameLists
from hf_robust.lexicons.neighbours import read_table, write_table
from hf_robust.lexicons.perturbation_sets import PerturbationSets, count_words, perturbation_sets
from hf_robust.lexicons.split import split_table
from hf_robust.lexicons.substitution import equal_draws, random_substitutes, substitution_sets
from hf_robust.lexicons.vectors import cache_folder, nearest_words
from hf_robust.lexicons.wordnet import WordNetLexicon
from hf_robust.words.vector_files import read_vectors

__all__ = [
    "LEXICONS",
    "LanguageWordNet",
    "Lexicon",
    "NameLists",
    "PerturbationSets",
    "Relation",
    "TableLexicon",
    "Thesaurus",
    "WordNetLexicon",
    "build_counts",
    "build_perturbation_sets",
    "build_table",
    "cache_folder",
    "count_words",
    "equal_draws",
    "language_wordnet",
    "lexicon_coverage",
    "load_lexicon",
    "nearest_words",
    "opposite_groups",
    "perturbation_sets",
    "random_substitutes",
    "read_table",
    "read_vectors",
    "split_table",
    "substitution_sets",
    "synonym_groups",
    "unknown_words",
    "write_table",
]
