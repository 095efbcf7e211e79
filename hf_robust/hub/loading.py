"""Say in the model card what it takes to load a model whose classes this package has."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import ModelCard

from hf_robust.runs import read_json

OWN_TYPES = "hf_robust_"
"""How the ``model_type`` of our own architectures begins."""

_HEADING = "## Load it"
_TEXT = """{heading}

The classes of this model (`{model_type}`) are in the package
[hf_robust](https://huggingface.co/models?other=hf_robust); once imported they are known to the Auto classes:

```python
import hf_robust.models
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForSequenceClassification.from_pretrained("{name}")
```
"""


def add_loading(output_dir: Path) -> None:
    """Add how to load the model to the ``README.md`` beside it, if its classes are this package's; once only."""
    output_dir = Path(output_dir)
    model_type = str(read_json(output_dir / "config.json").get("model_type", ""))
    card = ModelCard.load(output_dir / "README.md")
    if not model_type.startswith(OWN_TYPES) or _HEADING in card.text:
        return
    name = card.data.model_name or output_dir.resolve().name
    text = _TEXT.format(heading=_HEADING, model_type=model_type, name=name)
    card.text = f"{card.text.rstrip()}\n\n{text}"
    card.save(output_dir / "README.md")
