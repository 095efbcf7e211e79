"""Votes and certificates in run_glue_robust.py: its files, and errors about flags before training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_script import run, same_weights, weights
from tiny import SYNONYMS, review_rows
from transformers import Trainer

from hf_robust.runs import load_run, read_certificates


def card_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run_card.json").read_text())


@pytest.mark.slow
def test_safer_is_attacked_as_a_vote_and_certified_on_the_demo_corpus(tmp_path: Path) -> None:
    sizes = ["--max_train_samples", "64", "--max_eval_samples", "16", "--attack_num_examples", "4"]
    flags = ["--dataset_name", "demo", "--robust_method", "safer", "--attacks", "synonym", "--attack_votes", "8"]
    flags += [
        "--lexicon",
        "builtin",
        "--attack_query_budget",
        "20",
        "--certify",
        "end",
        "--certify_votes",
        "20",
        "--certify_num_examples",
        "6",
    ]
    found = run("demo", tmp_path / "out", "--do_train", "--do_eval", *flags, *sizes)
    published = load_run(tmp_path / "out")
    first, last = published.history
    assert "certified" not in first and last["certified"]["num_examples"] == 6 and last["certified"]["votes"] == 20
    assert found["eval_certified_accuracy"] == last["certified"]["certified_accuracy"]
    assert found["eval_vote_accuracy"] == last["accuracy"]
    assert len(read_certificates(tmp_path / "out" / "certificates" / "epoch-2.jsonl")) == 6
    card = card_of(tmp_path / "out")
    assert card["vote"]["votes"] == 8 and card["certify"]["votes"] == 20 and card["certify"]["rule"] == "half"
    trained = card["lexicons"]["synonyms"]
    assert trained.pop("coverage")["rows"] == 64 and card["certify"]["coverage"]["rows"] == 6
    assert card["vote"]["lexicon"] == card["certify"]["lexicon"] == trained
    assert card["data"]["certify_sample"] == "6 rows, seed 0" and card["seconds"]["certify"] > 0
    said = (tmp_path / "out" / "README.md").read_text()
    assert "The attacked classifier was a vote of 8 over random substitutions from the lexicon `builtin`" in said
    assert "certified accuracy" in (tmp_path / "out" / "tradeoff_curves.svg").read_text()


def test_ranmask_votes_over_masks_of_its_own_rate(tmp_path: Path) -> None:
    sizes = ["--max_train_samples", "32", "--max_eval_samples", "12", "--attack_num_examples", "3"]
    flags = ["--dataset_name", "demo", "--robust_method", "ranmask", "--ranmask_rate", "0.6", "--attack_votes", "5"]
    flags += ["--attacks", "input_reduction", "--attack_query_budget", "9", "--num_train_epochs", "1"]
    flags += ["--certify", "end", "--certify_votes", "20", "--certify_num_examples", "6"]
    found = run("demo", tmp_path / "out", "--do_train", "--do_eval", *flags, *sizes)
    card = card_of(tmp_path / "out")
    assert card["certify"]["mask_rate"] == card["vote"]["mask_rate"] == card["config"]["ranmask_rate"] == 0.6
    assert card["lexicons"] == {} and "lexicon" not in card["certify"]
    (file,) = (tmp_path / "out" / "certificates").glob("*.jsonl")
    certificates = read_certificates(file)
    assert all(one.certified == (one.radius is not None and one.radius >= 1) for one in certificates)
    assert found["eval_certified_accuracy"] == sum(one.certified for one in certificates) / 6
    said = (tmp_path / "out" / "README.md").read_text()
    assert "a vote of 5 over random masks of 60 % of the words" in said and "{zeng2023ranmask," in said
    assert "no change of one word can change the correct prediction of the vote over random masks" in said


def test_ibp_trains_a_new_cnn_and_certifies_it_without_a_vote(tmp_path: Path) -> None:
    sizes = ["--max_train_samples", "32", "--max_eval_samples", "12", "--num_train_epochs", "1"]
    flags = ["--dataset_name", "demo", "--robust_method", "ibp", "--lexicon", "builtin", "--eval_strategy", "epoch"]
    flags += [
        "--metric_for_best_model",
        "certified_accuracy",
        "--certify",
        "epoch",
        "--certify_rule",
        "intervals",
        "--certify_num_examples",
        "6",
    ]
    found = run("cnn", tmp_path / "out", "--do_train", "--do_eval", *flags, *sizes)
    card, (file,) = card_of(tmp_path / "out"), (tmp_path / "out" / "certificates").glob("*.jsonl")
    certificates = read_certificates(file)
    assert found["eval_certified_accuracy"] == sum(one.certified for one in certificates) / 6
    assert card["certify"]["rule"] == "intervals" and card["certify"]["lexicon"]["name"] == "builtin"
    assert card["method"] == "ibp" and "ibp_kappa" in card["config"]
    said = (tmp_path / "out" / "README.md").read_text()
    assert "change the correct prediction of the network itself" in said and "{jia2019certified," in said
    assert "votes each" not in said and "cohen2019certified" not in said


@pytest.mark.slow
def test_certificates_alone_change_no_weight_and_no_metric(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = {"train": review_rows(12), "validation": review_rows(8, 1)}
    (tmp_path / "table.json").write_text(json.dumps(SYNONYMS))
    flags = ["--certify", "epoch", "--certify_votes", "30", "--certify_num_examples", "0"]
    flags += ["--lexicon", str(tmp_path / "table.json"), "--metric_for_best_model", "certified_accuracy"]
    model = model_folder(dropout=0.1)
    both = ["--do_train", "--do_eval", "--eval_strategy", "epoch"]
    plain = run(model, tmp_path / "plain", *both, **data)
    found = run(model, tmp_path / "certified", *both, *flags, **data)
    assert same_weights(weights(tmp_path / "plain"), weights(tmp_path / "certified"))
    assert found["eval_accuracy"] == plain["eval_accuracy"] and found["eval_certified_accuracy"] <= 1
    history = load_run(tmp_path / "certified").history
    assert [(line["attacks"], line["certified"]["num_examples"]) for line in history] == [({}, 8), ({}, 8)]
    assert not (tmp_path / "certified" / "attack_results").exists() and "vote" not in card_of(tmp_path / "certified")
    # A run that measures nothing does not claim what this one found.
    run(model, tmp_path / "certified", "--do_train", **data)
    assert not (tmp_path / "certified" / "certificates").exists()
    assert not (tmp_path / "certified" / "robustness_history.jsonl").exists()


GOOD = review_rows(4)
BOTH = {"train": GOOD, "validation": GOOD}
RUN = ["--do_train", "--do_eval"]
WRONG: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "certified regression": (
        ["--do_train", "--certify", "end", "--lexicon", "builtin"],
        {"train": [{"sentence": "good", "label": 0.5}]},
        "--certify end needs one class for each row, and this is a regression: leave it out",
    ),
    "a method of other architectures": (
        [*RUN, "--robust_method", "ibp", "--lexicon", "builtin"],
        BOTH,
        "ibp trains models of the types hf_robust_lstm and hf_robust_cnn, and this one is of type bert",
    ),
    "bounds of another architecture": (
        [*RUN, "--certify", "end", "--certify_rule", "intervals", "--lexicon", "builtin"],
        BOTH,
        "interval bounds go through the LSTM and the CNN of this package, and this model is of type bert",
    ),
    "votes of no vote": (
        [*RUN, "--certify", "end", "--certify_rule", "intervals", "--certify_votes", "50"],
        BOTH,
        "--certify end: rule intervals counts no votes and does not read votes 50: leave it out",
    ),
    "empty table": (
        [*RUN, "--certify", "end", "--lexicon", "{table}"],
        BOTH,
        "table.json is empty, so a certificate would only repeat",
    ),
    "a table of other words": (
        [
            *RUN,
            "--attacks",
            "antonym",
            "--skip_labels",
            "none",
            "--attack_votes",
            "3",
            "--lexicon",
            "{other}",
            "--antonym_lexicon",
            "builtin",
        ],
        BOTH,
        "changes no word of the 4 texts, so that each of the 3 votes is the plain prediction; give a --lexicon",
    ),
    "no rows": (
        ["--do_train", "--certify", "end", "--lexicon", "builtin"],
        BOTH,
        "--certify end needs rows to certify: add --do_eval",
    ),
    "no votes": ([*RUN, "--certify", "end", "--certify_votes", "0"], BOTH, "--certify end: votes must be at least 1"),
    "few votes": (
        [*RUN, "--certify", "end", "--certify_votes", "3"],
        BOTH,
        "--certify end: 3 votes cannot certify any text at alpha 0.01 .*; 8 can, or a larger alpha",
    ),
    "votes of nothing": (
        [*RUN, "--certify_votes", "100", "--certify_rule", "margin"],
        BOTH,
        "--certify_votes, --certify_rule have no effect without --certify; add --certify end or epoch",
    ),
    "attacked votes of nothing": (
        [*RUN, "--attack_votes", "5"],
        BOTH,
        "--attack_votes 5 sets the vote that is attacked, and no attack runs: add --attacks",
    ),
    "masks of nothing": (
        [*RUN, "--vote_mask_rate", "0.3"],
        BOTH,
        "--vote_mask_rate 0.3 sets how a vote draws, and there is none: add --attack_votes or a certificate",
    ),
    "masks too few": (
        ["--do_train", "--do_eval", "--robust_method", "ranmask", "--certify", "end"],
        BOTH,
        "a mask rate of 0.3 keeps more than half of the words of each of the 4 texts .*: mask more than half of them",
    ),
    "fewer than none": (
        [*RUN, "--attacks", "synonym", "--attack_votes", "-1"],
        BOTH,
        "--attack_votes must be at least 1 .0: the plain network., got -1",
    ),
    "votes of another library": (
        [*RUN, "--attacks", "pwws", "--attack_votes", "5", "--attack_backend", "textattack"],
        BOTH,
        "--attack_votes is for --attack_backend native; TextAttack's recipes bring their own parts",
    ),
    "chosen by certificates at the end": (
        [*RUN, "--certify", "end", "--eval_strategy", "epoch", "--metric_for_best_model", "eval_certified_accuracy"],
        BOTH,
        "certified_accuracy is measured at the end of each epoch only: .* --certify epoch .got end",
    ),
    "chosen by a vote that is not": (
        [*RUN, "--attacks", "synonym", "--eval_strategy", "epoch", "--metric_for_best_model", "vote_accuracy"],
        BOTH,
        "--metric_for_best_model vote_accuracy needs a vote: add --attack_votes",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_sentence_before_training(
    case: str, model_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags, data, sentence = WRONG[case]
    paths = {"{table}": tmp_path / "table.json", "{other}": tmp_path / "other.json"}
    paths["{table}"].write_text("{}")
    paths["{other}"].write_text('{"unheard": ["of"]}')
    monkeypatch.setattr(Trainer, "train", lambda *args, **kwargs: pytest.fail("training began"))
    with pytest.raises(ValueError, match=sentence) as caught:
        run(model_folder(), tmp_path / "out", *[str(paths.get(flag, flag)) for flag in flags], **data)
    assert "\n" not in str(caught.value)
