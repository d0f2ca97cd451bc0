"""A gRPC server as every process of ours runs it: options, interceptors, health, the order of its end.

Health has three names: "live" (the process runs), "ready" and "" (it serves). At the end they say NOT_SERVING first,
so that callers turn away, then calls under way get a grace; `stop(grace)` alone would fail calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from chapar_chassis.settings import Address
from chapar_chassis.tls import PeerCertificate, ServerCertificate

MESSAGE_BYTES_MAX = 256 * 1024
PEER_MARGIN_BYTES = 4 * 1024 * 1024 - MESSAGE_BYTES_MAX
"""What batches between processes may have beyond a client's message."""
METADATA_BYTES_MAX = 16 * 1024
TURN_AWAY_SECONDS = 0.3
"""Between saying NOT_SERVING and refusing calls."""
HANDSHAKE_MS = 10_000
"""A connection that has not begun to speak HTTP/2 by then is closed."""
PING_MS_MIN = 5_000
PING_STRIKES_MAX = 5
"""So many pings may come sooner after the one before, with no answer between them."""
HEALTH_BYTES_MAX = 1024
HEALTH_STREAMS_MAX = 10
_HEALTH_NAMES = ("live", "ready", "")


def server_options(
    message_bytes_max: int, *, streams_max: int | None = None, handshake_ms: int = HANDSHAKE_MS
) -> Sequence[tuple[str, Any]]:
    """Options of a server that takes messages up to so many bytes.

    `streams_max` bounds the calls of one connection; those whose resets are not yet dealt with count, so that it bounds
    what rapid resets cost, too. Without it there is no bound: only between processes of ours, where a gateway has a
    watch for each of its sessions on one connection.
    """
    bounds = [] if streams_max is None else [("grpc.max_concurrent_streams", streams_max)]
    return [
        *bounds,
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", message_bytes_max),
        # By default a quarter more than the first is taken now and then: here more is refused, always.
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
        # Two minutes by default, in which a connection that says nothing costs its maker nothing.
        ("grpc.server_handshake_timeout_ms", handshake_ms),
        # Two processes on one port would share its connections and tell nobody.
        ("grpc.so_reuseport", 0),
        # Windows that grow with the speed of a connection let a client make a server hold megabytes a stream.
        ("grpc.http2.bdp_probe", 0),
        # Finds connections that ended without a word.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Clients may do the same, as often as gateways do; who pings more often is told so and closed.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_MS_MIN),
        ("grpc.http2.max_ping_strikes", PING_STRIKES_MAX),
    ]


OWNER_OPTIONS = server_options(MESSAGE_BYTES_MAX + PEER_MARGIN_BYTES)


class RpcServer:
    """One listener."""

    def __init__(
        self, interceptors: Sequence[grpc.aio.ServerInterceptor], options: Sequence[tuple[str, Any]] = OWNER_OPTIONS
    ) -> None:
        self.grpc = grpc.aio.server(interceptors=list(interceptors), options=list(options))
        self._before_stop: list[Callable[[], None]] = []
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        self._health_apart: grpc.aio.Server | None = None
        self.health_address: Address | None = None
        """Where health checks alone are answered, see `bind_health`."""

    def add_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Adds generic handlers; before `start`."""
        self.grpc.add_generic_rpc_handlers(tuple(handlers))

    def add_reflection(self, proto_services: Sequence[str]) -> None:
        """Lets anybody who can connect read the descriptors: development only."""
        names = (*proto_services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self.grpc)

    def bind(self, listen: Address, certificate: ServerCertificate | PeerCertificate | None = None) -> Address:
        """Takes the port and says which; without a certificate in the clear. Raises `OSError`."""
        return _bind(self.grpc, listen, None if certificate is None else certificate.credentials())

    def bind_health(self, listen: Address) -> None:
        """Has health checks answered here as well, in the clear, and nothing else. Raises `OSError`."""
        self._health_apart = grpc.aio.server(options=server_options(HEALTH_BYTES_MAX, streams_max=HEALTH_STREAMS_MAX))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_apart)
        self.health_address = _bind(self._health_apart, listen, None)

    async def start(self) -> None:
        """Serves from here on: live, not yet ready."""
        for name in _HEALTH_NAMES:
            await self._set_health(name, serving=name == "live")
        await self.grpc.start()
        if self._health_apart is not None:
            await self._health_apart.start()

    async def set_ready(self, ready: bool) -> None:
        """Says whether calls should come here."""
        await self._set_health("ready", serving=ready)
        await self._set_health("", serving=ready)

    def before_stop(self, end: Callable[[], None]) -> None:
        """Has `end` called before calls get their grace: it ends streams, which have no end of their own."""
        self._before_stop.append(end)

    async def turn_away(self, seconds: float = TURN_AWAY_SECONDS) -> None:
        """Says NOT_SERVING and gives callers a moment to turn away; calls are served all the same."""
        await self.set_ready(False)
        await asyncio.sleep(seconds)

    async def stop(self, grace_seconds: float, *, turn_away_seconds: float = TURN_AWAY_SECONDS) -> None:
        """Turns callers away, then lets calls under way end within the grace, then cuts what is left."""
        await self.turn_away(turn_away_seconds)
        for end in self._before_stop:
            end()
        await self.grpc.stop(grace_seconds)
        if self._health_apart is not None:
            await self._health_apart.stop(0)

    async def _set_health(self, name: str, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        await self._health.set(name, status)


def _bind(server: grpc.aio.Server, listen: Address, credentials: grpc.ServerCredentials | None) -> Address:
    try:
        if credentials is None:
            port = server.add_insecure_port(str(listen))
        else:
            port = server.add_secure_port(str(listen), credentials)
    except RuntimeError:
        port = 0
    if port == 0:
        raise OSError(
            f"cannot listen on {listen}: another process has this port, or this machine has not the address; end"
            " that process or choose another address"
        )
    return Address(listen.host, port)
