"""`hf-robust check`: which numbers of a run should not be believed, from its files alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_robust.cli.command import Answer


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="Output folder of a training or of `hf-robust attack`.")
    parser.add_argument(
        "--with",
        dest="others",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="Further folders of `hf-robust attack` on the same weights; those under RUN/checks are read anyway.",
    )
    parser.add_argument("--baseline", type=Path, metavar="RUN", help="The run that RUN is held to be better than.")
    parser.add_argument("--force", action="store_true", help="Take a baseline of other data or attacks all the same.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write the findings for programs too.")


def run(options: argparse.Namespace) -> Answer:
    """The findings as text; code 1 where one is flagged.

    Raises:
        ValueError: a folder cannot be read, is of other weights, or the baseline does not compare.
    """
    from hf_robust.reports.sanity import FLAGGED, check_run, findings_json, findings_text, gather_evidence
    from hf_robust.runs import write_json

    evidence = gather_evidence(options.run, options.others, options.baseline, options.force)
    findings = check_run(evidence)
    if options.json is not None:
        write_json(options.json, findings_json(evidence, findings))
    return Answer(findings_text(evidence, findings), int(any(one.status == FLAGGED for one in findings)))
