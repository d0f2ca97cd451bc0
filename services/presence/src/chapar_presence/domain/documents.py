"""What presence knows of one partition of users, document by document."""

from __future__ import annotations

from chapar_sourcing.domain import Document, Key

PRESENCE = "presence"
ONLINE = "online"
MEMBERSHIP = "membership"


class UserPresence(Document, frozen=True, array_like=True):
    """Whether a user is online, and when they were last seen. A user without the document was never seen."""

    online: bool
    last_seen_ms: int = 0
    """Milliseconds since 1970; 0 when never or while online."""


class OnlineMark(Document, frozen=True, array_like=True):
    """There while a user is online: who is to be found after a restart."""

    since_ms: int


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


DOCUMENT_TYPES: dict[str, type[Document]] = {
    PRESENCE: UserPresence,
    ONLINE: OnlineMark,
    MEMBERSHIP: Membership,
}
