"""The leaderboard: its rows, its JSON file, what may not stand on one, and the page without a script."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from run_folders import attack_line

from benchmarks.study import leaderboard_part
from hf_robust.cli.main import main
from hf_robust.metrics import ConfidenceSequence, wilson_interval
from hf_robust.reports.leaderboard import FORMAT, HEADER, load_leaderboard
from hf_robust.runs import write_history_line

NAME = "standard-v1/wordnet(1a2b3c4d)"
RESOURCES = {"lexicon": {"name": "wordnet", "source": "WordNet 3.0 (nltk)", "fingerprint": "1a2b3c4d"}}


def standard_run(
    folder: Path, correct: int, added: tuple[int, ...], *, examples: int = 100, name: str = NAME, **card: Any
) -> Path:
    """A training measured once, whose correct texts fall to the members one after another."""
    robust = correct - sum(added)
    members, met = [], correct
    for member, found in zip(("deepwordbug", "textfooler", "faster_genetic"), added, strict=True):
        members.append({"name": member, "met": met, "added": found, "queries": 10 * met, "seconds": 1.5})
        met -= found
    low, high = wilson_interval(robust, examples)
    entry = {
        "name": name, "version": "standard-v1", "resources": RESOURCES, "accuracy": correct / examples,
        "robust_accuracy": robust / examples, "robust_accuracy_low": low, "robust_accuracy_high": high,
        "num_examples": examples, "queries": sum(member["queries"] for member in members), "seconds": 4.5,
        "members": members, "quality": {"successes": sum(added), "changed_share": 0.1, "same_meaning": sum(added)},
    }  # fmt: skip
    line = {"epoch": 1.0, "step": 100, "accuracy": correct / examples, "standard": entry}
    attacks = {"standard": attack_line(sum(added), robust, examples, accuracy=correct / examples)}
    write_history_line(folder, {**line, "attacks": attacks})
    stated = {
        "method": folder.name,
        "model": "tiny",
        "data": {"name": "reviews", "fingerprint": "f1", "eval_samples": examples, "attack_split": "validation"},
        "attacks": {"standard": {"goal": {"name": "misclassify"}, "standard": name}},
        "seed": 1,
        "seconds": {"train": 60.0, "baseline": 30.0},
        "forwards": {"train": 100, "per_step": 2.5},
        "training": {},
        "final_step": 100,
        **card,
    }
    (folder / "run_card.json").write_text(json.dumps(stated))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """In the order of neither clean nor robust accuracy; the numbers sort differently as text."""
    return [
        standard_run(tmp_path / "normal", 90, (50, 31, 0)),
        standard_run(tmp_path / "freelb", 88, (50, 12, 1)),
        standard_run(tmp_path / "pgd", 86, (50, 10, 1)),
    ]


class Rows(HTMLParser):
    """Cells of the first table of a page, as text, and the links in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self._cell = False
        self.feed(page[page.index("<tbody>") : page.index("</tbody>")])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        self._cell = self._cell or tag == "td"
        self.links += [str(value) for key, value in attrs if tag == "a" and key == "href"]

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


