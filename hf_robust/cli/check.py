"""`hf-robust check`: flag numbers of a run that should not be believed, from its files alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_robust.cli.command import CommandResult


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="Output folder of a training run or of `hf-robust attack`."
    )
    parser.add_argument(
        "--with",
        dest="others",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="More output folders of `hf-robust attack` on the same weights. Folders in RUN/checks are always read. "
        "Default: none.",
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="RUN", help="Run that RUN claims to improve on. Default: none."
    )
    parser.add_argument(
        "--force", action="store_true", help="Compare with --baseline even if its data or attacks differ."
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="Also write the findings to this JSON file. Default: print only."
    )


def run(options: argparse.Namespace) -> CommandResult:
    """Return the findings as text, with exit code 1 if one is flagged.

    Raises:
        ValueError: a folder cannot be read or has other weights, or the baseline is not comparable.
    """
    from hf_robust.reports.sanity import FLAGGED, check_run, findings_json, findings_text, gather_evidence
    from hf_robust.runs import write_json

    evidence = gather_evidence(options.run, options.others, options.baseline, options.force)
    findings = check_run(evidence)
    if options.json is not None:
        write_json(options.json, findings_json(evidence, findings))
    return CommandResult(
        findings_text(evidence, findings), int(any(finding.status == FLAGGED for finding in findings))
    )
