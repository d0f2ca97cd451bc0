"""Which message of each conversation was taken in last: what is next, what is old, where there is a gap.

Pure: no calls, no disk. A conversation that this device has never seen has no entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from chapar.messaging.v1 import messaging_pb2 as messaging


class Arrival(Enum):
    """What a message is to this device."""

    NEXT = "next"
    OLD = "old"
    GAP = "gap"
    UNKNOWN = "unknown"
    """Of a conversation never seen here."""


class Sequences:
    """Last message taken in, by conversation; never goes back."""

    def __init__(self, applied: Mapping[str, int]) -> None:
        self._applied = dict(applied)
        self._changed: dict[str, int] = {}

    def judge(self, conversation_id: str, sequence: int) -> Arrival:
        """Compares a message with the last one taken in."""
        last = self._applied.get(conversation_id)
        if last is None:
            return Arrival.NEXT if sequence == 1 else Arrival.UNKNOWN
        if sequence <= last:
            return Arrival.OLD
        return Arrival.NEXT if sequence == last + 1 else Arrival.GAP

    def last(self, conversation_id: str) -> int:
        """The last message taken in; 0 when there is none."""
        return self._applied.get(conversation_id, 0)

    def advance(self, conversation_id: str, sequence: int) -> None:
        """Everything up to here is taken in, or not for this user's eyes."""
        if conversation_id not in self._applied or sequence > self._applied[conversation_id]:
            self._applied[conversation_id] = self._changed[conversation_id] = sequence

    def reset(self, rows: Iterable[messaging.InboxRow], *, fresh: bool) -> list[str]:
        """Takes in an inbox as a whole; answers the conversations with messages that are new here.

        On a fresh device, one that never had an inbox, what its user has read elsewhere counts as taken in. Later, a
        conversation that the device does not know is a new one and is shown from its first visible message.
        """
        behind = []
        for row in rows:
            floor = row.first_visible_sequence - 1
            if fresh and row.conversation_id not in self._applied:
                floor = max(floor, row.read_sequence)
            self.advance(row.conversation_id, max(floor, 0))
            if row.head_sequence > self._applied[row.conversation_id]:
                behind.append(row.conversation_id)
        return behind

    def drain_changes(self) -> list[tuple[str, int]]:
        """(conversation, sequence) changed since the last call, to be stored."""
        changes = list(self._changed.items())
        self._changed.clear()
        return changes
