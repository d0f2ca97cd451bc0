"""What a command does. Nothing is ever refused: what is known already is accepted without events."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar_presence.domain.documents import Membership, UserPresence, membership_key, presence_key
from chapar_sourcing.domain import Documents


def decide(documents: Documents, command: journal.Command) -> Sequence[journal.Event]:
    """The events of a command."""
    match command.WhichOneof("kind"):
        case "come_online":
            return _come_online(documents, command.come_online)
        case "go_offline":
            return _go_offline(documents, command.go_offline)
        case "record_membership":
            return _record_membership(documents, command.record_membership)
        case _:
            raise ValueError("a command without a kind")


def _come_online(documents: Documents, command: journal.ComeOnline) -> Sequence[journal.Event]:
    if _is_online(documents, command.user_id):
        return []
    return [journal.Event(came_online=journal.CameOnline(user_id=command.user_id))]


def _go_offline(documents: Documents, command: journal.GoOffline) -> Sequence[journal.Event]:
    if not _is_online(documents, command.user_id):
        return []
    event = journal.WentOffline(user_id=command.user_id, last_seen_time_ms=command.last_seen_time_ms)
    return [journal.Event(went_offline=event)]


def _record_membership(documents: Documents, fact: journal.RecordMembership) -> Sequence[journal.Event]:
    known = documents.get(membership_key(fact.user_id, fact.conversation_id))
    if isinstance(known, Membership) and known.change_sequence >= fact.change_sequence:
        return []
    event = journal.MembershipRecorded(
        user_id=fact.user_id,
        conversation_id=fact.conversation_id,
        member=fact.member,
        change_sequence=fact.change_sequence,
    )
    return [journal.Event(membership_recorded=event)]


def _is_online(documents: Documents, user_id: str) -> bool:
    known = documents.get(presence_key(user_id))
    return isinstance(known, UserPresence) and known.online
