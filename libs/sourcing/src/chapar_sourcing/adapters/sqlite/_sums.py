"""A checksum for each row: what is read is what was written, or nothing is read at all.

SQLite checks the frames of its write-ahead log and the shape of its pages, but not their content: a flipped bit in a
row is handed out as if it were data. The sum covers the row's key too, so that a row that answers for another is
found.
"""

from __future__ import annotations

import sqlite3
import zlib

import msgspec


class RowDamaged(Exception):
    """A row is not what was written."""


def is_damage(error: Exception) -> bool:
    """Whether an error says that a file is not what was written. A text that is none is told without a code."""
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", None) is None
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return isinstance(error, RowDamaged | UnicodeDecodeError)


_packed = msgspec.msgpack.Encoder().encode


def row_sum(data: bytes | None, *key: int | str | bytes) -> int:
    """The CRC-32 of a row: any flipped byte changes it. `key` is what the row is found by, and what goes with it."""
    return zlib.crc32(data or b"", zlib.crc32(_packed((data is None, *key))))


def check_sum(found: int | None, data: bytes | None, *key: int | str | bytes | None) -> None:
    """Raises `RowDamaged` where the sum is another. A row of the time before sums has none, but it has a whole key:
    what is read from a page that was cut off has not."""
    if not isinstance(data, bytes | None):
        raise RowDamaged(f"the row of {key} holds what is no data")
    whole = None not in key and (found is None or found == row_sum(data, *(part for part in key if part is not None)))
    if not whole:
        raise RowDamaged(f"the row of {key} is not what was written")
