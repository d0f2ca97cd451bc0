"""What one client can make a gateway and the owners behind it do: bounded, however much it asks for."""

from __future__ import annotations

import asyncio
from typing import Any

from chapar.gateway.v1 import gateway_pb2 as api
from chapar.presence.peer.v1 import peer_pb2 as leases
from chapar.presence.v1 import presence_pb2 as presence
from chapar_gateway.interests import ASKED_AT_ONCE, INTERESTS_MAX

from .owners import Received
from .rig import Rig, Stream, running, until

CHECK = "/chapar.presence.peer.v1.LeaseService/CheckMembership"
SET_INTERESTS = "/chapar.gateway.v1.GatewayService/SetPresenceInterests"


class Door:
    """Answers checks of membership once it is opened, and counts those that wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self.waiting_max = 0
        self.opened = asyncio.Event()

    async def answer(self, _received: Received, _context: Any) -> bytes:
        self.waiting += 1
        self.waiting_max = max(self.waiting, self.waiting_max)
        try:
            await self.opened.wait()
        finally:
            self.waiting -= 1
        return leases.CheckMembershipResponse(member=True).SerializeToString()


def many_interests(turn: int) -> list[api.PresenceInterest]:
    return [api.PresenceInterest(conversation_id="g.one", user_id=f"u{turn}-{n}") for n in range(INTERESTS_MAX)]


async def opened(rig: Rig) -> tuple[Stream, str]:
    stream = rig.subscribe()
    return stream, (await stream.next_of("hello")).hello.subscription_id


async def change_interests(rig: Rig, subscription_id: str, turn: int) -> None:
    request = api.SetPresenceInterestsRequest(subscription_id=subscription_id, presence_interests=many_interests(turn))
    await rig.call(SET_INTERESTS, request.SerializeToString(), metadata=rig.session())


async def test_changing_interests_as_fast_as_one_can_keeps_few_calls_busy() -> None:
    async with running() as rig:
        door = Door()
        rig.presence.answers[CHECK] = door.answer
        _, subscription_id = await opened(rig)
        for turn in range(10):
            await change_interests(rig, subscription_id, turn)
            await until(lambda: door.waiting >= ASKED_AT_ONCE)
        assert door.waiting_max < 3 * ASKED_AT_ONCE, "those of the turn before may still be on their way out"


async def test_all_interests_are_served_although_few_are_asked_about_at_once() -> None:
    async with running() as rig:
        door = Door()
        door.opened.set()
        rig.presence.answers[CHECK] = door.answer
        stream, subscription_id = await opened(rig)
        await change_interests(rig, subscription_id, 0)
        wanted = {interest.user_id for interest in many_interests(0)}
        for _ in wanted:
            watch = await rig.presence.attached()
            shown = presence.Presence(user_id=watch.request.key, online=True)
            watch.send(1, 1, reset=shown.SerializeToString())
        seen = {(await stream.next_of("presence")).presence.user_id for _ in wanted}
        assert seen == wanted
