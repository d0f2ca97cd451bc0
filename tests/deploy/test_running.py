"""The processes that charts and compose describe, started on a real broker and database: with those environments, and
with the rights of the charts' KafkaUsers and not one more."""

from __future__ import annotations

import asyncio
import os
import secrets
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chapar_chassis.secrets import create_installation
from chapar_client.sdk import Client, OperatorClient, StateStore, direct_conversation_id
from chapar_client.up import LogLine, SignInCodes
from chapar_client.up._child import Addresses, Child
from chapar_client.up._running import run_to_end
from chapar_sourcing.adapters.kafka import Cluster, Credentials
from tests.deploy.compose import environment_of
from tests.deploy.kit import OWNERS, container, environment, only
from tools.certificates import Authority
from tools.charts.helm import SERVICES
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer
from tools.server_process import free_ports

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(240)]
TOPIC, LITERAL, ALLOW = 2, 3, 3
OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}
ADMIN, DATABASE_USER = "admin", "chapar"
START_S = 90.0
PARTITIONS = "4"


@dataclass
class Town:
    """Five running processes."""

    folder: Path
    ca: Path | None = None
    lines: list[LogLine] = field(default_factory=list)
    addresses: dict[str, Addresses] = field(default_factory=dict)
    codes: SignInCodes = field(default_factory=SignInCodes)

    def on_line(self, line: LogLine) -> None:
        self.lines.append(line)
        self.codes.line(line)

    def client(self, name: str) -> Client:
        return Client(self._at(self.addresses["gateway"].address), StateStore(self.folder / name), ca=self.ca)

    def operator(self) -> OperatorClient:
        token = (self.folder / "secrets" / "operator.token").read_text().strip()
        return OperatorClient(self._at(self.addresses["gateway"].operator_address), token, ca=self.ca)

    def _at(self, address: str) -> str:
        return address if self.ca is None else f"tls://{address}"


@asynccontextmanager
async def running(town: Town, environments: Mapping[str, Mapping[str, str]]) -> AsyncIterator[Town]:
    """All five with these environments, ready."""
    children: dict[str, Child] = {}
    try:
        for services in (OWNERS, ("gateway",)):
            for service in services:
                command = (sys.executable, "-m", f"chapar_{service}")
                told = {**environments[service], "CHAPAR_PARENT_PID": str(os.getpid())}
                children[service] = await Child.start(service, command, told, town.on_line)
            # `ended` puts the reason into `ready` where a process ends before it is.
            watching = [asyncio.create_task(children[service].ended()) for service in services]
            for service in services:
                town.addresses[service] = await children[service].ready(START_S)
            for task in watching:
                task.cancel()
        yield town
    finally:
        for child in reversed(children.values()):
            await child.stop(30.0)


async def prepared(environments: Mapping[str, Mapping[str, str]]) -> None:
    """What the charts' Jobs and compose's one-shots run."""

    async def run(service: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"chapar_{service}", *arguments]
        status, said = await run_to_end(command, dict(environments[service]))
        assert status == 0, said

    for arguments in (("topics", "apply"), ("database", "prepare")):
        await asyncio.gather(*(run(service, *arguments) for service in OWNERS))


async def sign_in(town: Town, client: Client, phone: str) -> str:
    started = await client.identity.start_sign_in(phone)
    code = await town.codes.next(phone)
    return (await client.identity.complete_sign_in(started.challenge_id, code, "phone")).user_id


async def a_day_in(town: Town) -> None:
    """Something of everything: codes, tokens, inboxes, money, a card in a chat; each stream is written and read."""
    sara, ali = town.client("sara"), town.client("ali")
    operator = town.operator()
    try:
        first, second = await sign_in(town, sara, "+989120000001"), await sign_in(town, ali, "+989120000002")
        room = direct_conversation_id(first, second)
        sent = await sara.messaging.send_message(room, "سلام")
        assert sent.sequence == 1
        await operator.cash_in(first, 50_000, "desk 1")
        await sara.payments.transfer(second, 20_000)
        async with asyncio.timeout(60):
            while (await ali.payments.get_wallet()).balance_rials != 20_000:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)
            # The card: payments published it, messaging read it, and the inbox heard of it.
            while not [row async for row in ali.messaging.inbox_rows() if row.head_sequence == 2]:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    finally:
        for one in (sara, ali, operator):
            await one.close()


async def healthy(address: str) -> bool:
    """What a probe asks, in the clear."""
    async with grpc.aio.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service="ready")
        answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=20)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def allow(broker: KafkaServer, password: str, user: Mapping[str, Any]) -> None:
    """The rights of a KafkaUser, as Strimzi's operator gives them."""
    trusted = ssl.create_default_context(cafile=broker.ca)
    cluster = Cluster(broker.bootstrap, Credentials(ADMIN, password, trusted))
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        for rule in user["spec"]["authorization"]["acls"]:
            for operation in rule["operations"]:
                name = rule["resource"]["name"]
                who = f"User:{user['metadata']['name']}"
                request = CreateAclsRequest(TOPIC, name, LITERAL, who, "*", OPERATIONS[operation], ALLOW)
                answer = await admin._send_to_controller(request)
                assert [error_code for error_code, _ in answer.creation_responses] == [0]
    finally:
        await admin.close()


@pytest.fixture(scope="module")
def passwords() -> dict[str, str]:
    return {name: secrets.token_hex(12) for name in (ADMIN, *(f"chapar-{service}" for service in SERVICES))}


