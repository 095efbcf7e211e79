"""Words behind the cut cost nothing: neither tokens nor plans nor texts of a search grow with them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tiny import ANTONYMS, FILLERS, NEGATIVE, POSITIVE, SYNONYMS, build_model, build_tokenizer, table

from benchmarks.architectures.vocabularies import VOCABULARIES, train_tokenizer
from hf_robust.attacks import ATTACKS, Attack, Example, Resources, Victim, attack_dataset
from hf_robust.attacks.building import with_bug_fixes
from hf_robust.attacks.engine.coverage import table_coverage
from hf_robust.attacks.engine.excerpt import excerpt_of
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.requests import Columns, Scores
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.words import Text

LENGTH, START = 16, 32
WORDS = [*POSITIVE, *NEGATIVE, *FILLERS]


class Watching(Victim):
    """A victim that remembers the texts it was asked for; ``whole`` reads texts as a whole."""

    def __init__(self, *args: Any, whole: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.whole, self.asked = whole, list[Columns]()

    def readable(self, columns: Columns) -> Columns:
        return columns if self.whole else super().readable(columns)

    def score(self, texts: Sequence[Columns]) -> Scores:
        self.asked += texts
        return super().score(texts)


def words(count: int, seed: int = 0) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=count))


def victim(whole: bool = False) -> Watching:
    return Watching(build_model(), build_tokenizer(), max_length=LENGTH, whole=whole)


def attack(name: str, fixed: bool = False) -> Attack:
    parts = {"synonyms": table(SYNONYMS, "synonym"), "antonyms": table(ANTONYMS, "antonym")}
    recipe = ATTACKS[name](Resources(**parts, stop_words=frozenset()))
    return with_bug_fixes(recipe) if fixed else recipe


def examples(texts: list[str], model: Victim) -> list[Example]:
    labels = model.probabilities([(text,) for text in texts]).argmax(-1).tolist()
    return [Example(number, (text,), label) for number, (text, label) in enumerate(zip(texts, labels, strict=True))]


def run(which: Attack, model: Watching, texts: list[str], **options: Any) -> list[Any]:
    rows = examples(texts, model)
    model.asked.clear()
    return attack_dataset(which, model, rows, progress=False, **options)


@pytest.mark.parametrize("kind", VOCABULARIES)
def test_the_start_of_a_text_has_the_tokens_of_the_whole(kind: str) -> None:
    tokenizer = train_tokenizer(kind, [words(200, seed) for seed in range(4)], 90)
    tokens, cut = TextTokenizer(tokenizer, LENGTH), {"truncation": True, "max_length": LENGTH}
    for seed, (first, second) in enumerate([(10, None), (400, None), (400, 3), (3, 400), (400, 9), (300, 400)]):
        columns = (words(first, seed),) if second is None else (words(first, seed), words(second, 99 + seed))
        columns = (columns[0].replace(" good ", " good,\n "), *columns[1:])
        start = tokens.readable(columns)
        assert all(column.startswith(part) for column, part in zip(columns, start, strict=True))
        assert (start != columns) == (max(first, second or 0) == 400 and min(first, second or 0) < 300)
        (encoded,) = tokens.encode([columns])
        assert encoded.ids.tolist() == tokenizer(*([column] for column in columns), **cut)["input_ids"][0]
        assert tokens.align(Text(columns)).encoded.key() == encoded.key()


def test_a_start_of_characters_without_tokens_is_not_enough() -> None:
    tokenizer = build_tokenizer()
    text = "\x7f " * 200 + words(200)
    tokens, expected = TextTokenizer(tokenizer, LENGTH), tokenizer(text, truncation=True, max_length=LENGTH)
    assert tokens.readable((text,)) != (text,)
    assert tokens.encode([(text,)])[0].ids.tolist() == expected["input_ids"]
    model = victim()
    assert excerpt_of(attack("synonym"), Example(0, (text,), 0), model).rest == ""


@pytest.mark.parametrize(
    ("name", "fixed"),
    [("synonym", False), ("antonym", False), ("gradient_mask", False), ("textfooler", True), ("deepwordbug", True),
     ("genetic", True), ("hotflip", True)],
)  # fmt: skip
def test_what_is_behind_the_cut_changes_neither_the_outcome_nor_the_work(name: str, fixed: bool) -> None:
    which = replace(attack(name, fixed), query_budget=300)
    texts = [words(40, seed) for seed in range(6)]
    rest = [" " + words(3000, 50 + seed) for seed in range(6)]
    short, long = victim(), victim()
    expected = run(which, short, texts)
    found = run(which, long, [text + more for text, more in zip(texts, rest, strict=True)])
    assert long.asked == short.asked and any(record.queries > 1 for record in found)
    for before, after, more in zip(expected, found, rest, strict=True):
        columns = {"original": [before.original[0] + more], "perturbed": [before.perturbed[0] + more]}
        assert after == replace(before, **columns)


def test_words_behind_the_cut_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    which = attack("synonym")
    lexicon = which.candidates.lexicon  # type: ignore[attr-defined]
    monkeypatch.setattr(type(lexicon), "__call__", lambda self, word: looked_up.append(word) or [])
    model = victim()
    rows = examples([words(5000)], model)
    coverage = table_coverage(which, Plans(), rows, model)
    assert coverage is not None and coverage.open_words <= LENGTH
    attack_dataset(which, model, rows, progress=False, check_candidates=False)
    assert 0 < len(looked_up) <= 2 * START


@pytest.mark.parametrize("name", ["deepwordbug", "textfooler", "input_reduction"])
def test_recipes_of_textattack_try_words_behind_the_cut_without_asking_for_them(name: str) -> None:
    which = replace(attack(name), query_budget=400)
    texts = [words(150, seed) for seed in range(3)]
    by_parts, whole = victim(), victim(whole=True)
    assert run(which, by_parts, texts) == run(which, whole, texts)
    assert by_parts.queries == len(by_parts.asked) + len(texts) and len(by_parts.asked) < len(whole.asked) / 2
    assert max(len(text.split()) for (text,) in by_parts.asked) <= START


def test_an_attack_that_deletes_words_gets_the_whole_text() -> None:
    model = victim()
    example = Example(0, (words(500),), 0)
    assert excerpt_of(attack("input_reduction", fixed=True), example, model).rest == ""
    assert excerpt_of(attack("textfooler"), example, model).rest == ""  # identical with TextAttack's
    excerpt = excerpt_of(attack("textfooler", fixed=True), example, model)
    assert len(excerpt.example.texts[0].split()) == START
    assert excerpt.example.texts[0] + excerpt.rest == example.texts[0]
    pair = Example(0, (words(500), "a film"), 0)  # words of the second column are numbered behind the first's
    assert excerpt_of(attack("synonym"), pair, model).example == pair
    turned = excerpt_of(attack("synonym"), Example(0, ("a film", words(500)), 0), model).example
    assert [len(column.split()) for column in turned.texts] == [2, START]


def test_a_text_of_an_earlier_run_is_tried_first() -> None:
    which, texts = attack("synonym"), [words(400, seed) for seed in range(6)]
    first = run(which, victim(), texts)
    replayed = {record.idx: tuple(record.perturbed) for record in first if record.status == "succeeded"}
    assert replayed
    again = run(which, victim(), texts, replayed=replayed)
    for record in again:
        if record.idx in replayed:
            assert (record.stop, tuple(record.perturbed)) == ("warm_start", replayed[record.idx])
    elsewhere = {idx: (columns[0] + " film",) for idx, columns in replayed.items()}
    assert {record.status for record in run(which, victim(), texts, replayed=elsewhere)} <= {"succeeded", "failed"}
