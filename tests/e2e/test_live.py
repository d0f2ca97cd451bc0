"""The live stream: resuming, resets, gaps for slow readers, limits, tokens that end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import grpc.aio

from chapar.gateway.v1 import gateway_pb2 as gateway
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_chassis.secrets import Secrets
from chapar_chassis.tokens import AccessTokenSigner
from chapar_client.demo import Stage
from chapar_client.sdk import Client, Connected, InboxReset, StateStore
from tests.e2e.kit import E2E, Status, bearer, listed, raw_call

pytestmark = E2E

SUBSCRIBE = "/chapar.gateway.v1.GatewayService/Subscribe"
Frame = gateway.SubscribeResponse


class RawStream:
    """A subscription without the SDK's care: no acknowledgements, no repair."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[bytes, Frame]) -> None:
        self._call = call

    async def until(self, wanted: Callable[[Frame], bool], *, timeout_s: float = 20) -> list[Frame]:
        """Reads up to and with the first frame that is wanted."""
        frames: list[Frame] = []
        async with asyncio.timeout(timeout_s):
            while not frames or not wanted(frames[-1]):
                frame = await self._call.read()
                assert isinstance(frame, Frame), f"the stream ended after {frames}"
                frames.append(frame)
        return frames

    async def end(self, *, timeout_s: float = 20) -> tuple[grpc.StatusCode, str]:
        """Reads until the stream ends; answers how."""
        async with asyncio.timeout(timeout_s):
            try:
                while await self._call.read() is not grpc.aio.EOF:
                    continue
            except grpc.aio.AioRpcError as error:
                return error.code(), error.details() or ""
        return Status.OK, ""


@asynccontextmanager
async def subscribed(
    stage: Stage, metadata: tuple[tuple[str, str], ...], cursor: gateway.InboxCursor | None = None
) -> AsyncIterator[RawStream]:
    async with grpc.aio.insecure_channel(stage.up.gateway_address) as channel:
        subscribe: grpc.aio.UnaryStreamMultiCallable[bytes, Frame]
        subscribe = channel.unary_stream(SUBSCRIBE, response_deserializer=Frame.FromString)
        call = subscribe(gateway.SubscribeRequest(cursor=cursor).SerializeToString(), metadata=metadata)
        yield RawStream(call)
        call.cancel()


def is_kind(kind: str) -> Callable[[Frame], bool]:
    return lambda frame: frame.WhichOneof("kind") == kind


async def test_limits_are_told_to_anybody(stage: Stage) -> None:
    outcome = await raw_call(stage.up.gateway_address, "/chapar.gateway.v1.GatewayService/GetConfig", b"")
    config = gateway.GetConfigResponse.FromString(outcome.answer)
    assert abs(config.server_time_ms - time.time() * 1000) < 5_000
    assert (config.limits.text_characters_max, config.limits.message_bytes_max) == (4_096, 256 * 1024)
    assert config.limits.transfer_rials_max == 10**12
    assert config.client_version_min


async def test_a_fresh_stream_says_hello_and_resets_and_numbers_its_frames(stage: Stage) -> None:
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    await one.say(one.with_(other), "سلام")
    await listed(one, one.with_(other), 1)
    async with subscribed(stage, await bearer(one)) as stream:
        frames = await stream.until(is_kind("reset"))
        assert [frame.frame for frame in frames] == list(range(1, len(frames) + 1))
        assert frames[0].hello.subscription_id
        assert not frames[0].hello.resumed
        assert [row.conversation_id for row in frames[-1].reset.rows] == [one.with_(other)]
        await other.say(one.with_(other), "زنده")
        event = (await stream.until(lambda frame: frame.inbox_event.message.sequence == 2))[-1]
        assert event.inbox_event.message.text == "زنده"
        assert event.cursor.n > 0


async def test_a_cursor_is_resumed_without_a_reset(stage: Stage) -> None:
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    room = one.with_(other)
    async with subscribed(stage, await bearer(one)) as stream:
        await stream.until(is_kind("reset"))
        await other.say(room, "یک")
        cursor = (await stream.until(lambda frame: frame.inbox_event.message.sequence == 1))[-1].cursor
    await other.say(room, "دو")
    async with subscribed(stage, await bearer(one), cursor) as stream:
        frames = await stream.until(lambda frame: frame.inbox_event.message.sequence == 2)
        assert frames[0].hello.resumed
        assert not any(is_kind("reset")(frame) for frame in frames)


async def test_a_stale_or_impossible_cursor_gets_a_reset_never_silence(stage: Stage) -> None:
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    await other.say(one.with_(other), "سلام")
    await listed(one, one.with_(other), 1)
    for epoch, n in ((0, 1), (1, 10**15), (10**15, 1), (-1, -1)):
        async with subscribed(stage, await bearer(one), gateway.InboxCursor(epoch=epoch, n=n)) as stream:
            frames = await stream.until(is_kind("reset"))
            assert not frames[0].hello.resumed, (epoch, n)
            assert [row.head_sequence for row in frames[-1].reset.rows] == [1]


