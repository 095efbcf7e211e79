"""Adding and removing "not" (methods.md 4.2), rule by rule."""

import pytest
from attack_parts import attack

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.plans import make_plan
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.attacks.parts.negation_rules import Negations, add_not, remove_not, takes_not
from hf_robust.words import Text
from hf_robust.words.contractions import split_clitic

LEMMAS = {"went": "go", "goes": "go", "has": "have", "had": "have"}
TAGS = {
    "go": "VB",
    "going": "VBG",
    "gone": "VBN",
    "went": "VBD",
    "was": "VBD",
    "is": "VBZ",
    "goes": "VBZ",
    "can": "MD",
}
TAGS |= {"are": "VBP", "am": "VBP", "run": "VBP", "do": "VB", "only": "RB", "it's": "PRP", "won't": "MD", "not": "RB"}


class Tagger:
    name = "table"

    def __call__(self, words):
        return [TAGS.get(word.lower(), "NN") for word in words]


def lemma(word):
    return LEMMAS.get(word, word)


@pytest.mark.parametrize(
    ("word", "tag", "new"),
    [
        ("go", "VB", "not go"),
        ("going", "VBG", "not going"),
        ("gone", "VBN", "not gone"),
        ("was", "VBD", "wasn't"),
        ("were", "VBD", "weren't"),
        ("did", "VBD", "didn't"),
        ("went", "VBD", "didn't go"),
        ("put", "VBD", None),
        ("am", "VBP", "am not"),
        ("are", "VBP", "aren't"),
        ("do", "VBP", "don't"),
        ("run", "VBP", "don't run"),
        ("is", "VBZ", "isn't"),
        ("goes", "VBZ", "doesn't go"),
        ("has", "VBZ", "doesn't have"),
        ("puts", "VBZ", None),
        ("can", "MD", None),
        ("dog", "NN", None),
    ],
)
def test_add_not(word, tag, new):
    assert add_not(word, tag, lemma) == new


@pytest.mark.parametrize(
    ("word", "following", "new"),
    [("no", "dog", ""), ("not", "good", ""), ("not", "only", None), ("can't", "", "can"), ("won't", "", "will")]
    + [("isn't", "", "is"), ("shan't", "", "shall"), ("note", "", None), ("nothing", "", None), ("n't", "", None)]
    + [("cannot", "", "can"), ("film's", "", None)],
)
def test_remove_not(word, following, new):
    assert remove_not(word, following) == new


@pytest.mark.parametrize(("before", "verb"), [("i", "am"), ("they", "are"), ("it", "is"), ("", "is")])
def test_aint_depends_on_who(before, verb):
    assert remove_not("ain't", "", before) == verb


OFFICIAL = [
    *(f"{who}'m" for who in ("i",)),
    *(f"{who}'re" for who in ("you", "they")),
    *(f"{who}'s" for who in ("he", "she", "it", "there", "that", "how", "what", "when", "where", "who")),
    *(f"{who}'ve" for who in ("i", "you", "they", "must", "should", "would", "might")),
    *(f"{who}'d" for who in ("i", "you", "they", "he", "she", "it", "where", "how", "there", "who")),
    *(f"{who}'ll" for who in ("i", "you", "they", "he", "she", "it", "how", "who")),
]


def test_the_official_contractions_take_not_and_possessives_do_not():
    assert len(OFFICIAL) == 38 and all(takes_not(*split_clitic(word)) for word in OFFICIAL)
    assert all(takes_not(*split_clitic(word)) for word in ("we're", "we'd", "let's", "dogs're"))
    assert not any(takes_not(*split_clitic(word)) for word in ("film's", "ok'd", "can't", "they", "o'clock", "'s"))


