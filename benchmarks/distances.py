"""How far a trained model's views lie from their text: the numbers behind BAT's Figure 5 (claim C6).

    python benchmarks/distances.py RUN_FOLDER

Reads the run's own arguments and model; writes ``distances.json`` (mean cosine distance of the [CLS] embedding from
500 validation texts to a fickle and to an obstinate view of each, and the share of texts whose obstinate view is
further away than the fickle one by the margin).
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_robust.lexicons import load_lexicon
from hf_robust.losses import cosine_distance, sentence_embedding
from hf_robust.metrics import read_records
from hf_robust.views import OneAntonym, RandomSynonyms
from hf_robust.words import Text

TEXTS, MARGIN, SEED = 500, 1.0, 0


def embed(model: Any, tokenizer: Any, texts: list[tuple[str, ...]], max_length: int) -> torch.Tensor:
    parts = []
    for start in range(0, len(texts), 64):
        columns = [list(column) for column in zip(*texts[start : start + 64], strict=True)]
        batch = tokenizer(*columns, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**batch, output_hidden_states=True).hidden_states[-1]
        parts.append(sentence_embedding(hidden, batch["attention_mask"], "cls"))
    return torch.cat(parts)


def distances(folder: Path) -> dict[str, float]:
    arguments = json.loads((folder / "_arguments.json").read_text(encoding="utf-8"))
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    skipped = {model.config.label2id[name] for name in arguments["skip_labels"]}
    fickle = RandomSynonyms(load_lexicon(arguments["lexicon"], "synonym"))
    obstinate = OneAntonym(load_lexicon(arguments["antonym_lexicon"], "antonym"), frozenset(skipped))
    # Every attacked example of the last epoch, so the texts are held out and the same for every method.
    last = max((folder / "attack_results").iterdir(), key=lambda path: float(path.name.removeprefix("epoch-")))
    rng, originals, near, far = random.Random(SEED), [], [], []
    for record in read_records(last / "antonym.jsonl"):
        text = Text(tuple(record.original))
        views = fickle(text, record.label, rng), obstinate(text, record.label, rng)
        if all(view.ok for view in views) and len(originals) < TEXTS:
            originals.append(text.columns)
            near.append(views[0].text.columns)
            far.append(views[1].text.columns)
    anchor, *others = (embed(model, tokenizer, texts, arguments["max_seq_length"]) for texts in (originals, near, far))
    to_fickle, to_obstinate = (cosine_distance(anchor, other) for other in others)
    # Of unrelated texts: were all antonym views near each other, the model would see that a word was swapped.
    between_originals, between_obstinate = (cosine_distance(x, x.roll(1, dims=0)) for x in (anchor, others[1]))
    return {
        "texts": len(originals),
        "fickle": to_fickle.mean().item(),
        "obstinate": to_obstinate.mean().item(),
        "between_originals": between_originals.mean().item(),
        "between_obstinate": between_obstinate.mean().item(),
        "obstinate_further": (to_obstinate > to_fickle).float().mean().item(),
        "obstinate_further_by_margin": (to_obstinate > to_fickle + MARGIN).float().mean().item(),
    }


if __name__ == "__main__":
    run_folder = Path(sys.argv[1])
    (run_folder / "distances.json").write_text(json.dumps(distances(run_folder), indent=2), encoding="utf-8")
