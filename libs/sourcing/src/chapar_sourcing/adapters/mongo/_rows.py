"""Rows of a shelf and cursors of a partition.

Fields are kept as hexadecimal text: the protocol's binaries compare by their length first, texts by their bytes, so
that the server's maximum of two texts is the maximum of the bytes they stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chapar_sourcing.adapters.mongo._layout import (
    CURSOR_ORDER,
    CURSORS,
    ROW_ORDER,
    ROWS,
    joined,
    ordered_position,
    position_of,
)
from chapar_sourcing.adapters.mongo._link import Link, Session, Upsert
from chapar_sourcing.ports import Cursor, Row, Unavailable

TRIES_MAX = 20
"""How often writes are tried that others get ahead of."""
_NO_NAME = "%"
_RESERVED = {"%": "%25", ".": "%2E", "$": "%24"}
"""What the protocol understands in the name of a field, and how we write it."""


async def merge_rows(link: Link, shelves: Sequence[str], rows: Sequence[Row]) -> None:
    """Merges rows into each shelf, field by field, by maximum."""
    left = [_upsert(shelf, row) for shelf in shelves for row in rows if row.fields]
    for _ in range(TRIES_MAX):
        if not left:
            return
        written = await link.write(ROWS, left)
        left = [left[place] for place in written.duplicates]
    raise Unavailable(f"others keep inserting {len(left)} of the rows")


async def read_rows(link: Link, shelf: str, key: str, session: Session) -> list[Row]:
    """All rows of a key, in order."""
    found = await link.find(ROWS, {"shelf": shelf, "key": key}, order=ROW_ORDER, session=session)
    return [Row(one["key"], one["row"], _fields(one["fields"])) for one in found]


async def read_row_keys(link: Link, shelf: str, after: str, limit: int, session: Session) -> list[str]:
    """Distinct keys above `after`, in order, at most `limit`."""
    keys: dict[str, None] = {}
    while len(keys) < limit:
        where = {"shelf": shelf, "key": {"$gt": after}}
        page = await link.find(ROWS, where, fields=("key",), order=ROW_ORDER, limit=limit, session=session)
        if not page:
            break
        keys.update(dict.fromkeys(one["key"] for one in page))
        after = page[-1]["key"]
    return list(keys)[:limit]


async def write_cursor(link: Link, partition: int, name: str, cursor: Cursor) -> None:
    """Moves a cursor forward."""
    position = ordered_position(cursor.position)
    fields = {
        "partition": partition, "name": name, "position": position, "hash": cursor.hash,
        "last": ordered_position(cursor.last),
    }  # fmt: skip
    cursor_id = joined(str(partition), name)
    upsert = Upsert({"_id": cursor_id, "position": {"$lt": position}}, {"$set": fields})
    for _ in range(TRIES_MAX):
        if not (await link.write(CURSORS, [upsert])).duplicates:
            return
        stored = await link.find_one(CURSORS, {"_id": cursor_id}, newest=True)
        if stored is not None and stored["position"] >= position:
            return
    raise Unavailable(f"others keep writing the cursor {name}")


async def read_cursors(link: Link, partition: int) -> dict[str, Cursor]:
    """All cursors of a partition."""
    found = await link.find(CURSORS, {"partition": partition}, order=CURSOR_ORDER)
    return {one["name"]: _cursor(one) for one in found}


def _cursor(one: dict[str, Any]) -> Cursor:
    return Cursor(position_of(one["position"]), one["hash"], position_of(one["last"]))


def _upsert(shelf: str, row: Row) -> Upsert:
    fields = {f"fields.{field_name(name)}": value.hex() for name, value in row.fields.items()}
    named = {"shelf": shelf, "key": row.key, "row": row.row}
    return Upsert({"_id": joined(shelf, row.key, row.row)}, {"$setOnInsert": named, "$max": fields})


def _fields(stored: dict[str, str]) -> dict[str, bytes]:
    return {plain_name(name): bytes.fromhex(value) for name, value in stored.items()}


def field_name(name: str) -> str:
    """The name of a field as the protocol can carry it. Raises `ValueError` for one with a NUL."""
    if "\0" in name:
        raise ValueError("a name with a NUL cannot be stored")
    return "".join(_RESERVED.get(letter, letter) for letter in name) or _NO_NAME


def plain_name(stored: str) -> str:
    """The name that `field_name` was given."""
    if stored == _NO_NAME:
        return ""
    for letter, written in reversed(_RESERVED.items()):
        stored = stored.replace(written, letter)
    return stored
