"""``--language`` of `hf-robust lexicon` and `interpret`; `challenge`, whose masks are tokens, needs none."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pytest
from multilingual import LANGUAGES, rows, save_classifier, sentence, write_files

from hf_robust.cli.main import main
from hf_robust.lexicons import read_table
from hf_robust.words import UNSPACED, words_of

pytest.importorskip("stopwordsiso")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_classifier(tmp_path_factory.mktemp("multilingual"))


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 2
    return capsys.readouterr().err


# ---- lexicon ----


def test_words_are_looked_up_as_the_language_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, table = write_files(tmp_path, "ar")
    word = "رائِعة"  # with a vowel sign, which tables do not have
    lookup = ["lexicon", "lookup", word, "--lexicon", table]
    assert run(capsys, *lookup, "--language", "ar") == f"{word}: مدهشة\n"
    assert run(capsys, *lookup) == f"{word}: (no synonym known)\n"
    english = ["lexicon", "lookup", "gut", "--lexicon", "builtin", "--language", "de"]
    assert "the lexicon builtin is English, and the texts are German" in refused(capsys, *english)
    assert "takes the two letters of a language" in refused(capsys, *english[:-1], "German")


@pytest.mark.parametrize("language", ["de", "zh"])
def test_a_table_is_built_for_the_words_of_a_file(
    language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if language in UNSPACED:
        pytest.importorskip("icu4py")
    _, table = write_files(tmp_path, language)
    (tmp_path / "texts.txt").write_text(rows(language)[1]["sentence"], encoding="utf-8")  # praise only
    flags = ["--vocabulary", str(tmp_path / "texts.txt"), "--output", str(tmp_path / "built.json")]
    run(capsys, "lexicon", "build", table, *flags, "--language", language)
    sample = LANGUAGES[language]
    assert set(read_table(tmp_path / "built.json")) == {*sample.table} & {word.lower() for word in sample.words}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_preview_counts_the_words_of_the_language(
    language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if language in UNSPACED:
        pytest.importorskip("icu4py")
    data, table = write_files(tmp_path, language)
    printed = run(capsys, "lexicon", "preview", table, "--data", data, "--language", language)
    rule, sample = words_of(language), LANGUAGES[language]
    words = [word for row in rows(language) for word, _, _ in rule.split(row["sentence"])]
    known = [word for word in words if rule.substitutes(word, lambda key: sample.table.get(key, []))]
    assert f"({len(known)} of {len(words)}) and 16 of 16 texts" in printed


def test_the_preview_s_tagger_is_english(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, table = write_files(tmp_path, "de")
    flags = ["lexicon", "preview", table, "--data", data, "--language", "de", "--relation", "antonym"]
    views = ["--antonym_views", "matched", "--skip_labels", "none"]
    assert "views that swap words that the attack may change" in run(capsys, *flags, *views)
    assert "--pos_tagger nltk is a tagger of English" in refused(capsys, *flags, *views, "--pos_tagger", "nltk")


# ---- interpret ----


@pytest.fixture
def attacked(classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that attacks the texts of a language and returns the file of the results."""

    def attack(language: str) -> Path:
        if language in UNSPACED:
            pytest.importorskip("icu4py")
        data, table = write_files(tmp_path, language)
        flags = [classifier, "--data", data, "--class_names", "bad", "good", "--lexicon", table]
        run(capsys, "attack", *flags, "--language", language, "--attacks", "synonym", "--output_dir", str(tmp_path))
        return tmp_path / "attack_results" / "synonym.jsonl"

    return attack


@pytest.mark.slow
@pytest.mark.parametrize("language", ["fr", "zh"])
def test_explanations_are_of_the_words_that_were_attacked(
    language: str, attacked: Any, classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", classifier, "--pairs", str(attacked(language)), "--class_names", "bad", "good"]
    out = tmp_path / "interpreted"
    run(capsys, "interpret", "words", *flags, "--steps", "4", "--output_dir", str(out))
    page = html.unescape((out / "word_attributions.html").read_text(encoding="utf-8"))
    frame = [word for word in LANGUAGES[language].words if word not in LANGUAGES[language].praise]
    unchanged = [word for word in frame if word.lower() not in LANGUAGES[language].table]
    assert unchanged and all(f">{word}<" in page for word in unchanged)
    run(capsys, "interpret", "consistency", *flags, "--steps", "4", "--output_dir", str(out / "c"))
    assert json.loads((out / "c" / "interpretation.json").read_text())["counts"]["compared"] > 0


def test_views_are_drawn_in_the_language(
    classifier: str, attacked: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, table = tmp_path / "ar.jsonl", tmp_path / "ar.json"
    data.write_text("".join(json.dumps({"sentence": sentence("ar"), "label": row % 2}) + "\n" for row in range(20)))
    table.write_text(json.dumps({"رائعة": ["مدهشة"]}))  # without the vowel sign that the texts have
    flags = ["interpret", "space", "--model", classifier, "--class_names", "bad", "good", "--skip_labels", "none"]
    drawn = ["--data", str(data), "--lexicon", str(table), "--antonym_lexicon", str(table)]
    assert "Mean cosine distances" in run(capsys, *flags, *drawn, "--language", "ar")
    assert "only 0 of 20 texts" in refused(capsys, *flags, *drawn)
    files = ["--fickle", str(attacked("de")), "--language", "de"]
    assert "--language de decides which words of --data are replaced" in refused(capsys, *flags, *files)


@pytest.mark.slow
def test_importance_counts_the_words_of_the_language(
    attacked: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = attacked("fr")
    (tmp_path / "importances.json").write_text(json.dumps({"histoire": 2.0, "superbe": 1.0, "était": 0.5, "il": 0.2}))
    flags = ["--importances", str(tmp_path / "importances.json"), "--texts", str(tmp_path / "fr.jsonl")]
    flags += ["--attack_results", str(results), "--output_dir", str(tmp_path / "i")]
    assert "words 4" in run(capsys, "interpret", "importance", *flags, "--language", "fr").splitlines()[0]
    # By the English rule "L’histoire" and "qu'il" are one word each.
    assert "words 2" in run(capsys, "interpret", "importance", *flags).splitlines()[0]


# ---- challenge ----


@pytest.mark.parametrize("language", ["de", "zh"])
def test_a_challenge_set_masks_a_token_in_any_language(
    language: str, classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, _ = write_files(tmp_path, language)
    flags = [classifier, "--data", data, "--class_names", "bad", "good", "--output_dir", str(tmp_path / "c")]
    run(capsys, "challenge", *flags)
    masked = [json.loads(line) for line in (tmp_path / "c" / "challenge.jsonl").read_text("utf-8").splitlines()]
    assert len(masked) == 16 and all(row["sentence"].count("[MASK]") == 1 for row in masked)
