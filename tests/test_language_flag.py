"""``--language`` through the script and the commands: six languages are trained on and attacked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from multilingual import LANGUAGES, save_classifier, write_files

from hf_robust.cli.main import main as command
from hf_robust.metrics import AttackRecord
from hf_robust.words import UNSPACED, words_of
from run_glue_robust import main as train

pytest.importorskip("stopwordsiso")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_classifier(tmp_path_factory.mktemp("multilingual"))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_trained_on_and_attacked(language: str, classifier: str, tmp_path: Path) -> None:
    if language in UNSPACED:
        pytest.importorskip("icu4py")
    data, table = write_files(tmp_path, language)
    out = tmp_path / "out"
    files = ["--model_name_or_path", classifier, "--train_file", data, "--validation_file", data]
    flags = ["--language", language, "--lexicon", table, "--robust_method", "safer", "--attacks", "synonym"]
    run = ["--do_train", "--do_eval", "--num_train_epochs", "1", "--max_seq_length", "32", "--use_cpu"]
    quiet = ["--report_to", "none", "--disable_tqdm", "true", "--save_strategy", "no", "--output_dir", str(out)]
    train([*files, *flags, *run, *quiet, "--class_names", "bad", "good", "--attack_strategy", "end"])
    card, rule = read(out / "run_card.json"), words_of(language)
    attack = card["attacks"]["synonym"]
    assert {key: attack.get(key) for key in ("word_rule", "segmentation")} == {"segmentation": None, **rule.describe()}
    [listed] = [part for part in attack["constraints"] if part["name"] == "stop_words"]
    assert listed["list"].endswith(f", {language}") and listed["count"] > 100
    assert card["lexicons"]["synonyms"]["coverage"]["texts"] == 16  # its noun
    [results] = out.glob("attack_results/*/synonym.jsonl")
    records = [AttackRecord.from_json(json.loads(line)) for line in results.read_text(encoding="utf-8").splitlines()]
    assert len(records) == 16 and {record.word_rule for record in records} == {rule.name}


def test_a_checkpoint_is_attacked_and_certified(
    classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, table = write_files(tmp_path, "fr")
    flags = [classifier, "--data", data, "--class_names", "bad", "good", "--language", "fr", "--lexicon", table]
    assert command(["attack", *flags, "--attacks", "synonym", "--output_dir", str(tmp_path / "a")]) == 0
    assert read(tmp_path / "a" / "run_card.json")["attacks"]["synonym"]["word_rule"] == "unicode:fr"
    assert command(["certify", *flags, "--votes", "20", "--output_dir", str(tmp_path / "c")]) == 0
    assert read(tmp_path / "c" / "run_card.json")["certify"]["word_rule"] == "unicode:fr"


def test_a_certificate_needs_spaces(classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, table = write_files(tmp_path, "zh")
    flags = [classifier, "--data", data, "--language", "zh", "--lexicon", table, "--output_dir", str(tmp_path / "c")]
    assert command(["certify", *flags]) != 0
    assert "Chinese (--language zh) has no spaces between words: attack the vote" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--attacks", "negation"], "the negation attack has rules for the English verb"),
        (["--attacks", "synonym", "--lexicon", "builtin"], "the lexicon builtin is English, and the texts are German"),
        (["--attacks", "synonym", "--pos_tagger", "nltk"], "--pos_tagger nltk is a tagger of English"),
        ([], "--language de decides the words of attacks"),
        (
            ["--attacks", "synonym", "--language", "th", "--model_name_or_path", "lstm"],
            "a new lstm reads words that spaces separate, and Thai",
        ),
    ],
)
def test_what_is_english_is_refused_before_data_are_read(flags: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        train([
            "--model_name_or_path", "nowhere", "--train_file", "nothing.jsonl", "--do_train", "--do_eval",
            "--language", "de", "--output_dir", str(tmp_path), *flags,
        ])  # fmt: skip
