"""`chapar status` and `chapar doctor` on running services: healthy, with a service away, and with secrets planted."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from chapar_client.demo import Stage, eventually
from chapar_client.up import SERVICES
from tests.e2e.kit import E2E

pytestmark = [*E2E, pytest.mark.timeout(600)]
WAIT_S = 240.0
WORDS = "حرف محرمانه planted-words"
PLANTED = {
    "CHAPAR_KAFKA_USER": "planted-kafka-user",
    "CHAPAR_MONGO_USER": "planted-mongo-user",
    "CHAPAR_MONGO_DATABASE": "planted_database",
    "CHAPAR_KAFKA_CA": "/planted/authority.pem",
}
"""What the operator's environment names, all of it passed on to services."""


async def _chapar(*words: str, environment: dict[str, str] | None = None) -> tuple[int, list[dict[str, Any]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chapar_client", *words, "--json",
        env={**os.environ, **(environment or {})}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(WAIT_S):
        output, errors = await process.communicate()
    assert process.returncode is not None
    rows = [json.loads(line) for line in (output + errors).decode().splitlines()]
    return process.returncode, rows


def _unpacked(bundle: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(bundle) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None, "a bundle has nothing but files"
            found[member.name] = file.read()
    return found


async def test_status_says_what_each_owns_and_how_far_behind_it_is(stage: Stage) -> None:
    status, rows = await _chapar("status", "--data", str(stage.data_dir))
    assert status == 0
    by_name = {row["service"]: row for row in rows}
    assert {*by_name} == {*SERVICES}
    for name, row in by_name.items():
        assert (row["state"], row["live"] >= 0) == ("ready", True)
        if name != "gateway":
            assert (row["owned"], row["troubled"], row["members"]) == (16, 0, 1)
            assert row["store_lag"] >= 0
            assert row["reactor_lag_seconds"] >= 0


async def test_nothing_is_wrong_with_what_runs_well_and_no_secret_is_in_the_bundle(
    stage: Stage, tmp_path: Path
) -> None:
    phone = stage.new_phone()
    person, other = await stage.person("نام محرمانه", phone=phone), await stage.person("ب")
    await person.say(person.with_(other), WORDS)
    await stage.cash_in(person, 7_000)
    await person.client.payments.transfer(other.user_id, 1_000, memo="planted-memo")
    # The planted file of authorities is not there, which every service says, by the name of the setting alone.
    due = {f"The certificates of {service} could not be looked at (FileNotFoundError)." for service in SERVICES}
    bundles = (tmp_path / f"doctor-{number}.tar.gz" for number in itertools.count())
    bundle, rows = tmp_path, list[dict[str, Any]]()

    async def nothing_else_is_wrong() -> bool:
        """A machine that starves has late heartbeats: then it is asked again."""
        nonlocal bundle, rows
        bundle = next(bundles)
        words = ("doctor", "--data", str(stage.data_dir), "--to", str(bundle))
        status, rows = await _chapar(*words, environment=PLANTED)
        assert (status, rows[-1]["event"]) == (1, "summary")
        return {row["what"] for row in rows if row.get("level") == "wrong"} == due

    await eventually(nothing_else_is_wrong, "nothing else being wrong", timeout_s=WAIT_S)
    assert rows[-1]["wrong"] == len(SERVICES)

    files = _unpacked(bundle)
    assert bundle.stat().st_mode & 0o077 == 0
    names = {name.removeprefix("chapar-doctor/") for name in files}
    assert names == {
        "about.json", "findings.json", "processes.json", "partitions.json", "unreported.json",
        *(f"services/{service}.json" for service in SERVICES), *(f"metrics/{service}.json" for service in SERVICES),
    }  # fmt: skip
    everything = b"\n".join(files.values())
    session = await person.client.session()
    secret_files = [path for path in (stage.data_dir / "secrets").rglob("*") if path.is_file()]
    assert len(secret_files) > 10
    for secret in [
        *PLANTED.values(), WORDS, "planted", "محرمانه", phone, phone.removeprefix("+"), phone.removeprefix("+98"),
        session.access_token, session.refresh_token, session.session_id, person.user_id, other.user_id,
        str(stage.data_dir),
    ]:  # fmt: skip
        assert secret.encode() not in everything, secret
        assert json.dumps(secret)[1:-1].encode() not in everything, secret
    for path in secret_files:
        for line in path.read_bytes().split():
            assert line not in everything, path.name

    partitions = json.loads(files["chapar-doctor/partitions.json"])
    assert {service: len(rows) for service, rows in partitions.items()} == dict.fromkeys(
        ("identity", "messaging", "presence", "payments"), 16
    )
    report = json.loads(files["chapar-doctor/services/messaging.json"])
    assert report["settings"]["kafka_user"] == "set"
    assert report["editions"]["partitions"] == 16
    assert ["chapar_partitions_owned", {}, 16.0] in json.loads(files["chapar-doctor/metrics/payments.json"])


async def test_a_service_that_stands_still_is_found_and_a_healthy_one_is_not(stage: Stage) -> None:
    stage.up.send_signal("presence", signal.SIGSTOP)
    try:
        status, rows = await _chapar("doctor", "--data", str(stage.data_dir))
        state, told = await _chapar("status", "--data", str(stage.data_dir))
    finally:
        stage.up.send_signal("presence", signal.SIGCONT)
    assert status == 1
    assert any("presence does not answer at" in row["what"] for row in rows if "what" in row)
    assert state == 4
    assert {row["service"]: row["state"] for row in told}["presence"] == "away"

    async def well() -> bool:
        return (await _chapar("doctor", "--data", str(stage.data_dir)))[0] == 0

    await eventually(well, "nothing being wrong any more", timeout_s=WAIT_S)


async def test_a_bundle_overwrites_nothing(stage: Stage, tmp_path: Path) -> None:
    there = tmp_path / "mine"
    there.write_text("mine")
    status, rows = await _chapar("doctor", "--data", str(stage.data_dir), "--to", str(there))
    assert (status, rows[-1]["error"]) == (2, "invalid_input")
    assert there.read_text() == "mine"
