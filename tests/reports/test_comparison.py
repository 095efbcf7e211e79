"""Pictures of several runs: comparison, Pareto fronts of accuracy and robustness, and overlaid curves."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
from run_folders import attack_line, make_run

from hf_robust.metrics import wilson_interval
from hf_robust.reports import IncomparableRunsError, comparison_figure, draw_comparison, group_by_seed
from hf_robust.reports.compare import differences
from hf_robust.reports.curves import plain
from hf_robust.reports.fronts import front_attacks, robustness_fronts
from hf_robust.reports.overlays import has_curves, mean_curve, overlaid_curves
from hf_robust.reports.points import rate_of
from hf_robust.runs import load_run


def lines(axes: object) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]  # type: ignore[attr-defined]


def test_points_bars_and_the_front(tmp_path: Path) -> None:
    """The first run dominates the second; the others are on the front."""
    rates = [("normal", 0.9, 20), ("safer", 0.8, 10), ("pgd", 0.85, 60)]
    runs = [load_run(make_run(tmp_path / name, [(5, ok)], method=name, accuracy=acc)) for name, acc, ok in rates]
    (axes,) = robustness_fronts(runs).axes
    *points, front, rings = lines(axes)
    assert points == [([pytest.approx(acc)], [pytest.approx(ok / 100)]) for _, acc, ok in rates]
    assert front == rings == (pytest.approx([0.85, 0.9]), pytest.approx([0.6, 0.2]))
    vertical, horizontal = axes.collections[:2]
    assert vertical.get_segments()[0][:, 1] == pytest.approx(wilson_interval(20, 100))
    assert horizontal.get_segments()[0][:, 0] == pytest.approx(wilson_interval(180, 200))


def test_seeds_are_one_point_with_their_deviation(tmp_path: Path) -> None:
    runs = [load_run(make_run(tmp_path / str(n), [(5, ok)], seed=n)) for n, ok in enumerate((40, 50, 60))]
    (axes,) = robustness_fronts(runs).axes
    assert axes.collections[0].get_segments()[0][:, 1] == pytest.approx([0.4, 0.6])


def test_attacks_without_robust_accuracy_have_no_panel(tmp_path: Path) -> None:
    runs = [load_run(make_run(tmp_path / "a", [(1, 1), (1, 1)], [(1, 1), (1, 1)]))]
    assert front_attacks(runs) == ["synonym"]
    assert [axes.get_title() for axes in overlaid_curves(runs).axes] == [
        "clean accuracy ↑", "synonym ASR ↓", "antonym ASR ↓",
    ]  # fmt: skip


def test_curves_of_each_method_lie_in_each_panel(tmp_path: Path) -> None:
    seeds = [[(1, 3), (2, 2), (4, 0)], [(3, 1), (2, 2)]]  # the second seed stopped early
    runs = [load_run(make_run(tmp_path / str(n), counts, seed=n)) for n, counts in enumerate(seeds)]
    single = load_run(make_run(tmp_path / "single", [(3, 1)], method="safer"))
    accuracy, synonym = overlaid_curves([*runs, single]).axes
    thin = [([1.0, 2.0, 3.0], [0.25, 0.5, 1.0]), ([1.0, 2.0], [0.75, 0.5])]
    assert lines(synonym) == [*thin, ([1.0, 2.0], [0.5, 0.5]), ([1.0], [0.75])]
    assert lines(accuracy)[2:] == [([1.0, 2.0], pytest.approx([0.8, 0.81])), ([1.0], [0.8])]
    widths = [line.get_linewidth() for line in synonym.lines]
    assert widths[0] == widths[1] < widths[2] == widths[3]
    colours = [line.get_color() for line in synonym.lines]
    assert colours[0] == colours[1] == colours[2] != colours[3]
    assert has_curves([*runs, single]) and not has_curves([single])


def test_the_band_over_seeds_is_one_sample_standard_deviation(tmp_path: Path) -> None:
    seeds = [[(1, 3), (2, 2)], [(2, 2), (2, 2)], [(3, 1), (4, 0)]]
    runs = [load_run(make_run(tmp_path / str(n), counts, seed=n)) for n, counts in enumerate(seeds)]
    _, synonym = overlaid_curves(runs).axes
    deviations = [statistics.stdev([0.25, 0.5, 0.75]), statistics.stdev([0.5, 0.5, 1.0])]
    means = [0.5, 2 / 3]
    (band,) = synonym.collections
    ends = {(x, round(y, 9)) for x, y in band.get_paths()[0].vertices}
    for epoch, mean, deviation in zip((1.0, 2.0), means, deviations, strict=True):
        assert {(epoch, round(mean - deviation, 9)), (epoch, round(mean + deviation, 9))} <= ends


def test_an_epoch_that_one_seed_lacks_has_no_mean(tmp_path: Path) -> None:
    runs = [load_run(make_run(tmp_path / str(n), counts, seed=n)) for n, counts in enumerate([[(0, 0), (1, 3)]] * 2)]
    _, synonym = overlaid_curves(runs).axes
    assert lines(synonym)[-1] == ([2.0], [0.25])  # nothing was attacked in the first epoch
    alone = load_run(make_run(tmp_path / "alone", [(2, 2), (1, 3)]))
    assert mean_curve([alone], lambda run, line: rate_of(line["attacks"]["synonym"], "asr"))[2.0] == (
        0.25, *wilson_interval(1, 4),
    )  # fmt: skip


def test_names_are_shown_as_they_are() -> None:
    assert plain("_a") == " _a" and plain("$x$") == r"\$x\$" and len(plain("n" * 90)) == 48


def test_points_and_bars(tmp_path: Path) -> None:
    seeds = [make_run(tmp_path / f"s{n}", [pair], seed=n) for n, pair in enumerate([(40, 40), (44, 36), (36, 44)])]
    single = make_run(tmp_path / "single", [(20, 60)], [(8, 72)], method="safer")
    figure = comparison_figure([load_run(run) for run in [*seeds, single]])
    (axes,) = figure.axes
    several, one = axes.containers
    assert list(several.lines[0].get_ydata()) == pytest.approx([0.8, 0.5])
    (bars,) = several.lines[2]
    assert bars.get_segments()[1][:, 1] == pytest.approx([0.45, 0.55])  # 50, 55 and 45 %
    assert list(one.lines[0].get_ydata()) == pytest.approx([0.8, 0.25, 0.1])
    rates = attack_line(20, 60, 100)
    assert one.lines[2][0].get_segments()[1][:, 1] == pytest.approx([rates["asr_low"], rates["asr_high"]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["normal, 3 seeds", "safer"]
    assert [label.get_text() for label in axes.get_xticklabels()][1:] == ["synonym\nASR ↓", "antonym\nASR ↓"]


def test_runs_that_do_not_compare_are_refused(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", [(1, 3)]), make_run(tmp_path / "b", [(1, 3)], data={"fingerprint": "g"})]
    with pytest.raises(IncomparableRunsError):
        draw_comparison(runs, tmp_path / "out")
    assert [path.name for path in draw_comparison(runs, tmp_path / "out", force=True)] == [
        "comparison.png",
        "comparison.svg",
    ]


def test_attacks_on_a_vote_and_on_the_plain_network_do_not_compare(tmp_path: Path) -> None:
    def vote(votes: int, fingerprint: str = "aa", source: str = "here") -> dict[str, Any]:
        return {"votes": votes, "lexicon": {"name": "table", "fingerprint": fingerprint, "source": source}}

    cards = {"plain": {}, "eight": {"vote": vote(8)}, "nine": {"vote": vote(9)}, "other": {"vote": vote(8, "bb")}}
    cards |= {"moved": {"vote": vote(8, source="there")}, "unattacked": {"attacks": {}}}
    runs = {name: load_run(make_run(tmp_path / name, [(1, 3)], **card)) for name, card in cards.items()}
    for pair, reason in {
        ("plain", "eight"): "one run attacked the plain network, the other a vote of 8 (plain, eight)",
        ("eight", "nine"): "one run attacked a vote of 8, the other a vote of 9 (eight, nine)",
        ("eight", "other"): "both runs attacked a vote of 8, but with different lexicons or seeds (eight, other)",
    }.items():
        assert differences([runs[name] for name in pair]) == [reason]
    for same in (["eight", "moved"], ["eight", "unattacked"], ["plain", "plain"]):
        assert differences([runs[name] for name in same]) == []


def test_groups_of_one_method_have_different_names(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, [(1, 3)], config={"alpha": name}) for name in ("low", "high")]
    figure = comparison_figure([load_run(run) for run in runs])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["normal (low)", "normal (high)"]


def test_certificates_against_other_tables_do_not_compare_and_are_no_seeds_of_one_run(tmp_path: Path) -> None:
    tables = {name: {"lexicon": {"fingerprint": name, "source": name}, "votes": 50, "seed": 0} for name in ("a", "b")}
    for seed, (name, given) in enumerate([("one", "a"), ("same", "a"), ("other", "b")]):
        card = {**tables[given], "lexicon": {**tables[given]["lexicon"], "source": name}}
        make_run(tmp_path / name, [(40, 40)], seed=seed, certify=card)
    make_run(tmp_path / "plain", [(40, 40)])
    make_run(tmp_path / "voted", [(40, 40)], seed=1, vote={"votes": 5})
    one, same, other, plain, voted = (load_run(tmp_path / name) for name in ("one", "same", "other", "plain", "voted"))
    assert differences([one, same]) == [] and differences([one, plain]) == []
    assert differences([one, other]) == [
        'certificates differ in lexicon, {"fingerprint": "a"} and {"fingerprint": "b"} (one, other)'
    ]
    assert [len(group) for group in group_by_seed([one, same, other])] == [2, 1]
    assert [len(group) for group in group_by_seed([plain, voted])] == [1, 1]


def test_what_a_seed_found_makes_no_other_run_of_it(tmp_path: Path) -> None:
    for seed, level in [(1, 0.31), (2, 0.34)]:
        make_run(tmp_path / f"auto{seed}", [(40, 40)], seed=seed, config={"flood_level": level}, found=["flood_level"])
        make_run(tmp_path / f"given{seed}", [(40, 40)], seed=seed, config={"flood_level": level})
    runs = {name: load_run(tmp_path / name) for name in ("auto1", "auto2", "given1", "given2")}
    assert len(group_by_seed([runs["auto1"], runs["auto2"]])) == 1
    assert len(group_by_seed([runs["given1"], runs["given2"]])) == 2


@pytest.mark.parametrize(
    ("victims", "groups"),
    [(("out/normal-seed1", "out/normal-seed2"), 1), (("out/normal-seed1", "out/other-seed2"), 2), (("a1", "a2"), 2)],
)
def test_a_victim_named_after_the_seed_differs_with_it(victims: tuple[str, str], groups: int, tmp_path: Path) -> None:
    for seed, victim in enumerate(victims, start=1):
        make_run(tmp_path / f"run{seed}", [(40, 40)], seed=seed, config={"view_victim": victim})
    assert len(group_by_seed([load_run(tmp_path / f"run{seed}") for seed in (1, 2)])) == groups
