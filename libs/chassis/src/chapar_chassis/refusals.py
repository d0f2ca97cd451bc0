"""The one place that maps refusals and errors to gRPC statuses.

Status codes come from the enum value option `chapar.options.v1.status` of each reason; `ErrorInfo` carries the
reason's name, its domain and a detail for programs; `RetryInfo` says when trying again may help. An error that nobody
expected becomes INTERNAL with a random incident id that the log knows too, and no text.
"""

from __future__ import annotations

import secrets as random_source
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from chapar.gateway.v1 import gateway_pb2
from chapar.options.v1 import options_pb2
from chapar_sourcing.domain import Refused
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.ports.errors import Unavailable
from chapar_sourcing.refusing import EngineRefused
from chapar_sourcing.watch import WatchRefused

ENGINE_DOMAIN = "gateway.chapar"
DETAILS_KEY = "grpc-status-details-bin"
RETRY_DETAIL = "retry_after_ms"
"""A refusal with this in its detail carries `RetryInfo` of so many milliseconds."""

METHOD_UNKNOWN = "REASON_METHOD_UNKNOWN"
TOKEN_MISSING = "REASON_TOKEN_MISSING"  # nosec B105 # a reason, not a password
TOKEN_INVALID = "REASON_TOKEN_INVALID"  # nosec B105 # a reason, not a password
REQUEST_MALFORMED = "REASON_REQUEST_MALFORMED"
REQUEST_ID_INVALID = "REASON_REQUEST_ID_INVALID"
NOT_OWNER = "REASON_NOT_OWNER"
OVERLOADED = "REASON_OVERLOADED"
OUTCOME_UNKNOWN = "REASON_OUTCOME_UNKNOWN"
UNAVAILABLE = "REASON_UNAVAILABLE"
LOG_DAMAGED = "REASON_LOG_DAMAGED"
DEADLINE_PASSED = "REASON_DEADLINE_PASSED"
KEY_INVALID = "REASON_KEY_INVALID"
REQUEST_ID_REUSED = "REASON_REQUEST_ID_REUSED"
ENTRY_TOO_LARGE = "REASON_ENTRY_TOO_LARGE"
WATCH_REFUSED = "REASON_WATCH_REFUSED"
PEER_NOT_ALLOWED = "REASON_PEER_NOT_ALLOWED"

_RETRY_AFTER_MS: Mapping[str, int] = {
    OVERLOADED: 250,
    NOT_OWNER: 50,
    OUTCOME_UNKNOWN: 250,
    UNAVAILABLE: 250,
    "REASON_REVOCATIONS_STALE": 500,
}
"""Engine reasons after which the same call may succeed, and how long to wait before it at least."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class CallStatus:
    """How a call ends that does not end well; complete and ready to leave the process."""

    code: grpc.StatusCode
    message: str
    """The reason's name; never an exception's text."""
    details: bytes
    """A serialised `google.rpc.Status`, for `grpc-status-details-bin`."""

    @property
    def trailing(self) -> tuple[tuple[str, bytes], ...]:
        """The trailing metadata that goes with it."""
        return ((DETAILS_KEY, self.details),) if self.details else ()


class CallRefused(Exception):
    """Ends the call it is raised in with a reason of the engine, the gateway or the service."""

    def __init__(self, reason: str, detail: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = dict(detail or {})


class CallEnded(Exception):
    """Ends the call it is raised in with a status that somebody else made, such as an owner behind the gateway."""

    def __init__(self, status: CallStatus, trailing: Sequence[tuple[str, str | bytes]] = ()) -> None:
        """`trailing` is metadata to send beside the status' own."""
        super().__init__(status.message)
        self.status = status
        self.trailing = trailing


class Refusals:
    """Maps what goes wrong in one service."""

    def __init__(self, service: str, reason_enum: Any, on_incident: Callable[[str, BaseException], None]) -> None:
        """`reason_enum` is the service's `Reason` wrapper, or None for the gateway and for peers.

        `on_incident` is told the incident id and the error behind every INTERNAL; it logs both.
        """
        self._on_incident = on_incident
        self._table = _statuses(gateway_pb2.Reason, ENGINE_DOMAIN)
        if reason_enum is not None:
            # A service's own reason comes first: the two enums may share a name.
            self._table |= _statuses(reason_enum, f"{service}.chapar")

    def of_reason(self, reason: str, detail: Mapping[str, str] | None = None) -> CallStatus:
        """The status of a refusal; a reason that no enum knows is a bug and becomes INTERNAL."""
        known = self._table.get(reason)
        if known is None:
            return self.of_bug(LookupError(f"no enum names the reason {reason!r}"))
        code, domain = known
        return _status(code, domain, reason, detail or {})

    def of_refused(self, refused: Refused) -> CallStatus:
        """The status of a refusal by a service's rules."""
        return self.of_reason(refused.reason, refused.detail)

    def of_error(self, error: BaseException) -> CallStatus:
        """The status of anything raised while a call was served."""
        match error:
            case CallEnded():
                return error.status
            case CallRefused() | EngineRefused():
                return self.of_reason(error.reason, error.detail)
            case WatchRefused():
                return self.of_reason(WATCH_REFUSED)
            case Unavailable():
                return self.of_reason(UNAVAILABLE)
            case LogDamaged():
                return self.of_reason(LOG_DAMAGED)
            case TimeoutError():
                return self.of_reason(DEADLINE_PASSED)
            case _:
                return self.of_bug(error)

    def of_bug(self, error: BaseException) -> CallStatus:
        """INTERNAL, with an incident id under which the log has the error."""
        incident = random_source.token_hex(8)
        self._on_incident(incident, error)
        detail = {"incident_id": incident}
        return _status(grpc.StatusCode.INTERNAL, ENGINE_DOMAIN, "REASON_INTERNAL", detail)


def error_info(details: bytes) -> tuple[str, Mapping[str, str]]:
    """Reason and detail of a serialised `google.rpc.Status`; ("", {}) when it carries no `ErrorInfo`."""
    info = error_details_pb2.ErrorInfo()
    try:
        packed = status_pb2.Status.FromString(details).details
        if any(detail.Unpack(info) for detail in packed):
            return info.reason, dict(info.metadata)
    except Exception:  # nosec B110 # bytes of another process: whatever is wrong with them, they say nothing
        pass
    return "", {}


def _statuses(reason_enum: Any, domain: str) -> dict[str, tuple[grpc.StatusCode, str]]:
    table: dict[str, tuple[grpc.StatusCode, str]] = {}
    for value in reason_enum.DESCRIPTOR.values:
        number = value.GetOptions().Extensions[options_pb2.status]
        if number != options_pb2.STATUS_CODE_UNSPECIFIED:
            table[value.name] = (_CODES[number], domain)
    return table


def _status(code: grpc.StatusCode, domain: str, reason: str, detail: Mapping[str, str]) -> CallStatus:
    packed = [_packed(error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=detail))]
    retry_after_ms = _retry_after_ms(domain, reason, detail)
    if retry_after_ms is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(retry_after_ms)
        packed.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    status = status_pb2.Status(code=code.value[0], message=reason, details=packed)
    return CallStatus(code, reason, status.SerializeToString())


def _retry_after_ms(domain: str, reason: str, detail: Mapping[str, str]) -> int | None:
    given = detail.get(RETRY_DETAIL, "")
    if given.isascii() and given.isdigit():
        return int(given)
    return _RETRY_AFTER_MS.get(reason) if domain == ENGINE_DOMAIN else None


def _packed(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
