"""`hf-robust lexicon build --safer`: the sets of the Python function, from files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hf_robust.cli.main import main
from hf_robust.lexicons import count_words, perturbation_sets, read_table, read_vectors

WORDS = [f"w{index}" for index in range(60)]


@pytest.fixture
def files(tmp_path):
    """Paths of vectors in 15 clusters, and of texts that have each word but the last ten twice."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(15, 20))[np.arange(60) % 15] + 0.25 * rng.normal(size=(60, 20))
    np.savez(tmp_path / "v.npz", words=np.array(WORDS), vectors=vectors.astype(np.float32))
    rows = [{"text": " ".join(WORDS[:50]), "label": index % 2} for index in range(2)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def build(files, *flags):
    vectors, texts = str(files / "v.npz"), str(files / "train.jsonl")
    return main(["lexicon", "build", "--safer", vectors, "--texts", texts, "--output", str(files / "t.json"), *flags])


@pytest.mark.parametrize("kind", ["dot", "cosine"])
def test_the_sets_are_those_of_the_function(kind, files, capsys):
    assert build(files, "--similarity", "0.2", "--table_similarity", kind, "--neighbours", str(files / "n.json")) == 0
    words, vectors = read_vectors(files / "v.npz")
    counts = count_words([" ".join(WORDS[:50])] * 2)
    expected = perturbation_sets(words, vectors, counts, similarity=0.2, table_similarity=kind)
    assert read_table(files / "t.json") == expected.table() != {}
    assert read_table(files / "n.json") == expected.neighbours
    assert not set(read_table(files / "t.json")) & set(WORDS[50:])
    assert f"2 texts with 50 words; {len(expected.sets)} of them have a set, 0 a part" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["builtin"], "got both: give one"),
        (["--k", "3"], "--k is read only without --safer"),
        (["--relation", "antonym"], "sets are of synonyms: leave out --relation antonym"),
        (["--similarity", "2"], "with a similarity above 2, so nothing was written: lower --similarity"),
        (["--text_column_names", "sentence"], "there is no column sentence"),
        (["--max_size", "1", "--similarity", "0"], "raise the similarity or the size"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(flags, message, files, capsys):
    assert build(files, *flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (files / "t.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "got neither: give one"),
        (["--safer", "v.npz"], "--safer needs --texts FILE"),
        (["builtin", "--texts", "t.csv"], "--texts is read only with --safer"),
        (["--safer", "builtin", "--texts", "train.jsonl"], "built from word vectors, got 'builtin'"),
    ],
)
def test_sources_and_flags_belong_together(arguments, message, files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    assert main(["lexicon", "build", "--output", "t.json", *arguments]) == 2
    assert message in capsys.readouterr().err
