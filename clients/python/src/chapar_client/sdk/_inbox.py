"""The live inbox: Subscribe from the stored cursor, what is next is shown, gaps are pulled, lost streams come back.

Progress (cursor and sequences) is stored when the reader asks for the next update or closes the inbox: nothing that the
reader has not had counts as taken in. Within a process no message is shown twice or out of order; after a crash between
showing and storing the one message under way is shown again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType

import grpc
import grpc.aio

from chapar.gateway.v1 import gateway_pb2 as gateway
from chapar_client.sdk._acks import Acks
from chapar_client.sdk._calls import Calls
from chapar_client.sdk._errors import Broken, SignedOut, Unavailable
from chapar_client.sdk._failures import Failure, failure_of
from chapar_client.sdk._frames import Frames, Lost
from chapar_client.sdk._messaging import Messaging
from chapar_client.sdk._methods import method_of
from chapar_client.sdk._sequences import Sequences
from chapar_client.sdk._state import StateStore
from chapar_client.sdk._tokens import Tokens
from chapar_client.sdk._transport import Transport
from chapar_client.sdk._tries import Attempt
from chapar_client.sdk._updates import Disconnected, InboxUpdate

_SILENCE_S_MAX = 90.0
"""Gateways send heartbeats; a stream that says nothing for this long is taken for dead."""

_PAUSE_S_FIRST = 0.1
_PAUSE_S_MAX = 5.0

_FINAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
}
_STALE_TOKEN = {"REASON_TOKEN_EXPIRED", "REASON_TOKEN_INVALID"}


class Inbox:
    """An asynchronous iterator of `InboxUpdate`s, without end. Use it as a context manager to close it in time.

    A reader that gives up waiting (a time-out around `anext`) loses nothing: the next `anext` goes on.
    """

    def __init__(
        self,
        transport: Transport,
        calls: Calls,
        tokens: Tokens,
        state: StateStore,
        presence_interests: Sequence[gateway.PresenceInterest] = (),
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._calls = calls
        self._tokens = tokens
        self._state = state
        self._interests = list(presence_interests)
        self._chance = chance
        self._subscription_id = ""
        self._cursor: tuple[int, int] | None = None
        self._frames = Frames(Messaging(calls, tokens), Sequences({}), chance)
        self._updates = self._run()
        self._next: asyncio.Task[InboxUpdate] | None = None
        self._taken = False
        """Whether the reader has had the update that came last: an inbox may be closed before."""

    async def __aenter__(self) -> Inbox:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.aclose()

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> InboxUpdate:
        if self._next is None:
            self._next = asyncio.create_task(self._pulled(), name="inbox")
        await asyncio.wait([self._next])
        done, self._next = self._next, None
        update = done.result()
        self._taken = True
        return update

    async def aclose(self) -> None:
        """Ends the subscription."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait([self._next])
        await self._updates.aclose()

    async def _pulled(self) -> InboxUpdate:
        return await anext(self._updates)

    async def set_presence_interests(self, interests: Sequence[gateway.PresenceInterest]) -> None:
        """Changes whose presence is shown, now and after every reconnection."""
        self._interests = list(interests)
        if self._subscription_id:
            request = gateway.SetPresenceInterestsRequest(
                subscription_id=self._subscription_id, presence_interests=self._interests
            )
            await self._calls.call(request, gateway.SetPresenceInterestsResponse)

    # Streams, one after the other

    async def _run(self) -> AsyncGenerator[InboxUpdate, None]:
        self._cursor = await self._state.inbox_cursor()
        self._frames.sequences = Sequences(await self._state.applied_sequences())
        failures = 0
        while True:
            lost = Lost("ended")
            try:
                async with aclosing(self._subscription()) as updates:
                    async for update in updates:
                        failures = 0
                        self._taken = False
                        try:
                            yield update
                        except GeneratorExit:
                            if self._taken:
                                await self._save()
                            raise
                        await self._save()
            except Lost as error:
                lost = error
            except (Unavailable, Broken) as error:
                lost = Lost(getattr(error, "reason", "") or str(error))
            if self._subscription_id:
                self._subscription_id = ""
                yield Disconnected(lost.reason)
            failures += 1
            backoff_s = min(_PAUSE_S_FIRST * 2 ** min(failures, 10), _PAUSE_S_MAX) * self._chance()
            await asyncio.sleep(backoff_s if lost.pause_s is None else lost.pause_s)

    async def _subscription(self) -> AsyncGenerator[InboxUpdate, None]:
        # A channel that looks for its gateway fails streams at once; who waits for it is back as soon as it is found.
        if not await self._transport.connected(_SILENCE_S_MAX):
            raise Lost("no gateway answers")
        metadata = await self._calls.authorisation(Attempt.within(_SILENCE_S_MAX))
        request = gateway.SubscribeRequest(presence_interests=self._interests)
        if self._cursor is not None:
            request.cursor.epoch, request.cursor.n = self._cursor
        content = request.SerializeToString()
        async with self._transport.stream(method_of(request), content, metadata) as frames, Acks(self._calls) as acks:
            while True:
                frame = await self._next_frame(frames, str(metadata[0][1]).removeprefix("Bearer "))
                if frame.HasField("hello"):
                    self._subscription_id = frame.hello.subscription_id
                    acks.begin(self._subscription_id)
                async for update in self._frames.apply(frame, fresh=self._cursor is None):
                    yield update
                if frame.HasField("cursor"):
                    self._cursor = (frame.cursor.epoch, frame.cursor.n)
                    await self._save()
                acks.taken(frame.frame)

    async def _next_frame(self, frames: AsyncIterator[bytes], access_token: str) -> gateway.SubscribeResponse:
        try:
            async with asyncio.timeout(_SILENCE_S_MAX):
                return gateway.SubscribeResponse.FromString(await anext(frames))
        except StopAsyncIteration:
            raise Lost("ended") from None
        except TimeoutError:
            raise Lost("silent") from None
        except grpc.aio.AioRpcError as error:
            await self._lost(failure_of(error), access_token)
            raise AssertionError("a lost stream always raises") from None

    async def _lost(self, failure: Failure, access_token: str) -> None:
        if failure.reason in _STALE_TOKEN:
            await self._tokens.refreshed(access_token, Attempt.within(_SILENCE_S_MAX))
            raise Lost(failure.reason, 0.0)
        error = failure.as_error()
        if isinstance(error, SignedOut):
            session = await self._state.session()
            if session is not None and session.access_token == access_token:
                await self._state.end_session(session.session_id)
            raise error
        if failure.status in _FINAL:
            raise error
        raise Lost(failure.reason or failure.status.name, failure.retry_delay_s)

    async def _save(self) -> None:
        await self._state.save_inbox(self._cursor, self._frames.sequences.drain_changes())
