"""How far a user has read one conversation by their own word."""

from __future__ import annotations

from chapar_sourcing.domain import Document, Documents, Key

READ_CURSOR_KIND = "read_cursor"


class ReadCursor(Document, frozen=True, array_like=True):
    """The highest sequence that the user marked as read; it may be ahead of what the inbox knows."""

    sequence: int


def read_cursor_key(user_id: str, conversation_id: str) -> Key:
    """Where a read cursor is."""
    return Key(READ_CURSOR_KIND, user_id, conversation_id)


def read_sequence_in(documents: Documents, user_id: str, conversation_id: str) -> int:
    """The cursor among documents; 0 when nothing was marked."""
    found = documents.get(read_cursor_key(user_id, conversation_id))
    assert found is None or isinstance(found, ReadCursor)
    return found.sequence if found else 0
