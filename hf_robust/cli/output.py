"""What tasks of `hf-robust` that show models side by side have in common: what these are called, where results go."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add_output_flag(parser: argparse.ArgumentParser, what: str = "table, numbers and picture") -> None:
    """``--output_dir``, which may be left out."""
    parser.add_argument("--output_dir", type=Path, help=f"Folder for {what}. Default: print only.")


def write_result(
    folder: Path | None, stem: str, text: str, numbers: dict[str, Any], figures: Mapping[str, Figure] | None = None
) -> str:
    """Put table, numbers and pictures, by their stems, into ``--output_dir``, if it is given; the text to print."""
    from hf_robust.reports import save_figure
    from hf_robust.runs import claim_folder, write_json, write_text

    if folder is None:
        return text
    folder = claim_folder(f"interpret-{stem}", folder)
    shown = ""
    for name, figure in (figures or {}).items():
        save_figure(figure, folder, name)
        shown += f"\n![{name}]({name}.png)\n"
    write_text(folder / f"{stem}.md", text + shown)
    write_json(folder / f"{stem}.json", numbers)
    return f"{text}\nWritten to {folder}.\n"


def model_names(models: Sequence[str]) -> list[str]:
    """The method of each checkpoint's run card, else its folder; both where several are of one method."""
    from hf_robust.runs import read_card

    folders = [Path(model).resolve().name for model in models]
    cards = [read_card(model) for model in models]
    methods = [str(card.get("method", folder)) for card, folder in zip(cards, folders, strict=True)]
    return [
        f"{method} ({folder})" if methods.count(method) > 1 and method != folder else method
        for method, folder in zip(methods, folders, strict=True)
    ]
