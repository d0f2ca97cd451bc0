"""An installation on a real broker and a real database, for benchmarks: its processes, and how far its stores are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from chapar_client.demo import Stage
from chapar_client.owners import owners, peer_token
from chapar_client.sdk import Unavailable
from chapar_client.up import GATEWAY, LogLine, service_of
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer

BROKER = "broker"
DATABASE = "database"
"""Not a mongod."""
STORED_S_MAX = 180.0
QUIET_S = 2.0


@dataclass(frozen=True, slots=True)
class Site:
    """One installation and the servers below it."""

    stage: Stage
    broker: KafkaServer
    database: MongoServer
    folder: Path
    lines: list[LogLine]
    """Everything that its processes have said."""

    @property
    def gateways(self) -> Sequence[str]:
        """Where clients may call."""
        up = self.stage.up
        return [at.address for process, at in up.addresses.items() if service_of(process) == GATEWAY]

    @property
    def pids(self) -> Mapping[str, int]:
        """All processes, servers too, by name."""
        up = self.stage.up
        services = {process: up.pid(process) for process in up.installation.processes}
        return {**services, BROKER: self.broker.pid, DATABASE: self.database.pid}

    def processes(self, service: str) -> Sequence[str]:
        """The processes of a service by name."""
        return [process for process in self.stage.up.installation.processes if service_of(process) == service]

    def ended(self, reason: str) -> int:
        """How often a process said that a partition has ended there for this reason: "deposed", "doubtful" ..."""
        return sum(line.event == "partition_ends" and line.fields["reason"] == reason for line in self.lines)

    async def held(self, service: str) -> Mapping[str, Sequence[int]]:
        """Process -> the partitions that it owns now, as it says itself; nothing of one that does not answer."""
        token = peer_token(self.stage.data_dir, service)

        async def of(process: str) -> Sequence[int]:
            try:
                answer = await owners(self.stage.up.addresses[process].address, token)
            except Unavailable:
                return ()
            return [row.partition for row in answer.partitions if row.HasField("held") and row.held.phase == "owning"]

        processes = self.processes(service)
        return dict(zip(processes, await asyncio.gather(*map(of, processes)), strict=True))

    async def reached(self, service: str) -> Mapping[int, tuple[int, int, str]]:
        """By partition: the last offset of its log, that of its store's checkpoint, and what is wrong."""
        token = peer_token(self.stage.data_dir, service)
        found = {}
        for process in self.processes(service):
            answer = await owners(self.stage.up.addresses[process].address, token)
            for row in answer.partitions:
                if row.HasField("held"):
                    found[row.partition] = row.held.offset, row.held.checkpoint, row.held.problem
        return found

    async def stored(self, service: str) -> None:
        """Waits until the stores hold what was decided: logs and checkpoints stand still. A checkpoint stays a few
        records behind where the last ones changed no document."""
        deadline, before = time.monotonic() + STORED_S_MAX, None
        while (now := await self.reached(service)) != before or any(problem for _, _, problem in now.values()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the stores of {service} do not come to rest: {now}")
            before = now
            await asyncio.sleep(QUIET_S)


@asynccontextmanager
async def site(folder: Path, replicas: Mapping[str, int]) -> AsyncIterator[Site]:
    """Starts it in an empty folder, with so many processes of some services; the log of all goes to a file there."""
    lines: list[LogLine] = []
    with (
        (folder / "services.log").open("w", encoding="utf-8") as log,
        KafkaServer(folder / "kafka") as broker,
        MongoServer(folder / "mongo") as database,
    ):
        stage = Stage(
            folder, kafka=broker.bootstrap, mongo=database.uri, replicas=replicas, on_line=_kept(lines, log)
        )  # fmt: skip
        async with stage:
            yield Site(stage, broker, database, folder, lines)


def _kept(lines: list[LogLine], log: TextIO) -> Callable[[LogLine], None]:
    def keep(line: LogLine) -> None:
        lines.append(line)
        print(line.service, line.text, file=log, flush=True)

    return keep
