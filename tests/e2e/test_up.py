"""`chapar up`: one supervisor a folder, an end in order, children that do not outlive it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chapar_client.demo import Stage
from chapar_client.up import SERVICES, FolderInUse, Installation, Supervisor, run_to_end
from tests.e2e.kit import E2E

pytestmark = E2E

ANY = "127.0.0.1:0"


async def chapar(*arguments: str, home: Path) -> tuple[int, str]:
    environment = dict(os.environ) | {"CHAPAR_HOME": str(home)}
    return await run_to_end([sys.executable, "-m", "chapar_client", *arguments], environment)


@asynccontextmanager
async def up_command(folder: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """`chapar up` as people start it; answers its process and the line it prints when all are ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chapar_client", "up", "--data", str(folder), "--listen", ANY,
        "--operator-listen", ANY, "--json", *arguments,
        stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while (line := json.loads(await process.stdout.readline())).get("event") != "up":
                continue
        yield process, line
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def all_ended(pids: list[int]) -> None:
    async with asyncio.timeout(30):
        while any(is_running(pid) for pid in pids):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)


async def test_a_second_supervisor_on_the_folder_is_refused_and_names_the_first(stage: Stage) -> None:
    second = Supervisor(Installation(stage.data_dir), lambda _: None)
    with pytest.raises(FolderInUse) as caught:
        await second.__aenter__()
    assert caught.value.holder == str(os.getpid())
    status, output = await chapar("up", "--data", str(stage.data_dir), home=stage.folder)
    assert status == 1
    assert str(os.getpid()) in output


async def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "data" / "streams" / "messaging.db"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"something else " * 1_000)
    status, output = await chapar("up", "--data", str(tmp_path / "data"), "--listen", ANY, home=tmp_path)
    assert status == 1
    said = " ".join(output.split())
    assert "messaging ended with status 1 before it was ready" in said
    assert "is damaged: nothing is decided on it; restore it and its log from a copy" in said
    assert "messaging.db" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_all_and_the_folder_can_be_used_again(tmp_path: Path, number: signal.Signals) -> None:
    async with up_command(tmp_path) as (process, _):
        children = children_of(process.pid)
        assert len(children) == len(SERVICES)
        process.send_signal(number)
        async with asyncio.timeout(40):
            output, _ = await process.communicate()
        assert process.returncode == 0
        assert not any(is_running(pid) for pid in children)
    lines = [(line["service"], line["event"]) for line in map(json.loads, output.decode().splitlines())]
    ended = lines.index(("gateway", "ended"))
    assert all(lines.index((service, "stopping")) > ended for service in SERVICES[:-1]), "the gateway ends first"
    assert all((service, "ended") in lines for service in SERVICES)
    async with up_command(tmp_path, "--replicas", "gateway=2") as (_, up):
        gateways = list(up["gateway_addresses"])
        assert up["gateway_address"] == gateways[0]
        status, shown = await chapar("status", "--data", str(tmp_path), "--json", home=tmp_path)
    said: dict[str, Any] = {line["service"]: line for line in map(json.loads, shown.splitlines())}
    assert (status, {*said}) == (0, {*SERVICES, "gateway-2"})
    assert [said[name]["address"] for name in ("gateway", "gateway-2")] == gateways


async def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    async with up_command(tmp_path) as (process, _):
        children = children_of(process.pid)
        process.kill()
        await all_ended(children)


async def test_a_service_that_dies_comes_back_on_the_same_port(stage: Stage) -> None:
    address, pid = stage.up.addresses["presence"].address, stage.up.pid("presence")
    await stage.up.kill_and_wait("presence")
    assert stage.up.addresses["presence"].address == address
    assert stage.up.pid("presence") != pid


async def test_status_shows_the_five_and_their_absence(stage: Stage, tmp_path: Path) -> None:
    status, output = await chapar("status", "--data", str(stage.data_dir), "--json", home=stage.folder)
    states = {line["service"]: line["state"] for line in map(json.loads, output.splitlines())}
    assert (status, states) == (0, dict.fromkeys(SERVICES, "ready"))
    async with up_command(tmp_path) as (process, _):
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    status, output = await chapar("status", "--data", str(tmp_path), "--json", home=stage.folder)
    assert status == 4
    assert {json.loads(line)["state"] for line in output.splitlines()} == {"away"}


async def test_secrets_and_data_are_for_their_owners_eyes_only(stage: Stage) -> None:
    readable = [path for path in stage.data_dir.rglob("*") if path.lstat().st_mode & 0o077 and "secrets" in path.parts]
    assert readable == []
    assert stage.data_dir.stat().st_mode & 0o077 == 0


async def test_logs_hold_no_texts_names_or_tokens(stage: Stage) -> None:
    one, other = await asyncio.gather(stage.person("نامی یکتا"), stage.person("دیگری"))
    await one.say(one.with_(other), "رازی بزرگ")
    session = await one.client.session()
    said = "\n".join(line.text for line in stage.lines if line.event != "sign_in_code")
    for secret in ("رازی بزرگ", "نامی یکتا", session.access_token, session.refresh_token, "+98912"):
        assert secret not in said
