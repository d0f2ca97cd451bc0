"""Gives phones of erased users back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.api.challenges import phone_hash_of_key
from chapar_sourcing.reactions import Outgoing, Source, Submit
from chapar_sourcing.view import View


@dataclass(frozen=True, slots=True)
class ReleasePhones:
    """Reads the own journal. A phone is released by its user's id: repetition and order do not matter."""

    name: str = "release-phones"
    topic: str | None = None
    event_type: type[Message] = pb.Event

    async def react(self, event: Message, source: Source, view: View) -> Sequence[Outgoing]:
        """One command to the partition of the phone."""
        assert isinstance(event, pb.Event)
        if not event.HasField("user_erased") or not event.user_erased.phone_key:
            return []
        erased = event.user_erased
        release = pb.ReleasePhone(phone_hash=phone_hash_of_key(erased.phone_key), user_id=erased.user_id)
        return [Submit(key=erased.phone_key, command=pb.Command(release_phone=release))]
