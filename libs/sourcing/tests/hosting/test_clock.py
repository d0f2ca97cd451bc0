"""The clock of decisions: the journal's time, no jumps, and what happens where clocks disagree."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import MemoryJournal
from chapar_sourcing.clock import ManualClock, OwnerClock, SystemClock
from chapar_sourcing.heartbeat import Heartbeat
from chapar_sourcing.hosting import HostPorts
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.ports import AppendUnknown
from chapar_sourcing.refusing import UNAVAILABLE

from .notebook import Command
from .rig import World, book_at, eventually, running

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


async def appended(owner: OwnerClock, clock: ManualClock, journal_ms: int, *, took_ms: int = 0) -> None:
    """An append whose acknowledgement carries the journal's time."""
    sent = owner.stamp()
    await clock.advance(took_ms)
    owner.heard(journal_ms, sent)


async def test_the_machines_clock_counts_until_the_journals_is_known() -> None:
    clock = ManualClock(NOW_MS)
    owner = OwnerClock(clock)
    assert owner.now_ms() == NOW_MS
    clock.jump(-HOUR_MS)
    assert owner.now_ms() == NOW_MS, "it never goes back"
    clock.jump(HOUR_MS + 5)
    assert owner.now_ms() == NOW_MS + 5


async def test_time_is_the_journals_at_the_last_append_and_the_monotonic_time_since() -> None:
    clock = ManualClock(NOW_MS)
    owner = OwnerClock(clock)
    await appended(owner, clock, NOW_MS + 1_500)
    assert (owner.now_ms(), owner.off_ms) == (NOW_MS + 1_500, 0)
    await clock.advance(100)
    assert owner.now_ms() == NOW_MS + 1_600


async def test_a_jump_of_the_machines_clock_moves_nothing_and_is_told() -> None:
    for jump_ms in (HOUR_MS, -HOUR_MS):
        clock = ManualClock(NOW_MS)
        owner = OwnerClock(clock)
        await appended(owner, clock, NOW_MS)
        clock.jump(jump_ms)
        await clock.advance(10)
        assert owner.now_ms() == NOW_MS + 10
        await appended(owner, clock, NOW_MS + 10)
        assert owner.off_ms == -jump_ms
        assert owner.now_ms() == NOW_MS + 10
        clock.jump(-jump_ms)
        await appended(owner, clock, NOW_MS + 10)
        assert owner.off_ms == 0


async def test_a_jump_of_the_journals_clock_is_not_believed() -> None:
    for jump_ms in (HOUR_MS, -HOUR_MS):
        clock = ManualClock(NOW_MS)
        owner = OwnerClock(clock)
        await appended(owner, clock, NOW_MS)
        clock.jump(jump_ms)
        await appended(owner, clock, NOW_MS + jump_ms)
        assert owner.off_ms == jump_ms
        assert owner.now_ms() == NOW_MS
        clock.jump(-jump_ms)
        await appended(owner, clock, NOW_MS)
        assert owner.off_ms == 0


async def test_two_seconds_are_the_bound() -> None:
    for off_ms, expected in ((2_000, 0), (2_001, 2_001), (-2_000, 0), (-2_001, -2_001)):
        clock = ManualClock(NOW_MS)
        owner = OwnerClock(clock)
        await appended(owner, clock, NOW_MS + off_ms)
        assert owner.off_ms == expected


async def test_an_acknowledgement_that_was_long_under_way_is_no_disagreement() -> None:
    clock = ManualClock(NOW_MS)
    owner = OwnerClock(clock)
    await appended(owner, clock, NOW_MS)
    await appended(owner, clock, NOW_MS + 10, took_ms=30_000)
    assert owner.off_ms == 0
    await appended(owner, clock, NOW_MS + 30_000)
    assert (owner.off_ms, owner.now_ms()) == (0, NOW_MS + 30_000)


async def test_an_append_that_took_long_does_not_leave_the_clock_behind() -> None:
    clock = ManualClock(NOW_MS)
    owner = OwnerClock(clock)
    for number in range(3):
        await appended(owner, clock, NOW_MS + number * 1_500, took_ms=1_500)
        assert owner.now_ms() == clock.now_ms(), "nothing says that it is any other time"
    await appended(owner, clock, clock.now_ms() - 400)
    assert owner.now_ms() == clock.now_ms(), "it never goes back"
    await clock.advance(400)
    assert owner.now_ms() == clock.now_ms() - 400, "now it is known better"


