"""What tests of the engine share: one real Kafka broker a run, started only for tests marked `kafka`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.kafka_server import KafkaServer


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A running broker. Tests share it: each uses topics of its own and leaves it running."""
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server
