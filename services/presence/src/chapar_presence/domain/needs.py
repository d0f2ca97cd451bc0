"""Which documents deciding reads: all of the user's partition."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar_presence.domain.documents import membership_key, online_key, presence_key
from chapar_sourcing.domain import Key


def needs(command: journal.Command) -> Sequence[Key]:
    """The documents a command reads, none twice. Timers are set and deleted unread: the user's presence names them."""
    match command.WhichOneof("kind"):
        case "come_online":
            return [presence_key(command.come_online.user_id), online_key(command.come_online.user_id)]
        case "depart":
            return [presence_key(command.depart.user_id), online_key(command.depart.user_id)]
        case "go_offline":
            return [presence_key(command.go_offline.user_id), online_key(command.go_offline.user_id)]
        case "forget_departure":
            return [presence_key(command.forget_departure.user_id)]
        case "record_membership":
            fact = command.record_membership
            return [membership_key(fact.user_id, fact.conversation_id)]
        case _:
            raise ValueError("a command without a kind")
