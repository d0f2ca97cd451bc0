"""All partitions that one service process owns: the engine's one public face.

The way in: `submit` (a command), `read` (a query, released only once it is known to be true), `submit_commands` and
`advance` (what reactors send), `watch` (a live view of a key), `digest`. The way out: projectors, relays and reactors
of each partition. The chassis wires it, opens the ports and turns refusals into statuses.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.beats import Beats
from chapar_sourcing.clock import Clock, OwnerClock, SystemClock
from chapar_sourcing.heartbeat import Heartbeat
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, PartitionHealth, Request, Targets
from chapar_sourcing.measures import HeldMeasures, Measures
from chapar_sourcing.members import FixedMachine, Hindrance, MembersMachine, Seen, check_placement
from chapar_sourcing.membership import Machine, Membership
from chapar_sourcing.owner import Outcome
from chapar_sourcing.partition import OwnedPartition
from chapar_sourcing.ports import Announcement, Placement, Unavailable
from chapar_sourcing.rebuild import Rebuilding, RebuildRefused, Rebuilt, Reports, Step, check_owned
from chapar_sourcing.refusing import NOT_OWNER, EngineRefused
from chapar_sourcing.reporting import Reporting
from chapar_sourcing.schema import schema_of
from chapar_sourcing.targets import HostTargets
from chapar_sourcing.tenure import Transition
from chapar_sourcing.tracing import NO_TRACER, Tracer
from chapar_sourcing.view import View

T = TypeVar("T")
ReadFunction = Callable[[View], Awaitable[T]]


MEMBER_BYTES = 16


def _machine(config: HostConfig, partitions: int, randomness: Callable[[int], bytes]) -> Machine:
    member, interval_seconds = randomness(MEMBER_BYTES), config.beat_interval_ms / 1000
    if config.owned is None:
        return MembersMachine(
            member=member, address=config.address, partitions=partitions, interval_seconds=interval_seconds
        )
    again_after = None if config.reclaim_after_ms is None else config.reclaim_after_ms / 1000
    return FixedMachine(
        member=member, address=config.address, owned=config.owned, interval_seconds=interval_seconds,
        again_after_seconds=again_after, may_claim=config.may_claim,
    )  # fmt: skip


class OwnerHost:
    """One a service process.

    `run` returns after `stop`. Everything else may be called while it runs, and refuses with `UNAVAILABLE` outside.
    `remote` reaches owners in other processes; without it only those here are reached. Raises `ValueError` for
    a schema level that this binary does not know.
    """

    def __init__(
        self, config: HostConfig, ports: HostPorts, rules: HostRules, *, clock: Clock | None = None,
        measures: Measures | None = None, remote: Targets | None = None,
        randomness: Callable[[int], bytes] = os.urandom,
        on_transition: Callable[[Transition], None] = lambda _: None, tracer: Tracer = NO_TRACER,
    ) -> None:  # fmt: skip
        supported = schema_of(rules.domain.event_type).supported
        if config.schema_level > supported:
            raise ValueError(f"schema level {config.schema_level} is asked for, and this binary knows {supported}")
        self.config = config
        self._ports = ports
        self._rules = rules
        self._rebuilding = False
        self._clock = clock or SystemClock()
        self._owner_clock = OwnerClock(self._clock)
        self._measures = measures or HeldMeasures()
        self._heartbeat = Heartbeat(self._clock, self._owner_clock, self._measures)
        self._membership = Membership(
            machine=_machine(config, ports.journal.partitions, randomness), members=ports.members,
            heartbeat=self._heartbeat, clock=self._clock, partitions=self,
            interval_seconds=config.beat_interval_ms / 1000,
        )  # fmt: skip
        targets = HostTargets(self, remote)
        self._made: Callable[[int], OwnedPartition] = lambda number: OwnedPartition(
            number=number, config=config, ports=ports, rules=rules, clock=self._clock,
            owner_clock=self._owner_clock, heartbeat=self._heartbeat, measures=self._measures, targets=targets,
            membership=self._membership, randomness=randomness, on_transition=on_transition, tracer=tracer,
        )  # fmt: skip
        self._partitions: dict[int, OwnedPartition] = {}
        """Those that this process answers for."""
        self._ending: dict[int, OwnedPartition] = {}
        """Those that it gives up: nothing new is taken, what is under way goes on."""
        self._lives: dict[int, asyncio.Task[None]] = {}
        self.beside: Callable[[int], Coroutine[Any, Any, None]] | None = None
        """The service's own work beside each partition that this process answers for: begun when it is taken, cancelled
        when it is given up or lost, begun anew when it is taken again. What it raises ends the process."""
        self._beside: dict[int, asyncio.Task[None]] = {}
        self._reporting = Reporting(self._clock, self._owner_clock, self._heartbeat, self._measures)
        self._beats = Beats(rules.topics, self._may_beat, ports.stream, self._clock, self._owner_clock)
        self._outdated = False
        """Whether a log was found that this binary is too old for: no other one is better."""
        self._stopping = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    # ---- its life

    async def run(self) -> None:
        """Joins, takes its partitions over and serves them until `stop`; then ends in order and closes the ports.

        Raises `RuntimeError` when another process is the one member, and whatever failed that must not fail.
        """
        try:
            await self._ports.members.join(self.config.service)
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                background = [
                    tasks.create_task(self._membership.run(), name="membership"),
                    tasks.create_task(self._tick(), name="ticks"),
                ]
                beats = tasks.create_task(self._beats.run(), name="beats")
                await self._stopping.wait()
                try:
                    async with asyncio.timeout(self.config.drain_ms_max / 1000):
                        await self._membership.drain()
                except TimeoutError:
                    self._measures.count("drains_cut_short")
                for task in [beats, *self._beside.values(), *self._lives.values(), *background]:
                    task.cancel()
        finally:
            await self._close()

    def stop(self) -> None:
        """Begins the orderly end: nothing new is taken, blocks become durable, the store is brought up to date."""
        self._stopping.set()

    async def wait_ready(self) -> None:
        """Returns once `ready`; asks at each change of a partition's phase and each tick."""
        while not self.ready:
            await self._clock.sleep(self.config.tick_interval_ms / 1000)

    @property
    def ready(self) -> bool:
        """Whether this process owns what it should own and nobody else does, and all of it decides and is projected."""
        joined = bool(self._partitions) or self.config.owned is None
        settled = not self._stopping.is_set() and self._membership.settled and joined
        return settled and all(not h.problem for h in self.health())

    @property
    def problem(self) -> str:
        """Why others own what this process should; empty when they do not."""
        if not self._membership.stands_back:
            return ""
        match self.hindrance:
            case Hindrance.DECIDING:
                return f"stands back: the clock is {self._owner_clock.off_ms} ms off the journal's"
            case Hindrance.TAKING:
                return "stands back: this binary is too old for a log: start a newer release"
        return "stands back: the clock was off, or nothing that it took over came to an end"

    def health(self) -> Sequence[PartitionHealth]:
        """How each partition is that this process has to do with."""
        return [partition.health() for _, partition in sorted(self._all.items())]

    @property
    def _all(self) -> dict[int, OwnedPartition]:
        return self._ending | self._partitions

    # ---- what it knows

    @property
    def now_ms(self) -> int:
        """The owner's clock."""
        return self._owner_clock.now_ms()

    @property
    def partitions(self) -> int:
        """How many partitions the service has, owned here or not."""
        return self._ports.journal.partitions

    @property
    def generation(self) -> int:
        """The journal's generation."""
        return self._ports.journal.generation

    @property
    def owners(self) -> Mapping[int, Announcement]:
        """What members have said last of each partition, as far as this one has read: a guess, never more."""
        return self._membership.owners

    @property
    def placements(self) -> Mapping[int, Placement]:
        """Where operators want partitions, as far as this process has read; the others may be anywhere."""
        return self._membership.placements

    @property
    def members(self) -> Sequence[Seen]:
        """This process first, then all others of the service of which it knows."""
        return self._membership.seen

    def owns(self, partition: int) -> bool:
        """Whether this process is meant to own a partition, and knows of nobody who took it over for good."""
        held = self._partitions.get(partition)
        return held is not None and (self.config.ends_deposed or not held.deposed)

    def offset(self, partition: int) -> int:
        """Offset of the last valid record that this owner has folded: what replies rest on; -1 before the first. Known
        of what it gives up, too: replies to what was under way rest on it."""
        held = self._ending.get(partition) or self._partition(partition)
        return held.shell.owner.fold.valid_offset

    # ---- the way in

    async def submit(self, partition: int, request: Request) -> Outcome:
        """Has a command decided. See `OwnerShell.submit` for the reasons of the engine.

        An outcome that is `unchecked` must be compared by the caller, who knows the request's bytes.
        """
        return await self._partition(partition).shell.submit(request)

    async def read(self, partition: int, read: ReadFunction[T], *, deadline_ms: int) -> T:
        """Runs `read` on a view and returns its result once everything it saw is durable and owned.

        `read` may run more than once. Raises `EngineRefused`, `Unavailable` when the store is away, and what `read`
        raised once everything that it saw is durable and owned.
        """
        return await self._partition(partition).read(read, deadline_ms)

    async def read_durable(self, partition: int, read: ReadFunction[T]) -> T:
        """The same, once everything it saw is durable, whoever owns by then: for what tells of the past, as metrics do,
        and never for an answer. Appends nothing. Raises `EngineRefused` and `Unavailable`."""
        return await self._partition(partition).read_for_reaction(read)

    async def submit_commands(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        """Decides commands of reactors one after the other; the reason of each, empty when accepted.

        After a transient reason (`chapar_sourcing.refusing.TRANSIENT`) the rest is not decided and has the same.
        """
        return await self._partition(partition).submit_commands(commands)

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        """Merges rows, shows their hints; returns when they are durable and this owner has confirmed itself.

        Raises `EngineRefused` and `Unavailable`.
        """
        await self._partition(partition).advance(advances)

    def watch(self, request: peer.WatchRequest) -> AsyncIterator[peer.WatchResponse]:
        """Frames of a key, from the cursor on or from a snapshot. The last frame may be a `detach`.

        Raises `EngineRefused` where the key is not owned here, and `WatchRefused` where the user may not watch it.
        """
        return self._partition(request.partition).watch(request)

    async def digest(self, partition: int) -> peer.DigestResponse:
        """Digest of what the owner holds, memory over store, at one offset. Raises `EngineRefused`, `Unavailable`."""
        return await self._partition(partition).digest()

    async def rebuild(self, step: Step, partitions: Sequence[int] = ()) -> AsyncGenerator[Rebuilt]:
        """Builds other editions of the store, switches to them, or drops them; ends where nobody reads on. Does so in
        the given partitions; in all of the service where none is given. All of them must be owned here.

        Raises `RebuildRefused` where it cannot be done so or not now, and what `Rebuilding.run` raises.
        """
        if self._rebuilding:
            raise RebuildRefused("another rebuild of this service is under way")
        wanted = list(partitions) or list(range(self.partitions))
        owned = {number for number, partition in self._partitions.items() if partition.shell.owning}
        check_owned(wanted, owned, service_partitions=self.partitions)
        self._rebuilding = True
        try:
            reports = Reports()
            rebuilding = Rebuilding(
                partitions=self._partition, domain=self._rules.domain, reactions=self._rules.reactions,
                journal=self._ports.journal, store=self._ports.store, clock=self._clock, measures=self._measures,
                report=reports.put,
            )  # fmt: skip
            work = rebuilding.run(step, wanted)
            async with aclosing(reports.of(work)) as reported:
                async for rebuilt in reported:
                    yield rebuilt
        finally:
            self._rebuilding = False

    async def place(self, partition: int, address: str, *, reason: str, operator: str = "") -> None:
        """Says to all members where an operator wants a partition, "host:port" or empty for anywhere, for good.

        Raises `PlacementRefused` where that cannot hold, and `Unavailable`: then it may have been said.
        """
        said = Placement(partition, address, reason.strip(), operator, self._clock.now_ms())
        check_placement(said, self.partitions, self.members)
        if self._tasks is None:
            raise Unavailable("no member yet")
        await self._membership.place(said)

    def raise_alarm(self, partition: int, reason: str) -> None:
        """Somebody has proof that the log lost records: nothing more is decided there until an operator has looked."""
        self._partition(partition).shell.raise_alarm(reason)

    # ---- inside

    @property
    def hindrance(self) -> Hindrance:
        """What keeps it from owning, whatever the partition; see `membership.Partitions`."""
        self._outdated = self._outdated or any(partition.outdated for partition in self._partitions.values())
        if self._owner_clock.off_ms:
            return Hindrance.DECIDING
        return Hindrance.TAKING if self._outdated else Hindrance.NONE

    def take(self, partition: int) -> None:
        """Begins to own a partition; see `membership.Partitions`."""
        assert self._tasks is not None, "partitions are taken while the host runs"
        taken = self._partitions[partition] = self._made(partition)
        self._lives[partition] = self._tasks.create_task(self._live(taken), name=f"partition-{partition}")
        if self.beside is not None:
            work = self.beside(partition)
            self._beside[partition] = self._tasks.create_task(work, name=f"beside-{partition}")

    def release(self, partition: int, *, owned: bool, has_heir: bool) -> None:
        """Answers for a partition no more, and ends it: in order, where it decides here."""
        self._ending[partition] = self._partitions.pop(partition)
        self._end_beside(partition)
        self._ending[partition].stop(in_order=owned, has_heir=has_heir)

    def doubt(self, partition: int) -> None:
        """Has an owner look into its log."""
        held = self._partitions.get(partition)
        if held is not None:
            held.shell.doubt()

    def announced(self, partition: int, epoch: int) -> None:
        """All others can read by now that this process owns a partition."""
        held = self._all.get(partition)
        if held is not None:
            held.shell.announced(epoch)

    async def _live(self, partition: OwnedPartition) -> None:
        """Owns a partition until it is deposed or given up. A partition is judged anew before it is taken again."""
        number, deposed = partition.number, await partition.run()
        if deposed:
            self._measures.count("partitions_lost")
        self._partitions.pop(number, None)
        self._ending.pop(number, None)
        self._end_beside(number)
        del self._lives[number]
        self._membership.quit(number, deposed=deposed)

    def _end_beside(self, partition: int) -> None:
        work = self._beside.pop(partition, None)
        if work is not None:
            work.cancel()

    def _may_beat(self, topic: str) -> Sequence[int]:
        """Not those that are given up: their relays have ended, and their last blocks may not be published."""
        return [number for number, partition in self._partitions.items() if partition.may_beat(topic)]

    def _partition(self, number: int) -> OwnedPartition:
        partition = self._partitions.get(number)
        if partition is None:
            raise EngineRefused(NOT_OWNER)
        return partition

    async def _tick(self) -> None:
        """One timer for all partitions: idle ones are let sleep."""
        while True:
            await self._clock.sleep(self.config.tick_interval_ms / 1000)
            for partition in self._all.values():
                if partition.shell.needs_tick:
                    partition.shell.tick()
            self._reporting.step([*self._all.values()], sum(member.alive for member in self.members))

    async def _close(self) -> None:
        for port in (self._ports.members, self._ports.stream, self._ports.store, self._ports.journal):
            await port.close()
