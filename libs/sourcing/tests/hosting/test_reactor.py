"""What events cause arrives at least once and, where it must, exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.adapters.memory import MemoryStore
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.domain import Documents, Refused
from chapar_sourcing.hosting import HostPorts, HostRules, Topic
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.reactions import Advance, Outgoing, Source, Submit
from chapar_sourcing.refusing import NOT_OWNER, UNAVAILABLE, EngineRefused
from chapar_sourcing.requests import make_request_id

from .notebook import Command, Event, Notebook
from .rig import Process, World, book_at, eventually, running

TOPIC = "notebook.events.v1"


@dataclass
class Forwarding:
    """Copies each note that names another book into that book, and advances a row there."""

    name: str = "forwarding"
    topic: str | None = None
    creation: bool = True
    event_type: Any = Event
    seen: list[str] = field(default_factory=list)
    fails: int = 0
    failure: type[Exception] = ConnectionError
    looks: bool = False
    rows: bool = True

    async def react(self, event: Any, source: Source, view: Any) -> Sequence[Outgoing]:
        if self.fails > 0:
            self.fails -= 1
            raise self.failure("an external service is away")
        self.seen.append(event.text)
        if self.looks:
            assert len(await view.scan("note", event.book, limit=1)) == 1
        if not event.forward:
            return []
        row = Advance(event.forward, event.book, {"head": event.number.to_bytes(8)}, event.text.encode())
        command = Submit(event.forward, Command(book=event.forward, text=event.text), self.creation)
        return [command, row] if self.rows else [command]


@dataclass
class Erring(Forwarding):
    """Makes one creation of each note that is forwarded, and one that no book takes of "refused"."""

    async def react(self, event: Any, source: Source, view: Any) -> Sequence[Outgoing]:
        if not event.forward:
            return []
        erases = 99 if event.text == "refused" else 0
        return [Submit(event.forward, Command(book=event.forward, text=event.text, erases=erases), creation=True)]


class HurriedClock(SystemClock):
    """Waits a hundredth of what it is asked to."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 100)


def rules(*reactions: Forwarding) -> HostRules:
    return HostRules(Notebook(), reactions=list(reactions))


def flaky(world: World, steps: dict[str, int]) -> HostPorts:
    """Ports whose named steps of the store fail so many times each."""

    def fault(step: str, partition: int) -> None:
        if steps.get(step, 0) > 0:
            steps[step] -= 1
            raise Unavailable("away")

    return world.ports(store_fault=fault)


