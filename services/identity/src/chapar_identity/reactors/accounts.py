"""Carries completed sign-ins from the phone's partition to the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_sourcing.reactions import Outgoing, Source, Submit
from chapar_sourcing.view import View


@dataclass(frozen=True, slots=True)
class CarrySignIns:
    """Reads the own journal; the only reaction of identity that makes creations, so that their chain is its own."""

    name: str = "carry-sign-ins"
    topic: str | None = None
    event_type: type[Message] = pb.Event

    async def react(self, event: Message, source: Source, view: View) -> Sequence[Outgoing]:
        """A session to open, exactly once."""
        assert isinstance(event, pb.Event)
        if not event.HasField("signed_in"):
            return []
        session = event.signed_in.session
        command = pb.Command(open_session=pb.OpenSession(session=session, create_time_ms=source.time_ms))
        return [Submit(key=session.user_id, command=command, creation=True)]
