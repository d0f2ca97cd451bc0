"""What becomes of a user."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.content import Content, content_of
from chapar_identity.domain.reading import existing
from chapar_identity.domain.users.documents import User, user_key
from chapar_sourcing.domain import Document, Key, When
from chapar_sourcing.erasures import erasure_key


def touches(event: pb.Event) -> Sequence[Key]:
    """The user."""
    match event.WhichOneof("kind"):
        case "user_registered":
            return [user_key(event.user_registered.user_id)]
        case "profile_updated":
            return [user_key(event.profile_updated.user_id)]
        case "user_erased":
            return [user_key(event.user_erased.user_id), erasure_key(event.user_erased.erasure.subject)]
        case _:
            return []


def evolve_user(key: Key, document: Document | None, event: pb.Event, when: When) -> Document | None:
    """The user after the event."""
    match event.WhichOneof("kind"):
        case "user_registered":
            registered = event.user_registered
            return User(phone=content_of(registered.phone), create_time_ms=registered.create_time_ms, name=None)
        case "profile_updated":
            return replace(existing(key, document, User), name=content_of(event.profile_updated.name))
        case "user_erased":
            return replace(existing(key, document, User), phone=Content(), name=None, erase_time_ms=when.time_ms)
        case _:
            return document
