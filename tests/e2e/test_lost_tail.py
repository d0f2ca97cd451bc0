"""A broker that is given back an older copy of its data has lost what it acknowledged since. Whoever stored more of a
log than there is left of it says so and decides nothing, also once the log has grown again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_chassis.ports import open_journal, open_store
from chapar_chassis.settings import CommonSettings
from chapar_client.demo import Person, Stage
from chapar_client.up import ANY_PORT, Installation
from chapar_sourcing.fold import FoldState, fold
from tests.e2e.alone import alone, ends, held
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer

pytestmark = [pytest.mark.kafka, pytest.mark.mongo, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(600)]
SERVICES = ("messaging", "payments")
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def use(stage: Stage, one: Person, other: Person) -> None:
    """Something happens in both services."""
    for number in range(3):
        await one.say(one.with_(other), f"{number}")
        await one.client.payments.transfer(other.user_id, 1_000)


def settings_of(installation: Installation, service: str) -> CommonSettings:
    return CommonSettings.from_environ(installation.environment(service, listen=ANY_PORT))


async def stored(installation: Installation, service: str) -> dict[int, int]:
    """Partition -> up to which offset its store has followed the log."""
    store = await open_store(settings_of(installation, service), service)
    try:
        found = {partition: await store.read_checkpoint(partition) for partition in range(installation.partitions)}
    finally:
        await store.close()
    return {partition: checkpoint.fold.valid_offset for partition, checkpoint in found.items() if checkpoint}


async def grow(installation: Installation, service: str, partition: int, beyond: int) -> None:
    """Somebody who knows nothing of the lost end appends claims, each of which counts, until there is more again."""
    log = await open_journal(settings_of(installation, service), service)
    state = FoldState()
    try:
        while state.offset <= beyond:
            for record in await log.read(partition, state.offset + 1):
                state, _, _ = fold(state, record.offset, record.data)
            claim = journal.Claim(
                epoch=state.epoch + 1, writer=bytes(16), address="127.0.0.1:1", folded_offset=state.offset,
                folded_hash=state.hash, time_ms=state.time_ms, generation=1,
            )  # fmt: skip
            await log.append(partition, journal.Record(claim=claim).SerializeToString())
    finally:
        await log.close()


async def says(installation: Installation, service: str, lost: int, words: str) -> None:
    """The process runs, serves nobody, and says of so many partitions what is wrong and what to do. Others may have an
    alarm of their own: what they have read of the lost ones' streams is gone, too."""

    def told(problems: Mapping[str, int]) -> int:
        return sum(count for problem, count in problems.items() if words in problem and "chapar restore" in problem)

    async with alone(installation, service) as process:
        problems = await process.problems(lambda problems: told(problems) >= lost)
        assert told(problems) == lost
        assert await process.health() == NOT_SERVING


async def test_a_broker_with_an_older_copy_of_its_data_is_noticed_and_nothing_is_decided(tmp_path: Path) -> None:
    data, older = tmp_path / "kafka" / "data", tmp_path / "older"
    with KafkaServer(tmp_path / "kafka") as broker, MongoServer(tmp_path / "mongo") as database:
        stage = Stage(tmp_path, kafka=broker.bootstrap, mongo=database.uri)
        installation = stage.up.installation
        async with stage:
            one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
            await stage.cash_in(one, 1_000_000)
            await use(stage, one, other)
        broker.stop()
        shutil.copytree(data, older)
        broker.start()
        async with stage:
            people = [Person(person.name, person.folder, stage.up.gateway_address) for person in (one, other)]
            people[0].user_id, people[1].user_id = one.user_id, other.user_id
            await use(stage, *people)
            for person in people:
                await person.close()
        broker.stop()
        shutil.rmtree(data)
        shutil.copytree(older, data)
        broker.start()

        before = await ends(installation)
        lost = {
            (service, partition): offset
            for service in SERVICES
            for partition, offset in (await stored(installation, service)).items()
            if offset >= before[service, partition]
        }
        for service in SERVICES:
            count = sum(name == service for name, _ in lost)
            assert count
            kept = held(database.uri, f"chapar_{service}")
            await says(installation, service, count, "it was cut, or the store is newer")
            after = await ends(installation)
            assert [at for at in lost if after[at] != before[at]] == []
            assert held(database.uri, f"chapar_{service}") == kept
        for (service, partition), offset in lost.items():
            await grow(installation, service, partition, offset)
        grown = await ends(installation)
        for service in SERVICES:
            count = sum(name == service for name, _ in lost)
            await says(installation, service, count, "the log does not hold what was folded")
            after = await ends(installation)
            assert [at for at in lost if after[at] != grown[at]] == []
