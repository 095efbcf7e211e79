"""Run the quickstart notebook from its first cell to its last; `--write` keeps what it printed and drew.

    python .ci/run_notebook.py [--write]

A cell that raises ends this with its traceback; so does a notebook that drew no picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


def main() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    if not any("image/png" in output.get("data", {}) for output in outputs):
        sys.exit(f"{NOTEBOOK.name} drew no picture")
    if "--write" in sys.argv:
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":  # warnings name folders of the machine
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
