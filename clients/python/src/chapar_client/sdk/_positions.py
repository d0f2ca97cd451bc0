"""Monotonic reads: what an answer was built from is shown to whoever answers next.

Owners send an authenticated position with each answer. Its bytes are theirs; here only the generation, the partition
and the offset at its start are read, to know which of two is the higher one.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable

from chapar_client.sdk._transport import Metadata

HEADER = "chapar-position-bin"

_KEYS_MAX = 10_000
_HEAD = struct.Struct(">IIq")


class Positions:
    """The highest position seen of each (service, partition), and the partition of each key seen."""

    def __init__(self) -> None:
        self._partitions: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._highest: dict[tuple[str, int], bytes] = {}
        self._changed: dict[tuple[str, str], bytes] = {}

    def restore(self, places: Iterable[tuple[str, str, bytes]]) -> None:
        """Takes in what an earlier process stored."""
        for service, key, position in places:
            self._note(service, key, position)

    def metadata_for(self, service: str, key: str) -> Metadata:
        """What to send with a call for this routing key."""
        partition = self._partitions.get((service, key))
        position = None if partition is None else self._highest.get((service, partition))
        return () if position is None else ((HEADER, position),)

    def take(self, service: str, key: str, trailing: Metadata) -> None:
        """Remembers the position of an answer."""
        for name, value in trailing:
            if name == HEADER and isinstance(value, bytes) and self._note(service, key, value):
                self._changed[service, key] = value

    def drain_changes(self) -> list[tuple[str, str, bytes]]:
        """(service, key, position) taken since the last call, to be stored."""
        changes = [(service, key, position) for (service, key), position in self._changed.items()]
        self._changed.clear()
        return changes

    def _note(self, service: str, key: str, position: bytes) -> bool:
        if len(position) < _HEAD.size:
            return False
        partition = _HEAD.unpack_from(position)[1]
        self._partitions[service, key] = partition
        self._partitions.move_to_end((service, key))
        if len(self._partitions) > _KEYS_MAX:
            self._partitions.popitem(last=False)
        known = self._highest.get((service, partition))
        if known is None or _rank(known) < _rank(position):
            self._highest[service, partition] = position
            return True
        return False


def _rank(position: bytes) -> tuple[int, int]:
    generation, _, offset = _HEAD.unpack_from(position)
    return generation, offset
