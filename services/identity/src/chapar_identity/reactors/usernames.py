"""Carries wishes to usernames, decisions home, and reservations back when they are given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_sourcing.reactions import Outgoing, Source, Submit
from chapar_sourcing.view import View


@dataclass(frozen=True, slots=True)
class CarryReservations:
    """Reads the own journal. Every command names its wish: repetition and order do not matter to the domain."""

    name: str = "carry-reservations"
    topic: str | None = None
    event_type: type[Message] = pb.Event

    async def react(self, event: Message, source: Source, view: View) -> Sequence[Outgoing]:
        """The next step of a reservation."""
        assert isinstance(event, pb.Event)
        return next_steps(event)


def next_steps(event: pb.Event) -> Sequence[Submit]:
    """What follows from an event of a reservation, and where."""
    match event.WhichOneof("kind"):
        case "username_wished":
            wished = event.username_wished
            reserve = pb.ReserveUsername(username=wished.username, user_id=wished.user_id, wish=wished.wish)
            return [Submit(wished.username, pb.Command(reserve_username=reserve))]
        case "username_reserved":
            reserved = event.username_reserved
            confirm = pb.ConfirmUsername(user_id=reserved.user_id, username=reserved.username, wish=reserved.wish)
            return [Submit(reserved.user_id, pb.Command(confirm_username=confirm))]
        case "username_found_taken":
            taken = event.username_found_taken
            reject = pb.RejectUsername(user_id=taken.user_id, username=taken.username, wish=taken.wish)
            return [Submit(taken.user_id, pb.Command(reject_username=reject))]
        case "username_declined":
            declined = event.username_declined
            return [_release(declined.username, declined.user_id, declined.wish)]
        case "username_set" if event.username_set.released_username:
            granted = event.username_set
            return [_release(granted.released_username, granted.user_id, granted.released_wish)]
        case "user_erased" if event.user_erased.released_username:
            erased = event.user_erased
            return [_release(erased.released_username, erased.user_id, erased.released_wish)]
        case _:
            return []


def _release(username: str, user_id: str, wish: int) -> Submit:
    release = pb.ReleaseUsername(username=username, user_id=user_id, wish=wish)
    return Submit(username, pb.Command(release_username=release))
