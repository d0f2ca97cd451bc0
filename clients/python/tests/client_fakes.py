"""A gateway in the test's own process: the public protos over loopback, answers scripted by the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from chapar.gateway.v1 import gateway_pb2 as gateway
from chapar_client.sdk import Session
from chapar_client.sdk._methods import METHODS, Method

AN_HOUR_MS = 3_600_000


def session(**changes: object) -> Session:
    """A signed-in session, with some fields changed."""
    values = {
        "user_id": "u" * 26,
        "session_id": "session",
        "access_token": "access-1",
        "access_expire_time_ms": int(time.time() * 1000) + AN_HOUR_MS,
        "refresh_token": "s0000.refresh-1",
    }
    return Session(**(values | changes))  # type: ignore[arg-type]


Answer = Callable[[Any, dict[str, Any]], Awaitable[Message]]


class Refusal(Exception):
    """Ends a call as the chassis would."""

    def __init__(
        self,
        status: grpc.StatusCode,
        reason: str = "",
        *,
        domain: str = "gateway.chapar",
        retry_ms: int | None = None,
        **detail: str,
    ) -> None:
        super().__init__(reason)
        self.status = status
        details = []
        if reason:
            details.append(error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=detail))
        if retry_ms is not None:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(retry_ms)
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        packed = []
        for detail_message in details:
            item = any_pb2.Any()
            item.Pack(detail_message)
            packed.append(item)
        self.details = status_pb2.Status(code=status.value[0], message=reason, details=packed).SerializeToString()


class FakeGateway:
    """Answers by method name; records every request with its metadata and bytes."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, bytes, dict[str, Any]]] = []
        self.trailing: dict[str, bytes] = {}
        self.subscriptions: list[gateway.SubscribeRequest] = []
        self.streams: list[asyncio.Queue[gateway.SubscribeResponse | Refusal | None]] = []
        self.address = ""
        self._server = grpc.aio.server()

    async def start(self) -> None:
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        for stream in self.streams:
            stream.put_nowait(None)
        await self._server.stop(0)

    def sent(self, name: str) -> list[bytes]:
        """Bytes of all requests to a method."""
        return [content for method, content, _ in self.requests if method == name]

    def push(self, *frames: gateway.SubscribeResponse) -> None:
        """Sends frames on the newest subscription."""
        for frame in frames:
            self.streams[-1].put_nowait(frame)

    async def serve_unary(self, method: Method, content: bytes, context: grpc.aio.ServicerContext) -> bytes:
        name = method.path.rpartition("/")[2]
        metadata = dict(context.invocation_metadata() or ())
        self.requests.append((name, content, metadata))
        try:
            answer = await self.answers[name](method.request_type.FromString(content), metadata)
        except Refusal as refusal:
            await context.abort(refusal.status, "", (("grpc-status-details-bin", refusal.details),))
        if name in self.trailing:
            context.set_trailing_metadata((("chapar-position-bin", self.trailing[name]),))
        return answer.SerializeToString()

    async def serve_subscribe(self, content: bytes, context: grpc.aio.ServicerContext) -> None:
        self.requests.append(("Subscribe", content, dict(context.invocation_metadata() or ())))
        self.subscriptions.append(gateway.SubscribeRequest.FromString(content))
        queue: asyncio.Queue[gateway.SubscribeResponse | Refusal | None] = asyncio.Queue()
        self.streams.append(queue)
        while (frame := await queue.get()) is not None:
            if isinstance(frame, Refusal):
                await context.abort(frame.status, "", (("grpc-status-details-bin", frame.details),))
            await context.write(frame.SerializeToString())


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, fake: FakeGateway) -> None:
        self._fake = fake

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = METHODS[details.method]
        if details.method.endswith("/Subscribe"):
            return grpc.unary_stream_rpc_method_handler(self._fake.serve_subscribe)

        async def unary(content: bytes, context: grpc.aio.ServicerContext) -> bytes:
            return await self._fake.serve_unary(method, content, context)

        return grpc.unary_unary_rpc_method_handler(unary)


async def eventually(condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another task
            await asyncio.sleep(0.005)
