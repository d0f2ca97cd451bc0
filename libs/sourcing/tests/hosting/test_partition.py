"""One owned partition: whom it tells of itself, how long it lets others wait, and what it refuses at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.adapters.memory import MemoryMembers
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.ports import AppendUnknown, Unavailable
from chapar_sourcing.refusing import DEADLINE_PASSED, KEY_INVALID, REQUEST_MALFORMED, UNAVAILABLE, EngineRefused
from chapar_sourcing.requests import make_request_id
from chapar_sourcing.watch import WatchRefused

from .notebook import Command, Notebook
from .rig import World, book_at, eventually, running


def command(at: int, text: str, now_ms: int) -> peer.SubmittedCommand:
    body = Command(book=book_at(at), text=text).SerializeToString()
    return peer.SubmittedCommand(request_id=make_request_id(now_ms, text.encode() * 10), source="x/0", command=body)


async def nothing(view: Any) -> str:
    return "nothing was looked at"


async def rows(view: Any) -> Any:
    return await view.rows(book_at(0))


def hangs(step: str, partition: int) -> Awaitable[None] | None:
    """A journal that acknowledges nothing."""
    return asyncio.Event().wait() if step.startswith("append") else None  # type: ignore[return-value]


async def test_others_are_told_of_each_epoch_once_also_where_that_fails_at_first() -> None:
    told = 0

    def members(step: str, partition: int) -> None:
        nonlocal told
        if step == "announce" and partition == 1:
            told += 1
            if told < 3:
                raise Unavailable("away")

    world = World()
    ports = world.ports(members_fault=members)
    directory = ports.members
    assert isinstance(directory, MemoryMembers)
    async with running(world, ports=ports) as process:
        await eventually(lambda: 1 in directory.directory.owners("notebook"))
        assert directory.directory.owners("notebook")[1].epoch == process.host.health()[1].epoch
        for n in range(3):
            await process.write(book_at(1), str(n))
        assert told == 3


async def test_no_commands_have_no_reasons() -> None:
    async with running(World()) as process:
        assert await process.host.submit_commands(1, []) == []


async def test_a_command_that_cannot_be_read_is_refused_for_good_and_the_next_is_decided() -> None:
    async with running(World()) as process:
        now_ms = process.host.now_ms
        garbage = peer.SubmittedCommand(request_id=make_request_id(now_ms, b"0" * 10), source="x/0", command=b"\xff")
        sent = [command(1, "a", now_ms), garbage, command(1, "b", now_ms)]
        assert await process.host.submit_commands(1, sent) == ["", REQUEST_MALFORMED, ""]
        assert await process.texts(book_at(1)) == ["a", "b"]


async def test_a_service_without_live_views_shows_none() -> None:
    async with running(World(), rules=HostRules(Notebook())) as process:
        await process.write(book_at(0), "no hints of it")
        with pytest.raises(WatchRefused):
            await anext(process.host.watch(peer.WatchRequest(partition=0, key=book_at(0), user_id="u")))


@pytest.mark.parametrize("key", ["", book_at(1)])
async def test_of_advances_with_a_key_that_is_not_its_own_none_is_taken(key: str) -> None:
    async with running(World()) as process:
        own = peer.Advance(key=book_at(0), row="r", fields={"head": b"\1"})
        with pytest.raises(EngineRefused) as refused:
            await process.host.advance(0, [own, peer.Advance(key=key, row="r")])
        assert refused.value.reason == KEY_INVALID
        assert await process.host.read(0, rows, deadline_ms=process.host.now_ms + 20_000) == {}


async def test_what_looks_at_nothing_is_answered_without_a_confirmation() -> None:
    held_up = False

    def stands_still(step: str, partition: int) -> Awaitable[None] | None:
        return hangs(step, partition) if held_up else None

    world = World()
    async with running(world, ports=world.ports(journal_fault=stands_still), read_policy="append") as process:
        held_up = True
        async with asyncio.timeout(20):
            told = await process.host.read(0, nothing, deadline_ms=process.host.now_ms + 20_000)
        assert told == "nothing was looked at"
        with pytest.raises(EngineRefused) as refused:
            await process.host.read(0, rows, deadline_ms=process.host.now_ms + 50)
        assert refused.value.reason == UNAVAILABLE


@pytest.mark.parametrize(("patience_ms", "deadline_ms"), [(30, 60_000), (60_000, 30)])
async def test_a_read_waits_for_a_take_over_as_long_as_it_may(patience_ms: int, deadline_ms: int) -> None:
    world = World()
    ports = world.ports(journal_fault=hangs)
    async with running(world, ports=ports, wait_ready=False, read_wait_ms_max=patience_ms) as process:
        async with asyncio.timeout(20):
            with pytest.raises(EngineRefused) as refused:
                await process.host.read(0, nothing, deadline_ms=process.host.now_ms + deadline_ms)
        assert refused.value.reason == UNAVAILABLE


async def test_a_digest_waits_for_a_take_over_as_long_as_an_end_would() -> None:
    world = World()
    async with running(world, ports=world.ports(journal_fault=hangs), wait_ready=False, drain_ms_max=30) as process:
        async with asyncio.timeout(20):
            with pytest.raises(EngineRefused) as refused:
                await process.host.digest(0)
        assert refused.value.reason == DEADLINE_PASSED


async def test_who_does_not_own_yet_says_so_and_an_alarm_comes_first() -> None:
    world = World()
    async with running(world, ports=world.ports(journal_fault=hangs), wait_ready=False) as process:
        await eventually(lambda: process.host.health()[0].problem == "claiming")
        process.host.raise_alarm(0, "records are lost")
        assert process.host.health()[0].problem == "records are lost"
        assert process.host.health()[1].problem == "claiming"


async def test_a_first_claim_that_failed_is_judged_anew_and_one_of_an_owner_is_not() -> None:
    judged, claims, rejected, allowed, lost = 0, 0, False, True, False

    def may_claim(partition: int) -> bool:
        nonlocal judged
        judged += partition == 1
        return allowed or partition != 1

    def fails_once(step: str, partition: int) -> None:
        nonlocal claims, rejected, allowed, lost
        if partition == 1 and step == "append.fresh":
            claims += 1
            if not rejected:
                rejected, allowed = True, False
                raise Unavailable("no producer")
        if partition == 1 and step == "append.done" and lost:
            lost = False
            raise AppendUnknown("no answer")

    world = World()
    ports = world.ports(journal_fault=fails_once)
    async with running(world, ports=ports, may_claim=may_claim, beat_interval_ms=20, wait_ready=False) as process:
        await eventually(lambda: rejected)
        asked = judged
        await eventually(lambda: judged > asked + 10)
        assert claims == 1
        allowed = True
        await process.ready()
        assert claims == 2
        allowed, lost = False, True
        assert (await process.write(book_at(1), "through doubt")).reason == ""
        await process.ready()
        assert claims == 3
