"""Learns who is in which conversation from messaging's events: facts, of which the newest version holds."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from chapar.messaging.events.v1 import events_pb2 as messaging
from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar_sourcing.reactions import Outgoing, Source, Submit
from chapar_sourcing.view import View


class LearnMemberships:
    """Implements `chapar_sourcing.reactions.Reaction` on the stream of messaging."""

    name = "memberships"
    topic: str | None = "messaging.events.v1"
    event_type: type[Message] = messaging.Event

    async def react(self, event: Message, source: Source, view: View) -> Sequence[Outgoing]:
        """One command to the partition of the user whom a fact is about."""
        if not isinstance(event, messaging.Event) or event.WhichOneof("kind") != "membership_changed":
            return ()
        fact = event.membership_changed
        command = journal.Command(
            record_membership=journal.RecordMembership(
                user_id=fact.user_id,
                conversation_id=fact.conversation_id,
                member=fact.member,
                change_sequence=fact.change_sequence,
            )
        )
        return (Submit(key=fact.user_id, command=command),)
