"""Thin server interceptors: every call is measured, logged, traced, and ends with a status.

`GuardInterceptor` wraps all handlers of a server. Within it: refusals and errors become statuses through `refusals`,
abort is awaited, and a cancellation that the client did not cause becomes UNAVAILABLE (left alone, the client would
wait for ever). Streams are not traced: they last for hours, and what comes on them belongs to other traces.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc

from chapar_chassis.refusals import UNAVAILABLE, CallEnded, CallStatus, Refusals
from chapar_chassis.telemetry import Metrics
from chapar_chassis.tracing import Tracing, within

QUIET_PREFIX = "/grpc."
"""Health checks and reflection: measured, not logged."""

_NAMES = {code.value[0]: code.name for code in grpc.StatusCode} | {code: code.name for code in grpc.StatusCode}
"""By number and by value: a context knows its code as either."""
_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class GuardInterceptor(grpc.aio.ServerInterceptor):
    """The only interceptor of a server, in front of all its handlers."""

    def __init__(self, refusals: Refusals, metrics: Metrics, tracing: Tracing, log: Any) -> None:
        self._refusals = refusals
        self._metrics = metrics
        self._tracing = tracing
        self._log = log
        self._streams: set[asyncio.Task[Any]] = set()

    def end_streams(self) -> None:
        """Ends all streams being served, which have no end of their own: their clients are told to come back."""
        for task in self._streams:
            task.cancel()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        return None if handler is None else self._wrapped(handler, handler_call_details.method)

    def _wrapped(self, handler: Any, method: str) -> Any:
        kind = _KINDS[2 * handler.request_streaming + handler.response_streaming]
        inner = getattr(handler, kind)
        make: Any = getattr(grpc, f"{kind}_rpc_method_handler")
        behaviour = self._stream(inner, method) if handler.response_streaming else self._single(inner, method)
        return make(behaviour, handler.request_deserializer, handler.response_serializer)

    def _single(self, inner: Any, method: str) -> Any:
        traced = not method.startswith(QUIET_PREFIX)

        async def serve(request: Any, context: Any) -> Any:
            span = self._tracing.call(method, context) if traced else None
            if span is None:
                async with self._guarded(method, context):
                    return await inner(request, context)
            try:
                with within(span):
                    async with self._guarded(method, context):
                        return await inner(request, context)
            finally:
                span.end_call(_code(context))

        return serve

    def _stream(self, inner: Any, method: str) -> Any:
        # Not a generator: one that waits for its reader when the call ends is closed late, by another task, whose
        # context never had the span.
        async def serve(request: Any, context: Any) -> None:
            async with self._guarded(method, context), self._as_stream():
                responses = inner(request, context)
                if not hasattr(responses, "__aiter__"):
                    await responses
                    return
                try:
                    async for response in responses:
                        await context.write(response)
                finally:
                    await responses.aclose()

        return serve

    @asynccontextmanager
    async def _as_stream(self) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None, "handlers run in tasks"
        self._streams.add(task)
        try:
            yield
        finally:
            self._streams.discard(task)

    @asynccontextmanager
    async def _guarded(self, method: str, context: Any) -> AsyncIterator[None]:
        started = time.monotonic()
        running = self._metrics.rpc_running.labels(method)
        running.inc()
        try:
            try:
                async with self._with_status(context):
                    yield
            finally:
                self._report(method, context, time.monotonic() - started)
        finally:
            running.dec()

    @asynccontextmanager
    async def _with_status(self, context: Any) -> AsyncIterator[None]:
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except asyncio.CancelledError:
            await self._end_cancelled(context)
            raise
        except Exception as error:
            trailing = tuple(error.trailing) if isinstance(error, CallEnded) else ()
            await end_call(context, self._refusals.of_error(error), trailing)

    async def _end_cancelled(self, context: Any) -> None:
        """Ends a call whose handler was cancelled; raises, unless the client is gone.

        A context does not know at this point whether its client cancelled or somebody here did. Trying tells: a status
        cannot be sent to a client that is gone.
        """
        try:
            await end_call(context, self._refusals.of_reason(UNAVAILABLE))
        except grpc.aio.AbortError:
            raise
        except Exception:
            context.set_code(grpc.StatusCode.CANCELLED)

    def _report(self, method: str, context: Any, seconds: float) -> None:
        code = _code(context)
        self._metrics.rpc_seconds.labels(method, code).observe(seconds)
        if not method.startswith(QUIET_PREFIX):
            # What went well is for those who look for it: at its rate a line each would cost more than the call.
            log = self._log.debug if code == "OK" else self._log.info
            log("call", rpc=method, status=code, duration_ms=round(seconds * 1000, 2))


def _code(context: Any) -> str:
    return _NAMES.get(context.code() or 0, "UNKNOWN")


async def end_call(context: Any, status: CallStatus, trailing: tuple[tuple[str, str | bytes], ...] = ()) -> None:
    """Ends a call with a status; raises, as `abort` does."""
    own = {key for key, _ in status.trailing}
    kept = tuple((key, value) for key, value in trailing if key not in own)
    await context.abort(status.code, status.message, (*kept, *status.trailing))


def metadata_of(context: Any) -> Mapping[str, Any]:
    """A call's metadata; of a repeated key the last value."""
    return dict(context.invocation_metadata() or ())
