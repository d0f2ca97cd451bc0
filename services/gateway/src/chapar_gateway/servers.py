"""The two listeners, and how they end: turn away, say so on every stream, let calls finish, stop."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence

import grpc

from chapar_chassis.rpc_server import MESSAGE_BYTES_MAX, TURN_AWAY_SECONDS, RpcServer, server_options
from chapar_gateway.calls import Calls
from chapar_gateway.settings import GatewaySettings
from chapar_gateway.subscriptions import Subscriptions

STREAMS_MAX = 100
"""Concurrent calls and streams of one connection."""


FILES_RESERVED = 256
"""Open files that connections leave to everything else: owners, streams, logs."""


def make_server(
    calls: Calls, interceptors: Sequence[grpc.aio.ServerInterceptor], settings: GatewaySettings
) -> RpcServer:
    """A listener for clients or for operators, ready to bind."""
    connections = [
        ("grpc.max_connection_idle_ms", settings.connection_idle_ms),
        ("grpc.max_allowed_incoming_connections", connections_possible(settings.connections_max)),
    ]
    options = server_options(MESSAGE_BYTES_MAX, streams_max=STREAMS_MAX, handshake_ms=settings.handshake_ms)
    server = RpcServer(interceptors, [*options, *connections])
    server.add_handlers([calls.handler()])
    return server


def connections_possible(wanted: int) -> int:
    """How many connections a listener may take: as many as wanted, as far as the process may open files.

    Raises the process's own limit as far as it is allowed to: the usual 1,024 are what one idle client can take.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted if hard == resource.RLIM_INFINITY else max(1, min(wanted, hard - FILES_RESERVED))


async def drain(
    servers: Sequence[RpcServer], subscriptions: Subscriptions, *, window_ms: int, grace_seconds: float
) -> None:
    """Ends the listeners without failing a call that could still finish."""
    for server in servers:
        await server.set_ready(False)
    subscriptions.drain(window_ms)
    await asyncio.sleep(TURN_AWAY_SECONDS)
    subscriptions.finish()
    await asyncio.gather(*(server.stop(grace_seconds, turn_away_seconds=0) for server in servers))
