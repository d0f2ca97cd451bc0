"""How tests make the fakes fail: the fakes must fail as the real things do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from chapar_sourcing.adapters.memory import MemoryJournal, MemoryLog, MemoryStore, MemoryTables
from chapar_sourcing.domain import Key
from chapar_sourcing.ports import AppendRejected, AppendUnknown, DocumentWrite, Unavailable
from chapar_sourcing.positions import Position


class Faults:
    """Raises at the steps named."""

    def __init__(self, *steps: str) -> None:
        self.steps = set(steps)
        self.seen: list[tuple[str, int]] = []

    def __call__(self, step: str, partition: int) -> Awaitable[None] | None:
        self.seen.append((step, partition))
        if step in self.steps:
            raise Unavailable(step)
        return None


async def stored(log: MemoryLog) -> list[bytes]:
    return [record.data for record in await MemoryJournal(log).read(0, 0)]


async def test_an_append_that_fails_before_is_rejected_and_not_in_the_log() -> None:
    log = MemoryLog(partitions=1)
    with pytest.raises(AppendRejected):
        await MemoryJournal(log, fault=Faults("append")).append(0, b"x")
    assert await stored(log) == []


async def test_an_append_whose_answer_is_lost_is_unknown_and_in_the_log() -> None:
    log = MemoryLog(partitions=1)
    with pytest.raises(AppendUnknown):
        await MemoryJournal(log, fault=Faults("append.done")).append(0, b"x")
    assert await stored(log) == [b"x"]


async def test_a_fault_sees_whether_a_fresh_producer_was_asked_for() -> None:
    faults = Faults()
    journal = MemoryJournal(MemoryLog(partitions=2), fault=faults)
    await journal.append(1, b"x", fresh_producer=True)
    assert faults.seen == [("append.fresh", 1), ("append.done", 1)]


async def test_a_fault_may_hold_a_call_up() -> None:
    gate = asyncio.Event()

    async def held() -> None:
        await gate.wait()

    log = MemoryLog(partitions=1)
    journal = MemoryJournal(log, fault=lambda step, _: held() if step == "append.done" else None)
    append = asyncio.create_task(journal.append(0, b"x"))
    assert await MemoryJournal(log).wait(0, 0, 20_000)
    assert not append.done()
    gate.set()
    assert (await append).offset == 0


async def test_gaps_are_skipped_by_reads_and_waits() -> None:
    log = MemoryLog(partitions=1)
    journal = MemoryJournal(log)
    await journal.append(0, b"a")
    log.skip(0, 5)
    assert list(await journal.read(0, 3)) == []
    assert not await journal.wait(0, 1, 10)
    assert (await journal.append(0, b"b")).offset == 6
    assert await journal.wait(0, 1, 10)
    assert [(record.offset, record.data) for record in await journal.read(0, 1)] == [(6, b"b")]


async def test_a_store_whose_answer_is_lost_has_written() -> None:
    tables = MemoryTables()
    key = Key("k", "p", "1")
    with pytest.raises(Unavailable):
        await MemoryStore(tables, fault=Faults("write_documents.done")).write_documents(
            0, [DocumentWrite(key, Position(1, 0), b"x", 0)]
        )
    assert set(await MemoryStore(tables).load(0, [key], at_least=-1)) == {key}
