"""Coverage of the training texts by a method's lexicons: no coverage is refused, low coverage gives a warning."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hf_robust.data.stream import TextStream
from hf_robust.lexicons import lexicon_coverage, unknown_words
from hf_robust.lexicons.coverage import MOST_TEXTS
from hf_robust.metrics import Coverage, sampled_rows
from hf_robust.training.text_views import skipped_labels, word_rule_of
from hf_robust.views import AttackedAntonym
from hf_robust.words import UNICODE_WORDS, Text

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

LEXICON_FLAGS = {"synonyms": "--lexicon", "antonyms": "--antonym_lexicon"}


def check_coverage(trainer: RobustTrainer) -> dict[str, Coverage]:
    """Log and return the coverage of each lexicon that the method needs, on a sample of the training texts, by role.

    For methods that mix tokens with their neighbours (``trainer.neighbours``) it counts the words with a neighbour.

    Raises:
        ValueError: a lexicon covers no word of the sample.
    """
    table = getattr(trainer, "neighbours", None)
    coverages: dict[str, Coverage] = {}
    for role in (role for role in LEXICON_FLAGS if role in trainer.needs):
        coverage = _text_coverage(trainer, role) if table is None else table.coverage(_plain_dataset(trainer))
        if coverage is not None and coverage.texts:
            coverages[role] = coverage
            _report(trainer, role, coverage)
    return coverages


def _report(trainer: RobustTrainer, role: str, coverage: Coverage) -> None:
    source = getattr(trainer, role).source
    if not coverage.covered_words:
        cut = len(getattr(_plain_dataset(trainer), "cut_rows", ()))
        truncation = f" ({cut:,} texts are cut, see --max_seq_length)" * bool(cut)
        raise ValueError(
            f"{source} has no {role} for the open words of {coverage.texts:,} training texts{truncation}, so that "
            f"{trainer.name} would have no effect; give a table of the language and words of the texts "
            f"({LEXICON_FLAGS[role]}), or --robust_method normal."
        )
    if not trainer.is_world_process_zero():
        return
    if word_rule_of(trainer) is UNICODE_WORDS and hasattr(dataset := _plain_dataset(trainer), "texts"):
        texts = [dataset.texts(row) for row in sampled_rows(len(dataset), MOST_TEXTS)]
        if sentence := unknown_words(getattr(trainer, role), texts):
            logger.warning("%s: %s.", trainer.name, sentence)
    message = f"{trainer.name}: {source} has {role} for {coverage.in_words()} of the training set"
    if coverage.is_little:
        logger.warning("%s, which is little; use a larger table (%s).", message, LEXICON_FLAGS[role])
    else:
        logger.info("%s.", message)


def _text_coverage(trainer: RobustTrainer, role: str) -> Coverage | None:
    """Coverage of the words that the model reads and views may change; rows with skipped labels have no antonyms.

    None if the data set has no texts.
    """
    dataset = _plain_dataset(trainer)
    if not hasattr(dataset, "texts"):
        return None
    rows = sampled_rows(len(dataset))
    if role == "antonyms":
        skipped = skipped_labels(trainer)
        rows = [row for row in rows if dataset.label(row) not in skipped]
    texts = [dataset.text(row) for row in rows]
    read_words = dict(zip(texts, map(dataset.read_words, rows), strict=True))
    sources = getattr(trainer.train_dataset, "sources", {}).values()
    attacked = [source for source in sources if role == "antonyms" and isinstance(source, AttackedAntonym)]

    def open_words(text: Text) -> set[int]:
        changeable = attacked[0].open_words(text) if attacked else set(range(len(text.words)))
        read = read_words[text]
        return changeable if read is None else changeable & read

    return lexicon_coverage(getattr(trainer, role), texts, trainer.protection, open_words)


def _plain_dataset(trainer: RobustTrainer) -> Any:
    """The training set without the views that wrap it; of a stream, its first rows."""
    dataset = trainer.train_dataset
    return dataset.head if isinstance(dataset, TextStream) else getattr(dataset, "dataset", dataset)
