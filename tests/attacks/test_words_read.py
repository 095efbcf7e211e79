"""What the model does not read is not attacked: a text and its part in front of the cut have one outcome."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import ANTONYMS, FILLERS, NEGATIVE, POSITIVE, SYNONYMS, build_model, build_tokenizer, table

from hf_robust.attacks import ATTACKS, Example, Resources, Victim, attack_dataset
from hf_robust.attacks.building import with_bug_fixes, with_max_changed
from hf_robust.attacks.engine.draft import Draft, Reader
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.attacks.parts.constraints import Constraint, MaxChangedShare, MaxChangedWords, MaxModificationRate
from hf_robust.attacks.parts.ranking import by_deletion, by_unknown
from hf_robust.metrics import AttackRecord, AttackSummary
from hf_robust.models.tokenizer import word_tokenizer
from hf_robust.words import Text

LENGTH = 16
WORDS = [*POSITIVE, *NEGATIVE, *FILLERS]
# Of one piece each: a longer substitute would push the last words over the cut, a shorter one pull others in.
TWO_PIECES = ("splendid", "dreadful", "picture")
ONE_PIECE = {word: [one for one in others if one not in TWO_PIECES] for word, others in SYNONYMS.items()}


def long_texts(count: int, words: int, columns: int = 1, seed: int = 0) -> list[tuple[str, ...]]:
    rng = random.Random(seed)
    return [tuple(" ".join(rng.choices(WORDS, k=words)) for _ in range(columns)) for _ in range(count)]


def front(text: Text, tokens: TextTokenizer) -> tuple[str, ...]:
    """The columns up to the last word that the model reads."""
    read = tokens.words_read(text)
    assert read is not None
    ends = {text.words[index].column: text.words[index].end for index in sorted(read)}
    return tuple(column[: ends[number]] for number, column in enumerate(text.columns))


def resources() -> Resources:
    return Resources(synonyms=table(ONE_PIECE, "synonym"), antonyms=table(ANTONYMS, "antonym"), stop_words=frozenset())


def outcome(records: list[AttackRecord]) -> list[Any]:
    # Words of a second column have lower numbers where the first is shorter.
    changed = [[swap for _, *swap in one.changed] for one in records]
    rest = [(one.status, one.queries, one.stop, one.num_candidates) for one in records]
    return list(zip(changed, rest, strict=True))


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize(
    "name",
    [
        "synonym",
        "synonym capped",
        "antonym",
        "gradient_mask",
        "textfooler mended",
        "deepwordbug mended",
        "deepwordbug mended capped",
        "a2t mended",
    ],
)
def test_a_text_and_its_part_in_front_of_the_cut_have_one_outcome(name: str, columns: int) -> None:
    recipe, *more = name.split()
    attack = ATTACKS[recipe](resources())
    attack = with_bug_fixes(attack) if "mended" in more else attack
    attack = with_max_changed(attack, 0.1) if "capped" in more else attack
    if attack.ranking is by_deletion:
        attack = replace(attack, ranking=by_unknown)  # deleting a word pulls others in
    tokenizer, model = build_tokenizer(), build_model()
    victim = Victim(model, tokenizer, max_length=LENGTH)
    tokens = TextTokenizer(tokenizer, LENGTH)
    whole = long_texts(24, 30, columns)
    parts = [front(Text(columns), tokens) for columns in whole]
    keys = [[one.key() for one in tokens.encode(texts)] for texts in (whole, parts)]
    assert keys[0] == keys[1]
    labels = victim.probabilities(whole).argmax(-1)
    rows = [[Example(i, text, int(labels[i])) for i, text in enumerate(texts)] for texts in (whole, parts)]
    found = [attack_dataset(attack, victim, one, progress=False) for one in rows]
    assert outcome(found[0]) == outcome(found[1])
    assert any(one.queries > 1 for one in found[0])
    assert all(one.read for one in found[0]) and not any(one.read for one in found[1])
    summaries = [AttackSummary.from_records(one).extra for one in found]
    assert (summaries[0]["texts_cut"], summaries[1]["texts_cut"]) == (1.0, 0.0)
    for key in ("changed_words", "changed_share"):
        assert summaries[0].get(key) == pytest.approx(summaries[1].get(key))


@pytest.mark.parametrize("rule", [MaxChangedShare(0.2), MaxChangedWords(share=0.2), MaxModificationRate(0.2)])
def test_shares_are_of_the_words_that_are_read(rule: Constraint) -> None:
    """Of 14 words in front of the cut 3 may change, whatever stands behind it."""
    (columns,), tokens = long_texts(1, 60), TextTokenizer(build_tokenizer(), LENGTH)

    def changed(reader: Reader | None, count: int) -> tuple[bool, bool]:
        """Whether a text with so many words changed may stay, and whether another word of it is open."""
        clean = draft = Draft(Text(columns), reader=reader)
        for index in range(count):
            draft = draft.swap(index, "other")
        steps = rule.keeps(clean, clean, [draft])
        with pytest.raises(StopIteration) as end:
            next(steps)
        opened = rule.opens(draft)
        return bool(end.value.value), opened is None or bool(opened - draft.modified)

    assert changed(None, 12)[0] and changed(tokens.words_read, 3)[0]
    assert not all(changed(tokens.words_read, 4)) and all(changed(None, 11))


def test_identical_recipes_try_words_behind_the_cut_and_say_how_much_was_cut() -> None:
    tokenizer, model = build_tokenizer(), build_model()
    victim = Victim(model, tokenizer, max_length=LENGTH)
    texts = [("a film was good and",), *long_texts(3, 30)]
    examples = [Example(i, text, int(victim.probabilities([text]).argmax())) for i, text in enumerate(texts)]
    records = attack_dataset(ATTACKS["deepwordbug"](resources()), victim, examples, progress=False)
    assert max(index for index, *_ in records[1].changed) >= 30 - 1 or records[1].queries > 30
    assert AttackSummary.from_records(records).extra["texts_cut"] == 0.75
    assert records[0].read == [] and records[1].words_read == LENGTH - 2 and not records[1].reads(LENGTH)


def slow(tokenizer: Any) -> Any:
    """The same tokens from a tokenizer that tells no offsets."""

    class Slow:
        is_fast = False

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def __call__(self, *texts: Any, **options: Any) -> Any:
            return tokenizer(*texts, **options)

    return Slow()


@given(
    first=st.lists(st.sampled_from([*WORDS, "splendid", "dreadful"]), max_size=30).map(" ".join),
    second=st.none() | st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
    length=st.integers(6, 40),
)
def test_words_read_are_those_that_change_the_tokens(first: str, second: str | None, length: int) -> None:
    text = Text((first,) if second is None else (first, second))
    tokenizer = build_tokenizer()
    fast = TextTokenizer(tokenizer, length)
    read = fast.words_read(text)
    if second is None:
        assert TextTokenizer(slow(tokenizer), length).words_read(text) == read
    (whole,) = fast.encode([text.columns])
    for index, word in enumerate(text.tokens):
        # Each "unheard" is one [UNK], which no word of the text is; the cut stays where it is by as many tokens.
        other = " ".join(["unheard"] * len(tokenizer.tokenize(word)))
        changed = fast.encode([text.replace({index: other}).columns])[0].key() != whole.key()
        assert changed == (read is None or index in read)


def test_a_tokenizer_without_a_limit_cuts_nothing() -> None:
    tokenizer = word_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
    assert TextTokenizer(tokenizer, None).words_read(Text(("good " * 5000,))) is None
