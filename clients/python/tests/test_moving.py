"""`chapar owners move`: what it asks for, whom, how long it waits, and how it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from owner_fakes import Owner, Town, held, owned_by
from typer.testing import Result

from chapar.sourcing.peer.v1 import peer_pb2 as peer

WHY = ("--reason", "too hot")


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    owners: Sequence[Owner] = (Owner(), Owner())
    for owner in owners:
        await owner.start()
    yield Town(tmp_path, *owners)
    for owner in owners:
        await owner.stop()


async def moves(town: Town, *arguments: str, code: int = 0) -> Result:
    return await town.types("owners", "move", "0", "--service", "payments", *arguments, code=code)


async def test_a_partition_is_asked_for_and_waited_for(town: Town) -> None:
    there = town.other.address
    town.other.says = [
        owned_by(town.one.address),
        owned_by(town.one.address),
        owned_by(town.one.address, released=True),
        owned_by(town.one.address, released=True, held=held(0, "reading")),
        owned_by(there, 4, held=held(4)),
    ]
    told = (await moves(town, "--to", "payments-2", *WHY)).stdout.splitlines()
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
    (line,) = (await moves(town, "--to", town.other.address, *WHY, "--json")).stdout.splitlines()
    told = json.loads(line)
    assert 0 < told.pop("seconds") < 60
    assert told == {
        "service": "payments", "partition": 0, "placed": "payments-2", "address": town.other.address, "epoch": 4,
    }  # fmt: skip


async def test_an_owner_of_a_lower_epoch_does_not_count(town: Town) -> None:
    sleeps = owned_by(town.one.address, 5, held=held(4))
    town.other.says = [sleeps]
    result = await moves(town, "--to", "payments-2", *WHY, "--timeout", "0.4", code=1)
    assert "payments 0 is not where it should be after 0.4 s; it still is to go there" in result.stderr


async def test_a_partition_may_be_anywhere_again_once_that_is_known(town: Town) -> None:
    placed = owned_by(town.one.address, placed=peer.PartitionPlaced(address=town.one.address, reason="too hot"))
    town.one.says = [placed, placed, owned_by(town.one.address)]
    told = (await moves(town, "--anywhere", *WHY)).stdout
    assert told.startswith("payments 0 may be anywhere again")
    assert [request.address for request in town.one.placed] == [""]
    assert len(town.one.says) == 1


async def test_what_is_refused_is_said_with_its_reason(town: Town) -> None:
    town.one.problem = "the member at 127.0.0.1:1 is about to end"
    result = await moves(town, "--to", "127.0.0.1:1", *WHY, code=1)
    assert "payments 0 stays where it is: the member at 127.0.0.1:1 is about to end" in result.stderr
    assert not town.other.placed


async def test_another_process_is_asked_where_one_cannot(town: Town) -> None:
    town.one.fails = True
    town.other.says = [owned_by(town.other.address, 4, held=held(4))]
    await moves(town, "--to", "payments-2", *WHY)
    assert [len(owner.placed) for owner in (town.one, town.other)] == [1, 1]
    town.other.fails = True
    result = await moves(town, "--to", "payments-2", *WHY, code=5)
    assert "it may have been told; the same command again does no harm" in result.stderr


async def test_where_nobody_answers_nothing_is_asked_for(town: Town) -> None:
    await town.one.stop()
    await town.other.stop()
    result = await moves(town, "--to", "payments-2", *WHY, code=4)
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
    result = await moves(town, *arguments, *WHY, code=2)
    assert words in " ".join(result.stderr.split())
    assert not town.one.placed


async def test_only_services_that_own_partitions_have_them_moved(town: Town) -> None:
    result = await town.types("owners", "move", "0", "--service", "gateway", "--to", "payments", *WHY, code=2)
    assert "no such service: 'gateway'" in result.stderr


async def test_owners_show_where_an_operator_wants_a_partition_and_why(town: Town) -> None:
    placed = peer.PartitionPlaced(
        address=town.other.address, reason="too hot", operator="ali", time_ms=1_700_000_000_000
    )
    town.one.says = [owned_by(town.other.address, 4, placed=placed)]
    town.other.says = [owned_by(town.other.address, 4, held=held(4), placed=placed)]
    for words in (("payments",), ("show", "payments")):
        (row,) = [line for line in (await town.types("owners", *words)).stdout.splitlines() if "epoch" in line]
        assert "placed at payments-2: too hot (ali, 2023-11-1" in row
    lines = [json.loads(line) for line in (await town.types("owners", "payments", "--json")).stdout.splitlines()]
    (shown,) = [line for line in lines if "partition" in line]
    assert (shown["owner"], shown["placed"]) == ("payments-2", "payments-2")
    assert shown["reason"].startswith("too hot (ali, ")
