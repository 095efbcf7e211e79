"""Run the quickstart notebook from its first cell to its last; `--write` keeps what it printed and drew.

    python .ci/run_notebook.py [--write]

The Hub that it publishes to is the tests' server on this machine. A cell that raises ends this with its traceback; so
does a notebook that drew no picture or published no model.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "hub"))
from hub_server import HubServer  # noqa: E402

NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
PUBLISHED = "me/hf_robust-quickstart"


def check(notebook: nbformat.NotebookNode, hub: HubServer) -> None:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    if not any("image/png" in output.get("data", {}) for output in outputs):
        sys.exit(f"{NOTEBOOK.name} drew no picture")
    if PUBLISHED not in hub.repos or b"## Robustness" not in hub.files(PUBLISHED).get("README.md", b""):
        sys.exit(f"{NOTEBOOK.name} published no model with a card")
    if hub.unknown:
        sys.exit(f"{NOTEBOOK.name} asked the tests' Hub for what it does not have: {hub.unknown}")


def write(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # warnings name folders of the machine
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, NOTEBOOK)


def main() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with HubServer() as hub, tempfile.TemporaryDirectory() as home:
        os.environ |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_of_the_tests", "HF_HOME": home}
        os.environ |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
        NotebookClient(notebook, timeout=900, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
        check(notebook, hub)
    if "--write" in sys.argv:
        write(notebook)


if __name__ == "__main__":
    main()
