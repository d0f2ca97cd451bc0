"""What follows a partition's log once it is owned: relays to its streams, reactors on its journal and on streams, and
the eraser of destroyed keys.

Each follower runs on its own: one that cannot go on now tries again from its cursors; one that finds the log damaged
stops and raises the alarm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from chapar_sourcing.clock import Clock
from chapar_sourcing.eraser import Eraser, ReadPartition
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, Targets
from chapar_sourcing.lanes import ChainBroken, CreationRefused
from chapar_sourcing.measures import Measures
from chapar_sourcing.ports import Cursor, DocumentWrite, Unavailable
from chapar_sourcing.positions import NOWHERE
from chapar_sourcing.reactions import Reaction
from chapar_sourcing.reactor import Reactor
from chapar_sourcing.relay import Relay
from chapar_sourcing.sealing import KeyDestroyer
from chapar_sourcing.shell import OwnerShell
from chapar_sourcing.sources import EventSource, JournalSource, StreamSource
from chapar_sourcing.stream_reader import StreamReader
from chapar_sourcing.tail import BlockReader, Tail
from chapar_sourcing.tracing import NO_TRACER, Tracer

BACKOFF_SECONDS_MIN = 0.1
BACKOFF_SECONDS_MAX = 5.0


class Followers:
    """All followers of one partition."""

    def __init__(
        self, *, shell: OwnerShell, tail: Tail, config: HostConfig, ports: HostPorts, rules: HostRules, clock: Clock,
        measures: Measures, targets: Targets, read: ReadPartition, tracer: Tracer = NO_TRACER,
    ) -> None:  # fmt: skip
        self._shell = shell
        self._tail = tail
        self._config = config
        self._ports = ports
        self._rules = rules
        self._clock = clock
        self._measures = measures
        self._tracer = tracer
        self.relays = self._made_relays()
        self.reactors = [self._made_reactor(reaction, targets, read) for reaction in rules.reactions]
        self.eraser = None if rules.keys is None else self._made_eraser(rules.keys, read)

    def may_beat(self, topic: str) -> bool:
        """Whether everything durable of a topic is published, by an owner that is confirmed. One that is not is asked
        to claim anew: who waits for beats may ask for nothing else before they come."""
        if self._shell.alarm:
            return False
        if not self._shell.confirmed_by_heartbeat:
            self._shell.claim_after_lapse()
            return False
        return any(relay.topic == topic and relay.caught_up for relay in self.relays)

    def written(self, documents: Sequence[DocumentWrite]) -> None:
        """Takes in what is in the store for good."""
        if self.eraser is not None:
            self.eraser.written(documents)

    async def run(self) -> None:
        """Follows from when the partition is owned until it is no more, or until cancelled."""
        await self._shell.phase_changed.until(lambda: self._shell.owning or self._shell.ended)
        async with asyncio.TaskGroup() as tasks:
            followers: list[Relay | Reactor | Eraser] = [*self.relays, *self.reactors]
            followers += [] if self.eraser is None else [self.eraser]
            running = [
                tasks.create_task(self._keep(f.name, f.run), name=f"{f.name}-{self._shell.partition}")
                for f in followers
            ]
            await self._shell.phase_changed.until(lambda: self._shell.ended)
            for task in running:
                task.cancel()

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        backoff = BACKOFF_SECONDS_MIN
        while True:
            started = self._clock.monotonic()
            try:
                await run()
            except LogDamaged as damage:
                self._shell.raise_alarm(f"{name}: {damage}")
                return
            except (Unavailable, ChainBroken) as failure:
                if _being_ended():
                    raise asyncio.CancelledError from None
                self._measures.count("followers_restarted", follower=name)
                if isinstance(failure, CreationRefused):
                    continue
            if self._clock.monotonic() - started > BACKOFF_SECONDS_MAX:
                backoff = BACKOFF_SECONDS_MIN
            await self._clock.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_SECONDS_MAX)

    def _made_relays(self) -> list[Relay]:
        public_event = self._rules.public_event
        if public_event is None:
            return []
        topics = [topic.name for topic in self._rules.topics]
        return [
            Relay(
                partition=self._shell.partition, topic=topic, topics=topics, tail=self._tail,
                journal=self._ports.journal, store=self._ports.store, stream=self._ports.stream,
                domain=self._rules.domain, public_event=public_event, measures=self._measures, clock=self._clock,
                tracer=self._tracer,
            )
            for topic in topics
        ]  # fmt: skip

    def _made_reactor(self, reaction: Reaction, targets: Targets, read: ReadPartition) -> Reactor:
        return Reactor(
            reaction=reaction, service=self._config.service, partition=self._shell.partition,
            partitions=self._ports.journal.partitions, open_source=lambda cursor: self._source(reaction, cursor),
            read=read, store=self._ports.store, targets=targets, clock=self._clock, measures=self._measures,
            tracer=self._tracer,
        )  # fmt: skip

    def _made_eraser(self, keys: KeyDestroyer, read: ReadPartition) -> Eraser:
        return Eraser(keys=keys, read=read, clock=self._clock, measures=self._measures)

    def _source(self, reaction: Reaction, cursor: Cursor | None) -> EventSource:
        partition = self._shell.partition
        if reaction.topic is None:
            position, digest = (cursor.position, cursor.hash) if cursor else (NOWHERE, b"")
            reader = BlockReader(partition, self._ports.journal, self._tail, position, digest)
            return JournalSource(reader, self._config.service, partition, reaction.event_type)
        stream_reader = StreamReader(
            stream=self._ports.stream, topic=reaction.topic, partition=partition,
            partitions=self._ports.journal.partitions, cursor=cursor, clock=self._clock,
            hole_ms_max=self._config.stream_hole_ms_max,
        )  # fmt: skip
        return StreamSource(stream_reader, reaction.topic, partition, reaction.event_type)


def _being_ended() -> bool:
    """Whether this task was cancelled: a group of tasks that fails at the same moment tells of its failure alone."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
