"""From a gRPC error to what it means for the call: refused, to be tried again, or beyond the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from chapar_client.sdk._errors import Broken, ChaparError, Refused, SignedOut

ENGINE_DOMAIN = "gateway.chapar"
"""Domain of refusals by the gateway and by the engine behind every owner."""

_TRIED_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}

_UNDECIDED = {"REASON_OVERLOADED", "REASON_NOT_OWNER", "REASON_REVOCATIONS_STALE", "REASON_TOO_MANY_STREAMS"}
"""Refusals that prove that this try decided nothing."""

_BUGS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}

_ENDS_SESSION = {
    "REASON_SESSION_REVOKED",
    "REASON_SESSION_ENDED",
    "REASON_REFRESH_TOKEN_INVALID",
    "REASON_REFRESH_TOKEN_REUSED",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed try."""

    status: grpc.StatusCode
    details: str
    reason: str = ""
    domain: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    retry_delay_s: float | None = None

    @property
    def retriable(self) -> bool:
        """Whether the same bytes may be sent again. A service's own refusal is an answer, whatever its status."""
        if self.domain not in ("", ENGINE_DOMAIN) or self.reason == "REASON_LOG_DAMAGED":
            return False
        if self.status is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return self.reason == "REASON_OVERLOADED" or self.retry_delay_s is not None
        cut_off = self.status is grpc.StatusCode.INTERNAL and not self.reason and "RST_STREAM" in self.details
        return self.status in _TRIED_AGAIN or cut_off

    @property
    def undecided(self) -> bool:
        """Whether the try certainly changed nothing."""
        if self.status in _BUGS:
            return False
        return self.reason in _UNDECIDED or (self.reason not in ("", "REASON_LOG_DAMAGED") and not self.retriable)

    def as_error(self) -> ChaparError:
        """The exception for a failure that is not tried again."""
        if not self.reason or self.status in _BUGS:
            return Broken(self.status, self.detail.get("incident_id", self.details))
        kind = SignedOut if self.reason in _ENDS_SESSION else Refused
        return kind(self.reason, self.detail, domain=self.domain, status=self.status)


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """Reads ErrorInfo and RetryInfo from a failed call."""
    reason, domain, detail, delay_s = "", "", {}, None
    for packed in _details_of(error):
        if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            packed.Unpack(info)
            reason, domain, detail = info.reason, info.domain, dict(info.metadata)
        elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            packed.Unpack(retry)
            delay_s = retry.retry_delay.ToTimedelta().total_seconds()
    return Failure(error.code(), error.details() or "", reason, domain, detail, delay_s)


def _details_of(error: grpc.aio.AioRpcError) -> Sequence[Any]:
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return ()
    return ()
