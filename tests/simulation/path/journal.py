"""The simulated journal of a service, behind a network that loses, delays and doubles.

Records that have landed are durable and read by everybody. A record in flight may be lost when the journal's server
restarts; a landed one is lost only by `cut`, which a run has to notice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chapar_sourcing.ports import (
    Appended,
    AppendRejected,
    AppendUnknown,
    JournalRecord,
    OffsetOutOfRange,
)
from tests.simulation.path.line import NEAR_SECONDS, Line
from tests.simulation.path.world import World

ACK_TIMEOUT = 0.2
LATE_SECONDS_MAX = 2.5
SLOW_SECONDS = (0.05, 1.0)
LAND_SECONDS = (0.000_3, 0.004)

OnLanded = Callable[[int, JournalRecord], None]


@dataclass(slots=True)
class Flight:
    """A record under way; `lost` once it never lands."""

    lost: bool = False


@dataclass(slots=True)
class LogPartition:
    """The records of a partition, and who waits for more."""

    records: list[JournalRecord] = field(default_factory=list)
    end: int = 0
    waiting: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)


class Log:
    """What all processes of a service share."""

    def __init__(self, world: World, service: str, partitions: int) -> None:
        self.world = world
        self.service = service
        self.journal_id = f"journal-of-{service}"
        self.partitions = [LogPartition() for _ in range(partitions)]
        self._random = world.stream(f"log of {service}")
        self.on_landed: OnLanded = lambda partition, record: None

    def land(self, number: int, data: bytes, flight: Flight) -> int | None:
        """Puts a record at the end; None when it was lost on the way."""
        partition = self.partitions[number]
        if flight.lost:
            return None
        gap = self._random.randint(1, 3) if self.world.faults.happens("append_offset_gap") else 0
        record = JournalRecord(partition.end + gap, data)
        partition.records.append(record)
        partition.end = record.offset + 1
        self.on_landed(number, record)
        waiting, partition.waiting = partition.waiting, []
        for offset, wake in waiting:
            if record.offset >= offset:
                wake()
            else:
                partition.waiting.append((offset, wake))
        return record.offset

    def lose_flight(self) -> None:
        """The journal's server restarts: of what was in flight and not acknowledged, some is lost."""
        for partition in self.partitions:
            for flight in partition.flights:
                flight.lost = self._random.random() < 0.7
            partition.flights.clear()

    def cut(self, number: int, records: int) -> int:
        """Takes the last records away, acknowledged or not; says where the log ends now."""
        partition = self.partitions[number]
        del partition.records[-records:]
        partition.end = partition.records[-1].offset + 1 if partition.records else 0
        return partition.end


class PathJournal:
    """The Journal port of one process."""

    def __init__(self, log: Log, line: Line) -> None:
        self._log = log
        self._line = line
        self._world = log.world
        self._lags_until = 0.0

    def lag(self, seconds: float) -> None:
        """What reads find in the next seconds arrives after them."""
        self._lags_until = self._world.now + seconds

    @property
    def journal_id(self) -> str:
        return self._log.journal_id

    @property
    def generation(self) -> int:
        return 1

    @property
    def partitions(self) -> int:
        return len(self._log.partitions)

    async def append(self, partition: int, data: bytes, *, fresh_producer: bool = False) -> Appended:
        """Sends a record on its way."""
        happens, world, by = self._world.faults.happens, self._world, self._line.random
        if happens("append_rejected"):
            return await self._line.ask(lambda: _raise(AppendRejected("rejected")), most=0.02)
        flight = Flight()
        flights = self._log.partitions[partition].flights
        flights.append(flight)
        unknown = lambda: _raise(AppendUnknown("no answer"))  # noqa: E731
        if happens("append_never_lands"):
            flights.remove(flight)
            return await self._line.ask(unknown, least=ACK_TIMEOUT, most=ACK_TIMEOUT)
        if happens("append_lands_late"):
            world.soon(ACK_TIMEOUT, LATE_SECONDS_MAX, lambda: self._land(partition, data, flight), by)
            return await self._line.ask(unknown, least=ACK_TIMEOUT, most=ACK_TIMEOUT)
        if happens("append_ack_lost"):
            world.soon(*LAND_SECONDS, lambda: self._land(partition, data, flight), by)
            return await self._line.ask(unknown, least=ACK_TIMEOUT, most=ACK_TIMEOUT)
        future = self._line.loop.create_future()

        def land() -> None:
            offset = self._land(partition, data, flight)
            if offset is None:
                world.after(ACK_TIMEOUT, lambda: self._line.answer(future, AppendUnknown("the server restarted")))
                return
            if happens("append_doubled"):
                world.soon(0.0, 0.5, lambda: self._land(partition, data, Flight()), by)
            told = Appended(None if happens("append_no_offset") else offset, world.now_ms)
            if happens("append_ack_slow"):
                world.soon(*SLOW_SECONDS, lambda: self._line.answer(future, told), by)
            else:
                self._line.answer(future, told)

        world.soon(*LAND_SECONDS, land, by)
        return await future  # type: ignore[no-any-return]

    def _land(self, partition: int, data: bytes, flight: Flight) -> int | None:
        flights = self._log.partitions[partition].flights
        if flight in flights:
            flights.remove(flight)
        return self._log.land(partition, data, flight)

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> Sequence[JournalRecord]:
        """Records from an offset on."""

        def found() -> Sequence[JournalRecord]:
            held = self._log.partitions[partition]
            if from_offset > held.end:
                raise OffsetOutOfRange(f"{from_offset} is beyond {held.end}")
            first = len(held.records)
            while first and held.records[first - 1].offset >= from_offset:
                first -= 1
            return held.records[first : first + min(records_max, self._line.random.choice((3, 500)))]

        if self._world.faults.happens("journal_read_fails"):
            await self._line.fail()
        least, most = SLOW_SECONDS if self._world.faults.happens("journal_read_slow") else NEAR_SECONDS
        records = await self._line.ask(found, least=least, most=most)
        late = self._lags_until - self._world.now
        return await self._line.ask(lambda: records, least=late, most=late) if late > 0 else records

    async def end_offset(self, partition: int) -> int:
        """The offset after the last record."""
        return await self._line.ask(lambda: self._log.partitions[partition].end)

    async def wait(self, partition: int, from_offset: int, timeout_ms: int) -> bool:
        """Waits for a record at or after an offset."""
        held = self._log.partitions[partition]
        if held.records and held.records[-1].offset >= from_offset:
            return True
        future = self._line.loop.create_future()
        held.waiting.append((from_offset, lambda: self._line.answer(future, True)))
        self._world.after(timeout_ms / 1000, lambda: self._line.answer(future, False))
        return await future  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Nothing is held."""


def _raise(error: Exception) -> Appended:
    raise error
