"""Each service killed with -9 and stopped and continued under load, on SQLite. `chaos` does it on a broker.

Zero acknowledged commands are lost, doubled or reordered, no read is stale, no call outlives its deadline, nobody
stays online, and every log refolds to its store. `make soak-kills` does more of the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chapar_client.demo import Stage
from chapar_client.up import SERVICES
from tests.e2e.disturbing import ACKNOWLEDGED_BETWEEN, disturb, plan
from tests.e2e.law import Law
from tests.e2e.load import Arena
from tests.e2e.rest import problems_at_rest

KILLS = 5
STOPS = 3
SEED = 1

pytestmark = [
    pytest.mark.kills,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    """One installation for all kills; its logs are refolded at the end."""
    folder = tmp_path_factory.mktemp("kills")
    with (folder / "services.log").open("w", encoding="utf-8") as log:
        async with Stage(folder, on_line=lambda line: print(line.text, file=log, flush=True)) as stage:
            law = Law(stage)
            yield await Arena.open(stage, seed=SEED)
            await law.ask("the last disturbance")
    problems = await law.problems()
    assert problems == []


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_acknowledged_is_lost_doubled_or_reordered(arena: Arena, service: str) -> None:
    before = arena.stage.up.starts(service)
    async with arena.load() as recorder:
        acknowledged = recorder.acknowledged
        await arena.more(ACKNOWLEDGED_BETWEEN)
        for disturbance in plan(service, kills=KILLS, stops=STOPS, seed=SEED):
            await disturb(arena, disturbance)
    found = await problems_at_rest(arena)
    assert not found, "\n".join(found)
    assert arena.stage.up.starts(service) == before + KILLS
    assert recorder.acknowledged - acknowledged > (KILLS + STOPS) * ACKNOWLEDGED_BETWEEN
