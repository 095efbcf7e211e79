"""Measures the distances of a trained model's views from their text: the numbers behind BAT's Figure 5 (claim C6).

    python -m benchmarks.study.distances RUN_FOLDER

Reads the arguments and the model of the run and writes ``distances.json``: for 500 attacked validation texts the mean
cosine distance between the states of a text and of a fickle and of an obstinate view, and the share of texts whose
obstinate view is further than the fickle one by the margin. ``content`` and ``function`` have the same numbers for the
texts whose obstinate view changes a content or a function word: BAT's training views change both, but the antonym
attack changes no function word, so a model may have learnt to recognise these alone. `hf-robust interpret space` draws
the picture.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from hf_robust.data import TextDataset
from hf_robust.interpret.head import HEAD, chosen_pooling
from hf_robust.interpret.pair_statistics import sentence_states
from hf_robust.interpret.space import view_distances
from hf_robust.lexicons import load_lexicon
from hf_robust.runs import load_run, read_records
from hf_robust.views import DrawnViews, OneAntonym, RandomSynonyms, draw_views
from hf_robust.wiring.checkpoint_attack import load_classifier
from hf_robust.words import NLTK_STOP_WORDS, Text

TEXTS, MARGIN = 500, 1.0
CONTENT, FUNCTION = "content", "function"
LEAST_TEXTS = 2


def distances(folder: Path) -> dict[str, Any]:
    """The content of ``distances.json`` for a run."""
    arguments = json.loads((folder / "_arguments.json").read_text(encoding="utf-8"))
    model, tokenizer = load_classifier(str(folder), device="cpu")
    skipped = {model.config.label2id[name] for name in arguments["skip_labels"]}
    fickle = RandomSynonyms(load_lexicon(arguments["lexicon"], "synonym"))
    obstinate = OneAntonym(load_lexicon(arguments["antonym_lexicon"], "antonym"), frozenset(skipped))
    # The attacked examples: held-out texts, the same for every method.
    run = load_run(folder)
    records, length = read_records(run.records_file(run.published, "antonym")), arguments["max_seq_length"]
    columns = [f"text{number}" for number in range(len(records[0].original))]
    rows = [{**dict(zip(columns, record.original, strict=True)), "label": record.label} for record in records]
    texts = TextDataset(rows, columns, tokenizer, max_length=length)
    groups = draw_views(texts, range(len(rows)), fickle, obstinate, TEXTS)
    pooling = chosen_pooling(model, tokenizer, HEAD, "use a model such as BERT")
    states = [sentence_states(model, tokenizer, group, pooling, length).embeddings for group in groups]
    return {**view_distances(*states, margin=MARGIN), **by_word(groups, states)}


def by_word(groups: DrawnViews, states: Sequence[Tensor]) -> dict[str, Any]:
    """Distances of the texts whose obstinate view changes a content word, and of those where it is a function word.

    Args:
        states: (n, H) each, of the texts, of their fickle views and of their obstinate views.
    """
    kinds = [changed_kind(*pair) for pair in zip(groups.originals, groups.obstinate, strict=True)]
    by_kind: dict[str, Any] = {}
    for kind in (CONTENT, FUNCTION):
        rows = [index for index, other in enumerate(kinds) if other == kind]
        few = len(rows) < LEAST_TEXTS
        by_kind[kind] = {"texts": 0} if few else view_distances(*(state[rows] for state in states), margin=MARGIN)
    return by_kind


def changed_kind(original: Sequence[str], view: Sequence[str]) -> str:
    """Kind of the first changed word: function words are NLTK's stop words, which the antonym attack never changes."""
    before, after = (Text(tuple(columns)).tokens for columns in (original, view))
    changed = next(word for word, other in zip(before, after, strict=False) if word != other)
    return FUNCTION if changed.lower() in NLTK_STOP_WORDS else CONTENT


if __name__ == "__main__":
    run_folder = Path(sys.argv[1])
    (run_folder / "distances.json").write_text(json.dumps(distances(run_folder), indent=2), encoding="utf-8")
