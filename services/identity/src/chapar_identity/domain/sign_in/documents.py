"""What is known of a phone."""

from __future__ import annotations

import msgspec

from chapar_identity.domain.content import Content
from chapar_sourcing.domain import Document, Key
from chapar_sourcing.timers import timer_key

PHONE_KIND = "phone"
ATTEMPTS = "attempts"
"""What the timers of phones are about."""


class Challenge(msgspec.Struct, frozen=True, array_like=True):
    """The one challenge that can be completed now."""

    challenge_id: str
    code_mac: bytes
    expire_time_ms: int
    wrong_tries: int = 0


class Phone(Document, frozen=True, array_like=True):
    """A phone by its keyed hash: its user, its challenge, and how often it was sent codes."""

    user_id: str
    """Empty until the first completed sign-in."""
    phone: Content
    """The number, sealed for the phone's own key."""
    challenge: Challenge | None
    run: int
    """Codes since the last completed sign-in or the last quiet day: each makes the next wait longer."""
    last_start_ms: int
    day_start_ms: int
    day_count: int
    forget_at_ms: int = 0
    """When the timer is due that forgets all of the above but the user and the number; 0 when there is none."""


def phone_subject(phone_hash: str) -> str:
    """Whose data key seals a phone and its codes before it has a user."""
    return f"phone:{phone_hash}"


def forget_key(phone_hash: str, due_ms: int) -> Key:
    """The timer that forgets a phone's attempts."""
    return timer_key(due_ms, f"{ATTEMPTS}/{phone_hash}")


def phone_key(phone_hash: str) -> Key:
    """The document of a phone."""
    return Key(PHONE_KIND, phone_hash)
