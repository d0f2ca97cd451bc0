"""One process of a service: the real host on its own loop, behind a line that dies with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, ReadPolicy
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.owner import Bounds
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.refusing import UNAVAILABLE, EngineRefused
from chapar_sourcing.shell import OwnerShell
from chapar_sourcing.watch import WatchRefused
from tests.simulation.path.journal import Log, PathJournal
from tests.simulation.path.line import Line
from tests.simulation.path.loop import VirtualLoop
from tests.simulation.path.members import Directory, PathMembers
from tests.simulation.path.store import PathStore, Servers
from tests.simulation.path.stream import PathStream, Topics
from tests.simulation.path.world import World

T = TypeVar("T")
Show = Callable[[peer.WatchResponse | str], None]

SKEW_MS_MAX = 1_500
DRIFT_MAX = 0.02
PEER_DEADLINE = 5.0
"""How long reactors wait for another process: longer than a merge of rows stalls."""
TICK_MS = 100
DRAIN_MS_MAX = 2_000
RELEASE_MS_MAX = 1_000
END_SECONDS_MAX = 3.0
"""How long the end of a process may take that was told to stop and does not stand still."""
BROKEN_SECONDS = (2.0, 4.0)
"""How long a process reaches no member when its line stalls."""
READ_SECONDS = (0.05, 1.0)
"""How long a slow reader of a watch takes for a frame."""


@dataclass
class Service:
    """One service: its rules, and what its processes share."""

    name: str
    rules: HostRules
    read_policy: ReadPolicy
    log: Log
    servers: Servers
    processes: list[Process] = field(default_factory=list)
    """Those that run now, zombies included."""
    claimed: dict[int, str] = field(default_factory=dict)
    """Partition -> address of the last valid claim."""

    @property
    def partitions(self) -> int:
        """How many partitions it has."""
        return len(self.log.partitions)


class ProcessClock:
    """The clock of a machine: crooked by a constant, drifting by a rate."""

    def __init__(self, world: World, loop: VirtualLoop, skew_ms: int) -> None:
        self._world = world
        self._loop = loop
        self._skew_ms = skew_ms
        self.jumped_ms = 0
        """By how much it is wrong beside that, since somebody has set it."""

    def now_ms(self) -> int:
        return self._world.now_ms + self._skew_ms + self.jumped_ms

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Process:
    """From its start to its crash or end."""

    end_seconds_max = END_SECONDS_MAX

    def __init__(
        self, world: World, name: str, service: Service, owned: Sequence[int] | None, topics: Topics,
        directory: Directory, *, life: str = "", **config: Any,
    ) -> None:  # fmt: skip
        """`owned`: None where its members agree upon it. `life` tells processes of one name apart."""
        happens, draw = world.faults.happens, world.stream(name + life)
        rate = 1.0 + draw.uniform(-DRIFT_MAX, DRIFT_MAX) if happens("drifting_clock") else 1.0
        skew_ms = draw.randint(-SKEW_MS_MAX, SKEW_MS_MAX) if happens("crooked_clock") else 0
        self.world = world
        self.random = draw
        self.name = name
        self.service = service
        self._owned = owned
        self.loop = VirtualLoop(world, name + life, rate)
        self.clock = ProcessClock(world, self.loop, skew_ms)
        self.claimed: set[int] = set()
        """Partitions of which a claim of its own was valid."""
        self.draining = False
        self._paused_until = 0.0
        self.ended = False
        line = Line(world, self.loop, name + life)
        self._directory = directory
        self.members = self._member(line)
        self.journal = self._journal(line)
        line.stops = self.drain
        line.breaks = lambda: self.members.cut_off(draw.uniform(*BROKEN_SECONDS), after=0.0)
        self.measures = HeldMeasures()
        self.host = self.loop.call_now(lambda: OwnerHost(
            HostConfig(
                service=service.name, address=name, read_policy=service.read_policy, owned=owned,
                may_claim=self._may_claim, tick_interval_ms=TICK_MS, bounds=Bounds(documents_max=6, answers_max=4),
                **{"drain_ms_max": DRAIN_MS_MAX, "release_ms_max": RELEASE_MS_MAX} | config,
            ),
            HostPorts(
                self.journal, PathStore(service.servers, line), self.members, PathStream(topics, line),
            ),
            service.rules, clock=self.clock, measures=self.measures,
            remote=RemoteTargets(self, directory), randomness=draw.randbytes,
        ))  # fmt: skip
        service.processes.append(self)
        world.note(f"{name}{life} starts with {self.owned}")
        self.task = self.loop.create_task(self.host.run(), name="host")
        self.task.add_done_callback(self._ended)

    def _member(self, line: Line) -> PathMembers:
        """Its way to the other members."""
        return PathMembers(self._directory, line, self.service.name, self.name)

    def _journal(self, line: Line) -> PathJournal:
        """Its way to its service's log."""
        return PathJournal(self.service.log, line)

    @property
    def owned(self) -> Sequence[int]:
        """Partitions that it was told to own, or that it has to do with now where nobody tells it."""
        return tuple(self.host._all if self._owned is None else self._owned)

    def _may_claim(self, partition: int) -> bool:
        """Judged anew right before the first claim: whoever was told to take over and slept since does not claim over a
        healthy owner that answers reads by its heartbeat. The log alone would let it."""
        if self.service.read_policy != "heartbeat":
            return True
        rivals = [p for p in self.service.processes if partition in p.claimed and not p.gave_up(partition)]
        others_are_gone = all(self._directory.silent(rival.name) for rival in rivals if rival is not self)
        if not others_are_gone:
            self.world.faults.fired["kept_from_claiming"] += 1
        return self.host._heartbeat.is_fresh and others_are_gone

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.ended = True
        if self.loop.buried:
            return
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self.world.failed(f"{self.name} ended: {_first(error)!r}")
        self.world.note(f"{self.name} has ended in order")
        self._leave()

    def _leave(self) -> None:
        if self in self.service.processes:
            self.service.processes.remove(self)

    def crash(self) -> None:
        """Is gone at once."""
        self.world.note(f"{self.name} crashes")
        self.loop.kill()
        self._leave()

    def drain(self) -> None:
        """Begins to end in order."""
        if self.ended or self.loop.dead or self.draining:
            return
        self.world.note(f"{self.name} drains")
        self.draining = True
        self.world.after(self.end_seconds_max, self._must_have_ended)
        self.loop.call_soon(self.host.stop)

    def _must_have_ended(self) -> None:
        """Whoever is told to stop ends, but for one that stood still meanwhile."""
        if self.ended or self.loop.dead:
            return
        if self._paused_until > self.world.now - self.end_seconds_max:
            self.world.after(self.end_seconds_max, self._must_have_ended)
        else:
            self.world.failed(f"{self.name} was told to stop and has not ended")

    def pause(self, seconds: float) -> None:
        """Stands still for a while."""
        self.world.note(f"{self.name} pauses {seconds}")
        self.loop.pause()
        self._paused_until = max(self._paused_until, self.world.now + seconds)
        self.world.after(seconds, self.loop.resume)

    @property
    def shells(self) -> list[OwnerShell]:
        """The shells of its owners."""
        return [partition.shell for partition in self.host._all.values()]

    @property
    def alarms(self) -> list[str]:
        """What it found wrong with its logs."""
        return [shell.alarm for shell in self.shells if shell.alarm]

    def gave_up(self, partition: int) -> bool:
        """Whether it knows that it owns a partition no more."""
        health = {h.partition: h.phase for h in self.host.health()}
        return health.get(partition) == "deposed" and self.host.config.reclaim_after_ms is None

    @property
    def deposed(self) -> bool:
        """Whether it knows that it owns nothing any more."""
        return all(self.gave_up(partition) for partition in self.owned)

    # ---- being called

    def serve(self, work: Callable[[], Awaitable[T]], reply: Callable[[T | str], None]) -> None:
        """Runs a call that has arrived; `reply` gets its result, or a reason of the engine."""
        self.loop.call_soon(self._begin, work, reply)

    def _begin(self, work: Callable[[], Awaitable[T]], reply: Callable[[T | str], None]) -> None:
        if not self.ended:
            self.loop.create_task(_served(work, reply), name="call").add_done_callback(self._told)

    def stream(self, request: peer.WatchRequest, show: Show) -> Callable[[], object]:
        """Runs a watch that has arrived; `show` gets each frame, at last a reason. Returns what ends it."""
        begun: list[asyncio.Task[None]] = []

        def begin() -> None:
            if not self.ended:
                begun.append(self.loop.create_task(self._streamed(request, show), name="watch"))
                begun[0].add_done_callback(self._told)

        def end() -> None:
            for task in begun:
                task.cancel()

        self.loop.call_soon(begin)
        return lambda: self.loop.call_soon(end)

    async def _streamed(self, request: peer.WatchRequest, show: Show) -> None:
        try:
            async with aclosing(self.host.watch(request)) as frames:  # type: ignore[type-var]
                async for frame in frames:
                    show(frame)
                    if self.world.faults.happens("reader_slow"):
                        await asyncio.sleep(self.random.uniform(*READ_SECONDS))
        except EngineRefused as refused:
            show(refused.reason)
        except (Unavailable, WatchRefused):
            show(UNAVAILABLE)
        else:
            show("over")

    def _told(self, task: asyncio.Task[None]) -> None:
        """A call that fails otherwise than by a reason is a violation."""
        if not task.cancelled() and task.exception() is not None and not self.loop.buried:
            self.world.failed(f"{self.name}: {task.exception()!r}")


