"""``WithInsertion``: a text to which an attack added something and of which it changed no word."""

from __future__ import annotations

from functools import cached_property

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Insertion
from hf_robust.words import Text


class WithInsertion(Draft):
    """The clean text with an insertion, such as a suffix or a trigger: its words are all new, and replace none."""

    def __init__(self, clean: Draft, insertion: Insertion) -> None:
        super().__init__(clean.text.like(insertion.columns), clean)
        self.insertion = insertion

    @property
    def keeps_count(self) -> bool:
        return False

    @cached_property
    def _modifications(self) -> tuple[set[int], set[int]]:
        _, column, start, end = self.insertion
        words = enumerate(self.text.words)
        new = {index for index, word in words if word.column == column and start <= word.start and word.end <= end}
        return new, new

    def changes(self, original: Text) -> list[list[object]]:
        """``[index, "", new]`` for each string between spaces of the insertion, beside word ``index``.

        This is the original's word before it, or the first word if there is none.
        """
        columns, column, start, end = self.insertion
        before = sum((word.column, word.end) <= (column, start) for word in original.words)
        return [[max(before - 1, 0), "", new] for new in columns[column][start:end].split()]
