"""Whose presence a subscription shows: people with whom its user shares a conversation.

Each interest takes two steps: presence says at the user's own partition that the user is in the conversation, then at
the other one's partition, where the watch is, that the other is. Either failing ends the interest with PresenceEnded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack

from chapar.gateway.v1 import gateway_pb2 as api
from chapar.presence.peer.v1 import peer_pb2 as leases
from chapar.presence.v1 import presence_pb2 as presence
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_chassis.forwarder import Forwarder, ForwardFailed
from chapar_gateway.watches import Backoff, watching
from chapar_sourcing.partitions import partition_of

SERVICE = "presence"
CHECK_MEMBERSHIP = "/chapar.presence.peer.v1.LeaseService/CheckMembership"
CHECK_TIMEOUT_MS = 5_000
INTERESTS_MAX = 200
_REFUSALS = {"PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION"}
"""Statuses that say no, rather than not now."""
ASKED_AT_ONCE = 16
"""Interests of one subscription that owners are asked about at the same time: whoever changes their interests as fast
as they can keeps no more than that busy."""
REFUSALS_MAX = 5
"""So often in a row an interest is refused before it ends, within about a second: presence learns of memberships a
moment after messaging has decided them."""


class PresenceInterests:
    """The interests of one subscription, a task each."""

    def __init__(
        self,
        forwarder: Forwarder,
        partitions: int,
        user_id: str,
        show: Callable[[str, api.SubscribeResponse], None],
        random: Callable[[], float],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._forwarder = forwarder
        self._partitions = partitions
        self._user_id = user_id
        self._show = show
        self._random = random
        self._tasks = tasks
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)
        self._watches: dict[tuple[str, str], asyncio.Task[None]] = {}
        """By (user, conversation)."""

    def replace(self, interests: Iterable[api.PresenceInterest]) -> Collection[str]:
        """Watches these from now on; returns whose presence is wanted. One conversation a user is enough."""
        wanted = {interest.user_id: interest.conversation_id for interest in interests}
        for key in [key for key in self._watches if wanted.get(key[0]) != key[1]]:
            self._watches.pop(key).cancel()
        for user_id, conversation_id in wanted.items():
            if (user_id, conversation_id) not in self._watches:
                self._begin(user_id, conversation_id)
        return wanted.keys()

    def leave(self, conversation_id: str) -> None:
        """Ends what rests on a conversation that the subscription's user has left."""
        for key in [key for key in self._watches if key[1] == conversation_id]:
            self._watches.pop(key).cancel()
            self._show_ended(key[0])

    def recheck(self) -> None:
        """Begins all anew, for when changes of the user's own memberships may have been missed."""
        for user_id, conversation_id in list(self._watches):
            self._watches[(user_id, conversation_id)].cancel()
            self._begin(user_id, conversation_id)

    def _begin(self, user_id: str, conversation_id: str) -> None:
        watch = self._watch(user_id, conversation_id)
        self._watches[(user_id, conversation_id)] = self._tasks.create_task(watch, name=f"presence-{user_id}")

    async def _watch(self, user_id: str, conversation_id: str) -> None:
        backoff = Backoff(self._random)
        refusals = 0
        while True:
            try:
                allowed = await self._ask_and_show(user_id, conversation_id, backoff)
            except ForwardFailed as failure:
                allowed = failure.status.code.name not in _REFUSALS
            refusals = 0 if allowed else refusals + 1
            if refusals >= REFUSALS_MAX:
                break
            await asyncio.sleep(backoff.next_s())
        self._watches.pop((user_id, conversation_id), None)
        self._show_ended(user_id)

    async def _ask_and_show(self, user_id: str, conversation_id: str, backoff: Backoff) -> bool:
        """One try; False when it was refused. Others are asked about once this one's owner has answered."""
        async with AsyncExitStack() as asking:
            await asking.enter_async_context(self._asking)
            allowed = await self._is_member(conversation_id)
            return allowed and await self._attach(user_id, conversation_id, backoff, asking.aclose)

    async def _is_member(self, conversation_id: str) -> bool:
        partition = partition_of(self._user_id, self._partitions)
        request = leases.CheckMembershipRequest(
            partition=partition, user_id=self._user_id, conversation_id=conversation_id
        )
        forwarded = await self._forwarder.unary(
            SERVICE, partition, CHECK_MEMBERSHIP, request.SerializeToString(), timeout_ms=CHECK_TIMEOUT_MS
        )
        return leases.CheckMembershipResponse.FromString(forwarded.response).member

    async def _attach(
        self, user_id: str, conversation_id: str, backoff: Backoff, answered: Callable[[], Awaitable[None]]
    ) -> bool:
        """Shows presence until the watch ends; False when the owner refused it at once.

        `answered` is called with each response, for the owner's first answer ends the asking.
        """
        request = peer.WatchRequest(
            partition=partition_of(user_id, self._partitions),
            key=user_id,
            user_id=self._user_id,
            basis=conversation_id,
        )
        shown = False
        async with watching(self._forwarder, SERVICE, request) as responses:
            async for response in responses:
                await answered()
                match response.WhichOneof("kind"):
                    case "reset":
                        data = response.reset
                    case "hint":
                        data = response.hint
                    case "detach":
                        return shown
                    case _:
                        return True  # A gap: a fresh watch begins with what is true now.
                shown = True
                backoff.reset()
                self._show(user_id, api.SubscribeResponse(presence=presence.Presence.FromString(data)))
        return True

    def _show_ended(self, user_id: str) -> None:
        self._show(user_id, api.SubscribeResponse(presence_ended=api.PresenceEnded(user_id=user_id)))
