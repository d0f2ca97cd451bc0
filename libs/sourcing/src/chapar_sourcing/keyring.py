"""Sealing with data keys of subjects, kept wrapped in a KeyStore.

Flows in: subjects, contents. Flows out: `Sealed` content, and fingerprint keys. A data key is random, belongs to one
subject and one period (a calendar month of the machine's clock, or one that an erasure forced), and is wrapped by the
master key bound to all three of its names. A key opens for at most 60 s without the KeyStore being asked again, and
seals for at most 2 s: that is what makes destroying one work.
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
from chapar_sourcing.clock import Clock
from chapar_sourcing.erasures import LAST_PERIOD_MS
from chapar_sourcing.ports import KeyRow, KeyStore

K = TypeVar("K")

CACHE_SECONDS_MAX = 60.0
"""How old the knowledge of a key may be that opens."""
SEALING_SECONDS_MAX = 2.0
"""How old the knowledge may be that a key is its subject's newest, for it to seal."""
CACHE_KEYS_MAX = 10_000
NONCE_BYTES = 12
KEY_BYTES = 32
KEY_ID_BYTES = 16


def period_of(now_ms: int) -> int:
    """When the calendar month began, UTC, milliseconds since 1970."""
    moment = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp()) * 1000


@dataclass(frozen=True, slots=True)
class _Cached:
    key_id: str
    subject: str
    period: int
    data_key: bytes
    read_at: float


class Keyring:
    """A `Sealer` and a `KeyDestroyer` on a KeyStore."""

    def __init__(
        self, store: KeyStore, *, master_key: bytes, clock: Clock, randomness: Callable[[int], bytes],
        keys_max: int = CACHE_KEYS_MAX,
    ) -> None:  # fmt: skip
        if len(master_key) != KEY_BYTES:
            raise ValueError("the master key has 32 bytes")
        self._store = store
        self._master = AESGCM(master_key)
        self._clock = clock
        self._randomness = randomness
        self._keys_max = keys_max
        self._by_id: OrderedDict[str, _Cached] = OrderedDict()
        self._newest: OrderedDict[str, _Cached] = OrderedDict()

    async def seal(self, subject: str, bound_to: str, content: bytes) -> journal.Sealed:
        """Seals with the subject's newest key, making one where there is none of this month. Raises `Unavailable`."""
        key = await self._key_of(subject, SEALING_SECONDS_MAX)
        key_id, data_key = key.key_id, key.data_key
        if key.period >= LAST_PERIOD_MS:
            # The subject has ended: a key that is kept nowhere, so that this is erased like all before it.
            key_id, data_key = self._randomness(KEY_ID_BYTES).hex(), self._randomness(KEY_BYTES)
        nonce = self._randomness(NONCE_BYTES)
        ciphertext = AESGCM(data_key).encrypt(nonce, content, bound_to.encode())
        return journal.Sealed(key_id=key_id, nonce=nonce, ciphertext=ciphertext)

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
        """Id and bytes of the key that fingerprints this subject's requests; it may be one of a minute ago."""
        key = await self._key_of(subject, CACHE_SECONDS_MAX)
        return key.key_id, _fingerprint_key(key.data_key)

    async def content_key_by_id(self, key_id: str) -> bytes | None:
        """The bytes of such a key; None when it was destroyed."""
        key = await self._key_by_id(key_id)
        return None if key is None else _fingerprint_key(key.data_key)

    async def force(self, subject: str, period: int) -> bool:
        """Gives the subject a key of this period or a later one; whether it had one. Nobody seals with an earlier one
        once `SEALING_SECONDS_MAX` have passed. Raises `Unavailable`."""
        found = await self._store.current(subject, period)
        if found is None:
            await self._store.insert(self._made(subject, period))
        self._forget(subject)
        return found is not None

    async def destroy(self, subject: str, period_below: int) -> int:
        """Destroys the subject's keys of earlier periods; how many. Other processes open with them for at most
        `CACHE_SECONDS_MAX`. Raises `Unavailable`: destroy again."""
        destroyed = await self._store.destroy(subject, period_below)
        self._forget(subject)
        return destroyed

    def _forget(self, subject: str) -> None:
        self._newest.pop(subject, None)
        for key_id in [key_id for key_id, key in self._by_id.items() if key.subject == subject]:
            del self._by_id[key_id]

    async def _key_of(self, subject: str, seconds_max: float) -> _Cached:
        period = period_of(self._clock.now_ms())
        cached = self._newest.get(subject)
        if cached is not None and cached.period >= period and self._is_young(cached, seconds_max):
            return cached
        asked_at = self._clock.monotonic()
        row = await self._store.current(subject, period) or await self._store.insert(self._made(subject, period))
        key = self._remember(row, asked_at)
        _put(self._newest, subject, key, self._keys_max)
        return key

    async def _key_by_id(self, key_id: str) -> _Cached | None:
        cached = self._by_id.get(key_id)
        if cached is not None and self._is_young(cached, CACHE_SECONDS_MAX):
            return cached
        asked_at = self._clock.monotonic()
        row = await self._store.get(key_id)
        if row is None:
            self._by_id.pop(key_id, None)
            return None
        return self._remember(row, asked_at)

    def _made(self, subject: str, period: int) -> KeyRow:
        key_id = self._randomness(KEY_ID_BYTES).hex()
        nonce = self._randomness(NONCE_BYTES)
        wrapped = self._master.encrypt(nonce, self._randomness(KEY_BYTES), _names(key_id, subject, period))
        return KeyRow(key_id, subject, period, nonce + wrapped)

    def _remember(self, row: KeyRow, asked_at: float) -> _Cached:
        data_key = _unwrapped(self._master, row)
        cached = _Cached(row.key_id, row.subject, row.period, data_key, asked_at)
        _put(self._by_id, row.key_id, cached, self._keys_max)
        return cached

    def _is_young(self, cached: _Cached, seconds_max: float) -> bool:
        return self._clock.monotonic() - cached.read_at < seconds_max


def check_master(master_key: bytes, row: KeyRow) -> None:
    """Raises `ValueError` where the master key does not open this key."""
    _unwrapped(AESGCM(master_key), row)


def _unwrapped(master: AESGCM, row: KeyRow) -> bytes:
    names = _names(row.key_id, row.subject, row.period)
    try:
        return master.decrypt(row.wrapped[:NONCE_BYTES], row.wrapped[NONCE_BYTES:], names)
    except InvalidTag:
        raise ValueError(f"key {row.key_id} was changed, or wrapped by another master key") from None


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