@pytest.fixture(scope="module")
def guarded_broker(tmp_path_factory: pytest.TempPathFactory, passwords: Mapping[str, str]) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka"), users=passwords) as server:
        yield server


@pytest.fixture(scope="module")
def guarded_database(tmp_path_factory: pytest.TempPathFactory, passwords: Mapping[str, str]) -> Iterator[MongoServer]:
    folder = tmp_path_factory.mktemp("mongo")
    with MongoServer(folder, user=DATABASE_USER, password=passwords[ADMIN]) as server:
        yield server


def write_secret(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)


async def test_processes_of_the_charts_work_with_the_rights_of_the_charts(
    guarded_broker: KafkaServer, guarded_database: MongoServer, passwords: Mapping[str, str], tmp_path: Path
) -> None:
    """Environment and rights of the production set; changed are addresses, files, sizes and how codes are delivered."""
    create_installation(tmp_path)
    authority, ca = Authority.make(), tmp_path / "ca.crt"
    ca.write_bytes(authority.pem)
    environments, probes = {}, {}
    for service in SERVICES:
        own = tmp_path / "secrets" / service
        authority.issue(own / "tls.crt", own / "tls.key", f"{service}.chapar")
        write_secret(own, "kafka.password", passwords[f"chapar-{service}"])
        write_secret(own, "mongo.password", passwords[ADMIN])
        (probes[service],) = free_ports(None)
        here = {
            "/run/chapar/secrets": str(own),
            "/run/chapar/tls/tls.crt": str(own / "tls.crt"), "/run/chapar/tls/tls.key": str(own / "tls.key"),
            "/run/chapar/public-tls/tls.crt": str(own / "tls.crt"),
            "/run/chapar/public-tls/tls.key": str(own / "tls.key"),
            "/run/chapar/tls/ca.crt": str(ca), "/run/chapar/kafka/ca.crt": str(guarded_broker.ca),
            "/run/chapar/mongo/ca.crt": str(guarded_database.ca), "/run/chapar/otlp/ca.crt": str(ca),
            "/var/lib/chapar": str(tmp_path / "nowhere"),
        }  # fmt: skip
        told = {name: here.get(value, value) for name, value in environment(container("production", service)).items()}
        assert not any("/run/" in value for value in told.values())
        changed = {name: "127.0.0.1:0" for name in told if name.endswith(("_LISTEN", "_ADVERTISE"))}
        changed |= {
            "CHAPAR_KAFKA": guarded_broker.bootstrap, "CHAPAR_KAFKA_REPLICAS": "1", "CHAPAR_PARTITIONS": PARTITIONS,
            "CHAPAR_SCHEMA_LEVEL": "1", "CHAPAR_MONGO_URI": guarded_database.uri, "CHAPAR_MONGO_USER": DATABASE_USER,
            "CHAPAR_CODE_DELIVERY": "console", "CHAPAR_LOG_LEVEL": "info",
            "CHAPAR_OTLP": "127.0.0.1:9",  # Nobody collects, which holds nobody up.
            "CHAPAR_HEALTH_LISTEN": f"127.0.0.1:{probes[service]}",
        }  # fmt: skip
        environments[service] = told | {name: value for name, value in changed.items() if name in told}
        await allow(guarded_broker, passwords[ADMIN], only("production", service, "KafkaUser"))
    for service in OWNERS:
        write_secret(tmp_path / "secrets" / service, "kafka.password", passwords[ADMIN])
    await prepared({service: environments[service] | {"CHAPAR_KAFKA_USER": ADMIN} for service in OWNERS})
    for service in OWNERS:
        write_secret(tmp_path / "secrets" / service, "kafka.password", passwords[f"chapar-{service}"])

    async with running(Town(tmp_path, ca), environments) as town:
        assert [await healthy(f"127.0.0.1:{port}") for port in probes.values()] == [True] * len(SERVICES)
        await a_day_in(town)
    assert not [line.text for line in town.lines if "Authorization" in line.text]
    assert not (tmp_path / "nowhere").exists(), "a process writes nothing beside broker and database"


@pytest.fixture(scope="module")
def open_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KafkaServer, MongoServer]]:
    folder = tmp_path_factory.mktemp("open")
    with KafkaServer(folder / "kafka") as broker, MongoServer(folder / "mongo") as database:
        yield broker, database


async def test_processes_of_compose_start_without_an_engine(
    open_servers: tuple[KafkaServer, MongoServer], tmp_path: Path
) -> None:
    """The environment files as they are; changed are addresses and the folder of secrets."""
    broker, database = open_servers
    environments = {}
    for service in SERVICES:
        told = environment_of(service)
        changed = {name: "127.0.0.1:0" for name in told if name.endswith("_LISTEN")}
        changed |= {"CHAPAR_KAFKA": broker.bootstrap, "CHAPAR_MONGO_URI": database.uri}
        changed |= {
            name: value.replace("/var/lib/chapar", str(tmp_path))
            for name, value in told.items()
            if value.startswith("/var/lib/chapar")
        }
        environments[service] = told | {name: value for name, value in changed.items() if name in told}
    shared = {
        name: value for name, value in environments["messaging"].items() if value == environments["identity"].get(name)
    }
    status, said = await run_to_end([sys.executable, "-m", "chapar_chassis.installing", str(tmp_path)], shared)
    assert status == 0, said
    await prepared(environments)
    async with running(Town(tmp_path), environments) as town:
        client = town.client("sara")
        try:
            await sign_in(town, client, "+989120000001")
        finally:
            await client.close()
