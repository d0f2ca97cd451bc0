"""A relay by itself: what it makes of events, how much it publishes at once, when its cursor moves, and when it may
say that everything is published."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.message import Message

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import Fault, MemoryJournal, MemoryStore, MemoryStream
from chapar_sourcing.clock import ManualClock
from chapar_sourcing.hosting import PublicEvent
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.ports import Cursor, Unavailable
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.relay import BLOCKS_WITHOUT_CURSOR_MAX, PUBLISH_RECORDS_MAX, Relay, pairs
from chapar_sourcing.tail import Tail, ValidBlock

from .notebook import Event, Notebook
from .rig import BOUND_SECONDS, PARTITIONS, eventually

TOPIC, OTHER = "notebook.events.v1", "other.v1"


class NotingStream(MemoryStream):
    """A stream that notes how many records came in each call, and holds calls up while its gate is closed."""

    def __init__(self) -> None:
        super().__init__(topics={TOPIC: None, OTHER: None}, partitions=PARTITIONS)
        self.calls: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False

    async def publish(self, topic: str, partition: int, records: Sequence[bytes]) -> None:
        self.calls += [len(records)]
        await self.gate.wait()
        if self.away:
            raise Unavailable("away")
        await super().publish(topic, partition, records)


class NotingStore(MemoryStore):
    """A store that notes which cursors were written, and holds readers of them up while its gate is closed."""

    def __init__(self, fault: Fault | None) -> None:
        super().__init__(fault=fault)
        self.written: list[Cursor] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def write_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        await super().write_cursor(partition, name, cursor)
        self.written.append(cursor)

    async def read_cursors(self, partition: int) -> Any:
        await self.gate.wait()
        return await super().read_cursors(partition)


def everything(event: Any, when: Any) -> tuple[str, Message] | None:
    """All is public but secrets."""
    return None if event.text == "secret" else (TOPIC, event)


class Alone:
    """A relay of partition 0, and the tail it reads."""

    def __init__(self, public_event: PublicEvent = everything, fault: Fault | None = None) -> None:
        self.tail, self.stream, self.store = Tail(), NotingStream(), NotingStore(fault)
        self.tail.start(-1)
        self.measures = HeldMeasures()
        self._offsets = itertools.count()
        self.relay = Relay(
            partition=0, topic=TOPIC, topics=[TOPIC, OTHER], tail=self.tail, journal=MemoryJournal(), store=self.store,
            stream=self.stream, domain=Notebook(), public_event=public_event, measures=self.measures,
            clock=ManualClock(0),
        )  # fmt: skip

    def block(self, *texts: str) -> ValidBlock:
        """Puts the next block into the tail, with events of these texts."""
        offset = next(self._offsets)
        entry = journal.Entry()
        entry.events.events.extend(Event(text=text).SerializeToString() for text in texts)
        made = ValidBlock(offset, journal.Block(sequence=offset + 1, entries=[entry]), b"hash %d" % offset)
        self.tail.push(made)
        return made

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It runs meanwhile; where it ends by itself, the test ends with its error."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.relay.run())
            yield
            assert not task.done(), "a relay goes on"
            task.cancel()

    async def fails(self) -> None:
        """Runs until it fails."""
        async with asyncio.timeout(BOUND_SECONDS):
            await self.relay.run()

    async def published(self) -> list[journal.StreamRecord]:
        entries = await self.stream.read(TOPIC, 0, 0, records_max=10_000)
        return [journal.StreamRecord.FromString(entry.data) for entry in entries]


def end_of(block: ValidBlock, last: ValidBlock) -> Cursor:
    """The cursor at the end of a block, where `last` is the last one with a public event, of one event."""
    return Cursor(block.end, block.hash, Position(last.offset, 0))


# ---- what it makes of events

ONE = (TOPIC, Event(text="a"))
TWO = (OTHER, Event(text="b"))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, []),
        ([], []),
        ((), []),
        (ONE, [ONE]),
        ([ONE], [ONE]),
        ((ONE,), [ONE]),
        ([ONE, TWO], [ONE, TWO]),
        ((ONE, TWO), [ONE, TWO]),
        ((ONE, TWO, TWO), [ONE, TWO, TWO]),
    ],
)
def test_a_service_may_say_nothing_one_thing_or_several(said: Any, meant: list[tuple[str, Message]]) -> None:
    assert list(pairs(said)) == meant


@pytest.mark.parametrize("times", [2, 3])
async def test_an_event_that_would_be_on_a_topic_more_than_once_is_published_not_at_all(times: int) -> None:
    alone = Alone(lambda event, when: [(TOPIC, event)] * times)
    alone.block("a")
    with pytest.raises(RuntimeError, match="published twice"):
        await alone.fails()
    assert not await alone.published()


async def test_an_event_on_a_topic_that_the_service_does_not_declare_is_published_not_at_all() -> None:
    alone = Alone(lambda event, when: [(TOPIC, event), ("undeclared.v1", event)])
    alone.block("a")
    with pytest.raises(RuntimeError, match="does not declare"):
        await alone.fails()
    assert not await alone.published()


async def test_what_is_said_on_another_topic_is_none_of_its_business() -> None:
    alone = Alone(
        lambda event, when: [(OTHER, event)] * 2 if event.text == "other" else [(OTHER, event), (TOPIC, event)]
    )
    alone.block("a", "other", "b")
    async with alone.running():
        await eventually(lambda: alone.relay.caught_up)
    records = await alone.published()
    assert [Event.FromString(record.event).text for record in records] == ["a", "b"]
    assert (records[0].HasField("previous"), records[1].previous) == (False, records[0].position)
    assert [record.position.index for record in records] == [0, 2]


async def test_so_many_records_go_in_one_call_and_all_are_counted() -> None:
    alone = Alone()
    texts = [str(n) for n in range(2 * PUBLISH_RECORDS_MAX + 1)]
    alone.block(*texts)
    async with alone.running():
        await eventually(lambda: alone.relay.caught_up)
    assert alone.stream.calls == [PUBLISH_RECORDS_MAX, PUBLISH_RECORDS_MAX, 1]
    records = await alone.published()
    assert [Event.FromString(record.event).text for record in records] == texts
    assert alone.measures.counters["events_published"] == len(texts)


# ---- when its cursor moves


@pytest.mark.parametrize("begun", [False, True])
async def test_so_many_blocks_without_public_events_move_the_cursor(begun: bool) -> None:
    alone = Alone()
    expected = []
    if begun:
        public = alone.block("public")
        expected.append(end_of(public, public))
    async with alone.running():
        await eventually(lambda: alone.relay.caught_up)
        for _ in range(2):
            for _ in range(BLOCKS_WITHOUT_CURSOR_MAX - 1):
                alone.block("secret")
            await eventually(lambda: alone.relay.caught_up)
            assert alone.store.written == expected
            last = alone.block("secret")
            await eventually(lambda: alone.relay.caught_up)
            expected.append(Cursor(last.end, last.hash, Position(0, 0) if begun else NOWHERE))
            assert alone.store.written == expected


async def test_a_cursor_that_could_not_be_written_is_written_with_the_next_block() -> None:
    fails = 1

    def away(step: str, partition: int) -> None:
        nonlocal fails
        if step == "write_cursor" and fails:
            fails -= 1
            raise Unavailable("away")

    alone = Alone(fault=away)
    public = alone.block("public")
    async with alone.running():
        await eventually(lambda: alone.relay.caught_up)
        assert not alone.store.written
        second = alone.block("secret")
        await eventually(lambda: alone.relay.caught_up)
        assert alone.store.written == [end_of(second, public)]


# ---- when everything is published


async def test_nothing_is_said_to_be_published_before_it_is() -> None:
    alone = Alone()
    assert not alone.relay.caught_up, "it has not even begun"
    alone.stream.gate.clear()
    async with alone.running():
        await eventually(lambda: alone.relay.caught_up)
        alone.block("held up")
        assert not alone.relay.caught_up
        await eventually(lambda: alone.stream.calls == [1])
        assert not alone.relay.caught_up
        alone.stream.gate.set()
        await eventually(lambda: alone.relay.caught_up)


async def test_a_relay_that_begins_anew_after_a_failure_does_not_say_that_all_is_published() -> None:
    alone = Alone()
    alone.stream.away = True
    alone.block("not published")
    with pytest.raises(Unavailable):
        await alone.fails()
    alone.store.gate.clear()
    async with alone.running():
        await asyncio.sleep(0)
        assert not alone.relay.caught_up
        alone.stream.away = False
        alone.store.gate.set()
        await eventually(lambda: alone.relay.caught_up)
        assert len(await alone.published()) == 1
