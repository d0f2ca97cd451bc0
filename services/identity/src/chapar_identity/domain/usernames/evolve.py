"""What becomes of both ends of a username."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.limits import DECIDED_WISHES_MAX
from chapar_identity.domain.usernames.documents import Decided, Naming, Username, naming_key, username_key
from chapar_sourcing.domain import Document, Key, When


def touches(event: pb.Event) -> Sequence[Key]:
    """The naming at home, or the username; a declined reservation changes nothing at home."""
    match event.WhichOneof("kind"):
        case "username_wished":
            return [naming_key(event.username_wished.user_id)]
        case "username_set":
            return [naming_key(event.username_set.user_id)]
        case "username_refused":
            return [naming_key(event.username_refused.user_id)]
        case "user_erased":
            return [naming_key(event.user_erased.user_id)]
        case "username_reserved":
            return [username_key(event.username_reserved.username)]
        case "username_released":
            return [username_key(event.username_released.username)]
        case _:
            return []


def evolve_naming(key: Key, document: Document | None, event: pb.Event, when: When) -> Document | None:
    """The home's side after the event."""
    naming = document if isinstance(document, Naming) else Naming()
    match event.WhichOneof("kind"):
        case "username_wished":
            return replace(naming, pending=event.username_wished.username, last_wish=event.username_wished.wish)
        case "username_set":
            granted = event.username_set
            held = replace(naming, username=granted.username, username_wish=granted.wish)
            return _decided(held, Decided(granted.wish, granted=True))
        case "username_refused":
            return _decided(naming, Decided(event.username_refused.wish, granted=False))
        case "user_erased":
            return replace(naming, username="", username_wish=0, pending="")
        case _:
            return document


def evolve_username(key: Key, document: Document | None, event: pb.Event, when: When) -> Document | None:
    """The username's side after the event."""
    match event.WhichOneof("kind"):
        case "username_reserved":
            return Username(event.username_reserved.user_id, event.username_reserved.wish)
        case "username_released":
            return None
        case _:
            return document


def _decided(naming: Naming, outcome: Decided) -> Naming:
    return replace(naming, pending="", decided=(*naming.decided, outcome)[-DECIDED_WISHES_MAX:])
