"""Say in the model card how to load what plain ``from_pretrained`` does not: our own classes, and adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_robust.models.adapter_files import ADAPTER, CONFIG_FOLDER
from hf_robust.runs import portable_path, read_json

OWN_TYPES = "hf_robust_"
"""How the ``model_type`` of our own architectures begins."""

_HEADING = "## Load it"
_OWN = """{heading}

The classes of this model (`{model_type}`) are in the package
[hf_robust](https://huggingface.co/models?other=hf_robust); once imported they are known to the Auto classes:

```python
import hf_robust.models
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForSequenceClassification.from_pretrained("{name}")
```
"""
_ADAPTER = """{heading}

This is an adapter of `{base}`. The labels and the padding token are in a configuration of its own:

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

`AutoModelForSequenceClassification.from_pretrained("{name}")` alone takes these from the base model.
"""


def add_loading(output_dir: Path) -> None:
    """Add how to load an adapter, or a model of our own classes, to the ``README.md`` beside it; once only."""
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
        imports = "import hf_robust.models\n" if _type(output_dir / CONFIG_FOLDER).startswith(OWN_TYPES) else ""
        return _ADAPTER.format(
            heading=_HEADING, imports=imports, name=name, base=base, revision=revision, folder=CONFIG_FOLDER
        )
    model_type = _type(output_dir)
    return _OWN.format(heading=_HEADING, model_type=model_type, name=name) if model_type.startswith(OWN_TYPES) else ""


def _type(folder: Path) -> str:
    return str(read_json(folder / "config.json").get("model_type", ""))
