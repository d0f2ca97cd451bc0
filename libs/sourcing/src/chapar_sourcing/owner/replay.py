"""Applying what the log holds to documents, at take-over.

The checkpoint is fuzzy: a stored document may be ahead of it, so each event is skipped, document by document, where
the document's position says that it is in already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Domain, Key, When, encode
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.owner.answers import Answers
from chapar_sourcing.owner.blocks import Answer
from chapar_sourcing.owner.memory import Memory
from chapar_sourcing.owner.projection import Projection
from chapar_sourcing.ports.journal import JournalRecord
from chapar_sourcing.ports.store import DocumentWrite
from chapar_sourcing.positions import Position
from chapar_sourcing.requests import scope_of


@dataclass(frozen=True, slots=True)
class _Happened:
    """An event of a block, with the documents that it changes."""

    event: Any
    position: Position
    keys: Sequence[Key]


class Replay:
    """A chunk of records on its way into memory."""

    def __init__(self, domain: Domain[Any, Any], memory: Memory, answers: Answers, projection: Projection) -> None:
        self._domain = domain
        self._memory = memory
        self._answers = answers
        self._projection = projection
        self._records: deque[tuple[int, bytes]] = deque()
        self._opened: tuple[int, Sequence[_Happened]] = (-1, ())
        """The block that was opened last, by its offset: it may wait for its documents more than once."""
        self.at_end = False
        """Whether the last chunk reached the end of the log."""

    @property
    def busy(self) -> bool:
        """Whether records wait for documents."""
        return bool(self._records)

    def wanted(self) -> Iterator[Key]:
        """The documents of the block that waits for some of them."""
        if self._records and self._records[0][0] == self._opened[0]:
            for one in self._opened[1]:
                yield from one.keys

    def take(self, records: Sequence[JournalRecord], at_end: bool) -> None:
        """Takes in a chunk."""
        self._records.extend((record.offset, record.data) for record in records)
        self.at_end = at_end

    def records(self) -> Iterator[tuple[int, bytes]]:
        """The records, each once."""
        while self._records:
            yield self._records.popleft()

    def put_back(self, offset: int, data: bytes) -> None:
        """Keeps a record for later: its documents are not there yet."""
        self._records.appendleft((offset, data))

    def clear(self) -> None:
        """Forgets the chunk."""
        self._records.clear()

    def missing(self, offset: int, block: journal.Block) -> list[Key]:
        """Documents that the block changes and memory does not know. Raises `LogDamaged`."""
        return [key for one in self._open(offset, block) for key in one.keys if key not in self._memory]

    def apply(self, offset: int, block: journal.Block) -> None:
        """Evolves documents and notes answers. Raises `LogDamaged` when the rules cannot follow the log."""
        changed: dict[Key, None] = {}
        for one in self._open(offset, block):
            try:
                changed.update(dict.fromkeys(self._evolve(one, block.time_ms)))
            except Exception as error:
                raise _unfollowable(one.position, error) from error
        for key in changed:
            slot = self._memory.slot(key)
            assert slot is not None, "a changed document is in memory"
            after = None if slot.value is None else encode(slot.value)
            self._projection.add(DocumentWrite(key, slot.position, after, block.time_ms))
        self._note_answers(offset, block)

    def _note_answers(self, offset: int, block: journal.Block) -> None:
        first = 0
        for entry in block.entries:
            try:
                answer_id = (scope_of(entry.actor), entry.request_id)
            except ValueError as error:
                raise _unfollowable(Position(offset, first), error) from error
            answer = Answer(entry, block.time_ms, Position(offset, first))
            self._answers.durable(answer_id, answer)
            self._projection.add_answer(answer_id, answer)
            first += len(entry.events.events)

    def _open(self, offset: int, block: journal.Block) -> Sequence[_Happened]:
        if self._opened[0] != offset:
            events = (data for entry in block.entries for data in entry.events.events)
            self._opened = offset, [self._happened(data, Position(offset, n)) for n, data in enumerate(events)]
        return self._opened[1]

    def _happened(self, data: bytes, position: Position) -> _Happened:
        try:
            event = self._domain.event_type.FromString(data)
            return _Happened(event, position, self._domain.touches(event))
        except Exception as error:
            raise _unfollowable(position, error) from error

    def _evolve(self, one: _Happened, time_ms: int) -> Iterator[Key]:
        for key in one.keys:
            slot = self._memory.slot(key)
            assert slot is not None, "replay loads what it changes"
            if one.position > slot.position:
                slot.value = self._domain.evolve(key, slot.value, one.event, When(time_ms))
                slot.position = one.position
                yield key


def _unfollowable(position: Position, error: Exception) -> LogDamaged:
    return LogDamaged(f"the event at {position.offset}/{position.event_index} cannot be applied: {error!r}")
