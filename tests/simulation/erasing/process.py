"""One process: its clock, its keyring, the partitions it owns, and the commands that it makes and decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.clock import OwnerClock
from chapar_sourcing.domain import Document, Key, encode
from chapar_sourcing.eraser import BACKOFF_SECONDS_MIN, Eraser
from chapar_sourcing.erasures import ErasureMark, erasure_key
from chapar_sourcing.keyring import Keyring
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.owner import Command, intake
from chapar_sourcing.ports import DocumentWrite, Unavailable
from chapar_sourcing.positions import Position
from chapar_sourcing.requests import SEALED_MS_MAX
from tests.simulation.erasing.stage import Decided, World, partition_of
from tests.simulation.path.loop import VirtualLoop
from tests.simulation.playing import Violation

FAST_MS_MAX = 20 * 60 * 1000
BOUND_TO = "note"


class ProcessClock:
    """The clock of a machine: off by so much, and steady."""

    def __init__(self, world: World, loop: VirtualLoop, ahead_ms: int) -> None:
        self._world = world
        self._loop = loop
        self._ahead_ms = ahead_ms

    def now_ms(self) -> int:
        return self._world.begin_ms + int(self._world.now * 1000) + self._ahead_ms

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Marks:
    """A partition's view, as far as the eraser reads it."""

    def __init__(self, world: World, partition: int) -> None:
        self._world = world
        self._partition = partition

    async def scan(self, kind: str, parent: str, *, after: str, limit: int) -> Sequence[tuple[Key, Document]]:
        return self._world.marks(self._partition, after, limit)


class Process:
    """Lives until `kill`."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.world = world
        draw = world.stream(name)
        self._draw = draw
        self.loop = VirtualLoop(world, name, draw.uniform(0.95, 1.05))
        ahead = FAST_MS_MAX if world.faults.happens("fast_clock") else 2_000
        self._clock = ProcessClock(world, self.loop, draw.randrange(-2_000, ahead))
        self._owner_clock = OwnerClock(self._clock)
        self.keyring = Keyring(
            world.key_store(name), master_key=bytes(32), clock=self._clock, randomness=draw.randbytes
        )
        self._erasers: dict[int, Eraser] = {}

    @property
    def alive(self) -> bool:
        """Whether it was not killed."""
        return not self.loop.dead

    def kill(self) -> None:
        """Ends at once."""
        self.world.note(f"{self.name} is killed")
        self.loop.kill()

    def begin(self, work: Callable[[], Awaitable[None]]) -> None:
        """Starts a task here."""
        self.loop.call_now(lambda: self.loop.create_task(self._guarded(work)))

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Violation as found:
            self.world.failed(str(found))

    # ---- erasing

    def own(self, partition: int) -> None:
        """Takes a partition over, and with it its erasures."""
        self.world.note(f"{self.name} owns {partition}")
        eraser = Eraser(
            keys=self.keyring, read=partial(self._read, partition), clock=self._clock, measures=HeldMeasures()
        )
        self._erasers[partition] = eraser
        self.begin(partial(self._keep, eraser))

    def owns(self, partition: int) -> bool:
        """Whether it erases for a partition."""
        return self.alive and partition in self._erasers

    def erase(self, subject: str) -> None:
        """Enters an erasure; the store has its mark a little later, if this process lives so long."""
        mark = self.world.enter(subject, self._owner_clock.now_ms())
        if mark is not None:
            self.loop.call_later(self._draw.uniform(0.0, 0.3), self._projected, subject, mark)

    def _projected(self, subject: str, mark: ErasureMark) -> None:
        write = DocumentWrite(erasure_key(subject), Position(0, 0), encode(mark), 0)
        self._erasers[partition_of(subject)].written([write])

    async def _read(self, partition: int, read: Callable[[Any], Awaitable[Any]], /) -> Any:
        return await read(_Marks(self.world, partition))

    async def _keep(self, eraser: Eraser) -> None:
        """As followers do."""
        while True:
            try:
                await eraser.run()
            except Unavailable:
                await asyncio.sleep(BACKOFF_SECONDS_MIN)

    # ---- commands

    async def write(self, subject: str, content: bytes) -> None:
        """Makes a command and decides it, as the chassis and an owner do; made again where it was sealed too early."""
        while True:
            began_ms = self._owner_clock.now_ms()
            try:
                sealed = await self.keyring.seal(subject, BOUND_TO, content)
            except Unavailable:
                return
            late = self.world.faults.happens("decided_late")
            await asyncio.sleep(self._draw.uniform(1.0, 12.0) if late else self._draw.uniform(0.0, 0.1))
            if not self._too_early(began_ms + SEALED_MS_MAX):
                self._decide(Decided(subject, content, sealed, self.world.now))
                return

    def _too_early(self, sealed_until_ms: int) -> bool:
        command = Command(
            ticket=0, actor=journal.Actor(), request_id=b"", content_hash=b"", content_key_id="", body=journal.Actor(),
            deadline_ms=0, sealed_until_ms=sealed_until_ms,
        )  # fmt: skip
        return intake._sealed_too_early(command, self._owner_clock.now_ms())

    def _decide(self, decided: Decided) -> None:
        """Whatever is decided for a subject that lives can be read, at least at this moment."""
        world, key_id = self.world, decided.sealed.key_id
        held = {row.key_id for row in world.keys.rows.values()}
        if not world.has_ended(decided.subject) and key_id not in held | world.lost:
            raise Violation(f"{self.name} decided a content of {decided.subject} whose key {key_id} is destroyed")
        world.note(f"{self.name} decides a content of {decided.subject} under {key_id}")
        world.decided.append(decided)

    async def opened(self, decided: Decided) -> bytes | None:
        """The content, as a reader of this process sees it."""
        while True:
            try:
                return await self.keyring.open(decided.sealed, BOUND_TO)
            except Unavailable:
                await asyncio.sleep(BACKOFF_SECONDS_MIN)
