"""The parts of bert_attack, kuleshov, pruthi and leap: formulas by hand, naive loops, and controls that find less."""

from __future__ import annotations

import dataclasses
import itertools
import math
import string
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import examples, masked_lm, probabilities_of, resources, victim
from population_parts import NUMBERS, WORDS, ToyLanguageModel, ToyVictim, small
from population_parts import attack as population_attack
from population_parts import rows as toy_rows
from test_language_model import build_lm

from hf_robust.attacks import ATTACKS, Attack, Example, attack_dataset
from hf_robust.attacks.building import with_bug_fixes
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.models.unmasked_lm import UnmaskedLM
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.attacks.parts.characters import Misspell, delete, insert, next_keys, swap_neighbours
from hf_robust.attacks.parts.constraints import MinWordLength
from hf_robust.attacks.parts.fluency import MaxNextWordDrop
from hf_robust.attacks.parts.goals import LabelPredictions, LowerProbability
from hf_robust.attacks.parts.levy_swarm import LevySwarm, _constants, levy, levy_between
from hf_robust.attacks.parts.pieces import PAPER_K, InPlace
from hf_robust.attacks.parts.word_distance import MaxThoughtDistance, WordVectors
from hf_robust.words import TEXTATTACK_WORDS, Text

VECTORS = WordVectors(WORDS, NUMBERS, "test")


def text(*columns: str) -> Text:
    return Text(columns, TEXTATTACK_WORDS)


def result(steps: Any) -> Any:
    """The result of a generator whose requests are answered at once."""
    try:
        request = next(steps)
        while True:
            request = steps.send(request.model(request.inputs))
    except StopIteration as end:
        return end.value


# ---- pruthi ----


def typos(word: str) -> set[str]:
    """Every text with one typo inside a word; an added letter may be any."""
    inner = range(1, len(word) - 1)
    swapped = {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(1, len(word) - 2)}
    dropped = {word[:at] + word[at + 1 :] for at in inner}
    added = {word[:at] + letter + word[at:] for at in inner for letter in string.ascii_letters}
    hit = {word[:at] + letter + word[at + 1 :] for at in inner for letter in string.ascii_letters}
    return (swapped | dropped | added | hit) - {word}


def test_every_typo_of_a_word() -> None:
    def made(edit: Any, word: str) -> list[str]:
        return list(Misspell(edit, inner=True, every=True).substitutes(text(word), 0, RandomStates(0)))

    assert made(swap_neighbours, "plots") == ["polts", "pltos"]
    assert made(delete, "plots") == ["pots", "plts", "plos"]
    assert [len(new) for new in made(insert, "plots")] == [6, 6, 6]
    assert made(next_keys, "pAt") == ["pQt", "pWt", "pSt", "pZt", "pXt"]
    assert made(next_keys, "p1t") == [] and made(swap_neighbours, "fit") == []
    assert Misspell(next_keys, inner=True).planned and not Misspell(insert, inner=True, every=True).planned


def test_short_words_are_closed() -> None:
    assert MinWordLength(4).opens(Draft(text("the film, a don't-know"))) == {1, 3}


def test_pruthi_takes_the_best_typo_of_all() -> None:
    target = victim()
    which = ATTACKS["pruthi"](resources())
    found = 0
    for example in examples(target, 20, seed=2):
        asked: list[tuple[str, ...]] = []
        score = target.score
        target.score = lambda texts, score=score, asked=asked: asked.extend(texts) or score(texts)
        (record,) = attack_dataset(which, target, [example], progress=False, check_candidates=False)
        target.score = score
        if record.status == "skipped":
            continue
        words = text(*example.texts).tokens
        for columns in {*asked, tuple(record.perturbed)} - {example.texts}:
            changed = [(old, new) for old, new in zip(words, text(*columns).tokens, strict=True) if old != new]
            assert len(changed) == 1 and len(changed[0][0]) >= 4 and changed[0][1] in typos(changed[0][0])
        if len(asked) > 1:
            best = min(probabilities_of(target, columns)[example.label] for columns in asked[1:])
            assert record.perturbed_score == pytest.approx(best, abs=1e-5)
            found += 1
        assert record.queries == 1 + len(asked[1:])
    assert found > 5


# ---- bert_attack ----


