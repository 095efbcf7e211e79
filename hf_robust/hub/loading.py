"""Loading instructions in the model card for adapters and own classes, which ``from_pretrained`` alone cannot load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_robust.models.adapter_files import ADAPTER, CONFIG_FOLDER
from hf_robust.runs import portable_path, read_json

MODEL_TYPE_PREFIX = "hf_robust_"
"""Prefix of the ``model_type`` of hf_robust's own architectures."""

_HEADING = "## Load the model"
_CUSTOM_CLASS = """{heading}

The classes of this model (`{model_type}`) are in the package
[hf_robust](https://huggingface.co/models?other=hf_robust). Importing it registers them with the Auto classes:

```python
import hf_robust.models
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForSequenceClassification.from_pretrained("{name}")
```
"""
_ADAPTER = """{heading}

This is an adapter of `{base}`. It has its own configuration with the labels and the padding token:

```python
{imports}from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
config = AutoConfig.from_pretrained("{name}", subfolder="{folder}")
base = AutoModelForSequenceClassification.from_pretrained(
    "{base}", revision="{revision}", config=config, ignore_mismatched_sizes=True
)
model = PeftModel.from_pretrained(base, "{name}").eval()
```

`AutoModelForSequenceClassification.from_pretrained("{name}")` and `AutoPeftModelForSequenceClassification` alone use
the labels, the number of classes and the padding token of the base model.
"""


def add_loading(output_dir: Path) -> None:
    """Add loading instructions to the ``README.md`` of an adapter or of a model of hf_robust's own classes, once."""
    output_dir = Path(output_dir)
    card = ModelCard.load(output_dir / "README.md")
    name = card.data.model_name or output_dir.resolve().name
    text = _how_to_load(output_dir, name)
    if not text or _HEADING in card.text:
        return
    card.text = f"{card.text.rstrip()}\n\n{text}"
    card.save(output_dir / "README.md")


def _how_to_load(output_dir: Path, name: str) -> str:
    adapter: dict[str, Any] = read_json(output_dir / ADAPTER)
    if adapter.get("base_model_name_or_path") and (output_dir / CONFIG_FOLDER / "config.json").is_file():
        base, revision = portable_path(adapter["base_model_name_or_path"]), adapter.get("revision") or "main"
        imports = (
            "import hf_robust.models\n" if _type(output_dir / CONFIG_FOLDER).startswith(MODEL_TYPE_PREFIX) else ""
        )
        return _ADAPTER.format(
            heading=_HEADING, imports=imports, name=name, base=base, revision=revision, folder=CONFIG_FOLDER
        )
    model_type = _type(output_dir)
    return (
        _CUSTOM_CLASS.format(heading=_HEADING, model_type=model_type, name=name)
        if model_type.startswith(MODEL_TYPE_PREFIX)
        else ""
    )


def _type(folder: Path) -> str:
    return str(read_json(folder / "config.json").get("model_type", ""))
