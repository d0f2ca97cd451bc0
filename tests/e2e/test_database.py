"""`chapar database` against a real database."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapar_client.up import OWNERS, run_to_end
from tools.mongo_server import MongoServer

pytestmark = [pytest.mark.mongo, pytest.mark.xdist_group("mongo"), pytest.mark.timeout(600)]


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    with MongoServer(tmp_path / "mongo") as server:
        yield server.uri


async def database(folder: Path, *arguments: str) -> tuple[int, list[dict[str, object]]]:
    """Exit status and what was said, a JSON object a line."""
    environment = {**os.environ, "CHAPAR_HOME": str(folder), "CHAPAR_MONGO_DATABASE": "shiraz"}
    command = [sys.executable, "-m", "chapar_client", "database", *arguments, "--json"]
    status, said = await run_to_end(command, environment)
    return status, [json.loads(line) for line in said.splitlines()]


async def test_an_operator_prepares_databases_and_looks_at_them(uri: str, tmp_path: Path) -> None:
    status, said = await database(tmp_path, "check", "--mongo", uri)
    assert status == 1
    assert len(said) == len(OWNERS), "a line of each service"
    assert all("was not made ready" in str(line["message"]) for line in said)
    for action in ("prepare", "check"):
        status, said = await database(tmp_path, action, "--mongo", uri)
        assert status == 0
        assert {line["database"] for line in said} == {f"shiraz_{service}" for service in OWNERS}
