"""The quickstart notebook as a page: texts, code, and the last printed and drawn outputs."""

from __future__ import annotations

import base64
import json

from docs.generate.text import ROOT

NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


def pages() -> dict[str, str | bytes]:
    """File below ``generated/`` -> text or picture."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        # Links of the notebook start in examples/, those of the page in docs/generated/.
        linked = source.replace("](../docs/", "](../")
        parts.append(linked if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"notebook-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![output of the cell]({name})")
            elif text := "".join(output.get("text") or data.get("text/plain", "")):
                parts.append(f"```text\n{text.rstrip()}\n```")
    note = "This page is [examples/quickstart.ipynb](../../examples/quickstart.ipynb), which you can run yourself."
    return {"notebook.md": "\n\n".join([parts[0], note, *parts[1:]]) + "\n", **pictures}
