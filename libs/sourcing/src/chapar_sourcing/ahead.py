"""Documents for a replay, many in one question: a successor must not wait for its store once a block.

Flows in: the records that were read, what the owner asks for. Flows out: what the store has of that. The owner asks for
the documents that one block lacks; with them those of the blocks behind it are asked for, and kept here until it comes
to them. What is learned of later blocks decides nothing: the owner folds, and asks.

What is kept holds as long as the confirmed checkpoint is the one that it was asked with: whatever memory let go of
since was at or below that checkpoint, so that the store had it. And it is not used by an owner that decides: it asks
the store, which may show that another has written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Domain, Key, Stored
from chapar_sourcing.fold import FoldState
from chapar_sourcing.owner import OwnerPhase
from chapar_sourcing.ports import JournalRecord, Store, Unavailable
from chapar_sourcing.positions import Position

BYTES_MAX: Final = 256 * 1024
"""Bytes of records that are looked into at once, a record more at most: the process does nothing else meanwhile."""


class Replaying(Protocol):
    """What is asked of an owner."""

    phase: OwnerPhase
    fold: FoldState
    """Up to where it has folded."""

    def position_of(self, key: Key) -> Position | None:
        """None where memory does not know the document."""


class Ahead:
    """What is asked of one partition's store."""

    def __init__(
        self, *, partition: int, domain: Domain[Any, Any], owner: Replaying, store: Store, documents_max: int
    ) -> None:
        """`documents_max`: how many are asked for at once, where the block at hand does not lack more."""
        self._partition = partition
        self._domain = domain
        self._owner = owner
        self._store = store
        self._records: deque[JournalRecord] = deque()
        self._answered: dict[Key, Stored | None] = {}
        self._at_least = -1
        """The checkpoint that the last question was asked with."""
        self._documents_max = documents_max
        self._room = documents_max
        """Less while the store does not answer in time."""

    def take(self, records: Sequence[JournalRecord]) -> None:
        """These were read, and are folded next; none ends a replay."""
        self._records = deque(records)
        self._answered.clear()

    async def load(self, keys: Sequence[Key], *, at_least: int) -> Mapping[Key, Stored]:
        """The stored ones among `keys`. Raises `Unavailable`, `StoreBehind`."""
        while self._records and self._records[0].offset <= self._owner.fold.offset:
            self._records.popleft()
        if not self._records or self._owner.phase is OwnerPhase.OWNING:
            self._answered.clear()
            return await self._store.load(self._partition, keys, at_least=at_least)
        if at_least != self._at_least or not self._answered.keys() >= {*keys}:
            await self._ask(list(dict.fromkeys([*keys, *self._wanted(keys)])), at_least)
        found = ((key, self._answered.get(key)) for key in keys)
        return {key: stored for key, stored in found if stored is not None}

    async def _ask(self, keys: Sequence[Key], at_least: int) -> None:
        try:
            stored = await self._store.load(self._partition, keys, at_least=at_least)
        except Unavailable:
            # The next time less is asked for, down to what the block at hand lacks.
            self._room //= 2
            raise
        self._room = min(self._documents_max, self._room + max(1, self._room // 4))
        self._answered = {key: stored.get(key) for key in keys}
        self._at_least = at_least

    def _wanted(self, keys: Sequence[Key]) -> Sequence[Key]:
        """What the blocks ahead change and memory does not know, beside `keys`, as far as there is room."""
        asked = dict.fromkeys(keys)
        if len(asked) >= self._room:
            return []
        found: dict[Key, None] = {}
        for key in self._touched():
            if key not in asked and self._owner.position_of(key) is None:
                found[key] = None
                if len(asked) + len(found) >= self._room:
                    break
        return list(found)

    def _touched(self) -> Iterator[Key]:
        """What the records ahead change, void ones included, up to one that cannot be read: what is wrong with that the
        owner says when it comes to it."""
        size = 0
        for record in self._records:
            if size >= BYTES_MAX:
                return
            size += len(record.data)
            try:
                yield from self._keys_of(record)
            except Exception:
                return

    def _keys_of(self, record: JournalRecord) -> Sequence[Key]:
        entries = journal.Record.FromString(record.data).block.entries
        events = (self._domain.event_type.FromString(data) for entry in entries for data in entry.events.events)
        return [key for event in events for key in self._domain.touches(event)]
