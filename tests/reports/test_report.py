"""The report: HTML page, Markdown, and its errors on bad input."""

from __future__ import annotations

import json
import logging
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from report_folders import record, run_with_records
from run_folders import attack_line, make_run

from hf_robust.attacks import ATTACKS, Resources
from hf_robust.cli.main import main
from hf_robust.reports import load_runs, write_report
from hf_robust.reports.examples import FEW, examples_of
from hf_robust.reports.markdown import escaped
from hf_robust.reports.outcomes import ReportedRun, outcomes_of
from hf_robust.runs import read_history, write_history_line

VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = "<script>alert(1)</script> *bold* `code` [x](http://a.b) & \"q\" 'r' | bar ]]> $x$"


class Page(HTMLParser):
    """Parser that verifies the nesting of tags and collects ids, rows and external resources."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.cells: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        assert len(given) == len(attrs), f"an attribute twice: {attrs}"
        self.ids += [given["id"]] if given.get("id") else []
        loaded = [given.get(name) or "" for name in ("src", "href", "xlink:href", "data", "action")]
        self.loads += [one for one in loaded if one and not one.startswith(("#", "data:,"))]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.words += data
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data


def written(folder: Path, *runs: Path, force: bool = False) -> tuple[str, str]:
    page, text = write_report(load_runs(runs, force=force), folder)
    return page.read_text(encoding="utf-8"), text.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two methods, the first with two seeds, over two epochs, with records, a union and certificates."""
    folder = tmp_path_factory.mktemp("runs")
    generated = {"seconds": {"train": 30.0, "generate": 10.0, "attack": 4.0}, "forwards": {"per_step": 3.0}}
    plain = {"seconds": {"train": 10.0, "attack": 2.0}, "forwards": {"per_step": 1.0}}
    known = {"versions": {"torch": "2.13.0"}, "command": ["run_glue_robust.py", "a b.json"]}
    made = [
        run_with_records(folder / "n0", "ffss-fff", epochs=2, **plain, **known),
        run_with_records(folder / "n1", "ffss-ssf", epochs=2, seed=1, **plain, **known),
        run_with_records(folder / "s0", "ffff-fss", epochs=2, method="safer", **generated, **known),
    ]
    certified = {"certified_accuracy": 0.5, "certified_accuracy_low": 0.4, "certified_accuracy_high": 0.6}
    certified |= {"smoothed_accuracy": 0.75, "abstained": 0.05, "radius": 2, "num_examples": 100, "votes": 50}
    certified |= {"alpha": 0.001, "seconds": 3.5, "smoothed_accuracy_low": None}
    lines = (made[2] / "robustness_history.jsonl").read_text().splitlines()
    union = {"attacks": ["synonym", "pwws"], "robust_accuracy": 0.3, "num_examples": 100}
    last = {**json.loads(lines[-1]), "certified": certified, "union": union}
    write_history_line(made[2], last)
    return made


