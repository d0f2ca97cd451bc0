"""Request ids: UUIDv7, made by the caller before its first try; and who the caller is.

An id is judged by its own time against the clock of the log: that is how an owner knows, without a look-up, that it
has never seen it.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid

from chapar.sourcing.journal.v1 import journal_pb2 as journal

FUTURE_MS_MAX = 5_000
"""An id this far ahead of the owner's clock is refused; the same margin separates "surely new" from "ask the store"."""

ID_AGE_MS_MAX = 30 * 24 * 3600 * 1000
"""Older ids are refused: their answers may be gone."""

ANSWER_AGE_MS_MAX = 31 * 24 * 3600 * 1000
"""Answers whose block is older may be gone from the store. Longer than ids live, by more than the margin above. (A
reactor's id lives for ever: its commands are harmless to repeat by their own means.)"""


def answers_since_ms(time_ms: int, *, keeps_answers: bool) -> int | None:
    """The block time from which on all answers are kept, when the log's clock is `time_ms`; None: all are."""
    return None if keeps_answers else time_ms - ANSWER_AGE_MS_MAX


SEALED_MS_MAX = 5_000
"""How long after a command was begun to be made it may be decided; later it is made anew, as its keys may be gone."""


def parse_request_id(text: str) -> bytes | None:
    """The 16 bytes of a UUIDv7 in its canonical text form, or None."""
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        return None
    if str(parsed) != text or parsed.version != 7 or parsed.variant != uuid.RFC_4122:
        return None
    return parsed.bytes


def request_time_ms(request_id: bytes) -> int:
    """When the id says it was made, milliseconds since 1970."""
    return int.from_bytes(request_id[:6], "big")


def make_request_id(time_ms: int, randomness: bytes) -> bytes:
    """A UUIDv7 from a time and ten bytes of randomness."""
    value = bytearray(time_ms.to_bytes(6, "big") + randomness[:10])
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return bytes(value)


def derived_request_id(time_ms: int, *parts: str) -> bytes:
    """The id of a reactor's command: the same for the same source event, whoever derives it."""
    return make_request_id(time_ms, hashlib.sha256("\0".join(parts).encode()).digest()[:10])


def scope_of(actor: journal.Actor) -> str:
    """The actor as text: request ids of two scopes never meet."""
    kind = actor.WhichOneof("kind")
    if kind is None:
        raise ValueError("an actor must say who it is")
    return f"{kind}:{getattr(actor, kind)}"


def content_hash(key: bytes, method: str, content: bytes) -> bytes:
    """Fingerprint of what was asked: HMAC-SHA-256 over the method's name and the bytes as they came."""
    return hmac.new(key, method.encode() + b"\0" + content, hashlib.sha256).digest()
