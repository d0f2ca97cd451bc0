"""Requests that do not come: others are served, and nothing is held for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc

from .rig import SUBSCRIBE, Rig, reason_of, running, until

CONFIG = "/chapar.gateway.v1.GatewayService/GetConfig"
HEALTH = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"


async def nothing() -> AsyncIterator[bytes]:
    """A body that never comes."""
    await asyncio.Event().wait()
    yield b""


async def empty() -> AsyncIterator[bytes]:
    """The end of a body that never began."""
    return
    yield b""


def begin(rig: Rig, method: str, body: AsyncIterator[bytes] | None = None) -> Any:
    """A call whose headers arrive before its body."""
    channel: Any = rig.public
    return channel.stream_unary(method)(body or nothing(), metadata=tuple(rig.session()))


async def ended(call: Any) -> tuple[str, grpc.StatusCode]:
    try:
        await asyncio.wait_for(call, 20)
    except grpc.aio.AioRpcError as error:
        return reason_of(error), error.code()
    raise AssertionError("the call succeeded")


async def test_a_request_that_never_comes_is_given_up() -> None:
    async with running(body_ms=300) as rig:
        for method in (CONFIG, SUBSCRIBE, HEALTH, HEALTH_WATCH):
            assert await ended(begin(rig, method)) == (
                "REASON_DEADLINE_PASSED",
                grpc.StatusCode.DEADLINE_EXCEEDED,
            ), method


async def test_a_call_that_ends_without_a_request_is_malformed() -> None:
    async with running() as rig:
        outcome = await ended(begin(rig, CONFIG, empty()))
        assert outcome == ("REASON_REQUEST_MALFORMED", grpc.StatusCode.INVALID_ARGUMENT)


async def test_when_too_many_requests_are_waited_for_the_oldest_is_given_up_and_newer_calls_are_served() -> None:
    async with running(bodies_max=3) as rig:
        waiting = []
        for count in range(1, 4):
            waiting.append(asyncio.ensure_future(ended(begin(rig, CONFIG))))
            await until(partial(runs, rig, count))
        await rig.call(CONFIG)
        assert await waiting[0] == ("REASON_OVERLOADED", grpc.StatusCode.RESOURCE_EXHAUSTED)
        await rig.call(CONFIG)
        assert not waiting[1].done()
        for call in waiting:
            call.cancel()


def runs(rig: Rig, calls: int) -> bool:
    return rig.gateway._outside.metrics.registry.get_sample_value("chapar_rpc_running", {"rpc": CONFIG}) == calls
