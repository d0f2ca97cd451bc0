"""The rules as one object, the way the engine wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_payments.domain import decide, evolve, needs
from chapar_payments.domain.documents import DOCUMENT_TYPES
from chapar_sourcing.domain import Document, Documents, Key, Refused, When


class PaymentsDomain:
    """Implements `chapar_sourcing.domain.Domain`."""

    service = "payments"
    command_type = journal.Command
    event_type = journal.Event
    documents: Mapping[str, type[Document]] = DOCUMENT_TYPES
    journals_refusals = True
    keeps_answers = True

    def needs(self, command: journal.Command) -> Sequence[Key]:
        """See `domain.needs`."""
        return needs.needs(command)

    def decide(self, documents: Documents, command: journal.Command, now_ms: int) -> Sequence[journal.Event] | Refused:
        """See `domain.decide`."""
        return decide.decide(documents, command, now_ms)

    def touches(self, event: journal.Event) -> Sequence[Key]:
        """See `domain.evolve`."""
        return evolve.touches(event)

    def evolve(self, key: Key, document: Document | None, event: journal.Event, when: When) -> Document | None:
        """See `domain.evolve`."""
        return evolve.evolve(key, document, event, when)
