"""What cannot be read in a log or a stream is an alarm of the partition that reads it, and ends nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import MemoryStream
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.reactions import Outgoing, Source

from .notebook import Event, Notebook
from .rig import PARTITIONS, World, book_at, eventually, running

TOPIC = "other.events.v1"


class Listening:
    """Reads another service's stream."""

    name = "listening"
    topic: str | None = TOPIC
    event_type: Any = Event

    async def react(self, event: Any, source: Source, view: Any) -> Sequence[Outgoing]:
        return []


@pytest.mark.parametrize(
    "record",
    [
        b"\xff\xff",
        journal.StreamRecord(position=journal.SourcePosition(offset=1), event=b"\xff\xff").SerializeToString(),
    ],
    ids=["record", "event"],
)
async def test_a_stream_that_cannot_be_read_is_an_alarm_of_its_reader_alone(record: bytes) -> None:
    world = World()
    other = MemoryStream(world.topics, topics={TOPIC: None}, partitions=PARTITIONS)
    async with running(world, rules=HostRules(Notebook(), reactions=[Listening()])) as process:
        await other.publish(TOPIC, 1, [record])
        await eventually(lambda: process.task.done() or "cannot be read" in process.host.health()[1].problem)
        assert not process.task.done()
        await process.write(book_at(0), "goes on")
        assert await process.texts(book_at(0)) == ["goes on"]
