"""What every Stream promises."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chapar_sourcing.ports import OffsetOutOfRange, Stream, Unavailable
from chapar_sourcing.ports.journal import RECORD_BYTES_MAX

LONG_MS = 20_000


async def everything(stream: Stream, topic: str, partition: int) -> list[bytes]:
    return [entry.data for entry in await stream.read(topic, partition, 0)]


async def test_a_new_topic_is_empty(streams: Any) -> None:
    stream = await streams.open()
    assert await stream.partitions(streams.topic) == 4
    assert list(await stream.read(streams.topic, 0, 0)) == []
    assert await stream.start_offset(streams.topic, 0) == await stream.end_offset(streams.topic, 0) == 0


async def test_records_are_read_by_others_in_the_order_published(streams: Any) -> None:
    stream, reader = await streams.open(), await streams.open_reader()
    await stream.publish(streams.topic, 1, [b"a", b"b"])
    await stream.publish(streams.topic, 1, [b"c"])
    assert await everything(reader, streams.topic, 1) == [b"a", b"b", b"c"]
    assert await reader.start_offset(streams.topic, 1) == 0
    assert await reader.end_offset(streams.topic, 1) == 3
    assert await everything(reader, streams.topic, 0) == []


async def test_topics_do_not_see_each_other(streams: Any) -> None:
    stream = await streams.open()
    await stream.publish(streams.topic, 0, [b"a"])
    await stream.publish(streams.other, 0, [b"b"])
    assert await everything(stream, streams.topic, 0) == [b"a"]
    assert await everything(stream, streams.other, 0) == [b"b"]


async def test_publishing_nothing_changes_nothing(streams: Any) -> None:
    stream = await streams.open()
    await stream.publish(streams.topic, 0, [])
    assert await stream.end_offset(streams.topic, 0) == 0


async def test_too_large_a_record_is_refused_and_nothing_is_published(streams: Any) -> None:
    stream = await streams.open()
    with pytest.raises(ValueError, match="more than"):
        await stream.publish(streams.topic, 0, [b"small", bytes(RECORD_BYTES_MAX + 1)])
    assert await everything(stream, streams.topic, 0) == []


async def test_large_records_are_all_read_though_not_in_one_call(streams: Any) -> None:
    stream = await streams.open()
    await stream.publish(streams.topic, 0, [bytes(RECORD_BYTES_MAX)] * 8)
    offset = 0
    while entries := await stream.read(streams.topic, 0, offset):
        offset = entries[-1].offset + 1
    assert offset == 8


async def test_concurrent_publishers_keep_each_their_order(streams: Any) -> None:
    stream = await streams.open()
    batches = {partition: [b"%d" % number for number in range(60)] for partition in range(4)}
    await asyncio.gather(*(stream.publish(streams.topic, partition, batch) for partition, batch in batches.items()))
    for partition, batch in batches.items():
        assert await everything(stream, streams.topic, partition) == batch


async def test_reading_goes_on_where_it_stopped(streams: Any) -> None:
    stream = await streams.open()
    await stream.publish(streams.topic, 0, [b"%d" % number for number in range(10)])
    first = await stream.read(streams.topic, 0, 2, records_max=3)
    assert [(entry.offset, entry.data) for entry in first] == [(2, b"2"), (3, b"3"), (4, b"4")]
    assert [entry.offset for entry in await stream.read(streams.topic, 0, 5)] == [5, 6, 7, 8, 9]


async def test_reading_beyond_the_end_is_out_of_range(streams: Any) -> None:
    stream = await streams.open()
    await stream.publish(streams.topic, 0, [b"a"])
    assert list(await stream.read(streams.topic, 0, 1)) == []
    with pytest.raises(OffsetOutOfRange):
        await stream.read(streams.topic, 0, 2)


async def test_wait_is_woken_by_a_record_of_any_partition(streams: Any) -> None:
    stream, reader = await streams.open(), await streams.open_reader()
    await stream.publish(streams.topic, 3, [b"old"])
    near = asyncio.create_task(stream.wait(streams.topic, {2: 0, 3: 1}, LONG_MS))
    far = asyncio.create_task(reader.wait(streams.topic, {2: 0, 3: 1}, LONG_MS))
    await stream.publish(streams.topic, 2, [b"new"])
    assert await near
    assert await far


async def test_wait_returns_at_once_when_there_is_a_record(streams: Any) -> None:
    stream, reader = await streams.open(), await streams.open_reader()
    await stream.publish(streams.topic, 0, [b"a"])
    assert await stream.wait(streams.topic, {0: 0, 1: 0}, LONG_MS)
    assert await reader.wait(streams.topic, {0: 0, 1: 0}, LONG_MS)


async def test_wait_ends_when_its_time_has_passed(streams: Any) -> None:
    stream, reader = await streams.open(), await streams.open_reader()
    await stream.publish(streams.topic, 0, [b"a"])
    assert not await stream.wait(streams.topic, {0: 1, 1: 0}, 20)
    assert not await reader.wait(streams.topic, {0: 1, 1: 0}, 20)


async def test_every_wait_of_a_long_chain_is_woken(streams: Any) -> None:
    stream, reader = await streams.open(), await streams.open_reader()
    for number in range(30):
        waiting = asyncio.create_task(reader.wait(streams.topic, {0: number}, LONG_MS))
        await stream.publish(streams.topic, 0, [b"%d" % number])
        assert await waiting
        assert [entry.data for entry in await reader.read(streams.topic, 0, number)] == [b"%d" % number]


async def test_a_topic_that_does_not_exist_yet_is_unavailable_and_then_there(streams: Any) -> None:
    reader = await streams.open_reader()
    with pytest.raises(Unavailable):
        await reader.partitions(streams.topic)
    with pytest.raises(Unavailable):
        await reader.read(streams.topic, 0, 0)
    stream = await streams.open()
    await stream.publish(streams.topic, 0, [b"a"])
    assert await reader.partitions(streams.topic) == 4
    assert await everything(reader, streams.topic, 0) == [b"a"]


async def test_wait_on_a_topic_that_does_not_exist_yet_is_woken_by_its_first_record(streams: Any) -> None:
    reader = await streams.open_reader()
    assert not await reader.wait(streams.topic, {0: 0}, 20)
    waiting = asyncio.create_task(reader.wait(streams.topic, {0: 0}, LONG_MS))
    stream = await streams.open()
    await stream.publish(streams.topic, 0, [b"a"])
    assert await waiting


async def test_all_is_there_after_reopening(streams: Any) -> None:
    stream, reader = await streams.open(), await streams.open_reader()
    await stream.publish(streams.topic, 0, [b"a"])
    assert await everything(reader, streams.topic, 0) == [b"a"]
    await stream.close()

    again = await streams.open()
    assert await again.wait(streams.topic, {0: 0}, LONG_MS)
    await again.publish(streams.topic, 0, [b"b"])
    assert await everything(again, streams.topic, 0) == [b"a", b"b"]
    assert await everything(reader, streams.topic, 0) == [b"a", b"b"]


async def test_a_partition_that_is_not_there_is_refused(streams: Any) -> None:
    stream = await streams.open()
    with pytest.raises(ValueError, match="outside"):
        await stream.publish(streams.topic, 4, [b"a"])
    with pytest.raises(ValueError, match="outside"):
        await stream.read(streams.topic, 4, 0)


async def test_a_closed_stream_is_unavailable(streams: Any) -> None:
    stream = await streams.open()
    waiting = asyncio.create_task(stream.wait(streams.topic, {0: 0}, LONG_MS))
    await stream.publish(streams.other, 0, [b"a"])
    await stream.close()
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await stream.publish(streams.topic, 0, [b"a"])
    with pytest.raises(Unavailable):
        await stream.read(streams.topic, 0, 0)
