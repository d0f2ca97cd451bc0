"""The live inbox: order, gaps, resets, resuming, acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from client_fakes import FakeGateway, Refusal, eventually, session

from chapar.gateway.v1 import gateway_pb2 as gateway_pb
from chapar.identity.v1 import identity_pb2 as identity
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.presence.v1 import presence_pb2 as presence
from chapar_client.sdk import (
    Client,
    Connected,
    Disconnected,
    Inbox,
    InboxReset,
    MembershipChanged,
    MessageDeleted,
    MessageReceived,
    PresenceChanged,
    PresenceEnded,
    PresenceInterest,
    ReadCursorMoved,
    SignedOut,
    StateStore,
)

C = "d.a.b"


def text(sequence: int, conversation_id: str = C) -> messaging.Message:
    return messaging.Message(conversation_id=conversation_id, sequence=sequence, text=f"message {sequence}")


class Script:
    """The far side of an inbox: what history holds, and frames numbered as the gateway would."""

    def __init__(self, fake: FakeGateway) -> None:
        self.fake = fake
        self.history: dict[str, list[messaging.Message]] = {C: []}
        self.rows: list[messaging.InboxRow] = []
        self._frame = 0
        self._n = 0
        fake.answers |= {
            "ListMessages": self._list_messages,
            "GetConversation": self._get_conversation,
            "ListInbox": self._list_inbox,
            "Ack": self._ack,
            "SetPresenceInterests": self._interests,
        }

    async def connected(self, subscriptions: int, *, resumed: bool = False) -> None:
        await eventually(lambda: len(self.fake.subscriptions) >= subscriptions)
        self._frame = 0
        self.frame(hello=gateway_pb.Hello(subscription_id=f"sub-{subscriptions}", resumed=resumed))

    def frame(self, *, inbox: bool = False, **kind: object) -> None:
        self._frame += 1
        frame = gateway_pb.SubscribeResponse(frame=self._frame, **kind)
        if inbox:
            self._n += 1
            frame.cursor.epoch, frame.cursor.n = 1, self._n
        self.fake.push(frame)

    def message(self, sequence: int, conversation_id: str = C) -> None:
        event = messaging.InboxEvent(message=text(sequence, conversation_id))
        self.frame(inbox=True, inbox_event=event)

    async def _list_messages(self, request, _metadata):
        if request.conversation_id not in self.history:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "REASON_CONVERSATION_UNKNOWN", domain="messaging.chapar")
        above = [m for m in self.history[request.conversation_id] if m.sequence > request.from_sequence]
        page = above[:2]
        more = page[-1].sequence if len(above) > 2 else 0
        return messaging.ListMessagesResponse(messages=page, next_from_sequence=more)

    async def _get_conversation(self, request, _metadata):
        if request.conversation_id not in self.history:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "REASON_CONVERSATION_UNKNOWN", domain="messaging.chapar")
        first = min((m.sequence for m in self.history[request.conversation_id]), default=1)
        return messaging.GetConversationResponse(conversation=messaging.Conversation(first_visible_sequence=first))

    async def _list_inbox(self, _request, _metadata):
        return messaging.ListInboxResponse(rows=self.rows)

    async def _ack(self, _request, _metadata):
        return gateway_pb.AckResponse()

    async def _interests(self, _request, _metadata):
        return gateway_pb.SetPresenceInterestsResponse()


@pytest.fixture
def script(gateway: FakeGateway) -> Script:
    return Script(gateway)


@pytest.fixture
async def inbox(client: Client) -> AsyncIterator[Inbox]:
    async with client.inbox() as inbox:
        yield inbox


async def take(inbox: Inbox, count: int) -> list[object]:
    async with asyncio.timeout(20):
        return [await anext(inbox) for _ in range(count)]


async def messages(inbox: Inbox, count: int) -> list[int]:
    """Sequences of the next so many messages, whatever else comes between."""
    seen: list[int] = []
    async with asyncio.timeout(20):
        while len(seen) < count:
            update = await anext(inbox)
            if isinstance(update, MessageReceived):
                seen.append(update.message.sequence)
    return seen


async def test_messages_come_once_and_in_order(inbox: Inbox, script: Script) -> None:
    first = asyncio.create_task(take(inbox, 1))
    await script.connected(1)
    assert await first == [Connected(resumed=False)]
    for sequence in (1, 1, 2, 1, 3):
        script.message(sequence)
    assert await messages(inbox, 3) == [1, 2, 3]


async def test_a_gap_is_pulled_over_pages_before_what_came_after_it(inbox: Inbox, script: Script) -> None:
    reading = asyncio.create_task(messages(inbox, 7))
    await script.connected(1)
    script.history[C] = [text(n) for n in range(1, 8)]
    script.message(1)
    script.message(6)
    script.message(7)
    assert await reading == [1, 2, 3, 4, 5, 6, 7]


async def test_a_gap_frame_compares_heads_and_pulls(inbox: Inbox, script: Script) -> None:
    reading = asyncio.create_task(messages(inbox, 3))
    await script.connected(1)
    script.message(1)
    script.history[C] = [text(n) for n in range(1, 4)]
    script.rows = [messaging.InboxRow(conversation_id=C, head_sequence=3, first_visible_sequence=1)]
    script.frame(inbox=True, gap=gateway_pb.Gap())
    assert await reading == [1, 2, 3]


async def test_a_reset_shows_what_is_unread_on_a_new_device(inbox: Inbox, script: Script) -> None:
    reading = asyncio.create_task(take(inbox, 4))
    script.history[C] = [text(n) for n in range(1, 6)]
    row = messaging.InboxRow(conversation_id=C, head_sequence=5, read_sequence=3, first_visible_sequence=1)
    await script.connected(1)
    script.frame(inbox=True, reset=messaging.InboxSnapshot(rows=[row]))
    assert await reading == [
        Connected(resumed=False),
        InboxReset((row,)),
        MessageReceived(text(4)),
        MessageReceived(text(5)),
    ]


async def test_a_reset_later_shows_new_conversations_from_their_beginning(inbox: Inbox, script: Script) -> None:
    reading = asyncio.create_task(messages(inbox, 2))
    script.history["g"] = [text(1, "g"), text(2, "g")]
    row = messaging.InboxRow(conversation_id="g", head_sequence=2, read_sequence=2, first_visible_sequence=1)
    await script.connected(1)
    script.frame(inbox=True, reset=messaging.InboxSnapshot())
    script.frame(inbox=True, reset=messaging.InboxSnapshot(rows=[row]))
    assert await reading == [1, 2]


async def test_a_reset_with_more_than_a_page_is_completed_from_the_inbox(inbox: Inbox, script: Script) -> None:
    reading = asyncio.create_task(take(inbox, 2))
    script.rows = [messaging.InboxRow(conversation_id=name, first_visible_sequence=1) for name in ("a", "b")]
    await script.connected(1)
    script.frame(inbox=True, reset=messaging.InboxSnapshot(rows=script.rows[:1], more=True))
    assert (await reading)[1] == InboxReset(tuple(script.rows))


async def test_a_lost_stream_resumes_from_the_stored_cursor(inbox: Inbox, script: Script, gateway: FakeGateway) -> None:
    reading = asyncio.create_task(take(inbox, 4))
    await script.connected(1)
    script.message(1)
    script.message(2)
    gateway.streams[-1].put_nowait(None)
    updates = await reading
    assert isinstance(updates[-1], Disconnected)
    reading = asyncio.create_task(take(inbox, 2))
    await script.connected(2, resumed=True)
    script.message(3)
    assert await reading == [Connected(resumed=True), MessageReceived(text(3))]
    assert (gateway.subscriptions[1].cursor.epoch, gateway.subscriptions[1].cursor.n) == (1, 2)


async def test_a_new_process_goes_on_where_the_last_one_ended(gateway: FakeGateway, tmp_path: Path) -> None:
    script = Script(gateway)
    state = StateStore(tmp_path)
    await state.open_session(session())
    async with Client(gateway.address, state) as client, client.inbox() as inbox:
        reading = asyncio.create_task(messages(inbox, 2))
        await script.connected(1)
        script.message(1)
        script.message(2)
        assert await reading == [1, 2]
        waiting = asyncio.create_task(take(inbox, 1))
        await eventually(lambda: any(gateway_pb.AckRequest.FromString(a).frame == 3 for a in gateway.sent("Ack")))
        waiting.cancel()
    async with Client(gateway.address, StateStore(tmp_path)) as client, client.inbox() as inbox:
        reading = asyncio.create_task(messages(inbox, 1))
        await script.connected(2, resumed=True)
        script.message(2)
        script.message(3)
        assert await reading == [3]
    assert gateway.subscriptions[1].cursor.n == 2


async def test_a_drain_reconnects(inbox: Inbox, script: Script, gateway: FakeGateway) -> None:
    reading = asyncio.create_task(take(inbox, 3))
    await script.connected(1)
    script.frame(drain=gateway_pb.Drain(reconnect_window_ms=50))
    await script.connected(2)
    assert await reading == [Connected(False), Disconnected("drain"), Connected(False)]


async def test_an_expired_token_on_a_stream_is_refreshed(inbox: Inbox, script: Script, gateway: FakeGateway) -> None:
    async def refresh(_request, _metadata):
        tokens = identity.Tokens(access_token="access-2", access_expire_time_ms=2**50, refresh_token="s0000.r2")
        return identity.RefreshTokensResponse(tokens=tokens)

    gateway.answers["RefreshTokens"] = refresh
    reading = asyncio.create_task(take(inbox, 3))
    await script.connected(1)
    gateway.streams[-1].put_nowait(Refusal(grpc.StatusCode.UNAUTHENTICATED, "REASON_TOKEN_EXPIRED"))
    await script.connected(2)
    await reading
    tokens = [metadata["authorization"] for name, _, metadata in gateway.requests if name == "Subscribe"]
    assert tokens == ["Bearer access-1", "Bearer access-2"]


async def test_a_revoked_session_ends_the_inbox(inbox: Inbox, script: Script, gateway: FakeGateway) -> None:
    reading = asyncio.create_task(take(inbox, 2))
    await script.connected(1)
    gateway.streams[-1].put_nowait(Refusal(grpc.StatusCode.UNAUTHENTICATED, "REASON_SESSION_REVOKED"))
    with pytest.raises(SignedOut):
        await reading


async def test_what_was_taken_in_is_acknowledged_cumulatively(
    inbox: Inbox, script: Script, gateway: FakeGateway
) -> None:
    reading = asyncio.create_task(messages(inbox, 100))
    await script.connected(1)
    for sequence in range(1, 101):
        script.message(sequence)
    await reading
    waiting = asyncio.create_task(take(inbox, 1))
    await eventually(lambda: any(gateway_pb.AckRequest.FromString(a).frame == 101 for a in gateway.sent("Ack")))
    waiting.cancel()
    assert len(gateway.sent("Ack")) < 50
    assert {gateway_pb.AckRequest.FromString(a).subscription_id for a in gateway.sent("Ack")} == {"sub-1"}


async def test_who_joins_late_starts_at_the_first_visible_message(inbox: Inbox, script: Script) -> None:
    reading = asyncio.create_task(take(inbox, 3))
    await script.connected(1)
    change = messaging.MembershipChange(conversation_id="g", member=True, change_sequence=4, first_visible_sequence=8)
    script.frame(inbox=True, inbox_event=messaging.InboxEvent(membership=change))
    script.message(8, "g")
    assert (await reading)[1:] == [MembershipChanged("g", True, 4, 8), MessageReceived(text(8, "g"))]


async def test_a_message_of_a_conversation_never_seen_is_placed_by_asking(inbox: Inbox, script: Script) -> None:
    reading = asyncio.create_task(messages(inbox, 3))
    await script.connected(1)
    script.history["g"] = [text(n, "g") for n in (5, 6, 7)]
    script.message(7, "g")
    assert await reading == [5, 6, 7]


async def test_a_gap_that_may_not_be_seen_any_more_is_left(inbox: Inbox, script: Script) -> None:
    reading = asyncio.create_task(messages(inbox, 2))
    await script.connected(1)
    script.message(9, "gone")
    script.message(1)
    script.message(2)
    assert await reading == [1, 2]


async def test_a_deletion_is_told_of_what_was_taken_in_and_of_nothing_else(inbox: Inbox, script: Script) -> None:
    reading = asyncio.create_task(take(inbox, 4))
    await script.connected(1)
    for sequence in (2, 1):
        deletion = messaging.MessageDeletion(conversation_id=C, sequence=sequence, change_sequence=5 - sequence)
        script.message(1)
        script.frame(inbox=True, inbox_event=messaging.InboxEvent(deletion=deletion))
    script.message(2)
    assert (await reading)[1:] == [MessageReceived(text(1)), MessageDeleted(C, 1, 4), MessageReceived(text(2))]


async def test_presence_and_read_cursors_are_shown(inbox: Inbox, script: Script, gateway: FakeGateway) -> None:
    reading = asyncio.create_task(take(inbox, 4))
    await script.connected(1)
    script.frame(presence=presence.Presence(user_id="u", online=True))
    script.frame(presence_ended=gateway_pb.PresenceEnded(user_id="u"))
    moved = messaging.ReadCursorMove(conversation_id=C, read_sequence=2)
    script.frame(inbox=True, inbox_event=messaging.InboxEvent(read_cursor=moved))
    assert (await reading)[1:] == [PresenceChanged("u", True, 0), PresenceEnded("u"), ReadCursorMoved(C, 2)]


async def test_presence_interests_hold_over_reconnections(inbox: Inbox, script: Script, gateway: FakeGateway) -> None:
    reading = asyncio.create_task(take(inbox, 3))
    await script.connected(1)
    interest = PresenceInterest(conversation_id=C, user_id="u")
    await eventually(lambda: bool(inbox._subscription_id))
    await inbox.set_presence_interests([interest])
    gateway.streams[-1].put_nowait(None)
    await script.connected(2)
    await reading
    assert list(gateway.subscriptions[1].presence_interests) == [interest]
    assert len(gateway.sent("SetPresenceInterests")) == 1


async def test_a_reader_that_gives_up_waiting_loses_nothing(inbox: Inbox, script: Script) -> None:
    impatient = asyncio.create_task(take(inbox, 2))
    await script.connected(1)
    await eventually(lambda: bool(inbox._subscription_id))
    impatient.cancel()
    await asyncio.wait([impatient])
    script.message(1)
    assert await messages(inbox, 1) == [1]


async def test_what_was_shown_last_before_closing_is_not_shown_again(gateway: FakeGateway, tmp_path: Path) -> None:
    script = Script(gateway)
    state = StateStore(tmp_path)
    await state.open_session(session())
    async with Client(gateway.address, state) as client, client.inbox() as inbox:
        reading = asyncio.create_task(messages(inbox, 1))
        await script.connected(1)
        script.message(1)
        assert await reading == [1]
    async with Client(gateway.address, StateStore(tmp_path)) as client, client.inbox() as inbox:
        reading = asyncio.create_task(messages(inbox, 1))
        await script.connected(2)
        script.message(1)
        script.message(2)
        assert await reading == [2]


async def test_what_came_while_closing_and_was_not_taken_is_shown_next_time(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    script = Script(gateway)
    state = StateStore(tmp_path)
    await state.open_session(session())
    async with Client(gateway.address, state) as client:
        inbox = client.inbox()
        reading = asyncio.create_task(take(inbox, 1))
        await script.connected(1)
        await reading
        impatient = asyncio.create_task(take(inbox, 1))
        await eventually(lambda: inbox._next is not None)
        impatient.cancel()
        await asyncio.wait([impatient])
        script.message(1)
        await eventually(lambda: inbox._next is not None and inbox._next.done())
        await inbox.aclose()
    async with Client(gateway.address, StateStore(tmp_path)) as client, client.inbox() as inbox:
        reading = asyncio.create_task(messages(inbox, 1))
        await script.connected(2)
        script.message(1)
        assert await reading == [1]


async def test_a_reset_that_was_half_shown_when_closing_is_shown_to_its_end_next_time(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    script = Script(gateway)
    script.history |= {C: [text(n) for n in range(1, 4)], "d": [text(1, "d")]}
    rows = [
        messaging.InboxRow(conversation_id=C, head_sequence=3, read_sequence=1, first_visible_sequence=1),
        messaging.InboxRow(conversation_id="d", head_sequence=1, first_visible_sequence=1),
    ]
    state = StateStore(tmp_path)
    await state.open_session(session())
    async with Client(gateway.address, state) as client, client.inbox() as inbox:
        reading = asyncio.create_task(messages(inbox, 1))
        await script.connected(1)
        script.frame(inbox=True, reset=messaging.InboxSnapshot(rows=rows))
        assert await reading == [2]
    async with Client(gateway.address, StateStore(tmp_path)) as client, client.inbox() as inbox:
        reading = asyncio.create_task(take(inbox, 4))
        await script.connected(2)
        assert not gateway.subscriptions[1].HasField("cursor"), "it would be taken for the whole reset"
        script.frame(inbox=True, reset=messaging.InboxSnapshot(rows=rows))
        shown = [update.message for update in await reading if isinstance(update, MessageReceived)]
        assert shown == [text(3), text(1, "d")]
