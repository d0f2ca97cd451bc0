"""A broker that talks TLS only, knows its users and denies them everything that no rule allows."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from aiokafka.protocol.admin import CreateAclsRequest

from chapar_sourcing.adapters.kafka import (
    Cluster,
    Credentials,
    KafkaJournal,
    KafkaStream,
    TopicLayout,
    TopicRefused,
    apply_topics,
    check_topics,
    journal_layout,
)
from chapar_sourcing.ports import AppendRejected, AppendUnknown, Unavailable
from tools.kafka_server import KafkaServer

from ..brokers import ONE_BROKER, administer

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(240)]
PASSWORDS = {name: secrets.token_hex(12) for name in ("admin", "chapar-messaging", "chapar-payments")}
LAYOUTS = [journal_layout("messaging", 1), TopicLayout("messaging.events.v1", 1)]
TOPIC, LITERAL, ALLOW = 2, 3, 3
READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 8, 10


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka"), users=PASSWORDS) as server:
        yield server


def cluster_of(broker: KafkaServer, user: str, *, password: str = "", tls: ssl.SSLContext | None = None) -> Cluster:
    trusted = tls or ssl.create_default_context(cafile=broker.ca)
    return Cluster(broker.bootstrap, Credentials(user, password or PASSWORDS[user], trusted))


async def allow(broker: KafkaServer, user: str, topic: str, *operations: int) -> None:
    for operation in operations:
        rule = CreateAclsRequest(TOPIC, topic, LITERAL, f"User:{user}", "*", operation, ALLOW)
        answer = await administer(cluster_of(broker, "admin"), partial(_sent, rule))
        assert [error_code for error_code, _ in answer.creation_responses] == [0]


async def _sent(rule: CreateAclsRequest, admin: Any) -> Any:
    return await admin._send_to_controller(rule)


async def test_a_service_reaches_what_rules_allow_it_and_nothing_else(broker: KafkaServer) -> None:
    messaging, payments = (cluster_of(broker, name) for name in ("chapar-messaging", "chapar-payments"))
    await apply_topics(cluster_of(broker, "admin"), LAYOUTS, ONE_BROKER)
    with pytest.raises(TopicRefused, match="do not allow it to this user"):
        await check_topics(messaging, LAYOUTS, ONE_BROKER)

    for layout in LAYOUTS:
        await allow(broker, "chapar-messaging", layout.name, READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS)
    await allow(broker, "chapar-payments", "messaging.events.v1", READ, DESCRIBE)
    await check_topics(messaging, LAYOUTS, ONE_BROKER)
    journal = await KafkaJournal.open(messaging, "messaging", partitions=1)
    stream, reading = await KafkaStream.open(messaging), await KafkaStream.open(payments, publish_deadline_ms=3_000)
    try:
        appended = await journal.append(0, b"block")
        assert [record.data for record in await journal.read(0, 0)] == [b"block"]
        assert appended.offset == 0
        await stream.publish("messaging.events.v1", 0, [b"event"])

        assert [entry.data for entry in await reading.read("messaging.events.v1", 0, 0)] == [b"event"]
        with pytest.raises(Unavailable):
            await reading.publish("messaging.events.v1", 0, [b"forged"])
        with pytest.raises((Unavailable, TopicRefused)):
            await KafkaJournal.open(payments, "messaging", partitions=1)
        assert [entry.data for entry in await stream.read("messaging.events.v1", 0, 0)] == [b"event"]
        with pytest.raises(TopicRefused, match="do not allow it to this user"):
            await apply_topics(messaging, [TopicLayout("messaging.more.v1", 1)], ONE_BROKER)
    finally:
        for adapter in (journal, stream, reading):
            await adapter.close()


async def test_a_journal_that_may_be_read_only_takes_no_block(broker: KafkaServer) -> None:
    layout = journal_layout("payments", 1)
    await apply_topics(cluster_of(broker, "admin"), [layout], ONE_BROKER)
    await allow(broker, "chapar-payments", layout.name, READ, DESCRIBE)
    cluster = cluster_of(broker, "chapar-payments")
    journal = await KafkaJournal.open(cluster, "payments", partitions=1, append_deadline_ms=5_000)
    with pytest.raises((AppendRejected, AppendUnknown)):
        await journal.append(0, b"block")
    assert await journal.end_offset(0) == 0
    await journal.close()


@pytest.mark.parametrize("wrong", ["password", "user", "certificate", "plaintext"])
async def test_who_cannot_prove_themselves_hears_nothing(broker: KafkaServer, wrong: str) -> None:
    clusters = {
        "password": cluster_of(broker, "chapar-messaging", password="another password"),
        "user": cluster_of(broker, "nobody", password="another password"),
        "certificate": cluster_of(broker, "chapar-messaging", tls=ssl.create_default_context()),
        "plaintext": Cluster(broker.bootstrap),
    }
    with pytest.raises(Unavailable) as refused:
        await KafkaStream.open(clusters[wrong])
    assert not any(password in repr(refused.value) for password in PASSWORDS.values())


def test_a_password_is_never_shown(broker: KafkaServer) -> None:
    assert PASSWORDS["admin"] not in repr(cluster_of(broker, "admin"))
