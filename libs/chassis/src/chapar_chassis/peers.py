"""How processes of one installation recognise each other, and what they say about a call beside its bytes.

Until the edge has mTLS that is a shared token, compared in constant time. Everything but health checks and reflection
demands it.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from chapar_chassis.refusals import TOKEN_INVALID, TOKEN_MISSING, CallRefused

PEER_TOKEN_KEY = "chapar-peer-token"  # noqa: S105 - a metadata key.
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

OPEN_PREFIX = "/grpc."
"""Health and reflection: no token."""


class PeerInterceptor(grpc.aio.ServerInterceptor):
    """Lets only processes of this installation in; stands behind `GuardInterceptor`, which makes the status."""

    def __init__(self, peer_token: str) -> None:
        self._token = peer_token.encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(OPEN_PREFIX):
            return handler  # What there is not stays unknown: a stranger's name for it reaches no log and no metric.
        shown = dict(handler_call_details.invocation_metadata or ()).get(PEER_TOKEN_KEY, "")
        if hmac.compare_digest(_bytes(shown), self._token):
            return handler
        return _refusing(TOKEN_INVALID if shown else TOKEN_MISSING)


def _refusing(reason: str) -> Any:
    async def refuse(_request: bytes, _context: Any) -> bytes:
        raise CallRefused(reason)

    return grpc.unary_unary_rpc_method_handler(refuse)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