def expected_at(model: UnmaskedLM, sentence: str) -> tuple[list[int], torch.Tensor]:
    """One text alone: its ids, and log probabilities [L, V]."""
    batch = model.tokenizer(sentence, return_tensors="pt")
    with torch.no_grad():
        return batch["input_ids"][0].tolist(), model.model(**batch).logits[0].log_softmax(-1)


@pytest.mark.parametrize("side", ["right", "left"])
def test_what_is_expected_at_each_token_equals_one_text_at_a_time(side: str) -> None:
    lm = masked_lm("roberta", {"type_vocab_size": 1})  # its positions do not count padding
    lm.tokenizer.padding_side = side
    model = UnmaskedLM(lm)
    sentences = ["the splendid film was good", "film", "a dreadful picture and the plot was not very warm"]
    for sentence, found in zip(sentences, model.expect(sentences), strict=True):
        ids, logs = expected_at(model, sentence)
        best = logs.topk(min(PAPER_K, logs.shape[1]))
        assert found.ids.shape == (len(ids), best.indices.shape[1])
        assert np.array_equal(found.ids, best.indices.numpy())
        assert np.allclose(found.losses, -best.values.numpy(), atol=1e-5)


def proposed(source: InPlace, sentence: str, index: int, mended: bool = False) -> list[str]:
    source = dataclasses.replace(source, mended=mended)
    return [new for _, new in result(source.propose(Draft(text(sentence)), [index], RandomStates(0)))]


def test_a_word_of_one_piece_gets_the_likeliest_whole_words() -> None:
    model = UnmaskedLM(masked_lm())
    sentence = "the film was good"
    _, logs = expected_at(model, sentence)
    names = model.tokenizer.convert_ids_to_tokens(logs[2].argsort(descending=True)[:8].tolist())
    words = [name for name in names if "##" not in name and len(TEXTATTACK_WORDS.split(name)) == 1 and name != "film"]
    assert proposed(InPlace(model, k=8), sentence, 1) == words != []


@pytest.mark.parametrize("k", [2, 8])
def test_combinations_come_in_the_order_of_enumeration(k: int) -> None:
    model = UnmaskedLM(masked_lm())
    sentence = "a splendid film"
    _, logs = expected_at(model, sentence)
    rows = [model.tokenizer.convert_ids_to_tokens(logs[at].topk(k).indices.tolist()) for at in (2, 3)]
    joint = ["".join(pair).replace("##", "") for pair in itertools.product(*rows)]
    first = [word for word in joint if len(TEXTATTACK_WORDS.split(word)) == 1][:k]
    assert proposed(InPlace(model, k=k), sentence, 1) == [word for word in first if word != "splendid"] != []


def test_mended_combinations_are_those_of_least_perplexity() -> None:
    model = UnmaskedLM(masked_lm())
    sentence = "a splendid film"
    _, logs = expected_at(model, sentence)
    names = model.tokenizer.convert_ids_to_tokens(list(range(logs.shape[1])))
    special = set(model.tokenizer.all_special_tokens)
    kept = [logs[at].topk(min(PAPER_K, logs.shape[1])).indices.tolist() for at in (2, 3)]
    begins = [number for number in kept[0] if not names[number].startswith("##") and names[number] not in special]
    inner = [number for number in kept[1] if names[number].startswith("##")]
    losses = {
        names[one] + names[two][2:]: -(logs[2, one] + logs[3, two]).item() / 2 for one in begins for two in inner
    }
    best = sorted(losses, key=lambda word: losses[word])[:PAPER_K]
    best = [word for word in best if word.isalpha() and word not in ("splendid", "thedid")]
    found = proposed(InPlace(model, k=8, stop_words=frozenset({"thedid"})), sentence, 1, mended=True)
    assert found == best and len(found) > 8


def test_mended_words_are_whole_and_no_stop_words() -> None:
    model = UnmaskedLM(masked_lm())
    found = proposed(InPlace(model, stop_words=frozenset({"the", "a"})), "the film was good", 1, mended=True)
    assert found and not {"[UNK]", "the", "a", "film", "did", "UNK"} & set(found)


def test_a_word_that_truncation_removed_has_no_substitutes() -> None:
    model = UnmaskedLM(masked_lm(max_length=5))
    source = InPlace(model)
    for mended in (False, True):
        assert proposed(source, "the film was good and warm", 1, mended)
        assert proposed(source, "the film was good and warm", 4, mended) == []
    assert result(source.propose(Draft(text("the film")), [], RandomStates(0))) == []


