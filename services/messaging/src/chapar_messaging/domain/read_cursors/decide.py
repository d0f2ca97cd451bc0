"""When a read cursor moves."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_messaging.domain import reasons
from chapar_messaging.domain.read_cursors.documents import read_sequence_in
from chapar_sourcing.domain import Documents, Refused


def mark_read(documents: Documents, command: journal.MarkRead) -> Sequence[journal.Event] | Refused:
    """CONVERSATION_UNKNOWN. Forward only; anything else is accepted and changes nothing."""
    if not command.listed:
        return Refused(reasons.CONVERSATION_UNKNOWN)
    if command.sequence <= read_sequence_in(documents, command.user_id, command.conversation_id):
        return []
    moved = journal.ReadCursorMoved(
        user_id=command.user_id, conversation_id=command.conversation_id, sequence=command.sequence
    )
    return [journal.Event(read_cursor_moved=moved)]
