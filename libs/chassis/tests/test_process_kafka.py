"""The toy as a real process whose journal and streams are on a real broker."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tools.kafka_server import KafkaServer

from .processes import digests, finished, started

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(240)]


async def test_on_kafka_a_killed_process_takes_up_its_log_again(environ: dict[str, str], tmp_path: Path) -> None:
    with KafkaServer(tmp_path / "kafka") as broker:
        on_kafka = {**environ, "CHAPAR_KAFKA": broker.bootstrap, "CHAPAR_KAFKA_REPLICAS": "1"}
        status, _, errors = await finished(on_kafka)
        assert (status, errors.count("there is no topic")) == (1, 5), errors
        for change in ("created", "unchanged"):
            status, output, errors = await finished(on_kafka, "topics", "apply")
            rows = [json.loads(line) for line in output.splitlines()]
            assert (status, [row["change"] for row in rows]) == (0, [change] * 5), errors
        async with started(on_kafka) as running:
            assert [await running.client.add(f"c{n % 3}", 1) for n in range(9)] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
            await running.end(signal.SIGKILL)
        async with started(on_kafka) as running:
            assert [await running.client.value(f"c{n}") for n in range(3)] == [3, 3, 3]
            assert await running.end(signal.SIGTERM) == 0
        status, rows = await digests(on_kafka)
        assert status == 0
        assert sum(row["documents"] for row in rows) == 3 + 9
        status, _, errors = await finished({**on_kafka, "CHAPAR_PARTITIONS": "8"})
        assert status == 1
        assert errors.count("\n") == 1, errors
