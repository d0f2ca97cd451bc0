"""How long and how many requests may be under way from clients before they are here whole.

A call begins with its headers; its body may come slowly or never, and what has come of it is held meanwhile. So each
body has a time, and only so many are waited for. When one more comes, the one waited for longest is given up: bodies of
honest clients arrive with their headers or a moment after them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from chapar_chassis.refusals import DEADLINE_PASSED, OVERLOADED, REQUEST_MALFORMED, CallRefused


class Bodies(grpc.aio.ServerInterceptor):
    """Reads the one request of each call that has one. Stands behind `GuardInterceptor`, which makes the status.

    gRPC would wait for it without end before it calls a handler; handlers are called at once and wait here.
    """

    def __init__(self, *, waiting_max: int, wait_ms: int) -> None:
        self._waiting_max = waiting_max
        self._wait_seconds = wait_ms / 1000
        self._waiting: dict[asyncio.Timeout, None] = {}
        """Oldest first."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """The same handler, called before its request is here."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._streaming(handler.unary_stream), handler.request_deserializer, handler.response_serializer
            )
        return grpc.stream_unary_rpc_method_handler(
            self._single(handler.unary_unary), handler.request_deserializer, handler.response_serializer
        )

    def _single(self, inner: Any) -> Any:
        async def serve(_requests: Any, context: Any) -> Any:
            return await inner(await self._read(context), context)

        return serve

    def _streaming(self, inner: Any) -> Any:
        async def serve(_requests: Any, context: Any) -> None:
            request = await self._read(context)
            responses = inner(request, context)
            if not hasattr(responses, "__aiter__"):
                await responses
                return
            async for response in responses:
                await context.write(response)

        return serve

    async def _read(self, context: Any) -> Any:
        evicted = False
        try:
            async with asyncio.timeout(self._wait_seconds) as limit:
                self._waiting[limit] = None
                self._make_room()
                try:
                    request = await context.read()
                finally:
                    evicted = self._waiting.pop(limit, limit) is limit
        except TimeoutError:
            raise CallRefused(OVERLOADED if evicted else DEADLINE_PASSED) from None
        if request is grpc.aio.EOF:
            raise CallRefused(REQUEST_MALFORMED)
        return request

    def _make_room(self) -> None:
        if len(self._waiting) > self._waiting_max:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
