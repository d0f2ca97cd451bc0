"""An orderly end: what is under way is told truthfully, also where the journal was silent; nobody uses up all time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.adapters.memory import Fault
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.ports import AppendUnknown
from chapar_sourcing.refusing import NOT_OWNER

from .notebook import Notebook
from .rig import PARTITIONS, World, book_at, eventually, running
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
@pytest.mark.parametrize("owned", OWNED)
async def test_a_block_of_unknown_fate_in_a_drain_is_told_truthfully_and_holds_nothing_up(
    owned: range | None, step: str
) -> None:
    world, lost = World(), OneUnknown(step)
    async with running(world, ports=world.ports(journal_fault=lost.fault), owned=owned, beat_interval_ms=50) as one:
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


@pytest.mark.parametrize("owned", OWNED)
async def test_a_watch_that_a_released_partition_took_in_when_it_claimed_again_ends(owned: range | None) -> None:
    world, lost, stored = World(), OneUnknown("append.done"), asyncio.Event()
    rules = HostRules(Notebook(), watch=BookWatch())
    ports = world.ports(
        journal_fault=lost.fault, store_fault=lambda step, _: stored.wait() if step == "write_documents" else None
    )
    async with running(world, ports=ports, rules=rules, owned=owned, beat_interval_ms=50) as one:
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