class Gate:
    """Other processes' owners, behind a gate for each partition; what passes is remembered."""

    def __init__(self, closed: Sequence[int] = (), holes: int = 0, stumbles: int = 0) -> None:
        self.holes = holes
        self.stumbles = stumbles
        self.closed = set(closed)
        self.commands: dict[int, list[Any]] = {}
        self.rows: dict[int, list[str]] = {}

    async def submit(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        if partition in self.closed:
            raise Unavailable("behind the gate")
        if self.holes > 0:
            self.holes -= 1
            return [HOLE_REASON] * len(commands)
        taken = commands
        if self.stumbles > 0:
            self.stumbles -= 1
            taken = commands[:1]
        self.commands.setdefault(partition, []).extend(taken)
        return [""] * len(taken) + [NOT_OWNER] * (len(commands) - len(taken))

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        if partition in self.closed:
            raise EngineRefused(NOT_OWNER)
        self.rows.setdefault(partition, []).extend(a.row for a in advances)

    def texts(self, partition: int) -> list[str]:
        return [Command.FromString(c.command).text for c in self.commands.get(partition, [])]


async def test_events_become_commands_and_rows_at_their_targets() -> None:
    here, there = book_at(0), book_at(3)

    async def rows(view: Any) -> Any:
        return await view.rows(there)

    async with running(World(), rules=rules(Forwarding())) as process:
        for n in range(5):
            await process.write(here, f"note {n}", forward=there)

        async def arrived() -> bool:
            held = await process.host.read(3, rows, deadline_ms=process.host.now_ms + 20_000)
            return held == {here: {"head": (5).to_bytes(8)}}

        await eventually(arrived)
        assert await process.texts(there) == [f"note {n}" for n in range(5)]


async def test_creations_are_applied_exactly_once_over_crashes() -> None:
    world, here, targets = World(), book_at(0), [book_at(p) for p in (1, 2, 3)]
    written = 0
    for _ in range(4):
        ports = flaky(world, {"write_cursor": 1_000})
        async with running(world, rules=rules(Forwarding()), ports=ports) as process:
            for _ in range(6):
                await process.write(here, str(written), forward=targets[written % 3])
                written += 1
            first = targets[(written - 1) % 3]

            async def last_arrived(process: Any = process, book: str = first, text: str = str(written - 1)) -> bool:
                return text in await process.texts(book)

            await eventually(last_arrived)
            await process.crash()
    async with running(world, rules=rules(Forwarding())) as process:
        await process.write(here, "last", forward=targets[0])

        async def all_arrived() -> bool:
            return "last" in await process.texts(targets[0])

        await eventually(all_arrived)
        for place, target in enumerate(targets):
            expected = [str(n) for n in range(written) if n % 3 == place] + (["last"] if place == 0 else [])
            assert await process.texts(target) == expected


async def test_cursors_move_so_that_little_is_repeated() -> None:
    world, here, there = World(), book_at(0), book_at(1)
    async with running(world, rules=rules(Forwarding())) as process:
        await process.write(here, "note", forward=there)

        async def both_written() -> bool:
            cursors = await MemoryStore(world.tables).read_cursors(0)
            return {"reactor/forwarding", "reactor/forwarding/1"} <= set(cursors)

        await eventually(both_written)
        await process.crash()
    again = Forwarding()
    async with running(world, rules=rules(again)) as process:
        await process.write(here, "next", forward=there)
        await eventually(lambda: "next" in again.seen)
        assert "note" not in again.seen


async def test_a_slow_target_holds_up_nobody_else() -> None:
    gate, here = Gate(closed=[2]), book_at(0)
    reaction = Forwarding(creation=False)
    async with running(World(), rules=rules(reaction), owned=[0], remote=gate) as process:
        for n in range(20):
            await process.write(here, str(n), forward=book_at(2 if n % 2 else 1))
        await eventually(lambda: len(gate.texts(1)) == 10)
        assert gate.texts(2) == []
        gate.closed.clear()
        await eventually(lambda: len(gate.texts(2)) == 10 and len(gate.rows.get(2, [])) == 10)
        assert gate.texts(2) == [str(n) for n in range(20) if n % 2]


async def test_what_is_under_way_to_a_slow_target_is_bounded() -> None:
    gate, here = Gate(closed=[2]), book_at(0)
    reaction = Forwarding(creation=False)
    async with running(World(), rules=rules(reaction), owned=[0], remote=gate) as process:
        await asyncio.gather(*(process.write(here, str(n), forward=book_at(2)) for n in range(400)))
        await eventually(lambda: len(reaction.seen) > 250)
        assert len(reaction.seen) < 300
        gate.closed.clear()
        await eventually(lambda: len(gate.texts(2)) == 400)


async def test_what_was_not_decided_is_sent_again_in_order() -> None:
    gate, here = Gate(closed=[1], stumbles=5), book_at(0)
    async with running(World(), rules=rules(Forwarding(rows=False)), owned=[0], remote=gate) as process:
        await asyncio.gather(*(process.write(here, str(n), forward=book_at(1)) for n in range(8)))
        sent = await process.texts(here)
        gate.closed.clear()
        await eventually(lambda: len(gate.texts(1)) >= 8)
        assert gate.texts(1) == sent


async def test_what_had_not_arrived_at_a_crash_is_sent_again() -> None:
    world, here, gate = World(), book_at(0), Gate(closed=[1])
    async with running(world, rules=rules(Forwarding(creation=False)), owned=[0], remote=gate) as process:
        outcomes = await asyncio.gather(
            *(process.write(here, text, forward=book_at(at)) for text, at in (("passes", 2), ("held up", 1)))
        )
        assert len({o.position.offset for o in outcomes if o.position}) == 1, "one block, done with as a whole"
        await eventually(lambda: gate.texts(2) == ["passes"])
        await eventually(lambda: process.measures.counters["reactor_retries"] > 1)
        await process.crash()
    gate.closed.clear()
    async with running(world, rules=rules(Forwarding(creation=False)), owned=[0], remote=gate):
        await eventually(lambda: gate.texts(1) == ["held up"])


async def test_after_a_command_that_was_not_decided_none_is() -> None:
    class Stumbling(Notebook):
        """Is away for the second command."""

        def decide(self, documents: Documents, command: Any, now_ms: int) -> Sequence[Any] | Refused:
            return Refused(UNAVAILABLE) if command.text == "b" else super().decide(documents, command, now_ms)

    book = book_at(1)
    async with running(World(), rules=HostRules(Stumbling())) as process:
        commands = [
            peer.SubmittedCommand(
                request_id=make_request_id(process.host.now_ms, text.encode() * 10),
                source="notebook/0",
                command=Command(book=book, text=text).SerializeToString(),
            )
            for text in "abc"
        ]
        reasons = await process.host.submit_commands(1, commands)
        assert reasons == ["", UNAVAILABLE, UNAVAILABLE]
        assert await process.texts(book) == ["a"]


async def test_a_repetition_has_the_request_id_of_the_first_time() -> None:
    world, here = World(), book_at(0)
    gates = [Gate(), Gate()]
    for gate in gates:
        ports = flaky(world, {"write_cursor": 1_000})
        async with running(
            world, rules=rules(Forwarding(creation=False)), owned=[0], remote=gate, ports=ports
        ) as process:
            if gate is gates[0]:
                for n in range(3):
                    await process.write(here, str(n), forward=book_at(1))
            await eventually(lambda gate=gate: len(gate.commands.get(1, [])) >= 3)
            await process.crash()
    ids = [{c.request_id for c in gate.commands[1]} for gate in gates]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3


async def test_an_event_whose_reaction_fails_is_not_skipped() -> None:
    reaction = Forwarding(fails=3)
    async with running(World(), rules=rules(reaction)) as process:
        for text in ("one", "two"):
            await process.write(book_at(0), text)
        await eventually(lambda: len(reaction.seen) == 2)
        assert reaction.seen == ["one", "two"]
        assert process.measures.counters["reactor_failures"] == 3


async def test_a_refusal_for_good_is_counted_and_passed() -> None:
    @dataclass
    class Erasing(Forwarding):
        async def react(self, event: Any, source: Source, view: Any) -> Sequence[Outgoing]:
            self.seen.append(event.text)
            return [Submit(book_at(1), Command(book=book_at(1), erases=9))] if event.forward else []

    reaction = Erasing()
    async with running(World(), rules=rules(reaction)) as process:
        await process.write(book_at(0), "refused", forward="x")
        await process.write(book_at(0), "goes on")
        await eventually(lambda: process.measures.counters["reactor_refusals"] == 1)
        await eventually(lambda: reaction.seen == ["refused", "goes on"])


async def test_a_creation_that_is_refused_for_good_holds_up_none_after_it() -> None:
    world, here, there = World(), book_at(0), book_at(1)
    for beginning in ("", "again "):
        async with running(world, rules=rules(Erring())) as process:
            for text in ("first", "refused", "refused", "second"):
                await process.write(here, text if text == "refused" else beginning + text, forward=there)

            async def arrived(process: Process = process, last: str = f"{beginning}second") -> bool:
                return last in await process.texts(there)

            await eventually(arrived)
            await process.crash()
    async with running(world, rules=rules(Erring())) as process:
        assert await process.texts(there) == ["first", "second", "again first", "again second"]


async def test_reactions_to_a_stream_are_applied_once() -> None:
    world = World(published={TOPIC: None})
    source_rules = HostRules(Notebook(), topics=[Topic(TOPIC)], public_event=lambda event, when: (TOPIC, event))
    async with running(world, rules=source_rules) as source:
        for n in range(6):
            await source.write(book_at(0), str(n), forward=book_at(2))
        reader = World(topics=world.topics)
        for _ in range(3):
            ports = flaky(reader, {"write_cursor": 1_000})
            reaction = Forwarding(topic=TOPIC, looks=False)
            async with running(reader, rules=rules(reaction), ports=ports) as process:

                async def arrived(process: Any = process) -> bool:
                    return "5" in await process.texts(book_at(2))

                await eventually(lambda reaction=reaction: len(reaction.seen) == 6)
                await eventually(arrived)
                await process.crash()
        async with running(reader, rules=rules(Forwarding(topic=TOPIC))) as process:
            assert await process.texts(book_at(2)) == [str(n) for n in range(6)]


async def test_a_creation_of_a_stream_that_is_refused_for_good_is_refused_once() -> None:
    world = World(published={TOPIC: None})
    source_rules = HostRules(Notebook(), topics=[Topic(TOPIC)], public_event=lambda event, when: (TOPIC, event))
    here, there, reaction = book_at(0), book_at(2), Erring(topic=TOPIC)
    reader = World(topics=world.topics)
    ports = reader.ports()

    async def written() -> bool:
        cursor = (await ports.store.read_cursors(0)).get(f"reactor/{reaction.name}")
        return cursor is not None and cursor.position.offset >= 19

    async with running(world, rules=source_rules) as source, running(reader, rules=rules(reaction), ports=ports) as to:
        # At once: a stream's offsets run ahead of those of the journal that it tells of.
        await asyncio.gather(*(source.write(here, "first", forward=there) for _ in range(20)))
        await eventually(written)
        await asyncio.gather(*(source.write(here, "refused", forward=there) for _ in range(3)))
        await source.write(here, "last", forward=there)

        async def arrived() -> bool:
            return "last" in await to.texts(there)

        await eventually(arrived)
        assert await to.texts(there) == ["first"] * 20 + ["last"]
        assert to.measures.counters["reactor_refusals"] == 3


async def test_a_reaction_that_reads_sees_its_event() -> None:
    reaction = Forwarding(looks=True)
    async with running(World(), rules=rules(reaction), read_policy="append") as process:
        await process.write(book_at(0), "one")
        await eventually(lambda: reaction.seen == ["one"])
        assert process.measures.counters["reactor_failures"] == 0


async def test_a_chain_that_is_broken_is_read_anew_and_sent_again() -> None:
    gate, here = Gate(holes=2), book_at(0)
    async with running(World(), rules=rules(Forwarding()), owned=[0], remote=gate) as process:
        for n in range(3):
            await process.write(here, str(n), forward=book_at(1))
        await eventually(lambda: {"0", "1", "2"} <= set(gate.texts(1)))
        assert process.measures.counters["reactor_holes"] == 2
        assert process.measures.counters["followers_restarted"] == 2


async def test_a_stream_that_cannot_be_read_for_a_while_loses_nothing() -> None:
    world, unread = World(published={TOPIC: None}), 3

    def stream(step: str, partition: int) -> None:
        nonlocal unread
        if step == "read" and unread > 0:
            unread -= 1
            raise Unavailable("away")

    source_rules = HostRules(Notebook(), topics=[Topic(TOPIC)], public_event=lambda event, when: (TOPIC, event))
    reader, reaction = World(topics=world.topics), Forwarding(topic=TOPIC)
    async with (
        running(world, rules=source_rules) as source,
        running(reader, rules=rules(reaction), ports=reader.ports(stream_fault=stream)) as process,
    ):
        for n in range(3):
            await source.write(book_at(0), str(n))
        await eventually(lambda: reaction.seen == ["0", "1", "2"])
        assert unread == 0
        assert process.measures.counters["followers_restarted"] >= 3


async def test_a_reactor_that_is_ended_in_the_middle_of_a_failure_ends() -> None:
    world, ended = World(), list[asyncio.Task[Any]]()

    def fault(step: str, partition: int) -> None:
        if step == "partitions":
            task = asyncio.current_task()
            assert task is not None, "a reactor asks"
            ended.append(task)
            asyncio.get_running_loop().call_soon(task.cancel)
            raise Unavailable("away, and nobody waits for it any more")

    async with running(world, rules=rules(Forwarding(topic=TOPIC)), ports=world.ports(stream_fault=fault)):
        await eventually(lambda: bool(ended) and all(task.done() for task in ended))
        assert len(set(ended)) == len(ended), "it does not try again first"


async def test_what_goes_to_a_partition_that_was_lost_goes_to_whoever_took_it_over() -> None:
    world, gate = World(), Gate()
    async with (
        running(world, rules=rules(Forwarding()), owned=[0, 1], remote=gate) as process,
        running(world, owned=[1]),
    ):
        assert (await process.write(book_at(1), "finds out")).reason == NOT_OWNER
        await process.write(book_at(0), "on its way", forward=book_at(1))
        await eventually(lambda: gate.rows.get(1) == [book_at(0)] and len(gate.commands.get(1, [])) == 1)


async def test_a_reaction_that_waits_for_what_is_away_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    clock = HurriedClock()
    reaction = Forwarding(fails=10, failure=Unavailable)
    async with running(World(), rules=rules(reaction), clock=clock) as process:
        await process.write(book_at(0), "once")
        await eventually(lambda: reaction.seen == ["once"])
        assert process.measures.counters["reactor_waits"] == 10
    assert "reactor/forwarding waits at notebook/" in caplog.text


class Flawed(Notebook):
    """Rules that fail at one book as long as it is named."""

    flawed = ""

    def decide(self, documents: Documents, command: Any, now_ms: int) -> Sequence[Any] | Refused:
        if command.book == self.flawed:
            raise ZeroDivisionError
        return super().decide(documents, command, now_ms)


async def test_a_command_at_which_the_rules_fail_waits_and_ends_nobody() -> None:
    domain, here, flawed, sound = Flawed(), book_at(0), book_at(2), book_at(3)
    domain.flawed = flawed
    reaction = Forwarding(creation=False, rows=False)
    async with running(World(), rules=HostRules(domain, reactions=[reaction])) as process:
        for there in (flawed, sound):
            await process.write(here, f"to {there}", forward=there)

        async def arrived(book: str) -> bool:
            return process.task.done() or await process.texts(book) == [f"to {book}"]

        await eventually(lambda: process.task.done() or process.measures.counters["reactor_failures"] > 1)
        await eventually(lambda: arrived(sound))
        assert not process.task.done()
        domain.flawed = ""
        await eventually(lambda: arrived(flawed))
