"""What a service says of itself and of what it stands on."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from chapar_chassis.doctor_command import print_report
from chapar_chassis.ports import published_topics
from chapar_chassis.settings import CommonSettings
from chapar_sourcing.adapters.sqlite import SqliteStore
from tools.certificates import Authority

TOPICS = published_topics("toy", ())


async def report(folder: Path, **settings: str) -> dict[str, Any]:
    environ = {"CHAPAR_DATA_DIR": str(folder), "CHAPAR_SECRETS_DIR": str(folder / "hidden-away"), **settings}
    output = io.StringIO()
    assert await print_report("toy", CommonSettings.from_environ(environ), TOPICS, output) == 0
    said: dict[str, Any] = json.loads(output.getvalue())
    return said


async def test_editions_are_read_beside_the_process_that_holds_the_store(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    store = await SqliteStore.open(tmp_path / "toy" / "store.db", service="toy")
    try:
        await store.build_edition(3, 2)
        said = await report(tmp_path)
    finally:
        await store.close()
    assert said["editions"] == {"partitions": 16, "highest_live": 1, "beside": {"3": "building"}}
    assert said["unread"] == {}
    assert 0 < said["disk"]["free_bytes"] < said["disk"]["total_bytes"]
    assert said["versions"]["python"].startswith("3.")
    assert said["versions"]["grpcio"]


async def test_what_cannot_be_looked_at_is_named_by_its_kind_alone(tmp_path: Path) -> None:
    said = await report(
        tmp_path, CHAPAR_KAFKA="127.0.0.1:1", CHAPAR_KAFKA_CA=str(tmp_path / "authority-of-somebody.pem")
    )
    assert said["unread"] == {
        "certificates/kafka_ca": "FileNotFoundError", "editions": "Unavailable", "topics": "Unavailable",
    }  # fmt: skip
    assert "somebody" not in json.dumps(said)


async def test_certificates_say_when_they_end(tmp_path: Path) -> None:
    authority = Authority.make()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    authority.issue(tmp_path / "toy.pem", tmp_path / "toy.key", "toy.chapar", days=3)
    said = await report(
        tmp_path,
        CHAPAR_TLS_CERT=str(tmp_path / "toy.pem"),
        CHAPAR_TLS_KEY=str(tmp_path / "toy.key"),
        CHAPAR_TLS_CA=str(tmp_path / "ca.pem"),
    )
    days = {one["setting"]: one["days_left"] for one in said["certificates"]}
    assert 2 < days["tls_cert"] <= 3
    assert days["tls_ca"] > 3


async def test_of_settings_that_may_hold_anything_it_is_said_whether_they_are_set(tmp_path: Path) -> None:
    said = await report(
        tmp_path,
        CHAPAR_PARTITIONS="32",
        CHAPAR_MONGO_URI="mongodb://127.0.0.1:1/?appName=planted",
        CHAPAR_KAFKA_USER="planted",
    )
    settings = said["settings"]
    assert (settings["partitions"], settings["log_level"]) == (32, "info")
    assert (settings["mongo_uri"], settings["kafka_user"], settings["kafka"]) == ("set", "set", "not set")
    assert settings["data_dir"] == "set"
    assert "planted" not in json.dumps(said)
    assert "hidden-away" not in json.dumps(said)
