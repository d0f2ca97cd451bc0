"""Several processes a service on real brokers and a real database, and what is done to all of it under load."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chapar_client.demo import Stage, eventually
from chapar_client.up import SERVICES, Installation, Supervisor, is_gateway, service_of
from chapar_sourcing.adapters.kafka import Cluster, KafkaMembers
from chapar_sourcing.ports import Announcement, Unavailable
from tests.e2e.disturbing import ACKNOWLEDGED_BETWEEN
from tests.e2e.faults import AT_DATABASE, AT_WHO_OWNS_MOST, CUTS, DELAYS, Disturbance, Fault
from tests.e2e.load import Arena
from tools.kafka_server import KafkaCluster, KafkaServer
from tools.mongo_server import MongoServer, mongo_uri
from tools.small_disk import SmallDisk
from tools.tcp_proxy import Passed, TcpProxy

REPLICAS: Mapping[str, int] = {**dict.fromkeys(SERVICES, 2), "messaging": 3, "payments": 3}
SUCCEEDED_S_MAX = 60.0
FENCED_S = 2.0
"""How long a process stays stopped after others own everything that it owned."""
DISK_MIB = 128
FULL_S_MAX = 60.0
TORN_S_MAX = 5.0
MET_S_MAX = 30.0
"""Something passes within it, wherever people want something."""
NO_SPACE = "No space left on device"


@dataclass(frozen=True, slots=True)
class Crowd:
    """One installation, the servers below it, and what its processes say of each other."""

    stage: Stage
    brokers: KafkaCluster
    database: MongoServer
    members: KafkaMembers
    network: Network
    disks: Mapping[int, SmallDisk]

    async def _owners(self, service: str) -> Mapping[int, Announcement]:
        """What is said of a service's partitions; brokers may be on their way back."""
        async with asyncio.timeout(SUCCEEDED_S_MAX):
            while True:
                try:
                    return await self.members.owners(service)
                except Unavailable:
                    await asyncio.sleep(0.2)

    async def owned(self, process: str) -> Mapping[int, Announcement]:
        """What a process says it owns."""
        address = self.network.owners[process].address
        rows = await self._owners(service_of(process))
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
            now = await self._owners(service)
            return all(now[p].epoch > row.epoch and now[p].member != row.member for p, row in before.items())

        try:
            await eventually(so, f"{len(before)} partitions of {service} are taken over", timeout_s=SUCCEEDED_S_MAX)
        except TimeoutError as error:
            now = await self._owners(service)
            left = [(row, now[p]) for p, row in before.items() if now[p].member == row.member]
            raise TimeoutError(f"{error}; before and now: {left}") from None

    async def disturb(self, arena: Arena, disturbance: Disturbance) -> float:
        """Does it under load, and returns once the services have answered again; the seconds until then."""
        began_s = time.monotonic()
        if disturbance.fault in AT_WHO_OWNS_MOST:
            disturbance = disturbance._replace(process=await self._busiest(disturbance.process))
        process, lasts_s = disturbance.process, disturbance.lasts_s
        match disturbance.fault:
            case Fault.KILL:
                arena.recorder.crash(service_of(process))
                await self.stage.up.kill_and_wait(process)
            case Fault.STOP:
                await self._stopped(process, lambda: asyncio.sleep(lasts_s))
            case Fault.FENCE:
                await self._fenced(process)
            case Fault.END:
                await self._ended(process)
            case Fault.FILL_BROKER:
                await self._filled(disturbance.broker)
            case Fault.KILL_BROKER | Fault.KILL_DATABASE:
                server = self._server(disturbance)
                await asyncio.to_thread(server.kill9)
                await asyncio.to_thread(server.restart)
            case Fault.STOP_BROKER | Fault.STOP_DATABASE:
                server = self._server(disturbance)
                await asyncio.to_thread(server.pause)
                try:
                    await asyncio.sleep(lasts_s)
                finally:
                    server.resume()
            case _:
                await self._impeded(disturbance)
        await arena.more(ACKNOWLEDGED_BETWEEN)
        return time.monotonic() - began_s

    def _server(self, disturbance: Disturbance) -> KafkaServer | MongoServer:
        return self.brokers.broker(disturbance.broker) if disturbance.broker else self.database

    async def _impeded(self, disturbance: Disturbance) -> None:
        """Something happens to the connections; each time it must meet some."""
        proxy, fault = self.network.proxy(disturbance), disturbance.fault
        before = proxy.passed.met

        async def met() -> None:
            happened = f"{disturbance}: something passes meanwhile"
            await eventually(lambda: _is(proxy.passed.met > before), happened, timeout_s=MET_S_MAX)

        if fault in CUTS:
            await proxy.cut(reset=disturbance.reset, torn_s_max=TORN_S_MAX)
        elif fault in DELAYS:
            async with proxy.delaying(disturbance.delay_s):
                await asyncio.sleep(disturbance.lasts_s)
                await met()
        else:
            async with proxy.holding_answers():
                await asyncio.sleep(disturbance.lasts_s)
                await met()
        await met()

    async def _filled(self, number: int) -> None:
        """A broker finds no space, says so and ends by itself; there is space again, and it is started again."""
        disk, broker = self.disks[number], self.brokers.broker(number)
        await asyncio.to_thread(disk.fill)
        try:
            await eventually(lambda: _is(broker.ended), f"broker {number} has given up", timeout_s=FULL_S_MAX)
        finally:
            disk.empty()
        if NO_SPACE not in broker.said:
            raise AssertionError(f"broker {number} ended for another reason: {broker.said[-2000:]}")
        await asyncio.to_thread(broker.restart)

    async def _stopped(self, process: str, wait: Callable[[], Awaitable[None]]) -> None:
        up = self.stage.up
        up.send_signal(process, signal.SIGSTOP)
        try:
            await wait()
        finally:
            up.send_signal(process, signal.SIGCONT)

    async def _busiest(self, service: str) -> str:
        """The process that owns most of a service."""
        await eventually(lambda: self.all_owned(service), f"all of {service} is owned", timeout_s=SUCCEEDED_S_MAX)
        loads = await self.load(service)
        return max(loads, key=lambda name: len(loads[name]))

    async def _fenced(self, process: str) -> None:
        """It is stopped until its successors' claims are durable, and some time more; it goes on with what it had."""
        before = await self.owned(process)

        async def wait() -> None:
            await self.succeeded(service_of(process), before)
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


