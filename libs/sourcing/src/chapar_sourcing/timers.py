"""Timers as documents: what is to be done at a time is state like any other, set and cancelled by events.

A service that has timers lists `TIMER_KIND: Timer` among its documents, names `timer_key(...)` in `touches` of the
events that set or cancel one, and implements `TimedDomain`. The engine reads due timers ahead and decides the command
that each of them makes. That command's events must delete the timer; it may set another one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from google.protobuf.message import Message

from chapar_sourcing.domain import Document, Key, ordered
from chapar_sourcing.positions import Position
from chapar_sourcing.requests import make_request_id

TIMER_KIND = "timer"
PAYLOAD_BYTES_MAX = 1024

CommandT = TypeVar("CommandT", bound=Message, covariant=True)


class Timer(Document, frozen=True, array_like=True):
    """Something to be done later; when, and about what, is in its key."""

    payload: bytes = b""
    """What the service needs to know of it then, at most 1 KiB."""

    def __post_init__(self) -> None:
        if len(self.payload) > PAYLOAD_BYTES_MAX:
            raise ValueError(f"a timer's payload has {len(self.payload)} bytes, more than {PAYLOAD_BYTES_MAX}")


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A timer whose time has come."""

    due_ms: int
    subject: str
    payload: bytes


@runtime_checkable
class TimedDomain(Protocol[CommandT]):
    """What a `Domain` with timers has beside the rest."""

    def due(self, timer: DueTimer) -> CommandT:
        """The command that a due timer makes; pure. Deciding it must delete the timer: where it is refused, or
        decided without that, nothing is written and it is tried again later, ever less often."""


def timer_key(due_ms: int, subject: str) -> Key:
    """The document of a timer: all timers of a partition are one group, in order of time.

    `subject` says what it is about and tells timers of the same time apart, such as "offline/<user>"; no NUL.
    """
    return Key(TIMER_KIND, "", f"{ordered(due_ms)}.{subject}")


def due_ms_of(identity: str) -> int:
    """When a timer is due, of the id in its key."""
    return int(identity.partition(".")[0])


def due_timer(identity: str, timer: Timer) -> DueTimer:
    """A timer as its service sees it."""
    due, _, subject = identity.partition(".")
    return DueTimer(int(due), subject, timer.payload)


def timer_request_id(identity: str, position: Position, partition: int) -> bytes:
    """The request id of a timer's command: a UUIDv7 of its due time.

    `position` is where the timer was set: the same timer, set again after it was done, is another one.
    """
    place = f"{partition}\0{position.offset}.{position.event_index}\0{identity}"
    return make_request_id(due_ms_of(identity), hashlib.sha256(place.encode()).digest()[:10])
