"""Help texts as Markdown, moved links, broken links, and the page that defines every metric."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from docs.generate.links import broken_links
from docs.generate.text import default, flags_table, meaning, paragraphs, prose, with_moved_links
from hf_robust.metrics.keys import ANY_ATTACK_KEYS, CERTIFICATE_KEYS, EVALUATION_KEYS, UNION_KEYS, VOTE_KEYS
from hf_robust.metrics.task import possible_metrics


def test_signs_of_markdown_are_escaped_outside_of_backticks_only() -> None:
    assert prose("eval_<attack>_asr of `a_<b>` and [k]") == r"eval\_\<attack\>\_asr of `a_<b>` and \[k\]"


def flag(**options: object) -> argparse.Action:
    return argparse.ArgumentParser().add_argument("--one", **options)  # type: ignore[arg-type]


def test_a_default_is_said_once() -> None:
    told = flag(help="Least cosine of neighbours. Default: 0.7.", default=0.7)
    assert (meaning(told), default(told)) == ("Least cosine of neighbours.", "0.7")
    plain = flag(help="How many.", default=3)
    assert (meaning(plain), default(plain)) == ("How many.", "`3`")
    assert default(flag(required=True, help="It.")) == "needed" and default(flag(help="It.")) == "–"
    assert r"| `--one` \{a, b\} | 50 % of it. | `a` |" in flags_table(
        [flag(help="50 %% of it.", choices=["a", "b"], default="a")]
    )


def test_a_formula_and_a_section_stay_with_their_paragraph() -> None:
    text = "First.\n\n.. math:: x\n\nSecond.\n\nArgs:\n    x: it.\n\n    More.\n\nDiffers from the paper: y."
    assert paragraphs(text) == ["First.\n\n.. math:: x", "Second.\n\nArgs:\n    x: it.\n\n    More.", text[-26:]]


def test_links_are_moved_and_those_to_other_sites_stay(tmp_path: Path) -> None:
    text = "![a](results/x.png) [b](https://x.org/y) [c](#here) [d](README.md#there)"
    found = with_moved_links(text, tmp_path / "benchmarks", tmp_path / "docs" / "generated")
    assert found == (
        "![a](../../benchmarks/results/x.png) [b](https://x.org/y) [c](#here) [d](../../benchmarks/README.md#there)"
    )


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text('<h1 id="top">B</h1><a href="https://x.org">x</a><a href="a.html">a</a>')
    links = '<a href="b.html#top">1</a><a href="b.html#end">2</a><a href="c.html">3</a><img src="d.png"><a href="#me">'
    (tmp_path / "a.html").write_text(links)
    assert broken_links(tmp_path) == [
        "a.html: #me has no such anchor",
        "a.html: b.html#end has no such anchor",
        "a.html: c.html does not exist",
        "a.html: d.png does not exist",
    ]


METRICS = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", [*ANY_ATTACK_KEYS, "texts_cut"])
def test_the_page_of_metrics_defines_every_key_of_an_attack(key: str) -> None:
    assert f"| `eval_<attack>_{key}` |" in METRICS


@pytest.mark.parametrize("key", [*UNION_KEYS, *VOTE_KEYS, *CERTIFICATE_KEYS, *EVALUATION_KEYS, "combined_score"])
def test_the_page_of_metrics_defines_every_other_key(key: str) -> None:
    assert f"`eval_{key}`" in METRICS


def test_the_page_of_metrics_defines_the_metrics_of_every_task() -> None:
    assert [key for key in possible_metrics(None) if f"`eval_{key}`" not in METRICS] == []
