"""`hf-robust certify`: its files, attacks on the same vote, and its errors of one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import SYNONYMS, build_model, build_tokenizer, review_rows

import run_glue_robust
from hf_robust.attacks import Victim
from hf_robust.cli.main import main
from hf_robust.metrics import CertificateSummary
from hf_robust.reports import comparison_table
from hf_robust.reports.limits import limits as limits_of
from hf_robust.runs import load_run, read_certificates, read_history, read_records

CLOSED = {word: [other for other in group if other != word] for group in (["good", "fine", "great"], ["film", "movie"])
          for word in group}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / name for name in ("reviews.jsonl", "open.json", "closed.json")}
    paths["reviews.jsonl"].write_text("".join(json.dumps(row) + "\n" for row in review_rows(24)))
    paths["open.json"].write_text(json.dumps(SYNONYMS))
    paths["closed.json"].write_text(json.dumps(CLOSED))
    return paths


def certify(model: Path, corpus: dict[str, Path], out: Path, *more: str, table: str = "closed.json") -> int:
    flags = ["--data", str(corpus["reviews.jsonl"]), "--lexicon", str(corpus[table]), "--output_dir", str(out)]
    return main(["certify", str(model), *flags, "--votes", "40", *more])


def test_it_writes_certificates_card_history_and_table(
    model_folder: Callable[..., Path], corpus: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert certify(model_folder(), corpus, out, "--num_examples", "20") == 0
    printed = capsys.readouterr().out
    found = read_certificates(out / "certificates.jsonl")
    assert len(found) == 20 and all(sum(one.votes) == 40 for one in found)
    assert any(one.certified for one in found) and all(one.slack == 0 for one in found)
    (line,) = read_history(out)
    seconds = line["certified"]["seconds"]
    assert line["certified"] == CertificateSummary.from_certificates(found, 40, 0.01, seconds).history()
    summary = json.loads((out / "certificate_summary.json").read_text())
    assert summary["certified"] == line["certified"] and summary["accuracy"] == line["accuracy"]
    card = json.loads((out / "run_card.json").read_text())
    assert {key: card["certify"][key] for key in ("votes", "alpha", "bound", "rule", "seed")} == {
        "votes": 40, "alpha": 0.01, "bound": "clopper_pearson", "rule": "half", "seed": 0,
    }  # fmt: skip
    assert card["command"] and set(card["attacks"]) == set()
    assert card["certify"]["lexicon"]["size"] == len(CLOSED) and card["data"]["eval_samples"] == 20
    assert str(tmp_path) not in (out / "run_card.json").read_text() + (out / "certificate_summary.json").read_text()
    assert f"| {100 * line['certified']['certified_accuracy']:.1f} [" in printed and "median radius" in printed
    assert f"| {100 * line['accuracy']:.0f} [" in comparison_table([out])


def test_it_goes_on_where_it_stopped_and_the_batch_changes_nothing(
    model_folder: Callable[..., Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert certify(model_folder(), corpus, tmp_path / "out") == 0
    whole = (tmp_path / "out" / "certificates.jsonl").read_text()
    (journal,) = (tmp_path / "out" / "_attack_journal").glob("*.jsonl")
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:9]) + "\n" + lines[9][:20])
    asked: list[int] = []
    score = Victim.score
    monkeypatch.setattr(Victim, "score", lambda self, texts: asked.append(len(texts)) or score(self, texts))
    assert certify(model_folder(), corpus, tmp_path / "out", "--attack_token_budget", "64") == 0
    assert (tmp_path / "out" / "certificates.jsonl").read_text() == whole
    assert sum(asked) > 24  # the clean texts, and the draws of those that were missing
    asked.clear()
    assert certify(model_folder(), corpus, tmp_path / "out") == 0
    assert asked == [24]


def test_attacks_on_the_same_vote_stand_beside_the_certificates(
    model_folder: Callable[..., Path], corpus: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    attack = ["--attacks", "synonym", "input_reduction", "--pos_tagger", "none"]
    assert certify(model_folder(), corpus, out, *attack, "--attack_votes", "41") == 0
    printed = capsys.readouterr().out
    (line,) = read_history(out)
    assert set(line["attacks"]) == {"synonym", "input_reduction"} and "certified" in line
    assert "under synonym, % | abstained" in printed and "The attacks are on a vote of 41 draws, drawn anew" in printed
    card = json.loads((out / "run_card.json").read_text())
    assert (
        card["vote"]["votes"] == 41 and card["certify"]["votes"] == 40 and set(card["attacks"]) == set(line["attacks"])
    )
    certified = {one.idx for one in read_certificates(out / "certificates.jsonl") if one.certified}
    records = read_records(out / "attack_results" / "synonym.jsonl")
    # Where a vote is close, 41 draws may go wrong for some text that is asked; here no certified one is close.
    assert certified and not [one.idx for one in records if one.status == "succeeded" and one.idx in certified]
    assert load_run(out).card["data"]["attack_sample"] == "500 rows, seed 0"


def test_an_attacker_of_fewer_words_is_certified_against_for_more_texts(
    model_folder: Callable[..., Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    near = tmp_path / "near.json"
    near.write_text(json.dumps({"film": ["movie"]}))
    assert certify(model_folder(), corpus, tmp_path / "wide", table="open.json") == 0
    more = ["--neighbours", str(near), "--attacks", "synonym", "--pos_tagger", "none", "--attack_votes", "5"]
    assert certify(model_folder(), corpus, tmp_path / "near", *more, table="open.json") == 0
    # The attack beside the certificates is by the attacker whom they are about, on the vote that they are about.
    card = json.loads((tmp_path / "near" / "run_card.json").read_text())
    assert card["attacks"]["synonym"]["candidates"]["lexicon"]["size"] == card["certify"]["neighbours"]["size"] == 1
    assert card["vote"]["lexicon"] == card["certify"]["lexicon"]
    wide, narrow = (read_certificates(tmp_path / name / "certificates.jsonl") for name in ("wide", "near"))
    assert [one.votes for one in wide] == [one.votes for one in narrow]
    assert all(mine.slack <= theirs.slack for mine, theirs in zip(narrow, wide, strict=True))
    assert sum(one.certified for one in narrow) > sum(one.certified for one in wide)
    card = json.loads((tmp_path / "near" / "run_card.json").read_text())
    assert card["certify"]["neighbours"]["size"] == 1


def test_a_vote_over_masks_needs_no_table_and_certifies_by_changed_words(
    model_folder: Callable[..., Path], corpus: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, data = tmp_path / "out", str(corpus["reviews.jsonl"])
    attack = ["--attacks", "input_reduction", "--attack_votes", "9"]
    flags = ["--vote_mask_rate", "0.8", "--votes", "60", "--alpha", "0.1"]
    assert main(["certify", str(model_folder()), "--data", data, *flags, *attack, "--output_dir", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "Certified against any change of one word, whatever the table; by the number of changed words: " in printed
    found = read_certificates(out / "certificates.jsonl")
    assert all(one.certified == (one.radius is not None and one.radius >= 1) for one in found)
    assert any(one.certified for one in found) and not all(one.certified for one in found)
    card = json.loads((out / "run_card.json").read_text())
    assert card["certify"]["mask_rate"] == card["vote"]["mask_rate"] == 0.8 and "lexicon" not in card["certify"]
    papers = tmp_path / "papers"
    more = [*flags, "--beta", "votes", "--output_dir", str(papers)]
    assert main(["certify", str(model_folder()), "--data", data, *more]) == 0
    assert "(beta votes, an approximation that can be wrong for more texts)" in capsys.readouterr().out
    wider = read_certificates(papers / "certificates.jsonl")
    assert [one.votes for one in wider] == [one.votes for one in found]
    assert sum(one.certified for one in wider) >= sum(one.certified for one in found)
    assert load_run(papers).card["certify"]["beta"] == "votes"
    limits = " ".join(limits_of(load_run(papers)))
    assert "A certificate holds for the vote of 60 random masks" in limits
    assert "take the label's share of the votes as beta" in limits and "inserted and deleted words are not" in limits


def test_intervals_certify_the_network_itself_whatever_trained_it(
    model_folder: Callable[..., Path], corpus: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, data = tmp_path / "out", ["--data", str(corpus["reviews.jsonl"]), "--lexicon", str(corpus["closed.json"])]
    flags = [*data, "--rule", "intervals", "--output_dir", str(out), "--attacks", "synonym", "--pos_tagger", "none"]
    assert main(["certify", str(model_folder(kind="hf_robust_cnn")), *flags]) == 0
    printed = capsys.readouterr().out
    assert "by interval bounds of the network itself, each certificate is certain" in printed
    assert "of the vote" not in printed and "only swaps words by this table gets no lower than" in printed
    found = read_certificates(out / "certificates.jsonl")
    survived = {one.idx for one in read_records(out / "attack_results" / "synonym.jsonl") if one.status == "failed"}
    assert {one.idx for one in found if one.certified} <= survived and any(one.certified for one in found)
    card, (line,) = json.loads((out / "run_card.json").read_text()), read_history(out)
    assert card["certify"]["rule"] == "intervals" and "votes" not in card["certify"] and "vote" not in card
    assert (line["certified"]["votes"], line["certified"]["alpha"]) == (0, 0)
    assert line["accuracy"] == line["certified"]["smoothed_accuracy"] >= line["certified"]["certified_accuracy"]
    said = " ".join(limits_of(load_run(out)))
    assert "A certificate holds for the network itself, in float32, and only against swaps of words" in said
    assert "is wrong with a probability" not in said
    for refused, sentence in {
        ("--votes", "40"): "rule intervals counts no votes and does not read votes 40: leave it out",
        ("--attack_votes", "9"): "--attack_votes 9 draws votes, and --rule intervals certifies the network itself",
        ("--vote_mask_rate", "0.7"): "--vote_mask_rate 0.7 draws votes, and --rule intervals certifies",
    }.items():
        assert main(["certify", str(model_folder(kind="hf_robust_cnn")), *flags, *refused]) == 2
        assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert main(["certify", str(model_folder()), *flags]) == 2
    assert "interval bounds go through the LSTM and the CNN" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_the_documented_command_runs_on_a_run_of_the_demo_corpus(tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "certified"
    flags = [
        "--model_name_or_path",
        "demo",
        "--dataset_name",
        "demo",
        "--robust_method",
        "safer",
        "--lexicon",
        "builtin",
    ]
    sizes = ["--max_train_samples", "64", "--num_train_epochs", "1", "--save_strategy", "no", "--disable_tqdm", "True"]
    run_glue_robust.main([*flags, *sizes, "--do_train", "--report_to", "none", "--use_cpu", "--output_dir", str(run)])
    given = ["--data", "demo", "--lexicon", "builtin", "--votes", "30", "--num_examples", "12"]
    assert main(["certify", str(run), *given, "--output_dir", str(out)]) == 0
    (line,) = read_history(out)
    assert (
        line["certified"]["num_examples"] == 12
        and json.loads((out / "run_card.json").read_text())["method"] == "safer"
    )
    assert main(["certify", str(run), *given]) == 0
    (again,) = read_history(run / "measured" / "certify-1")
    assert {**again["certified"], "seconds": 0} == {**line["certified"], "seconds": 0}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--votes", "5"], "5 votes cannot certify any text at alpha 0.01 with 2 classes"),
        (["--alpha", "2"], "alpha must lie between 0 and 1, got 2"),
        (["--lexicon", "EMPTY"], "is empty, so a certificate would only repeat the plain prediction"),
        (["--lexicon", "OTHER"], "has no word of the 24 texts"),
        (["--beta", "votes"], "--beta votes needs --vote_mask_rate"),
        (["--vote_mask_rate", "1.5"], "--vote_mask_rate must lie between 0 and 1, got 1.5"),
        (
            ["--vote_mask_rate", "0.5", "--neighbours", "OTHER"],
            "an attacker with a table, and a vote over masks",
        ),
        (["--lexicon", "table.pkl"], "not opened because unpickling runs code"),
        (["--neighbours", "nowhere.json"], "There is no lexicon file at nowhere.json"),
        (["--attacks", "synonyms"], "synonyms"),
        (["--attacks", "synonym", "--attack_votes", "-1"], "--attack_votes must be at least 1"),
    ],
)
def test_bad_values_are_one_line(
    model_folder: Callable[..., Path],
    corpus: dict[str, Path],
    tmp_path: Path,
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "EMPTY.json").write_text("{}")
    (tmp_path / "OTHER.json").write_text('{"unheard": ["of"]}')
    places = {"EMPTY": "EMPTY.json", "OTHER": "OTHER.json"}
    given = [str(tmp_path / places[one]) if one in places else one for one in more]
    assert certify(model_folder(), corpus, tmp_path / "out", *given) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("hf-robust certify: ") and message in said
    assert not (tmp_path / "out" / "certificates.jsonl").exists()


@pytest.mark.parametrize(
    ("num_labels", "problem_type", "message"),
    [
        (1, "regression", "is a regression model, and only single-label classifiers can be certified"),
        (3, "multi_label_classification", "is a multi-label model"),
    ],
)
def test_models_without_one_class_are_refused(
    corpus: dict[str, Path],
    tmp_path: Path,
    num_labels: int,
    problem_type: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build_model(num_labels=num_labels, problem_type=problem_type).save_pretrained(tmp_path / "model")
    build_tokenizer().save_pretrained(tmp_path / "model")
    assert certify(tmp_path / "model", corpus, tmp_path / "out") == 2
    assert message in capsys.readouterr().err
