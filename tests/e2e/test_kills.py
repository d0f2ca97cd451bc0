"""Each service killed with -9 and stopped and continued under load, on SQLite; killed, on a real broker.

Zero acknowledged commands are lost, doubled or reordered, no read is stale, no call outlives its deadline, nobody
stays online, and every log refolds to its store. `make soak-kills` does more of the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import pytest_asyncio

from chapar_client.demo import Stage
from chapar_client.up import SERVICES
from tests.e2e.disturbing import ACKNOWLEDGED_BETWEEN, disturb, plan
from tests.e2e.law import Law
from tests.e2e.load import Arena
from tests.e2e.rest import problems_at_rest
from tools.kafka_server import KafkaServer

KILLS = 5
STOPS = 3
SEED = 1

pytestmark = [
    pytest.mark.kills,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
]


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    with KafkaServer(folder / "kafka") as server:
        yield server.bootstrap


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)],
)
async def arena(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    """One installation for all kills on one kind of log; its logs are refolded at the end."""
    folder = tmp_path_factory.mktemp("kills")
    on_kafka = request.param == "kafka"
    with broker(folder) if on_kafka else nullcontext("") as kafka:
        with (folder / "services.log").open("w", encoding="utf-8") as log:
            async with Stage(folder, kafka=kafka, on_line=lambda line: print(line.text, file=log, flush=True)) as stage:
                law = Law(stage)
                yield await Arena.open(stage, seed=SEED)
                await law.ask("the last disturbance")
        problems = await law.problems()
    assert problems == []


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_acknowledged_is_lost_doubled_or_reordered(arena: Arena, service: str) -> None:
    stops = 0 if arena.stage.up.installation.kafka else STOPS
    before = arena.stage.up.starts(service)
    async with arena.load() as recorder:
        acknowledged = recorder.acknowledged
        await arena.more(ACKNOWLEDGED_BETWEEN)
        for disturbance in plan(service, kills=KILLS, stops=stops, seed=SEED):
            await disturb(arena, disturbance)
    found = await problems_at_rest(arena)
    assert not found, "\n".join(found)
    assert arena.stage.up.starts(service) == before + KILLS
    assert recorder.acknowledged - acknowledged > (KILLS + stops) * ACKNOWLEDGED_BETWEEN
