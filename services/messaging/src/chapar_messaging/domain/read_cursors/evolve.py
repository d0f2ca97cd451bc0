"""What events make of read cursors."""

from __future__ import annotations

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_messaging.domain.read_cursors.documents import ReadCursor


def evolve_read_cursor(cursor: ReadCursor | None, event: journal.Event) -> ReadCursor:
    """The cursor after it moved."""
    sequence = event.read_cursor_moved.sequence
    assert cursor is None or sequence > cursor.sequence
    return ReadCursor(sequence)
