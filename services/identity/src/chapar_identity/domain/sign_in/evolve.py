"""What becomes of a phone."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.content import Content, content_of
from chapar_identity.domain.limits import CHALLENGE_TRIES_MAX
from chapar_identity.domain.reading import existing
from chapar_identity.domain.sign_in.documents import Challenge, Phone, forget_key, phone_key
from chapar_identity.domain.sign_in.rules import day_at, run_at
from chapar_sourcing.domain import Document, Key, When
from chapar_sourcing.erasures import erasure_key
from chapar_sourcing.timers import Timer


def touches(event: pb.Event) -> Sequence[Key]:
    """The phone."""
    match event.WhichOneof("kind"):
        case "challenge_started":
            started = event.challenge_started
            due_ms = (started.forget_time_ms, started.cancelled_forget_time_ms)
            return [phone_key(started.phone_hash), *(forget_key(started.phone_hash, ms) for ms in due_ms if ms)]
        case "code_rejected":
            return [phone_key(event.code_rejected.phone_hash)]
        case "signed_in":
            return [phone_key(event.signed_in.phone_hash)]
        case "phone_released":
            released = event.phone_released
            return [phone_key(released.phone_hash), erasure_key(released.erasure.subject)]
        case "attempts_forgotten":
            done = event.attempts_forgotten
            return [phone_key(done.phone_hash), forget_key(done.phone_hash, done.forget_time_ms)]
        case _:
            return []


def evolve_phone(key: Key, document: Document | None, event: pb.Event, when: When) -> Document | None:
    """The phone after the event."""
    match event.WhichOneof("kind"):
        case "challenge_started":
            return _started(document if isinstance(document, Phone) else None, event.challenge_started, when)
        case "code_rejected":
            return _rejected(existing(key, document, Phone), event.code_rejected)
        case "signed_in":
            return replace(
                existing(key, document, Phone), user_id=event.signed_in.session.user_id, challenge=None, run=0
            )
        case "phone_released":
            return replace(existing(key, document, Phone), user_id="", phone=Content(), challenge=None)
        case "attempts_forgotten":
            return _forgotten(existing(key, document, Phone))
        case _:
            return document


def evolve_timer(key: Key, document: Document | None, event: pb.Event, when: When) -> Document | None:
    """The timer of a phone after the event: set by its newest challenge, else cancelled or done."""
    started = event.challenge_started
    return Timer() if key == forget_key(started.phone_hash, started.forget_time_ms) else None


def _forgotten(phone: Phone) -> Phone | None:
    if not phone.user_id:
        return None
    return Phone(
        user_id=phone.user_id, phone=phone.phone, challenge=None, run=0, last_start_ms=0, day_start_ms=0, day_count=0
    )


def _started(phone: Phone | None, event: pb.ChallengeStarted, when: When) -> Phone:
    day_start_ms, day_count = day_at(phone, when.time_ms)
    return Phone(
        user_id=phone.user_id if phone else "",
        phone=content_of(event.phone),
        challenge=Challenge(event.challenge_id, event.code_mac, event.expire_time_ms),
        run=run_at(phone, when.time_ms) + 1,
        last_start_ms=when.time_ms,
        day_start_ms=day_start_ms,
        day_count=day_count + 1,
        forget_at_ms=event.forget_time_ms,
    )


def _rejected(phone: Phone, event: pb.CodeRejected) -> Phone:
    if phone.challenge is None or phone.challenge.challenge_id != event.challenge_id:
        raise ValueError("a code was rejected for a challenge that is not open")
    wrong_tries = CHALLENGE_TRIES_MAX - event.tries_left
    return replace(phone, challenge=replace(phone.challenge, wrong_tries=wrong_tries))
