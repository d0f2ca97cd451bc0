"""What an inbox tells its reader, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass

from chapar.messaging.v1 import messaging_pb2 as messaging


@dataclass(frozen=True, slots=True)
class Connected:
    """The subscription stands; `resumed` when it goes on where the last one ended."""

    resumed: bool


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The subscription was lost and will be tried again."""

    reason: str


@dataclass(frozen=True, slots=True)
class InboxReset:
    """The inbox as a whole; messages that are new to this device follow as usual."""

    rows: tuple[messaging.InboxRow, ...]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The next message of its conversation: never one twice, never one out of order."""

    message: messaging.Message


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message, not above the last one taken in here, was deleted for everybody; may be told twice."""

    conversation_id: str
    sequence: int
    change_sequence: int


@dataclass(frozen=True, slots=True)
class MembershipChanged:
    """The user is in a conversation now, or no longer."""

    conversation_id: str
    member: bool
    change_sequence: int
    first_visible_sequence: int


@dataclass(frozen=True, slots=True)
class ReadCursorMoved:
    """The user has read up to here, on this or another device."""

    conversation_id: str
    read_sequence: int


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Somebody asked for came or went. `last_seen_time_ms` is 0 while online or when never seen."""

    user_id: str
    online: bool
    last_seen_time_ms: int


@dataclass(frozen=True, slots=True)
class PresenceEnded:
    """Presence of this user may not be watched, or no longer."""

    user_id: str


InboxUpdate = (
    Connected
    | Disconnected
    | InboxReset
    | MessageReceived
    | MessageDeleted
    | MembershipChanged
    | ReadCursorMoved
    | PresenceChanged
    | PresenceEnded
)
