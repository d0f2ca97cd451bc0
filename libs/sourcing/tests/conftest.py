"""What tests of the engine share: one real Kafka broker and one database a run, started only for tests marked `kafka`
or `mongo`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A running broker. Tests share it: each uses topics of its own and leaves it running."""
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A running database. Tests share it: each uses a database of its own and leaves it running."""
    with MongoServer(tmp_path_factory.mktemp("mongo")) as server:
        yield server
