"""Ending a user for good."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.reading import document
from chapar_identity.domain.sessions.documents import Sessions, is_session_open, sessions_key
from chapar_identity.domain.usernames.decide import naming_of
from chapar_identity.domain.usernames.documents import naming_key
from chapar_identity.domain.users.documents import User, user_key
from chapar_sourcing.domain import Documents, Key, Refused
from chapar_sourcing.erasures import erasure_key, last_erasure_of

SESSION_ENDED = "REASON_SESSION_ENDED"
USER_UNKNOWN = "REASON_USER_UNKNOWN"


def needs(command: pb.Command) -> Sequence[Key]:
    """Everything of the user, and the mark of their end."""
    user_id = command.erase_user.user_id
    return [erasure_key(user_id), user_key(user_id), sessions_key(user_id), naming_key(user_id)]


def decide(documents: Documents, command: pb.Command, now_ms: int) -> Sequence[pb.Event] | Refused:
    """SESSION_ENDED for the user's own wish, USER_UNKNOWN for an operator's. A user ends once."""
    wanted = command.erase_user
    asked_by_user = bool(wanted.caller_session_id)
    if asked_by_user and not is_session_open(documents, wanted.user_id, wanted.caller_session_id):
        return Refused(SESSION_ENDED)
    if document(documents, user_key(wanted.user_id), User) is None:
        return Refused(USER_UNKNOWN)
    erasure = last_erasure_of(documents, wanted.user_id)
    if erasure is None:
        return []
    naming = naming_of(documents, wanted.user_id)
    erased = pb.UserErased(
        user_id=wanted.user_id,
        erasure=erasure,
        phone_key=wanted.phone_key,
        released_username=naming.username,
        released_wish=naming.username_wish,
        grounds=wanted.grounds,
    )
    return [*_ended_sessions(documents, wanted.user_id), pb.Event(user_erased=erased)]


def _ended_sessions(documents: Documents, user_id: str) -> Sequence[pb.Event]:
    sessions = document(documents, sessions_key(user_id), Sessions) or Sessions(())
    return [
        pb.Event(
            session_ended=pb.SessionEnded(user_id=user_id, session_id=session.session_id, end=pb.SESSION_END_ERASED)
        )
        for session in sessions.sessions
    ]
