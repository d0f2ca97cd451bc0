"""Switches to another edition that land late, between and within the rounds of whoever owns the partition by then."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from chapar_sourcing.adapters.memory import MemoryStore
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.projector import EditionMoved
from chapar_sourcing.rebuild import Rebuilding, Step

from .notebook import Notebook
from .rig import BOUND_SECONDS, Process, World, running
from .test_rebuild import BOOKS, RULES, check_laws, rebuilt, traffic
from .test_rebuild_several import stored


@dataclass
class Sleeper:
    """An owner that stands still when it is about to switch its first partition."""

    world: World
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    wakes: asyncio.Event = field(default_factory=asyncio.Event)
    switching: asyncio.Task[Any] | None = None

    @asynccontextmanager
    async def at_the_switch(self) -> AsyncIterator[None]:
        """Within, it stands there."""
        ports = self.world.ports(store_fault=self._fault)
        async with running(self.world, rules=RULES, ports=ports) as process:
            await traffic(process, random.Random(3), 100)
            self.switching = asyncio.create_task(rebuilt(process, partitions=[0]))
            await self.stopped.wait()
            yield
            await process.crash()

    async def switch(self) -> None:
        """Wakes and does it."""
        assert self.switching is not None
        self.wakes.set()
        await asyncio.wait((self.switching,))
        assert (await MemoryStore(self.world.tables).editions(0)).live == 2

    def _fault(self, step: str, partition: int) -> Awaitable[Any] | None:
        return self._stand_still() if step == "switch_edition" else None

    async def _stand_still(self) -> None:
        self.stopped.set()
        await self.wakes.wait()


async def said(process: Process, texts: Sequence[str]) -> None:
    """Has them acknowledged, as many in a block as there are at once."""
    for outcome in await asyncio.gather(*(process.write(BOOKS[0], text) for text in texts)):
        assert not outcome.reason


async def ends_moved(process: Process) -> None:
    """The process notices that its store is another one."""
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(BOUND_SECONDS):
            await asyncio.shield(process.task)
    assert caught.group_contains(EditionMoved)


async def nothing_is_lost(world: World, texts: Sequence[str]) -> None:
    """The next owner reads all of them, and what is stored is what the log says."""
    async with running(world, rules=RULES, address="last") as last:
        assert set(texts) <= {*await last.texts(BOOKS[0])}
        assert not (await last.write(BOOKS[0], "goes on")).reason
        await last.end()
    await check_laws(world, edition=[2, 1, 1, 1])


async def test_a_switch_in_the_middle_of_a_round_takes_no_half_of_it() -> None:
    world, held, writing = World(), asyncio.Event(), asyncio.Event()
    sleeper, rounds = Sleeper(world), list[int]()
    first, second = ([f"{which} {number}" for number in range(20)] for which in ("first", "second"))

    def fault(step: str, partition: int) -> Awaitable[Any] | None:
        if step != "write_documents" or partition != 0:
            return None
        rounds.append(1)
        if len(rounds) == 1:
            return held.wait()
        return in_the_middle() if len(rounds) == 4 else None

    async def in_the_middle() -> None:
        writing.set()
        await sleeper.switch()

    async with sleeper.at_the_switch():
        ports = world.ports(store_fault=fault)
        async with running(
            world, rules=RULES, address="successor", ports=ports, projection_documents_max=5
        ) as successor:
            await said(successor, first)
            await said(successor, second)
            held.set()
            await writing.wait()
            await ends_moved(successor)
    await nothing_is_lost(world, [*first, *second])


async def test_a_switch_after_a_takeover_is_noticed_although_nothing_was_stored_since() -> None:
    world, asked, told = World(), asyncio.Event(), asyncio.Event()
    sleeper = Sleeper(world)
    texts = [f"since {number}" for number in range(20)]
    looks = list[int]()

    def fault(step: str, partition: int) -> Awaitable[Any] | None:
        """The first look is the take-over's, the second one is for what is to be stored."""
        if step == "editions" and partition == 0:
            looks.append(1)
        return held() if step == "editions" and partition == 0 and len(looks) == 2 else None

    async def held() -> None:
        asked.set()
        await told.wait()

    async with sleeper.at_the_switch():
        async with running(world, rules=RULES, address="successor") as successor:
            await said(successor, texts)
            await stored(world, await successor.texts(BOOKS[0]))
            await successor.crash()
        async with running(world, rules=RULES, address="third", ports=world.ports(store_fault=fault)) as third:
            await said(third, ["by the third"])
            await asked.wait()
            await sleeper.switch()
            told.set()
            await ends_moved(third)
    await nothing_is_lost(world, [*texts, "by the third"])


@dataclass
class Returned:
    """A partition that was elsewhere meanwhile and has only just come back: it does not know its checkpoint yet."""

    checkpoint: int
    confirmed_checkpoint: int = -1

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nobody writes here."""
        yield

    async def confirm(self) -> bool:
        """Returns once it owns, and has read its checkpoint."""
        self.confirmed_checkpoint = self.checkpoint
        return True


async def test_a_partition_that_came_back_is_switched_at_the_checkpoint_that_it_comes_to_know() -> None:
    world = World()
    async with running(world, rules=RULES) as process:
        await traffic(process, random.Random(5), 100)
        await process.end()
    store, ports = MemoryStore(world.tables), world.ports()
    checkpoint = await store.read_checkpoint(0)
    assert checkpoint is not None
    returned = Returned(checkpoint.fold.offset)
    rebuilding = Rebuilding(
        partitions=lambda _: returned, domain=Notebook(), reactions=RULES.reactions, journal=ports.journal,
        store=ports.store, clock=SystemClock(), measures=HeldMeasures(), report=lambda _: None,
    )  # fmt: skip
    await rebuilding.run(Step.REBUILD, [0])
    assert (await store.editions(0)).live == 2
    assert await store.at(2).read_checkpoint(0) == checkpoint
