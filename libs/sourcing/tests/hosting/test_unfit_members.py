"""Members whose clock is off or whose binary is too old: the others own what they leave."""

from __future__ import annotations

from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import MemoryDirectory, MemoryJournal, MemoryMembers
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.hosting import HostPorts, HostRules

from ..owner.levels import new_release, old_release
from .rig import PARTITIONS, World, book_at, eventually, running
from .test_clock import HOUR_MS, FastClock
from .test_members import ALL, owned

MEMBERS: dict[str, Any] = {"owned": None, "beat_interval_ms": 50}


def ports_of(world: World, directory: MemoryDirectory) -> HostPorts:
    """Ports of one process, over a journal that tells the time of an append."""
    ports = world.ports()
    now_ms = SystemClock().now_ms
    members = MemoryMembers(directory, now_ms=now_ms)
    return HostPorts(MemoryJournal(world.log, now_ms=now_ms), ports.store, members, ports.stream)


def says_that_it_is_unfit(directory: MemoryDirectory, address: str) -> bool:
    """Whether a member's latest beat says so."""
    return [beat.unfit for beat in directory.beats["notebook"] if beat.address == address][-1]


async def test_a_member_whose_clock_is_off_hands_over_and_is_fit_again_once_it_is_right() -> None:
    world, directory, clock = World(), MemoryDirectory(), FastClock()
    clock.ahead_ms = 0
    async with running(world, ports=ports_of(world, directory), clock=clock, address="one", **MEMBERS) as one:
        await one.ready()
        async with running(world, ports=ports_of(world, directory), address="other", **MEMBERS) as other:
            await eventually(lambda: other.host.ready)
            await one.write(book_at(0), "before")
            clock.ahead_ms = HOUR_MS
            await one.write(book_at(0), "its acknowledgement shows that the clock is off")
            await eventually(lambda: owned(other) == ALL)
            assert says_that_it_is_unfit(directory, "one")
            assert not one.host.ready
            assert "off the journal's" in one.host.problem
            await other.write(book_at(0), "after")
            assert (await other.texts(book_at(0)))[::2] == ["before", "after"]
            clock.ahead_ms = 0
            await eventually(lambda: one.host.ready)
            assert one.host.problem == ""
            await eventually(lambda: not says_that_it_is_unfit(directory, "one"))
            assert owned(other) == ALL, "what it comes back for moves after half a minute"


async def test_a_member_that_started_with_a_slow_clock_and_owns_nothing_notices_that_it_is_right_again() -> None:
    world, directory, clock = World(), MemoryDirectory(), FastClock()
    clock.ahead_ms = -HOUR_MS
    async with running(world, ports=ports_of(world, directory), clock=clock, address="one", **MEMBERS) as one:
        await eventually(lambda: owned(one) == ALL)
        async with running(world, ports=ports_of(world, directory), address="other", **MEMBERS) as other:
            await eventually(lambda: owned(other) == ALL)
            await eventually(lambda: one.host.health() == [])
            clock.ahead_ms = 0
            await eventually(lambda: not says_that_it_is_unfit(directory, "one"))


async def test_the_only_member_whose_clock_is_off_keeps_what_it_has() -> None:
    world, directory, clock = World(), MemoryDirectory(), FastClock()
    clock.ahead_ms = 0
    async with running(world, ports=ports_of(world, directory), clock=clock, address="one", **MEMBERS) as one:
        await one.ready()
        clock.ahead_ms = HOUR_MS
        await one.write(book_at(0), "its acknowledgement shows that the clock is off")
        await eventually(lambda: says_that_it_is_unfit(directory, "one"))
        assert owned(one) == ALL
        assert {"the clock is" in health.problem for health in one.host.health()} == {True}
        clock.ahead_ms = 0
        await eventually(lambda: one.host.ready)


async def test_an_old_binary_leaves_its_share_to_newer_ones() -> None:
    world, directory = World(), MemoryDirectory()
    raised = journal.Claim(epoch=1, writer=b"w" * 16, folded_offset=-1, folded_hash=bytes(32), schema_level=2)
    for partition in range(PARTITIONS):
        world.log.append(partition, journal.Record(claim=raised).SerializeToString())
    old, new = HostRules(old_release()), HostRules(new_release())
    async with running(world, rules=old, ports=ports_of(world, directory), address="old", **MEMBERS) as one:
        await eventually(lambda: {health.phase for health in one.host.health()} == {"outdated"})
        await eventually(lambda: says_that_it_is_unfit(directory, "old"))
        async with running(world, rules=new, ports=ports_of(world, directory), address="new", **MEMBERS) as other:
            await eventually(lambda: owned(other) == ALL)
            await eventually(lambda: one.host.health() == [])
            assert not one.host.ready
            assert "too old" in one.host.problem
            assert (other.host.ready, other.host.problem) == (True, "")
            beats = len(directory.beats["notebook"])
            await eventually(lambda: len(directory.beats["notebook"]) > beats + 100)
            assert says_that_it_is_unfit(directory, "old"), "no other log makes a binary newer"
            assert one.host.health() == []
