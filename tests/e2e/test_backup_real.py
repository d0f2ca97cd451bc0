"""An installation on a broker and a database is copied while it runs and restored into new ones, or into files."""

from __future__ import annotations

from pathlib import Path

import pytest

from chapar_client.demo import Stage
from chapar_client.up import Installation, ServiceFailed, Supervisor
from tests.e2e.alone import ends
from tests.e2e.copying import chapar, copied_under_traffic, goes_on, restored, take_secrets, where
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer

pytestmark = [pytest.mark.kafka, pytest.mark.mongo, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(600)]


async def is_not_restored_into(stage: Stage, backup: Path) -> None:
    """Topics and collections of another installation are named, and nothing is begun."""
    folder = Stage(stage.folder / "elsewhere", kafka=stage.up.installation.kafka, mongo=stage.up.installation.mongo)
    take_secrets(folder, stage)
    before = await ends(stage.up.installation)
    said = (await chapar("restore", "--from", str(backup), *where(folder), code=1))["message"]
    assert "already: restore into an empty installation" in said
    for name in ("presence.journal", "messaging.events.v1", "revocations.v1", "payments.owners.v1", "identity.keys"):
        assert name in said
    assert [path.name for path in folder.data_dir.iterdir()] == ["secrets"]
    assert await ends(stage.up.installation) == before


async def gets_no_new_secrets(stage: Stage) -> None:
    """Data on a broker or in a database is of no use with other secrets than its own: a folder without them starts
    nothing, and is told where what it is missing belongs."""
    at = stage.up.installation
    for installation, data in (
        (Installation(stage.folder / "new", kafka=at.kafka), "identity.journal"),
        (Installation(stage.folder / "new", mongo=at.mongo), "chapar_identity.keys"),
    ):
        with pytest.raises(ServiceFailed, match=f"the data of identity needs it .{data}.*put the secrets back"):
            async with Supervisor(installation, lambda _: None):
                pass
        assert not (installation.data_dir / "secrets").exists()


async def test_a_running_installation_is_restored_into_an_empty_cluster(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    files = Stage(tmp_path / "files")
    with KafkaServer(tmp_path / "kafka") as broker, MongoServer(tmp_path / "mongo") as database:
        async with Stage(tmp_path / "first", kafka=broker.bootstrap, mongo=database.uri) as first:
            people = await copied_under_traffic(first, backup)
            take_secrets(files, first)
        await is_not_restored_into(first, backup)
        await gets_no_new_secrets(first)
    with KafkaServer(tmp_path / "kafka2") as broker, MongoServer(tmp_path / "mongo2") as database:
        second = Stage(tmp_path / "second", kafka=broker.bootstrap, mongo=database.uri)
        take_secrets(second, first)
        await restored(backup, second)
        await goes_on(second, people)
    await restored(backup, files)