def _first(error: BaseException | None) -> BaseException | None:
    """What is in a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _served(work: Callable[[], Awaitable[T]], reply: Callable[[T | str], None]) -> None:
    try:
        result = await work()
    except EngineRefused as refused:
        reply(refused.reason)
    except Unavailable:
        reply(UNAVAILABLE)
    else:
        reply(result)


class RemoteTargets:
    """Owners in other processes of the same service, found by a directory that may be wrong, over a bad network."""

    def __init__(self, process: Process, directory: Directory) -> None:
        self._process = process
        self._directory = directory

    async def submit(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        """Decides commands in order."""
        answer = await self._call(partition, lambda host: host.submit_commands(partition, commands))
        return [answer] * len(commands) if isinstance(answer, str) else answer

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        """Merges rows."""
        answer = await self._call(partition, lambda host: host.advance(partition, advances))
        if isinstance(answer, str):
            raise EngineRefused(answer)

    async def _call(self, partition: int, work: Callable[[OwnerHost], Awaitable[T]]) -> T | str:
        me, world = self._process, self._process.world
        target = self._found(partition)
        if target is None:
            await asyncio.sleep(0.02)
            raise Unavailable("nobody is known")
        future = me.loop.create_future()

        def settle(answer: object) -> None:
            me.loop.call_soon(lambda: None if future.done() else future.set_result(answer))

        call(world, "peer", target, lambda: work(target.host), settle, me.random)
        try:
            async with asyncio.timeout(PEER_DEADLINE):
                return await future  # type: ignore[no-any-return]
        except TimeoutError:
            raise Unavailable("no answer in time") from None

    def _found(self, partition: int) -> Process | None:
        me = self._process
        others = [p for p in me.service.processes if p is not me and not p.ended]
        known = self._directory.owners.get(me.service.name, {}).get(partition)
        named = [p for p in others if known is not None and p.name == known.address]
        choice = named if named and me.random.random() < 0.8 else others
        return me.random.choice(choice) if choice else None


def call(
    world: World,
    kind: str,
    target: Process,
    work: Callable[[], Awaitable[T]],
    reply: Callable[[T | str], None],
    by: random.Random,
) -> None:
    """A call over the network: lost, late or doubled on its way, answered or not."""
    happens = world.faults.happens

    def answered(result: T | str) -> None:
        if not happens(f"{kind}_reply_lost"):
            world.soon(0.000_1, 0.002, lambda: reply(result), by)

    times = 2 if happens(f"{kind}_doubled") else 0 if happens(f"{kind}_lost") else 1
    for _ in range(times):
        slow = happens(f"{kind}_late")
        least, most = (0.05, 1.2) if slow else (0.000_1, 0.002)
        world.soon(least, most, lambda: None if target.loop.dead else target.serve(work, answered), by)
