"""Two processes of one service share its partitions, and take over from each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from chapar_sourcing.adapters.memory import MemoryDirectory, MemoryMembers
from chapar_sourcing.hosting import HostPorts
from chapar_sourcing.refusing import NOT_OWNER

from .rig import PARTITIONS, Process, World, book_at, eventually, running
from .test_host import told

ALL = set(range(PARTITIONS))


@asynccontextmanager
async def member(
    world: World, directory: MemoryDirectory, address: str, *, ports: HostPorts | None = None, **changes: Any
) -> AsyncIterator[Process]:
    """One process of the service."""
    given = ports or world.ports()
    joined = HostPorts(given.journal, given.store, MemoryMembers(directory), given.stream)
    async with running(world, ports=joined, owned=None, beat_interval_ms=50, address=address, **changes) as one:
        yield one


def owned(process: Process) -> set[int]:
    """What a process decides for."""
    return {h.partition for h in process.host.health() if h.phase == "owning"}


async def test_the_only_member_is_ready_once_it_owns_everything() -> None:
    async with member(World(), MemoryDirectory(), "one") as one:
        await one.ready()
        assert owned(one) == ALL
        assert (await one.write(book_at(2), "salaam")).reason == ""


async def test_a_killed_members_partitions_are_taken_over_with_everything_it_acknowledged() -> None:
    world, directory = World(), MemoryDirectory()
    async with member(world, directory, "one") as one:
        await one.ready()
        async with member(world, directory, "other") as other:
            await eventually(lambda: other.host.ready)
            assert owned(one) == ALL
            assert await told(other.write(book_at(0), "not here")) == NOT_OWNER
            for n in range(20):
                await one.write(book_at(n % PARTITIONS), str(n))
            await one.crash()
            await eventually(lambda: owned(other) == ALL)
            for partition in range(PARTITIONS):
                assert await other.texts(book_at(partition)) == [str(n) for n in range(partition, 20, PARTITIONS)]


async def test_a_member_that_ends_in_order_hands_its_partitions_over() -> None:
    world, directory = World(), MemoryDirectory()
    async with member(world, directory, "one") as one:
        await one.ready()
        await one.write(book_at(1), "before")
        async with member(world, directory, "other") as other:
            await eventually(lambda: other.host.ready)
            ending = asyncio.create_task(one.end())
            await eventually(lambda: owned(other) == ALL)
            await ending
            assert one.measures.counters["drains_cut_short"] == 0
            assert {row.address for row in directory.owners("notebook").values()} == {"other"}
            released = [row for row in directory.announcements["notebook"] if row.released]
            assert {row.partition for row in released} == ALL
            assert {row.successor for row in released} == {"other"}
            await other.write(book_at(1), "after")
            assert await other.texts(book_at(1)) == ["before", "after"]


async def test_work_beside_a_partition_is_where_the_partition_is_and_begins_anew_with_each_life() -> None:
    world, directory = World(), MemoryDirectory()
    lives: dict[str, list[int]] = {"one": [], "other": []}
    at: dict[str, set[int]] = {"one": set(), "other": set()}

    def beside(name: str) -> Callable[[int], Coroutine[Any, Any, None]]:
        async def work(partition: int) -> None:
            lives[name].append(partition)
            at[name].add(partition)
            try:
                await asyncio.Event().wait()
            finally:
                at[name].discard(partition)

        return work

    async with member(world, directory, "one") as one:
        one.host.beside = beside("one")
        await one.ready()
        assert at["one"] == ALL
        async with member(world, directory, "other") as other:
            other.host.beside = beside("other")
            await eventually(lambda: other.host.ready)
            await one.host.place(1, "other", reason="a move")
            await eventually(lambda: owned(other) == {1})
            assert (at["one"], at["other"]) == (ALL - {1}, {1})
            await one.host.place(1, "one", reason="back")
            await eventually(lambda: owned(one) == ALL)
            assert (at["one"], at["other"]) == (ALL, set())
            await one.end()
            await eventually(lambda: owned(other) == ALL)
            assert (at["one"], at["other"]) == (set(), ALL)
    assert sorted(lives["one"]) == sorted([*ALL, 1])
    assert at["other"] == set()
