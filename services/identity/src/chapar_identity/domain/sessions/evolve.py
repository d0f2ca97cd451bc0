"""What becomes of a user's sessions."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.content import content_of
from chapar_identity.domain.limits import ENDED_SESSIONS_MAX
from chapar_identity.domain.reading import existing
from chapar_identity.domain.sessions.documents import GENERATION_FIRST, Session, Sessions, sessions_key
from chapar_sourcing.domain import Document, Key, When


def touches(event: pb.Event) -> Sequence[Key]:
    """The user's sessions."""
    match event.WhichOneof("kind"):
        case "session_opened":
            return [sessions_key(event.session_opened.user_id)]
        case "session_ended":
            return [sessions_key(event.session_ended.user_id)]
        case "tokens_refreshed":
            return [sessions_key(event.tokens_refreshed.user_id)]
        case _:
            return []


def evolve_sessions(key: Key, document: Document | None, event: pb.Event, when: When) -> Document | None:
    """The sessions after the event; the document stays when the last has ended."""
    match event.WhichOneof("kind"):
        case "session_opened":
            return _opened(document if isinstance(document, Sessions) else Sessions(()), event.session_opened)
        case "session_ended":
            return _without(existing(key, document, Sessions), event.session_ended.session_id)
        case "tokens_refreshed":
            return _refreshed(existing(key, document, Sessions), event.tokens_refreshed, when)
        case _:
            return document


def _opened(sessions: Sessions, event: pb.SessionOpened) -> Sessions:
    session = Session(
        session_id=event.session_id,
        device=content_of(event.device),
        create_time_ms=event.create_time_ms,
        refresh_time_ms=event.create_time_ms,
        generation=GENERATION_FIRST,
    )
    return replace(sessions, sessions=tuple(sorted((*sessions.sessions, session), key=lambda each: each.session_id)))


def _without(sessions: Sessions, session_id: str) -> Sessions:
    return Sessions(
        sessions=tuple(each for each in sessions.sessions if each.session_id != session_id),
        ended=(*sessions.ended, session_id)[-ENDED_SESSIONS_MAX:],
    )


def _refreshed(sessions: Sessions, event: pb.TokensRefreshed, when: When) -> Sessions:
    return replace(
        sessions,
        sessions=tuple(
            replace(each, generation=event.generation, refresh_time_ms=when.time_ms)
            if each.session_id == event.session_id
            else each
            for each in sessions.sessions
        ),
    )
