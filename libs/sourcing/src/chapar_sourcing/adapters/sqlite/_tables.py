"""Rows of a store's tables, read and checked: what is not what was written is never handed out.

A document that is not found is believed only beside neighbours that are whole: a key with a flipped bit hides its row
from everybody who looks for it, but stands where the row was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from chapar_sourcing.adapters.sqlite._sums import RowDamaged, check_sum
from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, Cursor, Row
from chapar_sourcing.positions import Position

_DOCUMENTS = "SELECT partition, kind, parent, id, offset, event_index, time_ms, data, sum FROM documents"
_NEVER_MS = 1 << 62
_ORDER = "partition, kind, parent, id"
_NEXT = f"{_DOCUMENTS} WHERE ({_ORDER}) >= (?, ?, ?, ?) ORDER BY {_ORDER} LIMIT 1"
_BEFORE = (
    f"{_DOCUMENTS} WHERE ({_ORDER}) < (?, ?, ?, ?) ORDER BY partition DESC, kind DESC, parent DESC, id DESC LIMIT 1"
)


def read_document(connection: sqlite3.Connection, shelf: int, key: Key) -> Stored | None:
    """One document. Raises `RowDamaged`."""
    at = (shelf, *key)
    for following in _checked(connection, _NEXT, at):
        if following[:4] == at:
            return _stored(following)
        if following[:4] < at:
            raise RowDamaged(f"documents around {at} are out of order")
    for before in _checked(connection, _BEFORE, at):
        if before[:4] > at:
            raise RowDamaged(f"documents around {at} are out of order")
    return None


def read_documents(connection: sqlite3.Connection, tail: str, values: Sequence[object]) -> list[tuple[Key, Stored]]:
    """Documents as `tail` of the query selects and orders them. Raises `RowDamaged`."""
    found = _checked(connection, f"{_DOCUMENTS} {tail}", values)
    return [(Key(*document[1:4]), _stored(document)) for document in found]


def read_ages(connection: sqlite3.Connection, shelf: int, after: Key | None, limit: int) -> list[tuple[Key, int, bool]]:
    """(key, time of its last change, whether it is a tombstone) of the next documents above `after`, in order; those
    of the time before times count as of the latest. Raises `RowDamaged`."""
    tail = f"WHERE partition = ? AND (kind, parent, id) > (?, ?, ?) ORDER BY {_ORDER} LIMIT ?"
    found = _checked(connection, f"{_DOCUMENTS} {tail}", (shelf, *(after or ("", "", "")), limit))
    return [(Key(*row[1:4]), _NEVER_MS if row[6] is None else row[6], row[7] is None) for row in found]


def read_checkpoint(connection: sqlite3.Connection, shelf: int) -> Checkpoint | None:
    """The checkpoint of a shelf. Raises `RowDamaged`."""
    query = "SELECT journal_id, generation, offset, fold, sum FROM checkpoints WHERE partition = ?"
    found = connection.execute(query, (shelf,)).fetchone()
    if found is None:
        return None
    check_sum(found[4], found[3], shelf, *found[:3])
    return Checkpoint(found[0], found[1], msgspec.msgpack.decode(found[3], type=FoldState))


def read_rows(connection: sqlite3.Connection, shelf: int, key: str) -> list[Row]:
    """All rows of a key. Raises `RowDamaged`."""
    found: dict[str, dict[str, bytes]] = {}
    query = "SELECT row, field, value, sum FROM rows WHERE partition = ? AND key = ? ORDER BY row"
    for row, name, value, checksum in connection.execute(query, (shelf, key)):
        check_sum(checksum, value, shelf, key, row, name)
        found.setdefault(row, {})[name] = value
    return [Row(key, row, fields) for row, fields in found.items()]


def read_cursors(connection: sqlite3.Connection, partition: int) -> dict[str, Cursor]:
    """All cursors of a partition. Raises `RowDamaged`."""
    query = """SELECT name, offset, event_index, hash, last_offset, last_event_index, sum FROM cursors
        WHERE partition = ?"""
    found = {}
    for name, offset, event_index, digest, last_offset, last_event_index, checksum in connection.execute(
        query, (partition,)
    ):
        check_sum(checksum, None, partition, name, offset, event_index, digest, last_offset, last_event_index)
        found[name] = Cursor(Position(offset, event_index), digest, Position(last_offset, last_event_index))
    return found


_Document = tuple[int, str, str, str, int, int, int | None, bytes | None, int | None]


def _checked(connection: sqlite3.Connection, query: str, values: Sequence[object]) -> list[_Document]:
    found: list[_Document] = connection.execute(query, values).fetchall()
    for document in found:
        time_ms = () if document[6] is None else (document[6],)
        check_sum(document[8], document[7], *document[:6], *time_ms)
    return found


def _stored(document: _Document) -> Stored:
    return Stored(Position(document[4], document[5]), document[7])
