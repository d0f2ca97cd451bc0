"""What Members promise: two logs a service, and what counts of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from chapar_sourcing.ports import Announcement, Beat, News, Placement, Unavailable

BOUND_SECONDS = 20.0
ME, OTHER = b"m" * 16, b"o" * 16


def beat(sequence: int, *, member: bytes = ME, **fields: Any) -> Beat:
    return Beat(member, "127.0.0.1:1", sequence, **fields)


def said(
    partition: int, epoch: int, *, member: bytes = ME, address: str = "127.0.0.1:1", **fields: Any
) -> Announcement:
    return Announcement(partition, epoch, member, address, **fields)


def placed(partition: int, address: str = "127.0.0.1:1", *, reason: str = "too hot") -> Placement:
    return Placement(partition, address, reason, "operator", 1_700_000_000_000)


async def news(member: Any, count: int) -> list[News]:
    """So many news."""
    found: list[News] = []
    async with asyncio.timeout(BOUND_SECONDS):
        while len(found) < count:
            found += await member.news()
    return found


async def owners(
    member: Any, holds: Callable[[dict[int, Announcement]], bool], service: str
) -> dict[int, Announcement]:
    """Who owns what, once that holds."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not holds(found := dict(await member.owners(service))):  # noqa: ASYNC110 - others tell with some delay.
            await asyncio.sleep(0.02)
    return found


async def test_nobody_owns_anything_before_it_is_announced(members: Any) -> None:
    member = await members.open()
    assert dict(await member.owners(members.service)) == {}
    await member.join(members.service)
    assert dict(await member.owners(members.service)) == {}


async def test_a_member_reads_what_it_said_each_kind_in_order(members: Any) -> None:
    member = await members.open()
    await member.join(members.service)
    beats = [beat(1), beat(2, extra=True), beat(3, draining=True), beat(4, unfit=True), beat(5, places=False)]
    told = [said(0, 1), said(7, 4), said(0, 1, released=True, successor="127.0.0.1:2")]
    for one in beats:
        await member.beat(one)
    wanted = [placed(7), placed(0, "127.0.0.1:2", reason="warum? \u0686\u0631\u0627"), placed(7, "")]
    for row in told:
        await member.announce(row)
    for placement in wanted:
        await member.place(placement)
    found = await news(member, 11)
    assert [one for one in found if isinstance(one, Beat)] == beats
    assert [one for one in found if isinstance(one, Announcement)] == told
    assert [one for one in found if isinstance(one, Placement)] == wanted


async def test_a_beat_comes_after_every_announcement_acknowledged_before_it(members: Any) -> None:
    member = await members.open()
    await member.join(members.service)
    for epoch in range(1, 20):
        await member.announce(said(epoch % 3, epoch))
        await member.beat(beat(epoch))
    found = await news(member, 38)
    epoch = 0
    for one in found:
        if isinstance(one, Announcement):
            epoch = one.epoch
        else:
            assert epoch >= one.sequence


async def test_a_beat_comes_after_every_placement_acknowledged_before_it(members: Any) -> None:
    member = await members.open()
    await member.join(members.service)
    for number in range(1, 20):
        await member.place(placed(number))
        await member.beat(beat(number))
    last = 0
    for one in await news(member, 38):
        if isinstance(one, Placement):
            last = one.partition
        else:
            assert isinstance(one, Beat)
            assert last >= one.sequence


async def test_a_placement_changes_nothing_of_who_owns_what(members: Any) -> None:
    member = await members.open()
    await member.join(members.service)
    await member.announce(said(3, 1))
    await member.place(placed(3, "127.0.0.1:2"))
    await member.place(placed(4, "127.0.0.1:2"))
    await member.announce(said(5, 1))
    found = await owners(member, lambda found: 5 in found, members.service)
    assert found == {3: said(3, 1), 5: said(5, 1)}


async def test_who_comes_later_reads_the_last_placement_of_each_partition(members: Any) -> None:
    first = await members.open()
    await first.join(members.service)
    for row in (placed(1), placed(2), placed(1, "127.0.0.1:9", reason="colder"), placed(2, "", reason="anywhere")):
        await first.place(row)
    await first.close()
    second = await members.open()
    await second.join(members.service)
    await second.beat(beat(1, member=OTHER))
    last: dict[int, Placement] = {}
    told: list[News] = []
    while beat(1, member=OTHER) not in told:
        told += await news(second, 1)
    for one in told:
        if isinstance(one, Placement):
            last[one.partition] = one
    assert last == {1: placed(1, "127.0.0.1:9", reason="colder"), 2: placed(2, "", reason="anywhere")}


