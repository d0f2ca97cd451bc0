"""Names under which the engine itself says no: values of `chapar.gateway.v1.Reason`.

A command's refusal is an `Outcome` with a reason; reads, advances and watches raise `EngineRefused` with the same
names. The chassis alone turns either into a status.
"""

from __future__ import annotations

from collections.abc import Mapping

NOT_OWNER = "REASON_NOT_OWNER"
OVERLOADED = "REASON_OVERLOADED"
OUTCOME_UNKNOWN = "REASON_OUTCOME_UNKNOWN"
UNAVAILABLE = "REASON_UNAVAILABLE"
LOG_DAMAGED = "REASON_LOG_DAMAGED"
DEADLINE_PASSED = "REASON_DEADLINE_PASSED"
REQUEST_ID_IN_FUTURE = "REASON_REQUEST_ID_IN_FUTURE"
REQUEST_ID_REUSED = "REASON_REQUEST_ID_REUSED"
REQUEST_EXPIRED = "REASON_REQUEST_EXPIRED"
REQUEST_MALFORMED = "REASON_REQUEST_MALFORMED"
ENTRY_TOO_LARGE = "REASON_ENTRY_TOO_LARGE"
KEY_INVALID = "REASON_KEY_INVALID"
SCHEMA_LEVEL_LOW = "REASON_SCHEMA_LEVEL_LOW"
SEALED_TOO_EARLY = "SEALED_TOO_EARLY"
"""Never leaves the process: whoever made the command makes it again, sealed with the key that is newest now."""

TRANSIENT = frozenset(
    {
        NOT_OWNER,
        OVERLOADED,
        OUTCOME_UNKNOWN,
        UNAVAILABLE,
        LOG_DAMAGED,
        DEADLINE_PASSED,
        REQUEST_ID_IN_FUTURE,
        SCHEMA_LEVEL_LOW,
    }
)
"""Reasons after which a reactor sends the same again: nothing was decided, or nothing is known."""


class EngineRefused(Exception):
    """The engine cannot serve this now, for one of the reasons above."""

    def __init__(self, reason: str, detail: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = dict(detail or {})
