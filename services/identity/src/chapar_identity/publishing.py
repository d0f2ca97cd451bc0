"""What other services are told, and on which stream."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from chapar.identity.events.v1 import events_pb2 as public
from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_sourcing.domain import When

EVENTS_TOPIC = "identity.events.v1"
REVOCATIONS_TOPIC = "revocations.v1"
"""Read whole by every gateway before it is ready; beats say how fresh it is."""


def public_event(event: pb.Event, when: When) -> Sequence[tuple[str, Message]]:
    """(topic, event) pairs; every session that ends early is a revocation, whatever ended it."""
    match event.WhichOneof("kind"):
        case "user_registered":
            registered = public.UserRegistered(user_id=event.user_registered.user_id)
            return [(EVENTS_TOPIC, public.Event(user_registered=registered))]
        case "user_erased":
            erased = public.UserErased(user_id=event.user_erased.user_id)
            return [(EVENTS_TOPIC, public.Event(user_erased=erased))]
        case "session_ended":
            ended = event.session_ended
            revoked = public.Event(
                session_revoked=public.SessionRevoked(user_id=ended.user_id, session_id=ended.session_id)
            )
            return [(EVENTS_TOPIC, revoked), (REVOCATIONS_TOPIC, revoked)]
        case _:
            return []
