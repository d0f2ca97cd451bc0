"""Several processes a service on real brokers and a real database, and what is done to all of it under load."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from chapar_client.demo import Stage, eventually
from chapar_client.up import service_of
from chapar_sourcing.adapters.kafka import Cluster, KafkaMembers
from chapar_sourcing.ports import Announcement
from tests.e2e.disturbing import ACKNOWLEDGED_BETWEEN, STOP_S_MAX, STOP_S_MIN
from tests.e2e.load import Arena
from tools.kafka_server import KafkaCluster
from tools.mongo_server import MongoServer

REPLICATED = ("messaging", "payments")
REPLICAS: Mapping[str, int] = dict.fromkeys(REPLICATED, 3)
SUCCEEDED_S_MAX = 60.0
FENCED_S = 2.0
"""How long a process stays stopped after others own everything that it owned."""


class Fault(Enum):
    """What is done to a process, to a broker or to the database."""

    KILL = "kill -9"
    STOP = "stop, continue"
    FENCE = "stop until succeeded"
    END = "asked to end"
    KILL_BROKER = "broker kill -9"
    STOP_BROKER = "broker stop, continue"
    KILL_DATABASE = "database kill -9"
    STOP_DATABASE = "database stop, continue"


class Disturbance(NamedTuple):
    """One of them: which, to what process (empty for the servers; a service for fencing), how long a stop takes, and
    the number of the broker that it is done to (0: to none)."""

    fault: Fault
    process: str = ""
    stop_s: float = 0.0
    broker: int = 0

    def __str__(self) -> str:
        at = self.process or (f"number {self.broker}" if self.broker else "")
        return " ".join(filter(None, (self.fault.value, at, f"{self.stop_s:.1f} s" if self.stop_s else "")))


def plan(
    faults: Collection[Fault], count: int, processes: Collection[str], seed: int, *, brokers: int = 1
) -> Iterator[Disturbance]:
    """The same for the same seed: each kind as often as the others, in any order, at any process or any of so many
    brokers that it is for."""
    chance, which = random.Random(seed), random.Random(f"broker {seed}")
    kinds = [*faults] * -(-count // len(faults))
    chance.shuffle(kinds)
    for fault in kinds[:count]:
        stop_s = STOP_S_MIN * (STOP_S_MAX / STOP_S_MIN) ** chance.random()
        match fault:
            case Fault.FENCE:
                yield Disturbance(fault, chance.choice(REPLICATED))
            case Fault.STOP:
                yield Disturbance(fault, chance.choice([*processes]), stop_s)
            case Fault.KILL | Fault.END:
                yield Disturbance(fault, chance.choice([*processes]))
            case Fault.KILL_BROKER:
                yield Disturbance(fault, broker=which.randint(1, brokers))
            case Fault.STOP_BROKER:
                yield Disturbance(fault, stop_s=stop_s, broker=which.randint(1, brokers))
            case Fault.STOP_DATABASE:
                yield Disturbance(fault, stop_s=stop_s)
            case _:
                yield Disturbance(fault)


@dataclass(frozen=True, slots=True)
class Crowd:
    """One installation, the servers below it, and what its processes say of each other."""

    stage: Stage
    brokers: KafkaCluster
    database: MongoServer
    members: KafkaMembers

    async def owned(self, process: str) -> Mapping[int, Announcement]:
        """What a process says it owns."""
        address = self.stage.up.addresses[process].address
        rows = await self.members.owners(service_of(process))
        return {p: row for p, row in rows.items() if row.address == address and not row.released}

    async def load(self, service: str) -> Mapping[str, Collection[int]]:
        """Process of a service -> what it owns."""
        names = [process for process in self.stage.up.addresses if service_of(process) == service]
        return {name: [*(await self.owned(name))] for name in names}

    async def all_owned(self, service: str) -> bool:
        """Whether every partition of a service has an owner that is not an address of the past."""
        partitions = self.stage.up.installation.partitions
        return sum(map(len, (await self.load(service)).values())) == partitions

    async def succeeded(self, service: str, before: Mapping[int, Announcement]) -> None:
        """Returns once others own what somebody owned."""

        async def so() -> bool:
            now = await self.members.owners(service)
            return all(now[p].epoch > row.epoch and now[p].member != row.member for p, row in before.items())

        try:
            await eventually(so, f"{len(before)} partitions of {service} are taken over", timeout_s=SUCCEEDED_S_MAX)
        except TimeoutError as error:
            now = await self.members.owners(service)
            left = [(row, now[p]) for p, row in before.items() if now[p].member == row.member]
            raise TimeoutError(f"{error}; before and now: {left}") from None

    async def disturb(self, arena: Arena, disturbance: Disturbance) -> float:
        """Does it under load, and returns once the services have answered again; the seconds until then."""
        began_s = time.monotonic()
        process, stop_s, broker = disturbance.process, disturbance.stop_s, disturbance.broker
        match disturbance.fault:
            case Fault.KILL:
                arena.recorder.crash(service_of(process))
                await self.stage.up.kill_and_wait(process)
            case Fault.STOP:
                await self._stopped(process, lambda: asyncio.sleep(stop_s))
            case Fault.FENCE:
                await self._fenced(process)
            case Fault.END:
                await self._ended(process)
            case Fault.KILL_BROKER:
                await asyncio.to_thread(self.brokers.kill9, broker)
                await asyncio.to_thread(self.brokers.restart, broker)
            case Fault.KILL_DATABASE:
                await asyncio.to_thread(self.database.kill9)
                await asyncio.to_thread(self.database.restart)
            case Fault.STOP_BROKER:
                await asyncio.to_thread(self.brokers.pause, broker)
                try:
                    await asyncio.sleep(stop_s)
                finally:
                    self.brokers.resume(broker)
            case Fault.STOP_DATABASE:
                await asyncio.to_thread(self.database.pause)
                try:
                    await asyncio.sleep(stop_s)
                finally:
                    self.database.resume()
        await arena.more(ACKNOWLEDGED_BETWEEN)
        return time.monotonic() - began_s

    async def _stopped(self, process: str, wait: Callable[[], Awaitable[None]]) -> None:
        up = self.stage.up
        up.send_signal(process, signal.SIGSTOP)
        try:
            await wait()
        finally:
            up.send_signal(process, signal.SIGCONT)

    async def _fenced(self, service: str) -> None:
        """Whoever owns most is stopped until its successors' claims are durable, and some time more; it goes on with
        what it had."""
        await eventually(lambda: self.all_owned(service), f"all of {service} is owned", timeout_s=SUCCEEDED_S_MAX)
        loads = await self.load(service)
        process = max(loads, key=lambda name: len(loads[name]))
        before = await self.owned(process)

        async def wait() -> None:
            await self.succeeded(service, before)
            await asyncio.sleep(FENCED_S)

        await self._stopped(process, wait)

    async def _ended(self, process: str) -> None:
        """As an orchestrator does: asked to end, started again."""
        up = self.stage.up
        before = up.starts(process)
        up.send_signal(process, signal.SIGTERM)

        async def is_back() -> bool:
            return up.starts(process) > before

        await eventually(is_back, f"{process} is back", timeout_s=SUCCEEDED_S_MAX)


@asynccontextmanager
async def crowd(folder: Path, *, brokers: int = 1) -> AsyncIterator[Crowd]:
    """All of it, with a log of the services in the folder: each line behind the name of the process that printed it.
    Each broker has a copy of every topic."""
    with (
        (folder / "services.log").open("w", encoding="utf-8") as log,
        KafkaCluster(folder / "kafka", brokers) as cluster,
        MongoServer(folder / "mongo") as database,
    ):
        stage = Stage(
            folder, kafka=cluster.bootstrap, kafka_replicas=brokers, mongo=database.uri, replicas=REPLICAS,
            on_line=lambda line: print(line.service, line.text, file=log, flush=True),
        )  # fmt: skip
        async with stage:
            members = await KafkaMembers.open(Cluster(cluster.bootstrap))
            try:
                yield Crowd(stage, cluster, database, members)
            finally:
                await members.close()
