"""`chapar topics` against a real broker."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapar_client.up import OWNERS, run_to_end
from tools.kafka_server import KafkaServer

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(240)]
OWN = ("journal", "events.v1", "members.v1", "owners.v1")
TOPICS = {f"{service}.{own}" for service in OWNERS for own in OWN} | {"revocations.v1"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    with KafkaServer(tmp_path / "kafka") as server:
        yield server.bootstrap


async def topics(folder: Path, *arguments: str) -> tuple[int, list[dict[str, object]]]:
    """Exit status and what was said, a JSON object a line."""
    environment = {**os.environ, "CHAPAR_HOME": str(folder)}
    command = [sys.executable, "-m", "chapar_client", "topics", *arguments, "--json"]
    status, said = await run_to_end(command, environment)
    return status, [json.loads(line) for line in said.splitlines()]


async def test_an_operator_applies_topics_and_looks_at_them(broker: str, tmp_path: Path) -> None:
    layout = ("--kafka", broker, "--partitions", "2", "--replicas", "1")
    status, said = await topics(tmp_path, "check", *layout)
    assert status == 1
    assert len(said) == 4, "a line of each service"
    assert all("there is no topic" in str(line["message"]) for line in said)

    for change in ("created", "unchanged"):
        status, said = await topics(tmp_path, "apply", *layout)
        assert status == 0
        assert {line["topic"] for line in said} == TOPICS
        assert {line["change"] for line in said} == {change}
    status, said = await topics(tmp_path, "check", *layout)
    assert (status, {line["topic"] for line in said}) == (0, TOPICS)

    for action in ("check", "apply"):
        status, said = await topics(tmp_path, action, "--kafka", broker, "--partitions", "4", "--replicas", "1")
        assert status == 1
        assert all("has 2 partitions; 4 were asked for" in str(line["message"]) for line in said)
