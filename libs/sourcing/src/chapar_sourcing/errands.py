"""What an owner asks for, done: each errand takes one effect to a port and comes back with one input."""

from __future__ import annotations

import time

from chapar_sourcing.ahead import Ahead
from chapar_sourcing.clock import OwnerClock
from chapar_sourcing.measures import Measures
from chapar_sourcing.owner import (
    Append,
    AppendFailed,
    AppendSucceeded,
    DocumentsLoaded,
    Input,
    Load,
    LoadFailed,
    LoadTimers,
    LoadTimersFailed,
    Read,
    ReadFailed,
    RecordsRead,
    TimersLoaded,
)
from chapar_sourcing.ports import (
    AppendRejected,
    AppendUnknown,
    Journal,
    OffsetOutOfRange,
    Store,
    StoreBehind,
    Unavailable,
)
from chapar_sourcing.timers import TIMER_KIND

READ_RECORDS_MAX = 500
KNOWN_RECORD_WAIT_MS = 1_000
"""How long a record that is known to exist may take to become readable before the read counts as failed."""


class Stopwatch:
    """Time since it was made, by the machine: for measures, which nothing is decided by."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since."""
        return time.perf_counter() - self._began


class Errands:
    """Errands of one partition."""

    def __init__(
        self, partition: int, journal: Journal, store: Store, ahead: Ahead, clock: OwnerClock, measures: Measures
    ) -> None:
        self._partition = partition
        self._journal = journal
        self._store = store
        self._ahead = ahead
        self._clock = clock
        self._measures = measures
        self.records_read = 0

    async def append(self, effect: Append) -> Input:
        """Appends; only a rejection is certain to have failed. The journal's time goes to the clock."""
        sent = self._clock.stamp()
        took = Stopwatch()
        try:
            done = await self._journal.append(self._partition, effect.data, fresh_producer=effect.fresh_producer)
        except AppendRejected:
            return AppendFailed(effect.append_id, certain=True)
        except (AppendUnknown, Unavailable):
            self._measures.count("appends_unknown")
            return AppendFailed(effect.append_id, certain=False)
        self._measures.observe("append_seconds", took.seconds)
        if done.time_ms is not None:
            self._clock.heard(done.time_ms, sent)
            self._measures.gauge("clock_off_ms", self._clock.off_ms, partition=str(self._partition))
        known = done.offset is not None and done.offset >= 0
        return AppendSucceeded(effect.append_id, done.offset if known else None)

    async def read(self, effect: Read) -> Input:
        """Reads one chunk; an empty one is the end."""
        try:
            if effect.up_to is not None and not await self._journal.wait(
                self._partition, effect.up_to, KNOWN_RECORD_WAIT_MS
            ):
                return ReadFailed(effect.read_id)
            records = await self._journal.read(self._partition, effect.from_offset, records_max=READ_RECORDS_MAX)
        except OffsetOutOfRange:
            return ReadFailed(effect.read_id, out_of_range=True)
        except Unavailable:
            return ReadFailed(effect.read_id)
        self.records_read += len(records)
        self._measures.count("records_read", len(records))
        self._ahead.take(records)
        return RecordsRead(effect.read_id, records, at_end=not records)

    async def load(self, effect: Load) -> Input:
        """Loads documents."""
        took = Stopwatch()
        try:
            documents = await self._ahead.load(effect.keys, at_least=effect.at_least)
        except (Unavailable, StoreBehind):
            self._measures.count("loads_failed")
            return LoadFailed(effect.load_id)
        self._measures.observe("load_seconds", took.seconds)
        self._measures.count("documents_loaded", len(effect.keys))
        return DocumentsLoaded(effect.load_id, documents)

    async def load_timers(self, effect: LoadTimers) -> Input:
        """Reads a page of timers."""
        try:
            page = await self._store.scan(
                self._partition, TIMER_KIND, "", at_least=effect.at_least, after=effect.after, limit=effect.limit
            )
        except (Unavailable, StoreBehind):
            return LoadTimersFailed(effect.load_id)
        return TimersLoaded(effect.load_id, [key.id for key, _ in page])
