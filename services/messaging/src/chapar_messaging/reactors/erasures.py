"""Users who have ended, as identity tells: what they wrote ends, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import Message as ProtoMessage

from chapar.identity.events.v1 import events_pb2 as identity
from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_sourcing.reactions import Source, Submit
from chapar_sourcing.view import View


class EraseContents:
    """The reaction to the public events of identity."""

    name: Final = "erase_contents"
    topic: Final = "identity.events.v1"
    event_type: Final = identity.Event

    async def react(self, event: ProtoMessage, source: Source, view: View) -> Sequence[Submit]:
        """One command to the user's partition; a repetition changes nothing."""
        assert isinstance(event, identity.Event)
        if event.WhichOneof("kind") != "user_erased":
            return []
        user_id = event.user_erased.user_id
        return [Submit(key=user_id, command=journal.Command(erase_content=journal.EraseContent(user_id=user_id)))]
