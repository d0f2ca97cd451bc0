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
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.sdk._acks import Acks
from chapar_client.sdk._calls import Calls
from chapar_client.sdk._errors import Broken, Refused, SignedOut, Unavailable
from chapar_client.sdk._failures import Failure, failure_of
from chapar_client.sdk._messaging import Messaging
from chapar_client.sdk._methods import method_of
from chapar_client.sdk._sequences import Arrival, Sequences
from chapar_client.sdk._state import StateStore
from chapar_client.sdk._tokens import Tokens
from chapar_client.sdk._transport import Transport
from chapar_client.sdk._tries import Attempt
from chapar_client.sdk._updates import (
    Connected,
    Disconnected,
    InboxReset,
    InboxUpdate,
    MembershipChanged,
    MessageReceived,
    PresenceChanged,
    PresenceEnded,
    ReadCursorMoved,
)

_SILENCE_S_MAX = 90.0
"""Gateways send heartbeats; a stream that says nothing for this long is taken for dead."""

_PAUSE_S_FIRST = 0.1
_PAUSE_S_MAX = 5.0
_PULLS_MAX = 6
_PAGE_SIZE = 200

_FINAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
}
_STALE_TOKEN = {"REASON_TOKEN_EXPIRED", "REASON_TOKEN_INVALID"}


class _Lost(Exception):
    """The subscription is over; come back after a pause (None: the usual backoff)."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause_s = pause_s


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
        self._messaging = Messaging(calls, tokens)
        self._interests = list(presence_interests)
        self._chance = chance
        self._subscription_id = ""
        self._cursor: tuple[int, int] | None = None
        self._sequences = Sequences({})
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
        self._sequences = Sequences(await self._state.applied_sequences())
        failures = 0
        while True:
            lost = _Lost("ended")
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
            except _Lost as error:
                lost = error
            except (Unavailable, Broken) as error:
                lost = _Lost(getattr(error, "reason", "") or str(error))
            if self._subscription_id:
                self._subscription_id = ""
                yield Disconnected(lost.reason)
            failures += 1
            backoff_s = min(_PAUSE_S_FIRST * 2 ** min(failures, 10), _PAUSE_S_MAX) * self._chance()
            await asyncio.sleep(backoff_s if lost.pause_s is None else lost.pause_s)

    async def _subscription(self) -> AsyncGenerator[InboxUpdate, None]:
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
                async for update in self._apply(frame):
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
            raise _Lost("ended") from None
        except TimeoutError:
            raise _Lost("silent") from None
        except grpc.aio.AioRpcError as error:
            await self._lost(failure_of(error), access_token)
            raise AssertionError("a lost stream always raises") from None

    async def _lost(self, failure: Failure, access_token: str) -> None:
        if failure.reason in _STALE_TOKEN:
            await self._tokens.refreshed(access_token, Attempt.within(_SILENCE_S_MAX))
            raise _Lost(failure.reason, 0.0)
        error = failure.as_error()
        if isinstance(error, SignedOut):
            session = await self._state.session()
            if session is not None and session.access_token == access_token:
                await self._state.end_session(session.session_id)
            raise error
        if failure.status in _FINAL:
            raise error
        raise _Lost(failure.reason or failure.status.name, failure.retry_delay_s)

    async def _save(self) -> None:
        await self._state.save_inbox(self._cursor, self._sequences.drain_changes())

    # Frames

    async def _apply(self, frame: gateway.SubscribeResponse) -> AsyncGenerator[InboxUpdate, None]:
        match frame.WhichOneof("kind"):
            case "hello":
                yield Connected(frame.hello.resumed)
            case "reset":
                async for update in self._reset(frame.reset):
                    yield update
            case "gap":
                async for update in self._repair([row async for row in self._messaging.inbox_rows()]):
                    yield update
            case "inbox_event":
                async for update in self._inbox_event(frame.inbox_event):
                    yield update
            case "presence":
                shown = frame.presence
                yield PresenceChanged(shown.user_id, shown.online, shown.last_seen_time_ms)
            case "presence_ended":
                yield PresenceEnded(frame.presence_ended.user_id)
            case "drain":
                raise _Lost("drain", frame.drain.reconnect_window_ms / 1000 * self._chance())

    async def _inbox_event(self, event: messaging.InboxEvent) -> AsyncGenerator[InboxUpdate, None]:
        match event.WhichOneof("kind"):
            case "message":
                async for update in self._message(event.message):
                    yield update
            case "membership":
                change = event.membership
                if change.member:
                    self._sequences.advance(change.conversation_id, max(change.first_visible_sequence - 1, 0))
                yield MembershipChanged(
                    change.conversation_id, change.member, change.change_sequence, change.first_visible_sequence
                )
            case "read_cursor":
                yield ReadCursorMoved(event.read_cursor.conversation_id, event.read_cursor.read_sequence)

    async def _reset(self, snapshot: messaging.InboxSnapshot) -> AsyncGenerator[InboxUpdate, None]:
        rows = list(snapshot.rows)
        if snapshot.more:
            rows = [row async for row in self._messaging.inbox_rows()]
        behind = self._sequences.reset(rows, fresh=self._cursor is None)
        yield InboxReset(tuple(rows))
        for conversation_id in behind:
            async for update in self._pull(conversation_id):
                yield update

    async def _repair(self, rows: Sequence[messaging.InboxRow]) -> AsyncGenerator[InboxUpdate, None]:
        for conversation_id in self._sequences.reset(rows, fresh=False):
            async for update in self._pull(conversation_id):
                yield update

    async def _message(self, message: messaging.Message) -> AsyncGenerator[InboxUpdate, None]:
        conversation_id, sequence = message.conversation_id, message.sequence
        for pull in range(_PULLS_MAX):
            match self._sequences.judge(conversation_id, sequence):
                case Arrival.OLD:
                    return
                case Arrival.NEXT:
                    self._sequences.advance(conversation_id, sequence)
                    yield MessageReceived(message)
                    return
                case Arrival.UNKNOWN:
                    if not await self._learn(conversation_id):
                        return
                case Arrival.GAP:
                    if pull:
                        await asyncio.sleep(_PAUSE_S_FIRST * 2**pull * self._chance())
                    last = self._sequences.last(conversation_id)
                    async for update in self._pull(conversation_id):
                        yield update
                    if self._sequences.last(conversation_id) == last and not await self._learn(conversation_id):
                        return
        raise _Lost("a gap could not be repaired")

    async def _learn(self, conversation_id: str) -> bool:
        """Asks from where on a conversation is visible; False when it is not, any more."""
        try:
            conversation = await self._messaging.get_conversation(conversation_id)
        except Refused as refusal:
            if refusal.status is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        self._sequences.advance(conversation_id, max(conversation.first_visible_sequence - 1, 0))
        return True

    async def _pull(self, conversation_id: str) -> AsyncGenerator[InboxUpdate, None]:
        """Everything after the last message taken in, as far as it may be seen."""
        while True:
            try:
                page = await self._messaging.list_messages(
                    conversation_id, from_sequence=self._sequences.last(conversation_id), page_size=_PAGE_SIZE
                )
            except Refused as refusal:
                if refusal.status is grpc.StatusCode.NOT_FOUND:
                    return
                raise
            for message in page.messages:
                if message.sequence > self._sequences.last(conversation_id):
                    self._sequences.advance(conversation_id, message.sequence)
                    yield MessageReceived(message)
            if not page.next_from_sequence or not page.messages:
                return
