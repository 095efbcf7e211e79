"""Results of `hf-robust interpret` and `challenge`: names of models, and the files that are written."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add_output_flag(parser: argparse._ActionsContainer, files: str = "table, numbers and picture") -> None:
    """Add an optional ``--output_dir``."""
    parser.add_argument("--output_dir", type=Path, metavar="DIR", help=f"Folder for {files}. Default: print only.")


def write_result(
    folder: Path | None, stem: str, text: str, numbers: dict[str, Any], figures: Mapping[str, Figure] | None = None
) -> str:
    """Write table, numbers and pictures, if ``--output_dir`` is given, and return the text to print."""
    from hf_robust.reports import save_figure
    from hf_robust.runs import claim_folder, write_json, write_text

    if folder is None:
        return text
    folder = claim_folder(f"interpret-{stem}", folder)
    images = ""
    for name, figure in (figures or {}).items():
        save_figure(figure, folder, name)
        images += f"\n![{name}]({name}.png)\n"
    write_text(folder / f"{stem}.md", text + images)
    write_json(folder / f"{stem}.json", numbers)
    return f"{text}\nWritten to {folder}.\n"


def model_names(models: Sequence[str]) -> list[str]:
    """Name each model by the method in its run card, else by its folder; by both if several have one method."""
    from hf_robust.runs import read_card

    folders = [Path(model).resolve().name for model in models]
    cards = [read_card(model) for model in models]
    methods = [str(card.get("method", folder)) for card, folder in zip(cards, folders, strict=True)]
    return [
        f"{method} ({folder})" if methods.count(method) > 1 and method != folder else method
        for method, folder in zip(methods, folders, strict=True)
    ]
