"""Which numbers of a run should not be believed, from its files alone.

What Carlini et al. 2019 (arXiv:1902.06705), Athalye et al. 2018 (arXiv:1802.00420) and Croce and Hein 2020
(arXiv:2003.01690) ask of evaluations on images, for attacks on text: one file for each question.
"""

from hf_robust.reports.sanity.checks import CHECKS, check_run
from hf_robust.reports.sanity.evidence import Evidence, gather_evidence
from hf_robust.reports.sanity.finding import FLAGGED, NOT_CHECKED, OK, Finding, findings_json, findings_text

__all__ = [
    "CHECKS",
    "FLAGGED",
    "NOT_CHECKED",
    "OK",
    "Evidence",
    "Finding",
    "check_run",
    "findings_json",
    "findings_text",
    "gather_evidence",
]
