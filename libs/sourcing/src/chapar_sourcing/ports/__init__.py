"""What the engine needs from the world. Each port has one conformance suite that every adapter passes."""

from chapar_sourcing.ports.journal import (
    Appended,
    AppendRejected,
    AppendUnknown,
    Journal,
    JournalRecord,
    LogReader,
    OffsetOutOfRange,
)
from chapar_sourcing.ports.keys import KeyRow, KeyStore
from chapar_sourcing.ports.members import Announcement, Beat, Members, News, OwnersAway, Placement
from chapar_sourcing.ports.store import (
    Checkpoint,
    Cursor,
    DocumentWrite,
    Expiry,
    Purged,
    Row,
    Store,
    StoreBehind,
)
from chapar_sourcing.ports.stream import Stream, StreamEntry

__all__ = [
    "Announcement",
    "AppendRejected",
    "AppendUnknown",
    "Appended",
    "Beat",
    "Checkpoint",
    "Cursor",
    "DocumentWrite",
    "Expiry",
    "Journal",
    "JournalRecord",
    "KeyRow",
    "KeyStore",
    "LogReader",
    "Members",
    "News",
    "OffsetOutOfRange",
    "OwnersAway",
    "Placement",
    "Purged",
    "Row",
    "Store",
    "StoreBehind",
    "Stream",
    "StreamEntry",
    "Unavailable",
]

from chapar_sourcing.ports.errors import Unavailable
