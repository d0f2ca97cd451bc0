"""A heartbeat confirms reads of an owner of which others know: who finds a claim and no word of it takes it for a dead
one's after five beats."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from chapar_sourcing.heartbeat import FRESH_MS

from .rig import Process, World, book_at, eventually, running


@dataclass
class Announcing:
    """Members who hear nothing of who owns what until they may."""

    said: asyncio.Event = field(default_factory=asyncio.Event)
    may_land: asyncio.Event = field(default_factory=asyncio.Event)
    beats: int = 0

    def fault(self, step: str, partition: int) -> Awaitable[Any] | None:
        """What befalls a step of the members."""
        self.beats += step == "beat.done"
        if step == "announce" and partition == 0:
            self.said.set()
            return self.may_land.wait()
        return None

    async def beaten(self, times: int) -> None:
        """Waits for so many beats more."""
        until = self.beats + times
        await eventually(lambda: self.beats >= until)


def epoch_of(process: Process) -> int:
    """The epoch of the claim that partition 0 is owned by."""
    return process.host.health()[0].epoch


async def test_a_read_waits_until_others_can_know_of_the_claim() -> None:
    announcing, world = Announcing(), World()
    ports = world.ports(members_fault=announcing.fault)
    async with running(world, ports=ports, beat_interval_ms=20) as process:
        await process.write(book_at(0), "seen")
        reading = asyncio.ensure_future(process.texts(book_at(0)))
        await announcing.said.wait()
        await announcing.beaten(3)
        assert not reading.done()
        assert await process.texts(book_at(1)) == [], "nothing else waits"
        announcing.may_land.set()
        assert await reading == ["seen"]
        assert epoch_of(process) == 1


async def test_who_was_announced_late_claims_anew_before_a_read_is_answered() -> None:
    announcing, world = Announcing(), World()
    ports = world.ports(members_fault=announcing.fault)
    async with running(world, ports=ports, beat_interval_ms=20) as process:
        await process.write(book_at(0), "seen")
        clock = process.host._clock
        owns_s = clock.monotonic()
        reading = asyncio.ensure_future(process.texts(book_at(0)))
        await eventually(lambda: clock.monotonic() > owns_s + FRESH_MS / 1000)
        await announcing.beaten(1)
        assert not reading.done()
        announcing.may_land.set()
        assert await reading == ["seen"]
        assert epoch_of(process) == 2
        assert await process.texts(book_at(0)) == ["seen"]
        assert epoch_of(process) == 2, "once is enough"
