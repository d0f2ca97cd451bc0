"""What was found of an installation: numbers and words of our own, nothing that anybody wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chapar_client.doctor._metrics import Sample


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of a service, by whoever owns it."""

    number: int
    epoch: int
    owner: str
    """A process by name; empty when nobody of this folder owns it."""
    phase: str
    lag: int
    """Records that its store is behind."""
    well: bool
    """Whether its owner decides and complains about nothing; what it says is for `chapar owners show`."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process."""

    name: str
    service: str
    address: str
    state: str
    """ "ready", "not ready" or "away"."""
    members: Sequence[str] = ()
    """Whom it sees, itself first, by name; "?" for one of another folder. Of gateways: nobody."""
    metrics: Sequence[Sample] | None = None
    """None: they could not be read."""

    def most(self, name: str, **labels: str) -> float | None:
        """The number of a metric with these labels that is farthest from 0; None where there is none."""
        found = [
            sample.value
            for sample in self.metrics or ()
            if sample.name == name and labels.items() <= dict(sample.labels).items()
        ]
        return max(found, key=abs, default=None)


@dataclass(frozen=True, slots=True)
class Found:
    """Everything."""

    processes: Sequence[Process]
    partitions: Mapping[str, Sequence[Partition]] = field(default_factory=dict)
    """By service; a service none of whose processes answered has none."""
    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By service: what it says of itself and of what it stands on, see `chapar_chassis.doctor_command`."""
    unreported: Mapping[str, int] = field(default_factory=dict)
    """Services that could not say it, with the status in which they ended."""
    clock_ahead_ms: int | None = None
    """How far a gateway's clock is ahead of this machine's; None where no gateway answered."""
