"""One open subscription: what flows into its outbox, what is written from it, and why it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from chapar.gateway.v1 import gateway_pb2 as api
from chapar_chassis.forwarder import Forwarder
from chapar_chassis.refusals import CallRefused
from chapar_chassis.tokens import AccessToken
from chapar_gateway.deliveries import Deliveries
from chapar_gateway.durations import milliseconds
from chapar_gateway.inbox import InboxWatch
from chapar_gateway.interests import PresenceInterests
from chapar_gateway.outbox import Outbox
from chapar_sourcing.clock import Clock
from chapar_sourcing.tracing import NO_TRACER, Tracer

HEARTBEAT_MS = 15_000
TICK_MS = 250
TAKE_UP_MS = 300
"""How long Hello waits for a sign that the cursor asked for cannot be served."""

Write = Callable[[bytes], Awaitable[None]]
"""Sends one serialised frame. Raises `ClientGone`."""


class ClientGone(Exception):
    """Nobody reads this stream any more."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every subscription of a process uses."""

    forwarder: Forwarder
    partitions: int
    clock: Clock
    random: Callable[[], float]
    """Numbers from 0 up to 1, for jitter."""
    problem_of: Callable[[AccessToken], str | None]
    """The reason why a session may no longer be served, None while it may."""
    tick_ms: int = TICK_MS
    tracer: Tracer = NO_TRACER


class Subscription:
    """Frames for one client. `run` does the work; the other methods are called while it runs and never wait."""

    def __init__(self, subscription_id: str, token: AccessToken, around: Surroundings) -> None:
        self.subscription_id = subscription_id
        self.token = token
        self._around = around
        self._clock = around.clock
        self._outbox = Outbox()
        self._wake = asyncio.Event()
        """Something may have to be written."""
        self._look = asyncio.Event()
        """Something may have to end."""
        self._finished = False
        self._gone = False
        self._resuming = False
        self._greeted = False
        self._interests: PresenceInterests | None = None
        self._last_frame_ms = milliseconds(self._clock)
        self._deliveries = Deliveries(around.tracer)

    async def run(self, request: api.SubscribeRequest, write: Write) -> None:
        """Writes frames until the subscription is over.

        Returns after `finish`; otherwise raises `CallRefused` with the reason, or `ClientGone`.
        """
        around, user_id = self._around, self.token.user_id
        inbox = InboxWatch(
            around.forwarder, around.partitions, user_id,
            show=self._show_inbox, lost=lambda: self._greet(False), random=around.random,
        )  # fmt: skip
        self._resuming = request.HasField("cursor")
        cursor = request.cursor if self._resuming else None
        async with asyncio.TaskGroup() as tasks:
            self._interests = PresenceInterests(
                around.forwarder, around.partitions, user_id, self._show_presence, around.random, tasks
            )
            running = [
                tasks.create_task(self._greet_in_time(), name="hello"),
                tasks.create_task(inbox.run(cursor), name="inbox"),
                tasks.create_task(self._write_all(write), name="write"),
            ]
            self._interests.replace(request.presence_interests)
            reason = await self._over()
            self._interests.replace(())
            for task in running:
                task.cancel()
        if self._gone:
            raise ClientGone
        if reason is not None:
            raise CallRefused(reason)

    def acknowledge(self, frame: int) -> None:
        """The client has taken in all frames up to `frame`."""
        self._outbox.acknowledge(frame, milliseconds(self._clock))
        self._wake.set()

    def set_interests(self, interests: Iterable[api.PresenceInterest]) -> None:
        """Shows the presence of these from now on."""
        if self._interests is not None:
            self._outbox.keep_presence(self._interests.replace(interests))

    def drain(self, window_ms: int) -> None:
        """Tells the client to come back elsewhere."""
        self._control(api.SubscribeResponse(drain=api.Drain(reconnect_window_ms=window_ms)))

    def finish(self) -> None:
        """Ends well, as announced by a drain."""
        self._finished = True
        self._look.set()

    def look(self) -> None:
        """Looks at once whether the session may still be served."""
        self._look.set()

    async def _over(self) -> str | None:
        """Waits until there is a reason to end; None after `finish`."""
        while not self._finished and not self._gone:
            now_ms = milliseconds(self._clock)
            if problem := self._around.problem_of(self.token):
                return problem
            if self._outbox.stalled(now_ms):
                return "REASON_SUBSCRIPTION_STALLED"
            if self._greeted and self._outbox.idle and now_ms - self._last_frame_ms >= HEARTBEAT_MS:
                self._control(api.SubscribeResponse(heartbeat=api.Heartbeat(server_time_ms=self._clock.now_ms())))
            try:
                async with asyncio.timeout(self._around.tick_ms / 1000):
                    await self._look.wait()
            except TimeoutError:
                continue
            self._look.clear()
        return None

    async def _write_all(self, write: Write) -> None:
        try:
            await self._write_on(write)
        finally:
            self._deliveries.end()

    async def _write_on(self, write: Write) -> None:
        while True:
            data = self._outbox.pop(milliseconds(self._clock))
            if data is None:
                await self._wake.wait()
                self._wake.clear()
                continue
            self._last_frame_ms = milliseconds(self._clock)
            try:
                await write(data)
            except ClientGone:
                self._gone = True
                self._look.set()
                return
            self._deliveries.written()

    async def _greet_in_time(self) -> None:
        """Says Hello once it is clear, or clear enough, whether the cursor asked for is served."""
        if self._resuming:
            await asyncio.sleep(TAKE_UP_MS / 1000)
        self._greet(self._resuming)

    def _greet(self, resumed: bool) -> None:
        if not self._greeted:
            self._greeted = True
            hello = api.Hello(
                subscription_id=self.subscription_id, server_time_ms=self._clock.now_ms(), resumed=resumed
            )
            self._control(api.SubscribeResponse(hello=hello))

    def _control(self, frame: api.SubscribeResponse) -> None:
        self._outbox.offer_control(frame, milliseconds(self._clock))
        self._wake.set()

    def _show_inbox(self, frame: api.SubscribeResponse, trace_parent: str) -> None:
        kind = frame.WhichOneof("kind")
        self._greet(self._resuming and kind != "reset")
        self._follow_memberships(frame)
        self._outbox.offer_inbox(frame, milliseconds(self._clock))
        if trace_parent:
            self._deliveries.begin(frame.frame, trace_parent)
        self._wake.set()

    def _follow_memberships(self, frame: api.SubscribeResponse) -> None:
        """What presence rests on ends with it: the user's own leaving is seen here first."""
        if self._interests is None:
            return
        if frame.WhichOneof("kind") in ("reset", "gap"):
            self._interests.recheck()
        membership = frame.inbox_event.membership
        if membership.conversation_id and not membership.member:
            self._interests.leave(membership.conversation_id)

    def _show_presence(self, user_id: str, frame: api.SubscribeResponse) -> None:
        self._greet(self._resuming)
        self._outbox.offer_presence(user_id, frame, milliseconds(self._clock))
        self._wake.set()
