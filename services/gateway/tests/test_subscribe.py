"""Live delivery: Hello, the inbox with resume, reset and gap, presence in two steps, credit, and how streams end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest

from chapar.gateway.v1 import gateway_pb2 as api
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.presence.peer.v1 import peer_pb2 as leases
from chapar.presence.v1 import presence_pb2 as presence
from chapar_sourcing.partitions import partition_of

from .owners import Attach, Received
from .rig import ARASH, BAHAR, PARTITIONS, Rig, Stream, running, until

ACK = "/chapar.gateway.v1.GatewayService/Ack"
SET_INTERESTS = "/chapar.gateway.v1.GatewayService/SetPresenceInterests"
CHECK = "/chapar.presence.peer.v1.LeaseService/CheckMembership"
GROUP, OTHER_GROUP = "g.one", "g.two"


def text(n: int, body: str = "salām") -> bytes:
    message = messaging.Message(conversation_id=GROUP, sequence=n, text=body)
    return messaging.InboxEvent(message=message).SerializeToString()


def left(conversation_id: str) -> bytes:
    change = messaging.MembershipChange(conversation_id=conversation_id, member=False, change_sequence=3)
    return messaging.InboxEvent(membership=change).SerializeToString()


def snapshot(*heads: int) -> bytes:
    rows = [messaging.InboxRow(conversation_id=f"g.{n}", head_sequence=head) for n, head in enumerate(heads)]
    return messaging.InboxSnapshot(rows=rows).SerializeToString()


def online(user_id: str, now: bool = True) -> bytes:
    return presence.Presence(user_id=user_id, online=now).SerializeToString()


def resume_at(epoch: int, n: int) -> api.SubscribeRequest:
    return api.SubscribeRequest(cursor=api.InboxCursor(epoch=epoch, n=n))


def interest(user_id: str = BAHAR, conversation_id: str = GROUP) -> api.PresenceInterest:
    return api.PresenceInterest(conversation_id=conversation_id, user_id=user_id)


async def opened(rig: Rig, request: api.SubscribeRequest | None = None, **how: Any) -> tuple[Stream, Attach, str]:
    """A subscription past its Hello, the inbox watch behind it, and its id."""
    stream = rig.subscribe(request, **how)
    attach = await rig.messaging.attached()
    hello = await stream.next_of("hello")
    return stream, attach, hello.hello.subscription_id


async def acknowledge(rig: Rig, subscription_id: str, frame: int, **how: Any) -> None:
    request = api.AckRequest(subscription_id=subscription_id, frame=frame).SerializeToString()
    await rig.call(ACK, request, metadata=rig.session(**how))


def membership(member: bool) -> Any:
    async def answer(_received: Received, _context: Any) -> bytes:
        return leases.CheckMembershipResponse(member=member).SerializeToString()

    return answer


async def test_a_fresh_subscription_gets_hello_then_a_reset_then_events_in_order() -> None:
    async with running() as rig:
        stream, attach, _ = await opened(rig)
        assert not attach.request.HasField("cursor")
        assert (attach.request.key, attach.request.user_id, attach.request.basis) == (ARASH, ARASH, "")
        assert attach.request.partition == partition_of(ARASH, PARTITIONS)
        attach.send(3, 10, reset=snapshot(5, 6))
        for n in (11, 12):
            attach.send(3, n, hint=text(n))
        reset = await stream.next_of("reset")
        assert [row.head_sequence for row in reset.reset.rows] == [5, 6]
        assert (reset.frame, reset.cursor.epoch, reset.cursor.n) == (2, 3, 10)
        events = [await stream.next_of("inbox_event") for _ in range(2)]
        assert [(e.frame, e.cursor.n, e.inbox_event.message.sequence) for e in events] == [(3, 11, 11), (4, 12, 12)]


async def test_a_cursor_that_is_served_is_said_to_be_resumed() -> None:
    async with running() as rig:
        stream = rig.subscribe(resume_at(3, 10))
        attach = await rig.messaging.attached()
        assert (attach.request.cursor.epoch, attach.request.cursor.n) == (3, 10)
        attach.send(3, 11, hint=text(11))
        assert (await stream.next_of("hello")).hello.resumed
        assert (await stream.next_of("inbox_event")).cursor.n == 11


async def test_silence_after_a_cursor_counts_as_resumed() -> None:
    async with running() as rig:
        stream = rig.subscribe(resume_at(3, 10))
        assert (await stream.next_of("hello")).hello.resumed


async def test_a_cursor_that_cannot_be_served_is_reset() -> None:
    async with running() as rig:
        stream = rig.subscribe(resume_at(2, 99))
        (await rig.messaging.attached()).send(3, 4, reset=snapshot(1))
        assert not (await stream.next_of("hello")).hello.resumed
        assert (await stream.next_of("reset")).cursor.epoch == 3


async def test_after_its_owner_dies_a_subscription_goes_on_at_its_last_cursor_without_the_client_noticing() -> None:
    async with running() as rig:
        stream, first, _ = await opened(rig)
        first.send(3, 10, reset=snapshot(1))
        first.send(3, 11, hint=text(1))
        first.die()
        second = await rig.messaging.attached()
        assert (second.request.cursor.epoch, second.request.cursor.n) == (3, 11)
        second.send(3, 10, hint=text(99))
        second.send(4, 1, reset=snapshot(2))
        second.send(3, 12, hint=text(99))
        second.send(4, 2, hint=text(2))
        kinds = [(f.WhichOneof("kind"), f.cursor.epoch, f.cursor.n) for f in [await stream.next() for _ in range(5)]]
        assert kinds == [
            ("reset", 3, 10), ("inbox_event", 3, 11), ("inbox_event", 3, 10), ("reset", 4, 1), ("inbox_event", 4, 2),
        ]  # fmt: skip


async def test_an_owner_that_is_away_at_the_start_is_waited_for() -> None:
    async with running() as rig:
        await rig.messaging.stop()
        stream = rig.subscribe(resume_at(3, 10))
        assert not (await stream.next_of("hello")).hello.resumed
        await rig.messaging.start()
        await rig.announce("messaging", epoch=2)
        attach = await rig.messaging.attached()
        attach.send(4, 1, reset=snapshot(1))
        await stream.next_of("reset")


async def test_a_detached_inbox_is_attached_again() -> None:
    async with running() as rig:
        stream, first, _ = await opened(rig)
        first.send(3, 10, reset=snapshot(1))
        first.send(0, 0, detach="EPOCH_ENDED")
        second = await rig.messaging.attached()
        assert second.request.cursor.n == 10
        second.send(4, 1, gap=True)
        assert (await stream.next_of("reset")).cursor.n == 10
        assert (await stream.next_of("gap")).cursor.epoch == 4


async def test_a_client_that_does_not_acknowledge_gets_its_credit_then_one_gap_and_neighbours_notice_nothing() -> None:
    async with running() as rig:
        slow, slow_attach, slow_id = await opened(rig)
        quick, quick_attach, quick_id = await opened(rig, metadata=rig.session(BAHAR, "session-b"))
        for n in range(1, 301):
            slow_attach.send(1, n, hint=text(n))
        for n in range(1, 257):
            assert (await slow.next_of("inbox_event")).cursor.n == n
        for n in range(1, 601):
            quick_attach.send(1, n, hint=text(n))
            frame = await quick.next_of("inbox_event")
            assert frame.cursor.n == n
            if n % 100 == 0:
                request = api.AckRequest(subscription_id=quick_id, frame=frame.frame).SerializeToString()
                await rig.call(ACK, request, metadata=rig.session(BAHAR, "session-b"))
        await acknowledge(rig, slow_id, 100)
        gap = await slow.next_of("gap")
        assert gap.cursor.n == 300
        slow_attach.send(1, 301, hint=text(301))
        assert (await slow.next_of("inbox_event")).cursor.n == 301


async def test_a_client_that_stalls_is_ended_with_a_reason() -> None:
    async with running() as rig:
        stream, attach, _ = await opened(rig)
        for n in range(1, 258):
            attach.send(1, n, hint=text(n))
        for _ in range(256):
            await stream.next_of("inbox_event")
        await rig.clock.advance(29_999)
        await rig.beat()
        await rig.clock.advance(1)
        assert await stream.ended() == ("REASON_SUBSCRIPTION_STALLED", grpc.StatusCode.ABORTED)
        await asyncio.wait_for(attach.ended.wait(), 20)


async def test_a_client_that_does_not_even_read_holds_nothing_beyond_its_credit_and_is_ended() -> None:
    async with running() as rig:
        stream, attach, subscription_id = await opened(rig)
        for n in range(1, 101):
            attach.send(1, n, hint=text(n, "x" * 30_000))
        outbox = rig.gateway._subscriptions._by_id[subscription_id]._outbox
        await until(lambda: outbox.full)
        await rig.clock.advance(30_000)
        await rig.beat()
        await asyncio.wait_for(attach.ended.wait(), 20)
        await until(lambda: len(rig.gateway._subscriptions) == 0)
        assert await stream.ended() == ("REASON_SUBSCRIPTION_STALLED", grpc.StatusCode.ABORTED)


async def test_silence_is_filled_with_heartbeats() -> None:
    async with running() as rig:
        stream, _, _ = await opened(rig)
        for _ in range(3):
            await rig.clock.advance(15_000)
            await rig.beat()
            heartbeat = await stream.next_of("heartbeat")
            assert heartbeat.heartbeat.server_time_ms == rig.clock.now_ms()


async def test_a_revoked_session_s_streams_end_within_a_second() -> None:
    async with running() as rig:
        stream, attach, _ = await opened(rig)
        other, _, _ = await opened(rig, metadata=rig.session(session_id="session-2"))
        began = time.monotonic()
        await rig.revoke(ARASH, "session-1")
        assert await stream.ended() == ("REASON_SESSION_REVOKED", grpc.StatusCode.UNAUTHENTICATED)
        assert time.monotonic() - began < 1
        await asyncio.wait_for(attach.ended.wait(), 20)
        await rig.clock.advance(15_000)
        await other.next_of("heartbeat")


async def test_a_stream_ends_with_its_token() -> None:
    async with running() as rig:
        stream, _, _ = await opened(rig, metadata=rig.session(life_ms=10_000))
        await rig.clock.advance(10_000)
        assert await stream.ended() == ("REASON_TOKEN_EXPIRED", grpc.StatusCode.UNAUTHENTICATED)


async def test_a_stream_ends_when_revocations_have_been_unknown_for_a_minute() -> None:
    async with running() as rig:
        stream, _, _ = await opened(rig)
        await rig.clock.advance(60_001)
        assert await stream.ended() == ("REASON_REVOCATIONS_STALE", grpc.StatusCode.UNAVAILABLE)


async def test_a_user_has_five_streams_and_one_that_ends_makes_room() -> None:
    async with running() as rig:
        streams = [(await opened(rig))[0] for _ in range(5)]
        assert await rig.subscribe().ended() == ("REASON_TOO_MANY_STREAMS", grpc.StatusCode.RESOURCE_EXHAUSTED)
        await opened(rig, metadata=rig.session(BAHAR, "session-b"))
        streams[0].call.cancel()
        await until(lambda: len(rig.gateway._subscriptions) == 5)
        await opened(rig)


async def test_subscribing_needs_a_session() -> None:
    async with running() as rig:
        assert (await rig.subscribe(metadata=[]).ended())[0] == "REASON_TOKEN_MISSING"
        assert rig.messaging.attaches.empty()


async def test_only_the_session_of_a_subscription_may_acknowledge_it() -> None:
    async with running() as rig:
        _, _, subscription_id = await opened(rig)
        unknown = ("REASON_SUBSCRIPTION_UNKNOWN", grpc.StatusCode.NOT_FOUND)
        request = api.AckRequest(subscription_id=subscription_id, frame=1).SerializeToString()
        assert await rig.refused(ACK, request, metadata=rig.session(session_id="session-2")) == unknown
        assert await rig.refused(ACK, request, metadata=rig.session(BAHAR)) == unknown
        assert await rig.refused(ACK, metadata=rig.session()) == unknown
        await acknowledge(rig, subscription_id, 1)


async def test_presence_takes_two_steps_and_shows_what_its_owner_says() -> None:
    async with running() as rig:
        rig.presence.answers[CHECK] = membership(True)
        stream, _, _ = await opened(rig, api.SubscribeRequest(presence_interests=[interest()]))
        watch = await rig.presence.attached()
        check = leases.CheckMembershipRequest.FromString(
            next(received.request for received in rig.presence.received if received.method == CHECK)
        )
        assert (check.partition, check.user_id, check.conversation_id) == (
            partition_of(ARASH, PARTITIONS), ARASH, GROUP,
        )  # fmt: skip
        assert (watch.request.key, watch.request.user_id, watch.request.basis) == (BAHAR, ARASH, GROUP)
        assert watch.request.partition == partition_of(BAHAR, PARTITIONS)
        watch.send(1, 1, reset=online(BAHAR, False))
        watch.send(1, 2, hint=online(BAHAR, True))
        seen = [(await stream.next_of("presence")).presence.online for _ in range(2)]
        assert seen == [False, True]


async def test_presence_is_not_shown_to_whoever_is_not_in_the_conversation() -> None:
    async with running() as rig:
        rig.presence.answers[CHECK] = membership(False)
        stream, _, _ = await opened(rig, api.SubscribeRequest(presence_interests=[interest()]))
        assert (await stream.next_of("presence_ended")).presence_ended.user_id == BAHAR
        assert rig.presence.attaches.empty()


async def test_a_membership_that_presence_has_not_heard_of_yet_is_asked_for_again() -> None:
    async with running() as rig:
        rig.presence.answers[CHECK] = membership(False)
        stream, _, _ = await opened(rig, api.SubscribeRequest(presence_interests=[interest()]))
        await until(lambda: any(received.method == CHECK for received in rig.presence.received))
        rig.presence.answers[CHECK] = membership(True)
        (await rig.presence.attached()).send(1, 1, reset=online(BAHAR))
        assert (await stream.next_of("presence")).presence.online


async def test_presence_of_somebody_who_is_not_in_the_conversation_is_not_shown() -> None:
    async with running() as rig:
        rig.presence.answers[CHECK] = membership(True)
        rig.presence.refuses_watches = grpc.StatusCode.PERMISSION_DENIED
        stream, _, _ = await opened(rig, api.SubscribeRequest(presence_interests=[interest()]))
        assert (await stream.next_of("presence_ended")).presence_ended.user_id == BAHAR


async def test_presence_comes_back_after_its_owner_dies_and_ends_when_the_other_leaves() -> None:
    async with running() as rig:
        rig.presence.answers[CHECK] = membership(True)
        stream, _, _ = await opened(rig, api.SubscribeRequest(presence_interests=[interest()]))
        first = await rig.presence.attached()
        first.send(1, 1, reset=online(BAHAR))
        await stream.next_of("presence")
        first.die()
        second = await rig.presence.attached()
        second.send(2, 1, reset=online(BAHAR, False))
        assert not (await stream.next_of("presence")).presence.online
        rig.presence.refuses_watches = grpc.StatusCode.PERMISSION_DENIED
        second.send(0, 0, detach="MEMBERSHIP_ENDED")
        await stream.next_of("presence_ended")


async def test_leaving_a_conversation_ends_the_presence_that_rests_on_it() -> None:
    async with running() as rig:
        rig.presence.answers[CHECK] = membership(True)
        wanted = [interest(BAHAR, GROUP), interest("cyrus", OTHER_GROUP)]
        stream, inbox, _ = await opened(rig, api.SubscribeRequest(presence_interests=wanted))
        watches = {watch.request.key: watch for watch in [await rig.presence.attached() for _ in range(2)]}
        inbox.send(1, 1, hint=left(GROUP))
        frames = [await stream.next() for _ in range(2)]
        assert {frame.WhichOneof("kind") for frame in frames} == {"presence_ended", "inbox_event"}
        await asyncio.wait_for(watches[BAHAR].ended.wait(), 20)
        watches["cyrus"].send(1, 1, hint=online("cyrus"))
        assert (await stream.next_of("presence")).presence.user_id == "cyrus"


async def test_interests_can_be_replaced() -> None:
    async with running() as rig:
        rig.presence.answers[CHECK] = membership(True)
        stream, _, subscription_id = await opened(rig, api.SubscribeRequest(presence_interests=[interest()]))
        first = await rig.presence.attached()
        request = api.SetPresenceInterestsRequest(
            subscription_id=subscription_id, presence_interests=[interest("cyrus")]
        )
        await rig.call(SET_INTERESTS, request.SerializeToString(), metadata=rig.session())
        second = await rig.presence.attached()
        await asyncio.wait_for(first.ended.wait(), 20)
        second.send(1, 1, reset=online("cyrus"))
        assert (await stream.next_of("presence")).presence.user_id == "cyrus"


@pytest.mark.parametrize(
    ("interests", "reason"),
    [
        ([interest(f"u{n}") for n in range(201)], "REASON_TOO_MANY_INTERESTS"),
        ([interest("")], "REASON_KEY_INVALID"),
        ([interest("white space")], "REASON_KEY_INVALID"),
    ],
)
async def test_too_many_or_impossible_interests_are_refused(interests: list[api.PresenceInterest], reason: str) -> None:
    async with running() as rig:
        request = api.SubscribeRequest(presence_interests=interests)
        assert await rig.subscribe(request).ended() == (reason, grpc.StatusCode.INVALID_ARGUMENT)


async def test_when_memberships_may_have_been_missed_presence_is_authorised_anew() -> None:
    async with running() as rig:
        rig.presence.answers[CHECK] = membership(True)
        stream, inbox, _ = await opened(rig, api.SubscribeRequest(presence_interests=[interest()]))
        await rig.presence.attached()
        rig.presence.answers[CHECK] = membership(False)
        inbox.send(1, 1, gap=True)
        kinds = {(await stream.next()).WhichOneof("kind") for _ in range(2)}
        assert kinds == {"gap", "presence_ended"}


async def test_a_client_that_goes_leaves_nothing_behind() -> None:
    async with running() as rig:
        rig.presence.answers[CHECK] = membership(True)
        stream, inbox, _ = await opened(rig, api.SubscribeRequest(presence_interests=[interest()]))
        watch = await rig.presence.attached()
        stream.call.cancel()
        await asyncio.wait_for(inbox.ended.wait(), 20)
        await asyncio.wait_for(watch.ended.wait(), 20)
        await until(lambda: len(rig.gateway._subscriptions) == 0)
        assert rig.gateway._outside.metrics.registry.get_sample_value("chapar_subscriptions_open") == 0
