"""What deciding about a read cursor reads."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_messaging.domain.read_cursors.documents import read_cursor_key
from chapar_sourcing.domain import Key


def needs_of_mark_read(command: journal.MarkRead) -> Sequence[Key]:
    """The cursor."""
    return [read_cursor_key(command.user_id, command.conversation_id)]
