"""Wishing, reserving, confirming, releasing."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.reading import document
from chapar_identity.domain.sessions.documents import is_session_open, sessions_key
from chapar_identity.domain.usernames.documents import Naming, Username, naming_key, username_key
from chapar_sourcing.domain import Documents, Key, Refused

SESSION_ENDED = "REASON_SESSION_ENDED"
USERNAME_PENDING = "REASON_USERNAME_PENDING"
USERNAME_TAKEN = "REASON_USERNAME_TAKEN"


def needs(command: pb.Command) -> Sequence[Key]:
    """The naming at home, or the username."""
    match command.WhichOneof("kind"):
        case "set_username":
            return [naming_key(command.set_username.user_id), sessions_key(command.set_username.user_id)]
        case "confirm_username":
            return [naming_key(command.confirm_username.user_id)]
        case "reject_username":
            return [naming_key(command.reject_username.user_id)]
        case "reserve_username":
            return [username_key(command.reserve_username.username)]
        case _:
            return [username_key(command.release_username.username)]


def decide(documents: Documents, command: pb.Command, now_ms: int) -> Sequence[pb.Event] | Refused:
    """One step of a reservation."""
    match command.WhichOneof("kind"):
        case "set_username":
            return _wish(documents, command.set_username)
        case "confirm_username":
            return _confirm(documents, command.confirm_username)
        case "reject_username":
            return _reject(documents, command.reject_username)
        case "reserve_username":
            return _reserve(documents, command.reserve_username)
        case _:
            return _release(documents, command.release_username)


def naming_of(documents: Documents, user_id: str) -> Naming:
    """A user's naming; everybody has one."""
    return document(documents, naming_key(user_id), Naming) or Naming()


def _wish(documents: Documents, command: pb.SetUsername) -> Sequence[pb.Event] | Refused:
    if not is_session_open(documents, command.user_id, command.caller_session_id):
        return Refused(SESSION_ENDED)
    naming = naming_of(documents, command.user_id)
    if naming.pending:
        return Refused(USERNAME_PENDING)
    if naming.username == command.username:
        return []
    wished = pb.UsernameWished(user_id=command.user_id, username=command.username, wish=naming.last_wish + 1)
    return [pb.Event(username_wished=wished)]


def _reserve(documents: Documents, command: pb.ReserveUsername) -> Sequence[pb.Event]:
    held = document(documents, username_key(command.username), Username)
    if held is not None and held.user_id != command.user_id:
        taken = pb.UsernameFoundTaken(username=command.username, user_id=command.user_id, wish=command.wish)
        return [pb.Event(username_found_taken=taken)]
    if held is not None and held.wish >= command.wish:
        return []
    reserved = pb.UsernameReserved(username=command.username, user_id=command.user_id, wish=command.wish)
    return [pb.Event(username_reserved=reserved)]


def _confirm(documents: Documents, command: pb.ConfirmUsername) -> Sequence[pb.Event]:
    naming = naming_of(documents, command.user_id)
    if naming.holds(command.username, command.wish):
        return []
    if not naming.is_pending(command.username, command.wish):
        declined = pb.UsernameDeclined(user_id=command.user_id, username=command.username, wish=command.wish)
        return [pb.Event(username_declined=declined)]
    granted = pb.UsernameSet(
        user_id=command.user_id,
        username=command.username,
        wish=command.wish,
        released_username=naming.username,
        released_wish=naming.username_wish,
    )
    return [pb.Event(username_set=granted)]


def _reject(documents: Documents, command: pb.RejectUsername) -> Sequence[pb.Event]:
    if not naming_of(documents, command.user_id).is_pending(command.username, command.wish):
        return []
    refused = pb.UsernameRefused(user_id=command.user_id, username=command.username, wish=command.wish)
    return [pb.Event(username_refused=refused)]


def _release(documents: Documents, command: pb.ReleaseUsername) -> Sequence[pb.Event]:
    held = document(documents, username_key(command.username), Username)
    if held is None or (held.user_id, held.wish) != (command.user_id, command.wish):
        return []
    released = pb.UsernameReleased(username=command.username, user_id=command.user_id, wish=command.wish)
    return [pb.Event(username_released=released)]
