"""Replacing, inserting and merging in context: blank by blank, then whole recipes, one text at a time."""

import importlib.util
from collections import OrderedDict

import numpy as np
import pytest
from attack_parts import (
    TAGS,
    LetterEncoder,
    TableTagger,
    all_close,
    attack,
    examples,
    masked_lm,
    probabilities_of,
    texts,
    victim,
)
from test_similarity import answered
from tiny import build_model
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM, set_seed

from hf_robust.attacks import Example, MaskedLM, attack_dataset
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.attacks.parts.contextual import Insert, Merge, Replace
from hf_robust.words import Text, coarse_tag

STOP_WORDS = frozenset({"the", "and", "was", "with", "very", "not"})
MERGE_PAIRS = {
    *[("NOUN", "NOUN"), ("ADJ", "NOUN"), ("ADJ", "NUM"), ("ADJ", "ADJ"), ("ADJ", "ADV"), ("ADV", "ADJ")],
    *[("ADV", "VERB"), ("VERB", "ADV"), ("VERB", "VERB"), ("VERB", "NOUN"), ("VERB", "ADJ"), ("DET", "NOUN")],
    *[("DET", "ADJ"), ("PRON", "NOUN"), ("PRON", "ADJ"), ("NUM", "NUM"), ("NUM", "NOUN")],
}


@pytest.fixture(scope="module")
def model():
    return masked_lm()


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


def sources(model):
    return [Replace(model, k=12), Insert(model, k=9), Merge(model, k=7, min_confidence=0.01, tagger=TableTagger())]


def words_of(filling, k, minimum):
    """Pairs of the first k, then those that are likely enough and have a letter."""
    pairs = list(zip(filling.words, filling.probabilities, strict=True))[:k]
    return [word for word, value in pairs if value >= np.float32(minimum) and any(c.isalpha() for c in word)]


def trimmed(text):
    """From the first word to the last."""
    drop = " .,!?()[]"
    return text.strip(drop)


def naive_swaps(source, draft, open_words):
    """Texts that the source's proposals make, from the words and the string alone; one question at a time."""
    text, found = draft.text, []
    words, joined = text.tokens, text.joined
    pieces = joined.replace("\n", " \n ").split(" ")
    assert [piece.strip(".\n") for piece in pieces if piece.strip(".\n")] == words, "the test's texts are simple"
    places = [place for place, piece in enumerate(pieces) if piece.strip(".\n")]

    def written(new):
        return " ".join(one for one in new if one is not None).replace(" \n ", "\n")

    for index in range(len(words)) if isinstance(source, Merge) else open_words:
        place, word = places[index], words[index]
        before, after, end = pieces[:place], pieces[place + 1 :], pieces[place].removeprefix(word)
        if isinstance(source, Replace):
            ask, make = [*before, "[MASK]" + end, *after], lambda new: [*before, new + end, *after]  # noqa: B023
            question = written(ask)
        elif isinstance(source, Insert):
            question = trimmed(written([*before, "[MASK]", word + end, *after]))
            make = lambda new: [*before, new, word + end, *after]  # noqa: B023, E731
            if index == 0:
                question = "no blank"
        else:
            tags = [coarse_tag(TAGS.get(one.lower(), "NN")) for one in words]
            if index + 1 >= len(words) or (tags[index], tags[index + 1]) not in MERGE_PAIRS:
                continue
            behind = pieces[place + 1].removeprefix(words[index + 1])
            rest = pieces[place + 2 :]
            make = lambda new: [*before, new + behind, *rest]  # noqa: B023, E731
            cut = index == 0 or index + 2 == len(words)
            question = "no blank" if cut else trimmed(written(make("[MASK]")))
        (filling,) = source.masked_lm.fill([question])
        found += [written(make(new)) for new in words_of(filling, source.k, source.min_confidence) if new != word]
    return found


@pytest.mark.parametrize("place", [0, 1, 2])
def test_proposals_equal_one_question_at_a_time(place, model):
    source, count = sources(model)[place], 0
    for columns in texts(25):
        draft = Draft(Text(columns))
        open_words = [index for index, word in enumerate(draft.text.tokens) if word.lower() not in STOP_WORDS]
        proposed = answered(source.propose(draft, open_words, RandomStates(0)), None)
        made = [draft.swap(index, new) for index, new in proposed]
        made += answered(source.rewrites(draft, open_words, RandomStates(0)), None)
        assert [one.text.joined for one in made] == naive_swaps(source, draft, open_words)
        count += len(made)
    assert count > 100


def test_blanks_of_one_text_are_one_request(model):
    draft = Draft(Text(("the good film was cold",)))
    for source in sources(model):
        steps = (source.rewrites if isinstance(source, Merge) else source.propose)(draft, range(5), RandomStates(0))
        steps.send(None)
        with pytest.raises(StopIteration):
            steps.send(model.fill(["[MASK]"] * len(list(source.blanks(draft.text, range(5))))))
        assert not source.planned
    assert answered(Replace(model).propose(draft, [], RandomStates(0)), None) == []


