"""Request ids and the clock they are made by.

An id is a UUIDv7: servers judge by its time whether they can have seen it before. A phone's clock may be wrong, so ids
are made by a corrected clock: the local one plus an offset learned from the servers.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable


def wall_clock_ms() -> int:
    """Milliseconds since 1970 by the local clock."""
    return time.time_ns() // 1_000_000


class Clock:
    """The local clock, corrected by what servers say."""

    def __init__(self, local_ms: Callable[[], int] = wall_clock_ms, *, offset_ms: int = 0) -> None:
        self._local_ms = local_ms
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        """Corrected milliseconds since 1970."""
        return self._local_ms() + self.offset_ms

    def correct(self, server_time_ms: int) -> None:
        """Takes the server's time as the truth of this moment."""
        self.offset_ms = server_time_ms - self._local_ms()


def new_request_id(now_ms: int, randomness: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A UUIDv7 in its canonical text form."""
    value = bytearray(now_ms.to_bytes(6, "big") + randomness(10))
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(value)))
