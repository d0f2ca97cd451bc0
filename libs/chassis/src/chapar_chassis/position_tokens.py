"""What makes a client's reads monotonic: how far a partition had come when it answered, authenticated.

An owner puts one into the trailing metadata of each answer; a client sends back the highest it saw of each partition
of that service, and an owner that has not come so far refuses. A token is 32 bytes: generation (4), partition (4) and
offset (8) as big-endian numbers, and the first 16 bytes of their HMAC-SHA-256, bound to the service.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable

POSITION_KEY = "chapar-position-bin"
"""The metadata's name, both ways; it may be there several times."""
_PLACE = struct.Struct(">iiq")
_MAC_BYTES = 16


class PositionTokens:
    """Makes and reads the tokens of one service."""

    def __init__(self, key: bytes, service: str, generation: int) -> None:
        """`key` is the installation's position key, `generation` the journal's."""
        self._key = key
        self._service = service.encode()
        self._generation = generation

    def make(self, partition: int, offset: int) -> bytes:
        """The token of a partition that has come to `offset`."""
        place = _PLACE.pack(self._generation, partition, offset)
        return place + self._mac(place)

    def least_offset(self, tokens: Iterable[str | bytes], partition: int) -> int:
        """The highest offset that genuine tokens name for this partition; -1 when none does.

        Tokens of other partitions, other generations and other installations say nothing.
        """
        return max((self._offset(token, partition) for token in tokens), default=-1)

    def _offset(self, token: str | bytes, partition: int) -> int:
        if not isinstance(token, bytes) or len(token) != _PLACE.size + _MAC_BYTES:
            return -1
        place, mac = token[: _PLACE.size], token[_PLACE.size :]
        if not hmac.compare_digest(self._mac(place), mac):
            return -1
        generation, named, offset = _PLACE.unpack(place)
        return int(offset) if (generation, named) == (self._generation, partition) else -1

    def _mac(self, place: bytes) -> bytes:
        return hmac.new(self._key, self._service + b"\0" + place, hashlib.sha256).digest()[:_MAC_BYTES]