async def _is(value: bool) -> bool:
    return value


@dataclass(frozen=True, slots=True)
class Network:
    """What lies between services and servers, between people and the gateways, and before each owner."""

    brokers: Mapping[int, TcpProxy]
    database: TcpProxy
    gateways: Mapping[str, TcpProxy]
    owners: Mapping[str, TcpProxy]

    @classmethod
    async def open(cls, brokers: int, processes: Collection[str], closing: AsyncExitStack) -> Network:
        """It leads nowhere as yet."""

        async def proxy() -> TcpProxy:
            return await closing.enter_async_context(TcpProxy())

        return cls(
            {number: await proxy() for number in range(1, brokers + 1)},
            await proxy(),
            {name: await proxy() for name in processes if is_gateway(name)},
            {name: await proxy() for name in processes if not is_gateway(name)},
        )

    def proxy(self, disturbance: Disturbance) -> TcpProxy:
        """Whose connections it is about."""
        if disturbance.broker:
            return self.brokers[disturbance.broker]
        if disturbance.fault in AT_DATABASE:
            return self.database
        return {**self.gateways, **self.owners}[disturbance.process]

    @property
    def passed(self) -> Mapping[str, Passed]:
        """What each has done so far."""
        brokers = {f"broker {number}": proxy for number, proxy in self.brokers.items()}
        proxies = {**brokers, "database": self.database, **self.gateways, **self.owners}
        return {name: proxy.passed for name, proxy in proxies.items()}


def _port_of_broker(broker: KafkaServer) -> int:
    return broker.port


def _port_of_process(up: Supervisor, process: str) -> int:
    """Where it listens; 0 before it was ever ready."""
    at = up.addresses.get(process)
    return int(at.address.rpartition(":")[2]) if at is not None else 0


@asynccontextmanager
async def crowd(folder: Path, *, brokers: int = 1) -> AsyncIterator[Crowd]:
    """All of it, with a log of the services in the folder: each line behind the name of the process that printed it.
    Each broker has a copy of every topic, on a small disk of its own (`mount_alone` comes first)."""
    async with AsyncExitStack() as closing:
        log = closing.enter_context((folder / "services.log").open("w", encoding="utf-8"))
        network = await Network.open(brokers, Installation(folder, replicas=REPLICAS).processes, closing)
        disks = {
            number: closing.enter_context(SmallDisk(folder / "kafka" / f"{number}" / "data", mib=DISK_MIB))
            for number in network.brokers
        }
        advertised = {number: proxy.port for number, proxy in network.brokers.items()}
        cluster = closing.enter_context(KafkaCluster(folder / "kafka", brokers, advertised=advertised))
        for number, proxy in network.brokers.items():
            proxy.leads_to(partial(_port_of_broker, cluster.broker(number)))
        database = closing.enter_context(MongoServer(folder / "mongo"))
        network.database.leads_to(lambda: database.port)
        stage = Stage(
            folder, kafka=cluster.bootstrap, kafka_replicas=brokers, mongo=mongo_uri(network.database.port),
            replicas=REPLICAS, advertised={name: proxy.address for name, proxy in network.owners.items()},
            on_line=lambda line: print(line.service, line.text, file=log, flush=True),
        )  # fmt: skip
        for name, proxy in {**network.gateways, **network.owners}.items():
            proxy.leads_to(partial(_port_of_process, stage.up, name))
        await closing.enter_async_context(stage)
        stage.called_at = [proxy.address for proxy in network.gateways.values()]
        members = await KafkaMembers.open(Cluster(cluster.bootstrap))
        closing.push_async_callback(members.close)
        yield Crowd(stage, cluster, database, members, network, disks)
