"""The rules as one object, the way the engine wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar_presence.domain import decide, due, evolve, needs
from chapar_presence.domain.documents import DOCUMENT_TYPES
from chapar_sourcing.domain import Document, Documents, Key, Refused, When
from chapar_sourcing.timers import DueTimer


class PresenceDomain:
    """Implements `chapar_sourcing.domain.Domain`."""

    service = "presence"
    command_type = journal.Command
    event_type = journal.Event
    documents: Mapping[str, type[Document]] = DOCUMENT_TYPES
    journals_refusals = False
    keeps_answers = False

    def needs(self, command: journal.Command) -> Sequence[Key]:
        """See `domain.needs`."""
        return needs.needs(command)

    def decide(self, documents: Documents, command: journal.Command, now_ms: int) -> Sequence[journal.Event] | Refused:
        """See `domain.decide`."""
        return decide.decide(documents, command, now_ms)

    def due(self, timer: DueTimer) -> journal.Command:
        """See `domain.due`."""
        return due.due(timer)

    def touches(self, event: journal.Event) -> Sequence[Key]:
        """See `domain.evolve`."""
        return evolve.touches(event)

    def evolve(self, key: Key, document: Document | None, event: journal.Event, when: When) -> Document | None:
        """See `domain.evolve`."""
        return evolve.evolve(key, document, event, when)
