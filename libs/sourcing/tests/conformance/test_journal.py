"""What every Journal promises."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from chapar_sourcing.ports import Appended, AppendRejected, AppendUnknown, Journal, OffsetOutOfRange, Unavailable
from chapar_sourcing.ports.journal import RECORD_BYTES_MAX

LONG_MS = 20_000


async def append(journal: Journal, partition: int, data: bytes, **options: Any) -> int:
    appended = await journal.append(partition, data, **options)
    assert appended.offset is not None
    return appended.offset


async def everything(journal: Journal, partition: int) -> list[bytes]:
    found: list[bytes] = []
    offset = 0
    while records := await journal.read(partition, offset, records_max=7):
        found += [record.data for record in records]
        offset = records[-1].offset + 1
    return found


async def test_a_new_journal_is_empty(journals: Any) -> None:
    journal = await journals.open()
    assert (journal.partitions, journal.generation) == (4, 1)
    assert list(await journal.read(0, 0)) == []
    assert await journal.end_offset(0) == 0


async def test_a_record_is_read_back_at_its_offset_byte_for_byte(journals: Any) -> None:
    journal = await journals.open()
    data = bytes(range(256))
    offset = await append(journal, 1, data)
    (record,) = await journal.read(1, 0)
    assert (record.offset, record.data) == (offset, data)
    assert await journal.end_offset(1) == offset + 1


async def test_an_empty_record_is_a_record(journals: Any) -> None:
    journal = await journals.open()
    offset = await append(journal, 0, b"")
    assert [(record.offset, record.data) for record in await journal.read(0, 0)] == [(offset, b"")]


async def test_offsets_grow_and_order_is_kept(journals: Any) -> None:
    journal = await journals.open()
    offsets = [await append(journal, 2, b"%d" % number) for number in range(20)]
    assert all(second > first for first, second in pairwise(offsets))
    assert await everything(journal, 2) == [b"%d" % number for number in range(20)]


async def test_partitions_do_not_see_each_other(journals: Any) -> None:
    journal = await journals.open()
    for partition in range(4):
        await append(journal, partition, b"p%d" % partition)
    assert [await everything(journal, partition) for partition in range(4)] == [[b"p0"], [b"p1"], [b"p2"], [b"p3"]]


async def test_concurrent_appends_are_all_there_once(journals: Any) -> None:
    journal = await journals.open()
    wanted = [(number % 4, b"%d" % number) for number in range(200)]
    offsets = await asyncio.gather(*(append(journal, partition, data) for partition, data in wanted))
    assert len(set(zip((partition for partition, _ in wanted), offsets, strict=True))) == 200
    for partition in range(4):
        stored = {record.offset: record.data for record in await journal.read(partition, 0)}
        own = zip(offsets, wanted, strict=True)
        assert stored == {offset: data for offset, (target, data) in own if target == partition}


async def test_time_of_appends_does_not_go_back(journals: Any) -> None:
    journal = await journals.open()
    times = [(await journal.append(0, b"x")).time_ms for _ in range(5)]
    known = [time for time in times if time is not None]
    assert known == sorted(known)


async def test_reading_goes_on_where_it_stopped(journals: Any) -> None:
    journal = await journals.open()
    offsets = [await append(journal, 0, b"%d" % number) for number in range(10)]
    first = await journal.read(0, offsets[2], records_max=3)
    assert [record.data for record in first] == [b"2", b"3", b"4"]
    rest = await journal.read(0, first[-1].offset + 1)
    assert [record.data for record in rest] == [b"%d" % number for number in range(5, 10)]


async def test_reading_at_the_end_finds_nothing_and_beyond_it_is_out_of_range(journals: Any) -> None:
    journal = await journals.open()
    end = await append(journal, 0, b"x") + 1
    assert list(await journal.read(0, end)) == []
    with pytest.raises(OffsetOutOfRange):
        await journal.read(0, end + 1)
    with pytest.raises(OffsetOutOfRange):
        await journal.read(3, 1)


async def test_wait_returns_at_once_when_there_is_a_record(journals: Any) -> None:
    journal = await journals.open()
    offset = await append(journal, 0, b"x")
    assert await journal.wait(0, offset, LONG_MS)


async def test_wait_is_woken_by_an_append(journals: Any) -> None:
    journal = await journals.open()
    waiting = asyncio.create_task(journal.wait(1, 0, LONG_MS))
    other = asyncio.create_task(journal.wait(2, 0, 200))
    await append(journal, 1, b"x")
    assert await waiting
    assert not await other


async def test_wait_ends_when_its_time_has_passed(journals: Any) -> None:
    journal = await journals.open()
    offset = await append(journal, 0, b"x")
    assert not await journal.wait(0, offset + 1, 20)


async def test_too_large_a_record_is_rejected_and_disturbs_nothing(journals: Any) -> None:
    journal = await journals.open()
    with pytest.raises(AppendRejected):
        await journal.append(0, bytes(RECORD_BYTES_MAX + 1))
    assert await everything(journal, 0) == []
    await append(journal, 0, bytes(RECORD_BYTES_MAX))
    await append(journal, 0, b"after")
    assert [len(data) for data in await everything(journal, 0)] == [RECORD_BYTES_MAX, 5]


async def test_large_records_are_all_read_though_not_in_one_call(journals: Any) -> None:
    journal = await journals.open()
    for _ in range(12):
        await append(journal, 0, bytes(RECORD_BYTES_MAX))
    assert [len(data) for data in await everything(journal, 0)] == [RECORD_BYTES_MAX] * 12


async def test_a_fresh_producer_appends_after_the_others(journals: Any) -> None:
    journal = await journals.open()
    await append(journal, 0, b"first")
    await append(journal, 0, b"second", fresh_producer=True)
    await append(journal, 0, b"third")
    assert await everything(journal, 0) == [b"first", b"second", b"third"]


async def test_all_is_there_after_reopening(journals: Any) -> None:
    journal = await journals.open()
    offset = await append(journal, 0, b"kept")
    journal_id = journal.journal_id
    await journal.close()

    again = await journals.open()
    assert (again.journal_id, again.generation, again.partitions) == (journal_id, 1, 4)
    assert await everything(again, 0) == [b"kept"]
    assert await again.wait(0, offset, LONG_MS)
    assert await append(again, 0, b"more") > offset
    assert await everything(again, 0) == [b"kept", b"more"]


async def test_another_number_of_partitions_is_refused(journals: Any) -> None:
    await (await journals.open()).close()
    with pytest.raises(RuntimeError, match="4 partitions; 8 were asked for"):
        await journals.open(partitions=8)


async def test_a_partition_that_is_not_there_is_refused(journals: Any) -> None:
    journal = await journals.open()
    for partition in (-1, 4):
        with pytest.raises(ValueError, match="outside"):
            await journal.append(partition, b"x")
        with pytest.raises(ValueError, match="outside"):
            await journal.read(partition, 0)


async def test_a_closed_journal_neither_reads_nor_appends_nor_waits(journals: Any) -> None:
    journal = await journals.open()
    await append(journal, 0, b"x")
    waiting = asyncio.create_task(journal.wait(0, 1, LONG_MS))
    await asyncio.sleep(0)
    await journal.close()
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await journal.read(0, 0)
    with pytest.raises((AppendRejected, AppendUnknown)):
        await journal.append(0, b"y")


async def test_appends_under_way_at_the_close_are_told_the_truth(journals: Any) -> None:
    journal = await journals.open()
    under_way = [asyncio.create_task(journal.append(0, b"%d" % number)) for number in range(50)]
    await asyncio.sleep(0)
    await journal.close()
    outcomes = await asyncio.gather(*under_way, return_exceptions=True)

    stored = await everything(await journals.open(), 0)
    assert len(stored) == len(set(stored))
    for number, outcome in enumerate(outcomes):
        match outcome:
            case Appended():
                assert b"%d" % number in stored
            case AppendRejected():
                assert b"%d" % number not in stored
            case _:
                assert isinstance(outcome, AppendUnknown)
