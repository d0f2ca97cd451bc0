"""Presence in two processes: leases are at whoever owns the user's partition now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from chapar.presence.peer.v1 import peer_pb2 as leases
from chapar.presence.v1.presence_pb2 import Presence
from chapar_sourcing.adapters.memory import MemoryDirectory

from .served import LEASE_MS, PARTITIONS, WAIT_SECONDS, Running, World, served, user_on

SARA, MINA, OMID = user_on(0), user_on(0, 1), user_on(1)
SHORT_GRACE_MS = 150


@asynccontextmanager
async def two(world: World, **changes: int) -> AsyncIterator[tuple[Running, Running]]:
    """The owner of everything, and a second process that joined later."""
    members = MemoryDirectory()
    given = {"grace_ms": SHORT_GRACE_MS, **changes}
    async with (
        served(world, members=members, address="one", **given) as one,
        served(world, members=members, address="two", **given) as other,
    ):
        yield one, other


async def owns(running: Running, *partitions: int) -> None:
    """Waits until a process decides for just these partitions."""
    async with asyncio.timeout(WAIT_SECONDS):
        while {h.partition for h in running.host.health() if h.phase == "owning"} != {*partitions}:  # noqa: ASYNC110 - no event tells.
            await asyncio.sleep(0.02)


async def status_of_renewal(running: Running, user_id: str) -> grpc.StatusCode:
    request = leases.RenewRequest(partition=0, gateway_id="g1", lease_ms=LEASE_MS, online_user_ids=[user_id])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.renew(request)
    return caught.value.code()


async def test_whoever_is_renewed_stays_online_when_their_owner_is_killed_and_the_others_go() -> None:
    world = World()
    async with two(world, restart_lease_ms=2_000) as (one, other):
        for user in (SARA, MINA, OMID):
            await one.lease(user)
        assert await status_of_renewal(other, SARA) is grpc.StatusCode.UNAVAILABLE
        await one.crash()
        await other.lease(SARA)
        await other.lease(OMID)
        async with other.watch(MINA, MINA, "") as watch:
            shown = await watch.next()
            assert shown == Presence(user_id=MINA, online=True)
            gone = await watch.next()
            assert isinstance(gone, Presence)
            assert not gone.online
        async with other.watch(SARA, SARA, "") as watch:
            assert await watch.next() == Presence(user_id=SARA, online=True)
    assert world.comings(SARA) == world.comings(OMID) == ["came_online"]
    assert world.comings(MINA) == ["came_online", "departure_began", "went_offline"]


async def test_a_partition_that_is_moved_away_and_back_takes_leases_where_it_is_and_nowhere_else() -> None:
    world = World()
    async with two(world, restart_lease_ms=60_000) as (one, other):
        await owns(one, *range(PARTITIONS))
        await one.lease(SARA)
        await one.host.place(0, "two", reason="to be moved")
        await owns(other, 0)
        assert await status_of_renewal(one, SARA) is grpc.StatusCode.UNAVAILABLE
        await other.lease(MINA)
        await other.host.place(0, "one", reason="to be moved back")
        await owns(one, *range(PARTITIONS))
        assert await status_of_renewal(other, SARA) is grpc.StatusCode.UNAVAILABLE
        async with one.watch(SARA, SARA, "") as watch, one.watch(MINA, MINA, "") as of_mina:
            assert await watch.next() == Presence(user_id=SARA, online=True)
            await one.lease(SARA)
            # Leases of the partition's first life here are gone: this one alone is to be ended.
            await one.lease(ended=(SARA,))
            gone = await watch.next()
            assert isinstance(gone, Presence)
            assert not gone.online
            assert await of_mina.next() == Presence(user_id=MINA, online=True)
    assert world.comings(SARA) == ["came_online", "departure_began", "went_offline"]
    assert world.comings(MINA) == ["came_online"]
