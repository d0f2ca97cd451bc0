"""Fixtures of identity's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .installation import Identity, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An installation that nobody has used yet."""
    return World(tmp_path / "data")


@pytest.fixture
async def identity(world: World) -> AsyncIterator[Identity]:
    """A running process on it."""
    async with world.process() as running:
        yield running
