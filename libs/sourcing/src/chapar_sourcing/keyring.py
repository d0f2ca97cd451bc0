"""Sealing with data keys of subjects, kept wrapped in a KeyStore.

Flows in: subjects, contents. Flows out: `Sealed` content, and fingerprint keys. A data key is random, belongs to one
subject and one period (a calendar month of the owner's clock), and is wrapped by the master key bound to all three of
its names. Keys are cached for at most 60 s and used no longer than that without asking the KeyStore again: that is
what makes destroying one work.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.clock import Clock, OwnerClock
from chapar_sourcing.ports import KeyRow, KeyStore

K = TypeVar("K")

CACHE_SECONDS_MAX = 60.0
CACHE_KEYS_MAX = 10_000
NONCE_BYTES = 12
KEY_BYTES = 32


def period_of(now_ms: int) -> int:
    """The number of a calendar month, UTC: twelve times the year, plus the month from 0."""
    moment = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    return moment.year * 12 + moment.month - 1


@dataclass(frozen=True, slots=True)
class _Cached:
    key_id: str
    data_key: bytes
    read_at: float


class Keyring:
    """A `Sealer` on a KeyStore."""

    def __init__(
        self, store: KeyStore, *, master_key: bytes, clock: Clock, randomness: Callable[[int], bytes],
        keys_max: int = CACHE_KEYS_MAX,
    ) -> None:  # fmt: skip
        if len(master_key) != KEY_BYTES:
            raise ValueError("the master key has 32 bytes")
        self._store = store
        self._master = AESGCM(master_key)
        self._clock = clock
        self._now = OwnerClock(clock)
        self._randomness = randomness
        self._keys_max = keys_max
        self._by_id: OrderedDict[str, _Cached] = OrderedDict()
        self._current: OrderedDict[tuple[str, int], _Cached] = OrderedDict()

    async def seal(self, subject: str, bound_to: str, content: bytes) -> journal.Sealed:
        """Seals with the subject's key of this month, making one where there is none. Raises `Unavailable`."""
        key = await self._key_of(subject)
        nonce = self._randomness(NONCE_BYTES)
        ciphertext = AESGCM(key.data_key).encrypt(nonce, content, bound_to.encode())
        return journal.Sealed(key_id=key.key_id, nonce=nonce, ciphertext=ciphertext)

    async def open(self, sealed: journal.Sealed, bound_to: str) -> bytes | None:
        """The content; None when its key was destroyed.

        Raises `ValueError` when it was tampered with or is bound to something else, `Unavailable` when keys are away.
        """
        key = await self._key_by_id(sealed.key_id)
        if key is None:
            return None
        if len(sealed.nonce) != NONCE_BYTES:
            raise ValueError("sealed content has a nonce of 12 bytes")
        try:
            return AESGCM(key.data_key).decrypt(sealed.nonce, sealed.ciphertext, bound_to.encode())
        except InvalidTag:
            raise ValueError("sealed content was changed, or belongs to something else") from None

    async def content_key(self, subject: str) -> tuple[str, bytes]:
        """Id and bytes of the key that fingerprints this subject's requests."""
        key = await self._key_of(subject)
        return key.key_id, _fingerprint_key(key.data_key)

    async def content_key_by_id(self, key_id: str) -> bytes | None:
        """The bytes of such a key; None when it was destroyed."""
        key = await self._key_by_id(key_id)
        return None if key is None else _fingerprint_key(key.data_key)

    async def _key_of(self, subject: str) -> _Cached:
        period = period_of(self._now.now_ms())
        cached = self._current.get((subject, period))
        if cached is not None and self._is_young(cached):
            return cached
        asked_at = self._clock.monotonic()
        row = await self._store.current(subject, period) or await self._store.insert(self._made(subject, period))
        return self._remember(row, asked_at, period)

    async def _key_by_id(self, key_id: str) -> _Cached | None:
        cached = self._by_id.get(key_id)
        if cached is not None and self._is_young(cached):
            return cached
        asked_at = self._clock.monotonic()
        row = await self._store.get(key_id)
        if row is None:
            self._by_id.pop(key_id, None)
            return None
        return self._remember(row, asked_at, None)

    def _made(self, subject: str, period: int) -> KeyRow:
        key_id = self._randomness(16).hex()
        nonce = self._randomness(NONCE_BYTES)
        wrapped = self._master.encrypt(nonce, self._randomness(KEY_BYTES), _names(key_id, subject, period))
        return KeyRow(key_id, subject, period, nonce + wrapped)

    def _remember(self, row: KeyRow, asked_at: float, period: int | None) -> _Cached:
        names = _names(row.key_id, row.subject, row.period)
        try:
            data_key = self._master.decrypt(row.wrapped[:NONCE_BYTES], row.wrapped[NONCE_BYTES:], names)
        except InvalidTag:
            raise ValueError(f"key {row.key_id} was changed, or wrapped by another master key") from None
        cached = _Cached(row.key_id, data_key, asked_at)
        _put(self._by_id, row.key_id, cached, self._keys_max)
        if period is not None:
            _put(self._current, (row.subject, period), cached, self._keys_max)
        return cached

    def _is_young(self, cached: _Cached) -> bool:
        return self._clock.monotonic() - cached.read_at < CACHE_SECONDS_MAX


def _names(key_id: str, subject: str, period: int) -> bytes:
    return "\0".join((key_id, subject, str(period))).encode()


def _fingerprint_key(data_key: bytes) -> bytes:
    """A key of its own for fingerprints, which dies with the data key."""
    return hmac.new(data_key, b"chapar content fingerprint", hashlib.sha256).digest()


def _put(cache: OrderedDict[K, _Cached], key: K, cached: _Cached, keys_max: int) -> None:
    cache[key] = cached
    cache.move_to_end(key)
    while len(cache) > keys_max:
        cache.popitem(last=False)