def test_merging_deletes_the_next_word_and_moves_what_was_changed():
    draft = Draft(Text(("the good film, was very cold.",))).swap(4, "not").swap(1, "bad")
    merged = draft.swap(3, "").swap(2, "plot")
    assert merged.text.columns == ("the bad plot, not cold.",)
    assert merged.modified == {1, 2, 3} and merged.last_modified == {2}
    assert merged.changes(Text(("the good film, was very cold.",))) == [
        [4, "very", "not"],
        [1, "good", "bad"],
        [3, "was", ""],
        [2, "film", "plot"],
    ]
    inserted = draft.swap(0, "so the")
    assert inserted.modified == {0, 1, 2, 5} and inserted.text.tokens[5] == "not"


def test_blanks_at_edges_and_at_closed_words(model):
    draft, tagger = Draft(Text(("good film was warm plot", "good film"))), TableTagger()

    def indices(source, open_words=range(7)):
        made = answered(source.rewrites(draft, open_words, RandomStates(0)), None)
        proposed = answered(source.propose(draft, open_words, RandomStates(0)), None)
        return {index for index, _ in proposed} | {index for one in made for index in one.swaps}

    assert indices(Insert(model)) == set(range(1, 7))
    assert indices(Insert(model, whole_text=True)) == set(range(7))
    assert indices(Merge(model, tagger=tagger)) == {2, 3}  # the last two words and the first two are cut open
    assert set(Merge(model, tagger=tagger).blanks(draft.text, ())) == {0, 2, 3, 5}
    assert indices(Merge(model, tagger=tagger), ()) == {2, 3}
    assert indices(Merge(model, tagger=tagger, open_only=True), {0, 1, 2, 3}) == {2}
    assert indices(Merge(model, tagger=tagger, whole_text=True)) == {0, 2, 3, 5}
    assert indices(Merge(model, tagger=tagger, whole_text=True, frozen=frozenset({0}))) == {5}
    kept = Replace(model, stop_words=frozenset({"was", "good"}))
    assert indices(kept) == {1, 3, 4, 6} and kept.fingerprint() != Replace(model).fingerprint()
    across = Draft(Text(("film", "plot good bad")))
    assert list(Merge(model, tagger=tagger).blanks(across.text, ())) == [0, 2]
    assert list(Merge(model, tagger=tagger, open_only=True).blanks(across.text, range(4))) == [2]


def recipe(name, model, **changes):
    return attack(name, masked_lm=model, stop_words=STOP_WORDS, **changes)


def run(which, target, rows, **options):
    return attack_dataset(which, target, rows, progress=False, **options)


class NaiveContextual:
    """A recipe on one example, one text at a time."""

    def __init__(self, which, target, example):
        self.which, self.target, self.example, self.queries = which, target, example, 0
        self.draft = Draft(Text(example.texts, which.word_rule))

    def ask(self, drafts):
        self.queries += len(drafts)
        return [float(1 - probabilities_of(self.target, one.text.columns)[self.example.label]) for one in drafts]

    def fooled(self, draft):
        return probabilities_of(self.target, draft.text.columns).argmax() != self.example.label

    def neighbours(self, draft, indices=None):
        everywhere = range(len(draft.text.tokens)) if indices is None else indices
        open_words = [i for i in everywhere if i not in draft.modified]
        if self.which.ranking:  # of clare's sources only the replacement leaves stop words alone
            open_words = [i for i in open_words if draft.text.tokens[i] not in STOP_WORDS]
        clean = Draft(draft.text.like(self.example.texts))
        steps = self.which.proposals(clean, draft, open_words, RandomStates(0))
        made = [draft.swap(index, new) for index, new in answered(steps, None)]
        made += answered(self.which.candidates.rewrites(draft, open_words, RandomStates(0)), None)
        made = [one for one in made if one.text.joined != draft.text.joined]
        return sorted(made, key=lambda one: one.text.joined)

    def record(self, status):
        return status, list(self.draft.text.columns), self.queries

    def run(self):
        (best,) = self.ask([self.draft])
        if self.fooled(self.draft):
            return self.record("skipped")
        return self.bae(best) if self.which.ranking else self.clare()

    def bae(self, best):
        clean = self.draft
        order = [i for i, word in enumerate(clean.text.tokens) if word not in STOP_WORDS]
        importance = self.ask([clean.swap(i, "") for i in order])
        # numpy's default sort decides between words of equal importance, as everywhere.
        for index in np.array(order)[(-np.array(importance, dtype=np.float32)).argsort()]:
            found = self.neighbours(self.draft, [index])
            scores = self.ask(found)
            if found and max(scores) > best + 1e-6:
                best, self.draft = max(scores), found[int(np.argmax(scores))]
                if self.fooled(self.draft):
                    return self.record("succeeded")
        return self.record("failed")

    def clare(self):
        while found := self.neighbours(self.draft):
            scores = self.ask(found)
            self.draft = found[int(np.argmax(scores))]
            if self.fooled(self.draft):
                return self.record("succeeded")
        return self.record("failed")


