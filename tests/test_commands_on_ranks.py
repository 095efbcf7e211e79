"""Commands of `hf-robust` on two ranks: one result, equal to that of one process, and one sentence for an error."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from shared_commands import attack_of_function, run_all, write_inputs
from two_ranks import LAUNCH, environment, on_two_ranks

from hf_robust.attacks.engine.black_box import BlackBox
from hf_robust.cli.main import build_parser, main
from hf_robust.cli.ranks import check_ranks, is_reported
from hf_robust.runs import KeptQueries, RankEndedError, Ranks, balanced_shares, read_queries, read_records

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs, and below ``out`` and ``one`` what all commands wrote on two ranks and in one process."""
    folder = tmp_path_factory.mktemp("ranks")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def launched(folder: Path) -> Any:
    """What one start of all commands on two ranks printed."""
    return on_two_ranks(HERE / "shared_commands.py", str(folder), output=folder / "out", imports=[folder])


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """The folder of what the same commands wrote in one process."""
    sys.path.insert(0, str(folder))
    try:
        assert run_all(folder, folder / "one") == 0
    finally:
        sys.path.remove(str(folder))
    return folder / "one"


def without_time(path: Path) -> Any:
    """The content of a JSON or JSON lines file without seconds, and without the folder in the command."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cleaned(inner) for key, inner in value.items() if "second" not in key and key != "command"}
        return [cleaned(inner) for inner in value] if isinstance(value, list) else value

    text = path.read_text(encoding="utf-8")
    return cleaned([json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text))


@pytest.mark.parametrize("name", ["attack", "function", "certify", "consistency", "words"])
def test_two_ranks_write_what_one_process_writes(name: str, folder: Path, launched: Any, alone: Path) -> None:
    def written(out: Path) -> list[Path]:
        files = (path.relative_to(out) for path in out.rglob("*") if path.is_file())
        return sorted(path for path in files if "_attack_journal" not in path.parts)

    two, one = folder / "out" / name, alone / name
    assert written(two) == written(one) and written(one)
    for path in written(one):
        if path.suffix in (".json", ".jsonl"):
            found, expected = without_time(two / path), without_time(one / path)
            if path.name in ("run_card.json", "attack_summary.json") and name == "function":
                # Each rank asks the first texts and the trial of its own.
                assert found["victim"].pop("asked") > 0 and expected["victim"].pop("asked") > 0
                assert found["victim"]["rate"] == 5000
            assert_close(found, expected, str(path))


def assert_close(found: Any, expected: Any, where: str) -> None:
    """Equal but for the rounding of scores, whose batches are others on other ranks."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list):
        assert len(found) == len(expected), where
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, where)
    else:
        close = pytest.approx(expected, abs=2e-6) if isinstance(expected, float) else expected
        assert found == close, where


def test_rank_0_prints_once(launched: Any, folder: Path) -> None:
    assert launched.stdout.count("Results of every example are in") == 2  # two attacks
    assert launched.stdout.count("The certificate of every example is in") == 1
    assert launched.stdout.count("Written: ") == 1


def test_both_ranks_had_a_share(launched: Any, folder: Path) -> None:
    shares = [
        [record.idx for path in (folder / "out" / "function" / "_attack_journal").glob(f"*-{rank}-of-2.jsonl")
         if "queries" not in path.name for record in read_records(path)]
        for rank in (0, 1)
    ]  # fmt: skip
    assert [len(share) for share in shares] == [15, 15] and len(set(shares[0] + shares[1])) == 30


