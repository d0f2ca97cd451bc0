"""What can go wrong, as the caller sees it.

ChaparError
├── Refused               the servers decided no; nothing changed. `reason` says why
│   └── SignedOut         the session has ended: sign in again
├── Unavailable           no answer before the deadline; nothing was changed by this call
│   └── OutcomeUnknown    a command whose answer was lost: it is kept and can be finished with the same id
├── NotSignedIn           this profile has no session
├── InvalidInput          refused on this side, before any call: a phone number, an amount, a user name
├── ProfileUnusable       what this profile keeps on disk cannot be read or written
└── Broken                the server answered something that no rule foresees
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc


class ChaparError(Exception):
    """Whatever the SDK raises on purpose."""


class Refused(ChaparError):
    """A named refusal: its status and reason are documented at the reason's value in the protos."""

    def __init__(self, reason: str, detail: Mapping[str, str], *, domain: str, status: grpc.StatusCode) -> None:
        super().__init__(f"{reason} ({domain})")
        self.reason = reason
        """Name of a value of the service's, or the gateway's, `Reason`."""
        self.detail = dict(detail)
        """What the refusal adds, such as `balance_rials`."""
        self.domain = domain
        """Who refused: "<service>.chapar"."""
        self.status = status


class SignedOut(Refused):
    """The session was revoked or its refresh token is of no use any more."""


class Unavailable(ChaparError):
    """The deadline came before an answer. `reason` is the last one heard, or empty."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class OutcomeUnknown(Unavailable):
    """A command may or may not have been carried out; `Client.finish_pending` settles it."""

    def __init__(self, message: str, *, request_id: str, reason: str = "") -> None:
        super().__init__(message, reason=reason)
        self.request_id = request_id


class NotSignedIn(ChaparError):
    """No session is kept in this profile."""


class InvalidInput(ChaparError):
    """What was given cannot be right, so that nothing was called."""


class ProfileUnusable(ChaparError):
    """The profile's file is damaged, not ours to write, or the disk is full."""


class Broken(ChaparError):
    """An answer that no rule foresees: a bug on one of the two sides."""

    def __init__(self, status: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{status.name}: {details}")
        self.status = status
