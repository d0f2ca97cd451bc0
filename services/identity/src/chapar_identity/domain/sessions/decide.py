"""Opening, refreshing and ending sessions."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar.sourcing.journal.v1 import journal_pb2 as engine
from chapar_identity.domain.limits import SESSIONS_MAX
from chapar_identity.domain.reading import document
from chapar_identity.domain.sessions.documents import Sessions, is_session_open, open_session, sessions_key
from chapar_identity.domain.users.documents import User, user_key
from chapar_sourcing.creations import HOLE_REASON, Judgement, creation_key, judge
from chapar_sourcing.domain import Documents, Key, Refused

REFRESH_TOKEN_INVALID = "REASON_REFRESH_TOKEN_INVALID"  # nosec B105 # a reason, not a token
REFRESH_TOKEN_REUSED = "REASON_REFRESH_TOKEN_REUSED"  # nosec B105 # a reason, not a token
SESSION_ENDED = "REASON_SESSION_ENDED"
SESSION_UNKNOWN = "REASON_SESSION_UNKNOWN"


def needs(command: pb.Command) -> Sequence[Key]:
    """The user's sessions; for a new one the user and the mark of its source, too."""
    match command.WhichOneof("kind"):
        case "open_session":
            user_id = command.open_session.session.user_id
            return [creation_key(command.creation), user_key(user_id), sessions_key(user_id)]
        case "refresh_tokens":
            return [sessions_key(command.refresh_tokens.user_id)]
        case _:
            return [sessions_key(command.revoke_session.user_id)]


def decide(documents: Documents, command: pb.Command, now_ms: int) -> Sequence[pb.Event] | Refused:
    """One step in a session's life."""
    match command.WhichOneof("kind"):
        case "open_session":
            return _open(documents, command)
        case "refresh_tokens":
            return _refresh(documents, command.refresh_tokens)
        case _:
            return _revoke(documents, command.revoke_session)


def _open(documents: Documents, command: pb.Command) -> Sequence[pb.Event] | Refused:
    match judge(documents.get(creation_key(command.creation)), command.creation):
        case Judgement.REPEATED:
            return []
        case Judgement.HOLE:
            return Refused(HOLE_REASON)
        case Judgement.NEXT if _is_erased(documents, command):
            # A sign-in was under way while its user ended: its tokens are revoked, and its number is released.
            session = command.open_session.session
            return [_ended(session.user_id, session.session_id, pb.SESSION_END_ERASED, command.creation)]
        case Judgement.NEXT:
            return [*_registered(documents, command), *_overflow(documents, command), _opened(command)]


def _is_erased(documents: Documents, command: pb.Command) -> bool:
    user = document(documents, user_key(command.open_session.session.user_id), User)
    return user is not None and user.is_erased


def _registered(documents: Documents, command: pb.Command) -> Sequence[pb.Event]:
    session = command.open_session.session
    if document(documents, user_key(session.user_id), User) is not None:
        return []
    registered = pb.UserRegistered(
        user_id=session.user_id, phone=session.phone, create_time_ms=command.open_session.create_time_ms
    )
    return [pb.Event(user_registered=registered)]


def _overflow(documents: Documents, command: pb.Command) -> Sequence[pb.Event]:
    user_id = command.open_session.session.user_id
    sessions = document(documents, sessions_key(user_id), Sessions)
    if sessions is None or len(sessions.sessions) < SESSIONS_MAX:
        return []
    return [_ended(user_id, sessions.sessions[0].session_id, pb.SESSION_END_OVERFLOW)]


def _opened(command: pb.Command) -> pb.Event:
    session = command.open_session.session
    opened = pb.SessionOpened(
        user_id=session.user_id,
        session_id=session.session_id,
        device=session.device,
        create_time_ms=command.open_session.create_time_ms,
    )
    return pb.Event(creation=command.creation, session_opened=opened)


def _refresh(documents: Documents, command: pb.RefreshTokens) -> Sequence[pb.Event] | Refused:
    session = open_session(documents, command.user_id, command.session_id)
    if session is None or command.generation > session.generation:
        return Refused(REFRESH_TOKEN_INVALID)
    if command.generation < session.generation:
        return [_ended(command.user_id, command.session_id, pb.SESSION_END_TOKEN_REUSED)]
    refreshed = pb.TokensRefreshed(
        user_id=command.user_id, session_id=command.session_id, generation=session.generation + 1
    )
    return [pb.Event(tokens_refreshed=refreshed)]


def _revoke(documents: Documents, command: pb.RevokeSession) -> Sequence[pb.Event] | Refused:
    if not is_session_open(documents, command.user_id, command.caller_session_id):
        return Refused(SESSION_ENDED)
    if not is_session_open(documents, command.user_id, command.session_id):
        return Refused(SESSION_UNKNOWN)
    return [_ended(command.user_id, command.session_id, pb.SESSION_END_REVOKED)]


def _ended(
    user_id: str, session_id: str, end: pb.SessionEnd.ValueType, creation: engine.Creation | None = None
) -> pb.Event:
    ended = pb.SessionEnded(user_id=user_id, session_id=session_id, end=end)
    return pb.Event(creation=creation, session_ended=ended)