@pytest.mark.parametrize(("name", "columns", "count"), [("bae", 1, 30), ("bae", 2, 15), ("clare", 1, 8)])
def test_recipes_equal_one_text_at_a_time(name, columns, count, model, target):
    which, rows = recipe(name, model), examples(target, count, columns)
    expected = [NaiveContextual(which, target, row).run() for row in rows]
    found = run(which, target, rows)
    assert [(one.status, one.perturbed, one.queries) for one in found] == expected
    assert {one.status for one in found} >= {"skipped", "succeeded"}


@pytest.mark.parametrize("name", ["bae", "clare"])
def test_batches_and_order_change_nothing(name, target):
    rows = examples(target, 12)
    limited = {"query_budget": 300}
    first = run(recipe(name, masked_lm(), **limited), target, rows)
    one_by_one = run(recipe(name, masked_lm(token_budget=1), **limited), target, rows[::-1], live=1)
    assert all_close(first, one_by_one)
    assert max(one.queries for one in first) <= 300
    short = run(recipe(name, masked_lm(), query_budget=9), target, rows)
    assert {one.stop for one in short} >= {"budget"} and max(one.queries for one in short) == 9


def test_many_examples_share_the_models_batches(target):
    alone, together = masked_lm(), masked_lm()
    rows = examples(target, 30)
    run(recipe("bae", alone), target, rows, live=1)
    run(recipe("bae", together), target, rows)
    assert together.forwards * 4 < alone.forwards
    before = together.forwards
    run(recipe("bae", together), target, rows)
    assert together.forwards == before  # an epoch later nothing is asked again


def test_records_keep_every_constraint(model, target):
    rows = examples(target, 20)
    for record in run(recipe("bae", model, frozen_columns=frozenset({1})), target, examples(target, 20, 2)):
        assert record.original[1] == record.perturbed[1]
    for record in run(recipe("bae", model), target, rows):
        for _, old, new in record.changed:
            assert old not in STOP_WORDS
            tags = {coarse_tag(TAGS.get(word.strip("[]").lower(), "NN")) for word in (old, new)}
            assert len(tags) == 1 or tags == {"NOUN", "VERB"}


@pytest.mark.parametrize(("name", "minimum"), [("bae", 0.936338023), ("clare", 0.7)])
def test_texts_stay_similar_to_the_original(name, minimum, model, target):
    encoder, rows = LetterEncoder(), [Example(row.idx, (row.texts[0] * 3,), 0) for row in examples(target, 6)]
    labels = target.probabilities([row.texts for row in rows]).argmax(-1)
    rows = [row._replace(label=int(label)) for row, label in zip(rows, labels, strict=True)]
    which = recipe(name, model, encoder=encoder, query_budget=60)
    settings = {"metric": "cosine", "reference": "original", "window_size": 15, "skip_short": True}
    assert which.describe()["similarity"] == {
        "name": "sentence_similarity",
        "encoder": "letters",
        "minimum": minimum,
        **settings,
    }
    run(which, target, rows)
    assert encoder.asked


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bae", "clare"])
def test_odd_and_very_long_texts(name, model, target):
    odd = ["", " ", "...", "'-_*@", "good", "🎬🎬 good", "a\x00b\x07 good\r\n", "good" * 500]
    odd.append(" ".join(["good bad very"] * 100))
    labels = target.probabilities([(one,) for one in odd]).argmax(-1)
    rows = [Example(i, (one,), int(label)) for i, (one, label) in enumerate(zip(odd, labels, strict=True))]
    records = run(recipe(name, model, query_budget=50), target, rows)
    for record in records[:4]:
        assert (record.status, record.stop, record.queries) == ("failed", "no_candidates", 1)
    assert all(record.queries <= 50 for record in records)
    words = Draft(Text((odd[-1],)))
    for source in sources(model):
        swaps = answered(source.propose(words, range(300), RandomStates(0)), None)
        made = answered(source.rewrites(words, range(300), RandomStates(0)), None)
        places = [index for index, _ in swaps] + [index for one in made for index in one.swaps]
        assert 0 < max(places) < model.max_length


