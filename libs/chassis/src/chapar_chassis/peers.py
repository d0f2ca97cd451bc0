"""How processes of one installation recognise each other, and what they say about a call beside its bytes.

That is a shared token, compared in constant time, and with mutual TLS (`tls`) the service that the caller's certificate
names. Everything but health checks and reflection demands both.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeAlias

import grpc

from chapar_chassis.refusals import PEER_NOT_ALLOWED, TOKEN_INVALID, TOKEN_MISSING, CallRefused
from chapar_chassis.tls import caller_names

PEER_TOKEN_KEY = "chapar-peer-token"  # nosec B105 # a metadata key
PARTITION_KEY = "chapar-partition"
KEY_KEY = "chapar-key"
USER_KEY = "chapar-user"
SESSION_KEY = "chapar-session"
OPERATOR_KEY = "chapar-operator"
TRACE_KEY = "traceparent"
REPLAYED_KEY = "chapar-replayed"
"""Trailing metadata of an answer that was given before: "1"."""
ERASED_KEY = "chapar-erased"
"""Trailing metadata of a first answer whose content was erased, so that nobody can compare requests any more: "1"."""

Allowed: TypeAlias = Callable[[str], Collection[str]]
"""The names in certificates that may call a method, given as "/package.Service/Method"."""

OPEN_PREFIX = "/grpc."
"""Health and reflection: no token."""


class PeerInterceptor(grpc.aio.ServerInterceptor):
    """Lets only processes of this installation in; stands behind `GuardInterceptor`, which makes the status."""

    def __init__(self, peer_token: str, allowed: Allowed | None = None) -> None:
        """`allowed` is None where processes have no certificates."""
        self._token = peer_token.encode()
        self._allowed = allowed

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(OPEN_PREFIX):
            return handler  # What there is not stays unknown: a stranger's name for it reaches no log and no metric.
        shown = dict(handler_call_details.invocation_metadata or ()).get(PEER_TOKEN_KEY, "")
        if not hmac.compare_digest(_bytes(shown), self._token):
            return _refusing(TOKEN_INVALID if shown else TOKEN_MISSING)
        if self._allowed is None:
            return handler
        return _for_allowed(handler, self._allowed(handler_call_details.method))


def _for_allowed(handler: Any, allowed: Collection[str]) -> Any:
    """The same handler behind a look at who calls, which the details of a call do not tell."""
    inner: Any = handler.unary_stream if handler.response_streaming else handler.unary_unary

    def behaviour(request: Any, context: Any) -> Any:
        if caller_names(context).isdisjoint(allowed):
            raise CallRefused(PEER_NOT_ALLOWED)
        return inner(request, context)

    make: Any = (
        grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
    )
    return make(behaviour, handler.request_deserializer, handler.response_serializer)


def _refusing(reason: str) -> Any:
    async def refuse(_request: bytes, _context: Any) -> bytes:
        raise CallRefused(reason)

    return grpc.unary_unary_rpc_method_handler(refuse)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
