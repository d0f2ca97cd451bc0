"""A user's open sessions: one document, bounded by how many there may be."""

from __future__ import annotations

import msgspec

from chapar_identity.domain.content import Content
from chapar_identity.domain.reading import document
from chapar_sourcing.domain import Document, Documents, Key

SESSIONS_KIND = "sessions"

GENERATION_FIRST = 1
"""Generation of the refresh token that a sign-in gives."""


class Session(msgspec.Struct, frozen=True, array_like=True):
    """One open session."""

    session_id: str
    device: Content
    create_time_ms: int
    refresh_time_ms: int
    generation: int
    """Generation of the one refresh token that is good."""


class Sessions(Document, frozen=True, array_like=True):
    """All open sessions of a user, in order of their ids: oldest first."""

    sessions: tuple[Session, ...]
    ended: tuple[str, ...] = ()
    """Ids of the sessions that ended last, oldest first: nobody needs to wait for those to arrive."""

    def find(self, session_id: str) -> Session | None:
        """An open session by its id."""
        return next((session for session in self.sessions if session.session_id == session_id), None)

    def has_seen(self, session_id: str) -> bool:
        """Whether a session is open or has ended lately."""
        return session_id in self.ended or self.find(session_id) is not None


def sessions_key(user_id: str) -> Key:
    """The document of a user's sessions."""
    return Key(SESSIONS_KIND, user_id)


def open_session(documents: Documents, user_id: str, session_id: str) -> Session | None:
    """An open session of a user."""
    sessions = document(documents, sessions_key(user_id), Sessions)
    return sessions.find(session_id) if sessions else None


def is_session_open(documents: Documents, user_id: str, session_id: str) -> bool:
    """Whether a session may still speak for its user."""
    return open_session(documents, user_id, session_id) is not None
