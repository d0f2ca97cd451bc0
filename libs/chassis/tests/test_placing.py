"""What an operator asks a process of a service: who owns what, and to have a partition somewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer

from .rig import PARTITIONS, Failed, Toy, eventually, running_toy

OWNERS = "/chapar.sourcing.peer.v1.OwnerService/Owners"
PLACE = "/chapar.sourcing.peer.v1.OwnerService/Place"


@pytest.fixture
async def running() -> AsyncIterator[Toy]:
    async with running_toy() as started:
        yield started


async def _place(running: Toy, partition: int, address: str, reason: str = "too hot") -> str:
    """Why it was refused; empty when it was said."""
    request = peer.PlaceRequest(partition=partition, address=address, reason=reason, operator="ali")
    reply = await running.send(PLACE, request.SerializeToString(), ())
    assert isinstance(reply, bytes), reply
    return peer.PlaceResponse.FromString(reply).problem


async def _placed(running: Toy) -> dict[int, tuple[str, str, str]]:
    """Partition -> where it is wanted, why, and who says so."""
    reply = await running.send(OWNERS, b"", ())
    assert isinstance(reply, bytes), reply
    rows = peer.OwnersResponse.FromString(reply).partitions
    assert [row.partition for row in rows] == list(range(PARTITIONS))
    return {
        row.partition: (row.placed.address, row.placed.reason, row.placed.operator)
        for row in rows
        if row.HasField("placed")
    }


async def test_an_operators_word_on_a_partition_is_shown_until_there_is_another(running: Toy) -> None:
    here = str(running.address)
    assert await _placed(running) == {}
    assert await _place(running, 2, here) == ""
    await eventually(lambda: 2 in running.host.placements)
    assert await _placed(running) == {2: (here, "too hot", "ali")}
    assert await _place(running, 2, "", reason="cold again") == ""
    await eventually(lambda: not running.host.placements)
    assert await _placed(running) == {}


@pytest.mark.parametrize(
    ("partition", "address", "reason", "words"),
    [
        (PARTITIONS, "", "too hot", "no partition 4: they go from 0 to 3"),
        (-1, "", "too hot", "no partition -1"),
        (0, "127.0.0.1:1", "too hot", "no member that is alive answers at 127.0.0.1:1"),
        (0, "", "", "a reason is needed"),
        (0, "", "x" * 201, "201 characters"),
        (0, "", "x\x1b", "one line"),
    ],
)
async def test_a_word_that_means_nothing_is_refused_in_words(
    running: Toy, partition: int, address: str, reason: str, words: str
) -> None:
    assert words in await _place(running, partition, address, reason)
    assert await _placed(running) == {}


async def test_partitions_are_placed_by_peers_alone(running: Toy) -> None:
    running.peer_token = ""
    outcome = await running.send(PLACE, b"", ())
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.reason) == (grpc.StatusCode.UNAUTHENTICATED, "REASON_TOKEN_MISSING")
