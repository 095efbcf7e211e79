"""Each check of `hf-robust check` on hand-made folders that it flags and on others that it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import GREEDY, LEXICON, recorded_run, records
from scripted import record

from hf_robust.metrics.guessing import least_accuracy
from hf_robust.reports.sanity import FLAGGED, NOT_CHECKED, OK, Evidence, Finding, check_run, gather_evidence
from hf_robust.reports.sanity.stronger import is_at_least, is_stronger
from hf_robust.runs import read_history

OTHER = {**LEXICON, "fingerprint": "bb", "source": "other.json"}


def finding_of(check: str, *folders: Path, baseline: Path | None = None, force: bool = False) -> Finding:
    """Finding of one check for a run and further folders."""
    evidence: Evidence = gather_evidence(folders[0], folders[1:], baseline, force)
    return next(one for one in check_run(evidence) if one.check == check)


def drawing(lexicon: dict[str, Any], k: int | None = None) -> dict[str, Any]:
    return {"candidates": {"name": "synonyms", "lexicon": lexicon, "k": k}}


# ---- a random search with the same queries ----


def beside_its_control(folder: Path, attack: str, control: str) -> Finding:
    described = {"synonym": {}, "synonym_random": {"name": "random:synonym", "ranking": None, "search": "random"}}
    run = recorded_run(folder, {"synonym": records(attack), "synonym_random": records(control)}, described)
    return finding_of("random_control", run)


def test_an_attack_that_finds_more_than_its_control_is_not_flagged(tmp_path: Path) -> None:
    answer = beside_its_control(tmp_path / "run", "s" * 40 + "f" * 60, "s" * 10 + "f" * 90)
    assert answer.status == OK and answer.observations[0].startswith(
        "synonym breaks 40.0 % of the texts, a random search with the same queries 10.0 %, difference +30.0 points ["
    )


@pytest.mark.parametrize("control", ["f" * 60 + "s" * 40, "s" * 38 + "f" * 62])
def test_an_attack_that_finds_no_more_is_flagged(control: str, tmp_path: Path) -> None:
    answer = beside_its_control(tmp_path / "run", "s" * 40 + "f" * 60, control)
    assert (
        answer.status == FLAGGED and "what the search learns from the model's scores does not show" in answer.flags[0]
    )
    assert answer.numbers[0]["num_examples"] == 100


def test_the_command_of_a_missing_control(tmp_path: Path) -> None:
    answer = finding_of("random_control", recorded_run(tmp_path / "run", {"synonym": records("s" * 40)}))
    assert answer.status == NOT_CHECKED and answer.missing == ["synonym was measured without its random control."]
    assert "--attacks synonym random:synonym" in answer.commands[0]
    viper = {"viper": {"name": "viper"}}
    none = finding_of("random_control", recorded_run(tmp_path / "other", {"viper": records("s" * 40)}, viper))
    assert none.missing == ["the run has no attack with a random control."] and not none.commands


# ---- words and texts that have a substitute ----


def covering(words: float, texts: int, opened: int = 1000, rows: int = 100) -> dict[str, Any]:
    return {"coverage": {"words": words, "open_words": opened, "texts": texts, "rows": rows}}


def test_a_table_that_covers_much_is_not_flagged(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("s" * 60 + "f" * 40)}, {"synonym": covering(0.8, 99)})
    answer = finding_of("table_coverage", run)
    assert answer.status == OK and answer.observations == [
        "synonym: its table covers 80.0 % of the open words (800 of 1,000) and 99 of 100 texts; texts "
        "with at least one substitute: 100 of 100 attacked."
    ]
    assert answer.numbers[0]["texts_covered"] == 100


@pytest.mark.parametrize(("words", "texts"), [(0.03, 90), (0.5, 20)])
def test_a_table_that_covers_little_is_flagged_and_another_proposed(words: float, texts: int, tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("f" * 50)}, {"synonym": covering(words, texts)})
    answer = finding_of("table_coverage", run)
    assert answer.status == FLAGGED and answer.flags[0].endswith("with so few substitutes any model looks robust.")
    assert f"{texts} of 100 texts" in answer.flags[0] and "50 of 50 attacked" in answer.flags[0]
    assert "--attacks synonym" in answer.commands[0] and "--lexicon wordnet" in answer.commands[0]
    assert answer.commands[0].endswith(f"{run}/checks/synonym-wordnet")


def test_texts_without_a_substitute_are_counted_where_no_table_is_known(tmp_path: Path) -> None:
    some = [*records("s" * 30 + "f" * 10), *(record(100 + n, "failed", stop="no_candidates") for n in range(60))]
    none = [record(n, "failed", num_candidates=0, stop="no_candidates") for n in range(10)]
    flips = {"candidates": {"name": "gradient_flips"}}
    run = recorded_run(tmp_path / "run", {"hotflip": some, "bae": none}, {"hotflip": flips, "bae": flips})
    answer = finding_of("table_coverage", run)
    assert answer.observations == ["hotflip: texts with at least one substitute: 40 of 100 attacked."]
    assert answer.flags == ["bae: texts with at least one substitute: 0 of 10 attacked; it has no rates."]
    rate = read_history(run)[0]["attacks"]["bae"]
    assert rate["asr"] != rate["asr"] and rate["robust_accuracy"] != rate["robust_accuracy"]
    # The rates that are not there follow from the records.
    assert finding_of("complete_run", run).status == OK


def test_training_that_drew_on_little_is_flagged(tmp_path: Path) -> None:
    little, much = {**LEXICON, **covering(0.02, 30)}, {**LEXICON, **covering(0.6, 100), "relation": "antonym"}
    run = recorded_run(
        tmp_path / "run",
        {"synonym": records("s" * 50)},
        {"synonym": covering(0.8, 99)},
        lexicons={"synonyms": little, "antonyms": much},
        trained_on=["synonyms", "antonyms"],
        views=[{"view": "a2t", "found": 3, **covering(0.01, 2)}],
    )
    answer = finding_of("table_coverage", run)
    assert [said.split(";")[0] for said in answer.flags] == [
        "training, synonyms: the table covers 2.0 % of the open words (20 of 1,000) and 30 of 100 texts",
        "training, the view a2t: the table covers 1.0 % of the open words (10 of 1,000) and 2 of 100 texts",
    ]
    assert any(said.startswith("training, antonyms: the table covers 60.0 %") for said in answer.observations)


def test_a_run_of_before_is_not_checked_for_coverage(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("f" * 9, num_candidates=0)})
    answer = finding_of("table_coverage", run)
    assert answer.status == NOT_CHECKED and "number of texts with a substitute is unknown" in answer.missing[0]


# ---- stronger attacks ----


def test_a_stronger_attack_that_finds_less_is_flagged(tmp_path: Path) -> None:
    attacks = {"many": records("s" * 10 + "f" * 90), "few": records("s" * 30 + "f" * 70)}
    described = {"many": drawing(LEXICON, 50), "few": drawing(LEXICON, 5)}
    flagged = finding_of("stronger_attacks", recorded_run(tmp_path / "run", attacks, described))
    assert flagged.status == FLAGGED
    assert "many is stronger than few: ASR 10.0 % against 30.0 %" in flagged.flags[0]
    assert "N = 100" in flagged.flags[0] and "--attack_ranking random" in flagged.commands[0]
    numbers = flagged.numbers[0]
    assert numbers["difference"] == pytest.approx(-20.0) and numbers["high"] < 0 and numbers["p"] < 0.001


def test_a_difference_within_chance_is_not_flagged(tmp_path: Path) -> None:
    # Three examples of 100 all go one way: the bootstrap interval may exclude 0, McNemar's exact p is 0.25.
    attacks = {"many": records("s" * 27 + "f" * 73), "few": records("s" * 30 + "f" * 70)}
    described = {"many": drawing(LEXICON, 50), "few": drawing(LEXICON, 5)}
    answer = finding_of("stronger_attacks", recorded_run(tmp_path / "run", attacks, described))
    assert answer.status == OK and answer.numbers[0]["p"] == 0.25


def test_a_smaller_budget_in_another_folder_is_the_weaker_attack(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("s" * 10 + "f" * 40)})
    small = {"synonym": {"query_budget": 10}}
    recorded_run(tmp_path / "less", {"synonym": records("s" * 4 + "f" * 46)}, small, trained=False)
    recorded_run(tmp_path / "more", {"synonym": records("s" * 25 + "f" * 25)}, small, trained=False)
    assert finding_of("stronger_attacks", run, tmp_path / "less").status == OK
    assert finding_of("stronger_attacks", run, tmp_path / "more").status == FLAGGED


def test_attacks_without_an_order_are_not_compared_and_a_command_compares_them(tmp_path: Path) -> None:
    described = {"a": drawing(LEXICON), "b": drawing(OTHER)}
    run = recorded_run(tmp_path / "run", {"a": records("fff"), "b": records("sss")}, described)
    answer = finding_of("stronger_attacks", run)
    assert answer.status == NOT_CHECKED
    assert answer.commands == [
        f"hf-robust attack {run} --data sst2 --attacks synonym --attack_num_examples 50 --attack_seed 0 --lexicon "
        f"table.json --attack_query_budget 10 --output_dir {run}/checks/budget-10"
    ]


def test_the_union_of_more_attacks_finds_at_least_as_much(tmp_path: Path) -> None:
    described = {"a": drawing(LEXICON), "b": drawing(OTHER)}
    both = {"a": records("f" * 50), "b": records("f" * 50)}
    run = recorded_run(tmp_path / "run", both, described)
    alone = {"a": {**described["a"], "query_budget": 9}, "b": {**described["b"], "query_budget": 9}}
    with_budget = {"a": records("s" * 20 + "f" * 30), "b": records("f" * 30 + "s" * 20)}
    recorded_run(tmp_path / "small", with_budget, alone, trained=False)
    flags = finding_of("stronger_attacks", run, tmp_path / "small").flags
    union = next(said for said in flags if said.startswith("a + b is stronger than a (small) + b (small)"))
    assert "ASR 0.0 % against 80.0 %" in union


def test_a_union_above_its_parts_is_flagged(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("sfff"), "b": records("ffff")}, {"b": drawing(OTHER)})
    line = read_history(run)[0]
    assert finding_of("stronger_attacks", run).status == NOT_CHECKED
    line["union"]["robust_accuracy"] = 1.0
    (run / "robustness_history.jsonl").write_text(json.dumps(line) + "\n")
    assert "accuracy 100.0 %, the lowest of its attacks 75.0 %" in finding_of("stronger_attacks", run).flags[0]


RATE = {"name": "max_modification_rate", "rate": 0.1, "minimum": 4}
FROZEN = {"name": "open_columns", "frozen": [0]}
SWAP = {"name": "part_of_speech", "tagger": "t", "verb_noun_swap": True}
A2T = {
    "name": "a2t",
    **drawing(LEXICON, 20),
    "ranking": "by_gradient_of_the_start",
    "constraints": [{"name": "no_repeat"}, {"name": "stop_words", "count": 9}, RATE],
}


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ({}, {"query_budget": 5}),
        ({"query_budget": 6}, {"query_budget": 5}),
        ({"max_changed": 2}, {"max_changed": 1}),
        ({}, {"frozen_columns": [0], "constraints": [*GREEDY["constraints"], FROZEN]}),
        ({}, {"constraints": [*GREEDY["constraints"], SWAP]}),
        ({"constraints": [SWAP]}, {"constraints": [{**SWAP, "verb_noun_swap": False}]}),
        ({"constraints": [RATE]}, {"constraints": [{**RATE, "rate": 0.05}]}),
        ({"constraints": [{"name": "open_columns", "frozen": []}]}, {"constraints": [RATE]}),
        ({}, {"constraints": [*GREEDY["constraints"], {"name": "max_changed_share", "share": 0.3}]}),
        (
            {"constraints": [{"name": "max_changed_share", "share": 0.3}]},
            {"constraints": [{"name": "max_changed_share", "share": 0.1}]},
        ),
        (
            {"constraints": [{"name": "protected", "kinds": ["urls"]}]},
            {"constraints": [{"name": "protected", "kinds": ["numbers", "urls"]}]},
        ),
        (drawing(LEXICON, None), drawing({**LEXICON, "source": "elsewhere.json"}, 8)),
        ({"candidates": {"name": "any_of", "sources": [{"name": "delete"}, drawing(LEXICON)["candidates"]]}}, {}),
        ({"name": "textfooler", **drawing(LEXICON, 50)}, A2T),
    ],
)
def test_the_stronger_of_two_descriptions(stronger: dict[str, Any], weaker: dict[str, Any]) -> None:
    strong, weak = {**GREEDY, **stronger}, {**GREEDY, **weaker}
    assert is_stronger(strong, weak) and not is_stronger(weak, strong)
    assert is_at_least(strong, strong) and not is_stronger(strong, strong)


@pytest.mark.parametrize(
    "other",
    [
        {"goal": {"name": "remain"}},
        {"search": "beam 8", "query_budget": 5},
        {"ranking": "at_random", "query_budget": 5},
        {"query_budget": 5, "max_changed": None, "constraints": []},
        drawing(OTHER, 5),
        {"query_budget": 5, "vote": {"votes": 3}},
        {"query_budget": 5, "word_rule": "unicode"},
    ],
)
def test_what_nothing_orders_does_not_compare(other: dict[str, Any]) -> None:
    assert not is_stronger(GREEDY, {**GREEDY, **other}) and not is_stronger({**GREEDY, **other}, GREEDY)
    assert not is_stronger({}, GREEDY) and not is_stronger(GREEDY, {})


# ---- query budget ----


def test_a_search_that_adds_nothing_to_its_first_queries_is_flagged(tmp_path: Path) -> None:
    early = records("s" * 40 + "f" * 40, queries=[3] * 40 + [100] * 40)
    flagged = finding_of("query_budget", recorded_run(tmp_path / "blind", {"synonym": early}))
    assert flagged.status == FLAGGED
    assert "0 of 40 successes came after the first 10 queries (a failure takes 100)" in flagged.flags[0]
    nothing = finding_of(
        "query_budget", recorded_run(tmp_path / "nothing", {"synonym": records("f" * 80, queries=50)})
    )
    assert nothing.status == FLAGGED and "ASR 0.0 % within them, 0.0 % at the end, 80 attacked" in nothing.flags[0]


def test_a_search_that_goes_on_finding_is_not(tmp_path: Path) -> None:
    late = records("s" * 40 + "f" * 40, queries=[3] * 30 + [60] * 10 + [100] * 40)
    assert finding_of("query_budget", recorded_run(tmp_path / "late", {"synonym": late})).status == OK
    few = records("f" * 10, queries=100)  # ten failures say little
    assert finding_of("query_budget", recorded_run(tmp_path / "few", {"synonym": few})).status == OK
    broken = records("s" * 78 + "f" * 2, queries=[3] * 78 + [100] * 2)  # a model without robustness is no puzzle
    assert finding_of("query_budget", recorded_run(tmp_path / "broken", {"synonym": broken})).status == OK


def test_a_budget_that_ends_while_success_rises_is_flagged(tmp_path: Path) -> None:
    budget = {"synonym": {"query_budget": 40}}
    rising = records("s" * 30 + "b" * 10 + "f" * 40, queries=[5] * 20 + [35] * 10 + [40] * 10 + [30] * 40)
    flagged = finding_of("query_budget", recorded_run(tmp_path / "rising", {"synonym": rising}, budget))
    assert flagged.status == FLAGGED
    assert (
        "10 of 50 failures were stopped by the budget of 40 queries, 10 successes came in its second half"
        in flagged.flags[0]
    )
    assert "--attack_query_budget 400 " in flagged.commands[0]
    level = records("s" * 30 + "b" * 10 + "f" * 40, queries=[5] * 20 + [15] * 10 + [40] * 10 + [30] * 40)
    assert finding_of("query_budget", recorded_run(tmp_path / "level", {"synonym": level}, budget)).status == OK
    most = records("s" * 30 + "b" * 45 + "f" * 5, queries=[5] * 20 + [15] * 10 + [40] * 50)
    assert finding_of("query_budget", recorded_run(tmp_path / "most", {"synonym": most}, budget)).status == FLAGGED


def test_the_curve_of_a_summary_replaces_records(tmp_path: Path) -> None:
    def kept(name: str, rates: list[float]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        result = {"asr": rates[-1], "robust_accuracy": 0.5, "num_examples": 100, "num_attacked": 90}
        curves = {"synonym": {"budget": [1, 10, 100], "asr": rates}}
        parts = {"results": {"synonym": result}, "asr_by_budget": curves, "attacks": {"synonym": GREEDY}}
        (folder / "attack_summary.json").write_text(json.dumps(parts))
        return folder

    assert finding_of("query_budget", kept("flat", [0.0, 0.4, 0.4])).status == FLAGGED
    assert finding_of("query_budget", kept("rising", [0.0, 0.1, 0.4])).status == OK


# ---- gradients ----


@pytest.mark.parametrize(
    ("ranking", "mine", "theirs", "status"),
    [
        ("by_gradient", "s" * 10 + "f" * 40, "s" * 30 + "f" * 20, FLAGGED),
        ("by_deletion", "s" * 10 + "f" * 40, "s" * 30 + "f" * 20, FLAGGED),
        ("by_gradient", "s" * 30 + "f" * 20, "s" * 28 + "f" * 22, OK),
    ],
)
def test_random_order_must_not_beat_the_models_own(
    tmp_path: Path, ranking: str, mine: str, theirs: str, status: str
) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records(mine)}, {"synonym": {"ranking": ranking}})
    order = {"synonym": {"ranking": "at_random"}}
    recorded_run(run / "checks" / "random", {"synonym": records(theirs)}, order, trained=False)
    answer = finding_of("gradient_masking", run)  # folders under checks are read without being named
    assert answer.status == status
    assert any(
        "synonym (random) with random word order against synonym with" in said
        for said in answer.flags + answer.observations
    )


def test_random_tokens_of_a_suffix_must_not_beat_those_of_the_gradient(tmp_path: Path) -> None:
    def drawn(ranking: str) -> dict[str, Any]:
        return {"gcg": {"ranking": None, "candidates": {"name": "suffix_tokens", "length": 20, "ranking": ranking}}}

    run = recorded_run(tmp_path / "run", {"gcg": records("s" * 10 + "f" * 40)}, drawn("by_gradient"))
    assert "--attack_ranking random" in finding_of("gradient_masking", run).commands[0]
    recorded_run(tmp_path / "random", {"gcg": records("s" * 30 + "f" * 20)}, drawn("at_random"), trained=False)
    flagged = finding_of("gradient_masking", run, tmp_path / "random")
    assert flagged.status == FLAGGED and "gcg (random) with random word order against gcg" in flagged.flags[0]


def test_random_order_that_is_faster_than_the_gradient_is_flagged(tmp_path: Path) -> None:
    """Complete searches reach the same rate with both word orders; within half of the queries they differ."""
    order = {"synonym": {"ranking": "by_gradient"}}
    run = recorded_run(tmp_path / "run", {"synonym": records("s" * 50, queries=40)}, order)
    blind = {"synonym": {"ranking": "at_random"}}
    recorded_run(tmp_path / "random", {"synonym": records("s" * 50, queries=10)}, blind, trained=False)
    flagged = finding_of("gradient_masking", run, tmp_path / "random")
    assert flagged.status == FLAGGED and "within 20 queries: ASR 100.0 % against 0.0 %" in flagged.flags[0]


def test_without_another_order_the_command_that_measures_one_is_given(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("sf")})
    answer = finding_of("gradient_masking", run)
    assert answer.status == NOT_CHECKED
    assert [command.split("--attack_ranking ")[1] for command in answer.commands] == [
        f"random --output_dir {run}/checks/random",
        f"gradient --output_dir {run}/checks/gradient",
    ]


# ---- number of examples ----


def test_a_difference_within_its_interval_is_flagged_with_the_examples_it_needs(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("s" * 18 + "f" * 22 + "fs" * 5)})
    base = recorded_run(tmp_path / "base", {"synonym": records("s" * 18 + "f" * 22 + "sf" * 4 + "ss")})
    flagged = finding_of("sample_size", run, baseline=base)
    numbers = flagged.numbers[0]
    assert flagged.status == FLAGGED and numbers["low"] <= 0 <= numbers["high"]
    half = (numbers["high"] - numbers["low"]) / 2
    needed = 50 * (half / numbers["difference"]) ** 2
    assert f"about {-int(-needed // 1):,} examples would be needed, and the split has 200" in flagged.flags[0]
    better = recorded_run(tmp_path / "better", {"synonym": records("f" * 50)})
    assert finding_of("sample_size", better, baseline=base).status == OK


def test_without_records_the_rates_are_compared_as_independent(tmp_path: Path) -> None:
    runs = [
        recorded_run(tmp_path / "run", {"synonym": records("f" * 50)}),
        recorded_run(tmp_path / "base", {"synonym": records("s" * 25 + "f" * 25)}),
    ]
    for run in runs:
        (run / "attack_results" / "epoch-1" / "synonym.jsonl").unlink()
    answer = finding_of("sample_size", runs[0], baseline=runs[1])
    assert answer.status == OK and "as independent samples" in answer.observations[0]
    assert answer.numbers[0]["difference"] == pytest.approx(50.0)
    # 100 * 1.96 * sqrt(0.25 / 50)
    assert answer.numbers[0]["low"] == pytest.approx(50 - 13.859, abs=1e-3)


def test_without_a_baseline_the_interval_is_measured(tmp_path: Path) -> None:
    wide = finding_of("sample_size", recorded_run(tmp_path / "few", {"synonym": records("sf" * 10)}))
    assert wide.status == FLAGGED and "N = 20; an interval of 10 points needs about 385 examples" in wide.flags[0]
    assert finding_of("sample_size", recorded_run(tmp_path / "many", {"synonym": records("sf" * 100)})).status == OK


def test_an_attack_without_a_rate_needs_no_examples(tmp_path: Path) -> None:
    goal = {"input_reduction": {"goal": {"name": "shorten", "keeps_prediction": True, "maximises": True}}}
    run = recorded_run(tmp_path / "run", {"input_reduction": records("s" * 9, remains=True)}, goal)
    answer = finding_of("sample_size", run)
    assert answer.status == OK and not answer.numbers
    assert answer.observations == ["input_reduction has no rate: it succeeds on every correctly classified example."]


# ---- cut texts ----


@pytest.mark.parametrize(
    ("rule", "frozen", "tried"), [("textattack", [], True), ("textattack", [0], False), ("unicode", [], False)]
)
def test_words_behind_the_cut_were_tried_where_they_are_open(
    rule: str, frozen: list[int], tried: bool, tmp_path: Path
) -> None:
    """The first column of a pair is cut, and the second read to its end."""
    cut = [record(idx, texts=("a good film", "it is"), word_rule=rule, read=[[0, 2], [3, 5]]) for idx in range(10)]
    described = {"synonym": {"word_rule": rule, "frozen_columns": frozen}}
    (flag,) = finding_of("cut_texts", recorded_run(tmp_path / "run", {"synonym": cut}, described)).flags
    assert flag.startswith("synonym: 100.0 % of 10 texts were cut")
    assert flag.endswith("also tried words that the model does not read." if tried else "beginnings of these texts.")


# ---- clean accuracy ----


def test_near_chance_is_flagged(tmp_path: Path) -> None:
    attacks = {"synonym": records("s" * 25 + "f" * 25)}  # both classes have 25 rows
    assert finding_of("clean_accuracy", recorded_run(tmp_path / "guess", attacks, accuracy=0.59)).status == FLAGGED
    assert finding_of("clean_accuracy", recorded_run(tmp_path / "good", attacks, accuracy=0.7)).status == OK
    assert least_accuracy(0.5) == pytest.approx(0.6)
    few = {"name": "sst2", "eval_samples": 10}
    small = recorded_run(tmp_path / "small", attacks, accuracy=0.7, data=few)  # 7 of 10: the interval includes 1/2
    assert finding_of("clean_accuracy", small).status == FLAGGED


def test_the_larger_class_counts(tmp_path: Path) -> None:
    one_class = {"synonym": records("f" * 90, label=1, original_prediction=1) + records("f" * 10, label=0)}
    run = recorded_run(tmp_path / "run", one_class, accuracy=0.9)
    flagged = finding_of("clean_accuracy", run)
    assert flagged.status == FLAGGED and "the most frequent class has 90.0 %" in flagged.flags[0]
    shares = {"name": "sst2", "eval_samples": 200, "class_shares": {"negative": 0.4, "positive": 0.6}}
    told = finding_of("clean_accuracy", recorded_run(tmp_path / "card", one_class, accuracy=0.9, data=shares))
    assert told.status == OK and told.numbers[0]["larger_class"] == 0.6  # the card knows all rows, not a sample


# ---- order of the label ids ----


def test_permuted_labels_are_flagged_with_the_better_numbering(tmp_path: Path) -> None:
    wrong = recorded_run(tmp_path / "wrong", {"a": records("-" * 45 + "f" * 5)}, label_names=["no", "yes"])
    answer = finding_of("label_order", wrong)
    assert answer.status == FLAGGED
    assert (
        "Labels may be permuted: the accuracy on 50 rows is 10.0 %, below chance (50.0 %), and would be 90.0 %"
        in answer.flags[0]
    )
    assert "no -> yes, yes -> no" in answer.flags[0] and answer.numbers[0]["order"] == [1, 0]
    right = recorded_run(tmp_path / "right", {"a": records("f" * 25 + "-" * 20)}, label_guess="0 is taken for no.")
    answer = finding_of("label_order", right)
    assert answer.status == OK and answer.observations[0] == "guessed label order: 0 is taken for no."


def test_texts_that_an_attack_brought_along_say_nothing_about_numbers(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"file_t": records("-" * 50)}, {"file_t": {"candidates": {"name": "file"}}})
    assert finding_of("label_order", run).status == NOT_CHECKED


# ---- what training knew ----


def test_one_table_for_both_is_flagged_until_another_was_measured(tmp_path: Path) -> None:
    trained = {"lexicons": {"synonyms": LEXICON}, "trained_on": ["synonyms"]}
    command = ["run_glue_robust.py", "a.json"]
    run = recorded_run(tmp_path / "run", {"synonym": records("sf")}, **trained, command=command)
    flagged = finding_of("held_out_table", run)
    assert flagged.status == FLAGGED
    assert (
        "training and synonym use the same table of synonyms (neighbours, 7 words, fingerprint aa)" in flagged.flags[0]
    )
    assert flagged.commands[1:] == [
        "hf-robust lexicon split table.json --output_dir halves-synonyms",
        "run_glue_robust a.json --lexicon halves-synonyms/train.json --attack_lexicon "
        f"halves-synonyms/held_out.json --output_dir {run}-held-out-synonyms",
    ]
    other = {"synonym": drawing(OTHER)}
    recorded_run(run / "checks" / "other", {"synonym": records("ss")}, other, trained=False)
    answer = finding_of("held_out_table", run)
    assert answer.status == OK and "other tables: synonym (other) ASR 100.0 % of 2" in answer.observations[0]


def test_a_table_that_only_the_attack_draws_on_is_not(tmp_path: Path) -> None:
    held_out = {"lexicons": {"synonyms": OTHER, "attack_synonyms": LEXICON}, "trained_on": ["synonyms"]}
    assert (
        finding_of("held_out_table", recorded_run(tmp_path / "out", {"synonym": records("sf")}, **held_out)).status
        == OK
    )
    plain = recorded_run(tmp_path / "plain", {"synonym": records("sf")}, lexicons={"synonyms": LEXICON})
    assert finding_of("held_out_table", plain).status == OK


def test_the_table_of_an_attack_that_makes_training_texts_counts(tmp_path: Path) -> None:
    view = {"view": "textfooler", "found": 9, "split": "train", "how": drawing(LEXICON)}
    run = recorded_run(tmp_path / "run", {"synonym": records("sf")}, trained_on=["attacks"], views=[view])
    assert finding_of("held_out_table", run).status == FLAGGED
    none = recorded_run(tmp_path / "none", {"synonym": records("sf")}, views=[{**view, "found": 0}])
    assert finding_of("held_out_table", none).status == OK


def test_an_attacked_checkpoint_is_judged_by_the_card_of_its_training(tmp_path: Path) -> None:
    trained = {"lexicons": {"synonyms": LEXICON}, "trained_on": ["synonyms"]}
    model = recorded_run(tmp_path / "model", {"synonym": records("sf")}, seen=3, **trained)
    out = recorded_run(tmp_path / "out", {"synonym": records("sf")}, trained=False, model=str(model))
    assert (
        finding_of("held_out_table", out).status == FLAGGED and finding_of("evaluation_unseen", out).status == FLAGGED
    )
    alone = recorded_run(tmp_path / "alone", {"synonym": records("sf")}, trained=False)
    assert finding_of("held_out_table", alone).status == finding_of("evaluation_unseen", alone).status == NOT_CHECKED


def test_texts_and_attacks_that_training_saw_are_flagged(tmp_path: Path) -> None:
    attacks = {"synonym": records("sf")}
    assert finding_of("evaluation_unseen", recorded_run(tmp_path / "clean", attacks)).status == OK
    older = recorded_run(tmp_path / "older", attacks, seen=None)
    assert finding_of("evaluation_unseen", older).status == NOT_CHECKED
    seen = finding_of("evaluation_unseen", recorded_run(tmp_path / "seen", attacks, seen=2))
    assert "2 of 200 evaluation texts are also training texts" in seen.flags[0]
    leak = [{"view": "x", "found": 4, "split": "validation", "leaked": True}]
    leaked = finding_of("evaluation_unseen", recorded_run(tmp_path / "leaked", attacks, views=leak))
    assert leaked.flags == ["the model was trained on views of texts from the validation split."]
    made = [{"view": "synonym", "found": 4, "split": "train"}]
    same = finding_of("evaluation_unseen", recorded_run(tmp_path / "same", attacks, views=made))
    assert same.flags == ["the synonym attack made 4 training texts and also measures the model."]


# ---- completeness ----


def test_a_whole_run_is_ok(tmp_path: Path) -> None:
    attacks = {"a": records("sf-"), "b": records("ff-")}
    assert finding_of("complete_run", recorded_run(tmp_path / "run", attacks)).status == OK
    assert finding_of("complete_run", recorded_run(tmp_path / "out", attacks, trained=False)).status == OK


def test_a_training_that_did_not_end_is_flagged(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("sf")}, final_step=None)
    assert "training has not ended" in finding_of("complete_run", run).flags[0]
    kept = recorded_run(tmp_path / "kept", {"a": records("sf")}, final_step=20)
    assert "the saved weights (step 20) were not attacked" in finding_of("complete_run", kept).flags[0]


def test_a_torn_last_line_is_flagged_and_the_rest_is_read(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("sf")})
    with (run / "robustness_history.jsonl").open("a") as file:
        file.write('{"epoch": 2.0, "st')
    answer = finding_of("complete_run", run)
    assert answer.flags == ["the last line of robustness_history.jsonl is incomplete."]
    assert answer.observations[-1] == "run: 2 records of 1 measured epoch read."


def test_records_that_are_missing_too_few_or_others_are_flagged(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("ssff"), "b": records("ssff")}, {"b": drawing(OTHER)})
    file = run / "attack_results" / "epoch-1" / "a.jsonl"
    whole = file.read_text()
    file.write_text(whole[: len(whole) - 30])  # the last record is torn
    assert "epoch 1, a: 3 records for 4 examples" in finding_of("complete_run", run).flags[0]
    file.unlink()
    assert "epoch 1, a: its records are missing" in finding_of("complete_run", run).flags[0]
    file.write_text(whole.replace('"succeeded"', '"failed"'))
    said = finding_of("complete_run", run).flags
    assert "asr 0.5 (records: 0)" in said[0] and "robust_accuracy 0.5 (records: 1)" in said[0]
    assert not any("union" in one for one in said)  # b alone still breaks what both broke
    file.write_text(whole)
    (run / "attack_results" / "epoch-2").mkdir()
    assert finding_of("complete_run", run).flags == ["run: the history has no line for attack_results/epoch-2."]


def test_a_rate_of_the_history_that_was_changed_is_flagged(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("ssff"), "b": records("ssff")}, {"b": drawing(OTHER)})
    history = run / "robustness_history.jsonl"
    history.write_text(history.read_text().replace('"robust_accuracy": 0.5', '"robust_accuracy": 0.75'))
    said = finding_of("complete_run", run).flags
    assert [one.split(":")[0] for one in said] == ["run, epoch 1, a", "run, epoch 1, b", "run, epoch 1, union"]


def test_results_without_records_are_read(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("sf-")})
    for path in sorted((run / "attack_results").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (run / "attack_results").rmdir()
    assert finding_of("complete_run", run).missing == ["run: the folder has no records of its examples."]
    (run / "statuses.json").write_text(json.dumps({"a": {"0": "s", "1": "f", "2": "-"}}))
    answer = finding_of("complete_run", run)
    assert answer.status == OK and answer.observations[-1] == "run: 3 statuses read."
    (run / "statuses.json").write_text(json.dumps({"a": {"0": "s", "1": "s", "2": "-"}}))
    assert "asr 0.5 (records: 1)" in finding_of("complete_run", run).flags[0]
    assert finding_of("query_budget", run).status == NOT_CHECKED


# ---- folders that do not belong ----


def test_another_models_attacks_are_refused_and_old_checks_left_out(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("sf")})
    other = [record(0, "failed", ("film 0",), original_score=0.3), record(1, "failed", ("film 1",), label=1)]
    recorded_run(run / "checks" / "old", {"a": other}, trained=False)
    said = finding_of("complete_run", run).flags
    assert len(said) == 1 and "old was measured on other weights than" in said[0] and "the checks ignore it" in said[0]
    with pytest.raises(ValueError, match="--with .*old was measured on other weights than .*: 1 of 2 clean texts"):
        gather_evidence(run, [run / "checks" / "old"])
    elsewhere = recorded_run(tmp_path / "else", {"a": [record(7, "failed", ("other",))]}, trained=False)
    with pytest.raises(ValueError, match="attacked none of the examples of .*--attack_seed"):
        gather_evidence(run, [elsewhere])
    (run / "checks" / "empty").mkdir()
    assert any("empty cannot be read" in one for one in finding_of("complete_run", run).flags)


def test_an_attack_that_was_run_again_for_a_check_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("sf")})
    other = [record(0, "failed", ("film 0",), original_score=0.3), record(1, "failed", ("film 1",), label=1)]
    old = recorded_run(run / "checks" / "random", {"a": other}, trained=False)
    for again, found_then in (("attack-9", other), ("attack-10", records("ff"))):
        folder = recorded_run(old / "measured" / again, {"a": found_then}, trained=False)
        (folder / "attack_summary.json").write_text("{}")
    assert not finding_of("complete_run", run).flags
    assert [one.folder.name for one in gather_evidence(run).measured] == ["run", "attack-10"]


def test_no_run_and_no_history_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing is not a folder; give the output folder"):
        gather_evidence(tmp_path / "nothing")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run_card.json").write_text("{}")
    with pytest.raises(ValueError, match="robustness_history.jsonl does not exist; give a run folder"):
        gather_evidence(tmp_path / "begun")


def test_a_baseline_of_other_data_is_refused_unless_forced(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("sf" * 30)})
    data = {"name": "other", "fingerprint": "f2", "eval_samples": 9}
    base = recorded_run(tmp_path / "base", {"a": records("sf" * 30)}, data=data)
    with pytest.raises(ValueError, match="are not comparable: data name differs, 'sst2' and 'other'"):
        gather_evidence(run, baseline=base)
    forced = finding_of("sample_size", run, baseline=base, force=True)
    assert forced.status == FLAGGED and "no number of examples can show a difference of 0" in forced.flags[0]


def test_each_check_of_a_run_without_an_attack_says_why_it_saw_nothing(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {})
    for finding in check_run(gather_evidence(run, [], None, False)):
        assert not finding.flags and (finding.observations or finding.missing), finding.check
