"""Applying what the log holds to documents, at take-over.

The checkpoint is fuzzy: a stored document may be ahead of it, so each event is skipped, document by document, where
the document's position says that it is in already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Domain, Key, When, encode
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.owner.blocks import Answer, AnswerId
from chapar_sourcing.owner.memory import Memory
from chapar_sourcing.owner.projection import Projection
from chapar_sourcing.ports.journal import JournalRecord
from chapar_sourcing.ports.store import DocumentWrite
from chapar_sourcing.positions import Position
from chapar_sourcing.requests import scope_of


class Replay:
    """A chunk of records on its way into memory."""

    def __init__(
        self, domain: Domain[Any, Any], memory: Memory, answers: dict[AnswerId, Answer], projection: Projection
    ) -> None:
        self._domain = domain
        self._memory = memory
        self._answers = answers
        self._projection = projection
        self._records: deque[tuple[int, bytes]] = deque()
        self.at_end = False
        """Whether the last chunk reached the end of the log."""

    @property
    def busy(self) -> bool:
        """Whether records wait for documents."""
        return bool(self._records)

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

    def missing(self, block: journal.Block) -> list[Key]:
        """Documents that the block changes and memory does not know."""
        return [
            key
            for entry in block.entries
            for data in entry.events.events
            for key in self._domain.touches(self._parse(data))
            if key not in self._memory
        ]

    def apply(self, offset: int, block: journal.Block) -> None:
        """Evolves documents and notes answers. Raises `LogDamaged` when the rules cannot follow the log."""
        changed: set[Key] = set()
        place = 0
        for entry in block.entries:
            first = Position(offset, place)
            for data in entry.events.events:
                try:
                    changed.update(self._evolve(self._parse(data), Position(offset, place), block.time_ms))
                except Exception as error:
                    raise LogDamaged(f"the event at {offset}/{place} cannot be applied: {error!r}") from error
                place += 1
            answer = Answer(entry, block.time_ms, first)
            answer_id = (scope_of(entry.actor), entry.request_id)
            self._answers[answer_id] = answer
            self._projection.add_answer(answer_id, answer)
        for key in changed:
            slot = self._memory.slot(key)
            assert slot is not None, "a changed document is in memory"
            after = None if slot.value is None else encode(slot.value)
            self._projection.add(DocumentWrite(key, slot.position, after))

    def _parse(self, data: bytes) -> Any:
        return self._domain.event_type.FromString(data)

    def _evolve(self, event: Any, position: Position, time_ms: int) -> Iterator[Key]:
        for key in self._domain.touches(event):
            slot = self._memory.slot(key)
            assert slot is not None, "replay loads what it changes"
            if position > slot.position:
                slot.value = self._domain.evolve(key, slot.value, event, When(time_ms))
                slot.position = position
                yield key
