"""From the text after `--lexicon` to a lexicon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hf_robust.lexicons.base import Lexicon, check_relation
from hf_robust.lexicons.builtin import builtin_lexicon
from hf_robust.lexicons.neighbours import neighbours_lexicon
from hf_robust.lexicons.vectors import vectors_lexicon
from hf_robust.lexicons.wordnet import wordnet_lexicon
from hf_robust.words.vector_files import refuse_pickle

LEXICONS: dict[str, Callable[..., Lexicon]] = {
    "builtin": builtin_lexicon,
    "wordnet": wordnet_lexicon,
    "neighbours": neighbours_lexicon,
    "vectors": vectors_lexicon,
}
"""Name -> loader; ``neighbours`` and ``vectors`` read a file: loader(path, relation), the others loader(relation)."""

TABLE_ENDINGS = (".json", ".json.gz")
VECTOR_ENDINGS = (".txt", ".vec", ".txt.gz", ".vec.gz", ".npz")
_FROM_FILE = ("neighbours", "vectors")
_CHOICES = (
    "builtin, wordnet, the path of a JSON table (.json, .json.gz), the path of word vectors "
    f"({', '.join(VECTOR_ENDINGS)}), neighbours:PATH or vectors:PATH"
)


def load_lexicon(spec: str, relation: str = "synonym") -> Lexicon:
    """The lexicon that ``spec`` names, for ``relation`` "synonym" or "antonym".

    ``builtin`` and ``wordnet`` hold both relations. A file does not say what its substitutes are: whoever gives one as
    ``--antonym_lexicon`` vouches for it, and the relation is recorded.

    Raises:
        ValueError: one sentence, for an unknown name, a missing or malformed file, or absent WordNet data.
    """
    relation = check_relation(relation)
    name, path = split_spec(spec)
    return LEXICONS[name](relation) if path is None else LEXICONS[name](path, relation)


def split_spec(spec: str) -> tuple[str, Path | None]:
    """Which of LEXICONS ``spec`` means, and its file: the table and vector file are told apart by name."""
    name, colon, rest = spec.partition(":")
    if colon and name in _FROM_FILE:
        refuse_pickle(rest)
        if not Path(rest).is_file():
            raise ValueError(f"The lexicon {spec!r} names no file; --lexicon takes {_CHOICES}.")
        return name, Path(rest)
    if spec in _FROM_FILE:
        raise ValueError(f"The lexicon {spec!r} needs a file: {spec}:PATH.")
    if spec in LEXICONS:
        return spec, None
    refuse_pickle(spec)
    for kind, endings in (("neighbours", TABLE_ENDINGS), ("vectors", VECTOR_ENDINGS)):
        if spec.lower().endswith(endings):
            if not Path(spec).is_file():
                raise ValueError(f"There is no lexicon file at {spec}; --lexicon takes {_CHOICES}.")
            return kind, Path(spec)
    raise ValueError(f"Unknown lexicon {spec!r}; --lexicon takes {_CHOICES}.")
