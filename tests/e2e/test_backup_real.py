"""An installation on a broker and a database is copied while it runs and restored into new ones, or into files."""

from __future__ import annotations

from pathlib import Path

import pytest

from chapar_client.demo import Stage
from tests.e2e.copying import copied_under_traffic, goes_on, restored, take_secrets
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer

pytestmark = [pytest.mark.kafka, pytest.mark.mongo, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(600)]


async def test_a_running_installation_is_restored_into_an_empty_cluster(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    files = Stage(tmp_path / "files")
    with KafkaServer(tmp_path / "kafka") as broker, MongoServer(tmp_path / "mongo") as database:
        async with Stage(tmp_path / "first", kafka=broker.bootstrap, mongo=database.uri) as first:
            people = await copied_under_traffic(first, backup)
            take_secrets(files, first)
    with KafkaServer(tmp_path / "kafka2") as broker, MongoServer(tmp_path / "mongo2") as database:
        second = Stage(tmp_path / "second", kafka=broker.bootstrap, mongo=database.uri)
        take_secrets(second, first)
        await restored(backup, second)
        await goes_on(second, people)
    await restored(backup, files)
