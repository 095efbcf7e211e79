"""viper: which characters look alike, how often letters change, and texts that a tokenizer reads as the clean ones."""

import unicodedata

import pytest
from attack_parts import attack, examples, victim
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import build_model, build_tokenizer
from tokenizers import normalizers

from hf_robust.attacks import Example, Victim, attack_dataset
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.attacks.parts.visual import NEIGHBOURS, VisualNeighbours, visual_neighbours
from hf_robust.words import Text

ASCII = [chr(code) for code in range(128)]


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


def perturbed(text, probabilities, seed=0, open_words=None):
    steps = VisualNeighbours(probabilities).rewrites(
        Draft(Text((text,))), range(len(Text((text,)).words)) if open_words is None else open_words, RandomStates(seed)
    )
    with pytest.raises(StopIteration) as end:
        next(steps)
    return [draft.text.columns[0] for draft in end.value.value]


def test_neighbours_are_the_letter_with_a_mark_in_its_case():
    for letter in ASCII:
        found = visual_neighbours(letter)
        assert bool(found) <= letter.isalpha() and len(found) <= NEIGHBOURS == 20 and len(set(found)) == len(found)
        for sign in found:
            assert unicodedata.name(sign).startswith(f"{unicodedata.name(letter)} WITH ")
            assert sign.isalpha() and not sign.isascii() and sign.islower() == letter.islower()
    assert sum(bool(visual_neighbours(letter)) for letter in ASCII) >= 50
    assert "à" in visual_neighbours("a") and "æ" not in visual_neighbours("a")
    assert visual_neighbours("ä") == visual_neighbours("я") == ()


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.sampled_from([*"abcdeXYZ 12.,'-", "ä", "я"]), max_size=30), seed=st.integers(0, 9))
def test_each_text_adds_to_the_one_before(text, seed):
    last = text
    for found in perturbed(text, (0.1, 0.3, 0.5, 0.7, 0.9, 1.0), seed):
        assert len(found) == len(text) and found != last
        for old, before, after in zip(text, last, found, strict=True):
            assert before in (old, after) and (after == old or after in visual_neighbours(old))
        last = found
    words = {place for word in Text((text,)).words for place in range(word.start, word.end)}
    for place, (old, new) in enumerate(zip(text, last, strict=True)):
        assert (old != new) == (place in words and bool(visual_neighbours(old)))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_letter_changes_with_the_probability_and_to_each_neighbour_equally_often(share):
    text = "a" * 8000
    (found,) = perturbed(text, (share,))
    changed = [sign for sign in found if sign != "a"]
    assert len(changed) / len(text) == pytest.approx(share, abs=4 * (share * (1 - share) / len(text)) ** 0.5)
    counts = [changed.count(sign) for sign in visual_neighbours("a")]
    each = len(changed) / len(counts)
    assert all(abs(count - each) < 5 * each**0.5 for count in counts)


def test_closed_words_stay():
    (found,) = perturbed("good bad good", (1.0,), open_words=[1])
    assert found[:4] == "good" and found[-4:] == "good" and found[5:8] != "bad"


def test_an_example_ends_at_the_first_success(target):
    rows = examples(target, 30)
    records = attack_dataset(attack("viper"), target, rows, progress=False)
    assert {record.status for record in records} == {"succeeded", "failed", "skipped"}
    for record in records:
        assert record.queries <= 10
        assert record.status != "succeeded" or record.perturbed_prediction != record.label
        if record.status == "succeeded" and record.queries > 2:
            # One query less ends before the success.
            (fewer,) = attack_dataset(
                attack("viper", query_budget=record.queries - 1),
                target,
                [row for row in rows if row.idx == record.idx],
                progress=False,
            )
            assert (fewer.status, fewer.stop) == ("failed", "budget")


def test_a_tokenizer_that_removes_accents_reads_the_clean_text():
    def measured(strip):
        tokenizer = build_tokenizer()
        steps = [normalizers.NFD(), normalizers.StripAccents()] if strip else []
        tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Lowercase()])
        target = Victim(build_model(), tokenizer)
        columns = ("was we was.",)  # "w" and "a" have marks that can be removed alone; "s" and "e" have others
        text = ("aw wa.",) if strip else columns
        label = int(target.probabilities([text]).argmax())
        (record,) = attack_dataset(attack("viper"), target, [Example(0, text, label)], progress=False)
        return record

    assert (measured(True).stop, measured(True).num_candidates) == ("no_candidates", 0)
    assert measured(False).num_candidates > 0 and measured(False).stop != "no_candidates"
