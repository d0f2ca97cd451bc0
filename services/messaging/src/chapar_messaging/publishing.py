"""What other services are told: who came into a conversation and who went out of it."""

from __future__ import annotations

from typing import Final

from chapar.messaging.events.v1 import events_pb2 as events
from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import When

TOPIC: Final = "messaging.events.v1"


def public_event(event: journal.Event, when: When) -> tuple[str, events.Event] | None:
    """The public event of a journal event, if it has one. The highest change sequence for (conversation, user)
    holds."""
    match event.WhichOneof("kind"):
        case "member_added":
            return _changed(event.member_added, member=True)
        case "member_removed":
            return _changed(event.member_removed, member=False)
        case _:
            return None


def _changed(change: journal.MemberAdded | journal.MemberRemoved, *, member: bool) -> tuple[str, events.Event]:
    changed = events.MembershipChanged(
        conversation_id=change.conversation_id,
        user_id=change.user_id,
        member=member,
        change_sequence=change.change_sequence,
    )
    return TOPIC, events.Event(membership_changed=changed)
