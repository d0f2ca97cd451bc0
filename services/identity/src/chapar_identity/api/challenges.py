"""Keyed hashes and ids of sign-ins.

A challenge's id is "sXXXX.<phone hash>.<random>": the slot and the keyed hash of its phone, so that completing it finds
the phone without an index. Codes leave this module hashed together with their challenge.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from chapar_sourcing.partitions import slot_of, slot_of_prefixed, slot_prefix

PHONE_KEY_VERSION = "1"
"""In front of every phone hash: hashes under another key will have another one."""
RANDOM_BYTES = 16
_HASH_BYTES = 16
_CHALLENGE = re.compile(rf"s[0-9a-f]{{4}}\.({PHONE_KEY_VERSION}[a-z2-7]{{26}})\.[a-z2-7]{{26}}")


class Challenges:
    """Makes and reads what names phones and challenges."""

    def __init__(self, *, phone_key: bytes, codes_key: bytes) -> None:
        self._phone_key = phone_key
        self._codes_key = codes_key

    def phone_hash(self, phone: str) -> str:
        """The keyed hash of a phone, with the version of its key."""
        return PHONE_KEY_VERSION + _base32(_mac(self._phone_key, phone.encode())[:_HASH_BYTES])

    def challenge_id(self, phone: str, randomness: bytes) -> str:
        """A new challenge's id from 16 random bytes."""
        return f"{self.phone_key(phone)}.{_base32(randomness[:RANDOM_BYTES])}"

    def phone_key(self, phone: str) -> str:
        """The routing key of a phone that does not tell it: its slot and its hash."""
        return f"{slot_prefix(slot_of(phone))}{self.phone_hash(phone)}"

    def code_mac(self, challenge_id: str, code: str) -> bytes:
        """The keyed hash of a challenge and a code."""
        return _mac(self._codes_key, f"{challenge_id}\0{code}".encode())


def phone_hash_of(challenge_id: str) -> str | None:
    """The phone's hash in a challenge's id, or None when it is not one."""
    found = _CHALLENGE.fullmatch(challenge_id)
    if found is None or slot_of_prefixed(challenge_id) is None:
        return None
    return found[1]


def phone_hash_of_key(phone_key: str) -> str:
    """The phone's hash in a phone's routing key."""
    return phone_key.partition(".")[2]


def code_of(randomness: bytes) -> str:
    """Six digits from at least eight random bytes; none is likelier than another by more than 10**-13."""
    return f"{int.from_bytes(randomness[:8], 'big') % 1_000_000:06d}"


def bound_to_phone(phone_hash: str) -> str:
    """What a phone number is sealed to at the phone's partition."""
    return f"phone/{phone_hash}"


def bound_to_challenge(challenge_id: str) -> str:
    """What a code is sealed to."""
    return f"challenge/{challenge_id}"


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
