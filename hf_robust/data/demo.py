"""The built-in demo: a corpus of remark and reply that shows BAT's trade-off on a small model trained from scratch.

Somebody remarks on something, somebody else replies; the label is whether they ``agree`` or ``disagree``:

    The soup was quite tasty.         However, my sister found it bland.     disagree
    We thought the lobby was ugly.    My colleague called it hideous.        agree

One opinion word stands in each sentence and the label is whether the two lie on the same side of their scale, so
by the corpus's own rule a synonym never changes the label and an antonym always does. Three properties, all of them
common in real data, make robustness a matter of the training method:

- Opinion words follow Zipf's law, and most agreeing replies repeat the remark's word. A model trained on the text as
  it stands learns that frequent words, and equal words, agree. A rare synonym breaks both: the prediction flips.
- Openings such as "Indeed" and "However" are a shortcut that is right in OPENING_IS_RIGHT of the replies with one.
  Wherever a model has not learned how two words relate, the opening decides, whatever an antonym says.
- Comparing two words is harder to learn than reading one opening. ``safer`` draws each opinion word uniformly from
  its synonyms, so equal words seldom meet and every pair of words is rare: at the same number of steps the model
  stays with the opening, at the price of accuracy. Few synonyms disturb it, and hardly any antonym does. BAT keeps
  the clean text, pulls synonyms together and pushes antonyms apart, which only the opinion words can satisfy: its
  views share the opening.

What it does not show: with more steps, or no openings, ``safer`` would learn to compare as well. The corpus is made
for a picture in a minute, not for a comparison of methods; ``benchmarks/`` has real data.

Texts are drawn from fixed lists by a seed; nothing is downloaded, and no text occurs twice or in two splits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache

from hf_robust.lexicons import opposite_groups

SPLITS = {"train": 2400, "validation": 300, "test": 300}
LABELS = ("agree", "disagree")

OPENING_SHARE = 0.5  # replies that have an opening
OPENING_IS_RIGHT = 0.9
REPEAT_SHARE = 0.7  # agreeing replies that repeat the remark's opinion word
ZIPF_EXPONENT = 2.0

# What each scale of the built-in lexicon, named by its first word, may be said of.
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
    """The rows of one split: ``sentence1`` the remark, ``sentence2`` the reply, ``label`` by name.

    Raises:
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"The demo corpus has no split {split!r}; it has {', '.join(SPLITS)}.")
    return [dict(row) for row in _all_splits(seed)[split]]


@lru_cache(maxsize=4)
def _all_splits(seed: int) -> dict[str, list[dict[str, str]]]:
    rows = _distinct_rows(random.Random(seed))
    return {split: [next(rows) for _ in range(size)] for split, size in SPLITS.items()}


def _distinct_rows(rng: random.Random) -> Iterator[dict[str, str]]:
    scales = {pair[0][0]: pair for pair in opposite_groups()}
    seen = set()
    while True:
        row = _draw_row(rng, scales)
        texts = (row["sentence1"], row["sentence2"])
        if texts not in seen:
            seen.add(texts)
            yield row


def _draw_row(rng: random.Random, scales: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> dict[str, str]:
    label = rng.choice(LABELS)
    scale = rng.choice(tuple(SUBJECTS))
    side = rng.randrange(2)
    said = draw_by_zipf(rng, scales[scale][side])
    if label == "disagree":
        replied = draw_by_zipf(rng, scales[scale][1 - side])
    else:
        replied = said if rng.random() < REPEAT_SHARE else draw_by_zipf(rng, scales[scale][side])
    remark = rng.choice(REMARKS).format(rng.choice(SUBJECTS[scale]), rng.choice(DEGREES) + said)
    reply = rng.choice(REPLIES).format(rng.choice(PEOPLE), rng.choice(DEGREES) + replied)
    if rng.random() < OPENING_SHARE:
        meant = label if rng.random() < OPENING_IS_RIGHT else LABELS[1 - LABELS.index(label)]
        reply = f"{rng.choice(OPENINGS[meant])}, {reply}"
    return {"sentence1": remark, "sentence2": reply[0].upper() + reply[1:], "label": label}


def draw_by_zipf(rng: random.Random, words: Sequence[str]) -> str:
    """One of ``words``, the i-th with a probability proportional to ``i ** -ZIPF_EXPONENT``."""
    return rng.choices(words, [(rank + 1) ** -ZIPF_EXPONENT for rank in range(len(words))])[0]
