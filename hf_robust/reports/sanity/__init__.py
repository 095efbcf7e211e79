"""The checks of `hf-robust check`: they flag numbers of a run that should not be believed, from its files alone.

They follow the recommendations of Carlini et al. 2019 (arXiv:1902.06705), Athalye et al. 2018 (arXiv:1802.00420) and
Croce and Hein 2020 (arXiv:2003.01690) for evaluations on images, here for attacks on text. One file for each topic.
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
