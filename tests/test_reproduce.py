"""`hf-robust reproduce`: the items of the papers, scales, and runs of a small paper with a stand-in for the script."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sweep_parts import Stage

from benchmarks.study.paper_numbers import BAT, FLAT_3, FLAT_5, TAICHI_4, TAICHI_5
from hf_robust.cli.main import main
from hf_robust.hub.citations import title
from hf_robust.reproduce.item import PAPERS, Item, items, papers, read_item
from hf_robust.reproduce.layouts import LAYOUTS, MISSING, missing_tool
from hf_robust.reproduce.listing import dry_run
from hf_robust.reproduce.plan import Plan
from hf_robust.reproduce.scale import EPOCH_FLAGS, LENGTH_FLAGS, MODEL, ROW_FLAGS, Scale, scale_of, scales, shrink
from hf_robust.runs import METRICS_FILE, Run

LISTED = {
    "bat": [*(f"table{n}" for n in range(1, 7)), *(f"figure{n}" for n in range(3, 13))],
    "taichi": [*(f"table{n}" for n in range(3, 8)), "figure1", "figure4", "figure5"],
    "flat": [*(f"table{n}" for n in (1, 2, 3, 4, 5, 8, 9)), "figure3", "figure4", "figure5"],
    "adaptat": [*(f"table{n}" for n in (2, 3, 4, 5, 7, 9, 10)), *(f"figure{n}" for n in range(1, 5))],
    "gradmask": ["accuracy", "challenge", "scores", "figure2"],
}
CONTROLS = ("adaptat", "bat", "flat", "gradmask")
"""Papers beside whose tables the project runs controls."""
EVERY = [(paper, name) for paper in papers() for name in items(paper)]
RUNNING = [one for one in EVERY if read_item(*one).layout in LAYOUTS]
SMALLER = {
    MODEL, "learning_rate", "masked_lm", "max_train_samples", "max_eval_samples", "num_train_epochs",
    "attack_num_examples", *EPOCH_FLAGS, *ROW_FLAGS,
}  # fmt: skip
PLACES = {
    "task_name", "dataset_name", "dataset_config_name", "validation_split_name", "text_column_names",
    "label_column_name", "train_file", "validation_file", "class_names",
}  # fmt: skip
named = pytest.mark.parametrize("paper, name", EVERY, ids=lambda value: value)
running = pytest.mark.parametrize("paper, name", RUNNING, ids=lambda value: value)


def has_stand_in(item: Item, scale: Scale) -> bool:
    return any(scale.model_flags(item, model, None) is not None for model in item.models)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# ---- the files ----


def test_every_item_of_the_five_papers_exists() -> None:
    listed = {paper: {*names, *(["controls"] if paper in CONTROLS else [])} for paper, names in LISTED.items()}
    assert {paper: set(items(paper)) for paper in papers()} == listed
    assert (PAPERS.parents[2] / "examples" / "papers").resolve() == PAPERS.resolve()


def test_tables_come_first_in_the_order_of_their_numbers() -> None:
    for paper in ("adaptat", "bat"):
        assert [name for name in items(paper) if name != "controls"] == LISTED[paper]


@pytest.mark.parametrize("paper", papers())
def test_a_paper_is_cited_and_named(paper: str) -> None:
    shared = json.loads((PAPERS / paper / "paper.json").read_text(encoding="utf-8"))
    assert title(shared["citation"]).replace("{", "").replace("}", "") == shared["title"]


@named
def test_an_item_has_a_kind_and_says_what_is_not_known(paper: str, name: str) -> None:
    item = read_item(paper, name)
    assert (item.layout in LAYOUTS) != (item.layout in MISSING)
    assert item.source and item.title and (item.open or item.numbers)


@running
def test_every_run_of_an_item_parses_and_measures_its_columns(paper: str, name: str) -> None:
    item = read_item(paper, name)
    for scale in (scale_of(item, "tiny"), scale_of(item, "paper")):
        plan = Plan(item, scale, Path("data"))
        if has_stand_in(item, scale):
            plan.check()
        else:
            with pytest.raises(ValueError, match="has no smaller model: use --scale paper"):
                plan.check()


@running
def test_every_number_in_the_flags_has_a_source(paper: str, name: str) -> None:
    item = read_item(paper, name)
    shared = {**item.args, **{flag: value for over in item.over for flag, value in over.items()}}
    for flags in (*item.models.values(), *item.data.values()):
        shared |= flags
    assert {flag for flag, value in shared.items() if is_number(value)} <= set(item.sources)
    for setting, flags in item.settings.items():
        numbers = {flag for flag, value in flags.items() if is_number(value)}
        assert all(flag in item.sources or f"{setting}.{flag}" in item.sources for flag in numbers), setting
    assert "seeds" in item.sources


@running
def test_the_printed_numbers_stand_in_rows_and_columns_of_the_item(paper: str, name: str) -> None:
    item = read_item(paper, name)
    rows = (
        set(item.settings)
        if len(item.over) == 1
        else {f"{s}:{n}" for s in item.settings for n in range(len(item.over))}
    )
    for data, models in item.numbers.items():
        assert data in item.data
        for model, settings in models.items():
            assert model in item.models and set(settings) <= rows
            assert all(len(row) == len(item.columns) for row in settings.values())
    if item.printed:
        assert {len(row) for row in item.printed["rows"]} == {len(item.printed["header"])}


def test_numbers_are_those_that_the_study_has() -> None:
    taichi = read_item("taichi", "table5").numbers
    for data, methods in TAICHI_5.items():
        assert taichi[data]["bert"] == {method: list(row) for method, row in methods.items()}
    conflict = read_item("taichi", "table4").numbers["sst2"]["bert"]
    assert {setting: row[0] for setting, row in conflict.items()} == TAICHI_4
    for data, table in {"qqp": "table2", "mrpc": "table5", "snli": "table6"}.items():
        ours = read_item("bat", table).numbers[data]["bert"]
        for method, row in BAT[data].items():
            assert ours[method] == [row["accuracy"], row["antonym"], row["synonym"]]
    flat = read_item("flat", "table3")
    printed = {tuple(row[:3]): row[3:] for row in flat.printed["rows"]}
    for (model, data), methods in FLAT_3.items():
        for method, (attacked, tau, shared, clean) in methods.items():
            assert flat.numbers[data][model][method] == [clean, attacked]
            assert printed[data, model, method] == [attacked, tau, shared, clean]
    ablation = read_item("flat", "table5").numbers["sst2"]["lstm"]
    assert [ablation[name][1] for name in ("flat", "gamma 0", "beta 0")] == list(FLAT_5.values())


# ---- scales ----


@pytest.mark.parametrize(
    "paper, name", [("adaptat", "table2"), ("bat", "table6"), ("flat", "table3"), ("gradmask", "figure2")]
)
@pytest.mark.parametrize("scale", ["tiny", "small", "base"])
def test_a_scale_changes_model_rows_epochs_and_attacked_rows_alone(paper: str, name: str, scale: str) -> None:
    item = read_item(paper, name)
    small, whole = Plan(item, scale_of(item, scale), Path("data")), Plan(item, scale_of(item, "paper"))
    for cell, point in small.points.items():
        ours, theirs = point.flags, whole.flags(cell)
        changed = {flag for flag in {*ours, *theirs} if ours.get(flag) != theirs.get(flag)}
        own = item.scales.get(scale, {})
        assert changed <= SMALLER | PLACES | {*own.get("models", {}).get(cell.model, {})} | {
            flag for flag in LENGTH_FLAGS if "lengths" in own
        }
    text = "\n".join(small.changes())
    assert ("Model: " in text) == any(
        point.flags[MODEL] != whole.flags(cell)[MODEL] for cell, point in small.points.items()
    )
    assert "Rows: at most " in text and whole.changes() == []


def test_an_item_may_change_a_scale_and_says_which_data_it_leaves_out() -> None:
    item = read_item("flat", "table3")
    plan = Plan(item, scale_of(item, "tiny"), Path("data"))
    assert {cell.data for cell in plan.points} == {"sst2", "trec"} == set(item.data) - {"imdb", "ag_news"}
    assert {point.flags["max_train_samples"] for point in plan.points.values()} == {2000}
    assert {f"Left out at this scale: {data}." for data in ("IMDB", "AG News")} <= set(plan.changes())
    learns = Plan(read_item("adaptat", "table2"), scale_of(read_item("adaptat", "table2"), "tiny"), Path("data"))
    assert " at learning rate 0.0003, per device train batch size 16 in place of " in learns.changes()[0]
    assert Plan(item, scale_of(item, "paper")).data == list(item.data)


def test_an_item_changes_flags_of_a_model_alone_and_nothing_that_a_scale_does_not_have() -> None:
    item = read_item("bat", "table6")
    faster = replace(item, scales={"tiny": {"models": {"bert": {"learning_rate": 0.001}}}})
    bert = {**scales()["tiny"].models["bert"], "learning_rate": 0.001}
    assert scale_of(faster, "tiny").models == {**scales()["tiny"].models, "bert": bert}
    with pytest.raises(ValueError, match="bat table6 has row: use rows, eval_rows, epochs"):
        scale_of(replace(item, scales={"tiny": {"row": 1}}), "tiny")
    with pytest.raises(ValueError, match="bat table6 has tinny: use tiny, small, base"):
        scale_of(replace(item, scales={"tinny": {"rows": 1}}), "tiny")
    with pytest.raises(ValueError, match="bat table6 has paper: use tiny, small, base"):
        scale_of(replace(item, scales={"paper": {"rows": 1}}), "paper")
    with pytest.raises(ValueError, match="bat table6 has imdb: use snli"):
        scale_of(replace(item, scales={"tiny": {"data": ["imdb"]}}), "tiny")


def test_epochs_shrink_together_and_rows_in_proportion() -> None:
    flags = {"num_train_epochs": 30, "clean_epochs": 10, "epochs_per_round": 10, "mask_per_class": 5000, MODEL: "m"}
    small = shrink(flags, Scale("s", models={}, rows=1000, epochs=3), rows=500_000, instead=None)
    assert small == {
        "num_train_epochs": 3, "clean_epochs": 1, "epochs_per_round": 1, "mask_per_class": 10,
        "max_train_samples": 1000, MODEL: "m",
    }  # fmt: skip
    assert shrink(flags, Scale("paper"), rows=500_000, instead=None) == flags


def test_lengths_of_adversaries_shrink_with_word_vectors_and_raw_steps_do_not() -> None:
    flags = {"adv_lr": 0.04, "adv_init_mag": 0.2, "adv_max_norm": 0.0, "adv_steps": 5, "w_lr": 0.01, MODEL: "m"}
    small = shrink(flags, Scale("s", models={}, lengths=0.5), rows=10, instead=None)
    assert small == {**flags, "adv_lr": 0.02, "adv_init_mag": 0.1}
    raw = {**flags, "adv_norm_type": "none"}
    assert shrink(raw, Scale("s", models={}, lengths=0.5), rows=10, instead=None) == raw
    for paper, shorter in (("adaptat", True), ("bat", False)):
        item = read_item(paper, "table2")
        assert any("Lengths of adv" in line for line in Plan(item, scale_of(item, "tiny")).changes()) == shorter


def test_a_stand_in_has_its_own_learning_rate_and_another_model_may_take_its_place() -> None:
    plan = Plan(read_item("bat", "table6"), scales()["tiny"], Path("data"), "my/model")
    flags = next(iter(plan.points.values())).flags
    assert flags[MODEL] == "my/model" and flags["learning_rate"] == 3e-4
    assert plan.changes()[0] == "Model: my/model at learning rate 0.0003 in place of bert-base-uncased."


def test_a_model_without_a_stand_in_is_left_out_and_named() -> None:
    plan = Plan(read_item("bat", "table2"), scales()["tiny"], Path("data"))
    assert plan.models == ["bert"] and "Left out at this scale: roberta-base, which has no stand-in." in plan.changes()


def test_a_masked_language_model_is_the_stand_in_where_the_victim_has_none() -> None:
    plan = Plan(read_item("flat", "table4"), scales()["tiny"], Path("data"))
    of_models = {cell.model: point.flags for cell, point in plan.points.items()}
    assert of_models["lstm"][MODEL] == "lstm"
    assert of_models["lstm"]["masked_lm"] == of_models["bert"]["masked_lm"] == of_models["bert"][MODEL]


# ---- the command ----

PAPER = {
    "title": "A paper",
    "citation": "chen2022balanced",
    "args": {"num_train_epochs": 4, "attacks": ["synonym"], "lexicon": "{data}/synonyms.json"},
    "models": {"bert": {"model_name_or_path": "bert-base-uncased"}, "lstm": {"model_name_or_path": "lstm"}},
    "data": {"sst2": {}},
    "settings": {"normal": {"robust_method": "normal"}, "safer": {"robust_method": "safer"}},
    "sources": {"num_train_epochs": "Section 3", "adv_lr": "Section 9"},
}
TABLE = {
    "title": "Rates", "source": "Table 1", "layout": "table", "models": ["bert"], "data": ["sst2"],
    "settings": ["normal", "safer"], "seeds": [1, 3], "open": ["Its seeds."],
    "columns": {"clean": "eval_accuracy", "ASR": "eval_synonym_asr"},
    "numbers": {"sst2": {"bert": {"normal": [92.5, None], "safer": [91, 12.25]}}},
}  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A folder with data, a stand-in for the script, and a paper with one table."""
    small = tmp_path / "papers"
    for file, content in {"paper": PAPER, "table1": TABLE}.items():
        write(small / "small" / f"{file}.json", content)
    for file in ("data.json", "scales.json"):
        (small / file).write_text((PAPERS / file).read_text(encoding="utf-8"))
    for name in ("sst2/train.jsonl.gz", "sst2/validation.jsonl.gz", "synonyms.json"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    (tmp_path / "model").mkdir()
    monkeypatch.setattr("hf_robust.reproduce.item.PAPERS", small)
    return Stage(tmp_path)


def write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def command(stage: Stage, *words: str) -> int:
    given = ["--data", str(stage.folder / "data"), "--model", str(stage.folder / "model")]
    places = ["--output_dir", str(stage.output), "--script", str(stage.script)]
    return main(["reproduce", *(words or ("small", "table1")), *given, *places])


@pytest.mark.slow
def test_an_item_is_run_once_and_its_page_has_the_papers_numbers(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(stage) == 0
    printed = capsys.readouterr().out
    assert stage.names() == [f"sst2-bert-{name}-seed{seed}" for seed in (1, 3) for name in ("normal", "safer")]
    # The stand-in's accuracy is 0.9 - 100 |rate - 0.001| - seed / 1000, at the learning rate of the scale, 0.0003.
    assert "| normal | 82.8 ± 0.1 (92.5) | 41.4 ± 0.1 |" in printed
    assert "| safer | 82.8 ± 0.1 (91) | 41.4 ± 0.1 (12.25) |" in printed
    assert "Epochs: at most 3; the paper's: 4." in printed and "Rows: at most 4,000 of 67,349 of SST-2." in printed
    page = (stage.output / "table1.html").read_text(encoding="utf-8")
    assert "num_train_epochs: Section 3" in page and "Section 9" not in page and "Its seeds." in page
    assert "82.8 ± 0.1 (92.5)" in page and 'run_card.json">run card</a>' in page
    numbers = json.loads((stage.output / "table1.json").read_text(encoding="utf-8"))
    first = numbers["cells"][0]
    assert first["mean"] == pytest.approx(0.828) and first["paper"] == 92.5 and first["n"] == 2
    assert first["runs"] == [Path(folder).name for name, folder in stage.folders() if "normal" in name]
    assert command(stage) == 0 and len(stage.names()) == 4
    assert command(stage, "small", "table1", "--seeds", "3", "5") == 0
    assert stage.names()[4:] == [f"sst2-bert-{name}-seed5" for name in ("normal", "safer")]


@pytest.mark.slow
def test_items_of_a_paper_share_runs_and_a_figure_is_drawn(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(stage) == 0
    over = {"over": {"per_device_train_batch_size": [8, 16]}, "numbers": {}}
    write(stage.folder / "papers" / "small" / "figure1.json", {**TABLE, **over, "layout": "figure over flags"})
    write(stage.folder / "papers" / "small" / "table2.json", {**TABLE, "settings": ["normal"], "numbers": {}})
    assert command(stage, "small", "table2") == 0 and len(stage.names()) == 4
    assert command(stage, "small", "figure1") == 0 and len(stage.names()) == 4 + 8
    assert (stage.output / "figure1-sst2.png").is_file() and (stage.output / "figure1.html").is_file()


@pytest.mark.slow
def test_curves_have_the_mean_over_seeds_at_each_epoch(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(stage) == 0
    for _, folder in stage.folders():
        history = Path(folder) / "robustness_history.jsonl"
        first = json.loads(history.read_text(encoding="utf-8"))
        history.write_text(
            f"{json.dumps(first)}\n{json.dumps({**first, 'epoch': 2.0, 'step': 10})}\n", encoding="utf-8"
        )
    write(stage.folder / "papers" / "small" / "figure3.json", {**TABLE, "layout": "curves over seeds"})
    assert command(stage, "small", "figure3") == 0 and len(stage.names()) == 4
    assert (stage.output / "figure3-sst2.png").is_file()
    assert "mean over the seeds of a method ± one sample standard deviation" in capsys.readouterr().out


@pytest.mark.slow
def test_a_failed_run_is_named_and_the_page_has_the_others(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.control(fail=[3])
    assert command(stage) == 2
    said = capsys.readouterr()
    assert "2 of 4 runs failed: sst2-bert-normal-seed3-" in said.err
    assert (
        "**Warning:** 2 of 4 runs are not finished: sst2-bert-normal-seed3, sst2-bert-safer-seed3." in said.out
        and "| normal | 82.9 [" in said.out
    )


def test_a_dry_run_lists_runs_hours_and_what_they_read(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(stage, "small", "table1", "--dry_run") == 0
    printed = capsys.readouterr().out
    assert (
        printed.count("to run    sst2-bert-") == 4
        and "4 runs in " in printed
        and " hours on two CPU cores." in printed
    )
    assert "{data}/sst2/train.jsonl.gz" in printed and not stage.names() and "Cannot run yet" not in printed


def test_a_dry_run_says_what_is_missing(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    (stage.folder / "data" / "synonyms.json").unlink()
    assert command(stage, "small", "table1", "--dry_run") == 0
    assert "Cannot run yet: --data" in capsys.readouterr().out
    (stage.folder / "data" / "synonyms.json").touch()
    words = ["reproduce", "small", "table1", "--dry_run", "--data", str(stage.folder / "data")]
    for model, shown in (("/a/no/such", "no/such"), ("/none", "/none"), ("./none", "./none"), ("../a/none", "a/none")):
        assert main([*words, "--model", model]) == 0
        said = capsys.readouterr().out
        assert f"Cannot run yet: there is no {model}: check the path." in said and f"Model: {shown} at" in said


def test_the_hours_are_runs_rows_epochs_passes_and_attacked_texts(stage: Stage) -> None:
    costs = {"run": 7.0, "row": 1.0, "text": 10.0}
    scale = Scale("s", models={"bert": {}}, rows=100, epochs=2, attacked=50, seconds=costs)
    hours = Plan(read_item("small", "table1"), scale, stage.folder).hours()
    assert hours == pytest.approx(2 * 2 * (7.0 + 100 * 2 * 1.0 + 50 * 10.0) / 3600)  # settings, seeds


def test_a_word_model_costs_what_a_small_network_does_at_every_scale(stage: Stage) -> None:
    write(stage.folder / "papers" / "small" / "table1.json", {**TABLE, "models": ["lstm"]})
    item, cheap = read_item("small", "table1"), scales()["tiny"].seconds
    hours = [
        Plan(item, Scale("s", models={"lstm": {}}, rows=100, epochs=2, seconds=costs), stage.folder).hours()
        for costs in (dict.fromkeys(cheap, 1000.0), cheap)
    ]
    assert hours[0] == hours[1] < 1


def test_names_are_read_as_papers_print_them(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for words in (["small", "table1"], ["Small", "Table 1"]):
        assert command(stage, *words, "--dry_run") == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != ""


def test_a_model_in_place_of_none_is_refused(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    write(stage.folder / "papers" / "small" / "table1.json", {**TABLE, "models": ["lstm"]})
    assert command(stage, "small", "table1", "--dry_run") == 2
    assert "would change nothing: --scale tiny replaces no model of table1 (lstm)." in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["small", "table1", "--seeds", "2", "1", "2"], "a seed is named twice: 2, 1, 2."),
        (["small", "table1", "--seeds", "2", "-1"], "seed-1: --seed must be at least 0 and below 4294967296, got -1."),
        (["small", "table9"], "there is no item of small table9: "),
        (["tiny", "table1"], "there is no paper tiny: choose one of small."),
        (["tiny", "--list"], "there is no paper tiny: choose one of small."),
        (["small", "table9", "--list"], "there is no item of small table9: "),
        (["small"], "name a paper and one of its items of small: table1; --list shows all."),
        (["small", "table1", "--scale", "paper"], "stands in for a smaller scale's model: leave it out"),
        (["small", "table1", "--jobs", "0"], "--jobs must be at least 1"),
    ],
)
def test_wrong_words_are_one_sentence(
    stage: Stage, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(stage, *words) == 2
    assert sentence in capsys.readouterr().err and not stage.names()


def test_what_an_item_lacks_is_said_before_anything_starts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (stage.folder / "data" / "synonyms.json").unlink()
    assert command(stage) == 2
    assert "lacks synonyms.json: add them" in capsys.readouterr().err
    words = ["reproduce", "small", "table1", "--script", str(stage.script), "--output_dir", str(stage.output)]
    assert main(words) == 2
    assert "this item reads synonyms.json: give the folder that has them by --data DIR." in capsys.readouterr().err
    (stage.folder / "data" / "synonyms.json").touch()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main([*words, "--data", str(stage.folder / "data")]) == 2
    assert "the Hub is off (HF_HUB_OFFLINE), and these are not in its cache: google/bert_" in capsys.readouterr().err
    assert not stage.names()


def test_an_item_made_from_models_needs_a_folder(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    write(stage.folder / "papers" / "small" / "table1.json", {**TABLE, "layout": "command", "command": ["methods"]})
    stage.output = "memory://bucket/out"
    assert command(stage) == 2
    assert "table1 is made from the models of its runs: give --output_dir a folder" in capsys.readouterr().err


@pytest.mark.parametrize("layout, missing", MISSING.items())
def test_an_item_whose_tool_is_missing_is_refused_and_names_it(
    stage: Stage, layout: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(stage.folder / "papers" / "small" / "figure2.json", {"title": "t", "source": "s", "layout": layout})
    assert command(stage, "small", "figure2") == 2
    assert f"small figure2 cannot be made yet; what is missing: {missing}." in capsys.readouterr().err
    assert command(stage, "small", "figure2", "--dry_run") == 0


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"layouts": "table"}, "there is no key layouts: did you mean layout"),
        ({"models": ["bart"]}, "there is no model bart: did you mean bert"),
        ({"settings": ["saver"]}, "the setting saver has no flags"),
        ({"over": {"a": [1, 2], "b": [1]}}, 'the lists in "over" must have one length: a, b'),
        ({"title": ""}, 'an item needs "title"'),
    ],
)
def test_a_wrong_file_is_one_sentence(stage: Stage, change: dict[str, Any], sentence: str) -> None:
    write(stage.folder / "papers" / "small" / "table1.json", {**TABLE, **change})
    with pytest.raises(ValueError, match=r"table1\.json: ") as error:
        read_item("small", "table1")
    assert sentence in str(error.value)


def test_the_list_says_what_an_item_waits_for_and_where_it_was_run(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    write(stage.folder / "papers" / "small" / "figure2.json", {"title": "t", "source": "s", "layout": "unknown"})
    write(stage.folder / "papers" / "small" / "results" / "table1-tiny.json", {"runs": dict.fromkeys("abcd", {})})
    write(stage.folder / "papers" / "small" / "results" / "table1-base.json", {"runs": {"a": {}}})
    assert main(["reproduce", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "| small | table1 | Rates | base (1 of 4 runs), tiny |" in printed
    assert f"| small | figure2 | t | waits for: {MISSING['unknown']} |" in printed


def test_the_words_of_a_command_stand_for_runs_and_flags(stage: Stage) -> None:
    from hf_robust.reproduce.commands import command_words, whole_groups
    from hf_robust.reproduce.results import Results

    words = ["x", "{runs}", "{run:safer}", "{run}", "{validation}", "{lexicon}", "{attacks}", "{records:synonym}"]
    write(
        stage.folder / "papers" / "small" / "table1.json",
        {**TABLE, "layout": "command", "command": words, "seeds": [1]},
    )
    assert command(stage) == 2  # its command is no command of hf-robust
    plan = Plan(read_item("small", "table1"), scales()["tiny"], stage.folder / "data", str(stage.folder / "model"))
    results = Results(plan, stage.output)
    ((group, runs),) = whole_groups(results)
    normal, safer = (str(run.path) for run in runs.values())
    data = stage.folder / "data"
    found = command_words(results, runs, "normal")
    assert group == ("sst2", "bert", 1)
    assert found[:7] == [
        "x",
        normal,
        safer,
        safer,
        normal,
        str(data / "sst2/validation.jsonl.gz"),
        str(data / "synonyms.json"),
    ]
    assert found[7] == "synonym" and found[8].startswith(normal) and found[8].endswith("/synonym.jsonl")


def test_a_command_measures_a_model_once_and_again_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hf_robust.reproduce import commands

    calls: list[list[str]] = []

    def measure(command: list[str], **how: Any) -> Any:
        calls.append(command)
        return SimpleNamespace(returncode=int("fail" in command), stdout=f"| {len(calls)} |", stderr="no model")

    monkeypatch.setattr(commands.subprocess, "run", measure)
    (end := tmp_path / METRICS_FILE).touch()
    run = Run(tmp_path, [], {}, None)
    os.utime(end, (1, 1))
    for words, printed in (["interpret", "a"], "| 1 |"), (["interpret", "a"], "| 1 |"), (["interpret", "b"], "| 2 |"):
        assert commands.printed(words, tmp_path / "made", [run]) == printed
    os.utime(end)  # trained again
    os.utime(tmp_path / "made" / commands.PRINTED, (1, 1))
    assert commands.printed(["interpret", "b"], tmp_path / "made", [run]) == "| 3 |"
    with pytest.raises(ValueError, match="the command of made failed: no model"):
        commands.printed(["fail"], tmp_path / "made", [run])
    assert commands.printed(["interpret", "b"], tmp_path / "made", [run]) == "| 3 |" and len(calls) == 4


def test_a_missing_tool_has_no_sentence_where_it_is_there(stage: Stage) -> None:
    assert missing_tool(read_item("small", "table1")) is None
    assert "to run" in dry_run(Plan(read_item("small", "table1"), scales()["tiny"], stage.folder), str(stage.output))


@pytest.mark.parametrize(
    "file", sorted(PAPERS.glob("*/results/*.json")), ids=lambda file: f"{file.parts[-3]}-{file.stem}"
)
def test_recorded_numbers_are_of_an_item_and_a_scale_and_have_the_papers_numbers(file: Path) -> None:
    numbers = json.loads(file.read_text(encoding="utf-8"))
    item = read_item(numbers["paper"], numbers["item"])
    assert (file.parts[-3], file.stem) == (item.paper, f"{item.name}-{numbers['scale']}") and numbers[
        "scale"
    ] in scales()
    for cell in numbers["cells"]:
        assert cell["metric"] == Plan(item, scale_of(item, numbers["scale"])).metric(cell["column"], cell["data"])
        row = item.numbers.get(cell["data"], {}).get(cell["model"], {}).get(cell["setting"])
        assert len(item.over) > 1 or cell["paper"] == (row and row[list(item.columns).index(cell["column"])])
        assert set(cell["runs"]) <= set(numbers["runs"]) and len(cell["runs"]) >= cell["n"]
