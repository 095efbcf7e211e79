"""A causal language model's log probabilities, and the constraints that ask for them."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import SPECIAL, build_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, set_seed

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Consult
from hf_robust.attacks.models.language_model import CausalLanguageModel, load_language_model
from hf_robust.attacks.parts.fluency import LikeliestSwaps, MaxLikelihoodDrop
from hf_robust.words import Text

PAIRS = [
    ("", "good film"),
    ("good", "film"),
    ("a very good", "picture"),
    ("", "splendid"),
    ("the", "dreadful music"),
    ("", ""),
    ("film", ""),
]


def build_lm(tokenizer=None, **options):
    tokenizer = build_tokenizer() if tokenizer is None else tokenizer
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.5}
    set_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", vocab_size=len(tokenizer), **sizes))
    return CausalLanguageModel(model, tokenizer, "tiny", **options)


def naive(lm, context, text):
    """One token at a time, nothing padded."""
    first = lm.tokenizer(context, add_special_tokens=False)["input_ids"]
    ids = [lm.tokenizer.cls_token_id, *lm.tokenizer(f"{context} {text}", add_special_tokens=False)["input_ids"]]
    total = 0.0
    for place in range(len(first) + 1, len(ids)):
        with torch.no_grad():
            logits = lm.model(input_ids=torch.tensor([ids[:place]])).logits[0, -1].double()
        total += float(logits.log_softmax(-1)[ids[place]])
    return total


class ByTable:
    """Log probabilities by the last word, whatever stands before; remembers what it was asked."""

    name = "by table"

    def __init__(self, **values):
        self.values, self.asked = values, []

    def log_probabilities(self, inputs):
        self.asked += inputs
        return [sum(self.values.get(word, -9.0) for word in text.split()) for _, text in inputs]

    def fingerprint(self):
        return str(self.values)


def admitted(rule, current, drafts, original=None):
    """The answer of ``keeps``, with each consultation answered."""
    steps, answer = rule.keeps(original or current, current, drafts), None
    try:
        while True:
            request = steps.send(answer)
            assert isinstance(request, Consult)
            answer = request.model(request.inputs)
    except StopIteration as end:
        return end.value


def swapped(text, index, words):
    draft = Draft(Text((text,)))
    return draft, [draft.swap(index, word) for word in words]


def test_log_probabilities_are_the_models_whatever_the_batches():
    for budget in (1, 30, 1024):
        lm = build_lm(token_budget=budget)
        found = lm.log_probabilities(PAIRS)
        assert found == pytest.approx([naive(lm, *pair) for pair in PAIRS], abs=1e-4)
        assert found[-1] == found[-2] == 0.0
        assert lm.log_probabilities(PAIRS[::-1]) == found[::-1]
    assert lm.log_probabilities([]) == []


def test_a_distribution_over_next_words_sums_to_one():
    lm = build_lm()
    words = [word for word in lm.tokenizer.get_vocab() if word not in SPECIAL and not word.startswith("##")]
    assert 0 < sum(map(math.exp, lm.log_probabilities([("good", word) for word in words]))) <= 1


def test_answers_are_cached():
    lm, calls = build_lm(), []
    lm.model.register_forward_pre_hook(lambda *inputs: calls.append(1))
    first = lm.log_probabilities([*PAIRS, *PAIRS])
    count = len(calls)
    assert lm.log_probabilities(PAIRS) == first[: len(PAIRS)] and len(calls) == count == 1


def test_a_long_context_is_cut_on_the_left():
    lm = build_lm(max_length=5)
    long = " ".join(["bad"] * 30)
    (found,) = lm.log_probabilities([(f"{long} a very good", "film")])
    assert found == pytest.approx(naive(lm, "a very good", "film"), abs=1e-5)
    assert math.isfinite(lm.log_probabilities([("", long)])[0])


def test_a_model_without_a_start_token_or_that_is_not_there_is_refused(tmp_path):
    tokenizer = build_tokenizer()
    tokenizer.cls_token = None
    with pytest.raises(ValueError, match="no start or end token"):
        build_lm(tokenizer)
    with pytest.raises(
        ValueError, match="--language_model .* cannot be loaded .*; give the folder or Hub id"
    ) as error:
        load_language_model(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_folder_is_loaded_and_its_weights_are_the_fingerprint(tmp_path):
    lm = build_lm()
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    loaded = load_language_model(str(tmp_path))
    assert loaded.name == str(tmp_path) and loaded.fingerprint() == lm.fingerprint()
    assert loaded.log_probabilities(PAIRS) == pytest.approx(lm.log_probabilities(PAIRS), abs=1e-5)


def test_the_likeliest_of_each_word_are_kept_in_their_order():
    lm = ByTable(a=-1.0, b=-3.0, c=-2.0, d=-2.0, e=-4.0)
    current, drafts = swapped("good bad film", 1, "edcba")
    others = [current.swap(2, word) for word in "xy"]
    found = admitted(LikeliestSwaps(lm, top=3), current, [*drafts, *others])
    # Of the equal c and d both are in; with a top of 2 the one given first is.
    assert found == [drafts[1], drafts[2], drafts[4], *others]
    assert admitted(LikeliestSwaps(lm, top=2), current, drafts) == [drafts[1], drafts[4]]
    assert set(lm.asked) == {("good", word) for word in "abcde"}


def test_a_few_swaps_need_no_model():
    lm = ByTable()
    current, drafts = swapped("good bad film", 1, "abcd")
    assert admitted(LikeliestSwaps(lm, top=4), current, drafts) == drafts and lm.asked == []


@pytest.mark.parametrize(
    ("words", "index", "context"), [(1, 2, "bad"), (None, 2, "good bad"), (2, 3, "bad film"), (1, 0, "")]
)
def test_the_context_are_the_words_before(words, index, context):
    lm = ByTable()
    admitted(LikeliestSwaps(lm, top=1, context_words=words), *swapped("good bad film, story", index, "ab"))
    assert {context for context, _ in lm.asked} == {context}


def test_texts_whose_words_are_equal_have_no_likeliest():
    current, drafts = swapped("good, film", 0, ["good,"])
    assert admitted(LikeliestSwaps(ByTable()), current, drafts) == []


@pytest.mark.parametrize("reference", ["original", "previous"])
def test_a_drop_is_measured_over_the_window_and_must_be_less(reference):
    lm = ByTable(good=-1.0, fine=-5.9, bad=-6.0, odd=-3.0, film=0.0, a=0.0)
    clean = Draft(Text(("a good film",)))
    current = clean.swap(1, "odd")
    drafts = [current.swap(1, word) for word in ("fine", "bad", "good")]
    rule = MaxLikelihoodDrop(lm, window_size=3, reference=reference)
    expected = [drafts[0], drafts[2]] if reference == "original" else drafts
    assert admitted(rule, current, drafts, clean) == expected
    assert ("", "a fine film") in lm.asked


def test_the_window_has_so_many_words_without_punctuation():
    lm = ByTable()
    text = "one, two three. four five six seven eight"
    admitted(MaxLikelihoodDrop(lm, window_size=4), *swapped(text, 3, ["new"]))
    assert lm.asked == [("", "two three four five"), ("", "two three new five")]


def test_every_new_word_of_a_crossed_text_is_looked_at_and_none_may_lie_beyond():
    lm = ByTable(a=0.0, b=-3.0, c=-6.0)
    clean = Draft(Text(("a a a",)))
    rule = MaxLikelihoodDrop(lm, window_size=1)
    good, wrong = clean.swap_many({0: "b", 2: "b"}), clean.swap_many({0: "b", 2: "c"})
    longer = clean.swap(2, "a b")
    assert admitted(rule, clean, [wrong, good, longer]) == [good]
    same = clean.swap_many({})
    assert admitted(rule, clean, [same]) == [same]


def test_results_name_the_model():
    lm = ByTable(a=-1.0)
    for rule in (LikeliestSwaps(lm), MaxLikelihoodDrop(lm)):
        assert rule.describe()["language_model"] == "by table" and rule.fingerprint() == lm.fingerprint()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LikeliestSwaps(ByTable(), top=0), "top of at least 1"),
        (lambda: LikeliestSwaps(ByTable(), context_words=0), "context_words of at least 1"),
        (lambda: MaxLikelihoodDrop(ByTable(), window_size=0), "window_size of at least 1"),
        (lambda: MaxLikelihoodDrop(ByTable(), max_drop=-1), "max_drop of at least 0"),
        (lambda: MaxLikelihoodDrop(ByTable(), reference="clean"), "previous, original, got 'clean'"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
