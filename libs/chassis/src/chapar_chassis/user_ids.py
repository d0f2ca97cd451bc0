"""User ids that certify themselves: any service can tell an id that this installation minted from an invented one.

An id is 26 characters: the base32 of ten random bytes and of the first six bytes of their HMAC-SHA-256 under the
installation's user-id key. An invented id passes once in 2^48 tries.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

RANDOM_BYTES = 10
MARK_BYTES = 6
CHARACTERS = 26
ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz234567")


class UserIds:
    """Mints and recognises the user ids of one installation."""

    def __init__(self, key: bytes) -> None:
        """`key` is the installation's user-id key, 32 bytes."""
        if len(key) != 32:
            raise ValueError("the user-id key must have 32 bytes")
        self._key = key

    def mint(self, randomness: bytes) -> str:
        """A new id from at least ten random bytes; the same bytes give the same id."""
        if len(randomness) < RANDOM_BYTES:
            raise ValueError(f"minting a user id takes {RANDOM_BYTES} random bytes")
        body = randomness[:RANDOM_BYTES]
        return base64.b32encode(body + self._mark(body)).decode().rstrip("=").lower()

    def is_genuine(self, user_id: str) -> bool:
        """Whether this installation minted the id, in its one canonical form."""
        if len(user_id) != CHARACTERS or not ALPHABET.issuperset(user_id):
            return False
        try:
            raw = base64.b32decode(user_id.upper() + "======")
        except binascii.Error:
            return False
        body = raw[:RANDOM_BYTES]
        # Compared as text, not as bytes: the last character has two spare bits that must be zero, too.
        return hmac.compare_digest(self.mint(body), user_id)

    def _mark(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:MARK_BYTES]
