"""The end of a gateway, and its bounds under load."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.options.v1 import options_pb2 as options
from chapar_gateway.admission import Admission

from .owners import WAIT_S, Received
from .rig import ARASH, Rig, running, until

SEND = "/chapar.messaging.v1.MessagingService/SendMessage"
LIST = "/chapar.messaging.v1.MessagingService/ListMessages"
WALLET = "/chapar.payments.v1.PaymentsService/GetWallet"
CHECK = "/grpc.health.v1.Health/Check"
REQUEST = messaging.SendMessageRequest(conversation_id="d.a.b").SerializeToString()
LISTING = messaging.ListMessagesRequest(conversation_id="d.a.b").SerializeToString()


class Held:
    """An owner's answer that waits for the test."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.waiting = 0

    async def answer(self, received: Received, _context: Any) -> bytes:
        self.waiting += 1
        await self.release.wait()
        return received.request


async def health(rig: Rig, name: str) -> int:
    reply = await rig.call(CHECK, health_pb2.HealthCheckRequest(service=name).SerializeToString())
    return int(health_pb2.HealthCheckResponse.FromString(reply).status)


async def test_a_gateway_is_live_at_once_and_ready_once_it_knows_the_revocations() -> None:
    async with running(loaded=False) as rig:
        assert await health(rig, "live") == health_pb2.HealthCheckResponse.SERVING
        assert await health(rig, "ready") == health_pb2.HealthCheckResponse.NOT_SERVING
        await rig.beat()
        await asyncio.wait_for(rig.ready.wait(), WAIT_S)
        assert await health(rig, "ready") == health_pb2.HealthCheckResponse.SERVING


async def test_a_drain_tells_streams_when_to_come_back_ends_them_well_and_finishes_calls() -> None:
    async with running(drain_window_ms=7_000) as rig:
        held = Held()
        rig.messaging.answers[SEND] = held.answer
        stream = rig.subscribe()
        await stream.next_of("hello")
        call = rig.begin(SEND, REQUEST, metadata=rig.session())
        await until(lambda: held.waiting == 1)
        rig.stopping.set()
        drain = await stream.next_of("drain")
        assert drain.drain.reconnect_window_ms == 7_000
        assert await health(rig, "ready") == health_pb2.HealthCheckResponse.NOT_SERVING
        late = rig.subscribe()
        assert await late.ended() == ("REASON_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE)
        assert await stream.ended() == ("", grpc.StatusCode.OK)
        held.release.set()
        assert await call == REQUEST


async def test_a_gateway_that_never_got_ready_can_be_stopped() -> None:
    async with running(loaded=False) as rig:
        rig.stopping.set()


async def test_beyond_its_room_a_gateway_refuses_with_a_time_to_come_back_money_last() -> None:
    async with running(calls_max=10) as rig:
        held = Held()
        rig.messaging.answers[SEND] = held.answer
        calls = [rig.begin(SEND, REQUEST, metadata=rig.session()) for _ in range(9)]
        await until(lambda: held.waiting == 9)
        overloaded = ("REASON_OVERLOADED", grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert await rig.refused(SEND, REQUEST, metadata=rig.session()) == overloaded
        assert await rig.refused(LIST, LISTING, metadata=rig.session()) == overloaded
        assert retry_delay_ms(await rig.begin(LIST, LISTING, metadata=rig.session()).trailing_metadata()) == 500
        await rig.call(WALLET, metadata=rig.session())
        held.release.set()
        assert await asyncio.gather(*calls) == [REQUEST] * 9
        await rig.call(LIST, LISTING, metadata=rig.session())


async def test_a_connection_has_a_hundred_calls_at_once_and_others_are_not_held_up() -> None:
    async with running() as rig:
        held = Held()
        rig.messaging.answers[SEND] = held.answer
        await rig.call(WALLET, metadata=rig.session())
        calls = [rig.begin(SEND, REQUEST, metadata=rig.session()) for _ in range(105)]
        await until(lambda: held.waiting == 100)
        async with rig.another_connection() as other:
            await other.unary_unary(LIST)(LISTING, metadata=tuple(rig.session()))
        assert held.waiting == 100
        held.release.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert results[:100] == [REQUEST] * 100
    # Those that waited in the client may be turned away while the server still closes the streams before them.
    refused = [result for result in results if result != REQUEST]
    assert all(isinstance(e, grpc.aio.AioRpcError) and e.code() == grpc.StatusCode.UNAVAILABLE for e in refused)


def retry_delay_ms(trailing: Any) -> int:
    info = error_details_pb2.RetryInfo()
    status = status_pb2.Status.FromString(dict(trailing)["grpc-status-details-bin"])
    assert any(detail.Unpack(info) for detail in status.details)
    return int(info.retry_delay.ToMilliseconds())


def test_lower_priorities_are_refused_first() -> None:
    admission = Admission(100)
    admitted = []
    for priority in (options.PRIORITY_P0, options.PRIORITY_P1, options.PRIORITY_P2, options.PRIORITY_P3,
                     options.PRIORITY_P4):  # fmt: skip
        calls = Admission(100)
        running_calls = []
        while calls.admits(priority):
            counted = calls.counted()
            counted.__enter__()
            running_calls.append(counted)
        admitted.append(len(running_calls))
    assert admitted == [100, 90, 75, 60, 50]
    with admission.counted():
        assert admission.calls == 1
    assert admission.calls == 0


async def test_calls_whose_clients_went_away_make_room() -> None:
    async with running(calls_max=10) as rig:
        held = Held()
        rig.messaging.answers[SEND] = held.answer
        calls = [rig.begin(SEND, REQUEST, metadata=rig.session()) for _ in range(9)]
        await until(lambda: held.waiting == 9)
        for call in calls:
            call.cancel()
        await until(lambda: rig.gateway._admission.calls == 0)
        held.release.set()
        assert await rig.call(SEND, REQUEST, metadata=rig.session(ARASH)) == REQUEST
