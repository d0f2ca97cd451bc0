"""The simulated streams of public events: publishing may stop half-way, repeat, or succeed without saying so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chapar_sourcing.ports import OffsetOutOfRange, StreamEntry, Unavailable
from tests.simulation.path.line import Line
from tests.simulation.path.world import World

SLOW_SECONDS = (0.02, 0.8)
USUAL_SECONDS = (0.000_2, 0.004)

OnPublished = Callable[[str, int, StreamEntry, float], None]
"""(topic, partition, entry, true time at which it was sent)"""


@dataclass(slots=True)
class StreamPartition:
    """The records of one partition of a topic, and who waits for more."""

    entries: list[StreamEntry] = field(default_factory=list)
    waiting: list[tuple[int, Callable[[], None]]] = field(default_factory=list)


class Topics:
    """What all services share."""

    def __init__(self, world: World, partitions: int, topics: Sequence[str]) -> None:
        self.world = world
        self.count = partitions
        self.logs = {(topic, number): StreamPartition() for topic in topics for number in range(partitions)}
        self.on_published: OnPublished = lambda topic, partition, entry, sent: None
        self.heard = dict.fromkeys(self.logs, 0.0)
        """True time of the last record, beats included."""

    def append(self, topic: str, partition: int, records: Sequence[bytes], sent: float) -> None:
        """Adds records at the end and wakes who waits."""
        log = self.logs[topic, partition]
        self.heard[topic, partition] = self.world.now
        for data in records:
            log.entries.append(StreamEntry(len(log.entries), data))
            self.on_published(topic, partition, log.entries[-1], sent)
        waiting, log.waiting = log.waiting, []
        for offset, wake in waiting:
            if len(log.entries) > offset:
                wake()
            else:
                log.waiting.append((offset, wake))


class PathStream:
    """The Stream port of one process."""

    def __init__(self, topics: Topics, line: Line) -> None:
        self._topics = topics
        self._line = line
        self._world = topics.world

    async def publish(self, topic: str, partition: int, records: Sequence[bytes]) -> None:
        """Appends records in order."""
        happens = self._world.faults.happens
        data, sent = list(records), self._world.now

        def arrive() -> None:
            if happens("publish_halves"):
                self._topics.append(topic, partition, data[: self._line.random.randint(0, len(data))], sent)
                raise Unavailable("no answer")
            self._topics.append(topic, partition, data, sent)
            if happens("publish_doubled"):
                self._topics.append(topic, partition, data, sent)
            if happens("publish_ack_lost"):
                raise Unavailable("no answer")

        least, most = SLOW_SECONDS if happens("publish_slow") else USUAL_SECONDS
        await self._line.ask(arrive, least=least, most=most)

    async def read(
        self, topic: str, partition: int, from_offset: int, *, records_max: int = 500
    ) -> Sequence[StreamEntry]:
        """Records from an offset on."""

        def found() -> Sequence[StreamEntry]:
            entries = self._topics.logs[topic, partition].entries
            if from_offset > len(entries):
                raise OffsetOutOfRange(f"{from_offset} is beyond {len(entries)}")
            return entries[from_offset : from_offset + min(records_max, self._line.random.choice((2, 500)))]

        if self._world.faults.happens("stream_read_fails"):
            await self._line.fail()
        return await self._line.ask(found)

    async def start_offset(self, topic: str, partition: int) -> int:
        """Nothing is ever forgotten here."""
        return await self._line.ask(lambda: 0)

    async def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last record."""
        return await self._line.ask(lambda: len(self._topics.logs[topic, partition].entries))

    async def wait(self, topic: str, positions: dict[int, int], timeout_ms: int) -> bool:
        """Waits for a record of any of the partitions."""
        if any(len(self._topics.logs[topic, p].entries) > offset for p, offset in positions.items()):
            return True
        future = self._line.loop.create_future()
        for partition, offset in positions.items():
            wake = lambda: self._line.answer(future, True)  # noqa: E731
            self._topics.logs[topic, partition].waiting.append((offset, wake))
        self._world.after(timeout_ms / 1000, lambda: self._line.answer(future, False))
        return await future  # type: ignore[no-any-return]

    async def partitions(self, topic: str) -> int:
        """How many partitions every topic has."""
        return await self._line.ask(lambda: self._topics.count)

    async def close(self) -> None:
        """Nothing is held."""
