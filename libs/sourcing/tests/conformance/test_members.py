"""What the Members of an installation promise that has one member a service."""

from __future__ import annotations

import os
from typing import Any

import pytest

from chapar_sourcing.ports import OwnerRow, Unavailable


async def test_nobody_owns_anything_before_it_is_announced(members: Any) -> None:
    member = await members.open()
    assert dict(await member.owners("messaging")) == {}
    await member.join("messaging", "127.0.0.1:1")
    assert dict(await member.owners("messaging")) == {}


async def test_others_see_what_is_announced(members: Any) -> None:
    owner, gateway = await members.open(), await members.open()
    assert dict(await gateway.owners("messaging")) == {}
    await owner.join("messaging", "127.0.0.1:1")
    await owner.announce("messaging", 0, 1)
    await owner.announce("messaging", 7, 4)
    wanted = {0: OwnerRow(0, 1, "127.0.0.1:1"), 7: OwnerRow(7, 4, "127.0.0.1:1")}
    assert dict(await gateway.owners("messaging")) == wanted
    assert dict(await owner.owners("messaging")) == wanted
    assert dict(await gateway.owners("identity")) == {}


async def test_the_highest_epoch_stays(members: Any) -> None:
    member = await members.open()
    await member.join("messaging", "127.0.0.1:1")
    for epoch in (3, 2, 5, 4):
        await member.announce("messaging", 0, epoch)
    assert (await member.owners("messaging"))[0].epoch == 5


async def test_members_of_several_services_live_side_by_side(members: Any) -> None:
    first, second = await members.open(), await members.open()
    await first.join("messaging", "127.0.0.1:1")
    await second.join("identity", "127.0.0.1:2")
    await first.announce("messaging", 0, 1)
    await second.announce("identity", 0, 9)
    assert (await first.owners("identity"))[0] == OwnerRow(0, 9, "127.0.0.1:2")
    assert (await second.owners("messaging"))[0] == OwnerRow(0, 1, "127.0.0.1:1")


async def test_a_second_member_of_a_service_is_refused_naming_the_holder(members: Any) -> None:
    first, second = await members.open(), await members.open()
    await first.join("messaging", "127.0.0.1:1")
    with pytest.raises(RuntimeError, match=str(os.getpid())):
        await second.join("messaging", "127.0.0.1:2")
    await second.join("identity", "127.0.0.1:2")


async def test_who_has_left_makes_room(members: Any) -> None:
    first, second = await members.open(), await members.open()
    await first.join("messaging", "127.0.0.1:1")
    await first.announce("messaging", 0, 1)
    await first.close()
    await second.join("messaging", "127.0.0.1:2")
    await second.announce("messaging", 0, 2)
    assert (await second.owners("messaging"))[0] == OwnerRow(0, 2, "127.0.0.1:2")


async def test_a_member_beats_as_often_as_it_likes(members: Any) -> None:
    member = await members.open()
    await member.join("messaging", "127.0.0.1:1")
    for _ in range(5):
        await member.beat()
    await member.close()
    with pytest.raises(Unavailable):
        await member.beat()


async def test_who_has_not_joined_neither_beats_nor_announces(members: Any) -> None:
    member = await members.open()
    with pytest.raises(RuntimeError, match="not a member"):
        await member.beat()
    with pytest.raises(RuntimeError, match="not a member"):
        await member.announce("messaging", 0, 1)
    await member.join("messaging", "127.0.0.1:1")
    with pytest.raises(RuntimeError, match="not a member"):
        await member.announce("identity", 0, 1)