async def test_a_reader_that_does_not_acknowledge_gets_a_gap_and_others_notice_nothing(stage: Stage) -> None:
    slow, fast = await asyncio.gather(stage.person("کند"), stage.person("تند"))
    await fast.read_from_now()
    room = slow.with_(fast)
    async with subscribed(stage, await bearer(slow)) as stream:
        hello = (await stream.until(is_kind("reset")))[0].hello
        await asyncio.gather(*(fast.say(room, f"{number}") for number in range(300)))
        await fast.message(room, 300)
        # Where the owner or the gateway gets behind, the gap comes before all that may be shown without an Ack.
        shown = await stream.until(lambda frame: frame.frame >= 256 or is_kind("gap")(frame))
        seen = [frame.inbox_event.message.sequence for frame in shown if frame.inbox_event.HasField("message")]
        assert seen == list(range(1, len(seen) + 1))
        ack = gateway.AckRequest(subscription_id=hello.subscription_id, frame=shown[-1].frame)
        path = "/chapar.gateway.v1.GatewayService/Ack"
        done = await raw_call(stage.up.gateway_address, path, ack.SerializeToString(), await bearer(slow))
        assert done.status is Status.OK
        if not is_kind("gap")(shown[-1]):
            await stream.until(is_kind("gap"))
    assert len(fast.messages(room)) == 300


async def test_the_sdk_repairs_what_a_slow_reader_missed(stage: Stage) -> None:
    reader, writer = await asyncio.gather(stage.person("خواننده"), stage.person("نویسنده"))
    room = reader.with_(writer)
    async with reader.client.inbox() as inbox:
        updates = [await anext(inbox), await anext(inbox)]
        assert [type(update) for update in updates] == [Connected, InboxReset]
        await asyncio.gather(*(writer.say(room, f"{number}") for number in range(320)))
        seen: list[int] = []
        async with asyncio.timeout(60):
            async for update in inbox:
                if message := getattr(update, "message", None):
                    seen.append(message.sequence)
                    if message.sequence == 320:
                        break
    assert seen == list(range(1, 321))


async def test_a_profile_goes_on_where_its_last_process_ended(stage: Stage) -> None:
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    room = one.with_(other)
    await one.read_from_now()
    await other.say(room, "یک")
    await one.message(room, 1)
    await one.stop_reading()
    await other.say(room, "دو")
    again = Client(stage.up.gateway_address, StateStore(one.folder))
    async with again, again.inbox() as inbox, asyncio.timeout(20):
        updates = [update async for update in _up_to_message(inbox)]
    assert updates[0] == Connected(resumed=True)
    assert [update.message.text for update in updates if hasattr(update, "message")] == ["دو"]


async def _up_to_message(inbox: AsyncIterator[object]) -> AsyncIterator[object]:
    async for update in inbox:
        yield update
        if hasattr(update, "message"):
            return


async def test_a_user_has_so_many_streams_and_no_more(stage: Stage) -> None:
    person = await stage.person("x")
    metadata = await bearer(person)
    config = gateway.GetConfigResponse.FromString(
        (await raw_call(stage.up.gateway_address, "/chapar.gateway.v1.GatewayService/GetConfig", b"")).answer
    )
    streams = [subscribed(stage, metadata) for _ in range(config.limits.streams_max + 1)]
    opened = []
    try:
        for stream in streams[:-1]:
            opened.append(stream)
            await (await stream.__aenter__()).until(is_kind("hello"))
        async with streams[-1] as last:
            assert await last.end() == (Status.RESOURCE_EXHAUSTED, "REASON_TOO_MANY_STREAMS")
    finally:
        for stream in opened:
            await stream.__aexit__(None, None, None)


async def test_a_stream_ends_with_its_token(stage: Stage) -> None:
    person = await stage.person("x")
    session = await person.client.session()
    signer = AccessTokenSigner(Secrets(stage.data_dir / "secrets" / "identity").key("access_token.key"))
    token = signer.sign(session.user_id, session.session_id, issued_ms=int(time.time() * 1000), life_ms=1_500)
    async with subscribed(stage, (("authorization", f"Bearer {token}"),)) as stream:
        await stream.until(is_kind("hello"))
        assert await stream.end() == (Status.UNAUTHENTICATED, "REASON_TOKEN_EXPIRED")


async def test_more_presence_interests_than_allowed_are_refused(stage: Stage) -> None:
    person = await stage.person("x")
    interests = [gateway.PresenceInterest(conversation_id="c", user_id=f"{n}") for n in range(201)]
    async with subscribed(stage, await bearer(person)) as stream:
        hello = (await stream.until(is_kind("hello")))[0].hello
        request = gateway.SetPresenceInterestsRequest(
            subscription_id=hello.subscription_id, presence_interests=interests
        )
        outcome = await raw_call(
            stage.up.gateway_address,
            "/chapar.gateway.v1.GatewayService/SetPresenceInterests",
            request.SerializeToString(),
            await bearer(person),
        )
        assert (outcome.status, outcome.reason) == (Status.INVALID_ARGUMENT, "REASON_TOO_MANY_INTERESTS")


async def test_anothers_subscription_cannot_be_acknowledged(stage: Stage) -> None:
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    async with subscribed(stage, await bearer(one)) as stream:
        hello = (await stream.until(is_kind("hello")))[0].hello
        request = gateway.AckRequest(subscription_id=hello.subscription_id, frame=1).SerializeToString()
        path = "/chapar.gateway.v1.GatewayService/Ack"
        outcome = await raw_call(stage.up.gateway_address, path, request, await bearer(other))
        assert (outcome.status, outcome.reason) == (Status.NOT_FOUND, "REASON_SUBSCRIPTION_UNKNOWN")


async def test_live_and_history_show_the_same_message(stage: Stage) -> None:
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    await other.read_from_now()
    await one.say(one.with_(other), "یکی")
    live: messaging.Message = await other.message(one.with_(other), 1)
    told = await other.client.messaging.list_messages(one.with_(other))
    assert [message.SerializeToString() for message in told.messages] == [live.SerializeToString()]
