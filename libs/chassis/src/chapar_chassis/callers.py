"""From a call's metadata and its request to a `Caller`: who asks, about which key, until when.

The gateway has established all of it; the owner checks again whatever it can: the audience, that the key is canonical,
and that the partition it was sent to is the key's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from chapar.options.v1 import options_pb2 as options
from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_chassis import peers
from chapar_chassis.api import Caller
from chapar_chassis.refusals import (
    DEADLINE_PASSED,
    KEY_INVALID,
    METHOD_UNKNOWN,
    NOT_OWNER,
    REQUEST_ID_INVALID,
    TOKEN_MISSING,
    CallRefused,
)
from chapar_chassis.routing import MethodRoute, Place, is_key, place_of
from chapar_chassis.tracing import current_trace_parent
from chapar_sourcing.requests import parse_request_id

DEFAULT_DEADLINE_MS = 10_000
DEADLINE_MS_MAX = 60_000


def caller_of(
    route: MethodRoute, request: Message, metadata: Mapping[str, Any], *, partitions: int, now_ms: int, timeout_ms: int
) -> Caller:
    """Who calls. `now_ms` is the owner's clock. Raises `CallRefused`."""
    user_id, session_id, operator = _identities(route, metadata)
    place = place_of(route, request, user_id, partitions)
    if place is None:
        raise CallRefused(KEY_INVALID)
    if metadata.get(peers.PARTITION_KEY, str(place.partition)) != str(place.partition):
        raise CallRefused(NOT_OWNER)
    return Caller(
        actor=_actor(route, user_id, operator, place),
        key=place.key,
        partition=place.partition,
        deadline_ms=now_ms + timeout_ms,
        now_ms=now_ms,
        user_id=user_id,
        session_id=session_id,
        operator=operator,
        request_id=_request_id(route, request),
        trace_parent=current_trace_parent(),
    )


def timeout_ms_of(context: Any) -> int:
    """How long a call may still take: 10 s when the client did not say, at most 60 s. Raises `CallRefused`."""
    remaining = context.time_remaining()
    if remaining is None:
        return DEFAULT_DEADLINE_MS
    if remaining <= 0:
        raise CallRefused(DEADLINE_PASSED)
    return max(1, min(int(remaining * 1000), DEADLINE_MS_MAX))


def _identities(route: MethodRoute, metadata: Mapping[str, Any]) -> tuple[str, str, str]:
    """User, session and operator, of those that the method's audience has."""
    match route.audience:
        case options.AUDIENCE_SESSION:
            user_id, session_id = _identity(metadata, peers.USER_KEY), _identity(metadata, peers.SESSION_KEY)
            if not user_id or not session_id:
                raise CallRefused(TOKEN_MISSING)
            return user_id, session_id, ""
        case options.AUDIENCE_OPERATOR:
            operator = _identity(metadata, peers.OPERATOR_KEY)
            if not operator:
                raise CallRefused(METHOD_UNKNOWN)
            return "", "", operator
        case options.AUDIENCE_PUBLIC:
            return "", "", ""
        case _:
            raise CallRefused(METHOD_UNKNOWN)


def _identity(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name, "")
    return value if isinstance(value, str) and is_key(value) else ""


def _actor(route: MethodRoute, user_id: str, operator: str, place: Place) -> journal.Actor:
    match route.audience:
        case options.AUDIENCE_SESSION:
            return journal.Actor(user=user_id)
        case options.AUDIENCE_OPERATOR:
            return journal.Actor(operator=operator)
        case _:
            return journal.Actor(anonymous=place.key)


def _request_id(route: MethodRoute, request: Message) -> bytes:
    if not route.mutating:
        return b""
    parsed = parse_request_id(getattr(request, "request_id", ""))
    if parsed is None:
        raise CallRefused(REQUEST_ID_INVALID)
    return parsed
