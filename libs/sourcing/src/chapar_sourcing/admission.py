"""Whether a command can still make its deadline: how long commands have taken lately, and who waits already.

Flows in: appends as they are sent and end. Flows out: an estimate, in milliseconds. An idle owner admits everybody: an
estimate that nobody can put right by being admitted would be for ever.
"""

from __future__ import annotations

from collections import deque

SMOOTHING = 0.3
"""Weight of the newest append in the mean."""


class Admission:
    """One partition's. All times are milliseconds of the owner's clock."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._append_ms = 0.0
        """How long an append takes, as a moving mean."""
        self._under_way: deque[int] = deque()
        """When each append under way was sent: one, or more where a claim follows a block whose fate is unknown."""

    def sent(self, now_ms: int) -> int:
        """An append begins; says what to tell `ended`."""
        self._under_way.append(now_ms)
        return now_ms

    def ended(self, sent_ms: int, now_ms: int) -> None:
        """It has ended, however."""
        self._under_way.remove(sent_ms)
        self._append_ms += SMOOTHING * (now_ms - sent_ms - self._append_ms)

    def expected_ms(self, waiting: int, now_ms: int) -> float:
        """How long a command that comes now will take, with `waiting` before it: the rest of the append under way,
        which takes as long again as it has taken or as the mean, then a block for each `entries_max` of them."""
        if not self._under_way and waiting == 0:
            return 0.0
        under_way_ms = max(self._append_ms, now_ms - self._under_way[0]) if self._under_way else 0.0
        return under_way_ms + self._append_ms * (1 + waiting // self._entries_max)
