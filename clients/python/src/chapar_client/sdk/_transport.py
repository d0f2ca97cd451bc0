"""One try of one call over a gRPC channel. Knows nothing of retries, tokens or request ids."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio

from chapar_client.sdk._errors import InvalidInput
from chapar_client.sdk._methods import Method

Metadata = Sequence[tuple[str, str | bytes]]

_CHANNEL_OPTIONS = (
    ("grpc.http2.bdp_probe", 0),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


TLS_SCHEME = "tls://"
_TRACE_KEY = "traceparent"


class Transport:
    """A channel to a gateway, opened at the first call."""

    def __init__(self, address: str, ca: Path | None = None, trace_parent: Callable[[], str] = lambda: "") -> None:
        """`address` is "tls://host:port", or "host:port" for a gateway of this machine, in the clear.

        `ca` is a PEM file of the authorities that may have signed the gateway's certificate; without it those that
        gRPC comes with. `trace_parent` is asked at each try, see `Client`. Raises `InvalidInput`.
        """
        self.address = address
        self._trace_parent = trace_parent
        self._target = address.removeprefix(TLS_SCHEME)
        if self._target == address and not _is_here(address):
            raise InvalidInput(f"{address} is another machine: say {TLS_SCHEME}{address}, nothing is sent in the clear")
        self._roots = _read(ca) if ca is not None and self._target != address else None
        self._opened: grpc.aio.Channel | None = None

    async def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def connected(self, timeout_s: float) -> bool:
        """Waits until the gateway can be reached; whatever is called after False was never sent."""
        try:
            async with asyncio.timeout(max(timeout_s, 0)):
                await self._channel().channel_ready()
        except TimeoutError:
            return False
        return True

    async def unary(
        self, method: Method, content: bytes, metadata: Metadata, timeout_s: float
    ) -> tuple[bytes, Metadata]:
        """Answers with the response's bytes and the trailing metadata; raises `grpc.aio.AioRpcError`."""
        method_call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel().unary_unary(method.path)
        trace_parent = self._trace_parent()
        traced = ((_TRACE_KEY, trace_parent),) if trace_parent else ()
        call = method_call(content, timeout=timeout_s, metadata=(*metadata, *traced))
        answer = await call
        return answer, tuple(await call.trailing_metadata() or ())

    @asynccontextmanager
    async def stream(self, method: Method, content: bytes, metadata: Metadata) -> AsyncIterator[AsyncIterator[bytes]]:
        """A server stream of response bytes; leaving the block cancels it."""
        method_call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel().unary_stream(method.path)
        call = method_call(content, metadata=tuple(metadata))
        try:
            yield aiter(call)
        finally:
            call.cancel()

    def _channel(self) -> grpc.aio.Channel:
        if self._opened is None and self._target == self.address:
            self._opened = grpc.aio.insecure_channel(self._target, options=_CHANNEL_OPTIONS)
        elif self._opened is None:
            credentials = grpc.ssl_channel_credentials(self._roots)
            self._opened = grpc.aio.secure_channel(self._target, credentials, options=_CHANNEL_OPTIONS)
        return self._opened


def _is_here(address: str) -> bool:
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(ca: Path) -> bytes:
    try:
        return ca.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{ca} cannot be read ({type(error).__name__})") from None
