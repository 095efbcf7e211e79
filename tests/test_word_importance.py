"""`hf-robust interpret importance` on the files of a `flat` run, for several kinds of vocabulary."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import AnyChange, build_model, build_trainer, dense_synonyms, review_rows

from benchmarks.architectures.vocabularies import VOCABULARIES, train_tokenizer
from hf_robust.attacks import ATTACKS, Resources
from hf_robust.cli.main import main
from hf_robust.data import TextDataset
from hf_robust.views import read_views
from hf_robust.words import Text

pytestmark = pytest.mark.slow

every_vocabulary = pytest.mark.parametrize("kind", VOCABULARIES)


def cased_rows(count: int = 16) -> list[dict[str, Any]]:
    """Sentences of which every second one begins with a capital letter."""
    rows = review_rows(count)
    return [
        {**row, "sentence": row["sentence"].capitalize() if number % 2 else row["sentence"]}
        for number, row in enumerate(rows)
    ]


def flat_run(kind: str, folder: Path) -> list[dict[str, Any]]:
    """Train `flat` with a tokenizer of this family; the rows."""
    rows = cased_rows()
    tokenizer = train_tokenizer(kind, [row["sentence"] for row in rows])
    model = build_model()
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    attack = replace(ATTACKS["synonym"](Resources(synonyms=dense_synonyms())), goal=AnyChange())
    trainer: Any = build_trainer(
        "flat", folder, model=model, tokenizer=tokenizer, attacks={"synonym": attack}, mask_learning_rate=1.0,
        data=TextDataset(rows, ("sentence",), tokenizer, max_length=48),
    )  # fmt: skip
    trainer.train()
    trainer.save_model()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return rows


def ask(folder: Path, *flags: str, importances: Path | None = None) -> int:
    given = [
        "--importances",
        str(importances or folder / "word_importances.json"),
        "--output_dir",
        str(folder / "out"),
    ]
    texts = [] if "--texts" in flags else ["--texts", str(folder / "train.jsonl")]
    views = ["--attack_results", str(folder / "_views" / "synonym-round0.jsonl")]
    return main(["interpret", "importance", *given, *texts, *views, *flags])


@every_vocabulary
def test_each_vocabulary_and_what_training_replaced(kind: str, tmp_path: Path) -> None:
    rows = flat_run(kind, tmp_path)
    assert ask(tmp_path) == 0
    (file,) = tmp_path.rglob("importance.json")
    found = json.loads(file.read_text())

    def fold(words: list[str]) -> list[str]:
        return [word.lower() for word in words] if kind == "uncased WordPiece" else words

    seen = {word for row in rows for word in fold(Text((row["sentence"],)).tokens)}
    assert found["frequency in the texts"]["words"] == len(seen)
    replaced: Counter[str] = Counter()
    _, made = read_views(tmp_path / "_views" / "synonym-round0.jsonl", {})
    for idx, view in ((idx, view) for idx, view in made if view.ok):
        before, after = fold(Text((rows[idx]["sentence"],)).tokens), fold(view.text.tokens)
        for old, new in zip(before, after, strict=True):
            replaced.update([old, new] if old != new else [])
    assert len(made) > 2 and found["replacements in attacks"]["words"] == len(replaced)
    assert found["replacements in attacks"]["pearson_r"] is not None


def test_views_of_other_texts_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = flat_run("cased WordPiece", tmp_path)
    for name, others in (("turned", rows[::-1]), ("fewer", rows[:1])):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in others), encoding="utf-8")
        assert ask(tmp_path, "--texts", str(path)) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert (
            "that does not belong to this row of --texts" in error and "give the training texts of that run" in error
        )


def test_importances_that_left_their_tokenizer_are_told_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat_run("byte-level BPE", tmp_path / "run")
    alone = tmp_path / "alone" / "phi.json"
    alone.parent.mkdir()
    alone.write_bytes((tmp_path / "run" / "word_importances.json").read_bytes())
    assert ask(tmp_path / "run", importances=alone) == 2
    assert "and there is no tokenizer beside their file" in capsys.readouterr().err
    assert ask(tmp_path / "run", "--tokenizer", str(tmp_path / "run"), importances=alone) == 0
    train_tokenizer("SentencePiece", ["a good film"]).save_pretrained(tmp_path / "other")
    assert ask(tmp_path / "run", "--tokenizer", str(tmp_path / "other"), importances=alone) == 2
    assert "which is not a token of the tokenizer" in capsys.readouterr().err
