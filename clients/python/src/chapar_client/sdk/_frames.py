"""From frames of a subscription to updates: what is next is shown, what is old is not, what is missing is pulled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import grpc

from chapar.gateway.v1 import gateway_pb2 as gateway
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.sdk._errors import Refused
from chapar_client.sdk._messaging import Messaging
from chapar_client.sdk._sequences import Arrival, Sequences
from chapar_client.sdk._updates import (
    Connected,
    InboxReset,
    InboxUpdate,
    MembershipChanged,
    MessageDeleted,
    MessageReceived,
    PresenceChanged,
    PresenceEnded,
    ReadCursorMoved,
)

_PAUSE_S_FIRST = 0.1
_PULLS_MAX = 6
_PAGE_SIZE = 200


class Lost(Exception):
    """The subscription is over; come back after a pause (None: the usual backoff)."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause_s = pause_s


class Frames:
    """Takes frames in, one after the other. `sequences` says how far."""

    def __init__(self, calls: Messaging, sequences: Sequences, chance: Callable[[], float]) -> None:
        self._messaging = calls
        self.sequences = sequences
        self._chance = chance

    async def apply(self, frame: gateway.SubscribeResponse, *, fresh: bool) -> AsyncGenerator[InboxUpdate, None]:
        """What a frame tells the reader; `fresh` on a device that never had an inbox. Raises `Lost`."""
        match frame.WhichOneof("kind"):
            case "hello":
                yield Connected(frame.hello.resumed)
            case "reset":
                async for update in self._reset(frame.reset, fresh=fresh):
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
                raise Lost("drain", frame.drain.reconnect_window_ms / 1000 * self._chance())

    async def _inbox_event(self, event: messaging.InboxEvent) -> AsyncGenerator[InboxUpdate, None]:
        match event.WhichOneof("kind"):
            case "message":
                async for update in self._message(event.message):
                    yield update
            case "membership":
                change = event.membership
                if change.member:
                    self.sequences.advance(change.conversation_id, max(change.first_visible_sequence - 1, 0))
                yield MembershipChanged(
                    change.conversation_id, change.member, change.change_sequence, change.first_visible_sequence
                )
            case "read_cursor":
                yield ReadCursorMoved(event.read_cursor.conversation_id, event.read_cursor.read_sequence)
            case "deletion":
                gone = event.deletion
                # What has not been taken in yet will come as deleted.
                if gone.sequence <= self.sequences.last(gone.conversation_id):
                    yield MessageDeleted(gone.conversation_id, gone.sequence, gone.change_sequence)

    async def _reset(self, snapshot: messaging.InboxSnapshot, *, fresh: bool) -> AsyncGenerator[InboxUpdate, None]:
        rows = list(snapshot.rows)
        if snapshot.more:
            rows = [row async for row in self._messaging.inbox_rows()]
        behind = self.sequences.reset(rows, fresh=fresh)
        yield InboxReset(tuple(rows))
        for conversation_id in behind:
            async for update in self._pull(conversation_id):
                yield update

    async def _repair(self, rows: Sequence[messaging.InboxRow]) -> AsyncGenerator[InboxUpdate, None]:
        for conversation_id in self.sequences.reset(rows, fresh=False):
            async for update in self._pull(conversation_id):
                yield update

    async def _message(self, message: messaging.Message) -> AsyncGenerator[InboxUpdate, None]:
        conversation_id, sequence = message.conversation_id, message.sequence
        for pull in range(_PULLS_MAX):
            match self.sequences.judge(conversation_id, sequence):
                case Arrival.OLD:
                    return
                case Arrival.NEXT:
                    self.sequences.advance(conversation_id, sequence)
                    yield MessageReceived(message)
                    return
                case Arrival.UNKNOWN:
                    if not await self._learn(conversation_id):
                        return
                case Arrival.GAP:
                    if pull:
                        await asyncio.sleep(_PAUSE_S_FIRST * 2**pull * self._chance())
                    last = self.sequences.last(conversation_id)
                    async for update in self._pull(conversation_id):
                        yield update
                    if self.sequences.last(conversation_id) == last and not await self._learn(conversation_id):
                        return
        raise Lost("a gap could not be repaired")

    async def _learn(self, conversation_id: str) -> bool:
        """Asks from where on a conversation is visible; False when it is not, any more."""
        try:
            conversation = await self._messaging.get_conversation(conversation_id)
        except Refused as refusal:
            if refusal.status is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        self.sequences.advance(conversation_id, max(conversation.first_visible_sequence - 1, 0))
        return True

    async def _pull(self, conversation_id: str) -> AsyncGenerator[InboxUpdate, None]:
        """Everything after the last message taken in, as far as it may be seen."""
        while True:
            try:
                page = await self._messaging.list_messages(
                    conversation_id, from_sequence=self.sequences.last(conversation_id), page_size=_PAGE_SIZE
                )
            except Refused as refusal:
                if refusal.status is grpc.StatusCode.NOT_FOUND:
                    return
                raise
            for message in page.messages:
                if message.sequence > self.sequences.last(conversation_id):
                    self.sequences.advance(conversation_id, message.sequence)
                    yield MessageReceived(message)
            if not page.next_from_sequence or not page.messages:
                return
