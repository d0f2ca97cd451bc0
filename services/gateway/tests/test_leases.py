"""Leases: told at once at the first and the last subscription, renewed in between, batched by partition."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from chapar.presence.peer.v1 import peer_pb2 as peer
from chapar_gateway.leases import LEASE_MS, USERS_MAX, Leases
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.partitions import partition_of

from .rig import ARASH, BAHAR, PARTITIONS, Rig, running, until

RENEW = "/chapar.presence.peer.v1.LeaseService/Renew"


class Told:
    """Presence as leases see it."""

    def __init__(self) -> None:
        self.requests: list[peer.RenewRequest] = []
        self.takes = True

    async def renew(self, request: peer.RenewRequest) -> bool:
        self.requests.append(request)
        return self.takes

    def online(self) -> list[str]:
        return [user for request in self.requests for user in request.online_user_ids]

    def ended(self) -> list[str]:
        return [user for request in self.requests for user in request.ended_user_ids]


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def make(told: Told, renew_ms: int = 60_000, partitions: int = PARTITIONS) -> tuple[Leases, asyncio.Task[None]]:
    leases = Leases("gateway-1", partitions, told.renew, SystemClock(), renew_ms=renew_ms)
    return leases, asyncio.create_task(leases.run())


async def test_the_first_subscription_and_the_end_of_the_last_are_told_at_once_and_nothing_between() -> None:
    told = Told()
    leases, task = make(told)
    with leases.held(ARASH):
        await until(lambda: told.online() == [ARASH])
        with leases.held(ARASH):
            pass
        request = told.requests[0]
        assert (request.partition, request.gateway_id, request.lease_ms) == (
            partition_of(ARASH, PARTITIONS), "gateway-1", LEASE_MS,
        )  # fmt: skip
        with leases.held(BAHAR):
            await until(lambda: told.online() == [ARASH, BAHAR])
        await until(lambda: told.ended() == [BAHAR])
    await until(lambda: told.ended() == [BAHAR, ARASH])
    await stopped(task)


async def test_leases_are_renewed_as_long_as_they_are_held() -> None:
    told = Told()
    leases, task = make(told, renew_ms=20)
    with leases.held(ARASH):
        await until(lambda: told.online().count(ARASH) >= 4)
    await until(lambda: told.ended() == [ARASH])
    await stopped(task)


async def test_many_users_of_a_partition_travel_in_few_calls() -> None:
    told = Told()
    leases, task = make(told, renew_ms=60_000, partitions=1)
    users = [f"u{n}" for n in range(2 * USERS_MAX + 1)]
    with ExitStack() as held:
        for user in users:
            held.enter_context(leases.held(user))
        await until(lambda: len(told.online()) == len(users))
    assert len(told.requests) == 3
    assert max(len(request.online_user_ids) for request in told.requests) == USERS_MAX
    await until(lambda: sorted(told.ended()) == sorted(users))
    assert len(told.requests) == 6
    await stopped(task)


async def test_an_end_that_was_not_taken_is_told_again_and_one_who_came_back_is_not_ended() -> None:
    told = Told()
    leases, task = make(told, renew_ms=20)
    told.takes = False
    with leases.held(ARASH):
        pass
    await until(lambda: told.ended().count(ARASH) >= 2)
    with leases.held(ARASH):
        told.takes = True
        told.requests.clear()
        await until(lambda: told.online().count(ARASH) >= 2)
        assert told.ended() == []
    await stopped(task)


def renewals(rig: Rig) -> list[peer.RenewRequest]:
    return [peer.RenewRequest.FromString(r.request) for r in rig.presence.received if r.method == RENEW]


async def test_a_live_subscription_is_a_lease_at_the_owner_of_presence() -> None:
    async with running() as rig:
        stream = rig.subscribe()
        await stream.next_of("hello")
        await until(lambda: [list(r.online_user_ids) for r in renewals(rig)] == [[ARASH]])
        assert rig.presence.received[0].values("chapar-partition") == [str(partition_of(ARASH, PARTITIONS))]
        stream.call.cancel()
        await until(lambda: list(renewals(rig)[-1].ended_user_ids) == [ARASH])
