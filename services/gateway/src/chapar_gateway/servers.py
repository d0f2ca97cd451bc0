"""The two listeners, and how they end: turn away, say so on every stream, let calls finish, stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc

from chapar_chassis.rpc_server import MESSAGE_BYTES_MAX, TURN_AWAY_SECONDS, RpcServer, server_options
from chapar_gateway.calls import Calls
from chapar_gateway.subscriptions import Subscriptions

STREAMS_MAX = 100
"""Concurrent calls and streams of one connection."""


def make_server(calls: Calls, interceptors: Sequence[grpc.aio.ServerInterceptor]) -> RpcServer:
    """A listener for clients or for operators, ready to bind."""
    server = RpcServer(interceptors, server_options(MESSAGE_BYTES_MAX, streams_max=STREAMS_MAX))
    server.add_handlers([calls.handler()])
    return server


async def drain(
    servers: Sequence[RpcServer], subscriptions: Subscriptions, *, window_ms: int, grace_seconds: float
) -> None:
    """Ends the listeners without failing a call that could still finish."""
    for server in servers:
        await server.set_ready(False)
    subscriptions.drain(window_ms)
    await asyncio.sleep(TURN_AWAY_SECONDS)
    subscriptions.finish()
    await asyncio.gather(*(server.grpc.stop(grace_seconds) for server in servers))
