"""The live view of a user's inbox: what its owner says, translated to frames of a subscription.

Comes back with the last cursor when the owner goes; whether that cursor can still be served the owner says, by
resetting or not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from chapar.gateway.v1 import gateway_pb2 as api
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_chassis.forwarder import Forwarder, ForwardFailed
from chapar_gateway.watches import Backoff, watching
from chapar_sourcing.partitions import partition_of

SERVICE = "messaging"


class InboxWatch:
    """One subscription's watch of its user's inbox."""

    def __init__(
        self,
        forwarder: Forwarder,
        partitions: int,
        user_id: str,
        *,
        show: Callable[[api.SubscribeResponse, str], None],
        lost: Callable[[], None],
        random: Callable[[], float],
    ) -> None:
        """`show` is given each frame with the parent of its trace, empty where that is not recorded; `lost` is called
        whenever the owner has gone or was not there."""
        self._forwarder = forwarder
        self._partition = partition_of(user_id, partitions)
        self._user_id = user_id
        self._show = show
        self._lost = lost
        self._backoff = Backoff(random)
        self._cursor: peer.WatchCursor | None = None
        self._epoch: int | None = None
        """The highest epoch that an owner showed here. What the client's cursor claims is no epoch of ours."""

    async def run(self, cursor: api.InboxCursor | None) -> None:
        """Shows what happens, from `cursor` on, until it is cancelled."""
        if cursor is not None:
            self._cursor = peer.WatchCursor(epoch=cursor.epoch, n=cursor.n)
        while True:
            with contextlib.suppress(ForwardFailed):
                await self._attach()
            self._lost()
            await asyncio.sleep(self._backoff.next_s())

    async def _attach(self) -> None:
        request = peer.WatchRequest(
            partition=self._partition, key=self._user_id, user_id=self._user_id, cursor=self._cursor
        )
        async with watching(self._forwarder, SERVICE, request) as responses:
            async for response in responses:
                if response.WhichOneof("kind") == "detach":
                    return
                if self._epoch is None or response.cursor.epoch >= self._epoch:
                    # Otherwise it is from an owner that another has followed.
                    self._backoff.reset()
                    self._epoch = response.cursor.epoch
                    self._cursor = response.cursor
                    self._show(_frame(response), response.trace_parent)


def _frame(response: peer.WatchResponse) -> api.SubscribeResponse:
    frame = api.SubscribeResponse(cursor=api.InboxCursor(epoch=response.cursor.epoch, n=response.cursor.n))
    match response.WhichOneof("kind"):
        case "reset":
            frame.reset.CopyFrom(messaging.InboxSnapshot.FromString(response.reset))
        case "hint":
            frame.inbox_event.CopyFrom(messaging.InboxEvent.FromString(response.hint))
        case _:
            frame.gap.SetInParent()
    return frame
