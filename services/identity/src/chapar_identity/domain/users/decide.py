"""Changing a profile."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.sessions.documents import is_session_open, sessions_key
from chapar_identity.domain.users.documents import user_key
from chapar_sourcing.domain import Documents, Key, Refused

SESSION_ENDED = "REASON_SESSION_ENDED"


def needs(command: pb.Command) -> Sequence[Key]:
    """The user, and the sessions that may speak for them."""
    user_id = command.update_profile.user_id
    return [user_key(user_id), sessions_key(user_id)]


def decide(documents: Documents, command: pb.Command, now_ms: int) -> Sequence[pb.Event] | Refused:
    """The new name. Whoever has an open session is registered."""
    wanted = command.update_profile
    if not is_session_open(documents, wanted.user_id, wanted.caller_session_id):
        return Refused(SESSION_ENDED)
    return [pb.Event(profile_updated=pb.ProfileUpdated(user_id=wanted.user_id, name=wanted.name))]
