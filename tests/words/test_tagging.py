"""Parts of speech: the tag table, the context window, NLTK's tagger, and verbs' base forms."""

import sys

import pytest

from hf_robust.words import NltkTagger, WordNetVerbs, coarse_tag, context_tag, nltk_tagger


class Spy:
    """Tags by a table and notes what it was asked."""

    name = "spy"

    def __init__(self, **tags):
        self.tags, self.asked = tags, []

    def __call__(self, words):
        self.asked.append(list(words))
        return [self.tags.get(word, "NN") for word in words]


@pytest.mark.parametrize(
    ("penn", "coarse"),
    [("MD", "VERB"), ("NNPS", "NOUN"), ("PRP$", "PRON"), ("JJS", "ADJ"), ("WRB", "ADV"), ("IN", "ADP"), ("CC", "CONJ")]
    + [("EX", "DET"), ("CD", "NUM"), ("TO", "PRT"), ("``", "."), ("FW", "X"), ("UH", "X"), ("", "X")],
)
def test_coarse_tags(penn, coarse):
    assert coarse_tag(penn) == coarse


def test_context_is_four_before_and_three_after():
    spy = Spy(X="VBD")
    words = [f"w{i}" for i in range(10)]
    assert context_tag(spy, words, 5, "X") == "VERB"
    assert spy.asked == [["w1", "w2", "w3", "w4", "X", "w6", "w7", "w8"]]
    assert context_tag(spy, words, 0, "X") == "VERB"
    assert spy.asked[1] == ["X", "w1", "w2", "w3"]
    context_tag(spy, words, 9, "X")
    assert spy.asked[2] == ["w5", "w6", "w7", "w8", "X"]


def test_the_tag_is_that_of_the_words_first_occurrence():
    class ByPlace:
        name = "by place"

        def __call__(self, words):
            return ["VB" if place == 0 else "NN" for place in range(len(words))]

    assert context_tag(ByPlace(), ["run", "a", "b"], 2, "run") == "VERB"


def test_nltk_tagger_gives_penn_tags_of_a_trained_perceptron():
    perceptron = pytest.importorskip("nltk.tag.perceptron").PerceptronTagger(load=False)
    sentences = [[("the", "DT"), ("dog", "NN"), ("runs", "VBZ")], [("the", "DT"), ("cat", "NN"), ("sleeps", "VBZ")]]
    perceptron.train(sentences * 10, nr_iter=5)
    tagger = NltkTagger(perceptron, "trained here")
    assert tagger(["the", "dog", "sleeps"]) == ["DT", "NN", "VBZ"]
    assert context_tag(tagger, ["the", "dog", "sleeps"], 2, "runs") == "VERB"


def test_a_missing_tagger_is_one_sentence(monkeypatch):
    nltk = pytest.importorskip("nltk")
    import nltk.tag.perceptron as perceptron

    asked = []

    def missing(*args, **kwargs):
        raise LookupError("a page of text")

    monkeypatch.setattr(perceptron, "PerceptronTagger", missing)
    monkeypatch.setattr(nltk, "download", lambda what, quiet: asked.append((what, quiet)) or False)
    with pytest.raises(ValueError, match="set NLTK_DATA to a folder that holds it, or pass --pos_tagger none"):
        nltk_tagger()
    assert asked == [("averaged_perceptron_tagger_eng", True)]


def test_without_nltk_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(ValueError, match="pip install nltk, or pass --pos_tagger none"):
        nltk_tagger()
    with pytest.raises(ValueError, match="pip install nltk"):
        WordNetVerbs()("went")


def test_verbs_are_lemmatised_once_as_verbs(monkeypatch):
    stem = pytest.importorskip("nltk.stem")
    asked = []

    class Lemmatizer:
        def lemmatize(self, word, part):
            asked.append((word, part))
            return {"went": "go"}.get(word, word)

    monkeypatch.setattr(stem, "WordNetLemmatizer", Lemmatizer)
    verbs = WordNetVerbs()
    assert [verbs("went"), verbs("went"), verbs("go")] == ["go", "go", "go"]
    assert asked == [("went", "v"), ("go", "v")]


def test_a_missing_wordnet_is_one_sentence(monkeypatch):
    nltk, stem = pytest.importorskip("nltk"), pytest.importorskip("nltk.stem")

    class Lemmatizer:
        def lemmatize(self, word, part):
            raise LookupError("a page of text")

    monkeypatch.setattr(stem, "WordNetLemmatizer", Lemmatizer)
    monkeypatch.setattr(nltk, "download", lambda what, quiet: False)
    with pytest.raises(ValueError, match="set NLTK_DATA to a folder that holds corpora/wordnet"):
        WordNetVerbs()("went")