def test_missing_resources_are_one_sentence(model):
    for name in ("bae", "clare"):
        with pytest.raises(ValueError, match=f"the {name} attack needs a masked language model.*--masked_lm"):
            attack(name, masked_lm=None, stop_words=STOP_WORDS)
        with pytest.raises(ValueError, match=f"the {name} attack needs NLTK's English stop words"):
            attack(name, masked_lm=model, stop_words=None)
    with pytest.raises(ValueError, match="the clare attack needs a part-of-speech tagger"):
        recipe("clare", model, tagger=None)
    with pytest.raises(ValueError, match="merging words needs a part-of-speech tagger"):
        Merge(model)


def test_the_model_is_named_and_its_weights_are_in_the_fingerprint(model):
    which = recipe("clare", model)
    assert [one["name"] for one in which.describe()["candidates"]["sources"]] == [
        f"masked_lm_{kind}" for kind in ("replace", "insert", "merge")
    ]
    assert {one["masked_lm"] for one in which.describe()["candidates"]["sources"]} == {"tiny"}
    assert which.fingerprint() != recipe("clare", masked_lm("electra")).fingerprint()
    assert which.fingerprint() == recipe("clare", masked_lm()).fingerprint() != recipe("bae", model).fingerprint()
    replace, insert, merge = which.candidates.sources
    assert replace.stop_words == STOP_WORDS and (replace.k, insert.k, merge.k) == (50, 50, 50)
    assert (replace.min_confidence, insert.min_confidence, merge.min_confidence) == (5e-4, 0.0, 5e-3)
    moved = []
    model.to, original = lambda device: moved.append(device), model.to
    which.to("cpu")
    model.to = original
    assert moved == ["cpu"] * 3


def byte_level():
    """A random RoBERTa with a byte-level tokenizer, whose words begin with a mark for the space before them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, min_frequency=1, show_progress=False)
    tokenizer.train_from_iterator([*(one for (one,) in texts(200)), "isn't it (good), or: bad?"], trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), special, strict=True))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = RobertaConfig(vocab_size=len(fast), max_position_embeddings=80, initializer_range=0.5, **sizes)
    set_seed(0)
    return MaskedLM(RobertaForMaskedLM(config), fast, "byte level")


@pytest.fixture
def textattack(monkeypatch):
    """TextAttack, with flair's parts of speech taken from the test's table."""
    if importlib.util.find_spec("textattack") is None:
        pytest.skip("TextAttack is not installed (requirements-textattack.txt)")
    reason = "TextAttack is not imported without its dependency flair"
    module = pytest.importorskip("hf_robust.attacks.textattack.importing", reason=reason).import_textattack()

    def tag(text, index):
        return coarse_tag(TAGS.get(text.words[index].lower(), "NN"))

    monkeypatch.setattr(module.shared.AttackedText, "pos_of_word_index", tag)
    return module


ODD = [
    "-don't, (good) 'film'!  was",
    "[MASK] film plot",
    "film",
    " the 'cold-warm' plot film?",
    "<mask> bad plot, good",
]


@pytest.mark.parametrize("build", [masked_lm, byte_level])
@pytest.mark.parametrize("kind", ["Swap", "Insertion", "Merge"])
def test_proposals_equal_textattacks(kind, build, textattack):
    model = build()
    options = {"masked_language_model": model.model, "tokenizer": model.tokenizer, "max_length": 64}
    options |= {"max_candidates": 12, "min_confidence": 2e-3}
    theirs = getattr(textattack.transformations, f"Word{kind}MaskedLM")(**options)
    more = {"tagger": TableTagger()} if kind == "Merge" else {}
    ours = {"Swap": Replace, "Insertion": Insert, "Merge": Merge}[kind](model, 12, 2e-3, **more)
    count = 0
    for columns in [*texts(10), *texts(6, columns=2), *((one,) for one in ODD)]:
        names = OrderedDict(zip(("premise", "hypothesis"), columns, strict=False))
        draft, text = Draft(Text(columns)), textattack.shared.AttackedText(names)
        for _ in range(2):  # the second time on a text changed once
            made = theirs(text, indices_to_modify=set(range(len(text.words))))
            open_words = range(len(draft.text.words))
            swaps = answered(ours.propose(draft, open_words, RandomStates(0)), None)
            drafts = [draft.swap(index, new) for index, new in swaps]
            expected = [(one.tokenizer_input, one.attack_attrs) for one in made]
            found = [one.text.columns if len(columns) > 1 else one.text.columns[0] for one in drafts]
            assert sorted(found) == sorted(one for one, _ in expected)
            both = dict(zip(found, drafts, strict=True))
            for one, attributes in expected:
                assert both[one].modified == attributes["modified_indices"]
                assert both[one].last_modified == attributes["newly_modified_indices"]
            count += len(drafts)
            if not drafts:
                break
            draft, text = drafts[0], next(t for t in made if t.tokenizer_input == found[0])
    assert count > 100