async def test_news_that_nobody_waits_for_any_more_are_not_lost(members: Any) -> None:
    member = await members.open()
    await member.join(members.service)
    waiting = asyncio.create_task(member.news())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await member.beat(beat(1))
    assert await news(member, 1) == [beat(1)]


async def test_others_see_what_is_announced(members: Any) -> None:
    owner, gateway = await members.open(), await members.open()
    assert dict(await gateway.owners(members.service)) == {}
    await owner.join(members.service)
    wanted = {0: said(0, 1), 7: said(7, 4)}
    for row in wanted.values():
        await owner.announce(row)
    assert await owners(gateway, lambda found: len(found) == 2, members.service) == wanted
    assert await owners(owner, lambda found: len(found) == 2, members.service) == wanted
    assert dict(await gateway.owners(members.other)) == {}


async def test_the_highest_epoch_counts_and_within_it_the_release(members: Any) -> None:
    member = await members.open()
    await member.join(members.service)
    for epoch in (3, 2, 5, 4):
        await member.announce(said(0, epoch))
    assert (await owners(member, lambda found: 0 in found and found[0].epoch >= 5, members.service))[0] == said(0, 5)
    released = said(0, 5, released=True, successor="127.0.0.1:9")
    await member.announce(released)
    await member.announce(said(0, 5))
    await member.announce(said(1, 1))
    found = await owners(member, lambda found: 1 in found, members.service)
    assert found[0] == released
    assert found[0].answers_at == "127.0.0.1:9"
    assert found[1].answers_at == "127.0.0.1:1"


async def test_members_of_several_services_live_side_by_side(members: Any) -> None:
    first, second = await members.open(), await members.open()
    await first.join(members.service)
    await second.join(members.other)
    await first.announce(said(0, 1))
    await second.announce(said(0, 9))
    assert (await owners(first, lambda found: 0 in found, members.other))[0] == said(0, 9)
    assert (await owners(second, lambda found: 0 in found, members.service))[0] == said(0, 1)


async def test_a_second_member_hears_the_first_or_is_refused_naming_the_holder(members: Any) -> None:
    first, second = await members.open(), await members.open()
    await first.join(members.service)
    if members.one_member:
        with pytest.raises(RuntimeError, match=str(os.getpid())):
            await second.join(members.service)
        await second.join(members.other)
        return
    await second.join(members.service)
    await first.announce(said(0, 1))
    await first.beat(beat(1))
    await second.beat(beat(1, member=OTHER))
    for member in (first, second):
        found = await news(member, 3)
        assert [one for one in found if isinstance(one, Beat)] == [beat(1), beat(1, member=OTHER)]
        assert said(0, 1) in found


async def test_who_comes_later_reads_what_was_said_before(members: Any) -> None:
    first = await members.open()
    await first.join(members.service)
    await first.announce(said(0, 1))
    await first.beat(beat(1))
    await first.close()
    second = await members.open()
    await second.join(members.service)
    await second.announce(said(0, 2))
    await second.beat(beat(1, member=OTHER))
    found = await news(second, 2 if members.one_member else 4)
    assert found[-1] == beat(1, member=OTHER)
    assert said(0, 2) in found
    assert (await owners(second, lambda found: 0 in found and found[0].epoch >= 2, members.service))[0] == said(0, 2)


async def test_who_has_not_joined_or_has_left_says_nothing(members: Any) -> None:
    member = await members.open()
    for saying in (member.beat(beat(1)), member.announce(said(0, 1)), member.place(placed(0)), member.news()):
        with pytest.raises(RuntimeError, match="not a member"):
            await saying
    await member.join(members.service)
    with pytest.raises(RuntimeError, match="already"):
        await member.join(members.other)
    waiting = asyncio.create_task(member.news())
    await asyncio.sleep(0)
    await member.close()
    for leaving in (member.beat(beat(1)), member.announce(said(0, 1)), member.place(placed(0)), waiting):
        with pytest.raises(Unavailable):
            await leaving
