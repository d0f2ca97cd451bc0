"""Tells each second how all partitions of a process are doing: what is read off, not counted as it happens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from chapar_sourcing.clock import Clock, OwnerClock
from chapar_sourcing.heartbeat import Heartbeat
from chapar_sourcing.measures import Measures
from chapar_sourcing.partition import OwnedPartition

INTERVAL_SECONDS = 1.0
LATE_SECONDS = 30.0
"""What is under way for longer is in doubt."""


class Reporting:
    """One process's readings."""

    def __init__(self, clock: Clock, owner_clock: OwnerClock, heartbeat: Heartbeat, measures: Measures) -> None:
        self._clock = clock
        self._owner_clock = owner_clock
        self._heartbeat = heartbeat
        self._measures = measures
        self._due = clock.monotonic()
        self._told: set[int] = set()
        """Partitions of which something was told last time."""

    def step(self, partitions: Sequence[OwnedPartition], members: int) -> None:
        """Reads everything off, if it is time; called at least as often as that."""
        now = self._clock.monotonic()
        if now < self._due:
            return
        self._due = now + INTERVAL_SECONDS
        gauge = self._measures.gauge
        gauge("members_alive", members)
        gauge("heartbeat_age_seconds", self._heartbeat.age_seconds)
        gauge("partitions_held", len(partitions))
        gauge("partitions_owned", sum(partition.shell.owning for partition in partitions))
        gauge("partitions_troubled", sum(bool(partition.health().problem) for partition in partitions))
        gauge("commands_waiting", sum(partition.shell.owner.waiting for partition in partitions))
        gauge("documents_in_memory", sum(partition.shell.owner.resident for partition in partitions))
        gauge("documents_unstored", sum(partition.shell.owner.backlog for partition in partitions))
        gauge("watchers", sum(partition.watches.open for partition in partitions))
        self._projections(partitions)
        self._followers(partitions)

    def _projections(self, partitions: Sequence[OwnedPartition]) -> None:
        """Of a partition that left nothing is behind here: its next owner tells."""
        now_ms = self._owner_clock.now_ms()
        lags = {partition.number: partition.projection_lag(now_ms) for partition in partitions}
        for number in self._told | {*lags}:
            offsets, seconds = lags.get(number, (0, 0.0))
            self._measures.gauge("projection_lag_offsets", offsets, partition=str(number))
            self._measures.gauge("projection_lag_seconds", seconds, partition=str(number))
        self._told = {*lags}

    def _followers(self, partitions: Sequence[OwnedPartition]) -> None:
        relays: defaultdict[str, int] = defaultdict(int)
        ages: defaultdict[str, float] = defaultdict(float)
        items: defaultdict[str, int] = defaultdict(int)
        carried: defaultdict[str, int] = defaultdict(int)
        late: defaultdict[str, int] = defaultdict(int)
        now_ms = self._owner_clock.now_ms()
        for partition in partitions:
            for relay in partition.followers.relays:
                relays[relay.topic] = max(relays[relay.topic], relay.lag)
            for reactor in partition.followers.reactors:
                ages[reactor.name] = max(ages[reactor.name], reactor.age_seconds(now_ms))
                items[reactor.name] += reactor.items
                carried[reactor.name] += reactor.carried(now_ms)
                late[reactor.name] += reactor.carried(now_ms, LATE_SECONDS)
        for topic, lag in relays.items():
            self._measures.gauge("relay_lag_offsets", lag, topic=topic)
        for name, age in ages.items():
            self._measures.gauge("reactor_lag_seconds", age, reactor=name)
            self._measures.gauge("reactor_items", items[name], reactor=name)
            self._measures.gauge("reactor_carried", carried[name], reactor=name)
            self._measures.gauge("reactor_carried_late", late[name], reactor=name)
