"""A process that is started on the wrong thing says what is wrong and what to do, and leaves all as it was: on a real
broker and a real database that talk TLS and know their users."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_chassis.ports import open_journal, open_store
from chapar_chassis.secrets import SERVICES, create_installation
from chapar_chassis.settings import CommonSettings
from chapar_client.up import ANY_PORT, Installation, run_to_end
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, Journal
from tests.e2e.alone import alone, held
from tests.e2e.clocks import Clock, said_of_the_clock
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer
from tools.server_process import free_ports

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.mongo,
    pytest.mark.xdist_group("kafka"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
]
SERVICE = "payments"
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PASSWORD, WRONG = secrets.token_hex(12), "not the password"


@dataclass(frozen=True, slots=True)
class Guarded:
    """An installation of one service, with something in its journal."""

    installation: Installation
    database: MongoServer

    @property
    def uri(self) -> str:
        """Of the database, for a client of ours."""
        quoted = f"admin:{PASSWORD}@{self.database.address}"
        return f"mongodb://{quoted}/?directConnection=true&tls=true&tlsCAFile={self.database.ca}"

    async def end(self) -> list[int]:
        """The end of each partition of the journal."""
        async with self._journal() as log:
            return [await log.end_offset(partition) for partition in range(log.partitions)]

    async def records(self, before: Sequence[int]) -> list[journal.Record]:
        """What the journal holds after these ends."""
        async with self._journal() as log:
            found = [await log.read(partition, offset) for partition, offset in enumerate(before)]
        return [journal.Record.FromString(record.data) for page in found for record in page]

    @asynccontextmanager
    async def _journal(self) -> AsyncIterator[Journal]:
        environment = self.installation.environment(SERVICE, listen=ANY_PORT)
        log = await open_journal(CommonSettings.from_environ(environment), SERVICE)
        try:
            yield log
        finally:
            await log.close()

    async def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
        """The service's process, or a command of it: how it ends and what it says."""
        own = self.installation.environment(SERVICE, listen=ANY_PORT)
        return await run_to_end(self.installation.command(SERVICE, *arguments), {**own, **(environment or {})})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    create_installation(folder / "data")
    for service in SERVICES:
        keep(folder / "data" / "secrets" / service, PASSWORD)
    with (
        KafkaServer(folder / "kafka", users={"admin": PASSWORD}) as broker,
        MongoServer(folder / "mongo", user="admin", password=PASSWORD) as database,
    ):
        users = {
            "CHAPAR_KAFKA_USER": "admin", "CHAPAR_KAFKA_CA": str(broker.ca),
            "CHAPAR_MONGO_USER": "admin", "CHAPAR_MONGO_CA": str(database.ca),
        }  # fmt: skip
        installation = Installation(
            folder / "data", kafka=broker.bootstrap, mongo=database.uri, partitions=2, extra_environment=users
        )
        guarded = Guarded(installation, database)
        for command in (("topics", "apply"), ("database", "prepare")):
            status, said = await guarded.run(*command)
            assert status == 0, said
        async with alone(installation, SERVICE) as process:
            await process.ready()
        yield guarded


def keep(folder: Path, password: str) -> None:
    """Puts a password into a folder of secrets."""
    for name in ("kafka.password", "mongo.password"):
        (folder / name).write_text(password)
        (folder / name).chmod(0o600)


def nowhere() -> str:
    """An address at which nobody listens."""
    (port,) = free_ports(None)
    return f"127.0.0.1:{port}"


async def is_refused(guarded: Guarded, words: str, environment: Mapping[str, str], *, service: str = SERVICE) -> None:
    """It ends with what is wrong and what to do in its last line; journals and databases are as they were."""
    installation = guarded.installation
    own = installation.environment(service, listen=ANY_PORT)
    names = sorted(f"{prefix}_{name}" for prefix in ("chapar", "other") for name in (SERVICE, service))
    before = (await guarded.end(), [held(guarded.uri, name) for name in names])
    status, said = await run_to_end(installation.command(service), {**own, **environment})
    assert status == 1, said
    assert words in said.splitlines()[-1]
    assert PASSWORD not in said
    assert WRONG not in said
    assert (await guarded.end(), [held(guarded.uri, name) for name in names]) == before


async def test_a_wrong_address_is_named(guarded: Guarded) -> None:
    address = nowhere()
    unheard = f"{address} cannot be reached: nobody listens there"
    await is_refused(guarded, unheard, {"CHAPAR_KAFKA": address})
    unreachable = f"the database cannot be reached: {address}"
    await is_refused(guarded, unreachable, {"CHAPAR_MONGO_URI": f"mongodb://{address}/"})


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("kafka.password", "refuses us: the user admin or the password is wrong"),
        ("mongo.password", "the database refuses us: the user or the password is wrong"),
    ],
)
async def test_a_wrong_password_is_told_and_not_shown(
    guarded: Guarded, tmp_path: Path, secret: str, words: str
) -> None:  # fmt: skip
    folder = tmp_path / "secrets"
    shutil.copytree(guarded.installation.data_dir / "secrets" / SERVICE, folder)
    (folder / secret).write_text(WRONG)
    await is_refused(guarded, words, {"CHAPAR_SECRETS_DIR": str(folder)})


async def test_missing_topics_are_named_with_the_command_that_makes_them(guarded: Guarded) -> None:
    words = "there is no topic presence.journal; `chapar topics apply` creates it"
    await is_refused(guarded, words, {}, service="presence")


async def test_a_store_of_another_log_is_refused(guarded: Guarded) -> None:
    other = {"CHAPAR_MONGO_DATABASE": "other"}
    status, said = await guarded.run("database", "prepare", environment=other)
    assert status == 0, said
    own = guarded.installation.environment(SERVICE, listen=ANY_PORT)
    store = await open_store(CommonSettings.from_environ({**own, **other}), SERVICE)
    await store.write_checkpoint(1, Checkpoint("another journal", 1, FoldState(offset=7, valid_offset=7)))
    await store.close()
    await is_refused(guarded, "Name the one that belongs to it, or an empty one", other)


@pytest.mark.parametrize("off_s", [3_600, -3_600])
async def test_a_process_whose_clock_is_an_hour_off_decides_nothing(
    guarded: Guarded, tmp_path: Path, off_s: int
) -> None:  # fmt: skip
    clock = Clock(tmp_path)
    clock.turn(SERVICE, off_s)
    before, latest_ms = await guarded.end(), int(time.time() * 1000)
    async with alone(guarded.installation, SERVICE, clock.environment) as process:
        await process.problems(said_of_the_clock)
        assert await process.health() == NOT_SERVING
    # What it claims tells it the broker's time; neither holds a decision, nor its own time.
    records = await guarded.records(before)
    assert [entry for record in records for entry in record.block.entries] == []
    assert max((max(record.block.time_ms, record.claim.time_ms) for record in records), default=0) <= latest_ms
    clock.turn(SERVICE, 0)
    async with alone(guarded.installation, SERVICE, clock.environment) as process:
        await process.ready()
