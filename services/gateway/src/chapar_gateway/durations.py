"""Durations as this service counts them."""

from __future__ import annotations

from chapar_sourcing.clock import Clock


def milliseconds(clock: Clock) -> int:
    """The clock's monotonic time in milliseconds."""
    return int(clock.monotonic() * 1000)
