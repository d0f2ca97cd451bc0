"""The way of a call through the gateway: authenticate, admit, find its partition, forward its bytes.

The same few steps for every method of the table; what is special about a method stands in its descriptor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from chapar.options.v1 import options_pb2 as options
from chapar_chassis import peers
from chapar_chassis.callers import timeout_ms_of
from chapar_chassis.forwarder import Forwarder, ForwardFailed, Metadata
from chapar_chassis.interceptors import end_call, metadata_of
from chapar_chassis.position_tokens import POSITION_KEY
from chapar_chassis.refusals import (
    KEY_INVALID,
    METHOD_UNKNOWN,
    OVERLOADED,
    REQUEST_MALFORMED,
    RETRY_DETAIL,
    CallEnded,
    CallRefused,
    Refusals,
)
from chapar_chassis.routing import MethodRoute, Place, place_of
from chapar_chassis.tokens import AccessToken, bearer_token
from chapar_gateway.admission import Admission
from chapar_gateway.operators import Operators
from chapar_gateway.sessions import Sessions
from chapar_gateway.subscription import ClientGone

BACK_KEYS = (POSITION_KEY, peers.REPLAYED_KEY, peers.ERASED_KEY)
"""The only metadata of ours that clients get."""
POSITIONS_MAX = 16
GONE_SECONDS = 5.0
"""How long a call whose client has gone waits for its cancellation at most."""
RETRY_MS = 250
"""A refused call comes back after this at the earliest, and after three times this at the latest."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who calls, once that is established. All empty for a call that needs nobody."""

    token: AccessToken | None = None
    operator: str = ""

    @property
    def user_id(self) -> str:
        """Empty unless a session calls."""
        return self.token.user_id if self.token else ""

    @property
    def metadata(self) -> Sequence[tuple[str, str]]:
        """As owners are told."""
        if self.token:
            return ((peers.USER_KEY, self.token.user_id), (peers.SESSION_KEY, self.token.session_id))
        return ((peers.OPERATOR_KEY, self.operator),) if self.operator else ()


class LocalMethods(Protocol):
    """What the gateway answers by itself."""

    async def answer(self, route: MethodRoute, request: Message, token: AccessToken | None) -> Message:
        """A unary method's response. Raises `CallRefused`."""

    async def stream(
        self, route: MethodRoute, request: Message, token: AccessToken | None, write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Writes a streaming method's responses, serialised. Raises `CallRefused` and what `write` raises."""


class Calls:
    """Serves the methods of one listener."""

    def __init__(
        self,
        table: Mapping[str, MethodRoute],
        *,
        sessions: Sessions,
        operators: Operators,
        admission: Admission,
        forwarder: Forwarder,
        local: LocalMethods,
        partitions: int,
        random: Callable[[], float],
    ) -> None:
        self._random = random
        self._table = table
        self._sessions = sessions
        self._operators = operators
        self._admission = admission
        self._forwarder = forwarder
        self._local = local
        self._partitions = partitions

    def handler(self) -> grpc.GenericRpcHandler:
        """Serves all methods of the table on their raw bytes."""
        return _Handler({name: self._method_handler(route) for name, route in self._table.items()})

    def _method_handler(self, route: MethodRoute) -> Any:
        async def unary(request: bytes, context: Any) -> bytes:
            return await self._unary(route, request, context)

        async def stream(request: bytes, context: Any) -> None:
            async def write(response: bytes) -> None:
                try:
                    await context.write(response)
                except grpc.aio.BaseError:
                    raise ClientGone from None

            who = self._authenticate(route, context)
            try:
                await self._local.stream(route, _parsed(route, request), who.token, write)
            except ClientGone:
                # gRPC is about to cancel this call; to answer it now would be an error.
                await asyncio.sleep(GONE_SECONDS)

        if route.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    async def _unary(self, route: MethodRoute, request: bytes, context: Any) -> bytes:
        who = self._authenticate(route, context)
        if not self._admission.admits(route.option.priority):
            retry_ms = RETRY_MS + int(2 * RETRY_MS * self._random())
            raise CallRefused(OVERLOADED, {RETRY_DETAIL: str(retry_ms)})
        with self._admission.counted():
            if route.local:
                response = await self._local.answer(route, _parsed(route, request), who.token)
                return response.SerializeToString()
            return await self._forward(route, request, who, context)

    def _authenticate(self, route: MethodRoute, context: Any) -> Who:
        if route.audience == options.AUDIENCE_PUBLIC:
            return Who()
        token = bearer_token(str(metadata_of(context).get("authorization", "")))
        if route.audience == options.AUDIENCE_SESSION:
            return Who(token=self._sessions.authenticate(token, route))
        return Who(operator=self._operators.authenticate(token, route.full_method))

    async def _forward(self, route: MethodRoute, request: bytes, who: Who, context: Any) -> bytes:
        place = self._place(route, request, who)
        positions = _only((POSITION_KEY,), context.invocation_metadata())
        metadata = [(peers.KEY_KEY, place.key), *who.metadata, *positions]
        try:
            forwarded = await self._forwarder.unary(
                route.service,
                place.partition,
                route.full_method,
                request,
                metadata=metadata,
                timeout_ms=timeout_ms_of(context),
            )
        except ForwardFailed as failure:
            raise CallEnded(failure.status, _only(BACK_KEYS, failure.trailing)) from None
        context.set_trailing_metadata(tuple(_only(BACK_KEYS, forwarded.trailing)))
        return forwarded.response

    def _place(self, route: MethodRoute, request: bytes, who: Who) -> Place:
        place = place_of(route, _parsed(route, request), who.user_id, self._partitions)
        if place is None:
            raise CallRefused(KEY_INVALID)
        return place


class _Handler(grpc.GenericRpcHandler):
    """Finds a method's handler by its full name."""

    def __init__(self, handlers: Mapping[str, Any]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


class UnknownMethods(grpc.aio.ServerInterceptor):
    """Answers what no handler serves with REASON_METHOD_UNKNOWN. Comes first: clients choose such names freely, so
    nothing behind it may count, log or keep them."""

    def __init__(self, refusals: Refusals) -> None:
        self._status = refusals.of_reason(METHOD_UNKNOWN)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)
        return grpc.stream_stream_rpc_method_handler(self._refuse) if handler is None else handler

    async def _refuse(self, _requests: Any, context: Any) -> None:
        await end_call(context, self._status)


def _parsed(route: MethodRoute, request: bytes) -> Message:
    parsed = route.parse(request)
    if parsed is None:
        raise CallRefused(REQUEST_MALFORMED)
    return parsed


def _only(keys: Collection[str], metadata: Any) -> Metadata:
    """Of some metadata, what may pass between clients and owners."""
    return [(key, value) for key, value in metadata or () if key in keys][:POSITIONS_MAX]
