"""The base form of a verb, for the negation attack ("went" -> "didn't go")."""

from __future__ import annotations

from collections.abc import Callable

Lemmatizer = Callable[[str], str]


class WordNetVerbs:
    """WordNet's morphy on verbs, as NLTK's lemmatizer applies it: the shortest form found, else the word itself.

    WordNet is loaded at the first call.
    """

    name = "wordnet morphy"

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        if word not in self._known:
            self._known[word] = _verb(word)
        return self._known[word]


def _verb(word: str) -> str:
    try:
        import nltk
        from nltk.stem import WordNetLemmatizer
    except ImportError as error:
        raise ValueError("lemmatising verbs needs nltk: pip install nltk.") from error
    lemmatizer = WordNetLemmatizer()
    try:
        return str(lemmatizer.lemmatize(word, "v"))
    except LookupError:
        nltk.download("wordnet", quiet=True)
    try:
        return str(lemmatizer.lemmatize(word, "v"))
    except LookupError as error:
        raise ValueError(
            "NLTK's wordnet is in none of NLTK's folders and could not be downloaded; "
            "set NLTK_DATA to a folder that holds corpora/wordnet."
        ) from error
