"""Tells the owners of presence who has a live subscription here.

A user is held online by a lease of six seconds that is renewed every two, all users of a partition in few calls. A
first subscription and the end of the last one are told at once. One task a partition sends, so that what is told of a
user arrives in order.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from chapar.presence.peer.v1 import peer_pb2 as peer
from chapar_chassis.forwarder import Forwarder, ForwardFailed
from chapar_gateway.durations import milliseconds
from chapar_sourcing.clock import Clock
from chapar_sourcing.partitions import partition_of

RENEW = "/chapar.presence.peer.v1.LeaseService/Renew"
RENEW_TIMEOUT_MS = 1_500
LEASE_MS = 6_000
RENEW_MS = 2_000
USERS_MAX = 1_000
"""Users that a call names at most."""

Renew = Callable[[peer.RenewRequest], Awaitable[bool]]
"""Sends one call; False when it was not taken, whatever the cause."""


class _PartitionLeases:
    """The users of one partition."""

    def __init__(self) -> None:
        self.subscriptions: Counter[str] = Counter()
        self.news: set[str] = set()
        """Users whose first subscription was not told yet."""
        self.ended: dict[str, int] = {}
        """Users whose last subscription ended, with the time at which their lease has run out anyway."""
        self.wake = asyncio.Event()


class Leases:
    """Who is online at this gateway."""

    def __init__(
        self, gateway_id: str, partitions: int, renew: Renew, clock: Clock, *, renew_ms: int = RENEW_MS
    ) -> None:
        """`gateway_id` is new for each start of the process."""
        self._gateway_id = gateway_id
        self._renew = renew
        self._clock = clock
        self._renew_ms = renew_ms
        self._partitions = [_PartitionLeases() for _ in range(partitions)]

    @contextmanager
    def held(self, user_id: str) -> Iterator[None]:
        """Holds the user online while one subscription lasts."""
        leases = self._partitions[partition_of(user_id, len(self._partitions))]
        self._begin(leases, user_id)
        try:
            yield
        finally:
            self._end(leases, user_id)

    async def run(self) -> None:
        """Sends leases until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for partition, leases in enumerate(self._partitions):
                tasks.create_task(self._tell(partition, leases), name=f"leases-{partition}")

    def _begin(self, leases: _PartitionLeases, user_id: str) -> None:
        leases.subscriptions[user_id] += 1
        if leases.subscriptions[user_id] == 1:
            leases.ended.pop(user_id, None)
            leases.news.add(user_id)
            leases.wake.set()

    def _end(self, leases: _PartitionLeases, user_id: str) -> None:
        leases.subscriptions[user_id] -= 1
        if not leases.subscriptions[user_id]:
            del leases.subscriptions[user_id]
            leases.news.discard(user_id)
            leases.ended[user_id] = milliseconds(self._clock) + LEASE_MS
            leases.wake.set()

    async def _tell(self, partition: int, leases: _PartitionLeases) -> None:
        renew_at_ms = milliseconds(self._clock) + self._renew_ms
        while True:
            await self._pause(leases, renew_at_ms)
            now_ms = milliseconds(self._clock)
            online = set(leases.news)
            if now_ms >= renew_at_ms:
                online = set(leases.subscriptions)
                renew_at_ms = now_ms + self._renew_ms
            ended = dict(leases.ended)
            leases.news.clear()
            leases.ended.clear()
            if not await self._send(partition, sorted(online), sorted(ended)):
                # Those online are told again with the next renewal; those gone until their leases have run out.
                for user_id, until_ms in ended.items():
                    if until_ms > now_ms and user_id not in leases.subscriptions:
                        leases.ended.setdefault(user_id, until_ms)

    async def _pause(self, leases: _PartitionLeases, renew_at_ms: int) -> None:
        """Until there is news or the next renewal is due."""
        try:
            async with asyncio.timeout(max(0, renew_at_ms - milliseconds(self._clock)) / 1000):
                await leases.wake.wait()
        except TimeoutError:
            pass
        leases.wake.clear()

    async def _send(self, partition: int, online: Sequence[str], ended: Sequence[str]) -> bool:
        taken = True
        for online_batch, ended_batch in _batches(online, ended):
            taken &= await self._renew(
                peer.RenewRequest(
                    partition=partition,
                    gateway_id=self._gateway_id,
                    lease_ms=LEASE_MS,
                    online_user_ids=online_batch,
                    ended_user_ids=ended_batch,
                )
            )
        return taken


def renew_through(forwarder: Forwarder) -> Renew:
    """Sends leases to the owners of presence."""

    async def renew(request: peer.RenewRequest) -> bool:
        try:
            await forwarder.unary(
                "presence", request.partition, RENEW, request.SerializeToString(), timeout_ms=RENEW_TIMEOUT_MS
            )
        except ForwardFailed:
            return False
        return True

    return renew


def _batches(online: Sequence[str], ended: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Both lists in pieces that fit into calls; nothing when both are empty."""
    online_left, ended_left = iter(online), iter(ended)
    while pieces := (list(islice(online_left, USERS_MAX)), list(islice(ended_left, USERS_MAX))):
        if not pieces[0] and not pieces[1]:
            return
        yield pieces
