"""What a command does. Nothing is ever refused: what is known already is accepted without events."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar_presence.domain.documents import (
    DEPARTURE_KEPT_MS,
    Membership,
    UserPresence,
    membership_key,
    presence_key,
)
from chapar_sourcing.domain import Documents


def decide(documents: Documents, command: journal.Command, now_ms: int) -> Sequence[journal.Event]:
    """The events of a command."""
    match command.WhichOneof("kind"):
        case "come_online":
            return _come_online(documents, command.come_online)
        case "depart":
            return _depart(documents, command.depart)
        case "go_offline":
            return _go_offline(documents, command.go_offline, now_ms)
        case "forget_departure":
            return _forget_departure(documents, command.forget_departure)
        case "record_membership":
            return _record_membership(documents, command.record_membership)
        case _:
            raise ValueError("a command without a kind")


def _come_online(documents: Documents, command: journal.ComeOnline) -> Sequence[journal.Event]:
    known = _presence(documents, command.user_id)
    if not known.online:
        came = journal.CameOnline(user_id=command.user_id, forget_time_ms=known.forget_at_ms)
        return [journal.Event(came_online=came)]
    if not known.offline_at_ms:
        return []
    back = journal.DepartureCancelled(user_id=command.user_id, offline_time_ms=known.offline_at_ms)
    return [journal.Event(departure_cancelled=back)]


def _depart(documents: Documents, command: journal.Depart) -> Sequence[journal.Event]:
    known = _presence(documents, command.user_id)
    if not known.online or known.offline_at_ms:
        return []
    began = journal.DepartureBegan(
        user_id=command.user_id,
        last_seen_time_ms=command.last_seen_time_ms,
        offline_time_ms=command.offline_time_ms,
    )
    return [journal.Event(departure_began=began)]


def _go_offline(documents: Documents, command: journal.GoOffline, now_ms: int) -> Sequence[journal.Event]:
    known = _presence(documents, command.user_id)
    if not known.online or known.offline_at_ms != command.offline_time_ms:
        return []
    event = journal.WentOffline(
        user_id=command.user_id,
        last_seen_time_ms=command.last_seen_time_ms,
        offline_time_ms=command.offline_time_ms,
        forget_time_ms=now_ms + DEPARTURE_KEPT_MS,
    )
    return [journal.Event(went_offline=event)]


def _forget_departure(documents: Documents, command: journal.ForgetDeparture) -> Sequence[journal.Event]:
    known = _presence(documents, command.user_id)
    if known.online or known.forget_at_ms != command.forget_time_ms:
        return []
    event = journal.DepartureForgotten(user_id=command.user_id, forget_time_ms=command.forget_time_ms)
    return [journal.Event(departure_forgotten=event)]


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


def _presence(documents: Documents, user_id: str) -> UserPresence:
    known = documents.get(presence_key(user_id))
    return known if isinstance(known, UserPresence) else UserPresence(online=False)
