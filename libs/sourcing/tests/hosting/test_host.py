"""A process takes its partitions over, decides, answers, ends and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import MemoryJournal, MemoryStore
from chapar_sourcing.digest import digest_of, refold, stored_documents
from chapar_sourcing.domain import Key
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.owner import Outcome
from chapar_sourcing.ports import AppendUnknown, Unavailable
from chapar_sourcing.refusing import NOT_OWNER, UNAVAILABLE, EngineRefused
from chapar_sourcing.requests import make_request_id

from .notebook import Command, Notebook
from .rig import PARTITIONS, World, book_at, config, eventually, running


async def test_what_was_written_is_read() -> None:
    async with running(World()) as process:
        outcome = await process.write(book_at(1), "salaam")
        assert outcome.reason == ""
        assert outcome.entry is not None
        assert await process.texts(book_at(1)) == ["salaam"]


@pytest.mark.parametrize("policy", ["append", "heartbeat"])
async def test_concurrent_commands_share_blocks_and_keep_their_order(policy: str) -> None:
    async with running(World(), read_policy=policy) as process:
        outcomes = await asyncio.gather(*(process.write(book_at(0), str(n)) for n in range(300)))
        assert {o.reason for o in outcomes} == {""}
        assert len({o.position.offset for o in outcomes if o.position}) < 50
        scanned = await process.texts(book_at(0))
        assert scanned == [str(n) for n in range(100)]


async def test_a_killed_process_is_taken_over_with_everything_it_acknowledged() -> None:
    world = World()
    async with running(world) as process:
        for n in range(20):
            await process.write(book_at(n % PARTITIONS), f"note {n}")
        await process.crash()
    async with running(world) as successor:
        for partition in range(PARTITIONS):
            assert await successor.texts(book_at(partition)) == [f"note {n}" for n in range(partition, 20, PARTITIONS)]


async def told(writing: Awaitable[Outcome]) -> str:
    """Why a command was not decided."""
    try:
        return (await writing).reason
    except EngineRefused as refused:
        return refused.reason


@pytest.mark.parametrize(("end", "reason"), [("end", NOT_OWNER), ("crash", UNAVAILABLE)])
async def test_a_host_that_has_ended_answers_nothing_from_memory(end: str, reason: str) -> None:
    world = World()
    async with running(world) as process:
        await process.write(book_at(1), "first")
        assert await process.texts(book_at(1)) == ["first"]
        await getattr(process, end)()
        async with running(world) as successor:
            await successor.write(book_at(1), "second")
            shelf = Key("book", book_at(1))
            with pytest.raises(EngineRefused) as refused:
                await process.host.read(1, lambda view: view.get(shelf), deadline_ms=process.host.now_ms + 20_000)
            assert refused.value.reason == reason
            assert (await told(process.write(book_at(1), "third"))) == reason


async def test_what_was_not_projected_is_folded_again_after_a_restart() -> None:
    world = World()

    def store_is_away(step: str, partition: int) -> None:
        if step == "write_documents":
            raise Unavailable("the disk is full")

    async with running(world, ports=world.ports(store_fault=store_is_away)) as process:
        await process.write(book_at(2), "before")
        await eventually(lambda: process.measures.counters["projections_failed"] > 0)
        assert not process.host.ready
        assert process.host.health()[2].problem.endswith(": the disk is full")
        await process.crash()
    assert await stored_documents(MemoryStore(world.tables), 2) == {}
    async with running(world) as successor:
        await successor.write(book_at(2), "after")
        assert await successor.texts(book_at(2)) == ["before", "after"]


async def test_a_retry_after_a_restart_gets_the_first_answer() -> None:
    world = World()
    async with running(world) as process:
        request_id = make_request_id(process.host.now_ms, bytes(10))
        first = await process.submit(request_id, Command(book=book_at(0), text="once"))
        await process.end()
    async with running(world) as successor:
        again = await successor.submit(request_id, Command(book=book_at(0), text="once"))
        assert again.replayed
        assert again.position == first.position
        assert await successor.texts(book_at(0)) == ["once"]


async def test_an_orderly_end_leaves_a_store_that_holds_what_the_log_says() -> None:
    world = World()
    async with running(world) as process:
        for n in range(30):
            await process.write(book_at(n % PARTITIONS), f"note {n}")
        await process.end()
    for partition in range(PARTITIONS):
        refolded = await refold(MemoryJournal(world.log), partition, Notebook())
        stored = await stored_documents(MemoryStore(world.tables), partition)
        assert digest_of(stored, answers_since_ms=None) == digest_of(refolded.documents, answers_since_ms=None)
        assert digest_of(stored, answers_since_ms=None).documents > 0


async def test_a_deposed_owner_answers_nobody() -> None:
    world = World()
    async with running(world, read_policy="append") as deposed, running(world, read_policy="append") as successor:
        await successor.write(book_at(0), "of the successor")
        refused = await deposed.write(book_at(0), "too late")
        assert refused.reason != ""
        with pytest.raises(EngineRefused):
            await deposed.texts(book_at(0))
        await eventually(lambda: deposed.host.health()[0].phase == "deposed")
        assert not deposed.host.ready
        assert (await deposed.write(book_at(0), "much too late")).reason == NOT_OWNER
        assert await successor.texts(book_at(0)) == ["of the successor"]


async def test_the_only_member_takes_over_again_after_a_late_claim_of_its_own() -> None:
    world = World()
    async with running(world, reclaim_after_ms=20) as process:
        await process.write(book_at(0), "before")
        epoch = process.host.health()[0].epoch
        late = journal.Claim(epoch=epoch + 1, writer=bytes(range(16)), folded_offset=-1, folded_hash=bytes(32))
        world.log.append(0, journal.Record(claim=late).SerializeToString())
        refused = await process.write(book_at(0), "into the claim")
        assert refused.reason == NOT_OWNER
        await eventually(lambda: process.host.health()[0].epoch == epoch + 2 and process.host.ready)
        await process.write(book_at(0), "after")
        assert await process.texts(book_at(0)) == ["before", "after"]
        assert process.measures.counters["partitions_lost"] == 1
        await process.end()


@pytest.mark.parametrize("asks", ["again", "refused"])
async def test_a_deposed_owner_does_not_answer_from_memory(asks: str) -> None:
    world = World()
    async with running(world, read_policy="append") as deposed:
        request_id = make_request_id(deposed.host.now_ms, bytes(10))
        written = Command(book=book_at(0), text="once")
        assert (await deposed.submit(request_id, written)).reason == ""
        async with running(world, read_policy="append") as successor:
            assert await successor.texts(book_at(0)) == ["once"]
            unknown_note = Command(book=book_at(0), erases=1_000)
            other_id = make_request_id(deposed.host.now_ms, bytes([1]) * 10)
            asked = (request_id, written) if asks == "again" else (other_id, unknown_note)
            outcome = await deposed.submit(*asked)
            assert outcome.entry is None
            assert outcome.reason == NOT_OWNER


async def test_a_read_waits_until_an_own_heartbeat_is_acknowledged() -> None:
    cut_off = False

    def beats(step: str, partition: int) -> None:
        if step == "beat" and cut_off:
            raise Unavailable("cut off")

    world = World()
    async with running(world, ports=world.ports(members_fault=beats), beat_interval_ms=20) as process:
        await process.write(book_at(0), "seen")
        assert await process.texts(book_at(0)) == ["seen"]
        cut_off = True
        await eventually(lambda: not process.host._heartbeat.is_fresh)

        async def get(view: object) -> object:
            return await view.scan("note", book_at(0))  # type: ignore[attr-defined]

        with pytest.raises(EngineRefused) as refused:
            await process.host.read(0, get, deadline_ms=process.host.now_ms + 300)
        assert refused.value.reason == UNAVAILABLE
        cut_off = False
        assert await process.texts(book_at(0)) == ["seen"]


async def test_who_was_silent_for_long_claims_anew_before_a_read_is_answered() -> None:
    cut_off = False

    def beats(step: str, partition: int) -> None:
        if step == "beat" and cut_off:
            raise Unavailable("cut off")

    world = World()
    async with running(world, ports=world.ports(members_fault=beats), beat_interval_ms=20) as silent:
        await silent.write(book_at(0), "seen")
        cut_off = True
        await eventually(lambda: not silent.host._heartbeat.is_fresh)
        async with running(world, owned=[0]) as successor:
            await successor.write(book_at(0), "by the successor")
            cut_off = False
            await eventually(lambda: silent.host._heartbeat.is_fresh)
            with pytest.raises(EngineRefused) as refused:
                await silent.texts(book_at(0))
            assert refused.value.reason == NOT_OWNER
            assert await successor.texts(book_at(0)) == ["seen", "by the successor"]
        epoch = silent.host.health()[1].epoch
        assert await silent.texts(book_at(1)) == []
        assert await silent.texts(book_at(1)) == []
        assert silent.host.health()[1].epoch == epoch + 1


async def test_a_command_whose_append_ended_without_an_answer_is_decided_once() -> None:
    lost = {"done": 3}

    def lose_answers(step: str, partition: int) -> None:
        if step == "append.done" and partition == 0 and lost["done"] > 0 and owning:
            lost["done"] -= 1
            raise AppendUnknown("no answer")

    world, owning = World(), False
    async with running(world, ports=world.ports(journal_fault=lose_answers)) as process:
        owning = True
        for n in range(5):
            assert (await process.write(book_at(0), str(n))).reason == ""
        assert lost["done"] == 0
        assert await process.texts(book_at(0)) == ["0", "1", "2", "3", "4"]
        assert process.host.health()[0].epoch > 1


async def test_partitions_of_others_are_refused() -> None:
    async with running(World(), owned=[0, 2]) as process:
        with pytest.raises(EngineRefused) as refused:
            await process.texts(book_at(1))
        assert refused.value.reason == NOT_OWNER
        assert (await process.write(book_at(2), "mine")).reason == ""


# ---- schema levels


async def test_a_level_that_this_binary_does_not_know_refuses_to_start() -> None:
    with pytest.raises(ValueError, match="schema level 2 is asked for, and this binary knows 1"):
        OwnerHost(config(schema_level=2), World().ports(), HostRules(Notebook()))


async def test_health_tells_why_a_raised_log_is_left_alone() -> None:
    world = World()
    raised = journal.Claim(epoch=1, writer=b"w" * 16, folded_offset=-1, folded_hash=bytes(32), schema_level=2)
    world.log.append(1, journal.Record(claim=raised).SerializeToString())
    async with running(world, wait_ready=False) as process:
        told = "this binary knows level 1, the log is at 2: start a newer release"
        await eventually(lambda: process.host.health()[1].problem == told)
        await eventually(lambda: [health.problem for health in process.host.health()] == ["", told, "", ""])
        assert not process.host.ready
        assert (await process.write(book_at(1))).reason == "REASON_NOT_OWNER"
        await process.end()
    assert await world.ports().journal.end_offset(1) == 1
