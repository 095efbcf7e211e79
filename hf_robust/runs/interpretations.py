"""Reads what `hf-robust interpret consistency` measured of a run: ``interpretation.json`` in folders of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hf_robust.runs.files import INTERPRETATION_FILE, MEASURED_FOLDER
from hf_robust.runs.json_files import read_json

CONSISTENCY = "interpret-consistency"
"""Name of the measurement, in the name of its folder below a run (``claim_folder``)."""


def read_interpretations(folder: Path) -> list[dict[str, Any]]:
    """The measurements of a run in their order: that of the folder itself, and those in ``measured/``.

    Raises:
        ValueError: a file is malformed.
    """
    numbered = {
        int(match[1]): path
        for path in (folder / MEASURED_FOLDER).glob(f"{CONSISTENCY}-*")
        if (match := re.fullmatch(rf"{CONSISTENCY}-(\d+)", path.name))
    }
    folders = [folder, *(numbered[number] for number in sorted(numbered))]
    found = []
    for path in (one / INTERPRETATION_FILE for one in folders):
        # A study keeps its measurements of two sets of pairs under this name, without "attributions".
        if path.is_file() and "attributions" in (content := read_json(path)):
            found.append(_validated(content, path))
    return found


def _validated(content: dict[str, Any], path: Path) -> dict[str, Any]:
    attributions = content["attributions"]
    complete = isinstance(attributions, dict) and all(
        isinstance(one, dict) and isinstance(one.get("kendall_tau"), dict) and isinstance(one.get("top_k"), list)
        for one in attributions.values()
    )
    if not complete or not isinstance(content.get("settings"), dict) or not isinstance(content.get("pairs"), list):
        raise ValueError(
            f"{path} has no pairs, settings and numbers of each attribution: measure it again by hf-robust interpret "
            "consistency, or delete it."
        )
    return content
