"""A fake gateway and a signed-in client."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from client_fakes import FakeGateway, session

from chapar_client.sdk import Client, StateStore


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    fake = FakeGateway()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def client(gateway: FakeGateway, tmp_path: Path) -> AsyncIterator[Client]:
    state = StateStore(tmp_path / "profile")
    await state.open_session(session())
    async with Client(gateway.address, state, timeout_s=20) as client:
        yield client
