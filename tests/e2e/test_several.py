"""Every service in two processes on a real broker and a real database, gateways too: killed, back, stores rebuilt."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chapar_client.demo import Person, Stage, eventually
from chapar_client.sdk import PresenceChanged
from chapar_client.up import OWNERS, SERVICES, service_of
from chapar_sourcing.adapters.kafka import Cluster, KafkaMembers
from tests.e2e.law import Law
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.mongo,
    pytest.mark.xdist_group("kafka"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
]

WAIT_S_MAX = 120.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One installation for all tests here; at the end log, owners and database must hold the same."""
    folder: Path = tmp_path_factory.mktemp("several")
    with KafkaServer(folder / "kafka") as broker, MongoServer(folder / "mongo") as database:
        replicas = dict.fromkeys(SERVICES, 2)
        async with Stage(folder, kafka=broker.bootstrap, mongo=database.uri, replicas=replicas) as stage:
            law = Law(stage)
            yield stage
            await law.ask("the last test")
        assert await law.problems() == []


async def reading(stage: Stage, name: str, gateway: str = "") -> Person:
    """Somebody who signs in and reads their inbox, at the gateway of that name if it says one."""
    person = await stage.person(name, gateway=stage.up.addresses[gateway].address if gateway else "")
    await person.read_from_now()
    return person


async def lives(stage: Stage, one: Person, other: Person, *, balance_rials: int) -> None:
    """Somebody new signs in; two at different gateways write and pay each other, and see each other online."""
    new, _ = await asyncio.gather(reading(stage, "تازه"), one.watch(other))
    room = one.with_(other)
    written = await one.say(room, "سلام")
    await other.message(room, written, timeout_s=WAIT_S_MAX)
    assert await other.say(new.with_(other), "خوش آمدی") == 1
    await new.message(new.with_(other), 1, timeout_s=WAIT_S_MAX)
    await one.presence_of(other, online=True, timeout_s=WAIT_S_MAX)
    assert (await one.client.payments.transfer(other.user_id, 1_000)).balance_rials == balance_rials


async def rebuilt(stage: Stage) -> Sequence[Mapping[str, Any]]:
    """Has messaging's stores, with their rows, built anew by both of its processes; what the command says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chapar_client", "rebuild", "messaging", "--data", str(stage.data_dir), "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(WAIT_S_MAX):
        output, errors = await process.communicate()
    assert process.returncode == 0, (output + errors).decode()
    return [json.loads(line) for line in output.splitlines()]


async def shared(stage: Stage) -> None:
    """Waits until every process owns some of its service's partitions."""
    members = await KafkaMembers.open(Cluster(stage.up.installation.kafka))
    try:
        for service in OWNERS:
            addresses = {at.address for process, at in stage.up.addresses.items() if service_of(process) == service}

            async def so(service: str = service, addresses: set[str] = addresses) -> bool:
                return {row.address for row in (await members.owners(service)).values()} == addresses

            await eventually(so, f"{service} is shared by {len(addresses)}", timeout_s=WAIT_S_MAX)
    finally:
        await members.close()


async def test_who_was_at_a_killed_gateway_goes_offline_and_who_came_back_was_never_away(stage: Stage) -> None:
    watcher = await reading(stage, "بیننده", "gateway")
    gone, stays = await asyncio.gather(reading(stage, "رفته", "gateway-2"), reading(stage, "مانده", "gateway-2"))
    for other in (gone, stays):
        await watcher.say(watcher.with_(other), "سلام")
    await watcher.watch(gone, stays)
    for other in (gone, stays):
        await watcher.presence_of(other, online=True, timeout_s=WAIT_S_MAX)
    shown = len(watcher.updates)
    killed = asyncio.create_task(stage.up.kill_and_wait("gateway-2"))
    await asyncio.sleep(0)
    await gone.stop_reading()
    await asyncio.gather(killed, watcher.presence_of(gone, online=False, timeout_s=WAIT_S_MAX))
    seen = [update for update in watcher.updates[shown:] if isinstance(update, PresenceChanged)]
    assert [update.user_id for update in seen] == [gone.user_id]


async def test_people_of_two_gateways_go_on_while_a_store_is_rebuilt_and_processes_are_killed(
    stage: Stage,
) -> None:
    _, one, other = await asyncio.gather(
        shared(stage), reading(stage, "الف", "gateway"), reading(stage, "ب", "gateway-2")
    )
    await stage.cash_in(one, 1_000_000)
    said, _ = await asyncio.gather(rebuilt(stage), lives(stage, one, other, balance_rials=999_000))
    assert Counter(row["phase"] for row in said)["switched"] == stage.up.installation.partitions
    for number, service in enumerate(SERVICES, start=2):
        killed = asyncio.create_task(stage.up.kill_and_wait(f"{service}-2"))
        await lives(stage, one, other, balance_rials=1_000_000 - 1_000 * number)
        await killed

    async def paid() -> bool:
        return (await other.client.payments.get_wallet()).balance_rials == 1_000 * (len(SERVICES) + 1)

    await eventually(paid, "all of it has arrived", timeout_s=WAIT_S_MAX)
