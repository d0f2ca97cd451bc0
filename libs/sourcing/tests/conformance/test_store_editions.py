"""What every Store promises of editions: one is live, at most one stands beside it, and nothing mixes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chapar_sourcing.domain import Key
from chapar_sourcing.editions import EditionRefused, Editions, Stage, edition_cursor
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, Cursor, DocumentWrite, Row, Store, StoreBehind
from chapar_sourcing.positions import Position

KEY = Key("k", "p", "1")


def write(offset: int, data: bytes | None, key: Key = KEY) -> DocumentWrite:
    return DocumentWrite(key, Position(offset, 0), data, 0)


def checkpoint(offset: int) -> Checkpoint:
    return Checkpoint("j", 1, FoldState(offset=offset))


async def data_of(store: Store, at_least: int = -1) -> bytes | None:
    found = await store.load(0, [KEY], at_least=at_least)
    return found[KEY].data if KEY in found else None


async def built(store: Store, edition: int = 2) -> Store:
    """A store whose live edition says "live" and whose other one says "built"."""
    await store.write_documents(0, [write(3, b"live")])
    await store.write_checkpoint(0, checkpoint(3))
    await store.build_edition(0, edition)
    await store.at(edition).write_documents(0, [write(1, b"built")])
    await store.at(edition).write_checkpoint(0, checkpoint(1))
    return store


async def test_the_first_edition_is_live_and_alone(store: Store) -> None:
    assert await store.editions(0) == Editions(live=1, other=None, stage=None)
    await store.write_documents(0, [write(3, b"x")])
    assert await data_of(store.at(1)) == b"x"


async def test_an_edition_that_is_built_is_of_its_own(store: Store) -> None:
    await built(store)
    assert await store.editions(0) == Editions(1, 2, Stage.BUILDING)
    assert (await data_of(store), await data_of(store.at(1)), await data_of(store.at(2))) == (
        b"live",
        b"live",
        b"built",
    )
    assert list(await store.at(2).scan(0, "k", "p", at_least=1)) == [
        (KEY, (await store.at(2).load(0, [KEY], at_least=1))[KEY])
    ]
    with pytest.raises(StoreBehind):
        await store.at(2).load(0, [KEY], at_least=2)
    assert (await store.at(2).read_checkpoint(0), await store.read_checkpoint(0)) == (checkpoint(1), checkpoint(3))


async def test_a_switch_is_seen_by_every_later_call(store: Store) -> None:
    await built(store)
    await store.switch_edition(0, 2)
    assert await store.editions(0) == Editions(2, 1, Stage.KEPT)
    assert await data_of(store, at_least=1) == b"built"
    assert await store.read_checkpoint(0) == checkpoint(1)
    await store.write_documents(0, [write(4, b"on")])
    assert (await data_of(store.at(2)), await data_of(store.at(1))) == (b"on", b"live")


async def test_a_switch_of_one_partition_leaves_the_others(store: Store) -> None:
    await store.write_documents(1, [write(9, b"other")])
    await built(store)
    await store.switch_edition(0, 2)
    assert await store.editions(1) == Editions()
    assert (await store.load(1, [KEY], at_least=-1))[KEY].data == b"other"
    assert list(await store.documents(2, at_least=-1, after=None)) == []


async def test_rows_are_merged_into_both_while_one_is_built(store: Store) -> None:
    await store.merge_rows(0, [Row("u", "before", {"f": b"1"})])
    await store.build_edition(0, 2)
    await store.merge_rows(0, [Row("u", "during", {"f": b"2"})])
    await store.at(2).merge_rows(0, [Row("u", "replayed", {"f": b"3"})])
    assert [row.row for row in await store.rows(0, "u")] == ["before", "during"]
    assert [row.row for row in await store.at(2).rows(0, "u")] == ["during", "replayed"]
    await store.switch_edition(0, 2)
    await store.merge_rows(0, [Row("u", "after", {"f": b"4"})])
    assert [row.row for row in await store.rows(0, "u")] == ["after", "during", "replayed"]
    assert [row.row for row in await store.at(1).rows(0, "u")] == ["before", "during"]


async def test_row_keys_come_in_order_and_in_pages(store: Store) -> None:
    keys = ["a", "b", "é", "ی", "😀"]
    await store.merge_rows(0, [Row(key, row, {"f": b"1"}) for key in reversed(keys) for row in ("1", "2")])
    assert list(await store.row_keys(0)) == keys
    assert list(await store.row_keys(0, after="a", limit=2)) == ["b", "é"]
    assert list(await store.row_keys(1)) == []


async def test_a_kept_edition_is_brought_up_to_date_and_switched_back_to(store: Store) -> None:
    await built(store)
    await store.switch_edition(0, 2)
    await store.build_edition(0, 1)
    assert await store.editions(0) == Editions(2, 1, Stage.BUILDING)
    await store.merge_rows(0, [Row("u", "r", {"f": b"1"})])
    await store.switch_edition(0, 1)
    assert await store.editions(0) == Editions(1, 2, Stage.KEPT)
    assert await data_of(store, at_least=3) == b"live"
    assert [row.row for row in await store.rows(0, "u")] == ["r"]


async def test_steps_that_are_repeated_change_nothing(store: Store) -> None:
    await built(store)
    await store.build_edition(0, 2)
    assert await data_of(store.at(2)) == b"built"
    await store.switch_edition(0, 2)
    await store.switch_edition(0, 2)
    assert await store.editions(0) == Editions(2, 1, Stage.KEPT)


async def test_steps_out_of_order_are_refused(store: Store) -> None:
    with pytest.raises(EditionRefused):
        await store.switch_edition(0, 2)
    with pytest.raises(EditionRefused):
        await store.build_edition(0, 1)
    await store.build_edition(0, 2)
    with pytest.raises(EditionRefused, match="drop it first"):
        await store.build_edition(0, 3)
    await store.switch_edition(0, 2)
    with pytest.raises(EditionRefused):
        await store.switch_edition(0, 1)
    with pytest.raises(EditionRefused, match="drop it first"):
        await store.build_edition(0, 3)
    assert await store.editions(0) == Editions(2, 1, Stage.KEPT)


async def test_dropping_goes_in_bounded_steps_and_leaves_the_live_one(store: Store) -> None:
    await built(store)
    others = [Key("k", "p", str(number)) for number in range(10, 34)]
    await store.at(2).write_documents(0, [write(1, b"x", key) for key in others])
    await store.at(2).merge_rows(0, [Row("u", str(number), {"f": b"1"}) for number in range(5)])
    await store.merge_rows(0, [Row("u", "both", {"f": b"1"})])
    await store.write_cursor(0, edition_cursor(2, "rows"), Cursor(Position(1, 0), b"h" * 32, Position(-1, -1)))
    await store.write_cursor(0, "relay", Cursor(Position(7, 0), b"h" * 32, Position(-1, -1)))
    assert not await store.drop_edition(0, limit=10)
    assert await store.editions(0) == Editions(1, 2, Stage.DROPPING)
    assert 0 < len(await store.at(2).documents(0, at_least=-1, after=None)) <= 25
    with pytest.raises(EditionRefused):
        await store.build_edition(0, 2)
    with pytest.raises(EditionRefused):
        await store.switch_edition(0, 2)
    async with asyncio.timeout(20):
        while not await store.drop_edition(0, limit=10):
            pass
    assert await store.editions(0) == Editions()
    assert (await store.at(2).read_checkpoint(0), list(await store.at(2).documents(0, at_least=-1, after=None))) == (
        None,
        [],
    )
    assert list(await store.at(2).rows(0, "u")) == []
    assert set(await store.read_cursors(0)) == {"relay"}
    assert await data_of(store, at_least=3) == b"live"
    assert [row.row for row in await store.rows(0, "u")] == ["both"]
    assert await store.drop_edition(0)


async def test_editions_are_there_after_reopening(stores: Any) -> None:
    store = await stores.open()
    await built(store)
    await store.switch_edition(0, 2)
    await store.close()
    again = await stores.open()
    assert await again.editions(0) == Editions(2, 1, Stage.KEPT)
    assert (await data_of(again), await data_of(again.at(1))) == (b"built", b"live")


async def test_a_store_of_one_edition_ends_with_the_whole(store: Store) -> None:
    of_one = store.at(1)
    await store.close()
    with pytest.raises(Exception, match="closed"):
        await of_one.read_checkpoint(0)
