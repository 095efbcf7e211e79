"""How much of the training texts a method's lexicons cover: 0 is refused, little is warned about."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hf_robust.lexicons import lexicon_coverage
from hf_robust.metrics import Coverage, sampled_rows
from hf_robust.training.text_views import labels_left_out
from hf_robust.views import AttackedAntonym
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

FLAGS = {"synonyms": "--lexicon", "antonyms": "--antonym_lexicon"}


def check_coverage(trainer: RobustTrainer) -> dict[str, Coverage]:
    """The coverage of each lexicon that the method needs, by role, over a sample of the training texts; logged.

    Of methods that mix tokens with their neighbours (``trainer.neighbours``) the words with a neighbour count.

    Raises:
        ValueError: a lexicon covers no word of them.
    """
    table = getattr(trainer, "neighbours", None)
    found: dict[str, Coverage] = {}
    for role in (role for role in FLAGS if role in trainer.needs):
        covered = _of_texts(trainer, role) if table is None else table.coverage(trainer.train_dataset)
        if covered is not None and covered.texts:
            found[role] = covered
            _say(trainer, role, covered)
    return found


def _say(trainer: RobustTrainer, role: str, coverage: Coverage) -> None:
    source = getattr(trainer, role).source
    if not coverage.covered_words:
        cut = len(getattr(_texts(trainer), "cut_rows", ()))
        read = f" ({cut:,} texts are cut, see --max_seq_length)" * bool(cut)
        raise ValueError(
            f"{source} has {role} for no open word of {coverage.texts:,} training texts{read}, so {trainer.name} "
            f"would train as if it had none; give a table of their language and words ({FLAGS[role]}), or "
            "--robust_method normal."
        )
    if not trainer.is_world_process_zero():
        return
    said = f"{trainer.name}: {source} has {role} for {coverage.in_words()} of the training set"
    if coverage.is_little:
        logger.warning("%s, which is little; a larger table (%s) changes more.", said, FLAGS[role])
    else:
        logger.info("%s.", said)


def _of_texts(trainer: RobustTrainer, role: str) -> Coverage | None:
    """By the words that the model reads of the texts and views may change; for antonyms without rows of a skip label.

    None where the data set holds no texts.
    """
    dataset = _texts(trainer)
    if not hasattr(dataset, "texts"):
        return None
    rows = sampled_rows(len(dataset))
    if role == "antonyms":
        left_out = labels_left_out(trainer)
        rows = [row for row in rows if dataset.label(row) not in left_out]
    texts = [Text(dataset.texts(row)) for row in rows]
    read = dict(zip(texts, map(dataset.read_words, rows), strict=True))
    sources = getattr(trainer.train_dataset, "sources", {}).values()
    matched = [source for source in sources if role == "antonyms" and isinstance(source, AttackedAntonym)]

    def open_words(text: Text) -> set[int]:
        opened = matched[0].open_words(text) if matched else set(range(len(text.words)))
        seen = read[text]
        return opened if seen is None else opened & seen

    return lexicon_coverage(getattr(trainer, role), texts, trainer.protection, open_words)


def _texts(trainer: RobustTrainer) -> Any:
    """The training set without the views that wrap it."""
    return getattr(trainer.train_dataset, "dataset", trainer.train_dataset)
