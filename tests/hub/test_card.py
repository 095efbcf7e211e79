"""The model card: what is added, what stays, and that all numbers come from the files of the run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from hf_robust.hub.card import add_robustness
from hf_robust.hub.citations import citation
from hf_robust.runs import read_history, write_history_line

LEXICON = {"name": "table", "relation": "synonym", "fingerprint": "aa", "size": 7, "keeps_part_of_speech": True}
SYNONYM = {
    "name": "synonym",
    "goal": {"name": "misclassify"},
    "candidates": {"name": "synonyms", "lexicon": LEXICON},
    "constraints": [{"name": "stop_words", "count": 3}],
    "similarity": None,
    "ranking": "by_deletion",
    "search": "greedy",
    "max_changed": None,
    "query_budget": 2000,
    "skip_labels": [],
    "frozen_columns": [0],
}
ANTONYM = {**SYNONYM, "goal": {"name": "remain", "success": "raises"}, "skip_labels": [1], "max_changed": 1}


def rates(asr: float, **extra: float) -> dict[str, float]:
    interval = {"asr_low": asr - 0.1, "asr_high": asr + 0.1}
    counts = {"num_examples": 60, "num_attacked": 50, "queries": 9.0, "seconds": 1.0}
    return {"asr": asr, "robust_accuracy": 0.25, **interval, **counts, **extra}


def make_folder(folder: Path, front: str = "tags:\n- lora\n", **card: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for epoch, asr in ((1.0, 0.4375), (2.0, 0.5625)):
        attacks = {"synonym": rates(asr), "antonym": rates(0.125, remains_asr=0.75, covered=0.5, covered_asr=0.25)}
        write_history_line(folder, {"epoch": epoch, "step": 10 * epoch, "accuracy": 0.875, "attacks": attacks})
    stated = {
        "method": "safer",
        "citation": "ye2020safer",
        "model": "tiny",
        "data": {"name": "reviews", "eval_samples": 64, "train_samples": 1234, "attack_split": "validation"},
        "lexicons": {"synonyms": LEXICON},
        "trained_on": ["synonyms"],
        "training": {},
        "attacks": {"synonym": SYNONYM, "antonym": ANTONYM},
        "seed": 5,
        "versions": {"torch": "9.9"},
        "load_best_model_at_end": False,
        "command": ["run_glue_robust.py", "--output_dir", "my out"],
    }
    (folder / "run_card.json").write_text(json.dumps({**stated, **card}))
    (folder / "README.md").write_text(f"---\n{front}---\n\n# A model\n\nIts own words.\n")
    return folder


def read(folder: Path) -> tuple[dict[str, Any], str]:
    text = (folder / "README.md").read_text()
    return yaml.safe_load(text.split("---\n")[1]), text


def results(folder: Path) -> dict[str, dict[str, float]]:
    found = read(folder)[0]["model-index"][0]["results"]
    return {one["dataset"]["name"]: {m["type"]: m["value"] for m in one["metrics"]} for one in found}


def test_one_result_for_each_attack(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path))
    assert results(tmp_path) == {
        "reviews": {"accuracy": 0.875},
        "reviews (synonym attack)": {"attack_success_rate": 0.5625, "robust_accuracy": 0.25},
        "reviews (antonym attack)": {"attack_success_rate": 0.125},  # robust accuracy has no meaning there
    }
    splits = [one["dataset"]["split"] for one in read(tmp_path)[0]["model-index"][0]["results"]]
    assert splits == ["validation", "validation (synonym attack)", "validation (antonym attack)"]
    assert [result.metric_type for result in ModelCard.load(tmp_path / "README.md").data.eval_results]


def test_limit_for_an_attack_that_training_used(tmp_path: Path) -> None:
    views = [{"view": "synonym", "found": 5}, {"view": "antonym", "found": 0}, {"view": "pwws", "found": 3}]
    cards = {"same": {"views": views}, "none": {"views": views[1:2]}, "other": {"views": views[2:]}, "old": {}}
    for name, card in cards.items():
        add_robustness(make_folder(tmp_path / name, **card))
    sentence = "trained on texts of the synonym attack, which also measured it; rates under other attacks are more"
    assert sentence in " ".join(read(tmp_path / "same")[1].split())
    assert not any("also measured it" in read(tmp_path / name)[1] for name in ("none", "other", "old"))


def test_the_worst_case_is_a_result_of_its_own(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    line = read_history(folder)[-1]
    union = {"attacks": ["synonym", "pwws"], "num_examples": 60, "robust_accuracy": 0.1}
    write_history_line(folder, {**line, "union": union})
    add_robustness(folder)
    assert results(folder)["reviews (worst of synonym, pwws)"] == {"robust_accuracy": 0.1}
    assert "| worst of synonym, pwws | – | 10 [5, 20] | – | 60 |" in read(folder)[1]
    add_robustness(folder)
    assert len(results(folder)) == 4


def test_attacks_with_given_texts_are_described_as_such(tmp_path: Path) -> None:
    given = {"source": "sst2.jsonl.gz", "rows": 1480, "fingerprint": "ab"}
    described = {
        "synonym": {**SYNONYM, "candidates": {"name": "file", **given}},
        "antonym": {**ANTONYM, "candidates": {"name": "replay", **given}},
    }
    add_robustness(make_folder(tmp_path, attacks=described))
    text = read(tmp_path)[1]
    assert "The synonym attack: 1,480 labelled adversarial texts from `sst2.jsonl.gz`" in text
    assert "The antonym attack: 1,480 texts from `sst2.jsonl.gz` that fooled another model" in text


def test_results_of_the_trainers_card_stay_and_name_the_data(tmp_path: Path) -> None:
    front = yaml.safe_dump(
        {
            "model-index": [
                {
                    "name": "mine",
                    "results": [
                        {
                            "task": {"type": "text-classification", "name": "Text Classification"},
                            "dataset": {"name": "GLUE SST2", "type": "glue", "config": "sst2", "split": "validation"},
                            "metrics": [{"type": "accuracy", "value": 0.9, "name": "Accuracy"}],
                        }
                    ],
                }
            ]
        }
    )
    add_robustness(make_folder(tmp_path, front))
    assert results(tmp_path)["GLUE SST2"] == {"accuracy": 0.9}
    assert "GLUE SST2 (synonym attack)" in results(tmp_path)
    front_matter = read(tmp_path)[0]
    assert front_matter["model-index"][0]["name"] == "mine"
    assert {one["dataset"]["type"] for one in front_matter["model-index"][0]["results"]} == {"glue"}


def test_second_call_changes_nothing(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path))
    once = (tmp_path / "README.md").read_bytes()
    add_robustness(tmp_path)
    assert (tmp_path / "README.md").read_bytes() == once
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("_")) == []


def test_later_call_replaces_old_numbers(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path))
    line = {"epoch": 3.0, "step": 30, "accuracy": 0.875, "attacks": {"synonym": rates(0.6875)}}
    write_history_line(tmp_path, line)
    add_robustness(tmp_path)
    front, text = read(tmp_path)
    assert text.count("## Robustness") == 1 and "69 [59, 79]" in text and "56 [" not in text
    assert results(tmp_path)["reviews (synonym attack)"]["attack_success_rate"] == 0.6875
    assert "Its own words." in text and "# A model" in text


def test_tags_are_united(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path))
    tags = read(tmp_path)[0]["tags"]
    assert tags == ["lora", "robustness", "adversarial-training", "hf_robust", "safer"]


def test_numbers_are_of_the_weights_that_are_published(tmp_path: Path) -> None:
    make_folder(tmp_path, load_best_model_at_end=True)
    (tmp_path / "trainer_state.json").write_text('{"best_global_step": 10}')
    add_robustness(tmp_path)
    assert results(tmp_path)["reviews (synonym attack)"]["attack_success_rate"] == 0.4375
    assert "The numbers are those of epoch 1, the best, whose weights are published here." in read(tmp_path)[1]


def test_weights_that_were_not_attacked_get_no_result(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path, load_best_model_at_end=True, best_step=15))
    assert "model-index" not in read(tmp_path)[0] or not any("attack" in name for name in results(tmp_path))
    assert "The numbers are those of step 10.0; the weights published here are those of step 15" in read(tmp_path)[1]


def test_rate_that_does_not_exist_is_not_published(tmp_path: Path) -> None:
    make_folder(tmp_path)
    attacks = {"synonym": {**rates(math.nan), "robust_accuracy": 0.0}}
    write_history_line(tmp_path, {"epoch": 3.0, "step": 30, "accuracy": math.nan, "attacks": attacks})
    add_robustness(tmp_path)
    assert results(tmp_path) == {"reviews (synonym attack)": {"robust_accuracy": 0.0}}


def test_section_says_table_picture_command_and_citations(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "tradeoff_curves.png").write_bytes(b"")
    add_robustness(tmp_path)
    text = read(tmp_path)[1]
    assert "| synonym | – | 25 [16, 37] | 56 [46, 66] | 60 | 50 | 9.0 |" in text
    assert "| antonym | – | – | 12 [2, 22] | 60 | 50 | 9.0 | 12 | 75 |" in text  # raises, remains
    assert "](tradeoff_curves.png)" in text
    assert "run_glue_robust --output_dir 'my out'" in text
    assert "torch 9.9" in text and "1,234 training examples" in text
    for key in ("ye2020safer", "jin2020textfooler", "chen2022balanced"):
        assert text.count(f"{{{key},") == 1


def test_without_a_picture_none_is_shown(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path))
    assert "tradeoff_curves.png" not in read(tmp_path)[1]


def test_sentences_of_the_limits(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path))
    text = read(tmp_path)[1]
    for said in (
        "from the lexicon `table`, 7 words, fingerprint aa",
        "no tagger",
        "no sentence encoder",
        "at most 2,000 queries",
        "unchanged text columns: 0",
        "examples of the label ids 1 not attacked",
        "is assumed and was not verified by people",
        "the antonym attack tried, 25 of 50 have at least one substitute; its success rate on these is 25 %",
        "One training run, seed 5; attacked of N = 60: 50 by each attack; rows of the split: 64.",
    ):
        assert said in text, said


def test_limit_for_an_attacked_vote(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path / "plain"))
    add_robustness(make_folder(tmp_path / "vote", vote={"votes": 1001, "lexicon": LEXICON}))
    sentence = (
        "The attacked classifier was a vote of 1,001 over random substitutions from the lexicon `table`, 7 words, "
        "fingerprint aa. Accuracy and attack rates are those of the vote. `from_pretrained` loads the network without"
    )
    assert sentence in read(tmp_path / "vote")[1] and "a vote of" not in read(tmp_path / "plain")[1]
    # The accuracy of the vote is not published as the network's.
    assert results(tmp_path / "plain")["reviews"] == {"accuracy": 0.875} and "reviews" not in results(
        tmp_path / "vote"
    )


def test_limit_for_the_same_table_in_training_and_attack(tmp_path: Path) -> None:
    add_robustness(make_folder(tmp_path / "same"))
    add_robustness(make_folder(tmp_path / "untrained", trained_on=[]))
    other = {"synonyms": {**LEXICON, "fingerprint": "bb"}}
    add_robustness(make_folder(tmp_path / "other", lexicons=other))
    said = {name: "used the same table" in read(tmp_path / name)[1] for name in ("same", "untrained", "other")}
    assert said == {"same": True, "untrained": False, "other": False}


def test_a_lexicon_among_several_sources_is_the_attacks_lexicon(tmp_path: Path) -> None:
    nested = {"name": "any_of", "sources": [{"name": "delete"}, {"name": "synonyms", "lexicon": LEXICON}]}
    add_robustness(make_folder(tmp_path, attacks={"synonym": {**SYNONYM, "candidates": nested}, "antonym": ANTONYM}))
    text = read(tmp_path)[1]
    assert "candidates any of (sources delete, synonyms) from the lexicon `table`, 7 words" in text
    assert "Training and the synonym and antonym attack used the same table" in text


def test_no_accuracy_under_attack_where_every_example_succeeds(tmp_path: Path) -> None:
    shorter = {**SYNONYM, "goal": {"name": "shorten"}}
    add_robustness(make_folder(tmp_path, attacks={"synonym": shorter, "antonym": ANTONYM}))
    assert "reviews (synonym attack)" not in results(tmp_path)  # its success rate says nothing either
    text = read(tmp_path)[1]
    assert "The synonym attack deletes words while the prediction stays" in text
    assert "The antonym attack succeeds where the prediction stays" in text


def test_limit_for_a_recipe_of_textattack(tmp_path: Path) -> None:
    theirs = {"name": "textfooler", "backend": "textattack", "version": "0.3.11", "query_budget": None}
    add_robustness(make_folder(tmp_path, attacks={"synonym": theirs, "antonym": ANTONYM}))
    text = read(tmp_path)[1]
    assert "The synonym attack: a recipe of TextAttack 0.3.11 with its own settings; no query budget." in text


def test_encoder_and_tagger_are_named(tmp_path: Path) -> None:
    similarity = {"name": "sentence_similarity", "encoder": "mini", "minimum": 0.84, "metric": "angular"}
    constraints = [{"name": "part_of_speech", "tagger": "perceptron", "verb_noun_swap": True}]
    attack = {**SYNONYM, "similarity": similarity, "constraints": constraints}
    add_robustness(make_folder(tmp_path, attacks={"synonym": attack}))
    text = read(tmp_path)[1]
    assert "sentence encoder `mini`, angular similarity at least 0.840" in text
    assert "part of speech (tagger perceptron, verb noun swap yes)" in text
    assert "The run card does not describe the antonym attack." in text


def test_folder_as_base_model_is_taken_out(tmp_path: Path) -> None:
    front = f"base_model: {tmp_path}/base\ntags:\n- base_model:adapter:{tmp_path}/base\n- lora\n"
    add_robustness(make_folder(tmp_path, front))
    front_matter, text = read(tmp_path)
    assert "base_model" not in front_matter and "lora" in front_matter["tags"]
    assert str(tmp_path) not in text


def test_model_made_from_a_configuration_was_trained_from_scratch(tmp_path: Path) -> None:
    make_folder(tmp_path)
    with (tmp_path / "README.md").open("a") as file:
        file.write("\nThis model is a fine-tuned version of [](https://huggingface.co/) on an unknown dataset.\n")
    add_robustness(tmp_path)
    assert "\nThis model was trained from scratch on an unknown dataset." in read(tmp_path)[1]


def test_card_without_measurement_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("words")
    add_robustness(tmp_path)
    assert (tmp_path / "README.md").read_text() == "words"


def test_card_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="README.md does not exist; call trainer.create_model_card"):
        add_robustness(tmp_path)


def test_card_without_run_card_still_has_its_results(tmp_path: Path) -> None:
    (make_folder(tmp_path) / "run_card.json").unlink()
    add_robustness(tmp_path)
    assert results(tmp_path)["unknown (synonym attack)"]["attack_success_rate"] == 0.5625
    assert "Trained and attacked on held-out examples with" in read(tmp_path)[1]
    assert "```bash" not in read(tmp_path)[1]


def test_citations() -> None:
    assert "Balanced Adversarial Training" in citation("chen2022balanced")
    assert citation("jin2020textfooler").startswith("@inproceedings{jin2020textfooler,")
    with pytest.raises(ValueError, match=r"No citation 'nobody'; citations.bib has chen2022balanced"):
        citation("nobody")


def test_every_method_and_attack_has_its_citation() -> None:
    from hf_robust.attacks import ATTACKS
    from hf_robust.hub.citations import ATTACK_CITATIONS
    from hf_robust.trainers import METHODS

    assert set(ATTACK_CITATIONS) == set(ATTACKS)
    keys = [key for keys in ATTACK_CITATIONS.values() for key in keys]
    for key in [*keys, *(method.citation for method in METHODS.values() if method.citation)]:
        assert citation(key).count("{") == citation(key).count("}")
