"""What every Store promises of documents, checkpoints and cursors."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from chapar_sourcing.domain import Key, Stored, ordered
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, Cursor, DocumentWrite, Store, StoreBehind, Unavailable
from chapar_sourcing.positions import Position

FOLD = FoldState(
    epoch=3, writer=b"w" * 16, sequence=7, hash=b"h" * 32, time_ms=1_700_000_000_000, offset=41, valid_offset=40,
    claim_sequence=5, recent=((39, b"a" * 32), (40, b"h" * 32)),
)  # fmt: skip
IDS = ["", "0", "a", "b", "é", "پیام", "ی", "\uffff", "😀", "\U0010ffff"]
"""In order of code points; UTF-16 or a locale would order them otherwise."""


def key(id_: str, *, parent: str = "p", kind: str = "k") -> Key:
    return Key(kind, parent, id_)


def write(at: Key, offset: int, event_index: int = 0, data: bytes | None = b"x", *, time_ms: int = 0) -> DocumentWrite:
    return DocumentWrite(at, Position(offset, event_index), data, time_ms)


async def ids(store: Store, **options: Any) -> list[str]:
    found = await store.scan(0, "k", "p", at_least=-1, **options)
    return [at.id for at, _ in found]


async def test_a_document_is_read_back_whole(store: Store) -> None:
    await store.write_documents(2, [write(key("1"), 5, 3, bytes(range(256)))])
    found = await store.load(2, [key("1"), key("2")], at_least=-1)
    assert dict(found) == {key("1"): Stored(Position(5, 3), bytes(range(256)))}


async def test_a_partition_does_not_see_anothers_documents(store: Store) -> None:
    await store.write_documents(0, [write(key("1"), 5)])
    assert dict(await store.load(1, [key("1")], at_least=-1)) == {}
    assert list(await store.documents(1, at_least=-1, after=None)) == []


async def test_an_older_or_equal_write_changes_nothing(store: Store) -> None:
    await store.write_documents(0, [write(key("1"), 5, 1, b"now")])
    for offset, index in ((4, 9), (5, 0), (5, 1)):
        await store.write_documents(0, [write(key("1"), offset, index, b"old"), write(key("2"), offset, index)])
    found = await store.load(0, [key("1"), key("2")], at_least=-1)
    assert found[key("1")] == Stored(Position(5, 1), b"now")
    assert found[key("2")].position == Position(5, 1)


async def test_a_newer_write_replaces_by_offset_then_by_event(store: Store) -> None:
    for offset, index in ((5, 1), (5, 2), (6, 0)):
        await store.write_documents(0, [write(key("1"), offset, index, b"%d/%d" % (offset, index))])
    assert (await store.load(0, [key("1")], at_least=-1))[key("1")] == Stored(Position(6, 0), b"6/0")


async def test_a_tombstone_stays_and_guards(store: Store) -> None:
    await store.write_documents(0, [write(key("1"), 5), write(key("1"), 6, 0, None)])
    await store.write_documents(0, [write(key("1"), 5, 7, b"late")])
    assert (await store.load(0, [key("1")], at_least=-1))[key("1")] == Stored(Position(6, 0), None)
    await store.write_documents(0, [write(key("1"), 7, 0, b"again")])
    assert (await store.load(0, [key("1")], at_least=-1))[key("1")] == Stored(Position(7, 0), b"again")


async def test_concurrent_writers_leave_the_newest(store: Store) -> None:
    offsets = list(range(60))
    random.Random(7).shuffle(offsets)
    await asyncio.gather(
        *(store.write_documents(0, [write(key("1"), offset, 0, b"%d" % offset)]) for offset in offsets)
    )
    assert (await store.load(0, [key("1")], at_least=-1))[key("1")] == Stored(Position(59, 0), b"59")


async def test_many_keys_load_at_once(store: Store) -> None:
    keys = [key(ordered(number)) for number in range(1_000)]
    await store.write_documents(0, [write(at, 1) for at in keys])
    assert set(await store.load(0, keys, at_least=-1)) == set(keys)
    assert dict(await store.load(0, [], at_least=-1)) == {}


async def test_scans_are_in_order_of_code_points(store: Store) -> None:
    shuffled = list(IDS)
    random.Random(7).shuffle(shuffled)
    await store.write_documents(0, [write(key(id_), 1) for id_ in shuffled])
    assert await ids(store) == IDS[1:]
    assert await ids(store, descending=True) == IDS[:0:-1]


async def test_scan_bounds_are_exclusive(store: Store) -> None:
    await store.write_documents(0, [write(key(id_), 1) for id_ in "abcdef"])
    assert await ids(store, after="b") == ["c", "d", "e", "f"]
    assert await ids(store, before="e") == ["a", "b", "c", "d"]
    assert await ids(store, after="b", before="e") == ["c", "d"]
    assert await ids(store, after="b", before="e", descending=True, limit=1) == ["d"]
    assert await ids(store, limit=2) == ["a", "b"]
    assert await ids(store, after="f") == []
    assert await ids(store, before="") == []


async def test_scans_skip_tombstones_and_other_groups(store: Store) -> None:
    others = [write(key("c", parent="q"), 1), write(key("d", kind="l"), 1)]
    await store.write_documents(0, [write(key("a"), 1), write(key("b"), 1, 0, None), *others])
    assert await ids(store) == ["a"]
    assert await ids(store, limit=1, after="a") == []


async def test_all_documents_come_once_in_order_page_by_page(store: Store) -> None:
    keys = [Key(kind, parent, id_) for kind in ("k", "l", "م") for parent in ("p", "ی") for id_ in IDS]
    await store.write_documents(0, [write(at, 1, 0, None if at.id == "a" else b"x") for at in reversed(keys)])
    found: list[tuple[Key, Stored]] = []
    while page := await store.documents(0, at_least=-1, after=found[-1][0] if found else None, limit=7):
        assert len(page) <= 7
        found += page
    assert [at for at, _ in found] == sorted(keys)
    assert all((stored.data is None) == (at.id == "a") for at, stored in found)


async def test_a_checkpoint_is_read_back_with_its_whole_fold_state(stores: Any) -> None:
    store = await stores.open()
    assert await store.read_checkpoint(0) is None
    await store.write_checkpoint(0, Checkpoint("journal", 1, FOLD))
    await store.close()
    again = await stores.open()
    assert await again.read_checkpoint(0) == Checkpoint("journal", 1, FOLD)
    assert await again.read_checkpoint(1) is None


async def test_a_checkpoint_only_moves_forward(store: Store) -> None:
    await store.write_checkpoint(0, Checkpoint("journal", 1, FOLD))
    for offset in (0, 41):
        await store.write_checkpoint(0, Checkpoint("journal", 1, FoldState(offset=offset)))
        assert await store.read_checkpoint(0) == Checkpoint("journal", 1, FOLD)
    ahead = Checkpoint("journal", 1, FoldState(epoch=4, offset=42, valid_offset=40))
    await store.write_checkpoint(0, ahead)
    assert await store.read_checkpoint(0) == ahead


async def test_a_checkpoint_of_another_journal_is_refused(store: Store) -> None:
    await store.write_checkpoint(0, Checkpoint("journal", 1, FOLD))
    for journal, generation in (("another", 1), ("journal", 2)):
        with pytest.raises(ValueError, match="journal"):
            await store.write_checkpoint(0, Checkpoint(journal, generation, FoldState(offset=99)))
    assert await store.read_checkpoint(0) == Checkpoint("journal", 1, FOLD)


async def test_reads_want_the_confirmed_checkpoint(store: Store) -> None:
    await store.write_checkpoint(0, Checkpoint("journal", 1, FOLD))
    await store.write_documents(0, [write(key("1"), 1)])
    assert len(await store.load(0, [key("1")], at_least=41)) == 1
    assert len(await store.scan(0, "k", "p", at_least=41)) == 1
    with pytest.raises(StoreBehind):
        await store.load(0, [key("1")], at_least=42)
    with pytest.raises(StoreBehind):
        await store.scan(0, "k", "p", at_least=42)
    with pytest.raises(StoreBehind):
        await store.load(1, [key("1")], at_least=0)


async def test_cursors_move_forward_only_and_are_read_by_name(store: Store) -> None:
    far = Cursor(Position(9, 2), b"h" * 32, Position(8, 1))
    await store.write_cursor(0, "relay", far)
    for position in (Position(9, 2), Position(9, 1), Position(3, 7)):
        await store.write_cursor(0, "relay", Cursor(position, b"o" * 32, Position(0, 0)))
    await store.write_cursor(0, "reactor.ی", Cursor(Position(-1, -1), bytes(32), Position(-1, -1)))
    assert dict(await store.read_cursors(0)) == {
        "relay": far,
        "reactor.ی": Cursor(Position(-1, -1), bytes(32), Position(-1, -1)),
    }
    ahead = Cursor(Position(9, 3), b"n" * 32, Position(9, 3))
    await store.write_cursor(0, "relay", ahead)
    assert (await store.read_cursors(0))["relay"] == ahead
    assert dict(await store.read_cursors(1)) == {}


async def test_all_is_there_after_reopening(stores: Any) -> None:
    store = await stores.open()
    await store.write_documents(0, [write(key("1"), 5, 1, b"kept")])
    await store.write_cursor(0, "relay", Cursor(Position(9, 2), b"h" * 32, Position(8, 1)))
    await store.close()
    again = await stores.open()
    assert (await again.load(0, [key("1")], at_least=-1))[key("1")] == Stored(Position(5, 1), b"kept")
    assert set(await again.read_cursors(0)) == {"relay"}


async def test_a_closed_store_is_unavailable(store: Store) -> None:
    await store.close()
    with pytest.raises(Unavailable):
        await store.load(0, [key("1")], at_least=-1)
    with pytest.raises(Unavailable):
        await store.write_documents(0, [write(key("1"), 1)])
