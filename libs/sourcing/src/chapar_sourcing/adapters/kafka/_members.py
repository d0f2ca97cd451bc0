"""The Members port on two Kafka topics a service: beats, kept for minutes, and owners, compacted by partition.

Both have one partition, are read from the first record kept on, by offset, and never by a group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Self, TypeAlias, TypeVar

from aiokafka import TopicPartition

from chapar_sourcing.adapters.kafka._cluster import Cluster
from chapar_sourcing.adapters.kafka._layouts import members_topic, owners_topic
from chapar_sourcing.adapters.kafka._link import EARLIEST, Link, OutOfRange
from chapar_sourcing.adapters.kafka._producers import NotAcknowledged, NotSent, Producers, appended_ms
from chapar_sourcing.adapters.kafka._reader import Reader
from chapar_sourcing.members.pace import BEAT_DEADLINE_SECONDS
from chapar_sourcing.members.records import (
    announcement_record,
    beat_of,
    beat_record,
    counting,
    owners_word_of,
    placement_record,
)
from chapar_sourcing.ports import Announcement, Beat, News, OwnersAway, Placement, Unavailable

T = TypeVar("T")
OwnersWord: TypeAlias = Announcement | Placement

BEAT_REQUEST_TIMEOUT_MS = 700
"""A broker that is silent for longer is asked no more, and who leads the topic now is asked for: within one beat's
deadline."""
ANNOUNCE_DEADLINE_S = 5.0
READ_DEADLINE_S = 1.0
"""A broker that does not answer for longer is away: the other topic is not waited for either."""
WAIT_MS = 1_000


class _Log(Generic[T]):
    """One topic of one partition, read on from where it was left; nothing is lost where reading ends midway."""

    def __init__(self, link: Link, topic: str, parse: Callable[[bytes], T | None]) -> None:
        self.topic = topic
        self.position = 0
        """The offset to read next."""
        self._link = link
        self._parse = parse
        self._found: list[T] = []

    async def read(self) -> None:
        """Reads on to the end. Raises `Unavailable`."""
        place = TopicPartition(self.topic, 0)
        while True:
            try:
                fetched = await self._link.fetch(place, self.position, deadline_s=READ_DEADLINE_S)
            except OutOfRange:
                self.position = await self._link.offset(place, EARLIEST)
                continue
            parsed = (self._parse(data) for _, data in fetched.records)
            self._found += [one for one in parsed if one is not None]
            self.position = fetched.next_offset
            if self.position >= fetched.end:
                return

    def take(self) -> list[T]:
        """What was read and not taken yet, in order."""
        found, self._found = self._found, []
        return found


class KafkaMembers:
    """The Members port. Many members a service; topics are created beforehand."""

    def __init__(self, reader: Reader, cluster: Cluster) -> None:
        self._reader = reader
        # Each its own: an announcement that is stuck must not keep beats from being sent.
        self._beat_producer = Producers(cluster, size=1, linger_ms=0, request_timeout_ms=BEAT_REQUEST_TIMEOUT_MS)
        self._announce_producer = Producers(cluster, size=1, linger_ms=0)
        self._service = ""
        self._logs: tuple[_Log[Beat], _Log[OwnersWord]] | None = None
        self._views: dict[str, _View] = {}
        self._closed = False

    @classmethod
    async def open(cls, cluster: Cluster) -> Self:
        """Connects. Raises `Unavailable`."""
        return cls(await Reader.open(cluster), cluster)

    async def join(self, service: str) -> None:
        """Becomes a member."""
        self._check_open()
        if self._service:
            raise RuntimeError(f"this process is a member of {self._service} already")
        link = self._reader.link
        beats, owners = members_topic(service), owners_topic(service)
        for topic in (beats, owners):
            await self._reader.partitions(topic)
        self._logs = (_Log(link, beats, beat_of), _Log(link, owners, owners_word_of))
        self._service = service

    async def beat(self, beat: Beat) -> int | None:
        """Appends a beat; the topic is stamped by its broker."""
        beats, _ = self._joined()
        return await self._send(
            self._beat_producer, beats.topic, beat_record(self._service, beat), None, BEAT_DEADLINE_SECONDS
        )

    async def announce(self, announcement: Announcement) -> None:
        """Appends an announcement under its partition as key."""
        await self._say(str(announcement.partition), announcement_record(announcement))

    async def place(self, placement: Placement) -> None:
        """Appends a placement under a key of its own, so that compaction keeps the last one beside announcements."""
        await self._say(f"placed-{placement.partition}", placement_record(placement))

    async def news(self) -> Sequence[News]:
        """What was appended since the last call. Owners are read after the beats, to the end, and are told first; where
        they cannot be, the beats are told all the same."""
        while True:
            beats, owners = self._joined()
            await beats.read()
            try:
                await owners.read()
            except Unavailable:
                announced, beaten = owners.take(), beats.take()
                if not beaten and not announced:
                    raise
                return [*announced, OwnersAway(), *beaten]
            announced, beaten = owners.take(), beats.take()
            if beaten or announced:
                return [*announced, *beaten]
            await self._grown(beats, owners)

    async def owners(self, service: str) -> Mapping[int, Announcement]:
        """Who owns what, as the topic has it now."""
        self._check_open()
        view = self._views.get(service)
        if view is None:
            await self._reader.partitions(owners_topic(service))
            view = self._views.setdefault(service, _View(self._reader.link, service))
        return await view.owners()

    async def close(self) -> None:
        """Ends all connections."""
        if self._closed:
            return
        self._closed = True
        for part in (self._beat_producer, self._announce_producer, self._reader):
            await part.close()

    async def _say(self, key: str, record: bytes) -> None:
        _, owners = self._joined()
        await self._send(self._announce_producer, owners.topic, record, key.encode(), ANNOUNCE_DEADLINE_S)

    async def _send(
        self, producers: Producers, topic: str, record: bytes, key: bytes | None, deadline_s: float
    ) -> int | None:
        try:
            metadata = await producers.send(topic, 0, [record], deadline_s, key=key)
        except (NotSent, NotAcknowledged) as error:
            raise Unavailable(f"{topic} cannot be written: {error}") from error
        if metadata.offset >= 0:
            self._reader.grown(topic, 0, metadata.offset)
        return appended_ms(metadata)

    async def _grown(self, *logs: _Log[Beat] | _Log[OwnersWord]) -> None:
        """Returns when one of the topics has grown, or after a while."""
        waiting = [asyncio.ensure_future(self._reader.wait(log.topic, {0: log.position}, WAIT_MS)) for log in logs]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        for one in done:
            one.result()

    def _joined(self) -> tuple[_Log[Beat], _Log[OwnersWord]]:
        self._check_open()
        if self._logs is None:
            raise RuntimeError("not a member")
        return self._logs

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("closed")


class _View:
    """Who owns what in one service, for whoever is none of its members."""

    def __init__(self, link: Link, service: str) -> None:
        self._log = _Log(link, owners_topic(service), owners_word_of)
        self._owners: dict[int, Announcement] = {}
        self._reading = asyncio.Lock()

    async def owners(self) -> Mapping[int, Announcement]:
        """Reads on to the end."""
        async with self._reading:
            await self._log.read()
            announced = [word for word in self._log.take() if isinstance(word, Announcement)]
            self._owners = counting([*self._owners.values(), *announced])
        return self._owners
