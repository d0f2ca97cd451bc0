"""A host on fakes that outlive it, so that tests crash it, start it again and run two at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import (
    Fault,
    MemoryDirectory,
    MemoryJournal,
    MemoryLog,
    MemoryMembers,
    MemoryStore,
    MemoryStream,
    MemoryTables,
    MemoryTopics,
)
from chapar_sourcing.clock import Clock, ManualClock, SystemClock
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, Request
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.owner import Outcome
from chapar_sourcing.partitions import partition_of_id
from chapar_sourcing.requests import make_request_id
from chapar_sourcing.tenure import Transition
from chapar_sourcing.tracing import NO_TRACER, Tracer

from .notebook import Command, Notebook

PARTITIONS = 4
BOUND_SECONDS = 20.0
_numbers = itertools.count(1)


async def eventually(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Waits until a condition holds, at most for the bound."""
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.005)


def book_at(partition: int, partitions: int = PARTITIONS) -> str:
    """A book's name that lives in a partition."""
    return next(n for i in itertools.count() if partition_of_id(n := f"book-{i}", partitions) == partition)


class Impatient(ManualClock):
    """A clock whose sleepers wake at once; how long they meant to sleep is kept."""

    def __init__(self) -> None:
        super().__init__(0)
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass
class World:
    """What outlives a process."""

    log: MemoryLog = field(default_factory=lambda: MemoryLog(partitions=PARTITIONS))
    tables: MemoryTables = field(default_factory=MemoryTables)
    topics: MemoryTopics = field(default_factory=MemoryTopics)
    published: dict[str, int | None] = field(default_factory=dict)

    def ports(self, *, journal_fault: Fault | None = None, store_fault: Fault | None = None,
              stream_fault: Fault | None = None, members_fault: Fault | None = None) -> HostPorts:  # fmt: skip
        """The ports of one process."""
        return HostPorts(
            MemoryJournal(self.log, fault=journal_fault),
            MemoryStore(self.tables, fault=store_fault),
            MemoryMembers(MemoryDirectory(), fault=members_fault),
            MemoryStream(self.topics, topics=self.published, partitions=PARTITIONS, fault=stream_fault),
        )


@dataclass
class Process:
    """A running host."""

    host: OwnerHost
    measures: HeldMeasures
    task: asyncio.Task[None]

    async def write(self, book: str, text: str = "", **fields: Any) -> Outcome:
        """Submits a command as a user."""
        now_ms = self.host.now_ms
        request_id = make_request_id(now_ms, next(_numbers).to_bytes(10, "big"))
        return await self.submit(request_id, Command(book=book, text=text, **fields))

    async def submit(self, request_id: bytes, command: Any) -> Outcome:
        """Submits a command under a request id."""
        return await self.host.submit(partition_of_id(command.book, PARTITIONS), self.request_of(command, request_id))

    def request_of(self, command: Any, request_id: bytes = b"") -> Request:
        """A user's request, under a new id unless one is given."""
        made = request_id or make_request_id(self.host.now_ms, next(_numbers).to_bytes(10, "big"))
        return Request(
            actor=journal.Actor(user="u"), request_id=made, content_hash=command.SerializeToString(),
            content_key_id="k", body=command, deadline_ms=self.host.now_ms + 20_000,
        )  # fmt: skip

    async def texts(self, book: str) -> Sequence[str]:
        """The notes of a book, read as a query reads."""

        async def scan(view: Any) -> Sequence[str]:
            return [note.text for _, note in await view.scan("note", book)]

        return await self.host.read(partition_of_id(book, PARTITIONS), scan, deadline_ms=self.host.now_ms + 20_000)

    async def ready(self) -> None:
        """Waits until every partition decides."""
        async with asyncio.timeout(BOUND_SECONDS):
            while not self.host.ready:
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.005)

    async def taken(self) -> None:
        """Returns in the moment in which it begins to take partitions over."""
        async with asyncio.timeout(BOUND_SECONDS):
            while not (self.host.health() or self.task.done()):  # noqa: ASYNC110 - no event tells.
                await asyncio.sleep(0)

    async def end(self) -> None:
        """Ends in order."""
        self.host.stop()
        async with asyncio.timeout(BOUND_SECONDS):
            await self.task

    async def crash(self) -> None:
        """Ends as a killed process does: at once, nothing written any more."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def config(**changes: Any) -> HostConfig:
    """Settings with short waits."""
    return HostConfig(**{
        "service": "notebook", "address": "here:1", "tick_interval_ms": 10, "projection_linger_ms": 5,
        "owned": range(PARTITIONS), **changes,
    })  # fmt: skip


@asynccontextmanager
async def running(
    world: World, *, ports: HostPorts | None = None, rules: HostRules | None = None, remote: Any = None,
    wait_ready: bool = True, clock: Clock | None = None,
    on_transition: Callable[[Transition], None] = lambda _: None, tracer: Tracer = NO_TRACER, **changes: Any,
) -> AsyncIterator[Process]:  # fmt: skip
    """A host that is crashed at the end unless it has ended."""
    measures = HeldMeasures()
    host = OwnerHost(
        config(**changes), ports or world.ports(), rules or HostRules(Notebook()),
        clock=clock or SystemClock(), measures=measures, remote=remote, on_transition=on_transition,
        tracer=tracer,
    )  # fmt: skip
    process = Process(host, measures, asyncio.create_task(host.run(), name="host"))
    try:
        if changes.get("owned", True) is not None:
            await (process.ready() if wait_ready else process.taken())
        yield process
    finally:
        await process.crash()
