"""How many calls may be in flight, by priority: the lower a call's priority, the sooner it is refused.

Streams are not counted here; they are bounded a user and a process by `subscriptions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from chapar.options.v1 import options_pb2 as options

SHARES: Mapping[int, float] = MappingProxyType(
    {
        options.PRIORITY_P0: 1.0,
        options.PRIORITY_P1: 0.9,
        options.PRIORITY_P2: 0.75,
        options.PRIORITY_P3: 0.6,
        options.PRIORITY_P4: 0.5,
    }
)
"""A call is let in while fewer calls than this share of the room are in flight: P4 is refused first, P0 last."""


class Admission:
    """Counts the calls in flight of one process."""

    def __init__(self, calls_max: int) -> None:
        self._bounds = {priority: max(1, int(calls_max * share)) for priority, share in SHARES.items()}
        self._calls = 0

    @property
    def calls(self) -> int:
        """Calls in flight now."""
        return self._calls

    def admits(self, priority: int) -> bool:
        """Whether a call of this priority may begin now. Nothing may be awaited between this and `counted`."""
        return self._calls < self._bounds[priority]

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts one call while it runs."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
