"""What the engine counts, behind a small interface: the chassis brings the metrics library.

Names are in snake case with the unit last; labels are few and bounded (a partition, a topic, a reason).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol


class Measures(Protocol):
    """Takes in counts and readings."""

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Adds to a counter."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets a reading."""


class HeldMeasures:
    """Keeps counts and readings in memory: for tests, and where nobody collects them."""

    def __init__(self) -> None:
        self.counters: defaultdict[str, int] = defaultdict(int)
        self.gauges: dict[str, float] = {}

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Adds to the counter, over all labels together."""
        self.counters[name] += amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets the reading of this name and these labels."""
        self.gauges[",".join([name, *(f"{k}={v}" for k, v in sorted(labels.items()))])] = value
