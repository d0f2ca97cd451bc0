"""Public events reach the stream in order, with their chain, however often the relay crashes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.message import Message

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import MemoryStore, MemoryStream
from chapar_sourcing.clock import ManualClock
from chapar_sourcing.domain import When
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.hosting import HostRules, Topic
from chapar_sourcing.ports import Cursor, Unavailable
from chapar_sourcing.positions import Position
from chapar_sourcing.stream_reader import StreamReader

from .notebook import Event, Notebook
from .rig import PARTITIONS, World, book_at, eventually, running

TOPIC, LOUD = "notebook.events.v1", "loud.v1"


def public_event(event: Any, when: When) -> list[tuple[str, Message]] | None:
    """Everything is public but secrets; what shouts is on a topic of its own as well."""
    if event.text.startswith("secret"):
        return None
    return [(TOPIC, event), (LOUD, event)] if event.text.startswith("!") else [(TOPIC, event)]


def rules(beat_ms: int | None = None) -> HostRules:
    return HostRules(Notebook(), topics=[Topic(TOPIC), Topic(LOUD, beat_ms)], public_event=public_event)


def world() -> World:
    return World(published={TOPIC: None, LOUD: None})


async def read_all(given: World, topic: str, partition: int) -> list[journal.StreamRecord]:
    """Every record as stored."""
    entries = await MemoryStream(given.topics).read(topic, partition, 0)
    return [journal.StreamRecord.FromString(entry.data) for entry in entries]


def reader_of(given: World, topic: str = TOPIC, cursor: Cursor | None = None, **changes: Any) -> StreamReader:
    return StreamReader(**{
        "stream": MemoryStream(given.topics), "topic": topic, "partition": 0, "partitions": PARTITIONS,
        "cursor": cursor, "clock": ManualClock(0), "hole_ms_max": 30_000, **changes,
    })  # fmt: skip


async def texts(reader: StreamReader, count: int) -> list[str]:
    """The texts of the next events."""
    found: list[str] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += [Event.FromString(e.record.event).text for e in await reader.next()]
    return found


async def test_each_topic_has_a_chain_of_its_own() -> None:
    given = world()
    async with running(given, rules=rules()) as process:
        for text in ("one", "!two", "secret", "!three", "four"):
            await process.write(book_at(0), text)
        assert await texts(reader_of(given), 4) == ["one", "!two", "!three", "four"]
        assert await texts(reader_of(given, LOUD), 2) == ["!two", "!three"]
    records = await read_all(given, TOPIC, 0)
    assert not records[0].HasField("previous")
    assert [r.previous for r in records[1:]] == [r.position for r in records[:-1]]
    assert all(r.source_hash and r.time_ms for r in records)


async def test_what_a_crashed_relay_repeats_is_read_once() -> None:
    given, answers_lost = world(), 0

    def lose_answers(step: str, partition: int) -> None:
        nonlocal answers_lost
        if step == "publish.done" and answers_lost < 6:
            answers_lost += 1
            raise Unavailable("no answer")

    ports = given.ports(stream_fault=lose_answers)
    async with running(given, rules=rules(), ports=ports) as process:
        for n in range(10):
            await process.write(book_at(0), str(n))
        await eventually(lambda: answers_lost == 6)
        await process.crash()
    async with running(given, rules=rules()) as successor:
        await successor.write(book_at(0), "last")
        assert await texts(reader_of(given), 11) == [*map(str, range(10)), "last"]
    assert len(await read_all(given, TOPIC, 0)) > 11


async def test_a_reader_goes_on_from_its_cursor() -> None:
    given = world()
    async with running(given, rules=rules()) as process:
        for n in range(4):
            await process.write(book_at(0), str(n))
        events: list[Any] = []
        reader = reader_of(given)
        while len(events) < 4:
            events += await reader.next()
        assert await texts(reader_of(given, cursor=events[1].cursor), 2) == ["2", "3"]


async def test_a_relay_goes_on_from_its_cursor() -> None:
    given = world()
    async with running(given, rules=rules()) as process:
        await process.write(book_at(0), "before")

        async def written() -> bool:
            return f"relay/{TOPIC}" in await MemoryStore(given.tables).read_cursors(0)

        await eventually(written)
        await process.crash()
    async with running(given, rules=rules()) as successor:
        await successor.write(book_at(0), "after")
        assert await texts(reader_of(given), 2) == ["before", "after"]
    assert [Event.FromString(r.event).text for r in await read_all(given, TOPIC, 0)] == ["before", "after"]


async def test_a_repetition_is_no_hole() -> None:
    given, clock = world(), ManualClock(0)
    stream = MemoryStream(given.topics, topics={TOPIC: None}, partitions=PARTITIONS)
    place = journal.SourcePosition
    first = journal.StreamRecord(position=place(offset=1), source_hash=b"a")
    second = journal.StreamRecord(position=place(offset=2), previous=place(offset=1), source_hash=b"b")
    third = journal.StreamRecord(position=place(offset=3), previous=place(offset=2), source_hash=b"c")
    await stream.publish(TOPIC, 0, [r.SerializeToString() for r in (first, second, first, second)])
    waits = 0

    def count(step: str, partition: int) -> None:
        nonlocal waits
        waits += step == "wait"

    reader = reader_of(given, clock=clock, stream=MemoryStream(given.topics, fault=count))
    assert len(await reader.next(records_max=2)) == 2
    waiting = asyncio.create_task(reader.next())
    await eventually(lambda: waits == 1)
    await clock.advance(30_001)
    await stream.publish(TOPIC, 0, [first.SerializeToString()])
    await eventually(lambda: waits == 2 or waiting.done())
    await stream.publish(TOPIC, 0, [third.SerializeToString()])
    assert [e.position for e in await waiting] == [Position(3, 0)]


async def test_a_repetition_that_says_otherwise_is_an_alarm() -> None:
    given = world()
    stream = MemoryStream(given.topics, topics={TOPIC: None}, partitions=PARTITIONS)
    first = journal.StreamRecord(position=journal.SourcePosition(offset=1), source_hash=b"a")
    other = journal.StreamRecord(position=journal.SourcePosition(offset=1), source_hash=b"b")
    await stream.publish(TOPIC, 0, [first.SerializeToString(), other.SerializeToString()])
    with pytest.raises(LogDamaged, match="otherwise"):
        await reader_of(given).next()


async def test_a_hole_that_stays_is_an_alarm() -> None:
    given, clock = world(), ManualClock(0)
    stream = MemoryStream(given.topics, topics={TOPIC: None}, partitions=PARTITIONS)
    place = journal.SourcePosition
    first = journal.StreamRecord(position=place(offset=1), event=b"", source_hash=b"a")
    third = journal.StreamRecord(position=place(offset=3), previous=place(offset=2), source_hash=b"c")
    await stream.publish(TOPIC, 0, [first.SerializeToString(), third.SerializeToString()])
    reader = reader_of(given, clock=clock)
    assert [e.position for e in await reader.next()] == [Position(1, 0)]
    waiting = asyncio.create_task(reader.next())
    await clock.advance(30_001)
    await stream.publish(TOPIC, 0, [third.SerializeToString()])
    with pytest.raises(LogDamaged, match="hole"):
        await waiting


async def test_a_stream_with_another_number_of_partitions_is_refused() -> None:
    given = world()
    MemoryStream(given.topics, topics={TOPIC: None}, partitions=PARTITIONS)
    with pytest.raises(LogDamaged, match="partitions"):
        await reader_of(given, partitions=PARTITIONS - 1).next()


async def test_a_hole_heals_when_the_relay_repeats() -> None:
    given, clock = world(), ManualClock(0)
    stream = MemoryStream(given.topics, topics={TOPIC: None}, partitions=PARTITIONS)
    place = journal.SourcePosition
    records = [
        journal.StreamRecord(
            position=place(offset=n), previous=place(offset=n - 1), source_hash=b"h"
        ).SerializeToString()
        for n in (2, 3, 4)
    ]
    start = Cursor(Position(-1, 0), b"h", Position(1, 0))
    await stream.publish(TOPIC, 0, [records[0], records[2], records[1], records[2]])
    found = await reader_of(given, cursor=start, clock=clock).next()
    assert [e.position.offset for e in found] == [2, 3, 4]


async def test_beats_say_that_everything_durable_is_published() -> None:
    given, cut_off = world(), False

    def beats(step: str, partition: int) -> None:
        if step == "beat" and cut_off:
            raise Unavailable("cut off")

    async def beat_count() -> int:
        return sum(not r.HasField("position") for r in await read_all(given, LOUD, 3))

    ports = given.ports(members_fault=beats)
    async with running(given, rules=rules(beat_ms=5), ports=ports, beat_interval_ms=20) as process:
        reached = 0

        async def more_beats() -> bool:
            return await beat_count() > reached + 2

        await eventually(more_beats)
        await process.write(book_at(3), "!loud")
        reached = await beat_count()
        await eventually(more_beats)
        records = await read_all(given, LOUD, 3)
        published = next(i for i, r in enumerate(records) if r.HasField("position"))
        assert any(r.time_ms >= records[published].time_ms for r in records[published + 1 :])
        cut_off = True
        await eventually(lambda: not process.host._heartbeat.is_fresh)
        silent_from = await beat_count()
        lost = process.measures.counters["heartbeats_lost"]
        await eventually(lambda: process.measures.counters["heartbeats_lost"] > lost + 10)
        assert await beat_count() <= silent_from + 1
        cut_off = False
        reached = await beat_count()
        await eventually(more_beats)
