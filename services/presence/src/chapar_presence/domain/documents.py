"""What presence knows of one partition of users, document by document."""

from __future__ import annotations

from chapar_sourcing.domain import Document, Key
from chapar_sourcing.timers import TIMER_KIND, Timer, timer_key

PRESENCE = "presence"
ONLINE = "online"
MEMBERSHIP = "membership"

OFFLINE = "offline"
FORGET = "forget"
"""What timers are about."""

DEPARTURE_KEPT_MS = 7 * 24 * 3600 * 1000
"""How long it is known when somebody was last seen: as long as the journal is kept."""


class UserPresence(Document, frozen=True, array_like=True):
    """Whether a user is online, and when they were last seen. A user without the document was never seen."""

    online: bool
    last_seen_ms: int = 0
    """Milliseconds since 1970; 0 when never or while online."""
    offline_at_ms: int = 0
    """While departing: when the grace is over and the timer is due, milliseconds since 1970."""
    forget_at_ms: int = 0
    """While offline: when this is forgotten and the timer is due, milliseconds since 1970."""


class OnlineMark(Document, frozen=True, array_like=True):
    """There while a user is online: who is to be found after a restart."""

    since_ms: int
    departing: bool = False
    """Whether the last lease ended and the timer alone is waited for."""


class Membership(Document, frozen=True, array_like=True):
    """The newest fact about a user and a conversation. Stays when they leave, so that an older fact cannot win."""

    member: bool
    change_sequence: int


def presence_key(user_id: str) -> Key:
    """A user's presence."""
    return Key(PRESENCE, user_id)


def online_key(user_id: str) -> Key:
    """A user's mark among those online in this partition."""
    return Key(ONLINE, "", user_id)


def membership_key(user_id: str, conversation_id: str) -> Key:
    """The fact about a user and a conversation."""
    return Key(MEMBERSHIP, user_id, conversation_id)


def offline_key(user_id: str, due_ms: int) -> Key:
    """The timer that ends a grace; its payload is when the user was last seen, in decimal digits."""
    return timer_key(due_ms, f"{OFFLINE}/{user_id}")


def forget_key(user_id: str, due_ms: int) -> Key:
    """The timer that forgets a departure."""
    return timer_key(due_ms, f"{FORGET}/{user_id}")


DOCUMENT_TYPES: dict[str, type[Document]] = {
    PRESENCE: UserPresence,
    ONLINE: OnlineMark,
    MEMBERSHIP: Membership,
    TIMER_KIND: Timer,
}
