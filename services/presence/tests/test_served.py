"""Presence over the real host: leases become events, events reach watchers, facts decide who may watch."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from chapar.presence.peer.v1 import peer_pb2 as leases
from chapar.presence.v1.presence_pb2 import Presence

from .served import LEASE_MS, PARTITIONS, WAIT_SECONDS, Running, World, served, user_on

SARA, MINA, OMID = user_on(0), user_on(0, 1), user_on(1)
SHORT_GRACE_MS = 150
LONG_GRACE_MS = 60_000


async def status_of(call: object) -> str:
    """The status of a call that must not succeed."""
    try:
        await call  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        return error.code().name
    raise AssertionError("accepted")


async def test_watcher_sees_coming_and_going_and_last_seen() -> None:
    world = World()
    await world.tell("g", SARA, member=True, sequence=1)
    async with served(world, grace_ms=SHORT_GRACE_MS) as running, running.watch(SARA, OMID, "g") as watch:
        assert await watch.next() == Presence(user_id=SARA)
        started_ms = running.host.now_ms
        await running.lease(SARA)
        assert await watch.next() == Presence(user_id=SARA, online=True)
        await running.lease(ended=(SARA,))
        gone = await watch.next()
        assert isinstance(gone, Presence)
        assert not gone.online
        assert started_ms <= gone.last_seen_time_ms <= running.host.now_ms - SHORT_GRACE_MS
        async with running.watch(SARA, OMID, "g") as another:
            assert await another.next() == gone
    assert world.comings(SARA) == ["came_online", "departure_began", "went_offline"]


async def test_reconnects_within_the_grace_and_a_second_gateway_show_nothing() -> None:
    world = World()
    async with served(world, grace_ms=LONG_GRACE_MS) as running, running.watch(SARA, SARA, "") as watch:
        assert await watch.next() == Presence(user_id=SARA)
        await running.lease(SARA, gateway="g1")
        assert await watch.next() == Presence(user_id=SARA, online=True)
        for _ in range(5):
            await running.lease(ended=(SARA,), gateway="g1")
            await running.lease(SARA, gateway="g2")
            await running.lease(ended=(SARA,), gateway="g2")
            await running.lease(SARA, gateway="g1")
        async with running.watch(MINA, MINA, "") as other:
            await other.next()
            await running.lease(MINA)
            assert await other.next() == Presence(user_id=MINA, online=True)
        await running.lease(ended=(SARA,), gateway="g1")
        await happened(world, SARA, "departure_began")
        await running.lease(SARA, gateway="g1")
        await happened(world, SARA, "departure_cancelled")
        async with running.watch(SARA, SARA, "") as again:
            assert await again.next() == Presence(user_id=SARA, online=True)
    assert "went_offline" not in world.comings(SARA)


async def test_whoever_departed_goes_offline_although_the_owner_dies_in_the_grace() -> None:
    world = World()
    async with served(world, grace_ms=3_000) as running:
        await running.lease(SARA)
        await happened(world, SARA, "came_online")
        ended_ms = running.host.now_ms
        await running.lease(ended=(SARA,))
        await happened(world, SARA, "departure_began")
        left_ms = running.host.now_ms
    async with served(world, grace_ms=3_000, restart_lease_ms=60_000) as running:
        async with running.watch(SARA, SARA, "") as watch:
            shown = await watch.next()
            while isinstance(shown, Presence) and shown.online:
                shown = await watch.next()
        assert isinstance(shown, Presence)
        assert ended_ms <= shown.last_seen_time_ms <= left_ms
        assert running.host.now_ms >= shown.last_seen_time_ms + 3_000
    assert world.comings(SARA) == ["came_online", "departure_began", "went_offline"]


async def test_whoever_departed_and_is_back_after_a_restart_stays_online() -> None:
    world = World()
    async with served(world, grace_ms=LONG_GRACE_MS) as running:
        await running.lease(SARA)
        await happened(world, SARA, "came_online")
        await running.lease(ended=(SARA,))
        await happened(world, SARA, "departure_began")
    async with served(world, grace_ms=LONG_GRACE_MS) as running:
        await running.lease(SARA)
        await happened(world, SARA, "departure_cancelled")


async def happened(world: World, user_id: str, kind: str) -> None:
    """Waits until the last event of a user is of a kind."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            if world.comings(user_id)[-1:] == [kind]:
                return
            await asyncio.sleep(0.01)


async def test_renewals_are_not_journaled() -> None:
    world = World()
    async with served(world, grace_ms=LONG_GRACE_MS) as running, running.watch(SARA, SARA, "") as watch:
        await watch.next()
        await running.lease(SARA)
        await watch.next()
        entries = len(world.events())
        for _ in range(20):
            await running.lease(SARA)
    assert len(world.events()) == entries == 1