@pytest.fixture(scope="module")
def report(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return written(tmp_path_factory.mktemp("report"), *runs)


def test_the_page_is_well_formed_and_loads_nothing(report: tuple[str, str]) -> None:
    page = Page(report[0])
    assert page.loads == [] and len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 4 and page.tags.count("script") == page.tags.count("style") == 1
    assert "default-src 'none'" in report[0] and len(report[0].encode()) < 400_000
    assert set(re.findall(r'href="#([^"]+)"', report[0])) <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", report[0])) <= set(page.ids)
    for svg in re.findall(r"<svg.*?</svg>", report[0], flags=re.DOTALL):
        ElementTree.fromstring(svg)


def test_every_cell_of_the_page_is_in_the_markdown(report: tuple[str, str]) -> None:
    page, text = Page(report[0]), report[1]
    assert len(page.cells) > 60
    for cell in page.cells:
        assert escaped(cell).replace("|", "\\|") in text, cell
    sections = re.findall(r"<h2>(.*?)</h2>", report[0])
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == sections and len(sections) == 10


def test_headers_are_buttons_and_numbers_sort_as_numbers(report: tuple[str, str]) -> None:
    heads = re.findall(r"<th [^>]*>(.*?)</th>", report[0])
    assert heads and all(re.fullmatch(r'<button type="button">[^<]+</button>', head) for head in heads)
    assert report[0].count('aria-sort="none"') == len(heads)
    for value, text in re.findall(r'data-value="([^"]+)">([^<]+)</td>', report[0]):
        shown = re.match(r"[<+\- ]*([\d.,]+)", text)
        assert shown and math.isfinite(float(value)), text


def rows(text: str, caption: str) -> list[dict[str, str]]:
    """Rows of the Markdown table below a heading, each by column name."""
    table = text.split(f"### {caption}\n\n")[1].split("\n\n")[0].splitlines()
    split = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
    return [dict(zip(split[0], line, strict=True)) for line in split[2:]]


def test_seeds_are_grouped_with_mean_and_deviation(report: tuple[str, str]) -> None:
    normal, safer = rows(report[1], "synonym")
    # 5 and 3 of 100 examples withstood, by the histories.
    assert normal["robust accuracy, %"] == "4.0 ± 1.4" and normal["seeds"] == "2"
    assert safer["robust accuracy, %"].startswith("5.0 [") and safer["queries each"] == "12.5"


def test_cost_is_relative_to_normal(report: tuple[str, str]) -> None:
    normal, safer = rows(report[1], "Seconds and forward passes")
    assert (normal["all three, × normal"], safer["all three, × normal"]) == ("1.00", "4.00")
    assert (safer["making views, s"], safer["forwards, × normal"], safer["attacks, s"]) == ("10.0", "3.00", "4.0")
    assert normal["making views, s"] == "–"


def test_a_run_that_has_not_ended_costs_nothing_yet(tmp_path: Path) -> None:
    _, text = written(tmp_path / "out", make_run(tmp_path / "a", [(1, 1)], final_step=None, seconds={"train": 0.1}))
    assert "normal: The run has not ended; its numbers are those of the last measured epoch." in text
    assert "training, s" not in text


def test_certificates_and_unions_have_tables(report: tuple[str, str]) -> None:
    (certified,) = rows(report[1], "Certified")
    assert (
        certified["certified accuracy, %"] == "50.0 [40.0, 60.0]"
        and certified["accuracy of the certified classifier, %"] == "75.0"
    )
    assert (certified["median radius"], certified["votes"], certified["alpha"]) == ("2", "50", "0.001")
    (union,) = rows(report[1], "Worst of synonym, pwws")
    assert union["robust accuracy, %"].startswith("30.0 [")


def test_an_attack_that_every_right_example_falls_to_has_no_rate_in_its_table(tmp_path: Path) -> None:
    folder = make_run(
        tmp_path / "a", [(1, 1)], attacks={"input_reduction": ATTACKS["input_reduction"](Resources()).describe()}
    )
    line = json.loads((folder / "robustness_history.jsonl").read_text())
    found = {"raises_asr": 0.4, "remains_asr": 0.9, "covered": 0.95, "covered_asr": 1.0, "changed_share": 0.6}
    kept = attack_line(20, 0, 25, **found)
    del kept["robust_accuracy"]
    write_history_line(folder, {**line, "attacks": {"input_reduction": kept}})
    (row,) = rows(written(tmp_path / "out", folder)[1], "input_reduction")
    assert row["texts with a substitute, %"] == "95" and row["changed words, %"] == "60.0"
    assert not {"ASR, %", "ASR on texts with a substitute, %", "raises, %", "remains, %", "robust accuracy, %"} & set(
        row
    )


def test_an_attack_that_was_blind_is_named_before_any_number(tmp_path: Path) -> None:
    sure, other = (make_run(tmp_path / name, [(1, 9)], method=name) for name in ("sure", "other"))
    line = json.loads((sure / "robustness_history.jsonl").read_text())
    write_history_line(sure, {**line, "attacks": {"synonym": {**line["attacks"]["synonym"], "saturated_share": 0.3}}})
    head = written(tmp_path / "out", sure, other)[1].split("## Runs")[0]
    assert "**Warning:** sure: At 30.0 % of the queries of the synonym attack the model was so certain" in head


def test_a_model_that_guesses_is_marked_in_every_table_of_rates(tmp_path: Path) -> None:
    shares = {"name": "reviews", "fingerprint": "f1", "eval_samples": 200, "class_shares": {"no": 0.5, "yes": 0.5}}
    folder = make_run(tmp_path / "a", [(1, 1)], accuracy=0.5, data=shares)
    line = json.loads((folder / "robustness_history.jsonl").read_text())
    union = {"attacks": ["synonym", "pwws"], "robust_accuracy": 0.3, "num_examples": 100}
    write_history_line(folder, {**line, "union": union})
    text = written(tmp_path / "out", folder)[1]
    for caption in ("Methods and data", "synonym", "Worst of synonym, pwws"):
        assert rows(text, caption)[0]["method"] == "normal †"


def test_a_number_that_a_certificate_lacks_is_a_dash(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", [(1, 1)])
    line = json.loads((folder / "robustness_history.jsonl").read_text())
    nothing = {"certified_accuracy": 0.0, "smoothed_accuracy": None, "radius": None}
    write_history_line(folder, {**line, "certified": nothing})
    (row,) = rows(written(tmp_path / "out", folder)[1], "Certified")
    assert row == {"method": "normal", "seeds": "1", "certified accuracy, %": "0.0"}


def test_paired_tests_are_shown_with_the_correction(report: tuple[str, str]) -> None:
    (row,) = rows(report[1].split("## Paired tests")[1], "synonym")
    assert (row["first"], row["second"], row["n"]) == ("normal seed 0", "safer", "8")
    assert (row["robust in first only"], row["robust in second only"]) == ("2", "2")
    assert row["p"] == row["p, Holm"] == "1.0000" and row["robust accuracy: second − first, points"].startswith(
        "+0.0 ["
    )


def test_provenance_names_what_runs_share(report: tuple[str, str]) -> None:
    table = rows(report[1], "Versions, data, lexicons, seeds and commands")
    stated = {(row["setting"], row["value"]): row["runs"] for row in table}
    assert stated["data fingerprint", "f1"] == stated["version: torch", "2.13.0"] == "all"
    assert stated["seed", "1"] == "normal seed 1"
    of_a_file = "The flags of this run were in the file a b.json, which the run card does not hold."
    assert stated["command", of_a_file] == "all"


# ---- examples ----


def named(folder: Path) -> ReportedRun:
    (run,) = load_runs([folder])
    return ReportedRun(run.method, run, outcomes_of(run))


def test_examples_that_tell_models_apart_come_first_and_are_drawn_by_seed(tmp_path: Path) -> None:
    first = named(run_with_records(tmp_path / "a", "f" * 20 + "ss"))
    second = named(run_with_records(tmp_path / "b", "f" * 20 + "fs", method="safer"))
    shown = examples_of("synonym", [first, second])
    assert len(shown) == FEW and [example.title.split(",")[1] for example in shown[:2]] == [
        " example 20",
        " example 21",
    ]
    assert [version.outcome for version in shown[0].versions] == ["fell", "withstood"]
    assert shown == examples_of("synonym", [first, second])
    assert shown[2] != examples_of("synonym", [first, second], seed=3)[2]


def test_changed_words_are_marked_in_both_texts(tmp_path: Path) -> None:
    first = named(run_with_records(tmp_path / "a", "", records=[record(0, "s", "a good old film", "a fine old film")]))
    other = [record(0, "f", "a good old film", "a good aged film")]
    second = named(run_with_records(tmp_path / "b", "", records=other, method="safer"))
    (example,) = examples_of("synonym", [first, second])
    assert [text for text, marked in example.pieces if marked] == ["good", "old"]
    marked = [[text for text, one in version.pieces if one] for version in example.versions]
    assert marked == [["fine"], ["aged"]] and example.versions[0].detail == "1 → 0, 1 word changed, 5 queries"
    assert "".join(text for text, _ in example.versions[1].pieces) == "a good aged film"


def test_label_names_and_long_texts(tmp_path: Path) -> None:
    found = [record(0, "s", "word " * 2000, "word " * 2000 + "more")]
    folder = run_with_records(tmp_path / "a", "", records=found)
    (folder / "config.json").write_text('{"id2label": {"0": "bad", "1": "good"}}')
    (example,) = examples_of("synonym", [named(folder)])
    assert example.title.endswith("label good") and example.versions[0].detail.startswith("good → bad")
    assert len("".join(text for text, _ in example.pieces)) < 1600


def test_hostile_texts_are_shown_and_not_run(tmp_path: Path) -> None:
    found = [record(0, "s", f"a good film {HOSTILE}", f"a fine film {HOSTILE}")]
    folder = run_with_records(tmp_path / "a", "", records=found, method=HOSTILE, model=HOSTILE)
    page, text = written(tmp_path / "out", folder)
    parsed = Page(page)
    assert parsed.tags.count("script") == 1 and HOSTILE in parsed.words
    assert "<script" not in text and "\\*bold\\*" in text and "](http" not in text.replace("]\\(http", "")
    assert all(line.count("<") == line.count("<b>") + line.count("</b>") for line in text.splitlines())


# ---- half of the files ----


def test_a_history_alone_makes_a_report(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", [(1, 3)], [(2, 2)])
    (folder / "run_card.json").unlink()
    page, text = written(tmp_path / "out", folder)
    Page(page)
    for said in (
        "Every run was measured only once, so there are no curves.",
        "There is only one method, so there is nothing to compare.",
        "The runs have no attacked texts (attack_results), so there are no examples to show.",
        "none, so settings and versions are unknown",
    ):
        assert said in text and said in page


def test_runs_without_a_robust_accuracy_have_no_front(tmp_path: Path) -> None:
    line = {"epoch": 1.0, "step": 1, "accuracy": 0.5, "attacks": {"antonym": {"asr": 0.5}}}
    write_history_line(tmp_path / "a", line)
    assert "None of the attacks has a robust accuracy" in written(tmp_path / "out", tmp_path / "a")[1]


def test_rates_by_other_definitions_are_columns_and_not_a_sentence_for_each_run(tmp_path: Path) -> None:
    for seed in (1, 2):
        make_run(tmp_path / f"{seed}", [(1, 1)], [(1, 1)], seed=seed)
        line = read_history(tmp_path / f"{seed}")[-1]
        line["attacks"]["antonym"] |= {"remains_asr": 0.25 * seed, "covered": 0.5, "covered_asr": 0.75}
        write_history_line(tmp_path / f"{seed}", line)
    _, text = written(tmp_path / "out", tmp_path / "1", tmp_path / "2")
    (row,) = rows(text, "antonym")
    assert row["remains, %"] == "37.5 ± 17.7" and row["ASR on texts with a substitute, %"] == "75.0"
    assert "had an admissible change; among these" not in text


def test_loss_increase_is_in_the_table_of_methods_and_does_not_separate_two_seeds(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / "normal", [(1, 1)], seed=1)]
    for seed, increase in {1: 0.2, 2: 0.4}.items():
        found = {"loss_increase": increase, "point_moved": 0.01 * seed}
        folders.append(
            make_run(
                tmp_path / f"a{seed}", [(1, 1)], seed=seed, method="adaptive_pgd", found=sorted(found), config=found
            )
        )
    _, text = written(tmp_path / "out", *folders)
    plain, adaptive = rows(text, "Methods and data")
    assert adaptive["seeds"] == "1, 2"
    assert adaptive["loss increase by the adversary"] == "0.3"
    assert adaptive["move of the point by w, % of its norm"] == "1.5"
    assert plain["loss increase by the adversary"] == "–"
    assert "loss increase" not in written(tmp_path / "alone", folders[0])[1]


def test_models_of_one_name_and_other_sizes_are_distinguished(tmp_path: Path) -> None:
    sizes = {0: 4.4e6, 1: 22.7e6}
    folders = [
        make_run(tmp_path / f"{seed}", [(1, 1)], seed=seed, architecture={"type": "bert", "parameters": size})
        for seed, size in sizes.items()
    ]
    _, text = written(tmp_path / "out", *folders)
    names = [row["model"] for row in rows(text, "Methods and data")]
    assert names == ["tiny (bert, 4.4 M weights)", "tiny (bert, 22.7 M weights)"]


def test_dollars_in_an_attacks_name_are_no_mathematics(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [(1, 1), (1, 1)])
    for line in read_history(folder):
        write_history_line(folder, {**line, "attacks": {r"$\frac$": line["attacks"]["synonym"]}}, keep_later=True)
    page, _ = written(tmp_path / "out", folder)
    assert r"$\frac$" in page


def test_a_torn_last_line_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = run_with_records(tmp_path / "a", "sf", epochs=2)
    for path in (folder / "robustness_history.jsonl", folder / "attack_results" / "epoch-2" / "synonym.jsonl"):
        path.write_text(path.read_text() + '{"idx": 7, "epo')
    with caplog.at_level(logging.WARNING):
        _, text = written(tmp_path / "out", folder)
    assert caplog.text.count("is incomplete") == 2 and "| 2 (last) |" in text


def test_ten_runs_with_records_stay_small(tmp_path: Path) -> None:
    words = "some words of a review " * 60
    found = [record(idx, "sf"[idx % 2], f"{words}good", f"{words}fine") for idx in range(20)]
    folders = [run_with_records(tmp_path / str(n), "", epochs=5, records=found, method=f"m{n}") for n in range(10)]
    page, _ = written(tmp_path / "out", *folders)
    assert len(page.encode()) < 1_500_000


# ---- bad input, by the command ----


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_runs_of_other_data_are_refused_and_marked_where_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"name": "reviews", "fingerprint": "f2", "variant": "other"}
    runs = [str(make_run(tmp_path / "a", [(1, 1)])), str(make_run(tmp_path / "b", [(1, 1)], data=data))]
    out = tmp_path / "out"
    assert "data fingerprint differs, 'f1' and 'f2' (a, b)" in refused(capsys, *runs, "--output", str(out))
    assert not out.exists()
    assert main(["report", *runs, "--output", str(out), "--force"]) == 0
    reason = "Not comparable: data fingerprint differs"
    assert f"<li>{reason}" in (out / "report.html").read_text()
    assert f"> **Warning:** {reason}" in (out / "report.md").read_text()


def test_leaked_results_are_marked(tmp_path: Path) -> None:
    views = [{"view": "synonym", "found": 3, "split": "validation", "leaked": True}]
    page, text = written(tmp_path / "out", make_run(tmp_path / "a", [(1, 1)], views=views))
    assert "> **Warning:** normal: The evaluation data leaked into training" in text
    assert "> **Warning:** normal: The model was trained on texts of the synonym attack" in text
    assert (
        page.index('class="warning"') < page.index("The evaluation data leaked into training") < page.index("<main>")
    )


def test_a_run_given_twice_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "a", [(1, 1)])
    monkeypatch.chdir(tmp_path)
    assert "./a/. was given twice; name each run once" in refused(capsys, "a", "./a/.")
    assert "a was given twice; name each run once" in refused(capsys, "a", str(tmp_path / "a"), "--force")


@pytest.mark.parametrize("content", [None, "", "\n", '{"epoch": 1.0, "st'])
def test_a_run_without_a_measured_epoch_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    (tmp_path / "a").mkdir()
    if content is not None:
        (tmp_path / "a" / "robustness_history.jsonl").write_text(content)
    expected = "does not exist; give a run folder" if content is None else "has no measured epoch yet; wait for"
    assert expected in refused(capsys, str(tmp_path / "a"), "--output", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_no_run_and_an_output_that_is_a_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="No run given; name at least one folder"):
        load_runs([])
    with pytest.raises(SystemExit):
        main(["report"])
    capsys.readouterr()
    (tmp_path / "out").write_text("")
    run = str(make_run(tmp_path / "a", [(1, 1)]))
    assert "out is a file; name a folder" in refused(capsys, run, "--output", str(tmp_path / "out"))


def test_records_that_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_with_records(tmp_path / "a", "sf")
    (folder / "attack_results" / "epoch-1" / "synonym.jsonl").write_text('{"idx": 1}\n{"idx": 2}\n')
    out = str(tmp_path / "out")
    assert "synonym.jsonl cannot be read: an attack record needs the keys" in refused(
        capsys, str(folder), "--output", out
    )
    assert not Path(out).exists()
