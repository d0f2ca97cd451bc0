"""The toy as a real process on a real data folder: start, end, kill, refusals to start, digests."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chapar.sourcing.journal.v1.journal_pb2 import StreamRecord
from chapar_chassis.ports import open_reading_stream
from chapar_chassis.rpc_server import TURN_AWAY_SECONDS
from chapar_chassis.settings import CommonSettings
from chapar_sourcing.adapters.sqlite import SqliteKeyStore
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.ports import KeyRow

from .processes import COMMAND, HERE, START_SECONDS, digests, finished, health, started, until_ready
from .rig import COUNTERS, PATIENCE_SECONDS, Client, Failed, eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_however_it_ends_what_was_acknowledged_is_there_again(environ: dict[str, str], number: int) -> None:
    async with started(environ) as running:
        assert [await running.client.add(f"c{n % 3}", 1) for n in range(9)] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert await running.end(number) == (-number if number == signal.SIGKILL else 0)
    async with started(environ) as running:
        assert [await running.client.value(f"c{n}") for n in range(3)] == [3, 3, 3]
        await running.end(signal.SIGTERM)
    status, rows = await digests(environ)
    assert status == 0
    assert [row["partition"] for row in rows] == [0, 1, 2, 3]
    assert sum(row["documents"] for row in rows) == 3 + 9, "three counters and nine answers"
    assert all(row["equal"] and row["log_digest"] == row["store_digest"] for row in rows)


async def test_a_killed_process_leaves_a_store_that_catches_up_to_its_log(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.client.add("c1", 5)
        await running.end(signal.SIGKILL)
    status, rows = await digests(environ)
    assert (status, sum(row["documents"] for row in rows)) == (0, 2)


async def test_a_store_that_was_tampered_with_is_noticed(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.client.add("c1", 5)
        assert await running.end(signal.SIGINT) == 0
    store = sqlite3.connect(Path(environ["CHAPAR_DATA_DIR"]) / "toy" / "store.db")
    with store:
        assert (
            store.execute("UPDATE documents SET data = ?, sum = NULL WHERE kind = 'counter'", (b"\x91\x06",)).rowcount
            == 1
        )
    store.close()
    status, rows = await digests(environ)
    assert status == 1
    assert [row["equal"] for row in rows].count(False) == 1


async def test_it_says_where_it_serves_and_that_it_is_ready(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        assert running.ready["service"] == "toy"
        assert running.ready["metrics_address"].startswith("127.0.0.1:")
        channel = running.client.channel
        serving = health_pb2.HealthCheckResponse.SERVING
        assert [await health(channel, name) for name in ("live", "ready", "")] == [serving] * 3


async def test_the_log_says_when_partitions_begin_and_end_to_be_decided_there(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        begun = running.logged("partition_begins")
        assert begun["epoch"] == 1
        assert begun["after_ms"] >= 0
        assert begun["records"] >= 1
        await running.end(signal.SIGTERM)
    assert {"level": "info", "epoch": 1, "reason": "released"}.items() <= running.logged("partition_ends").items()


async def test_a_services_own_peer_methods_run_beside_the_host_and_its_work_beside_each_partition(
    environ: dict[str, str],
) -> None:
    async with started(environ) as running:
        assert await running.client.send("/chapar.toy.peer.v1.BellService/Ring", b"ding") == b"ding4"
        stranger = Client(running.client.channel, "")
        outcome = await stranger.send("/chapar.toy.peer.v1.BellService/Ring", b"ding")
        assert isinstance(outcome, Failed)
        assert outcome.reason == "REASON_TOKEN_MISSING"
        await running.end(signal.SIGTERM)
    assert {"event": "worked", "ready": True}.items() <= running.logged("worked").items()
    for event in ("worked", "worked_no_more"):
        assert sorted(line["partition"] for line in running.lines if line.get("event") == event) == [0, 1, 2, 3]


async def test_public_events_and_beats_reach_other_processes(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.client.add("c1", 5)
        settings = CommonSettings.from_environ(environ)
        stream = await open_reading_stream(settings)
        try:
            for topic in ("toy.events.v1", "toy.beats.v1"):
                partition = partition_of("c1", 4)
                assert await stream.wait(topic, {partition: 0}, 20_000), topic
                record = StreamRecord.FromString((await stream.read(topic, partition, 0))[0].data)
                assert record.HasField("position") == (topic == "toy.events.v1")
        finally:
            await stream.close()


async def test_what_the_engine_measures_is_served(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.client.add("c1", 5)
        assert f'chapar_rpc_seconds_count{{code="OK",rpc="{COUNTERS}/Add"}} 1.0' in await running.metrics()


async def test_reflection_is_for_development_alone(environ: dict[str, str]) -> None:
    reflection = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    for development, code in (("0", grpc.StatusCode.UNIMPLEMENTED), ("1", grpc.StatusCode.OK)):
        async with started({**environ, "CHAPAR_DEVELOPMENT": development}) as running:
            call: Any = running.client.channel.stream_stream(reflection)(iter(()), timeout=PATIENCE_SECONDS)
            assert await call.code() is code


async def test_a_second_process_on_the_same_folder_is_refused(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        status, output, errors = await finished(environ)
        assert (status, output) == (1, "")
        assert errors.startswith("chapar-toy: ")
        assert f"held by process {running.process.pid}" in errors
        assert errors.count("\n") == 1
        assert await running.client.add("c1", 1) == 1


async def test_bad_settings_are_told_all_at_once(environ: dict[str, str]) -> None:
    status, output, errors = await finished({**environ, "CHAPAR_PARTITIONS": "0", "CHAPAR_LISTEN": "x"})
    assert (status, output) == (2, "")
    assert errors == (
        'chapar-toy: CHAPAR_LISTEN must be "host:port"; CHAPAR_PARTITIONS must be a whole number from 1 to 16384\n'
    )


async def test_a_schema_level_that_the_release_does_not_know_is_refused(environ: dict[str, str]) -> None:
    status, output, errors = await finished({**environ, "CHAPAR_SCHEMA_LEVEL": "2"})
    assert (status, output) == (2, "")
    assert errors == "chapar-toy: CHAPAR_SCHEMA_LEVEL must be 1 at most: this release knows no higher one\n"


async def test_a_journal_of_another_shape_is_refused(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.end(signal.SIGTERM)
    status, _, errors = await finished({**environ, "CHAPAR_PARTITIONS": "8"})
    assert status == 1
    assert "has 4 partitions; 8 were asked for" in errors


async def test_a_store_of_another_journal_is_refused(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.client.add("c1", 1)
        await running.end(signal.SIGTERM)
    for path in (Path(environ["CHAPAR_DATA_DIR"]) / "toy").glob("journal.db*"):
        path.unlink()
    for arguments in ((), ("digest",)):
        status, _, errors = await finished(environ, *arguments)
        assert status == 1
        assert re.fullmatch(
            r"chapar-toy: the store of toy belongs to another journal, [0-9a-f]{32}, not to [0-9a-f]{32}: nothing is"
            r" decided on it\. Name the one that belongs to it, or an empty one, which is folded from the log\n",
            errors,
        )


async def test_another_master_key_than_that_of_the_data_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "toy" / "keys.db"
    keys = await SqliteKeyStore.open(path, service="toy")
    await keys.insert(KeyRow("a key", "somebody", 7, bytes(60)))
    await keys.close()
    status, _, errors = await finished(environ)
    assert status == 1
    assert "the data keys of toy are wrapped by another master key" in errors
    assert "put the secrets back" in errors
    keys = await SqliteKeyStore.open(path, service="toy")
    assert await keys.get("a key") is not None
    await keys.close()


async def test_a_missing_secret_is_named(environ: dict[str, str]) -> None:
    (Path(environ["CHAPAR_SECRETS_DIR"]) / "master.key").unlink()
    status, _, errors = await finished(environ)
    assert status == 1
    assert errors.endswith("master.key is missing\n")


async def test_a_port_that_is_taken_is_named(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        taken = running.ready["address"]
        other = {**environ, "CHAPAR_DATA_DIR": environ["CHAPAR_DATA_DIR"] + "/other", "CHAPAR_LISTEN": taken}
        status, _, errors = await finished(other)
        assert status == 1
        assert errors.splitlines()[-1].startswith(
            f"chapar-toy: cannot listen on {taken}: another process has this port"
        )


async def test_an_unknown_command_is_told_the_known_ones(environ: dict[str, str]) -> None:
    names = (
        "archive FOLDER | backup FOLDER | database ACTION | digest | doctor | holdings | restore FOLDER | topics ACTION"
    )
    usage = f"usage: python -m chapar_toy [{names}]\n"
    assert await finished(environ, "dance") == (2, "", usage)


async def test_a_process_ends_when_its_parent_is_killed(environ: dict[str, str]) -> None:
    script = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen({COMMAND!r}, env={{**os.environ, 'CHAPAR_PARENT_PID': str(os.getpid())}})\n"
        "print(json.dumps({'event': 'child', 'pid': child.pid}), flush=True)\n"
        "child.wait()\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import json\n{script}",
        env=environ,
        cwd=HERE.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = json.loads(await parent.stdout.readline())["pid"]
    await until_ready(parent)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())


async def test_a_call_under_way_ends_well_and_later_ones_are_turned_away(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        reading = asyncio.create_task(running.client.value("slow"))
        under_way = f'chapar_rpc_running{{rpc="{COUNTERS}/GetCounter"}} 1.0'
        async with asyncio.timeout(PATIENCE_SECONDS):
            while under_way not in await running.metrics():
                pass
        running.process.send_signal(signal.SIGTERM)
        assert await reading == 0
        assert await asyncio.wait_for(running.process.wait(), PATIENCE_SECONDS) == 0
        late = await running.client.add("c1", 1, timeout=1)
        assert isinstance(late, Failed)
        assert late.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_health_turns_callers_away_before_calls_fail(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        stub = health_pb2_grpc.HealthStub(running.client.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="ready"), timeout=START_SECONDS)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        running.process.send_signal(signal.SIGTERM)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await running.client.add("c1", 1) == 1, "a call in that moment is still served"
        assert await asyncio.wait_for(running.process.wait(), PATIENCE_SECONDS) == 0


async def test_while_partitions_are_released_calls_are_answered(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.client.add("c1", 1)
        channel = running.client.channel
        # A store that cannot be written holds the release up.
        store = sqlite3.connect(Path(environ["CHAPAR_DATA_DIR"]) / "toy" / "store.db", isolation_level=None)
        store.execute("BEGIN IMMEDIATE")
        await running.client.add("c1", 1)
        running.process.send_signal(signal.SIGTERM)

        async with asyncio.timeout(PATIENCE_SECONDS):
            while await health(channel, "ready") != health_pb2.HealthCheckResponse.NOT_SERVING:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            ended_at = asyncio.get_running_loop().time() + 2 * TURN_AWAY_SECONDS + 0.5
            outcomes = []
            while asyncio.get_running_loop().time() < ended_at:
                outcomes.append(await running.client.add("c1", 1))
                await asyncio.sleep(0.05)
        decided = sum(not isinstance(outcome, Failed) for outcome in outcomes)
        reasons = Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Failed))
        # One whose reply was being made when its partition was gone cannot be told more.
        unknown = reasons.pop("REASON_OUTCOME_UNKNOWN", 0)
        assert {*reasons} == {"REASON_NOT_OWNER"}
        store.execute("ROLLBACK")
        store.close()
        assert await asyncio.wait_for(running.process.wait(), PATIENCE_SECONDS) == 0
    async with started(environ) as running:
        assert 2 + decided <= await running.client.value("c1") <= 2 + decided + unknown