def negated(*columns, **options):
    which = Negations(Tagger(), lemma, **options)
    draft = Draft(Text(columns))
    steps = which.propose(draft, range(len(draft.text.words)), RandomStates(0))
    with pytest.raises(StopIteration) as end:  # it asks nothing
        next(steps)
    found = {draft.swap(index, new).text.columns for index, new in end.value.value}
    steps = which.rewrites(draft, range(len(draft.text.words)), RandomStates(0))
    with pytest.raises(StopIteration) as end:
        next(steps)
    return found | {one.text.columns for one in end.value.value}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("he went home.", {"he didn't go home."}),
        ("Went home", {"Didn't go home"}),
        ("IS it good", {"ISN'T it good"}),
        ("It's no dog", {"It's not no dog", "It's dog"}),
        ("he is not going", {"he is going"}),  # neither verb is free of a "not" beside it
        ("it won't do", {"it will do"}),
        ("not only dogs run", {"not only dogs don't run"}),
        ("can go", {"can not go"}),
        ("he cannot go", {"he can go"}),
        ("he can not go", {"he can go"}),
        ("They’re great", {"They’re not great"}),
        ("they 're great", {"they 're not great"}),
        ("they ’ re great", {"they ’ re not great"}),
        ("it 's good", {"it 's not good"}),
        ("the film 's good", set()),  # a possessive, for all that is known
        ("it ca n't run", {"it can run"}),
        ("It Ca N'T run", {"It Can run"}),
        ("it can 't run", {"it can run"}),
        ("it don ’ t run", {"it do run"}),
        ("it can #39;t run", {"it can run"}),
        ("we sha n't", {"we shall "}),
        ("it wo n't do", {"it will do"}),
        ("it did n't go", {"it did go"}),
        ("they ai n't dogs", {"they are dogs"}),
        ("i ain’t it", {"i am it"}),
        ("DON’T go", {"DO go"}),
        ("not 's n't", {"'s n't", "not 's "}),
        ("they don't run", {"they do run"}),
        ("they 're going", {"they 're not going"}),  # one text by two rules
        ("'Tis dogs", {"'Tis not dogs"}),
        ("dogs’ home was it", {"dogs’ home wasn't it"}),
        ("dog’s home was it", {"dog’s home wasn’t it"}),  # the text's own apostrophe
        ("love 'em went", {"love 'em didn't go"}),
        ("run 've it", {"run 've not it"}),  # a verb by the tagger, but the host of a contraction
        ("run it's", {"don't run it's", "run it's not"}),
        ("plan 't go", set()),
        ("dogs", set()),
        ("", set()),
    ],
)
def test_candidates_of_a_text(text, expected):
    assert negated(text) == {(one,) for one in expected}


def test_columns_are_tagged_and_looked_at_apart():
    assert negated("he is", "not good") == {("he isn't", "not good"), ("he is", " good")}


def test_official_count_rejects_what_shifts_later_words():
    text = "it is good that he can't go"
    aligned, official = negated(text), negated(text, official_count=True)
    assert aligned - official == set()  # each of these stands in place
    assert official == {("it isn't good that he can't go",), ("it is good that he can go",)}
    text = "no dogs went far home"
    assert negated(text) == {("dogs went far home",), ("no dogs didn't go far home",)}
    assert negated(text, official_count=True) == set()
    assert negated("they went", official_count=True) == {("they didn't go",)}  # a shift past the end is not seen


def test_repeated_later_words_hide_a_shift_from_the_official_count():
    # The first or second "no" leaves "no no"; the last takes no space, as there is no text behind it.
    assert negated("no no no", official_count=True) == {("no no",), ("no no ",)}


def test_the_recipe_names_its_parts_and_plans_every_candidate():
    described = attack("negation").describe()
    goal = {"name": "remain", "success": "remains", "keeps_prediction": True, "maximises": False}
    assert described["search"] == "once" and described["goal"] == goal
    assert described["candidates"] == {
        "name": "negations", "tagger": "table", "lemmatizer": "lemma", "official_count": False
    }  # fmt: skip
    assert make_plan(attack("negation"), ("the film was not good",)).swaps == {3: ("",)}
    changed = attack("negation", negation_official_count=True)
    assert changed.plan_fingerprint() != attack("negation").plan_fingerprint()
