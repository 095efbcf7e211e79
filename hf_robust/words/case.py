"""Give a substitute the case of the word it stands for."""

from __future__ import annotations


def match_case(new: str, like: str) -> str:
    """``new`` in the case pattern of ``like``, as TextAttack restores it.

    Lower case where ``like`` is lower, UPPER where it is upper and longer than one character, Capitalised where its
    first letter is upper and the others lower; anything else ("I", "iPhone") leaves ``new`` as it is.

    >>> match_case("fine", "GOOD"), match_case("fine", "Good"), match_case("Fine", "good"), match_case("you", "I")
    ('FINE', 'Fine', 'fine', 'you')
    """
    if like.islower():
        return new.lower()
    if like.isupper() and len(like) > 1:
        return new.upper()
    if like[:1].isupper() and like[1:].islower():
        return new.capitalize()
    return new
