"""The built-in demo: a corpus of remark and reply that shows BAT's trade-off on a small model trained from scratch.

Each example is a remark and a reply; the label is whether they ``agree`` or ``disagree``:

    The soup was quite tasty.         However, my sister found it bland.     disagree
    We thought the lobby was ugly.    My colleague called it hideous.        agree

Each sentence has one opinion word, and the label says whether the two words are on the same side of their scale. So a
synonym never changes the label, and an antonym always does. Three properties, which are common in real data, make
robustness depend on the training method:

- Opinion words follow Zipf's law, and most agreeing replies repeat the remark's word. A model trained on the clean
  text learns that frequent words, and equal words, agree. A rare synonym breaks both: the prediction flips.
- Openings such as "Indeed" and "However" are a shortcut that is correct in OPENING_IS_CORRECT of the replies with one.
  If a model has not learnt how two words relate, the opening decides, and an antonym changes nothing.
- Comparing two words is harder to learn than reading one opening. ``safer`` draws each opinion word uniformly from
  its synonyms, so that equal words seldom meet and every pair of words is rare: at the same number of steps its model
  still relies on the opening, with lower accuracy. Few synonyms change its predictions, and hardly any antonym does.
  BAT keeps the clean text, pulls synonyms together and pushes antonyms apart. Only the opinion words can do that,
  because the views share the opening.

With more steps, or without openings, ``safer`` would learn to compare as well. The corpus is made for a picture in a
minute and not for a comparison of methods; ``benchmarks/`` uses real data.

Texts are drawn from fixed lists by a seed; nothing is downloaded, and no text occurs twice or in two splits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache

from hf_robust.lexicons import opposite_groups

SPLITS = {"train": 2400, "validation": 300, "test": 300}
LABELS = ("agree", "disagree")

OPENING_SHARE = 0.5  # of the replies have an opening
OPENING_IS_CORRECT = 0.9
REPEAT_SHARE = 0.7  # of the agreeing replies repeat the remark's opinion word
ZIPF_EXPONENT = 2.0

# Subjects for each scale of the built-in lexicon; a scale is named by its first word.
SUBJECTS = {
    "tasty": ("soup", "bread", "cake"),
    "friendly": ("waiter", "guide", "clerk"),
    "clean": ("room", "terrace", "kitchen"),
    "quick": ("service", "delivery", "elevator"),
    "quiet": ("hotel", "garden", "street"),
    "beautiful": ("building", "lobby", "view"),
    "exciting": ("film", "novel", "concert"),
    "clever": ("plot", "joke", "script"),
}
REMARKS = ("The {} was {}.", "We thought the {} was {}.", "In the end the {} was {}.")
REPLIES = ("my {} found it {}.", "my {} called it {}.", "it was {1}, said my {0}.")
PEOPLE = ("sister", "colleague", "friend", "neighbor", "boss")
DEGREES = ("", "", "really ", "quite ")
OPENINGS = {"agree": ("Indeed", "Likewise", "Similarly"), "disagree": ("However", "Instead", "Actually")}

PUNCTUATION = (".", ",", "'", "!", "?")


def demo_rows(split: str, seed: int = 0) -> list[dict[str, str]]:
    """Return the rows of one split: ``sentence1`` is the remark, ``sentence2`` the reply, ``label`` a name.

    Raises:
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"the demo corpus has no split {split!r}: choose one of {', '.join(SPLITS)}.")
    return [dict(row) for row in _all_splits(seed)[split]]


@lru_cache(maxsize=4)
def _all_splits(seed: int) -> dict[str, list[dict[str, str]]]:
    rows = _distinct_rows(random.Random(seed))
    return {split: [next(rows) for _ in range(size)] for split, size in SPLITS.items()}


def _distinct_rows(rng: random.Random) -> Iterator[dict[str, str]]:
    scales = {pair[0][0]: pair for pair in opposite_groups()}
    drawn = set()
    while True:
        row = _draw_row(rng, scales)
        texts = (row["sentence1"], row["sentence2"])
        if texts not in drawn:
            drawn.add(texts)
            yield row


def _draw_row(rng: random.Random, scales: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> dict[str, str]:
    label = rng.choice(LABELS)
    scale = rng.choice(tuple(SUBJECTS))
    side = rng.randrange(2)
    remark_word = draw_by_zipf(rng, scales[scale][side])
    if label == "disagree":
        reply_word = draw_by_zipf(rng, scales[scale][1 - side])
    else:
        reply_word = remark_word if rng.random() < REPEAT_SHARE else draw_by_zipf(rng, scales[scale][side])
    remark = rng.choice(REMARKS).format(rng.choice(SUBJECTS[scale]), rng.choice(DEGREES) + remark_word)
    reply = rng.choice(REPLIES).format(rng.choice(PEOPLE), rng.choice(DEGREES) + reply_word)
    if rng.random() < OPENING_SHARE:
        opening_label = label if rng.random() < OPENING_IS_CORRECT else LABELS[1 - LABELS.index(label)]
        reply = f"{rng.choice(OPENINGS[opening_label])}, {reply}"
    return {"sentence1": remark, "sentence2": reply[0].upper() + reply[1:], "label": label}


def draw_by_zipf(rng: random.Random, words: Sequence[str]) -> str:
    """Draw one of ``words``, the i-th with a probability proportional to ``i ** -ZIPF_EXPONENT``."""
    return rng.choices(words, [(rank + 1) ** -ZIPF_EXPONENT for rank in range(len(words))])[0]
