"""The answers that an owner remembers: every one after a place in the log, and nothing older.

Flows in: answers as they are decided, become durable, are undone or replayed. Flows out: whether an id was answered,
and from when on an id that is not here is surely new. What does not belong here: asking the store for older ones.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from chapar_sourcing.owner.blocks import Answer, AnswerId


class _Durable(NamedTuple):
    offset: int
    time_ms: int
    answer_id: AnswerId


class Answers:
    """Answers by id, and the durable ones in the order of the log."""

    def __init__(self) -> None:
        self._held: dict[AnswerId, Answer] = {}
        self._durable: deque[_Durable] = deque()
        self.complete_after = -1
        """Every answer after this offset is held: M of the design, at or below the confirmed checkpoint."""
        self.surely_new_after_ms: int | None = None
        """Ids of a later time than this plus the margin were never answered at or before `complete_after`: F of the
        design. None: memory began with the log, so that every id that it does not know is new."""

    def __len__(self) -> int:
        return len(self._held)

    def start(self, offset: int, time_ms: int) -> None:
        """Begins after a checkpoint: its offset and the clock of the last record in it."""
        self.complete_after = offset
        self.surely_new_after_ms = time_ms

    def get(self, answer_id: AnswerId) -> Answer | None:
        """The answer to an id, durable or not; None when it is not held."""
        return self._held.get(answer_id)

    def decided(self, answer_id: AnswerId, answer: Answer) -> None:
        """Takes in an answer whose block is not durable yet."""
        self._held[answer_id] = answer

    def undone(self, answer_id: AnswerId) -> None:
        """Forgets an answer whose block never counts."""
        del self._held[answer_id]

    def durable(self, answer_id: AnswerId, answer: Answer) -> None:
        """Notes an answer whose block counts; called in the order of the log."""
        assert answer.position is not None, "a durable answer has a place"
        self._held[answer_id] = answer
        self._durable.append(_Durable(answer.position.offset, answer.time_ms, answer_id))

    def evict(self, floor: int, *, answers_max: int, before_ms: int, at_once_max: int) -> int:
        """Lets the oldest go while they are at or below `floor` and either more than `answers_max` are held or they
        are older than `before_ms`; at most `at_once_max`. Says how many went."""
        evicted = 0
        while evicted < at_once_max and self._durable:
            oldest = self._durable[0]
            crowded = len(self._durable) > answers_max
            if oldest.offset > floor or not (crowded or oldest.time_ms < before_ms):
                break
            self._let_go(self._durable.popleft())
            evicted += 1
        return evicted

    def _let_go(self, oldest: _Durable) -> None:
        """Ids of its block are at most the margin ahead of the block's clock: that is what F rests on."""
        self.complete_after = oldest.offset
        self.surely_new_after_ms = max(self.surely_new_after_ms or 0, oldest.time_ms)
        held = self._held.get(oldest.answer_id)
        if held is not None and held.position is not None and held.position.offset == oldest.offset:
            del self._held[oldest.answer_id]
