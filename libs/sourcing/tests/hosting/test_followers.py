"""Followers of a partition: when they begin and end, when they try again, and when beats may be sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import Fault
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.followers import Followers
from chapar_sourcing.hosting import HostRules, Topic
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.pulse import Pulse
from chapar_sourcing.reactions import Source, Submit
from chapar_sourcing.tail import Tail, ValidBlock

from .notebook import Command, Event, Notebook
from .rig import Impatient, World, book_at, config, eventually

TOPIC, OTHER = "notebook.events.v1", "other.v1"


@dataclass
class Shell:
    """As much of an owner's shell as followers look at."""

    partition: int = 0
    owning: bool = True
    ended: bool = False
    alarm: str = ""
    confirmed_by_heartbeat: bool = True
    claims_asked_for: int = 0
    alarms: list[str] = field(default_factory=list)
    phase_changed: Pulse = field(default_factory=Pulse)

    def claim_after_lapse(self) -> None:
        self.claims_asked_for += 1

    def raise_alarm(self, reason: str) -> None:
        self.alarms.append(reason)


@dataclass
class Reading:
    """A reaction that only reads."""

    name: str
    topic: str | None = None
    event_type: Any = Event
    seen: list[str] = field(default_factory=list)

    async def react(self, event: Any, source: Source, view: Any) -> Sequence[Any]:
        self.seen.append(event.text)
        return ()


async def _read(ask: Any) -> Any:
    return await ask(None)


class Followed:
    """The followers of partition 0, with everything around them."""

    def __init__(
        self, *reactions: Reading, fault: Fault | None = None, topics: Sequence[str] = (),
        clock: Impatient | None = None, targets: Any = None,
    ) -> None:  # fmt: skip
        self.shell: Any = Shell()
        self.clock, self.measures, self.tail = clock or Impatient(), HeldMeasures(), Tail()
        self.tail.start(-1)
        world = World(published=dict.fromkeys(topics))
        rules = HostRules(
            Notebook(), reactions=reactions, topics=[Topic(name) for name in topics],
            public_event=(lambda event, when: (TOPIC, event)) if topics else None,
        )  # fmt: skip
        self.followers = Followers(
            shell=self.shell, tail=self.tail, config=config(), ports=world.ports(store_fault=fault), rules=rules,
            clock=self.clock, measures=self.measures, targets=targets, read=_read,
        )  # fmt: skip

    def block(self, *texts: str, book: str = "") -> None:
        """Puts the first block into the tail."""
        entry = journal.Entry()
        entry.events.events.extend(Event(book=book, text=text).SerializeToString() for text in texts)
        self.tail.push(ValidBlock(0, journal.Block(sequence=1, entries=[entry]), b"hash"))

    def ends(self) -> None:
        """The owner ends."""
        self.shell.ended = True
        self.shell.phase_changed.beat()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.followers.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_they_begin_when_the_partition_is_owned_and_end_when_it_is_no_more() -> None:
    reading = Reading("a")
    followed = Followed(reading)
    followed.shell.owning = False
    followed.block("first")
    async with followed.running() as task:
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reading.seen
        followed.shell.owning = True
        followed.shell.phase_changed.beat()
        await eventually(lambda: reading.seen == ["first"])
        assert not task.done()
        followed.ends()
        await eventually(task.done)
        assert task.exception() is None


async def test_an_owner_that_never_owned_has_none() -> None:
    followed = Followed(Reading("a"))
    followed.shell.owning = False
    async with followed.running() as task:
        followed.ends()
        await eventually(task.done)
        assert task.exception() is None


async def test_one_that_fails_tries_again_ever_later_and_sooner_once_it_ran_for_long() -> None:
    clock = Impatient()
    lasted_ms = [0] * 8 + [5_000, 5_001, 0]

    async def away(step: str, partition: int) -> None:
        if step == "read_cursors" and lasted_ms:
            await clock.advance(lasted_ms.pop(0))
            raise Unavailable("away")

    reading = Reading("a")
    followed = Followed(reading, fault=away, clock=clock)
    await clock.advance(100_000)
    followed.block("first")
    async with followed.running():
        await eventually(lambda: reading.seen == ["first"])
    assert clock.slept == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 0.1, 0.2]
    assert followed.measures.counters["followers_restarted"] == 11


async def test_creations_that_their_target_refuses_are_passed_one_after_the_other_without_a_pause() -> None:
    here, there = book_at(0), book_at(1)

    class Copying(Reading):
        async def react(self, event: Any, source: Source, view: Any) -> Sequence[Any]:
            self.seen.append(event.text)
            return [Submit(there, Command(book=there, text=event.text), creation=True)]

    class Picky:
        """A target that forbids all but the last one, and has none before it."""

        taken: ClassVar[list[str]] = []

        async def submit(self, partition: int, commands: Sequence[Any]) -> Sequence[str]:
            return [self._judged(Command.FromString(command.command)) for command in commands]

        def _judged(self, command: Any) -> str:
            if command.creation.HasField("previous"):
                return HOLE_REASON
            if command.text != "19":
                return "REASON_FORBIDDEN"
            self.taken.append(command.text)
            return ""

    followed = Followed(Copying("a"), targets=Picky())
    followed.block(*(str(number) for number in range(20)), book=here)
    async with followed.running():
        await eventually(lambda: "19" in Picky.taken)
    assert Picky.taken == ["19"]
    assert followed.measures.counters["reactor_refusals"] == 19
    assert not followed.clock.slept


async def test_one_that_finds_damage_raises_the_alarm_and_stops_and_the_others_go_on() -> None:
    damaged = True

    def damage(step: str, partition: int) -> None:
        nonlocal damaged
        if step == "read_cursors" and damaged:
            damaged = False
            raise LogDamaged("damaged")

    finds, goes_on = Reading("a"), Reading("b")
    followed = Followed(finds, goes_on, fault=damage)
    async with followed.running():
        await eventually(lambda: followed.shell.alarms == ["reactor/a: damaged"])
        followed.block("first")
        await eventually(lambda: goes_on.seen == ["first"])
        assert not finds.seen
        assert not followed.clock.slept


async def test_beats_need_an_owner_that_is_well_and_a_topic_that_is_published() -> None:
    followed = Followed(topics=[TOPIC, OTHER])
    may_beat = followed.followers.may_beat
    assert not may_beat(TOPIC), "nothing is published yet"
    async with followed.running():
        await eventually(lambda: may_beat(TOPIC) and may_beat(OTHER))
        assert not may_beat("undeclared.v1")
        followed.shell.alarm = "damaged"
        assert not may_beat(TOPIC)
        followed.shell.alarm = ""
        assert followed.shell.claims_asked_for == 0
        followed.shell.confirmed_by_heartbeat = False
        assert not may_beat(TOPIC)
        assert followed.shell.claims_asked_for == 1


async def test_a_service_without_public_events_has_no_relays() -> None:
    assert [relay.topic for relay in Followed(topics=[TOPIC, OTHER]).followers.relays] == [TOPIC, OTHER]
    assert Followed().followers.relays == []


@pytest.mark.parametrize("topic", [None, TOPIC])
async def test_a_reaction_reads_what_it_says(topic: str | None) -> None:
    reading = Reading("a", topic)
    followed = Followed(reading, topics=[TOPIC])
    async with followed.running():
        followed.block("first")
        await eventually(lambda: reading.seen == ["first"])