def test_another_number_of_ranks_continues(launched: Any, folder: Path, alone: Path, monkeypatch: Any) -> None:
    """One process finishes what two ranks began: half of the journal of rank 1 is lost, and its last line is torn."""
    monkeypatch.syspath_prepend(str(folder))
    journals = folder / "out" / "function" / "_attack_journal"
    (journal,) = [path for path in journals.glob("*-1-of-2.jsonl") if "queries" not in path.name]
    (queries,) = journals.glob("*-queries-1-of-2.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:6]) + lines[6][:30])
    (folder / "out" / "function" / "run_card.json").unlink()
    (folder / "out" / "function" / "robustness_history.jsonl").unlink()
    kept = queries.read_text()
    queries.write_text(kept[: len(kept) // 2])
    flags = [*attack_of_function(folder, folder / "out" / "function"), "--victim_rate", "5000", "--keep_queries"]
    assert main(flags) == 0
    for name in ("attack_results", "attack_queries"):
        found, expected = (
            without_time(out / "function" / name / "textfooler.jsonl") for out in (folder / "out", alone)
        )
        if name == "attack_queries":  # the texts of finished examples are not asked again
            assert {json.dumps(line) for line in found} <= {json.dumps(line) for line in expected} and found
        else:
            assert found == expected


def test_the_first_rank_that_fails_reports_it(folder: Path) -> None:
    out = folder / "failed"
    ran = on_two_ranks(
        "hf_robust.cli", *attack_of_function(folder, out), output=out, code=1, imports=[folder], FAILING_RANK="1"
    )
    sentences = [line for line in ran.stderr.splitlines() if line.startswith("hf-robust attack")]
    assert sentences == [
        "hf-robust attack (rank 1): endpoint.predict failed on 4 texts with OSError: the endpoint is down"
    ], ran.stderr
    assert {path.parent.name for path in (folder / "failed").rglob("*") if path.is_file()} <= {"_attack_journal"}


def test_an_interruption_ends_all_ranks_and_the_command_continues(
    folder: Path, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / "interrupted"
    launcher = subprocess.Popen(
        [*LAUNCH, "-m", "hf_robust.cli", *attack_of_function(folder, out)],
        env=environment(folder, SECONDS_A_CALL="0.3"), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in out.rglob("*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    launcher.send_signal(signal.SIGINT)
    printed = launcher.communicate(timeout=60)[1]
    sentences = [line for line in printed.splitlines() if line.startswith("hf-robust attack")]
    assert len(sentences) == 1 and "interrupted; the same command continues" in sentences[0], printed
    journals = list((out / "_attack_journal").iterdir())
    assert journals and [path for path in out.rglob("*") if path.is_file()] == journals
    monkeypatch.syspath_prepend(str(folder))
    assert main(attack_of_function(folder, out)) == 0
    found, expected = (
        without_time(path / "attack_results" / "textfooler.jsonl") for path in (out, alone / "function")
    )
    assert found == expected


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["lexicon", "lookup", "good"], "lexicon lookup runs in one process, and 2 were started: start it without"),
        (["interpret", "conflict", "run"], "interpret conflict runs in one process, and 2 were started"),
        (["report", "run", "--output", "page"], "report runs in one process, and 2 were started"),
        (["certify", "model", "--data", "d", "--device", "cuda:1"], "--device cuda:1 would put all 2 ranks on one"),
    ],
)
def test_what_ranks_cannot_share_is_refused(argv: list[str], sentence: str) -> None:
    options = build_parser(argv).parse_args(argv)
    check_ranks(options, 1)
    with pytest.raises(ValueError, match=sentence):
        check_ranks(options, 2)


def test_ranks_share_the_rate_of_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    monkeypatch.setattr("time.sleep", waits.append)
    box = BlackBox(lambda texts: [[0.5, 0.5]] * len(texts), rate=10, batch_size=5, outputs="probabilities")
    box.sharers = 2
    box.score([(str(number),) for number in range(15)])
    assert waits == [0.0, 1.0, 2.0]  # 5 texts a second, half of the rate
    assert box.describe()["rate"] == 10


def test_one_process_maps_in_order() -> None:
    assert Ranks().map(lambda item: item * 2, [3, 1, 2], float) == [6, 2, 4]
    assert balanced_shares([3, 1, 2, 5], 2, float) == [[1, 5], [3, 2]]


def test_queries_of_all_ranks_are_sorted_by_example(tmp_path: Path) -> None:
    """Whatever wrote them: two ranks, a run that was killed in the middle of a line, or one process."""
    rows = [[0.25, 0.75]] * 3
    first, second = (tmp_path / f"key-queries-{rank}-of-2.jsonl" for rank in (0, 1))
    KeptQueries(first).add([2, 0, 2], [("c",), ("a",), ("d",)], rows)
    KeptQueries(second).add([1, 1], [("b",), ("a",)], rows[:2])
    with second.open("a") as file:
        file.write('{"idx": 3, "te')
    again = KeptQueries(second)
    again.add([3, 1], [("e",), ("b",)], rows[:2])
    asked = [(line["idx"], *line["texts"]) for line in read_queries(tmp_path / "key-queries-0-of-1.jsonl")]
    assert asked == [(0, "a"), (1, "b"), (1, "a"), (2, "c"), (2, "d"), (3, "e")]


@pytest.mark.parametrize(
    ("rank", "error", "reported"),
    [
        ("1", OSError("the endpoint is down"), True),
        ("1", RankEndedError("another rank ended"), False),
        ("1", KeyboardInterrupt(), False),
        ("0", KeyboardInterrupt(), True),
    ],
)
def test_an_error_is_reported_if_no_store_says_who_was_first(
    rank: str, error: BaseException, reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store may be gone: an error that one rank alone has must not be lost with it."""
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("RANK", rank)
    assert is_reported(error) == reported


# ---- the start itself ----


@pytest.mark.parametrize(
    ("endings", "starts", "passes"),
    [("ok", 1, True), ("abort ok", 2, True), ("abort abort", 2, False), ("error ok", 1, False)],
)
def test_a_start_is_repeated_once_after_an_abort_of_native_code_alone(
    endings: str, starts: int, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aborted = f"{'a warning ' * 900}Fatal Python error: Aborted, Signal 6 (SIGABRT)"
    printed = {"ok": "", "abort": aborted, "error": "ValueError: no rows"}
    calls: list[str] = []

    def start(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        calls.append(ending := endings.split()[len(calls)])
        assert not list(tmp_path.iterdir()) and "PYTHONFAULTHANDLER" in how["env"]
        (tmp_path / "half").touch()
        return subprocess.CompletedProcess(command, int(ending != "ok"), "", printed[ending])

    monkeypatch.setattr(subprocess, "run", start)
    with contextlib.ExitStack() as stack:
        if "abort" in endings:
            stack.enter_context(pytest.warns(UserWarning, match="train.py was aborted and starts again: Fatal Python"))
        if not passes:
            stack.enter_context(pytest.raises(AssertionError, match="SIGABRT|no rows"))
        on_two_ranks(Path("train.py"), output=tmp_path)
    assert len(calls) == starts