def test_bert_attack_bounds_changes_and_beats_random_words() -> None:
    target, model = victim(), masked_lm()
    rows = examples(target, 40, seed=3)
    which = ATTACKS["bert_attack"](resources(masked_lm=model))
    fixed = with_bug_fixes(which)
    assert which.candidates.describe()["k"] == 8 and fixed.candidates.describe()["k"] == 48
    assert which.fingerprint() != fixed.fingerprint()
    succeeded = {}
    for name, one in (("paper", fixed), ("textattack", which)):
        records = attack_dataset(one, target, rows, progress=False)
        succeeded[name] = sum(record.status == "succeeded" for record in records)
        for record in records:
            assert len(record.changed) <= math.ceil(0.4 * len(text(*record.original).tokens))
    assert succeeded["paper"] >= succeeded["textattack"] > 0
    with pytest.raises(ValueError, match="the bert_attack attack needs a masked language model, got none"):
        ATTACKS["bert_attack"](resources())


# ---- kuleshov ----


def test_the_goal_is_a_probability() -> None:
    probability = np.array([0.9, 0.7, 0.65, 0.45, 0.31, 0.3, 0.1])
    predictions = LabelPredictions(probability, probability, probability > 0.5, probability)
    assert LowerProbability(0.7).reached(predictions).tolist() == [False, False, True, True, True, True, True]
    mended = LowerProbability(0.7, mended=True)
    assert mended.reached(predictions).tolist() == [False, False, False, False, False, True, True]
    assert LowerProbability(0.7).scores(predictions, [0] * 7, 0).tolist() == (1 - probability).tolist()


def kuleshov(**changes: Any) -> Attack:
    return ATTACKS["kuleshov"](resources(**changes))


def test_an_unsure_clean_text_is_skipped_and_a_success_is_below_the_threshold() -> None:
    target = victim()
    records = attack_dataset(kuleshov(), target, examples(target, 60), progress=False, check_candidates=False)
    assert {record.stop for record in records} >= {"reached", "misclassified"}
    for record in records:
        if record.original_prediction == record.label:
            assert (record.stop == "reached") == (record.original_score < 0.7)
        if record.status != "skipped":
            assert (record.status == "succeeded") == (record.perturbed_score < 0.7)
    sure = attack_dataset(
        with_bug_fixes(kuleshov()), target, examples(target, 60), progress=False, check_candidates=False
    )
    assert not any(record.stop == "reached" for record in sure)
    for record in sure:
        if record.status == "succeeded":
            assert record.perturbed_prediction != record.label and record.perturbed_score <= 0.3 + 1e-6


def thought(words: list[str], fold: bool) -> np.ndarray | None:
    known = [NUMBERS[WORDS.index(key)] for word in words if (key := word.lower() if fold else word) in WORDS]
    return np.mean(known, axis=0) if known else None


@pytest.mark.parametrize("mended", [False, True])
def test_the_thought_vector_is_the_mean_of_known_words(mended: bool) -> None:
    clean = Draft(text("Good film and the plot was cold"))
    current = clean.swap(1, "movie")
    drafts = [current.swap(index, new) for index, word in enumerate(current.words) for new in WORDS if new != word]
    drafts += [current.swap(4, "two words"), current.swap(5, "")]
    distances = []
    for draft in drafts:
        found = thought(draft.text.tokens, mended) - thought(clean.words, mended)
        distances.append(float((found**2).sum()) ** (0.5 if mended else 1))
    for maximum in np.quantile(distances, [0.2, 0.5, 0.8]) + 1e-7:
        rule = MaxThoughtDistance(VECTORS, float(maximum), mended)
        kept = result(rule.keeps(clean, current, drafts))
        assert kept == [draft for draft, value in zip(drafts, distances, strict=True) if value <= maximum]
        assert 0 < len(kept) < len(drafts)
    unknown = Draft(text("and the"))
    assert result(MaxThoughtDistance(VECTORS).keeps(unknown, unknown, [unknown.swap(0, "good")])) == []


def test_first_pieces_equal_one_context_at_a_time() -> None:
    model = build_lm()
    pairs = [("the film was ", "good"), ("the film was ", "splendid"), ("", "film"), ("not", ""), ("a plot\n", "bad")]
    for (context, word), value in zip(pairs, model.first_pieces(pairs), strict=True):
        ids = model.tokenizer(context, add_special_tokens=False)["input_ids"] or [model._start]
        first = model.tokenizer(word, add_special_tokens=False)["input_ids"][:1]
        with torch.no_grad():
            logs = model.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        assert value == (pytest.approx(logs[first[0]].item(), abs=1e-5) if first else 0)
    assert model.log_probabilities(pairs[:1]) != model.first_pieces(pairs[:1])