async def test_clocks_that_drift_apart_while_nothing_is_appended_are_no_disagreement() -> None:
    clock = ManualClock(NOW_MS)
    owner = OwnerClock(clock)
    await appended(owner, clock, NOW_MS)
    await clock.advance(24 * HOUR_MS)
    drifted_ms = 24 * HOUR_MS + 1_900
    await appended(owner, clock, NOW_MS + drifted_ms)
    assert (owner.off_ms, owner.now_ms()) == (0, NOW_MS + drifted_ms)


async def test_the_time_of_a_beat_ends_a_doubt_and_begins_none() -> None:
    clock = ManualClock(NOW_MS)
    owner = OwnerClock(clock)
    heartbeat = Heartbeat(clock, owner, HeldMeasures())

    async def beat(appended_ms: int) -> None:
        async def sending() -> int:
            return appended_ms

        assert await heartbeat.beat(sending())

    await appended(owner, clock, NOW_MS)
    await beat(NOW_MS + HOUR_MS)
    assert owner.off_ms == 0
    await appended(owner, clock, NOW_MS + HOUR_MS)
    assert owner.off_ms == HOUR_MS
    await beat(NOW_MS + HOUR_MS)
    assert owner.off_ms == HOUR_MS
    await beat(NOW_MS)
    assert owner.off_ms == 0


async def test_an_owner_whose_clock_is_off_decides_nothing_until_it_is_right_again() -> None:
    world = World()
    off_ms = 0
    ports = world.ports()
    journal = MemoryJournal(world.log, now_ms=lambda: SystemClock().now_ms() + off_ms)
    ports = HostPorts(journal, ports.store, ports.members, ports.stream)
    async with running(world, ports=ports, wait_ready=False) as process:
        await process.ready()
        await process.write(book_at(0), "first")
        off_ms = HOUR_MS
        assert (await process.host.submit(0, process.request_of(Command(book=book_at(0), text="x")))).entry is not None
        refused = await process.host.submit(0, process.request_of(Command(book=book_at(0), text="y")))
        assert refused.reason == UNAVAILABLE
        assert not process.host.ready
        assert any("off the journal's" in health.problem for health in process.host.health())
        off_ms = 0
        await eventually(lambda: process.host.ready)
        await process.write(book_at(0), "again")


class FastClock(SystemClock):
    """A machine's clock that is an hour ahead."""

    ahead_ms = HOUR_MS

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


def blocks_of(world: World, partition: int) -> Sequence[journal.Block]:
    """The blocks of a partition's log."""
    records = [journal.Record.FromString(record.data) for record in world.log.records.get(partition, ())]
    return [record.block for record in records if record.HasField("block")]


async def test_a_machine_that_starts_an_hour_fast_decides_nothing_and_leaves_the_clock_of_the_log_alone() -> None:
    world = World()
    ports = world.ports()
    ports = HostPorts(MemoryJournal(world.log, now_ms=SystemClock().now_ms), ports.store, ports.members, ports.stream)
    async with running(world, ports=ports, wait_ready=False, clock=FastClock()) as process:
        early = asyncio.create_task(process.write(book_at(0), "sent before anything was known of the clock"))
        await eventually(lambda: len(blocks_of(world, 0)) > 1)
        blocks = blocks_of(world, 0)
        assert not early.done()
        assert [len(block.entries) for block in blocks] == [0] * len(blocks), "they only compare the clocks"
        assert max(block.time_ms for block in blocks) <= SystemClock().now_ms()
        early.cancel()


async def test_a_machines_clock_that_is_right_again_is_noticed_where_no_append_can_tell() -> None:
    world, clock, away = World(), FastClock(), False

    def fault(step: str, _partition: int) -> None:
        if away and step == "append":
            raise AppendUnknown("no answer")

    clock.ahead_ms = 0
    ports = world.ports()
    journal_port = MemoryJournal(world.log, fault=fault, now_ms=SystemClock().now_ms)
    ports = HostPorts(journal_port, ports.store, ports.members, ports.stream)
    async with running(world, ports=ports, clock=clock) as process:
        clock.ahead_ms = HOUR_MS
        await process.write(book_at(0), "its acknowledgement shows that the clock is off")
        away = True
        await eventually(lambda: not any(health.phase == "owning" for health in process.host.health()))
        clock.ahead_ms, away = 0, False
        await eventually(lambda: process.host.ready)
        await process.write(book_at(0), "again")
