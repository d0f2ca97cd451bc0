"""Rows merge by maximum, in memory as in the store, whatever overlaps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Sequence

import pytest

from chapar_sourcing.adapters.memory import MemoryStore, MemoryTables
from chapar_sourcing.ports import Row, Unavailable
from chapar_sourcing.rows import WAITING_ROWS_MAX, Rows


async def test_memory_and_store_agree_after_overlapping_advances_and_reads() -> None:
    tables, draw = MemoryTables(), random.Random(7)

    async def yields() -> None:
        for _ in range(draw.randint(0, 3)):
            await asyncio.sleep(0)

    rows = Rows(0, MemoryStore(tables, fault=lambda step, partition: yields()), keys_max=4)
    running = asyncio.create_task(rows.run())
    expected: dict[str, dict[str, dict[str, bytes]]] = {}

    async def advance() -> None:
        row = Row(f"k{draw.randint(0, 5)}", f"r{draw.randint(0, 3)}", {draw.choice("ab"): draw.randbytes(2)})
        fields = expected.setdefault(row.key, {}).setdefault(row.row, {})
        for name, value in row.fields.items():
            fields[name] = max(fields.get(name, b""), value)
        await rows.advance([row])

    async def look() -> None:
        await rows.of(f"k{draw.randint(0, 5)}")

    for _ in range(40):
        await asyncio.gather(*(draw.choice([advance, look])() for _ in range(10)))
        key = draw.choice(sorted(expected) or ["none"])
        assert await rows.of(key) == expected.get(key, {})
    for key, held in expected.items():
        assert await rows.of(key) == held
        assert {r.row: dict(r.fields) for r in await MemoryStore(tables).rows(0, key)} == held
    running.cancel()


async def test_rows_merged_while_their_key_is_loaded_are_seen() -> None:
    loaded, go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        """Answers a while after it has read."""

        async def rows(self, partition: int, key: str) -> Sequence[Row]:
            found = await super().rows(partition, key)
            loaded.set()
            await go_on.wait()
            return found

    rows = Rows(0, Slow())
    running = asyncio.create_task(rows.run())
    reading = asyncio.create_task(rows.of("k"))
    await loaded.wait()
    await rows.advance([Row("k", "r", {"a": b"1"})])
    go_on.set()
    assert await reading == {"r": {"a": b"1"}}
    assert await rows.of("k") == {"r": {"a": b"1"}}
    running.cancel()


async def test_waiting_advances_share_one_write() -> None:
    writes = 0

    def count(step: str, partition: int) -> None:
        nonlocal writes
        writes += step == "merge_rows"

    rows = Rows(0, MemoryStore(fault=count))
    running = asyncio.create_task(rows.run())
    await asyncio.gather(*(rows.advance([Row("k", f"r{n}", {"a": b"1"})]) for n in range(100)))
    assert writes == 1
    running.cancel()


async def test_more_than_may_wait_is_refused() -> None:
    rows = Rows(0, MemoryStore())
    many = [Row("k", "r", {"a": b"1"})] * WAITING_ROWS_MAX
    waiting = asyncio.create_task(rows.advance(many))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await rows.advance([Row("k", "r", {"a": b"1"})])
    running = asyncio.create_task(rows.run())
    async with asyncio.timeout(20):
        await waiting
    running.cancel()


async def test_an_advance_whose_write_is_cut_short_by_the_end_is_told() -> None:
    writing = asyncio.Event()

    def stands_still(step: str, partition: int) -> Awaitable[None] | None:
        if step != "merge_rows":
            return None
        writing.set()
        return asyncio.Event().wait()

    rows = Rows(0, MemoryStore(fault=stands_still))
    running = asyncio.create_task(rows.run())
    written = asyncio.create_task(rows.advance([Row("k", "r", {"a": b"1"})]))
    await writing.wait()
    waiting = asyncio.create_task(rows.advance([Row("k", "r", {"a": b"2"})]))
    await asyncio.sleep(0)
    running.cancel()
    for advance in (written, waiting):
        with pytest.raises(Unavailable):
            async with asyncio.timeout(20):
                await advance