def test_a_word_may_not_become_much_less_likely() -> None:
    toy = ToyLanguageModel()
    clean = Draft(text("good film, bad plot"))
    drafts = [clean.swap(index, new) for index in range(4) for new in WORDS if new != clean.words[index]]
    kept = result(MaxNextWordDrop(toy, 2.0).keeps(clean, clean, drafts))
    for draft in drafts:
        ((index, new),) = draft.swaps.items()
        stays = toy.words([new]) > toy.words([clean.words[index]]) - 2.0
        assert (draft in kept) == (stays or index == 0)  # nothing comes before the first word
    assert 0 < len(kept) < len(drafts)
    rule = MaxNextWordDrop(toy)
    assert rule._before(clean.text, 2) == "good film, " and MaxNextWordDrop(toy, mended=True)._before(
        clean.text, 2
    ) == ("good film,")
    assert rule._before(text("a film", "was bad"), 3) == "a film\nwas "


def test_kuleshov_names_the_constraints_it_has() -> None:
    def names(which: Attack) -> list[str]:
        return [rule["name"] for rule in which.describe()["constraints"]]

    assert names(kuleshov()) == ["no_repeat", "stop_words", "max_changed_words"]
    full = kuleshov(word_vectors=VECTORS, language_model=ToyLanguageModel())
    assert names(full)[3:] == ["max_thought_distance", "max_next_word_drop"]
    assert all(rule.get("mended", True) for rule in with_bug_fixes(full).describe()["constraints"])


# ---- leap ----


def test_levy_draws_have_mantegnas_constants_and_a_heavy_tail() -> None:
    assert _constants() == (pytest.approx(0.696575, abs=1e-5), pytest.approx(1.59922, abs=1e-4))
    draws = np.array([levy(RandomStates(seed)) for seed in range(4000)])
    assert abs(np.median(draws)) < 0.1 and 0.02 < (np.abs(draws) > 5).mean() < 0.12
    between = [levy_between(RandomStates(seed), 0.5, 0.8) for seed in range(50)]
    assert all(0.5 <= value <= 0.8 for value in between) and len(set(between)) == 50
    assert 7.0 <= levy_between(RandomStates(0), 7.0, 7.0, tries=3) <= 7.0


def test_inertia_rises_with_the_score_below_the_first_mean_and_flies_above() -> None:
    swarm, first = LevySwarm(4, 3), [0.2, 0.4, 0.6, 0.8]
    low, middle, *high = swarm._inertia(1, [0.2, 0.35, 0.5, 0.9], first, RandomStates(0))
    assert low == pytest.approx(0.2) and middle == pytest.approx(0.2 + 0.6 * 0.15 / 0.3)
    assert all(0.5 <= value <= 0.8 for value in high)
    flat = swarm._inertia(1, [0.2] * 4, [0.4] * 4, RandomStates(0))
    assert all(0.5 <= value <= 0.8 for value in flat)
    shares = swarm._chances(np.array([3.0, -3.0, 3.0]))
    assert shares.sum() == pytest.approx(1) and shares[0] == shares[2] == pytest.approx(1 / (2 + math.exp(-6)))


def test_leap_finds_more_than_as_many_random_texts() -> None:
    found = by_chance = 0
    for example in toy_rows(40, seed=9):
        target = ToyVictim()
        which = population_attack("leap", small("leap"), query_budget=150)
        (record,) = attack_dataset(which, target, [example], progress=False, check_candidates=False)
        if record.status == "skipped":
            continue
        found += record.status == "succeeded"
        by_chance += _random_success(which, example, len(target.asked) - 1)
    assert found > by_chance


def _random_success(which: Attack, example: Example, queries: int) -> bool:
    """Whether one of as many random texts, each with as many swaps as the attack may make, is misclassified."""
    clean, rng, toy = Draft(Text(example.texts, which.word_rule)), np.random.default_rng(example.idx), ToyVictim()
    for _ in range(queries):
        draft = clean
        while swaps := result(which.proposals(clean, draft, sorted(which.open_words(draft)), RandomStates(0))):
            draft = draft.swap(*swaps[rng.integers(len(swaps))])
        if toy.prediction(draft.text.columns) != example.label:
            return True
    return False
