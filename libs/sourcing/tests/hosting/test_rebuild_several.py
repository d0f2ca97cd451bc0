"""Several owners build editions with rows, each for its own partitions; partitions move, and owners stand still."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.adapters.memory import MemoryDirectory, MemoryStore
from chapar_sourcing.editions import Editions, Stage
from chapar_sourcing.hosting import Targets
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.projector import EditionMoved
from chapar_sourcing.rebuild import Phase, Step
from chapar_sourcing.refusing import TRANSIENT, EngineRefused

from .rig import BOUND_SECONDS, PARTITIONS, Process, World, book_at, eventually, running
from .test_members import member, owned
from .test_rebuild import (
    ALL_SWITCHED,
    BOOKS,
    RULES,
    check_laws,
    ends,
    going_on,
    jittery,
    rebuilt,
    rows_settled,
    traffic,
)

ALL = set(range(PARTITIONS))


class Crowd:
    """Processes of one service, each reached through any: by users, and by reactors of the others."""

    def __init__(self) -> None:
        self.processes: list[Process] = []

    async def write(self, book: str, text: str = "", **fields: Any) -> None:
        """A user's command, at whoever decides it."""

        async def written() -> bool:
            for process in self.processes:
                try:
                    if (await process.write(book, text, **fields)).reason not in TRANSIENT:
                        return True
                except EngineRefused:
                    continue
            return False

        await eventually(written)

    async def submit(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        """See `Targets`."""
        return await self._owner(partition).host.submit_commands(partition, commands)

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        """See `Targets`."""
        try:
            await self._owner(partition).host.advance(partition, advances)
        except EngineRefused as refused:
            raise Unavailable(str(refused)) from refused

    def _owner(self, partition: int) -> Process:
        for process in self.processes:
            if process.host.owns(partition):
                return process
        raise Unavailable("nobody owns it now")


@asynccontextmanager
async def crowd(world: World, shares: Sequence[Sequence[int]], **changes: Any) -> AsyncIterator[Any]:
    """A process for each share of the partitions; used as one process is by the tests' traffic."""
    together = Crowd()
    targets: Targets = together
    async with running(world, rules=RULES, owned=shares[0], address="one", remote=targets, **changes) as one:
        together.processes.append(one)
        async with running(world, rules=RULES, owned=shares[1], address="other", remote=targets, **changes) as other:
            together.processes.append(other)
            yield together


@pytest.mark.parametrize("seed", range(3))
async def test_each_owner_rebuilds_its_partitions_with_rows_from_the_logs_of_all(seed: int) -> None:
    world, draw = World(), random.Random(seed)
    async with crowd(world, ([0, 1], [2, 3])) as both:
        await traffic(both, draw, 200)
        one, other = both.processes
        async with going_on(both, draw) as answered:
            before = answered()
            parts = await asyncio.gather(rebuilt(one, partitions=[0, 1]), rebuilt(other, partitions=[2, 3]))
            assert answered() > before, "nothing was answered meanwhile"
        assert [ends(part) for part in parts] == [
            dict.fromkeys((0, 1), Phase.SWITCHED), dict.fromkeys((2, 3), Phase.SWITCHED),
        ]  # fmt: skip
        await traffic(both, draw, 50)
        assert ends(await rebuilt(one, Step.SWITCH_BACK, [1])) == {1: Phase.SWITCHED}
        assert ends(await rebuilt(one, Step.REBUILD, [0])) == {0: Phase.SKIPPED}
        await rows_settled(one, world)
        for process in both.processes:
            await process.end()
    await check_laws(world, edition=[2, 1, 2, 2])


@pytest.mark.parametrize("seed", range(2))
async def test_a_partition_that_moves_meanwhile_is_not_switched_and_its_next_owner_goes_on(seed: int) -> None:
    world, draw, together, directory = World(), random.Random(seed), Crowd(), MemoryDirectory()
    moved = draw.choice([1, 2, 3])

    has_moved, fault = asyncio.Event(), jittery(draw)

    def held(step: str, partition: int) -> Any:
        """The comparison of the first partition waits."""
        return has_moved.wait() if step == "row_keys" else fault(step, partition)

    def joined(name: str) -> Any:
        ports = world.ports(store_fault=held)
        return member(world, directory, name, ports=ports, rules=RULES, remote=together)

    async with joined("one") as one:
        await one.ready()
        together.processes.append(one)
        await traffic(together, draw, 200)
        async with joined("other") as other:
            await eventually(lambda: other.host.ready)
            together.processes.append(other)
            async with going_on(together, draw):
                rebuilding = asyncio.create_task(rebuilt(one))
                await one.host.place(moved, "other", reason="in the middle of it")
                await eventually(lambda: owned(other) == {moved})
                has_moved.set()
                assert ends(await rebuilding) == {**ALL_SWITCHED, moved: Phase.MOVED}
                assert await MemoryStore(world.tables).editions(moved) == Editions(1, 2, Stage.BUILDING)
                assert ends(await rebuilt(other, partitions=[moved])) == {moved: Phase.SWITCHED}
            await rows_settled(one, world)
            await one.end()
            await eventually(lambda: owned(other) == ALL)
            await other.end()
    await check_laws(world, edition=2)


async def test_who_is_stopped_at_the_switch_and_wakes_beside_a_successor_loses_nothing() -> None:
    world, draw, wakes, stopped = World(), random.Random(3), asyncio.Event(), asyncio.Event()

    async def stand_still() -> None:
        stopped.set()
        await wakes.wait()

    def fault(step: str, partition: int) -> Any:
        return stand_still() if step == "switch_edition" else None

    async with running(world, rules=RULES, ports=world.ports(store_fault=fault)) as sleeper:
        await traffic(sleeper, draw, 100)
        rebuilding = asyncio.create_task(rebuilt(sleeper, partitions=[0]))
        await stopped.wait()
        async with running(world, rules=RULES, address="successor") as successor:
            for number in range(20):
                assert not (await successor.write(BOOKS[0], f"since {number}", forward=BOOKS[1])).reason
            await stored(world, await successor.texts(BOOKS[0]))
            wakes.set()
            await asyncio.wait((rebuilding,))
            assert (await MemoryStore(world.tables).editions(0)).live == 2
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.timeout(BOUND_SECONDS):
                    await asyncio.shield(successor.task)
            assert caught.group_contains(EditionMoved)
        await sleeper.crash()
    async with running(world, rules=RULES, address="third") as third:
        assert (await third.texts(BOOKS[0]))[-20:] == [f"since {number}" for number in range(20)]
        assert not (await third.write(BOOKS[0], "goes on")).reason
        await rows_settled(third, world)
        await third.end()
    await check_laws(world, edition=[2, 1, 1, 1])


async def stored(world: World, texts: Sequence[str]) -> None:
    """Waits until the live edition has as many notes of the first book as were read."""
    store = MemoryStore(world.tables)

    async def so() -> bool:
        found = await store.scan(0, "note", book_at(0), at_least=-1, limit=1_000)
        return len(found) == len(texts)

    await eventually(so)
