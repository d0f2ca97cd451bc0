"""`chapar rebuild` where several processes share a service: each is asked for what it owns."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from owner_fakes import Owner, Town, held, owned_by


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """Partitions 0 and 2 are of the one process, 1 of the other."""
    one, other = Owner(), Owner()
    for owner in (one, other):
        await owner.start()
    for owner, mine in ((one, (0, 2)), (other, (1,))):
        said = []
        for partition in range(3):
            at = owned_by((other if partition == 1 else one).address, partition=partition)
            if partition in mine:
                at.held.CopyFrom(held(3))
            said.append(at)
        owner.says, owner.others = said[:1], said[1:]
    yield Town(tmp_path, one, other)
    for owner in (one, other):
        await owner.stop()


async def test_each_process_is_asked_for_the_partitions_that_it_owns(town: Town) -> None:
    lines = (await town.types("rebuild", "payments", "--json")).stdout.splitlines()
    assert [json.loads(line)["partition"] for line in lines] == [0, 2, 1]
    assert (town.one.rebuilt, town.other.rebuilt) == ([[0, 2]], [[1]])
    await town.types("rebuild", "payments", "--drop", "--partition", "1")
    assert (town.one.rebuilt, town.other.rebuilt) == ([[0, 2]], [[1], [1]])


async def test_where_a_partition_moves_meanwhile_its_next_owner_is_asked(town: Town) -> None:
    def move() -> None:
        """Partition 2 is the other one's from now on, as both say."""
        town.one.others[1].ClearField("held")
        town.other.others[1].held.CopyFrom(held(4))

    town.one.moves[2] = move
    result = await town.types("rebuild", "payments")
    assert (town.one.rebuilt, town.other.rebuilt) == ([[0, 2]], [[1, 2]])
    assert "partition   2  has moved; its next owner goes on with edition 2" in result.stdout


async def test_where_one_refuses_the_others_are_not_asked(town: Town) -> None:
    town.one.problem = "another rebuild of this service is under way"
    result = await town.types("rebuild", "payments", code=1)
    assert "another rebuild of this service is under way" in result.stdout
    assert not town.other.rebuilt


async def test_nothing_is_begun_where_a_partition_has_no_owner_or_a_process_is_away(town: Town) -> None:
    town.other.others[0].held.phase = "claiming"
    result = await town.types("rebuild", "payments", code=4)
    assert "nobody owns partition 1 now, or not well" in result.stderr
    await town.other.stop()
    result = await town.types("rebuild", "payments", code=4)
    assert "payments-2 at" in result.stderr
    assert not town.one.rebuilt


async def test_a_partition_that_there_is_not_is_wrong_usage(town: Town) -> None:
    result = await town.types("rebuild", "payments", "--partition", "3", code=2)
    assert "the service has no partition 3" in result.stderr
