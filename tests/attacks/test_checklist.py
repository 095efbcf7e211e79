"""The checklist attack: each of its changes by hand, and its search against every text there is."""

import json

import numpy as np
import pytest
from attack_parts import NAMES, PLACES, all_close, probabilities_of, resources, victim
from tiny import build_model

from hf_robust.attacks import ATTACKS, Example, attack_dataset
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.attacks.parts.names import ChangeListed
from hf_robust.attacks.recipes.checklist import CONTRACTIONS, ChangeNumber, Contract, Extend
from hf_robust.lexicons import NameLists
from hf_robust.words import Text


def answer(steps):
    """The result of a generator that asks for nothing."""
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise AssertionError("it asked for something")


def drafts(source, *columns, opened=None, seed=0):
    draft, rng = Draft(Text(columns)), RandomStates(seed)
    opened = set(range(len(draft.text.words))) if opened is None else opened
    found = [draft.swap(index, new) for index, new in answer(source.propose(draft, opened, rng))]
    return found + answer(source.rewrites(draft, opened, rng))


def changed_texts(source, *columns, **options):
    return [one.text.joined for one in drafts(source, *columns, **options)]


def test_contracted_forms():
    assert changed_texts(Extend(), "I'm sure it won't, Don't!") == [
        "I am sure it won't, Don't!",
        "I'm sure it will not, Don't!",
    ]
    assert changed_texts(Contract(), "I am sure it will not.") == [
        "I'm sure it will not.",
        "I am sure it'll not.",
        "I am sure it won't.",
    ]
    assert changed_texts(Contract(), "i am, it is", opened={0, 2, 3}) == []  # a closed word ends it
    assert changed_texts(Contract(), "who", "is it") == ["who's\n it"]  # as in TextAttack, across columns
    assert len(CONTRACTIONS) == 77 and CONTRACTIONS["we're"] == "we are" and CONTRACTIONS["how'd"] == "how did"
    (one,) = drafts(Contract(), "so I am here")
    assert one.modified == {1} and one.changes(Text(("so I am here",))) == [[1, "I", "I'm"], [2, "am", ""]]
    (one,) = drafts(Extend(), "so I'm here")
    assert one.modified == {1, 2}


def test_numbers_are_drawn_up_to_their_double():
    drawn = np.random.RandomState(3).randint(1, 25, 3)
    assert changed_texts(ChangeNumber(), "I am 12, two.", seed=3) == [f"I am {number}, two." for number in drawn]
    for kept in ("0", "2", "4", "5x", "²", "9" * 19, "9" * 5000, "two"):
        assert changed_texts(ChangeNumber(), kept) == []
    values = {int(text) for seed in range(40) for text in changed_texts(ChangeNumber(), "3", seed=seed)}
    assert values == {1, 2, 3, 4, 5, 6}


def test_names_and_places():
    places = ChangeListed("change_location", NameLists(PLACES))
    found = {text for seed in range(20) for text in changed_texts(places, "In New York, not new york.", seed=seed)}
    assert found == {f"In {city}, not new york." for city in PLACES["city"]}
    assert changed_texts(places, "In New York.", opened={0, 1}) == []
    names = ChangeListed("change_name", NameLists(NAMES))
    found = {text for seed in range(20) for text in changed_texts(names, "Ann Smith", seed=seed)}
    assert found == {f"{name} Smith" for name in NAMES["first"]} | {f"Ann {name}" for name in NAMES["last"]}
    assert changed_texts(ChangeListed("change_name", None), "Ann Smith") == []
    one = next(one for one in drafts(places, "to New York now") if one.text.tokens[1] != "New")
    assert one.modified == {1} and len(one.text.tokens) == 3


def test_missing_name_lists_are_in_the_description():
    without = ATTACKS["checklist"](resources(names=None, locations=None))
    sources = {one["name"]: one for one in without.describe()["candidates"]["sources"]}
    assert list(sources) == ["extend", "contract", "change_name", "change_number", "change_location"]
    assert sources["change_name"]["lists"] is None and sources["change_location"]["lists"] is None
    whole = ATTACKS["checklist"](resources())
    described = whole.describe()["candidates"]["sources"][4]["lists"]
    assert described["counts"] == {"country": 2, "city": 3} and described["source"] == "lists in memory"
    assert whole.fingerprint() != without.fingerprint()
    assert whole.describe()["search"] == "beam 1" and not whole.candidates.planned


def test_the_search_takes_the_best_text_of_each_step():
    target = victim(build_model(num_labels=3))
    given = resources(names=None, locations=None)
    # Nothing is drawn, so every text can be listed.
    columns = [
        ("I'm not it is good",),
        ("it's bad and they're cold",),
        ("it is warm it is",),
        ("who's the actor it's",),
    ]
    labels = target.probabilities(columns).argmax(-1)
    rows = [Example(i, one, int(label)) for i, (one, label) in enumerate(zip(columns, labels, strict=True))]
    for record, row in zip(
        attack_dataset(ATTACKS["checklist"](given), target, rows, progress=False), rows, strict=True
    ):
        draft, queries, stop = Draft(Text(row.texts)), 1, None
        while stop is None:
            opened = set(range(len(draft.text.words))) - draft.modified
            swaps = answer(Extend().propose(draft, opened, RandomStates(0)))
            found = [draft.swap(*swap) for swap in swaps] + answer(Contract().rewrites(draft, opened, RandomStates(0)))
            if not found:
                stop = "exhausted"
                break
            queries += len(found)
            draft = min(
                found, key=lambda one: (probabilities_of(target, one.text.columns)[row.label], one.text.joined)
            )
            if probabilities_of(target, draft.text.columns).argmax() != row.label:
                stop = "success"
        assert (record.stop, record.perturbed, record.queries) == (stop, list(draft.text.columns), queries)
        assert record.queries > 2


def test_batches_change_nothing():
    target = victim(build_model(num_labels=3))
    lines = [f"Ann is {number} and I'm in New York, it is good {'bad ' * number}." for number in range(3, 15)]
    labels = target.probabilities([(one,) for one in lines]).argmax(-1)
    rows = [Example(i, (one,), int(label)) for i, (one, label) in enumerate(zip(lines, labels, strict=True))]
    which = ATTACKS["checklist"](resources(seed=2))
    expected = attack_dataset(which, target, rows, progress=False)
    assert all_close(attack_dataset(which, victim(target.model, token_budget=1), rows[::-1], live=2), expected)
    assert any(record.changed for record in expected)


def test_name_lists(tmp_path):
    path = tmp_path / "names.json"
    path.write_text(json.dumps(NAMES))
    lists = NameLists.load(path)
    assert lists.fingerprint() == NameLists(NAMES).fingerprint() != NameLists(PLACES).fingerprint()
    assert lists.like("Smith") == ("Smith", "Good Story") and lists.like("smith") == () and lists.longest == 2
    for wrong in ('["Ann"]', '{"first": "Ann"}', '{"first": [""]}', '{"first": [1]}'):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="not a JSON object of lists of names"):
            NameLists.load(path)
    path.write_text('{"first": []}')
    with pytest.raises(ValueError, match="got none for first"):
        NameLists.load(path)
    for missing in ("{", None):
        if missing:
            path.write_text(missing)
        with pytest.raises(ValueError, match="cannot be read"):
            NameLists.load(path if missing else tmp_path / "none.json")
