"""What of a command's way is told to a tracer: each step once, below the right one, and nothing that is read again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.adapters.memory import MemoryStream
from chapar_sourcing.clock import ManualClock
from chapar_sourcing.hosting import HostRules, Topic
from chapar_sourcing.reactions import Advance, Outgoing, Source
from chapar_sourcing.tracing import (
    ADVANCE,
    APPEND,
    NO_TRACER,
    PROJECT,
    PUBLISH,
    REACT,
    TRACED_MS_MAX,
    BlockTraces,
    Step,
    Value,
    is_followed,
)
from chapar_sourcing.watch import Watches

from .notebook import Command, Event, Notebook
from .rig import Process, World, book_at, eventually, running
from .test_watch import BookWatch, take

TOPIC = "notebook.events.v1"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class NotedSpan:
    """A step as it was told."""

    step: Step
    parent: str
    trace_parent: str
    attributes: dict[str, Value]
    began_ns: int
    ended_ns: int = 0

    def end(self, *, ended_ns: int | None = None, **attributes: Value) -> None:
        assert not self.ended_ns, "a span ends once"
        self.attributes |= attributes
        self.ended_ns = ended_ns or 10**9
        assert self.attributes.keys() <= set(self.step.attributes)
        assert self.began_ns <= self.ended_ns


@dataclass
class Noting:
    """A tracer whose time is a number that grows."""

    spans: list[NotedSpan] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def now_ns(self) -> int:
        return int(next(self._numbers))

    def begin(self, step: Step, trace_parent: str, *, began_ns: int | None = None, **attributes: Value) -> NotedSpan:
        own = f"{trace_parent[:35]}-{next(self._numbers):016x}-01"
        self.spans.append(NotedSpan(step, trace_parent, own, dict(attributes), began_ns or self.now_ns()))
        return self.spans[-1]

    def ended(self, step: Step) -> list[NotedSpan]:
        return [span for span in self.spans if span.step is step and span.ended_ns]


class Copying:
    """Advances a row of the book that a note is forwarded to, and copies the note there."""

    name, topic, event_type = "copying", None, Event

    async def react(self, event: Any, source: Source, view: Any) -> Sequence[Outgoing]:
        row = Advance(event.forward, event.book, {"head": event.number.to_bytes(8)}, event.text.encode())
        return [row] if event.forward else []


def rules() -> HostRules:
    return HostRules(
        Notebook(), reactions=[Copying()], watch=BookWatch(), topics=[Topic(TOPIC)],
        public_event=lambda event, _: (TOPIC, event),
    )  # fmt: skip


async def write(process: Process, text: str, *, forward: str = "", trace_parent: str = "") -> None:
    """One note in the book of partition 0."""
    request = process.request_of(Command(book=book_at(0), text=text, forward=forward))
    outcome = await process.host.submit(0, replace(request, trace_parent=trace_parent))
    assert outcome.entry is not None


async def test_each_step_of_a_traced_command_is_told_once_and_of_others_none() -> None:
    tracer, world = Noting(), World(published={TOPIC: None})
    async with running(world, rules=rules(), tracer=tracer) as process:
        there = book_at(1)
        frames = process.host.watch(peer.WatchRequest(partition=1, key=there, user_id="u"))
        async with aclosing(frames):
            await take(frames, 1)
            await write(process, "quiet", forward=there)
            await write(process, "traced", forward=there, trace_parent=PARENT)
            await write(process, "quiet, too", forward=there)
            shown = await take(frames, 3)
        steps = (APPEND, PROJECT, PUBLISH, REACT, ADVANCE)
        await eventually(lambda: all(tracer.ended(step) for step in steps))
    append, project, publish, react, advance = (_only(tracer.ended(step)) for step in steps)
    assert {append.parent, project.parent, publish.parent, react.parent} == {PARENT}
    assert advance.parent == react.trace_parent
    assert [frame.trace_parent for frame in shown] == ["", advance.trace_parent, ""]
    assert append.attributes["partition"] == project.attributes["partition"] == 0
    assert append.attributes["offset"] == project.attributes["offset"]
    assert (react.attributes["reaction"], react.attributes["sent"]) == ("copying", 1)
    assert react.began_ns <= advance.began_ns
    assert (publish.attributes["topic"], advance.attributes["rows"]) == (TOPIC, 1)
    published = await MemoryStream(world.topics).read(TOPIC, 0, 0)
    parents = [journal.StreamRecord.FromString(record.data).trace_parent for record in published]
    assert parents == ["", PARENT, ""], "what is published again after a crash has to be the same bytes"


async def test_what_a_process_reads_again_when_it_starts_is_not_told() -> None:
    world, tracer = World(published={TOPIC: None}), Noting()
    async with running(world, rules=rules()) as process:
        await write(process, "traced", forward=book_at(1), trace_parent=PARENT)
        await eventually(lambda: process.measures.counters["events_published"] == 1)
        await process.crash()
    world.tables = World().tables
    async with running(world, rules=rules(), tracer=tracer) as process:
        await eventually(lambda: process.measures.counters["documents_projected"] > 0)
        assert await process.texts(book_at(0)) == ["traced"]
        assert tracer.ended(APPEND) == tracer.ended(PROJECT) == []


async def test_a_process_that_records_nothing_passes_a_trace_on() -> None:
    async with running(World(published={TOPIC: None}), rules=rules()) as process:
        there = book_at(1)
        frames = process.host.watch(peer.WatchRequest(partition=1, key=there, user_id="u"))
        async with aclosing(frames):
            await take(frames, 1)
            await write(process, "traced", forward=there, trace_parent=PARENT)
            (frame,) = await take(frames, 1)
        assert (frame.hint, frame.trace_parent) == (b"traced", PARENT)


def test_nobody_follows_what_is_old_or_not_sampled() -> None:
    assert is_followed(PARENT, 1_000, 1_000 + TRACED_MS_MAX)
    assert not is_followed(PARENT, 1_000, 1_001 + TRACED_MS_MAX)
    assert not is_followed(PARENT[:-1] + "0", 1_000, 1_000)
    assert not is_followed("", 1_000, 1_000)


async def test_events_that_are_old_are_published_and_reacted_to_untold() -> None:
    tracer, clock = Noting(), ManualClock(1_790_000_000_000)
    world = World(published={TOPIC: None})
    async with running(world, rules=replace(rules(), topics=[], reactions=[]), clock=clock) as process:
        await write(process, "traced", forward=book_at(1), trace_parent=PARENT)
        await process.crash()
    await clock.advance(TRACED_MS_MAX + 1_000)
    async with running(world, rules=rules(), tracer=tracer, clock=clock) as process:
        await eventually(lambda: process.measures.counters["events_published"] == 1)
        await eventually(lambda: process.measures.counters["rows_merged"] == 1)
        assert tracer.spans == []


def test_frames_that_are_shown_again_carry_no_trace() -> None:
    watches = Watches()
    watches.begin(7, "")
    first, _ = watches.attach("k", "u", "", None)
    watches.show("k", b"hint", PARENT)
    again, resumed = watches.attach("k", "u", "", first.start)
    assert resumed
    (live,), (replayed,) = _queued(first), _queued(again)
    assert (live.trace_parent, replayed.trace_parent) == (PARENT, "")
    assert (live.cursor, live.hint) == (replayed.cursor, replayed.hint)


def test_blocks_that_were_undone_are_told_of_no_further() -> None:
    tracer = Noting()
    traces = BlockTraces(0, tracer)
    block = journal.Block(entries=[journal.Entry(trace_parent=PARENT), journal.Entry()])
    traces.applied(3, block, 1, 2)
    traces.applied(4, block, 3, 4)
    traces.projected(3, 5, 4)
    traces.forget()
    traces.projected(4, 5, 5)
    assert [(span.step.name, span.attributes["offset"]) for span in tracer.spans] == [
        ("append", 3), ("append", 4), ("project", 3),
    ]  # fmt: skip
    assert NO_TRACER.begin(APPEND, PARENT) is None


def _only(spans: list[NotedSpan]) -> NotedSpan:
    (span,) = spans
    return span


def _queued(watcher: Any) -> list[peer.WatchResponse]:
    return list(watcher._frames)
