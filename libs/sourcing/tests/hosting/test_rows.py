"""Rows merge by maximum, in memory as in the store, whatever overlaps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chapar_sourcing.adapters.memory import Fault, MemoryStore, MemoryTables
from chapar_sourcing.ports import Row, Unavailable
from chapar_sourcing.rows import WAITING_ROWS_MAX, WRITE_ROWS_MAX, Rows


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
    async with asyncio.timeout(20):
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


class Noting(MemoryStore):
    """A store that notes which keys were read and how many rows each write had."""

    def __init__(self, fault: Fault | None = None) -> None:
        super().__init__(fault=fault)
        self.read: list[str] = []
        self.writes: list[int] = []

    async def rows(self, partition: int, key: str) -> Sequence[Row]:
        self.read.append(key)
        return await super().rows(partition, key)

    async def merge_rows(self, partition: int, rows: Sequence[Row]) -> None:
        self.writes.append(len(rows))
        await super().merge_rows(partition, rows)


@asynccontextmanager
async def written_by(rows: Rows) -> AsyncIterator[None]:
    """Rows that are written meanwhile; where that ends by itself, the test ends with its error."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(rows.run())
        yield
        assert not task.done(), "it goes on"
        task.cancel()


def row(value: bytes = b"1", key: str = "k") -> Row:
    return Row(key, "r", {"a": value})


async def test_the_keys_read_last_stay_in_memory() -> None:
    store = Noting()
    rows = Rows(0, store, keys_max=2)
    for key in "abacab":
        await rows.of(key)
    assert store.read == ["a", "b", "c", "b"]


async def test_what_was_read_before_a_pause_ended_is_read_anew() -> None:
    read, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Noting):
        """Its first answer takes a while."""

        async def rows(self, partition: int, key: str) -> Sequence[Row]:
            found = await super().rows(partition, key)
            if len(self.read) == 2:
                read.set()
                await go_on.wait()
            return found

    store = Slow()
    rows = Rows(0, store)
    await rows.of("held")
    reading = asyncio.create_task(rows.of("under way"))
    await read.wait()
    async with rows.paused():
        for key in ("held", "under way"):
            await store.merge_rows(0, [row(key=key)])
    go_on.set()
    await reading
    assert [await rows.of(key) for key in ("held", "under way")] == [{"r": {"a": b"1"}}] * 2
    await rows.of("held")
    assert store.read == ["held", "under way", "held", "under way"]


async def test_nothing_is_merged_during_a_pause() -> None:
    store = Noting()
    rows = Rows(0, store)
    async with written_by(rows):
        async with rows.paused():
            waiting = asyncio.create_task(rows.advance([row()]))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not store.writes
        await waiting
    assert store.writes == [1]


async def test_what_is_read_may_be_changed_by_who_read_it() -> None:
    rows = Rows(0, Noting())
    async with written_by(rows):
        await rows.advance([row()])
        for _ in range(3):
            read: Any = await rows.of("k")
            assert read == {"r": {"a": b"1"}}
            read["r"].clear()


async def test_nobody_waits_for_nothing() -> None:
    await Rows(0, MemoryStore()).advance([])


async def test_a_write_has_so_many_rows_and_no_advance_is_cut() -> None:
    store = Noting()
    rows = Rows(0, store)
    half, less = WRITE_ROWS_MAX // 2, WRITE_ROWS_MAX - 1
    advances = [asyncio.create_task(rows.advance([row()] * size)) for size in (half, half, less, half, 1)]
    await asyncio.sleep(0)
    async with written_by(rows):
        await asyncio.gather(*advances)
        await rows.advance([row()])
    assert store.writes == [2 * half, less + half, 1, 1], "and none without rows"


async def test_what_is_written_makes_room() -> None:
    store = Noting()
    rows = Rows(0, store)
    async with written_by(rows):
        for _ in range(3):
            await rows.advance([row()] * WAITING_ROWS_MAX)
    assert store.writes == [WAITING_ROWS_MAX] * 3


async def test_who_no_longer_waits_hinders_nobody() -> None:
    rows = Rows(0, MemoryStore())
    given_up, patient = (asyncio.create_task(rows.advance([row(value)])) for value in (b"1", b"2"))
    await asyncio.sleep(0)
    given_up.cancel()
    async with written_by(rows):
        await patient
        assert await rows.of("k") == {"r": {"a": b"2"}}


async def test_a_write_that_fails_is_told_and_the_next_one_tried() -> None:
    fails = 1

    def away(step: str, partition: int) -> None:
        nonlocal fails
        if step == "merge_rows" and fails:
            fails -= 1
            raise Unavailable("away")

    rows = Rows(0, MemoryStore(fault=away))
    async with written_by(rows):
        await rows.of("k")
        with pytest.raises(Unavailable, match="away"):
            await rows.advance([row(b"2")])
        assert await rows.of("k") == {}, "memory shows nothing that was not stored"
        await rows.advance([row(b"1")])
        assert await rows.of("k") == {"r": {"a": b"1"}}


async def test_after_the_end_nothing_is_taken() -> None:
    rows = Rows(0, MemoryStore())
    async with written_by(rows):
        await rows.advance([row()])
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable):
            await rows.advance([row()])


async def test_two_loads_of_a_key_both_see_what_is_merged_meanwhile() -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    answered = asyncio.Queue[None]()

    class Slow(Noting):
        """Each answer waits for its gate."""

        async def rows(self, partition: int, key: str) -> Sequence[Row]:
            gate = gates[len(self.read)] if len(self.read) < len(gates) else None
            found = await super().rows(partition, key)
            if gate is not None:
                answered.put_nowait(None)
                await gate.wait()
            return found

    rows = Rows(0, Slow())
    async with written_by(rows):
        loads = [asyncio.create_task(rows.of("k")) for _ in gates]
        for _ in gates:
            await answered.get()
        await rows.advance([row(b"1")])
        gates[1].set()
        assert await loads[1] == {"r": {"a": b"1"}}
        await rows.advance([row(b"2")])
        gates[0].set()
        assert await loads[0] == {"r": {"a": b"2"}}
        assert await rows.of("k") == {"r": {"a": b"2"}}
        assert not rows._loading, "nothing is gathered for those who have read"
