"""The toy as a real process whose store and keys are in a database of MongoDB's protocol."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.mongo_server import MongoServer

from .processes import digests, finished, started

pytestmark = [pytest.mark.mongo, pytest.mark.xdist_group("mongo"), pytest.mark.timeout(240)]
PASSWORD = "a password of tests"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A database that talks TLS and lets one user in."""
    with MongoServer(tmp_path_factory.mktemp("mongo"), user="chapar-toy", password=PASSWORD) as server:
        yield server


@pytest.fixture
def on_mongo(environ: dict[str, str], server: MongoServer) -> dict[str, str]:
    """An installation with a database of its own."""
    secret = Path(environ["CHAPAR_SECRETS_DIR"]) / "mongo.password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    return {
        **environ,
        "CHAPAR_MONGO_URI": server.uri,
        "CHAPAR_MONGO_USER": "chapar-toy",
        "CHAPAR_MONGO_CA": str(server.ca),
        "CHAPAR_MONGO_DATABASE": f"d{secrets.token_hex(4)}",
    }


async def refusal(environ: dict[str, str], *arguments: str) -> str:
    """The one line with which it refuses to start."""
    status, _, errors = await finished(environ, *arguments)
    assert (status, errors.count("\n")) == (1, 1), errors
    assert PASSWORD not in errors
    return errors


async def test_on_mongo_a_killed_process_takes_up_its_log_again(on_mongo: dict[str, str]) -> None:
    assert "was not made ready: `python -m chapar_toy database prepare` does" in await refusal(on_mongo)
    for _ in range(2):
        status, output, errors = await finished(on_mongo, "database", "prepare")
        assert (status, json.loads(output)["ready"]) == (0, True), errors
    async with started(on_mongo) as running:
        assert [await running.client.add(f"c{n % 3}", 1) for n in range(9)] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        await running.end(signal.SIGKILL)
    async with started(on_mongo) as running:
        assert [await running.client.value(f"c{n}") for n in range(3)] == [3, 3, 3]
        assert await running.end(signal.SIGTERM) == 0
    status, rows = await digests(on_mongo)
    assert status == 0
    assert sum(row["store_documents"] for row in rows) == 3 + 9
    assert sorted(path.name for path in (Path(on_mongo["CHAPAR_DATA_DIR"]) / "toy").glob("*.db")) == ["journal.db"]


async def test_a_database_that_lacks_something_is_refused_in_one_line(on_mongo: dict[str, str]) -> None:
    assert "was not made ready" in await refusal(on_mongo, "database", "check")
    secret = Path(on_mongo["CHAPAR_SECRETS_DIR"]) / "mongo.password"
    secret.write_text("another password")
    assert "the user or the password is wrong" in await refusal(on_mongo)
    secret.unlink()
    assert "mongo.password is missing" in await refusal(on_mongo)
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    nobody = {**on_mongo, "CHAPAR_MONGO_URI": "mongodb://127.0.0.1:1/"}
    assert "the database cannot be reached: 127.0.0.1:1: " in await refusal(nobody)
    status, _, errors = await finished({**on_mongo, "CHAPAR_MONGO_URI": ""}, "database", "prepare")
    assert (status, "CHAPAR_MONGO_URI must be set" in errors) == (2, True)


async def test_a_database_of_another_journal_is_refused_and_left_as_it_is(
    on_mongo: dict[str, str], tmp_path: Path
) -> None:
    status, _, errors = await finished(on_mongo, "database", "prepare")
    assert status == 0, errors
    async with started(on_mongo) as running:
        assert await running.client.add("c", 1) == 1
        assert await running.end(signal.SIGTERM) == 0
    with_another = {**on_mongo, "CHAPAR_DATA_DIR": str(tmp_path / "another")}
    for _ in range(2):
        assert "the store of toy belongs to another journal" in await refusal(with_another)
    async with started(on_mongo) as running:
        assert await running.client.value("c") == 1
