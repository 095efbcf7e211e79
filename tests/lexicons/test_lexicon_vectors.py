"""Word-vector files, nearest words by naive re-derivation, and the cache."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from hf_robust.lexicons import build_table, load_lexicon, nearest_words, read_vectors, vectors

WORDS = [f"w{index}" for index in range(40)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ROBUST_CACHE", str(tmp_path / "cache"))


def random_vectors(count: int = 40, size: int = 5, seed: int = 0):
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


def naive_table(words, points, k, bound):
    table = {}
    for i, word in enumerate(words):
        cosines = []
        for j, other in enumerate(words):
            cosine = float(points[i] @ points[j] / (np.linalg.norm(points[i]) * np.linalg.norm(points[j])))
            if i != j and cosine >= bound:
                cosines.append((-cosine, other))
        if cosines:
            table[word] = [other for _, other in sorted(cosines)[:k]]
    return table


@pytest.mark.parametrize("chunk", [1, 7, 100])
@pytest.mark.parametrize(("k", "bound"), [(3, 0.2), (8, 0.7), (40, -1.0)])
def test_nearest_words_by_naive_loops(chunk, k, bound):
    points = random_vectors()
    found = nearest_words(WORDS, points, k=k, min_cosine=bound, chunk=chunk)
    assert found == naive_table(WORDS, points.astype(np.float64), k, bound)


def test_equal_cosines_go_in_the_order_of_the_words_and_zeros_have_no_neighbours():
    points = np.array([[1, 0], [2, 0], [5, 0], [0, 0]], dtype=np.float32)
    assert nearest_words(["a", "b", "c", "z"], points, min_cosine=0.0) == {
        "a": ["b", "c"],
        "b": ["a", "c"],
        "c": ["a", "b"],
    }
    assert list(nearest_words(["a", "b", "c", "z"], points, vocabulary={"B"})) == ["b"]


@pytest.mark.parametrize(("k", "bound"), [(0, 0.5), (1, 1.5)])
def test_impossible_settings_are_refused(k, bound):
    with pytest.raises(ValueError, match="k must be at least 1 and min_cosine in"):
        nearest_words(WORDS, random_vectors(), k=k, min_cosine=bound)


def as_text(words, points, header=False):
    lines = [f"{len(words)} {points.shape[1]}"] if header else []
    return "\n".join(lines + [f"{word} {' '.join(map(str, row))}" for word, row in zip(words, points, strict=True)])


@pytest.mark.parametrize("name", ["v.txt", "v.vec", "v.txt.gz", "v.npz"])
def test_every_format_reads_the_same(name, tmp_path):
    words, points = ["the", "The", ". . .", "caf\u00e9"], random_vectors(4)
    path = tmp_path / name
    if name.endswith(".npz"):
        np.savez(path, words=np.array(words), vectors=points)
    else:
        raw = as_text(words, points, header=name == "v.vec").encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    found, read = read_vectors(path)
    assert found == ["the", ". . .", "caf\u00e9"]  # lower case; of "the" and "The" the first
    np.testing.assert_allclose(read, points[[0, 2, 3]], rtol=1e-6)
    assert read_vectors(path, max_words=1)[0] == ["the"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no word vector"),
        (b"good bad\n", "Line 1 of .* is not a word and numbers"),
        (b"a 1 2 3\nb 1 x 3\n", "Line 2 of .* is not a word and 3 numbers"),
        (b"a 1 2 3\nb 1 2\n", "Line 2 of .* is not a word"),
        (b"a 1 2\nb nan 1\n", "The vector of 'b' .* not a finite number"),
        (b"a \xff\xfe 1\n", "not text in UTF-8"),
    ],
)
def test_malformed_text_gives_one_sentence(content, sentence, tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_vectors(path)


def test_an_npz_with_pickled_words_is_refused(tmp_path):
    np.savez(tmp_path / "v.npz", words=np.array(["a", None], dtype=object), vectors=random_vectors(2))
    with pytest.raises(ValueError, match="pickled ones are refused"):
        read_vectors(tmp_path / "v.npz")


@pytest.mark.parametrize("arrays", [{"words": ["a"]}, {"words": ["a"], "vectors": [1.0, 2.0]}])
def test_an_npz_of_another_shape_is_refused(arrays, tmp_path):
    np.savez(tmp_path / "v.npz", **{name: np.array(value) for name, value in arrays.items()})
    with pytest.raises(ValueError, match="lacks the array|need \\[N\\], \\[N, E\\]"):
        read_vectors(tmp_path / "v.npz")


@pytest.fixture
def vector_file(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(as_text(WORDS, random_vectors()))
    return path


def test_the_second_load_reads_no_vectors(vector_file, monkeypatch):
    first = load_lexicon(str(vector_file), "antonym")
    monkeypatch.setattr(vectors, "read_vectors", lambda *_, **__: pytest.fail("the cache was not used"))
    second = load_lexicon(str(vector_file))
    assert first.fingerprint() == second.fingerprint() and len(first) > 0
    assert [first(word) for word in WORDS] == [second(word) for word in WORDS]
    assert (first.relation, second.relation) == ("antonym", "synonym")


def test_other_content_and_other_settings_are_other_tables(vector_file, tmp_path):
    default = vectors.vectors_lexicon(vector_file)
    assert vectors.vectors_lexicon(vector_file, k=1).fingerprint() != default.fingerprint()
    vector_file.write_text(as_text(WORDS, random_vectors(seed=1)))
    assert vectors.vectors_lexicon(vector_file).fingerprint() != default.fingerprint()
    assert len(list((tmp_path / "cache").rglob("*.json.gz"))) == 3


def test_a_torn_cache_is_built_again(vector_file, tmp_path, caplog):
    before = load_lexicon(str(vector_file))
    (cached,) = (tmp_path / "cache").rglob("*.json.gz")
    whole = cached.read_bytes()
    cached.write_bytes(whole[: len(whole) // 2])
    assert load_lexicon(str(vector_file)).fingerprint() == before.fingerprint()
    assert "damaged and is built again" in caplog.text and cached.read_bytes() == whole


def test_a_built_table_is_the_lexicon(vector_file):
    lexicon = load_lexicon(str(vector_file))
    table = build_table(str(vector_file))
    assert {word: tuple(others) for word, others in table.items()} == {word: lexicon(word) for word in lexicon.words()}


def test_an_attack_asks_for_as_many_neighbours_as_it_needs(vector_file):
    few = vectors.vectors_lexicon(vector_file, k=1)
    many = few.nearest(3, -1.0)
    assert many.fingerprint() == vectors.vectors_lexicon(vector_file, k=3, min_cosine=-1.0).fingerprint()
    assert any(len(many(word)) > 1 for word in many.words()) and all(len(few(word)) <= 1 for word in few.words())
    assert "3 nearest words" in many.source
    table = vectors.TableLexicon({"good": ["fine"]})
    assert table.nearest(50, 0.5) is table
