"""Users who have ended, as identity tells: their memos end, too."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from chapar.identity.events.v1 import events_pb2 as identity
from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_sourcing.reactions import Outgoing, Source, Submit
from chapar_sourcing.view import View


class EraseMemos:
    """Implements `chapar_sourcing.reactions.Reaction` on the stream of identity."""

    name = "erase-memos"
    topic: str | None = "identity.events.v1"
    event_type: type[Message] = identity.Event

    async def react(self, event: Message, source: Source, view: View) -> Sequence[Outgoing]:
        """One command to the user's partition; a repetition changes nothing."""
        if not isinstance(event, identity.Event) or event.WhichOneof("kind") != "user_erased":
            return ()
        user_id = event.user_erased.user_id
        return (Submit(key=user_id, command=journal.Command(erase_memos=journal.EraseMemos(user_id=user_id))),)
