"""One set of five real processes for all e2e tests, on a folder and ports of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chapar_client.demo import Stage
from tests.e2e.law import Law


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def law(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Law]:
    """The running installation with its law: when all tests are through, nothing may disagree."""
    folder: Path = tmp_path_factory.mktemp("installation")
    async with Stage(folder) as stage:
        law = Law(stage)
        yield law
    assert await law.problems() == []


@pytest.fixture(scope="session")
def stage(law: Law) -> Stage:
    """The installation."""
    return law.stage


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def owners_say_what_they_hold(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """After each test on the shared installation."""
    yield
    if "law" in request.fixturenames:
        await request.getfixturevalue("law").ask(request.node.name)