def test_rows_are_in_the_page_the_most_robust_first(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "board"
    assert main(["leaderboard", *map(str, runs), "--output", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "leaderboard.html and leaderboard.json are in" in printed
    page = (out / "leaderboard.html").read_text()
    found = Rows(page)
    # pgd and freelb are equally robust; freelb is the more accurate one.
    assert [row[:2] for row in found.rows] == [["1", "freelb"], ["2", "pgd"], ["3", "normal"]]
    assert re.findall(r"^\| (\d) \| (\w+)", printed, re.M) == [("1", "freelb"), ("2", "pgd"), ("3", "normal")]
    low, high = wilson_interval(9, 100)
    assert found.rows[2][3].startswith("90.0 [") and found.rows[2][4] == f"9.0 [{100 * low:.1f}, {100 * high:.1f}]"
    assert found.rows[0][5:7] == ["2.50", "90"]
    assert len(found.rows[0]) == len(HEADER) and NAME in page
    # Links lead to copies beside the page, so that the folder can be published alone.
    assert found.links == ["cards/freelb.json", "cards/pgd.json", "cards/normal.json"]
    assert all(json.loads((out / link).read_text())["method"] in link for link in found.links)


def test_the_page_needs_no_script(runs: list[Path], tmp_path: Path) -> None:
    main(["leaderboard", *map(str, runs), "--output", str(tmp_path / "board")])
    page = (tmp_path / "board" / "leaderboard.html").read_text()
    static = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert Rows(static).rows == Rows(page).rows and "<input" not in static and "hidden" not in static
    assert 'class="sortable filtered"' in static and "table.filtered" in page


def test_the_json_file(runs: list[Path], tmp_path: Path) -> None:
    main(["leaderboard", *map(str, runs), "--output", str(tmp_path / "board")])
    board = json.loads((tmp_path / "board" / "leaderboard.json").read_text())
    assert list(board) == ["format", "standard", "data", "entries"] and board["format"] == FORMAT
    assert board["standard"] == {"name": NAME, "version": "standard-v1", "resources": RESOURCES}
    assert board["data"]["fingerprint"] == "f1"
    assert [entry["rank"] for entry in board["entries"]] == [1, 2, 3]
    kinds = {
        "rank": int, "name": str, "method": str, "model": str, "architecture": type(None), "seed": int,
        "num_examples": int, "accuracy": dict, "robust_accuracy": dict, "members": list, "quality": dict,
        "queries": (int, float), "seconds": float, "training": dict, "flags": list, "not_checked": list, "card": str,
    }  # fmt: skip
    for entry in board["entries"]:
        assert list(entry) == list(kinds) and all(isinstance(entry[key], kind) for key, kind in kinds.items())
        for rate in (entry["accuracy"], entry["robust_accuracy"]):
            assert 0 <= rate["low"] <= rate["value"] <= rate["high"] <= 1
        lost = sum(member["added"] for member in entry["members"]) / entry["num_examples"]
        assert entry["accuracy"]["value"] - lost == pytest.approx(entry["robust_accuracy"]["value"])
        assert entry["training"] == {"forwards_per_step": 2.5, "seconds": 90.0}
        assert all(flag["reasons"] and flag["title"] for flag in entry["flags"])
    documented = (Path(__file__).parents[2] / "docs" / "leaderboard.md").read_text()
    assert all(f"| `{key}` |" in documented for key in kinds)


def test_a_flagged_row_says_why(tmp_path: Path) -> None:
    chance = {
        "data": {"name": "reviews", "fingerprint": "f1", "eval_samples": 100, "class_shares": {"no": 0.5, "yes": 0.5}}
    }
    guesses = standard_run(tmp_path / "guesses", 51, (1, 0, 0), **chance)
    good = standard_run(tmp_path / "good", 90, (50, 31, 0), **chance)
    first, second = load_leaderboard([good, guesses])
    assert first.name == "guesses" and [finding.check for finding in first.flagged] == ["clean_accuracy"]
    assert not second.flagged
    main(["leaderboard", str(good), str(guesses), "--output", str(tmp_path / "board")])
    page = (tmp_path / "board" / "leaderboard.html").read_text()
    (reason,) = first.flagged[0].flags
    assert first.flagged[0].title in Rows(page).rows[0][10] and Rows(page).rows[1][10] == "–"
    assert f"guesses: {reason}"[:60] in page
    (entry, _) = json.loads((tmp_path / "board" / "leaderboard.json").read_text())["entries"]
    assert entry["flags"][0]["reasons"] == [reason]


def refusal(capsys: pytest.CaptureFixture[str], tmp_path: Path, *runs: Path) -> str:
    assert main(["leaderboard", *map(str, runs), "--output", str(tmp_path / "board")]) == 2
    assert not (tmp_path / "board").exists()
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_may_not_stand_on_one_leaderboard(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No run given" in refusal(capsys, tmp_path)
    unlike = standard_run(tmp_path / "other", 90, (1, 1, 1), name="standard-v1/wordnet(1a2b3c4d)+encoder(5e6f7a8b)")
    said = refusal(capsys, tmp_path, *runs, unlike)
    assert "cannot be compared" in said and f"{NAME} (" in said and "+encoder(5e6f7a8b) (other)" in said
    fewer = standard_run(tmp_path / "fewer", 40, (1, 1, 1), examples=50)
    assert "100 and 50 texts were attacked" in refusal(capsys, tmp_path, runs[0], fewer)
    data = {"data": {"name": "reviews", "fingerprint": "f2"}}
    rows = standard_run(tmp_path / "rows", 90, (1, 1, 1), **data)
    assert "data fingerprint differs" in refusal(capsys, tmp_path, runs[0], rows)
    assert "was given twice" in refusal(capsys, tmp_path, runs[0], runs[0])


def stopped_run(folder: Path, correct: int, added: tuple[int, ...], examples: int, rows: int = 100) -> Path:
    """A run whose attack stopped at an interval of 20 points, after some of its rows."""
    standard_run(folder, correct, added, examples=examples)
    history = folder / "robustness_history.jsonl"
    line = json.loads(history.read_text())
    line["attacks"]["standard"] |= {"until_interval": 0.2, "num_rows": rows}
    history.write_text(json.dumps(line) + "\n")
    return folder


def test_runs_that_stopped_at_an_interval_stand_beside_each_other(
    runs: list[Path], tmp_path: Path, capsys: Any
) -> None:
    stopped = stopped_run(tmp_path / "stopped", 60, (30, 20, 1), 70)
    first, _, third, _ = load_leaderboard([*runs, stopped])
    assert first.run.path.name == "freelb" and (third.examples, third.robust) == (70, 9)
    assert third.interval(9) == ConfidenceSequence(0.2).interval(9, 70) != wilson_interval(9, 70)
    assert first.interval(25) == wilson_interval(25, 100)
    main(["leaderboard", *map(str, [*runs, stopped]), "--output", str(tmp_path / "board")])
    page = (tmp_path / "board" / "leaderboard.html").read_text()
    assert [row[9] for row in Rows(page).rows] == ["100", "100", "70", "100"] and "confidence sequences" in page
    # Of other rows, or of an order of other rows.
    capsys.readouterr()
    other = stopped_run(tmp_path / "other_rows", 60, (30, 20, 1), 70, rows=200)
    assert "100 and 200 texts were attacked" in refusal(capsys, tmp_path / "no", runs[0], other)


def test_a_run_without_the_standard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_history_line(tmp_path / "run", {"epoch": 1.0, "step": 1, "accuracy": 0.9, "attacks": {}})
    said = refusal(capsys, tmp_path, tmp_path / "run")
    assert "has no standard evaluation" in said and "--attacks standard" in said


@pytest.mark.parametrize("change", [{"robust_accuracy": 0.5}, {"accuracy": 0.905}, {"accuracy": 0.05}])
def test_numbers_that_contradict_each_other(
    change: dict[str, float], runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = runs[0] / "robustness_history.jsonl"
    line = json.loads(history.read_text())
    line["standard"] |= change
    history.write_text(json.dumps(line) + "\n")
    assert "contradict each other" in refusal(capsys, tmp_path, runs[0])


def test_submitted_runs_stand_on_leaderboards() -> None:
    found = leaderboard_part.boards()
    entries = [entry for folders in found.values() for entry in load_leaderboard(folders)]
    assert len(entries) == sum(map(len, found.values()))
    if not found:
        assert leaderboard_part.compact(Path()).strip() == leaderboard_part.NONE


def test_the_docs_have_a_table_for_each_standard(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = standard_run(tmp_path / "other", 90, (1, 1, 1), name="standard-v1/table.json(5e6f7a8b)")
    monkeypatch.setattr(leaderboard_part.boards, "__defaults__", (tmp_path,))
    text = leaderboard_part.compact(Path())
    assert [line for line in text.splitlines() if line.startswith("**")] == [
        f"**{NAME}**, reviews (validation):",
        "**standard-v1/table.json(5e6f7a8b)**, reviews (validation):",
    ]
    assert text.count("| rank |") == 2 and "| 1 | other |" in text and other.is_dir()
