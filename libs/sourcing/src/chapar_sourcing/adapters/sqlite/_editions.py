"""Editions in a store's SQLite file: which shelf is whose, and how they follow each other, each in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from chapar_sourcing.adapters.sqlite._sums import check_sum, row_sum
from chapar_sourcing.editions import FIRST_EDITION, Editions, Stage, edition_cursors
from chapar_sourcing.partitions import SLOTS

EDITIONS_TABLE = """CREATE TABLE IF NOT EXISTS editions (partition INTEGER PRIMARY KEY, live INTEGER NOT NULL,
    other INTEGER, stage TEXT)"""
_WRITE = """INSERT INTO editions (partition, live, other, stage, sum) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET live = excluded.live, other = excluded.other, stage = excluded.stage,
    sum = excluded.sum"""
_DROP_DOCUMENTS = """DELETE FROM documents WHERE (partition, kind, parent, id) IN
    (SELECT partition, kind, parent, id FROM documents WHERE partition = ? LIMIT ?)"""
_DROP_FIELDS = """DELETE FROM rows WHERE (partition, key, row, field) IN
    (SELECT partition, key, row, field FROM rows WHERE partition = ? LIMIT ?)"""


def shelf_of(partition: int, edition: int) -> int:
    """The number under which tables hold an edition of a partition; a partition is a class of slots, so there are no
    more partitions than slots."""
    return (edition - FIRST_EDITION) * SLOTS + partition


def read_editions(connection: sqlite3.Connection, partition: int) -> Editions:
    """The editions of a partition as they are in this transaction. Raises `RowDamaged`."""
    query = "SELECT live, other, stage, sum FROM editions WHERE partition = ?"
    found = connection.execute(query, (partition,)).fetchone()
    if found is None:
        return Editions()
    live, other, stage, checksum = found
    check_sum(checksum, None, partition, *_packed(live, other, stage))
    return Editions(live, other, None if stage is None else Stage(stage))


def change_editions(connection: sqlite3.Connection, partition: int, change: Callable[[Editions], Editions]) -> Editions:
    """Moves the editions of a partition on; returns what they are now. Raises what `change` raises."""
    changed = change(read_editions(connection, partition))
    row = (changed.live, changed.other, None if changed.stage is None else changed.stage.value)
    connection.execute(_WRITE, (partition, *row, row_sum(None, partition, *_packed(*row))))
    return changed


def _packed(live: int, other: int | None, stage: str | None) -> tuple[int, int, str]:
    """What a sum covers: there is no edition 0, and no stage without a name."""
    return live, other or 0, stage or ""


def drop_some(connection: sqlite3.Connection, partition: int, limit: int) -> bool:
    """Deletes a part of the edition beside the live one; True once nothing is left of it."""
    editions = change_editions(connection, partition, Editions.drop)
    if editions.other is None:
        return True
    shelf = shelf_of(partition, editions.other)
    deleted = [connection.execute(drop, (shelf, limit)).rowcount for drop in (_DROP_DOCUMENTS, _DROP_FIELDS)]
    if any(count == limit for count in deleted):
        return False
    connection.execute("DELETE FROM checkpoints WHERE partition = ?", (shelf,))
    prefix = edition_cursors(editions.other)
    connection.execute("DELETE FROM cursors WHERE partition = ? AND substr(name, 1, ?) = ?",
                       (partition, len(prefix), prefix))  # fmt: skip
    change_editions(connection, partition, Editions.dropped)
    return True
