"""Files with known content, and what can be done to them: flipped, cut, taken away. Seeded."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chapar_sourcing.adapters.sqlite import (
    FileRefused,
    SqliteJournal,
    SqliteKeyStore,
    SqliteStore,
    SqliteStream,
)
from chapar_sourcing.domain import Key
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, Cursor, DocumentWrite, KeyRow, OffsetOutOfRange, Row, Unavailable
from chapar_sourcing.positions import Position

TOPIC = "one.events.v1"
RECORDS = 60
PARTITIONS = 2

Content = dict[object, object]
"""Everything that was acknowledged, by what it is asked for with."""

Acknowledged = Callable[[int], None]
"""Told the number of each thing once it is."""


@dataclass(slots=True)
class Broken:
    """Stands for the end of the process."""

    said: str = ""

    def __call__(self, message: str) -> None:
        self.said = self.said or message


def data_of(number: int) -> bytes:
    """Distinct and of many sizes, some of several pages."""
    return random.Random(number).randbytes(20 + number * 37 % 300 + (9_000 if number % 17 == 0 else 0))


async def fill_journal(path: Path, broken: Broken, acknowledged: Acknowledged = lambda _: None) -> tuple[Any, Content]:
    journal = await SqliteJournal.open(path, partitions=PARTITIONS, broken=broken)
    content: Content = {}
    for number in range(RECORDS):
        done = await journal.append(number % PARTITIONS, data_of(number))
        content[number % PARTITIONS, done.offset] = data_of(number)
        acknowledged(number)
    return journal, content


async def read_journal(path: Path, broken: Broken) -> Content:
    journal = await SqliteJournal.open(path, partitions=PARTITIONS, broken=broken)
    try:
        content: Content = {}
        for partition in range(PARTITIONS):
            at = 0
            while records := await journal.read(partition, at, records_max=7):
                content.update({(partition, record.offset): record.data for record in records})
                at = records[-1].offset + 1
            await journal.append(partition, b"goes on")
        return content
    finally:
        await journal.close()


async def fill_store(path: Path, broken: Broken, acknowledged: Acknowledged = lambda _: None) -> tuple[Any, Content]:
    store = await SqliteStore.open(path, broken=broken)
    content: Content = {}
    for number in range(RECORDS):
        key = Key("thing", f"parent {number % 3}", f"{number:05d}")
        write = DocumentWrite(key, Position(number, 0), None if number % 10 == 9 else data_of(number), 0)
        await store.write_documents(0, [write])
        await store.merge_rows(0, [Row("key", f"row {number % 5}", {"field": data_of(number)})])
        content[key] = (write.position, write.data)
        fold = FoldState(epoch=1, writer=bytes(16), sequence=number, offset=number, valid_offset=number)
        content["checkpoint"] = Checkpoint("journal", 1, fold)
        await store.write_checkpoint(0, Checkpoint("journal", 1, fold))
        content["cursor"] = Cursor(Position(number, 1), bytes(32), Position(number, 0))
        await store.write_cursor(0, "relay", Cursor(Position(number, 1), bytes(32), Position(number, 0)))
        acknowledged(number)
    content["rows"] = await store.rows(0, "key")
    return store, content


async def read_store(path: Path, broken: Broken) -> Content:
    store = await SqliteStore.open(path, broken=broken)
    try:
        keys = [Key("thing", f"parent {number % 3}", f"{number:05d}") for number in range(RECORDS)]
        content: Content = {"checkpoint": await store.read_checkpoint(0)}
        for key in keys:
            stored = (await store.load(0, [key], at_least=-1)).get(key)
            content[key] = None if stored is None else (stored.position, stored.data)
        content["rows"] = await store.rows(0, "key")
        content["cursor"] = (await store.read_cursors(0)).get("relay")
        return content
    finally:
        await store.close()


async def fill_lists(path: Path, broken: Broken, acknowledged: Acknowledged = lambda _: None) -> tuple[Any, Content]:
    """A store that is all keys: nearly every byte of it says what something is found by."""
    store = await SqliteStore.open(path, broken=broken)
    for number in range(RECORDS):
        key = Key("thing", f"parent {number % 3}", f"{number:05d}")
        await store.write_documents(0, [DocumentWrite(key, Position(number, 0), None if number % 10 == 9 else b"", 0)])
        await store.merge_rows(0, [Row(f"key {number % 6}", f"row {number}", {"field": b""})])
        acknowledged(number)
    return store, await _lists(store)


async def read_lists(path: Path, broken: Broken) -> Content:
    store = await SqliteStore.open(path, broken=broken)
    try:
        return await _lists(store)
    finally:
        await store.close()


async def _lists(store: SqliteStore) -> Content:
    """What is read as a whole, where something hidden leaves no gap: groups of documents, rows of keys."""
    content: Content = {}
    for parent in (f"parent {number}" for number in range(3)):
        content[parent, "up"] = await store.scan(0, "thing", parent, at_least=-1)
        content[parent, "down"] = await store.scan(0, "thing", parent, at_least=-1, descending=True)
        content[parent, "within"] = await store.scan(0, "thing", parent, at_least=-1, after="00010", before="00040")
    for key in (f"key {number}" for number in range(6)):
        content[key] = await store.rows(0, key)
    return content


async def fill_keys(path: Path, broken: Broken, acknowledged: Acknowledged = lambda _: None) -> tuple[Any, Content]:
    keys = await SqliteKeyStore.open(path, broken=broken)
    content: Content = {}
    for number in range(RECORDS):
        row = KeyRow(f"id {number}", f"user {number % 7}", number, data_of(number)[:60])
        content[row.key_id] = await keys.insert(row)
        acknowledged(number)
    return keys, content


async def read_keys(path: Path, broken: Broken) -> Content:
    keys = await SqliteKeyStore.open(path, broken=broken)
    try:
        return {f"id {number}": await keys.get(f"id {number}") for number in range(RECORDS)}
    finally:
        await keys.close()


async def fill_stream(path: Path, broken: Broken, acknowledged: Acknowledged = lambda _: None) -> tuple[Any, Content]:
    stream = await SqliteStream.open(
        path.parent, service=path.stem, topics={TOPIC: None}, partitions=1, producers={TOPIC: path.stem}, broken=broken
    )
    content: Content = {}
    for number in range(RECORDS):
        await stream.publish(TOPIC, 0, [data_of(number)])
        content[number] = data_of(number)
        acknowledged(number)
    return stream, content


async def read_stream(path: Path, broken: Broken) -> Content:
    stream = await SqliteStream.open(
        path.parent, service=path.stem, topics={TOPIC: None}, partitions=1, producers={TOPIC: path.stem}, broken=broken
    )
    try:
        content: Content = {}
        at = 0
        while records := await stream.read(TOPIC, 0, at, records_max=7):
            content.update({record.offset: record.data for record in records})
            at = records[-1].offset + 1
        return content
    finally:
        await stream.close()


Fill = Callable[..., Any]
KINDS: dict[str, tuple[Fill, Fill]] = {
    "journal": (fill_journal, read_journal),
    "store": (fill_store, read_store),
    "keys": (fill_keys, read_keys),
    "stream": (fill_stream, read_stream),
}
LISTS = "lists"


def functions_of(kind: str) -> tuple[Fill, Fill]:
    """How a file of a kind is filled and read."""
    return (fill_lists, read_lists) if kind == LISTS else KINDS[kind]


def key_of(kind: str, number: int) -> object:
    """What the thing of a number is asked for with."""
    match kind:
        case "journal":
            return number % PARTITIONS, number // PARTITIONS
        case "store":
            return Key("thing", f"parent {number % 3}", f"{number:05d}")
        case "keys":
            return f"id {number}"
        case _:
            return number


@dataclass(frozen=True, slots=True)
class Original:
    """A file of a kind, whole, as a process left it: `crashed` with all in its log, or `closed` in order."""

    folder: Path
    kind: str
    content: Content

    def copied(self, to: Path) -> Path:
        """A copy to do harm to; answers its main file."""
        shutil.copytree(self.folder, to)
        return to / "file.db"


async def make_original(folder: Path, kind: str, *, crashed: bool) -> Original:
    """Fills a file; where it is to look crashed it is copied while it is open."""
    port, content = await functions_of(kind)[0](folder / "open" / "file.db", Broken())
    left = folder / "open"
    if crashed:
        left = folder / "crashed"
        await asyncio.to_thread(shutil.copytree, folder / "open", left)
    await port.close()
    return Original(left, kind, content)


async def read_again(original: Original, path: Path) -> tuple[str, Content]:
    """Opens a harmed file and reads all there is: (what was said of it, what was read)."""
    broken = Broken()
    try:
        content = await functions_of(original.kind)[1](path, broken)
    except (FileRefused, Unavailable, OffsetOutOfRange) as error:
        return broken.said or str(error), {}
    return broken.said, content
