"""``FileList``: a list in a file."""

import copy
import pickle
import random

import pytest

from hf_robust.runs import FileDict, FileList, Ranks, file_list, ranks


@pytest.mark.parametrize("limit", [1, 100, 2**20])
def test_it_is_the_list_of_its_items(limit, monkeypatch):
    monkeypatch.setattr(file_list, "IN_MEMORY", limit)
    draw = random.Random(0)
    items = [{"idx": draw.randrange(50), "text": "x" * draw.randrange(40), "nan": None} for _ in range(60)]
    stored = FileList(items[:20])
    stored.extend(iter(items[20:59]))
    assert stored[-1] == items[58]  # reading does not move where the next item goes
    stored.append(items[59])
    assert stored == items and items == stored and stored == FileList(items) and len(stored) == 60
    assert stored != items[:-1] and stored != [*items[:-1], {}] and stored != "text"
    assert (stored[0], stored[-1], stored[3:9:2], items[7] in stored) == (items[0], items[-1], items[3:9:2], True)
    with pytest.raises(IndexError):
        stored[60]
    for key in (lambda item: item["idx"], lambda item: len(item["text"])):  # equal keys keep their order
        stored.sort(key)
        items.sort(key=key)
        assert list(stored) == items and stored[5] == items[5]
    stored.append(items[0])
    assert list(stored) == [*items, items[0]]
    assert (stored._file._rolled) == (limit < 2**20)


def test_a_dict_keeps_the_last_value_of_a_key():
    stored, expected, draw = FileDict(), {}, random.Random(1)
    for number in range(200):
        key = draw.randrange(40)
        stored[key] = expected[key] = [number]
    assert dict(stored) == expected and len(stored) == len(expected) and 41 not in stored and stored.get(41) is None
    with pytest.raises(KeyError):
        stored[41]


def test_two_readers_do_not_disturb_each_other():
    stored = FileList(range(100))
    assert [a + b for a, b in zip(stored, stored, strict=True)] == [2 * number for number in range(100)]


def test_what_was_read_is_a_copy_and_a_copy_is_a_list():
    stored = FileList([[1], [2]])
    stored[0].append(5)
    assert stored == [[1], [2]]
    for other in (copy.deepcopy(stored), pickle.loads(pickle.dumps(stored))):
        assert type(other) is list and other == stored


@pytest.mark.parametrize("part", [1, 2, 1000])
def test_ranks_gather_items_in_parts(part, monkeypatch):
    monkeypatch.setattr(ranks, "PART", part)
    shares = [["a", "b", "c", "d", "e"], [], ["f", "g"]]

    class OneOfThree(Ranks):
        def gather(self, value):
            if isinstance(value, int):
                return [len(share) for share in shares]
            start = shares[0].index(value[0])
            return [share[start : start + part] for share in shares]

    assert sorted(OneOfThree(0, 3).gather_items(shares[0])) == list("abcdefg")
    assert list(Ranks().gather_items("xyz")) == ["x", "y", "z"] and not list(Ranks().gather_items([]))
