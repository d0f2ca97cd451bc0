import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from chapar_chassis.interceptors import GuardInterceptor
from chapar_chassis.owner_server import make_refusals
from chapar_chassis.refusals import CallEnded, CallRefused, CallStatus
from chapar_chassis.rpc_server import RpcServer
from chapar_chassis.settings import Address
from chapar_chassis.telemetry import Metrics, make_logger
from chapar_chassis.tracing import EdgeSampler, Tracing, current_trace_parent

from .rig import PATIENCE_SECONDS, Failed, eventually, failed

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Hotel:
    """A server whose methods misbehave each in its way."""

    def __init__(self) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.output = io.StringIO()
        log = make_logger("toy", "info", self.output)
        self.spans = InMemorySpanExporter()
        tracing = Tracing("toy", EdgeSampler(1_000), SimpleSpanProcessor(self.spans))
        guard = GuardInterceptor(make_refusals("toy", None, self.metrics, log), self.metrics, tracing, log)
        self.server = RpcServer([guard])
        single: Any = {name: grpc.unary_unary_rpc_method_handler(getattr(self, name)) for name in SINGLE}
        streams: Any = {name: grpc.unary_stream_rpc_method_handler(getattr(self, name)) for name in STREAMS}
        self.server.add_handlers([grpc.method_handlers_generic_handler("hotel.Hotel", {**single, **streams})])
        self.entered = asyncio.Event()
        self.left = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    async def refuse(self, request: bytes, context: Any) -> bytes:
        raise CallRefused("REASON_OVERLOADED", {"why": "full"})

    async def pass_on(self, request: bytes, context: Any) -> bytes:
        raise CallEnded(CallStatus(grpc.StatusCode.ABORTED, "REASON_X", b""), [("chapar-position-bin", b"1")])

    async def abort(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.DATA_LOSS, "said so")
        raise AssertionError("abort raises")

    async def trace(self, request: bytes, context: Any) -> bytes:
        return current_trace_parent().encode()

    async def wait(self, request: bytes, context: Any) -> bytes:
        self.task = asyncio.current_task()
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
        return b""

    async def count(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(3):
            yield str(number).encode()

    async def stumble(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        raise KeyError("swordfish")

    async def stay(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.task = asyncio.current_task()
        try:
            yield b"one"
            self.entered.set()
            await asyncio.Event().wait()
        finally:
            self.left.set()


SINGLE = ("refuse", "pass_on", "abort", "trace", "wait")
STREAMS = ("count", "stumble", "stay")


class Guest:
    """A client of the hotel."""

    def __init__(self, hotel: Hotel, channel: grpc.aio.Channel) -> None:
        self.hotel = hotel
        self._channel = channel

    def begin(self, method: str, **options: Any) -> Any:
        """Begins a call."""
        kind: Any = self._channel.unary_stream if method in STREAMS else self._channel.unary_unary
        return kind(f"/hotel.Hotel/{method}")(b"", **{"timeout": PATIENCE_SECONDS, **options})

    async def call(self, method: str, **options: Any) -> Any:
        """A whole call: the reply, all replies of a stream and how it failed."""
        replies: list[Any] = []
        call = self.begin(method, **options)
        try:
            if method not in STREAMS:
                return await call
            async for reply in call:
                replies.append(reply)
        except grpc.aio.AioRpcError as error:
            replies.append(failed(error))
        return replies if method in STREAMS else replies[0]


@pytest.fixture
async def guest() -> AsyncIterator[Guest]:
    hotel = Hotel()
    address = hotel.server.bind(Address("127.0.0.1", 0))
    await hotel.server.start()
    async with grpc.aio.insecure_channel(str(address)) as channel:
        yield Guest(hotel, channel)
    await hotel.server.stop(0, turn_away_seconds=0)


async def test_a_refusal_raised_anywhere_becomes_its_status(guest: Guest) -> None:
    outcome = await guest.call("refuse")
    assert (outcome.code, outcome.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "REASON_OVERLOADED")
    assert outcome.detail == {"why": "full"}


async def test_a_status_made_elsewhere_leaves_with_its_metadata(guest: Guest) -> None:
    outcome = await guest.call("pass_on")
    assert outcome.code is grpc.StatusCode.ABORTED
    assert "chapar-position-bin" in outcome.text


async def test_an_abort_that_was_awaited_stands(guest: Guest) -> None:
    assert (await guest.call("abort")).code is grpc.StatusCode.DATA_LOSS


async def test_a_call_goes_on_in_the_callers_trace(guest: Guest) -> None:
    traced = await guest.call("trace", metadata=(("traceparent", PARENT),))
    assert traced.decode().split("-")[1] == PARENT.split("-")[1]


@pytest.mark.parametrize(
    ("method", "status"), [("trace", "OK"), ("refuse", "RESOURCE_EXHAUSTED"), ("abort", "DATA_LOSS")]
)
async def test_a_traced_call_says_how_it_ended(guest: Guest, method: str, status: str) -> None:
    await guest.call(method)
    await eventually(lambda: len(guest.hotel.spans.get_finished_spans()) == 1)
    (span,) = guest.hotel.spans.get_finished_spans()
    assert (span.name, span.attributes) == (f"hotel.Hotel/{method}", {"chapar.status": status})


async def test_streams_are_not_traced(guest: Guest) -> None:
    await guest.call("count")
    await guest.call("trace")
    await eventually(lambda: len(guest.hotel.spans.get_finished_spans()) == 1)
    assert [span.name for span in guest.hotel.spans.get_finished_spans()] == ["hotel.Hotel/trace"]


async def test_a_stream_passes_and_ends(guest: Guest) -> None:
    assert await guest.call("count") == [b"0", b"1", b"2"]


async def test_a_stream_that_stumbles_ends_without_telling_why(guest: Guest) -> None:
    first, outcome = await guest.call("stumble")
    assert first == b"one"
    assert (outcome.code, outcome.reason) == (grpc.StatusCode.INTERNAL, "REASON_INTERNAL")
    assert "swordfish" not in outcome.text + guest.hotel.output.getvalue()
    assert guest.hotel.metrics.registry.get_sample_value("chapar_incidents_total") == 1


@pytest.mark.parametrize("method", ["wait", "stay"])
async def test_a_cancellation_that_we_caused_becomes_a_status(guest: Guest, method: str) -> None:
    calling = asyncio.create_task(guest.call(method))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await guest.hotel.entered.wait()
        assert guest.hotel.task is not None
        guest.hotel.task.cancel()
        outcome = await calling
    last = outcome[-1] if isinstance(outcome, list) else outcome
    assert isinstance(last, Failed)
    assert (last.code, last.reason) == (grpc.StatusCode.UNAVAILABLE, "REASON_UNAVAILABLE")


@pytest.mark.parametrize("method", ["wait", "stay"])
async def test_a_call_that_its_client_gave_up_is_ended_and_counted(guest: Guest, method: str) -> None:
    call = guest.begin(method)
    async with asyncio.timeout(PATIENCE_SECONDS):
        if method == "stay":
            assert await call.read() == b"one"
        await guest.hotel.entered.wait()
        call.cancel()
        await guest.hotel.left.wait()
    labels = {"rpc": f"/hotel.Hotel/{method}", "code": "CANCELLED"}
    await eventually(lambda: guest.hotel.metrics.registry.get_sample_value("chapar_rpc_seconds_count", labels) == 1)
