"""What is protected: spans by kind, the words that they close, phrases of a file."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.words import Protection, Text, read_protection
from hf_robust.words.protected import KINDS

# What each kind finds in a text, and nothing else.
FOUND = [
    ("urls", "See http://www.a.com/x?y=1#z, www.b.co.uk. or (https://c.org)!", 3),
    ("urls", "Write to bit.ly/3abc or imdb.com/title/tt01 or foo.com.au; staff.nus.edu.sg/~x", 4),
    ("urls", "I like it.It was fine.the end and/or etc.", 0),
    ("emails", "Mail a.b+c@mail.example.co.uk or info@txt82228.co.uk.", 2),
    ("emails", "meet @ noon @bob", 0),
    ("mentions", "@bob and @eve_2, see @me@social.org; a@b.com is none", 3),
    ("hashtags", "#film #1stDay &#39; a#b #1", 2),
    ("numbers", "Pay £5.50 or 20,000 pounds by 9:30 am, 12/05/2006, 150p/msg, 50% off, 3.5 million dollars, 10km", 8),
    ("numbers", "May 5, 2006; the 12th of May; Sept. 8; US$19 billion; 5-3; -4 degrees", 7),
    ("numbers", "gr8 covid19 B2B two x_1", 0),
]


def strings(protection, column):
    return [column[start:end] for start, end in protection.spans(column)]


@pytest.mark.parametrize(("kind", "text", "count"), FOUND)
def test_each_kind_finds_its_own(kind, text, count):
    assert len(strings(Protection([kind]), text)) == count


def test_the_spans_are_whole():
    everything = Protection(tuple(KINDS))
    text = (
        "Pls call 09061701461 or visit www.movietrivia.tv, txt STOP to 87021 (£1.50perWK) #win @shop a@b.com by 9 pm!"
    )
    assert strings(everything, text) == [
        "09061701461", "www.movietrivia.tv", "87021", "£1.50perWK", "#win", "@shop", "a@b.com", "9 pm",
    ]  # fmt: skip
    # Overlapping spans are one.
    assert strings(everything, "http://a.com/9#x") == ["http://a.com/9#x"]


def test_phrases_go_by_words_whatever_their_case_and_white_space():
    phrases = Protection((), ["New York", "C++", "#MeToo", "U.S.", "acme", "New York Times"])
    text = "new  york and NEW YORK TIMES; c++ not c, #metoo, the u.s. and Acme, not acmes or new yorker"
    assert strings(phrases, text) == ["new  york", "NEW YORK TIMES", "c++", "#metoo", "u.s.", "Acme"]
    assert phrases.closed(Text(("Old and new York", "acmes acme"))) == {2, 3, 5}


@pytest.mark.parametrize("apostrophe", ["'", "\u2019", "\u02bc"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_phrase_is_found_however_a_text_writes_it(apostrophe, form):
    text = unicodedata.normalize(form, f"They don{apostrophe}t like a well\u2011made caf\u00e9 or cafe, nor हिन्दी")
    closed = {text.split()[1], "well\u2011made", unicodedata.normalize(form, "caf\u00e9"), "हिन्दी"}
    for own in ("NFC", "NFD"):
        for written in ("don't", "don\u2019t"):
            phrases = [unicodedata.normalize(own, one) for one in (written, "Well-made", "caf\u00e9", "हिन्दी")]
            assert set(strings(Protection((), phrases), text)) == closed
    assert strings(Protection((), ["cafe"]), text) == ["cafe"]


@given(st.text(st.sampled_from("ab12 .,@#£%/:-'www\n"), max_size=40), st.text(max_size=20))
def test_the_closed_words_are_those_that_a_span_overlaps(first, second):
    protection, text = Protection(tuple(KINDS), ["a b"]), Text((first, second))
    closed = protection.closed(text)
    for number, column in enumerate(text.columns):
        spans = protection.spans(column)
        assert spans == sorted(spans) and all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))
        inside = {place for start, end in spans for place in range(start, end)}
        for index, word in enumerate(text.words):
            if word.column == number:
                assert (index in closed) == bool(inside & set(range(word.start, word.end)))


def test_a_text_has_other_strings_exactly_where_a_span_is_made_or_broken():
    numbers = Protection(["numbers"])
    clean = numbers.strings(Text(("12 apples are 3 kg",)))
    assert clean == (("12", "3 kg"),)
    assert numbers.strings(Text(("12 pears are 3 kg",))) == clean
    for other in ("12 miles are 3 kg", "12 apples are 4 kg", "twelve apples are 3 kg", "12 apples are 3 pears"):
        assert numbers.strings(Text((other,))) != clean


def test_the_flag_reads_kinds_and_files(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("Acme\n\n  New York \n", encoding="utf-8")
    found = read_protection(["urls", f"word:{file}", "urls"])
    assert found.kinds == ("urls",) and found.phrases == ("Acme", "New York")
    assert found.describe() == {
        "kinds": ["urls"], "words": 2, "fingerprint": found.fingerprint(), "source": str(file),
    }  # fmt: skip
    file.write_text("Acme\nNew York", encoding="utf-8-sig")
    assert read_protection([f"word:{file}"]).phrases == ("Acme", "New York")
    assert read_protection([]) is None
    copy = tmp_path / "copy.txt"
    copy.write_text("new york\nacme", encoding="utf-8")
    assert read_protection(["urls", f"word:{copy}"]).fingerprint() == found.fingerprint()
    assert read_protection(["urls"]).fingerprint() != found.fingerprint()


def test_bad_protection_is_one_sentence(tmp_path):
    empty, odd = tmp_path / "empty.txt", tmp_path / "odd.txt"
    empty.write_text("\n \n"), odd.write_text("fine\n!!!\n")
    for specs, message in [
        (["links"], "--protect accepts urls, emails, mentions, hashtags, numbers and word:FILE, got links"),
        ([f"word:{tmp_path / 'none.txt'}"], "none.txt cannot be read .* one word or phrase per line"),
        ([f"word:{empty}"], "empty.txt names no word"),
        ([f"word:{odd}"], "odd.txt lists '!!!' as a word to protect, but it holds no word"),
    ]:
        with pytest.raises(ValueError, match=message):
            read_protection(specs)