async def test_after_a_restart_only_those_who_are_not_renewed_go_offline() -> None:
    world = World()
    async with served(world, grace_ms=LONG_GRACE_MS) as running:
        for user in (SARA, MINA, OMID):
            async with running.watch(user, user, "") as watch:
                await watch.next()
                await running.lease(user)
                await watch.next()
    async with served(world, grace_ms=SHORT_GRACE_MS, restart_lease_ms=3_000) as running:
        await running.lease(SARA)
        async with running.watch(MINA, MINA, "") as mina, running.watch(OMID, OMID, "") as omid:
            for watch, user in ((mina, MINA), (omid, OMID)):
                assert await watch.next() == Presence(user_id=user, online=True)
                gone = await watch.next()
                assert isinstance(gone, Presence)
                assert not gone.online
                assert gone.last_seen_time_ms > 0
        async with running.watch(SARA, SARA, "") as sara:
            assert await sara.next() == Presence(user_id=SARA, online=True)
    assert world.comings(SARA) == ["came_online"]
    assert world.comings(MINA) == world.comings(OMID) == ["came_online", "departure_began", "went_offline"]


async def test_only_members_of_the_basis_are_shown_and_only_while_they_are() -> None:
    world = World()
    async with served(world, grace_ms=LONG_GRACE_MS) as running:
        await world.tell("g", SARA, member=True, sequence=1)
        assert await running.is_member(SARA, "g")
        for key, watcher, basis in ((OMID, SARA, "g"), (SARA, OMID, "h"), (SARA, OMID, ""), (SARA, "", "")):
            async with running.watch(key, watcher, basis) as watch:
                assert await status_of(watch.next()) == "PERMISSION_DENIED"
        async with running.watch(SARA, OMID, "g") as watch, running.watch(SARA, SARA, "") as own:
            assert await watch.next() == await own.next() == Presence(user_id=SARA)
            await world.tell("g", SARA, member=False, sequence=2)
            assert await watch.next() == "MEMBERSHIP_ENDED"
            await running.lease(SARA)
            assert await own.next() == Presence(user_id=SARA, online=True)
        assert not await running.is_member(SARA, "g")


async def test_facts_cross_partitions_and_an_old_one_does_not_win() -> None:
    world = World()
    async with served(world, grace_ms=LONG_GRACE_MS) as running:
        for partition in range(PARTITIONS):
            await world.tell("g", SARA, member=True, sequence=7, partition=partition)
            await world.tell("g", OMID, member=True, sequence=8, partition=partition)
            await world.tell("g", SARA, member=False, sequence=3, partition=partition)
            await world.tell("h", SARA, member=True, sequence=1, partition=partition)
        assert await running.is_member(SARA, "h")
        assert await running.is_member(OMID, "g")
        assert await running.is_member(SARA, "g")


async def test_a_question_waits_for_the_fact_that_is_on_its_way() -> None:
    world = World()
    async with served(world, grace_ms=LONG_GRACE_MS) as running:
        asking = asyncio.create_task(running.is_member(SARA, "g"))
        await world.tell("g", SARA, member=True, sequence=1)
        assert await asking


def renewal(**changes: object) -> leases.RenewRequest:
    """A call that is well formed but for the changes."""
    fields: dict[str, object] = {
        "partition": 0, "gateway_id": "g1", "lease_ms": LEASE_MS, "online_user_ids": [SARA],
    }  # fmt: skip
    return leases.RenewRequest(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"partition": 1},
        {"partition": -1},
        {"gateway_id": ""},
        {"gateway_id": "g" * 129},
        {"lease_ms": 999},
        {"lease_ms": 60_001},
        {"online_user_ids": [OMID]},
        {"ended_user_ids": [OMID]},
        {"online_user_ids": [""]},
        {"online_user_ids": [SARA] * 1_001},
    ],
)
async def test_malformed_renewals_are_refused(changes: dict[str, object]) -> None:
    async with served(World(), grace_ms=LONG_GRACE_MS) as running:
        await running.lease(MINA)
        assert await status_of(running.renew(renewal(**changes))) == "INVALID_ARGUMENT"


async def test_strangers_hold_no_leases() -> None:
    world = World()
    async with served(world, grace_ms=LONG_GRACE_MS) as running:
        for token in ("", "cd" * 32):
            assert await status_of(running.renew(renewal(), token)) == "UNAUTHENTICATED"
    assert world.events() == []


async def test_many_users_come_online_together() -> None:
    world = World()
    users = [user_on(1, n) for n in range(60)]

    async def all_online(running: Running) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            for user in users:
                async with running.watch(user, user, "") as watch:
                    while not (await watch.next()).online:  # type: ignore[union-attr]
                        pass

    async with served(world, grace_ms=LONG_GRACE_MS) as running:
        await running.lease(*users)
        await all_online(running)
    assert all(world.comings(user) == ["came_online"] for user in users)
