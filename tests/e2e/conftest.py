"""One set of five real processes for all e2e tests, on a folder and ports of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chapar_client.demo import Stage
from chapar_client.verifier import verify_folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The running installation; when all tests are through, every log must agree with its store and with itself."""
    folder: Path = tmp_path_factory.mktemp("installation")
    async with Stage(folder) as stage:
        yield stage
    disagreeing = {service: said for service, (same, said) in (await stage.digests()).items() if not same}
    assert disagreeing == {}
    assert [finding for report in verify_folder(stage.data_dir) for finding in report.findings] == []
