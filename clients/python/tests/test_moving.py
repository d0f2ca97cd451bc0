"""`chapar owners move`: what it asks for, whom, how long it waits, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner, Result

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar.sourcing.peer.v1 import peer_pb2_grpc
from chapar_client.cli import app

TOKEN = "ab" * 32
WHY = ("--reason", "too hot")


class Owner(peer_pb2_grpc.OwnerServiceServicer):
    """A process that says what the test says, one answer after the other; the last one again and again."""

    def __init__(self) -> None:
        self.says: list[peer.PartitionOwner] = [peer.PartitionOwner(partition=0)]
        self.problem = ""
        self.fails = False
        self.placed: list[peer.PlaceRequest] = []
        self.address = ""
        self._server = grpc.aio.server()

    async def start(self) -> None:
        peer_pb2_grpc.add_OwnerServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)

    async def Owners(self, request: peer.OwnersRequest, context: Any) -> peer.OwnersResponse:  # noqa: N802
        assert ("chapar-peer-token", TOKEN) in context.invocation_metadata()
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        return peer.OwnersResponse(partitions=[said])

    async def Place(self, request: peer.PlaceRequest, context: Any) -> peer.PlaceResponse:  # noqa: N802
        assert ("chapar-peer-token", TOKEN) in context.invocation_metadata()
        self.placed.append(request)
        if self.fails:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "REASON_UNAVAILABLE")
        return peer.PlaceResponse(problem=self.problem)


class Town:
    """Two processes of payments, and the data folder that names them."""

    def __init__(self, folder: Path, one: Owner, other: Owner) -> None:
        self.one, self.other, self.folder = one, other, folder
        token = folder / "secrets" / "payments" / "peer.token"
        token.parent.mkdir(parents=True)
        token.write_text(TOKEN)
        self.know({"payments": one.address, "payments-2": other.address})

    def know(self, processes: dict[str, str]) -> None:
        services = {name: {"address": at} for name, at in processes.items()}
        (self.folder / "up.json").write_text(json.dumps({"services": services}))

    async def types(self, *arguments: str, code: int = 0) -> Result:
        command = ["owners", *arguments, "--data", str(self.folder)]
        result = await asyncio.to_thread(CliRunner().invoke, app, command, env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result

    async def moves(self, *arguments: str, code: int = 0) -> Result:
        return await self.types("move", "0", "--service", "payments", *arguments, code=code)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    owners: Sequence[Owner] = (Owner(), Owner())
    for owner in owners:
        await owner.start()
    yield Town(tmp_path, *owners)
    for owner in owners:
        await owner.stop()


def owned_by(address: str, epoch: int = 3, **fields: Any) -> peer.PartitionOwner:
    return peer.PartitionOwner(partition=0, epoch=epoch, address=address, **fields)


def held(epoch: int, phase: str = "owning") -> peer.PartitionHeld:
    return peer.PartitionHeld(phase=phase, epoch=epoch, offset=1, checkpoint=1)


async def test_a_partition_is_asked_for_and_waited_for(town: Town) -> None:
    there = town.other.address
    town.other.says = [
        owned_by(town.one.address),
        owned_by(town.one.address),
        owned_by(town.one.address, released=True),
        owned_by(town.one.address, released=True, held=held(0, "reading")),
        owned_by(there, 4, held=held(4)),
    ]
    told = (await town.moves("--to", "payments-2", *WHY)).stdout.splitlines()
    assert told[:-1] == [
        "payments 0: payments owns it",
        "payments 0: released",
        "payments 0: payments-2 takes it over (reading)",
    ]
    assert told[-1].startswith("payments 0: payments-2 owns it at epoch 4, 0.")
    assert told[-1].endswith(" s after it was asked for")
    (request,) = town.one.placed
    assert (request.partition, request.address, request.reason) == (0, there, "too hot")
    assert request.operator


async def test_a_program_is_told_once_where_it_is_and_how_long_it_took(town: Town) -> None:
    town.other.says = [owned_by(town.one.address), owned_by(town.other.address, 4, held=held(4))]
    (line,) = (await town.moves("--to", town.other.address, *WHY, "--json")).stdout.splitlines()
    told = json.loads(line)
    assert 0 < told.pop("seconds") < 60
    assert told == {
        "service": "payments", "partition": 0, "placed": "payments-2", "address": town.other.address, "epoch": 4,
    }  # fmt: skip


async def test_an_owner_of_a_lower_epoch_does_not_count(town: Town) -> None:
    sleeps = owned_by(town.one.address, 5, held=held(4))
    town.other.says = [sleeps]
    result = await town.moves("--to", "payments-2", *WHY, "--timeout", "0.4", code=1)
    assert "payments 0 is not where it should be after 0.4 s; it still is to go there" in result.stderr


async def test_a_partition_may_be_anywhere_again_once_that_is_known(town: Town) -> None:
    placed = owned_by(town.one.address, placed=peer.PartitionPlaced(address=town.one.address, reason="too hot"))
    town.one.says = [placed, placed, owned_by(town.one.address)]
    told = (await town.moves("--anywhere", *WHY)).stdout
    assert told.startswith("payments 0 may be anywhere again")
    assert [request.address for request in town.one.placed] == [""]
    assert len(town.one.says) == 1


async def test_what_is_refused_is_said_with_its_reason(town: Town) -> None:
    town.one.problem = "the member at 127.0.0.1:1 is about to end"
    result = await town.moves("--to", "127.0.0.1:1", *WHY, code=1)
    assert "payments 0 stays where it is: the member at 127.0.0.1:1 is about to end" in result.stderr
    assert not town.other.placed


async def test_another_process_is_asked_where_one_cannot(town: Town) -> None:
    town.one.fails = True
    town.other.says = [owned_by(town.other.address, 4, held=held(4))]
    await town.moves("--to", "payments-2", *WHY)
    assert [len(owner.placed) for owner in (town.one, town.other)] == [1, 1]
    town.other.fails = True
    result = await town.moves("--to", "payments-2", *WHY, code=5)
    assert "it may have been told; the same command again does no harm" in result.stderr


async def test_where_nobody_answers_nothing_is_asked_for(town: Town) -> None:
    await town.one.stop()
    await town.other.stop()
    result = await town.moves("--to", "payments-2", *WHY, code=4)
    assert "no process of payments answers; nothing was done" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say where with --to, or --anywhere"),
        (("--to", "payments", "--anywhere"), "say where with --to, or --anywhere"),
        (("--to", "messaging"), "payments has no process 'messaging' here (one of payments, payments-2)"),
    ],
)
async def test_a_place_that_means_nothing_is_wrong_usage(town: Town, arguments: Sequence[str], words: str) -> None:
    result = await town.moves(*arguments, *WHY, code=2)
    assert words in " ".join(result.stderr.split())
    assert not town.one.placed


async def test_only_services_that_own_partitions_have_them_moved(town: Town) -> None:
    result = await town.types("move", "0", "--service", "gateway", "--to", "payments", *WHY, code=2)
    assert "no such service: 'gateway'" in result.stderr


async def test_owners_show_where_an_operator_wants_a_partition_and_why(town: Town) -> None:
    placed = peer.PartitionPlaced(
        address=town.other.address, reason="too hot", operator="ali", time_ms=1_700_000_000_000
    )
    town.one.says = [owned_by(town.other.address, 4, placed=placed)]
    town.other.says = [owned_by(town.other.address, 4, held=held(4), placed=placed)]
    for words in (("payments",), ("show", "payments")):
        (row,) = [line for line in (await town.types(*words)).stdout.splitlines() if "epoch" in line]
        assert "placed at payments-2: too hot (ali, 2023-11-1" in row
    lines = [json.loads(line) for line in (await town.types("payments", "--json")).stdout.splitlines()]
    (shown,) = [line for line in lines if "partition" in line]
    assert (shown["owner"], shown["placed"]) == ("payments-2", "payments-2")
    assert shown["reason"].startswith("too hot (ali, ")
