"""An orderly end: what is under way is told truthfully, also where the journal was silent; nobody uses up all time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.adapters.memory import Fault, MemoryDirectory
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.ports import AppendUnknown
from chapar_sourcing.refusing import NOT_OWNER

from .notebook import Notebook
from .rig import PARTITIONS, World, book_at, eventually, running
from .test_members import member, owned
from .test_relay import LOUD, TOPIC, read_all
from .test_relay import rules as rules_of_relay
from .test_watch import BookWatch

OWNED = [None, range(PARTITIONS)]


class OneUnknown:
    """A journal that says nothing of one append, at a step of it, until it is told to say that it is not known; nor
    does it take the next one, which is a claim, before it is told to."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.armed = False
        self.reached, self.goes_on = asyncio.Event(), asyncio.Event()
        self.claiming, self.claim_goes_on = asyncio.Event(), asyncio.Event()

    @property
    def fault(self) -> Fault:
        """For the journal's port."""

        def at(step: str, partition: int) -> Awaitable[None] | None:
            if self.armed and step == self.step:
                self.armed = False
                return self._unknown()
            if self.goes_on.is_set() and step == "append.fresh" and not self.claiming.is_set():
                self.claiming.set()
                return self._claim()
            return None

        return at

    async def _unknown(self) -> None:
        self.reached.set()
        await self.goes_on.wait()
        raise AppendUnknown("no answer came")

    async def _claim(self) -> None:
        await self.claim_goes_on.wait()


@pytest.mark.parametrize("step", ["append", "append.done"])
@pytest.mark.parametrize("held", OWNED)
async def test_a_block_of_unknown_fate_in_a_drain_is_told_truthfully_and_holds_nothing_up(
    held: range | None, step: str
) -> None:
    world, lost = World(), OneUnknown(step)
    async with running(world, ports=world.ports(journal_fault=lost.fault), owned=held, beat_interval_ms=50) as one:
        await one.ready()
        lost.armed = True
        writing = asyncio.create_task(one.write(book_at(1), "the last word"))
        await lost.reached.wait()
        one.host.stop()
        await eventually(lambda: not one.host.owns(1))
        lost.goes_on.set()
        lost.claim_goes_on.set()
        assert (await writing).reason == ""
        await one.end()
        assert one.measures.counters["partitions_released_late"] == 0
        assert one.measures.counters["drains_cut_short"] == 0
    async with running(world) as next_one:
        assert await next_one.texts(book_at(1)) == ["the last word"]


@pytest.mark.parametrize("held", OWNED)
async def test_a_watch_that_a_released_partition_took_in_when_it_claimed_again_ends(held: range | None) -> None:
    world, lost, stored = World(), OneUnknown("append.done"), asyncio.Event()
    rules = HostRules(Notebook(), watch=BookWatch())
    ports = world.ports(
        journal_fault=lost.fault, store_fault=lambda step, _: stored.wait() if step == "write_documents" else None
    )
    async with running(world, ports=ports, rules=rules, owned=held, beat_interval_ms=50) as one:
        await one.ready()
        lost.armed = True
        writing = asyncio.create_task(one.write(book_at(0), "the last word"))
        await lost.reached.wait()
        lost.goes_on.set()
        async with asyncio.timeout(20):
            await lost.claiming.wait()
        frames = one.host.watch(peer.WatchRequest(partition=0, key=book_at(0), user_id="u"))
        first = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(0)
        one.host.stop()
        await eventually(lambda: not one.host.owns(0))
        lost.claim_goes_on.set()
        async with asyncio.timeout(20):
            assert (await writing).reason == ""
            assert (await first).reset == b"the last word"
            stored.set()
            await one.end()
            assert [frame.detach async for frame in frames] == [NOT_OWNER]


def hangs_at_0(step: str, partition: int) -> Awaitable[None] | None:
    """A store that never ends writing what partition 0 has."""
    return asyncio.Event().wait() if step == "write_documents" and partition == 0 else None  # type: ignore[return-value]


async def test_one_stuck_partition_does_not_use_up_the_drain_of_all() -> None:
    world, directory = World(), MemoryDirectory()
    stuck = world.ports(store_fault=hangs_at_0)
    async with member(world, directory, "one", ports=stuck, release_ms_max=300) as one:
        await one.ready()
        for partition in range(PARTITIONS):
            await one.write(book_at(partition), "kept")
        async with member(world, directory, "other") as other:
            await eventually(lambda: other.host.ready)
            await one.end()
            assert one.measures.counters["partitions_released_late"] == 1
            assert one.measures.counters["drains_cut_short"] == 0
            released = {row.partition for row in directory.announcements["notebook"] if row.released}
            assert released == set(range(PARTITIONS))
            await eventually(lambda: owned(other) == set(range(PARTITIONS)))
            for partition in range(PARTITIONS):
                assert await other.texts(book_at(partition)) == ["kept"]


async def test_beats_of_what_is_still_owned_go_on_during_a_drain_and_those_of_what_is_released_end() -> None:
    world, directory = World(published={TOPIC: None, LOUD: None}), MemoryDirectory()
    stuck = world.ports(store_fault=hangs_at_0)

    async def beats(partition: int) -> int:
        return sum(not record.HasField("position") for record in await read_all(world, LOUD, partition))

    async with member(world, directory, "one", ports=stuck, rules=rules_of_relay(beat_ms=5)) as one:
        await one.ready()
        await one.write(book_at(0), "stuck")
        async with member(world, directory, "other") as other:
            await eventually(lambda: other.host.ready)
            one.host.stop()
            await eventually(lambda: not one.host.owns(0))
            await asyncio.sleep(0)
            at_release, seen = await beats(0), await beats(3)

            async def more() -> bool:
                return await beats(3) > seen + 3

            await eventually(more)
            assert one.host.owns(3)
            assert await beats(0) <= at_release + 1
