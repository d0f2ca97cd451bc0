"""Two processes a service on a real broker and a real database: partitions move under load, and clients go on."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from chapar_client.demo import Person, Stage, eventually
from tests.e2e.law import Law
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.mongo,
    pytest.mark.xdist_group("kafka"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
]

REPLICAS = {"messaging": 2, "payments": 2}
BOUND_S = 120.0
CASH_IN_RIALS = 1_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One installation for all tests here; at the end log, owners and database must hold the same."""
    folder = tmp_path_factory.mktemp("moving")
    with KafkaServer(folder / "kafka") as broker, MongoServer(folder / "mongo") as database:
        async with Stage(folder, kafka=broker.bootstrap, mongo=database.uri, replicas=REPLICAS) as running:
            law = Law(running)
            yield running
            await law.ask("the last test")
        assert await law.problems() == []


async def ran(stage: Stage, *arguments: str) -> tuple[int | None, Sequence[dict[str, Any]]]:
    """Runs a command of the operator; how it ended, and what it said, one object a line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chapar_client", *arguments, "--data", str(stage.data_dir), "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(BOUND_S):
        output, _ = await process.communicate()
    return process.returncode, [json.loads(line) for line in output.splitlines()]


async def chapar(stage: Stage, *arguments: str, code: int = 0) -> Sequence[dict[str, Any]]:
    """Runs a command that must end so."""
    ended, said = await ran(stage, *arguments)
    assert ended == code, said
    return said


async def partitions(stage: Stage, service: str) -> Mapping[int, dict[str, Any]]:
    """What `chapar owners` shows of each partition, once all of them are well."""
    rows: dict[int, dict[str, Any]] = {}

    async def well() -> bool:
        nonlocal rows
        ended, said = await ran(stage, "owners", service)
        rows = {line["partition"]: line for line in said if "partition" in line}
        return ended == 0

    await eventually(well, f"all of {service} is well", timeout_s=BOUND_S)
    return rows


@dataclass
class Work:
    """Texts and transfers of one person without a pause; a call that fails fails the test."""

    one: Person
    other: Person
    said: int = 0
    paid: int = 0
    slowest_s: float = 0.0
    """Of the calls that ended since this was last asked for."""

    async def talk(self) -> None:
        """One more text."""
        await self._timed(self.one.say(self.one.with_(self.other), f"{self.said}"))
        self.said += 1

    async def pay(self) -> None:
        """One more rial."""
        await self._timed(self.one.client.payments.transfer(self.other.user_id, 1))
        self.paid += 1

    async def _timed(self, call: Awaitable[object]) -> None:
        began_s = time.monotonic()
        await call
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    async def more(self, count: int = 5) -> None:
        """Waits until so many more of each were answered."""
        said, paid = self.said + count, self.paid + count

        async def reached() -> bool:
            return self.said >= said and self.paid >= paid

        await eventually(reached, f"{count} more answers", timeout_s=BOUND_S)


@asynccontextmanager
async def working(one: Person, other: Person) -> AsyncIterator[Work]:
    """Work beside the block; at the end all of it is there, once and in order."""
    work, ending = Work(one, other), asyncio.Event()

    async def on_and_on(step: Callable[[], Awaitable[None]]) -> None:
        while not ending.is_set():
            await step()

    async with asyncio.TaskGroup() as tasks:
        for step in (work.talk, work.pay):
            tasks.create_task(on_and_on(step))
        try:
            yield work
        finally:
            ending.set()
    texts = [message.text async for message in one.client.messaging.history(one.with_(other)) if message.text]
    assert texts == [f"{number}" for number in range(work.said)]
    assert (await one.client.payments.get_wallet()).balance_rials == CASH_IN_RIALS - work.paid


async def pair(stage: Stage) -> tuple[Person, Person]:
    """Two people; the first has money."""
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    await stage.cash_in(one, CASH_IN_RIALS)
    return one, other


def busiest(rows: Mapping[int, dict[str, Any]], before: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """The partition that was written to most."""
    return rows[max(rows, key=lambda partition: rows[partition]["offset"] - before[partition]["offset"])]


def elsewhere(process: str, service: str) -> str:
    """The other one."""
    return service if process != service else f"{service}-2"


async def test_owners_are_shown_of_several_processes(stage: Stage) -> None:
    for service in REPLICAS:
        rows = await partitions(stage, service)
        assert sorted(rows) == [*range(stage.up.installation.partitions)]
        assert {row["owner"] for row in rows.values()} == {service, f"{service}-2"}
        lines = await chapar(stage, "owners", service)
        seen = {line["process"]: set(line["members"]) for line in lines if "process" in line}
        names = {service, f"{service}-2"}
        assert seen == dict.fromkeys(names, names)


async def test_busy_partitions_move_and_nothing_is_refused_to_clients_that_retry(stage: Stage) -> None:
    one, other = await pair(stage)
    before = {service: await partitions(stage, service) for service in REPLICAS}
    async with working(one, other) as work:
        await work.more(20)
        for service in REPLICAS:
            row = busiest(await partitions(stage, service), before[service])
            for _ in range(3):
                target = elsewhere(row["owner"], service)
                move = ("owners", "move", str(row["partition"]), "--service", service, "--reason", "پر کار")
                work.slowest_s = 0.0
                (told,) = await chapar(stage, *move, "--to", target)
                await work.more()
                print(
                    f"{service} {row['partition']}: {row['owner']} -> {target} in {told['seconds']} s under load,"
                    f" slowest call {work.slowest_s:.3f} s"
                )
                row = (await partitions(stage, service))[row["partition"]]
                assert (row["owner"], row["placed"], row["epoch"]) == (target, target, told["epoch"])
                assert row["reason"].startswith("پر کار (")
            (refused,) = await chapar(stage, *move, "--to", "127.0.0.1:1", code=1)
            assert "no member that is alive answers at 127.0.0.1:1" in refused["message"]
            await chapar(stage, *move, "--anywhere")
            assert not (await partitions(stage, service))[row["partition"]]["placed"]


async def test_a_placed_partition_goes_back_to_its_process_after_that_was_killed(stage: Stage) -> None:
    one, other = await pair(stage)
    before = await partitions(stage, "payments")
    async with working(one, other) as work:
        await work.more(20)
        partition = busiest(await partitions(stage, "payments"), before)["partition"]
        move = ("owners", "move", str(partition), "--service", "payments", "--reason", "آنجا")
        await chapar(stage, *move, "--to", "payments-2")
        await stage.up.kill_and_wait("payments-2")
        await work.more()

        async def is_back() -> bool:
            row = (await partitions(stage, "payments"))[partition]
            return bool(row["owner"] == row["placed"] == "payments-2")

        await eventually(is_back, "the partition at its process again", timeout_s=BOUND_S)
        await work.more()
        await chapar(stage, *move, "--anywhere")
