"""Contents of the model card besides rates: counts, intervals, certificates, limits and citations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hub_server import HubServer, card_errors
from huggingface_hub import ModelCard, ModelCardData
from test_card import ANTONYM, LEXICON, SYNONYM, make_folder, rates, read, results

from hf_robust.attacks import ATTACKS
from hf_robust.hub.card import add_robustness
from hf_robust.hub.citations import ATTACK_CITATIONS
from hf_robust.runs import read_history, write_history_line

CERTIFIED = {
    "certified_accuracy": 0.5,
    "certified_accuracy_low": 0.4,
    "certified_accuracy_high": 0.6,
    "smoothed_accuracy": 0.75,
    "smoothed_accuracy_low": 0.65,
    "smoothed_accuracy_high": 0.85,
    "abstained": 0.125,
    "radius": 2.5,
    "num_examples": 200,
    "votes": 5000,
    "alpha": 0.01,
    "seconds": 9.0,
}
CERTIFY = {"votes": 5000, "alpha": 0.01, "bound": "clopper_pearson", "rule": "half", "lexicon": LEXICON}


def certified_folder(folder: Path, certified: dict[str, Any] = CERTIFIED, **card: Any) -> Path:
    make_folder(folder, **{"certify": CERTIFY, **card})
    write_history_line(folder, {**read_history(folder)[-1], "certified": certified})
    add_robustness(folder)
    return folder


def arguments(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    found = read(folder)[0]["model-index"][0]["results"]
    return {(one["dataset"]["name"], metric["type"]): metric.get("args") for one in found for metric in one["metrics"]}


def test_every_result_has_its_count_and_interval_and_keeps_them(tmp_path: Path) -> None:
    folder = certified_folder(tmp_path)
    union = {"attacks": ["synonym", "pwws"], "num_examples": 60, "robust_accuracy": 0.1}
    write_history_line(folder, {**read_history(folder)[-1], "union": union})
    add_robustness(folder)
    found = arguments(folder)
    assert found["reviews (synonym attack)", "attack_success_rate"] == {
        "num_examples": 60, "num_attacked": 50, "low": 0.4625, "high": 0.6625, "confidence": 0.95
    }  # fmt: skip
    assert found["reviews (vote over random substitutions)", "certified_accuracy"] == {
        "num_examples": 200, "votes": 5000, "alpha": 0.01, "low": 0.4, "high": 0.6, "confidence": 0.95
    }  # fmt: skip
    assert found["reviews", "accuracy"]["num_examples"] == 64
    assert all({"num_examples", "low", "high", "confidence"} <= set(one) for one in found.values())
    assert all(one["low"] < one["high"] for one in found.values()) and len(found) == 7
    loaded = ModelCard.load(folder / "README.md").data.eval_results
    assert sorted(str(one.metric_args) for one in loaded) == sorted(map(str, found.values()))


def test_front_matter_round_trips_and_is_what_the_hub_takes(tmp_path: Path) -> None:
    text = (certified_folder(tmp_path) / "README.md").read_text()
    front = text.split("---\n")[1]
    again = ModelCardData(**yaml.safe_load(front)).to_yaml()
    assert yaml.safe_load(again) == yaml.safe_load(front)
    assert card_errors(text) == []
    assert card_errors(text.replace("type: attack_success_rate", "kind: attack_success_rate", 1)) != []


def test_the_hub_says_that_the_card_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = certified_folder(tmp_path)
    with HubServer() as hub:
        monkeypatch.setattr("huggingface_hub.repocard.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: False)
        card = ModelCard.load(folder / "README.md")
        card.validate()
        card.data.tags = "lora"
        with pytest.raises(ValueError, match="tags must be a list"):
            card.validate()
    assert hub.requests == ["POST /api/validate-yaml"] * 2


def test_certified_accuracy_is_a_result_and_a_table(tmp_path: Path) -> None:
    folder = certified_folder(tmp_path)
    vote = {"certified_accuracy": 0.5, "smoothed_accuracy": 0.75}
    assert results(folder)["reviews (vote over random substitutions)"] == vote
    text = read(folder)[1]
    assert "| certified accuracy | 50.0 [40.0, 60.0] |" in text and "| abstained | 12.5 |" in text
    assert "| median certified words | 2.5 |" in text and "| votes each | 5,000 |" in text
    assert "(alpha 0.01, bound clopper pearson, rule half)" in text
    add_robustness(folder)
    assert read(folder)[1] == text  # a second call replaces what the first wrote


def test_limit_for_a_certificate(tmp_path: Path) -> None:
    text = read(certified_folder(tmp_path))[1]
    assert "A certificate holds for the vote of 5,000 random substitutions, not for the network" in text
    assert "in the lexicon `table`, 7 words, fingerprint aa: words that are not in it" in text
    assert "wrong with a probability of at most 0.01" in text


def test_a_certificate_of_nothing_and_one_without_settings(tmp_path: Path) -> None:
    nothing = {key: None if "accuracy" in key or key == "radius" else value for key, value in CERTIFIED.items()}
    folder = certified_folder(tmp_path / "nothing", {**nothing, "num_examples": 0}, certify={})
    assert not any("vote" in name for name in results(folder))
    text = read(folder)[1]
    assert "| certified accuracy | – |" in text and "their substitutes in its lexicon" in text


def test_without_certificates_there_is_no_word_of_them(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path / "plain"))
    text = read(tmp_path / "plain")[1]
    assert "ertificate" not in text and "Certified accuracy" not in text and "cohen2019" not in text


def test_evaluation_texts_that_were_trained_on_are_counted(tmp_path: Path) -> None:
    data = {"name": "reviews", "eval_samples": 64, "train_samples": 1234}
    for name, seen in (("some", 3), ("none", 0)):
        add_robustness(make_folder(tmp_path / name, data={**data, "seen_in_training": seen}))
    assert "3 of 64 evaluation texts are also training texts" in read(tmp_path / "some")[1]
    assert "also training texts" not in read(tmp_path / "none")[1]


def test_limit_for_a_table_held_out_from_training(tmp_path: Path) -> None:
    held_out = {"synonyms": {**LEXICON, "fingerprint": "bb"}, "attack_synonyms": LEXICON}
    add_robustness(make_folder(tmp_path / "held out", lexicons=held_out))
    add_robustness(make_folder(tmp_path / "untrained", lexicons=held_out, trained_on=[]))
    text = read(tmp_path / "held out")[1]
    assert "fingerprint bb, the synonym attack those of another table, `table`, 7 words, fingerprint aa" in text
    assert "used the same table" not in text
    assert "those of another table" not in read(tmp_path / "untrained")[1]


def test_limit_for_one_seed(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path))
    assert "One training run, seed 5" in read(tmp_path)[1]


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_every_attack_used_is_cited(tmp_path: Path, attack: str) -> None:
    make_folder(tmp_path)
    write_history_line(tmp_path, {"epoch": 3, "step": 30, "accuracy": 0.5, "attacks": {attack: rates(0.5)}})
    add_robustness(tmp_path)
    text = read(tmp_path)[1]
    assert all(text.count(f"{{{key},") == 1 for key in (*ATTACK_CITATIONS[attack], "ye2020safer"))


def test_the_vote_certificates_textattack_and_attacks_in_training_are_cited(tmp_path: Path) -> None:
    theirs = {"backend": "textattack", "version": "0.3.11", "query_budget": None}
    views = [{"view": "pwws", "found": 3}]
    card: dict[str, Any] = {"citation": "", "views": views, "attacks": {"synonym": theirs, "antonym": ANTONYM}}
    text = read(certified_folder(tmp_path / "certified", **card))[1]
    keys = ("cohen2019certified", "ye2020safer", "morris2020textattack", "ren2019pwws")
    assert [text.count(f"{{{key},") for key in keys] == [1] * 4
    add_robustness(make_folder(tmp_path / "voted", citation="", vote={"votes": 5, "lexicon": LEXICON}))
    text = read(tmp_path / "voted")[1]
    assert "{ye2020safer," in text and "{cohen2019certified," not in text
    assert "accuracy" not in results(tmp_path / "voted").get("reviews", {})  # the vote's, not the network's


def test_the_synonym_attack_is_still_described(tmp_path: Path) -> None:
    assert SYNONYM["candidates"]["lexicon"]["fingerprint"] in read(certified_folder(tmp_path))[1]


def test_a_run_that_was_only_certified_is_not_called_attacked(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, certify=CERTIFY, attacks={})
    for line in read_history(folder):
        write_history_line(folder, {**line, "attacks": {}, "certified": CERTIFIED}, keep_later=True)
    add_robustness(folder)
    text = read(folder)[1]
    assert "and certified on held-out examples" in text and "examples certified: 200" in text
    assert "attacked" not in text.split("## Robustness")[1].split("```")[0].replace("| attacked |", "")
    assert "success rate is a lower bound" not in text and "success rate counts" not in text


def test_results_of_an_attacked_vote_are_named_after_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, vote={"votes": 1001, "lexicon": LEXICON})
    add_robustness(folder)
    add_robustness(folder)
    names = set(results(folder))
    assert "reviews (synonym attack on a vote of 1,001)" in names and "reviews (synonym attack)" not in names


def test_a_card_says_where_an_attack_was_blind(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, attacks={"synonym": {**SYNONYM, "scores": "probability"}})
    add_robustness(folder)
    assert "scored by probability" in (folder / "README.md").read_text()
    assert "hardly moves in float32" not in (folder / "README.md").read_text()
    line = read_history(folder)[-1]
    line["attacks"]["synonym"]["saturated_share"] = 0.25
    write_history_line(folder, line)
    add_robustness(folder)
    text = (folder / "README.md").read_text()
    assert "At 25.0 % of the queries of the synonym attack the model was so certain that its probability" in text
    assert "saturated queries, %" in text


# ---- a model that guesses, and what stands beside a number ----


def guess_folder(folder: Path, share: float, **card: Any) -> Path:
    data = {"name": "reviews", "eval_samples": 64, "class_shares": {"no": 1 - share, "yes": share}}
    made = make_folder(folder, data=data, **card)
    add_robustness(made)
    return made


def test_the_rates_of_a_model_that_guesses_stand_below_a_warning_and_in_no_metadata(tmp_path: Path) -> None:
    marked, learnt = guess_folder(tmp_path / "guess", 0.85), guess_folder(tmp_path / "learnt", 0.5)
    text = read(marked)[1]
    warning = (
        "> **Warning:** The accuracy of the model, 87.5 % [77.2, 93.5] on 64 rows, is no better than always "
        "predicting the most frequent class (85.0 %). Rates under attack of a model that guesses say nothing about "
        "robustness."
    )
    assert warning in text and text.index(warning) < text.index("| attack | clean accuracy, % |")
    assert results(marked) == {"reviews": {"accuracy": 0.875}}
    assert arguments(marked)["reviews", "accuracy"]["larger_class"] == 0.85
    assert "Warning" not in read(learnt)[1] and len(results(learnt)) == 3
    assert arguments(learnt)["reviews", "accuracy"]["larger_class"] == 0.5


def test_clean_accuracy_on_the_attacked_rows_is_in_the_table(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    line = read_history(folder)[-1]
    line["attacks"]["synonym"]["accuracy"] = 0.8
    line["attacks"]["antonym"] |= {"accuracy": 0.8, "raises_asr": 0.125, "median_rise": 0.0312}
    write_history_line(folder, line)
    add_robustness(folder)
    text = read(folder)[1]
    assert "| synonym | 80 [68, 88] | 25 [16, 37] | 56 [46, 66] | 60 | 50 | 9.0 | – | – | – |" in text
    assert "| antonym | 80 [68, 88] | – | 12 [2, 22] | 60 | 50 | 9.0 | 12 | 75 | +3.1 |" in text
    assert arguments(folder)["reviews (synonym attack)", "robust_accuracy"]["clean_accuracy"] == 0.8
    beside = arguments(folder)["reviews (antonym attack)", "attack_success_rate"]
    assert {key: beside[key] for key in ("raises_asr", "remains_asr", "median_rise")} == {
        "raises_asr": 0.125, "remains_asr": 0.75, "median_rise": 0.0312
    }  # fmt: skip


def test_a_file_of_adversarial_texts_has_no_clean_accuracy(tmp_path: Path) -> None:
    given = {**SYNONYM, "candidates": {"name": "file", "source": "adv.jsonl", "rows": 60, "fingerprint": "a"}}
    folder = make_folder(tmp_path, attacks={"synonym": given, "antonym": ANTONYM})
    line = read_history(folder)[-1]
    line["attacks"]["synonym"]["accuracy"] = 0.25  # on the texts themselves
    write_history_line(folder, line)
    add_robustness(folder)
    assert "| synonym | – | 25 [16, 37] |" in read(folder)[1]


def test_cost_of_training_by_part(tmp_path: Path) -> None:
    seconds = {"train": 73.4, "baseline": 13.7, "generate": 42.1, "attack": 5.0, "total": 134.2}
    forwards = {"train": 25.0, "twin": 25.0, "baseline": 12.5, "per_step": 5.0}
    known = {"type": "bert", "parameters": 22_676_352, "adapter_parameters": 75_268}
    folder = make_folder(tmp_path, seconds=seconds, forwards=forwards, architecture=known, final_step=20)
    add_robustness(folder)
    said = (
        "Training took 73 s without evaluation and attacks, and 56 s for the phases before it (plain training, "
        "views); 5.00 forward passes for each batch of texts (2.00 of the model, 2.00 of its twin, 1.00 of the plain "
        "training of the victim of the views). Published: bert, 22.7 M weights, and 0.075 M in the adapter."
    )
    assert said in read(folder)[1]
    plain = make_folder(tmp_path / "old", seconds={"train": 73.4}, forwards={"train": 9, "per_step": 3.0})
    add_robustness(plain)
    assert "Training took 73 s without evaluation and attacks; 3.00 forward passes for each batch" in read(plain)[1]
    assert "### Cost" not in read(make_folder(tmp_path / "none"))[1]


def test_the_card_names_the_file_that_was_measured(tmp_path: Path) -> None:
    variant = "train: train.jsonl.gz (400 rows); validation: dev.jsonl.gz (64 rows)"
    new = {"name": "reviews", "variant": variant, "eval_samples": 64, "attack_split": "validation"}
    for name, data in {"new": new, "old": {**new, "name": "train.jsonl.gz"}}.items():
        add_robustness(make_folder(tmp_path / name, data=data))
    assert (
        "on reviews and attacked on held-out examples of the split `validation` (`dev.jsonl.gz`)"
        in read(tmp_path / "new")[1]
    )
    assert "train.jsonl.gz" not in read(tmp_path / "old")[1].split("## Robustness")[0]
    assert set(results(tmp_path / "old")) >= {"dev.jsonl.gz", "dev.jsonl.gz (synonym attack)"}
