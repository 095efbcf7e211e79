"""The picture of the rooms shows the imports that there are, and no other."""

from __future__ import annotations

import pytest
from test_layers import SIDEWAYS

from docs.generate import rooms


def reached(arrows: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(arrows[start])
    while waiting:
        room = waiting.pop()
        if room not in seen:
            seen.add(room)
            waiting += arrows[room]
    return seen


@pytest.mark.slow
def test_every_arrow_is_one_that_the_table_of_layers_allows() -> None:
    levels = rooms.floors()
    assert set(levels) == set(rooms.imports())
    for room, others in rooms.imports().items():
        for other in others:
            assert levels[room] > levels[other] or (room, other) in SIDEWAYS, (room, other)


def test_the_arrows_that_are_left_out_follow_from_those_that_are_shown() -> None:
    everything = {room: set(others) for room, others in rooms.imports().items()}
    shown: dict[str, set[str]] = {room: set() for room in everything}
    for room, other in rooms.drawn_arrows():
        shown[room].add(other)
    assert all(shown[room] <= everything[room] for room in everything)
    assert sum(map(len, shown.values())) < sum(map(len, everything.values()))
    for room in everything:
        assert reached(shown, room) == reached(everything, room), room


@pytest.mark.parametrize("dark", [False, True])
def test_every_room_is_in_the_picture_and_in_the_table(dark: bool) -> None:
    picture = rooms.picture(dark)
    for room in rooms.imports():
        assert f">{room}<" in picture and f"| `{room}` |" in rooms.table()
        assert rooms.purpose(room)
