"""Which collections there are, what their documents hold, and under which indexes.

One database a service. `_id` is made of a document's own name, so that writing it twice meets itself; reading in order
goes by the compound indexes. Strings compare by their UTF-8 bytes, which is by code points.

    partitions  _id partition; live, other, stage; checkpoints by edition
    documents   _id shelf and key; shelf, kind, parent, id; position, time_ms; data; tombstone
    rows        _id shelf, key and row; shelf, key, row; fields by name, hexadecimal
    cursors     _id partition and name; partition, name; position, hash, last
    keys        _id subject; keys (key_id, period, wrapped) by period
    layout      _id "layout"; version, service

A *shelf* is one edition of one partition. Positions are texts that order as positions do: one value, so that a guard
is one comparison beside `_id`, which every server answers by that index alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chapar_sourcing.adapters.mongo._link import Database, DatabaseRefused, Index, Link, Upsert
from chapar_sourcing.domain import Key
from chapar_sourcing.positions import NOWHERE, Position

VERSION = 1
LAYOUT = "layout"
PARTITIONS = "partitions"
DOCUMENTS = "documents"
ROWS = "rows"
CURSORS = "cursors"
KEYS = "keys"
DOCUMENT_ORDER = ("shelf", "kind", "parent", "id")
ROW_ORDER = ("shelf", "key", "row")
CURSOR_ORDER = ("partition", "name")
STORE_INDEXES = {
    DOCUMENTS: Index("in_order", DOCUMENT_ORDER),
    ROWS: Index("in_order", ROW_ORDER),
    CURSORS: Index("in_order", CURSOR_ORDER),
}
KEY_INDEXES = {KEYS: Index("by_key_id", ("keys.key_id",), unique=True)}


async def prepare(database: Database, *, service: str = "") -> None:
    """Makes a database ready for a service's store and keys; once more changes nothing.

    Raises `DatabaseRefused` when it is another service's or of another version, `Unavailable`.
    """
    link = await Link.open(database, deadline_ms=60_000)
    try:
        named = {"version": VERSION, "service": service}
        await link.write(LAYOUT, [Upsert({"_id": LAYOUT}, {"$setOnInsert": named})])
        await _check_version(link, database.name, service)
        for collection, index in {**STORE_INDEXES, **KEY_INDEXES}.items():
            await link.create_index(collection, index)
    finally:
        await link.close()


async def collections_with_documents(database: Database) -> Sequence[str]:
    """Which of a service's collections hold anything; those of a database that is not there do not.

    Raises `DatabaseRefused` where we are not let in, `Unavailable`.
    """
    link = await Link.open(database)
    try:
        names = (KEYS, PARTITIONS, DOCUMENTS, ROWS, CURSORS)
        return [name for name in names if await link.find_one(name, {}, newest=True) is not None]
    finally:
        await link.close()


async def check(database: Database, *, service: str = "") -> None:
    """Looks at a database as a service does when it starts. Raises `DatabaseRefused`, `Unavailable`."""
    link = await Link.open(database)
    try:
        await check_layout(link, database.name, service, {**STORE_INDEXES, **KEY_INDEXES})
    finally:
        await link.close()


async def check_layout(link: Link, database: str, service: str, wanted: Mapping[str, Index]) -> None:
    """Raises `DatabaseRefused` when the database was not made ready for this service, `Unavailable`."""
    await _check_version(link, database, service)
    for collection, index in wanted.items():
        if index not in await link.indexes(collection):
            raise DatabaseRefused(
                f"database {database} has no index {index.name} on {collection}: {_remedy(service)} makes it"
            )


async def _check_version(link: Link, database: str, service: str) -> None:
    found = await link.find_one(LAYOUT, {"_id": LAYOUT})
    if found is None:
        raise DatabaseRefused(f"database {database} was not made ready: {_remedy(service)} does")
    if found["service"] != service:
        raise DatabaseRefused(f"database {database} belongs to {found['service']}, not to {service}")
    if found["version"] != VERSION:
        raise DatabaseRefused(f"database {database} has layout {found['version']}; this program knows {VERSION}")


def _remedy(service: str) -> str:
    return f"`python -m chapar_{service} database prepare`"


def shelf_of(partition: int, edition: int) -> str:
    """The name of an edition of a partition."""
    return f"{partition}.{edition}"


def joined(*parts: str) -> str:
    """One name of several, different for different ones. Raises `ValueError` for a text that UTF-8 or a C string cannot
    hold: no server keeps those."""
    for part in parts:
        if "\0" in part:
            raise ValueError("a name with a NUL cannot be stored")
        part.encode()
    lengths = ":".join(str(len(part)) for part in parts[:-1])
    return f"{lengths}:{''.join(parts)}"


def document_id(shelf: str, key: Key) -> str:
    """The `_id` of a document."""
    return joined(shelf, *key)


def ordered_position(position: Position) -> str:
    """A position as text: texts are ordered as positions are, from `NOWHERE` on."""
    if position.offset < NOWHERE.offset or position.event_index < NOWHERE.event_index:
        raise ValueError(f"{position} is before everything")
    # A minus sign sorts below all digits, and there is nothing but -1 that has one.
    return f"{position.offset:019d}.{position.event_index:010d}"


def position_of(text: str) -> Position:
    """The position that `ordered_position` was given."""
    offset, event_index = text.split(".")
    return Position(int(offset), int(event_index))
