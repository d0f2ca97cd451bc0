"""All services on a broker that knows their users, talks TLS only, and allows exactly what the table of rights says."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from chapar_chassis.access import BEATS, topic_rules, user_of
from chapar_chassis.ports import published_topics, topic_layouts
from chapar_chassis.secrets import OWNERS, SERVICES, create_installation
from chapar_chassis.settings import CommonSettings
from chapar_client.demo import Stage
from chapar_client.up import Installation
from chapar_sourcing.adapters.kafka import Cluster, Credentials, Durability, KafkaJournal, TopicRefused, apply_topics
from chapar_sourcing.ports import Unavailable
from tools.kafka_server import KafkaServer

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("kafka"),
    pytest.mark.timeout(300),
]
PASSWORDS = {name: secrets.token_hex(12) for name in ("admin", *map(user_of, SERVICES))}
TOPIC, LITERAL, ALLOW = 2, 3, 3
OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}
"""As Kafka's protocol numbers them."""


def as_user(broker: KafkaServer, user: str) -> Cluster:
    trusted = ssl.create_default_context(cafile=broker.ca)
    return Cluster(broker.bootstrap, Credentials(user, PASSWORDS[user], trusted))


async def allow(broker: KafkaServer) -> None:
    """The whole table of rights, as an operator enters it."""
    admin: Any = AIOKafkaAdminClient(**as_user(broker, "admin").client_options())
    await admin.start()
    try:
        for service in SERVICES:
            for rule in topic_rules(service):
                for operation in rule.operations:
                    request = CreateAclsRequest(
                        TOPIC, rule.topic, LITERAL, f"User:{user_of(service)}", "*", OPERATIONS[operation], ALLOW
                    )
                    answer = await admin._send_to_controller(request)
                    assert [code for code, _ in answer.creation_responses] == [0]
    finally:
        await admin.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Stage, KafkaServer]]:
    """An installation whose every process is a user of its own."""
    folder = tmp_path_factory.mktemp("access")
    patched = pytest.MonkeyPatch()
    plain = Installation.environment

    def as_service(installation: Installation, service: str, **listens: str) -> dict[str, str]:
        users = {"CHAPAR_KAFKA_USER": user_of(service), "CHAPAR_KAFKA_CA": str(broker.ca)}
        return plain(installation, service, **listens) | users

    with KafkaServer(folder / "kafka", users=PASSWORDS) as broker:
        create_installation(folder / "data")
        for service in SERVICES:
            written = folder / "data" / "secrets" / service / "kafka.password"
            written.touch(mode=0o600)
            written.write_text(PASSWORDS[user_of(service)], encoding="ascii")
        stage = Stage(folder, kafka=broker.bootstrap)
        for service in OWNERS:
            settings = CommonSettings.from_environ(stage.up.installation.environment(service, listen="127.0.0.1:0"))
            layouts = topic_layouts(settings, service, published_topics(service, BEATS.get(service, ())))
            await apply_topics(as_user(broker, "admin"), layouts, Durability(1))
        await allow(broker)
        patched.setattr(Installation, "environment", as_service)
        try:
            async with stage:
                yield stage, broker
        finally:
            patched.undo()


@pytest.mark.parametrize("service", SERVICES)
async def test_nobody_writes_anothers_journal(guarded: tuple[Stage, KafkaServer], service: str) -> None:
    _, broker = guarded
    other = "payments" if service != "payments" else "messaging"
    with pytest.raises((TopicRefused, Unavailable)):
        await KafkaJournal.open(as_user(broker, user_of(service)), other, partitions=16)


async def test_people_talk_and_pay_with_no_more_rights_than_the_table_gives(
    guarded: tuple[Stage, KafkaServer],
) -> None:
    stage, _ = guarded
    payer, payee = await stage.person("پردازنده"), await stage.person("گیرنده")
    for person in (payer, payee):
        await person.read_from_now()
    room = payer.with_(payee)
    await payer.say(room, "ناهار با من")
    await stage.cash_in(payer, 50_000)
    await payer.client.payments.transfer(payee.user_id, 12_500, memo="ناهار")
    for person in (payer, payee):
        await person.message(room, 2)
    await payee.watch(payer)
    await payee.presence_of(payer, online=True)
    await stage.leave()
    await stage.up.stop()
    digests = await stage.digests()
    assert {service: agree for service, (agree, _) in digests.items()} == dict.fromkeys(OWNERS, True), digests
