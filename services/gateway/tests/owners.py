"""Owners as tests script them: real gRPC servers that record what reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import status_pb2

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_chassis import peers

WATCH = "/chapar.sourcing.peer.v1.OwnerService/Watch"
PEER_TOKEN = "peer-token-of-the-test"
WAIT_S = 20


@dataclass(frozen=True)
class Received:
    """One call as an owner got it."""

    service: str
    method: str
    request: bytes
    metadata: Sequence[tuple[str, Any]]
    deadline_s: float | None

    def values(self, key: str) -> list[Any]:
        """All values of a metadata key."""
        return [value for name, value in self.metadata if name == key]


def status_details(code: grpc.StatusCode) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata as an owner sends it; what has none is taken for a failure of the transport."""
    return (("grpc-status-details-bin", status_pb2.Status(code=code.value[0]).SerializeToString()),)


class Attach:
    """One watch that a gateway holds open here."""

    def __init__(self, request: peer.WatchRequest) -> None:
        self.request = request
        self.ended = asyncio.Event()
        self._frames: asyncio.Queue[peer.WatchResponse | grpc.StatusCode] = asyncio.Queue()

    def send(self, epoch: int, n: int, **kind: Any) -> None:
        """Shows the gateway a frame."""
        self._frames.put_nowait(peer.WatchResponse(cursor=peer.WatchCursor(epoch=epoch, n=n), **kind))

    def die(self) -> None:
        """The owner goes."""
        self.refuse(grpc.StatusCode.UNAVAILABLE)

    def refuse(self, code: grpc.StatusCode) -> None:
        """Ends with a status."""
        self._frames.put_nowait(code)

    async def serve(self, context: Any) -> None:
        """Writes what the test sends."""
        try:
            while isinstance(frame := await self._frames.get(), peer.WatchResponse):
                await context.write(frame.SerializeToString())
            await context.abort(frame, "of the test", status_details(frame))
        finally:
            self.ended.set()


Answer = Callable[[Received, Any], Awaitable[bytes]]


@dataclass
class FakeOwner:
    """The one process of a service."""

    service: str
    received: list[Received] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    """By full method; everything else is answered with its own request."""
    refuses_watches: grpc.StatusCode | None = None
    """Ends every watch at once with this."""
    attaches: asyncio.Queue[Attach] = field(default_factory=asyncio.Queue)
    address: str = ""
    _server: Any = None

    async def start(self) -> None:
        """Listens on a free port."""
        owner = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, handler_call_details: Any) -> Any:
                if handler_call_details.method == WATCH:
                    return grpc.unary_stream_rpc_method_handler(owner._watch)
                return grpc.unary_unary_rpc_method_handler(owner._unary(handler_call_details.method))

        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((Handler(),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        """Ends at once."""
        await self._server.stop(None)

    async def attached(self) -> Attach:
        """The next watch that a gateway opens."""
        return await asyncio.wait_for(self.attaches.get(), WAIT_S)

    def _unary(self, method: str) -> Any:
        async def serve(request: bytes, context: Any) -> bytes:
            metadata = tuple(context.invocation_metadata())
            received = Received(self.service, method, request, metadata, context.time_remaining())
            assert received.values(peers.PEER_TOKEN_KEY) == [PEER_TOKEN]
            self.received.append(received)
            answer = self.answers.get(method)
            return request if answer is None else await answer(received, context)

        return serve

    async def _watch(self, request: bytes, context: Any) -> None:
        attach = Attach(peer.WatchRequest.FromString(request))
        if self.refuses_watches is not None:
            attach.refuse(self.refuses_watches)
            await attach.serve(context)
            return
        self.attaches.put_nowait(attach)
        await attach.serve(context)
