"""Rows of a store's tables, read and checked: what is not what was written is never handed out.

A document that is not found, and the end of a list, are believed only beside neighbours that are whole: a key with a
flipped bit hides its row from everybody who looks for it, and all rows behind it from a list, but stands where the row
was.
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
_DOWN = "partition DESC, kind DESC, parent DESC, id DESC"
_NEXT = f"{_DOCUMENTS} WHERE ({_ORDER}) >= (?, ?, ?, ?) ORDER BY {_ORDER} LIMIT 1"
_BEFORE = f"{_DOCUMENTS} WHERE ({_ORDER}) < (?, ?, ?, ?) ORDER BY {_DOWN} LIMIT 1"
_NO_TOMBSTONE = "NOT (partition = ? AND kind = ? AND parent = ? AND data IS NULL)"
_FOLLOWING = f"{_DOCUMENTS} WHERE ({_ORDER}) > (?, ?, ?, ?) AND {_NO_TOMBSTONE} ORDER BY {_ORDER} LIMIT 1"
_PRECEDING = f"{_DOCUMENTS} WHERE ({_ORDER}) < (?, ?, ?, ?) AND {_NO_TOMBSTONE} ORDER BY {_DOWN} LIMIT 1"
_ROWS = "SELECT partition, key, row, field, value, sum FROM rows"
_ROWS_BEFORE = f"""{_ROWS} WHERE (partition, key) < (?, ?)
    ORDER BY partition DESC, key DESC, row DESC, field DESC LIMIT 1"""
_ROWS_AFTER = f"""{_ROWS} WHERE (partition, key, row, field) > (?, ?, ?, ?)
    ORDER BY partition, key, row, field LIMIT 1"""


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


def read_group(
    connection: sqlite3.Connection, shelf: int, kind: str, parent: str, *, after: str, before: str | None,
    descending: bool, limit: int,
) -> list[tuple[Key, Stored]]:  # fmt: skip
    """Live documents of a group with `after` < id < `before`, at most `limit`. Raises `RowDamaged`."""
    group = (shelf, kind, parent)
    where = "WHERE partition = ? AND kind = ? AND parent = ? AND id > ? AND data IS NOT NULL"
    bound, bounds = ("", ()) if before is None else ("AND id < ?", (before,))
    tail = f"{where} {bound} ORDER BY id {'DESC' if descending else 'ASC'} LIMIT ?"
    found = _checked(connection, f"{_DOCUMENTS} {tail}", (*group, after, *bounds, limit))
    # No key holds a NUL: this is above all of the group, and below whatever comes next.
    low, high = (*group, after), (shelf, kind, f"{parent}\0", "") if before is None else (*group, before)
    _checked(connection, *((_NEXT, high) if descending else (_BEFORE, low)))
    if len(found) < limit:
        last = found[-1][:4] if found else (high if descending else low)
        for beyond in _checked(connection, _PRECEDING if descending else _FOLLOWING, (*last, *group)):
            if low < beyond[:4] < high:
                raise RowDamaged(f"documents around {beyond[:4]} are out of order")
    return [(Key(*document[1:4]), _stored(document)) for document in found]


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
    of_key = f"{_ROWS} WHERE partition = ? AND key = ? ORDER BY row, field"
    rows = _checked_rows(connection, of_key, (shelf, key))
    _checked_rows(connection, _ROWS_BEFORE, (shelf, key))
    for beyond in _checked_rows(connection, _ROWS_AFTER, rows[-1][:4] if rows else (shelf, key, "", "")):
        if beyond[:2] <= (shelf, key):
            raise RowDamaged(f"rows around {beyond[:4]} are out of order")
    found: dict[str, dict[str, bytes]] = {}
    for _, _, row, name, value, _ in rows:
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


_RowOfField = tuple[int, str, str, str, bytes, int | None]


def _checked_rows(connection: sqlite3.Connection, query: str, values: Sequence[object]) -> list[_RowOfField]:
    found: list[_RowOfField] = connection.execute(query, values).fetchall()
    for shelf, key, row, name, value, checksum in found:
        check_sum(checksum, value, shelf, key, row, name)
    return found


def _stored(document: _Document) -> Stored:
    return Stored(Position(document[4], document[5]), document[7])
