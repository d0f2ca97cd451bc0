"""Runs one reaction on one source partition: events in, commands and advances out, a cursor behind them.

Events are reacted to in order; what they cause goes into one lane a target, so that a slow target holds up nobody
else until the window of events under way is full. The cursor moves once everything up to it has arrived; what was
under way at a crash is sent again under the same request ids. For creations there is a cursor a target as well,
written first: it holds the last creation that the target has, to name as the previous one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.clock import Clock
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.hosting import Targets
from chapar_sourcing.lanes import ChainBroken, Item, Lane, Parcel
from chapar_sourcing.measures import Measures
from chapar_sourcing.partitions import partition_of_id
from chapar_sourcing.ports import Cursor, Store, Unavailable
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.pulse import Pulse
from chapar_sourcing.reactions import Advance, Outgoing, Reaction, Source, Submit
from chapar_sourcing.refusing import EngineRefused
from chapar_sourcing.requests import derived_request_id
from chapar_sourcing.sources import Arrival, EventSource
from chapar_sourcing.tracing import NO_TRACER, REACT, Span, Tracer, is_followed
from chapar_sourcing.view import View

EVENTS_MAX = 256
"""Events under way; beyond it reading waits."""
ITEMS_MAX = 20_000
"""Commands and advances under way; one event may pass it."""
ARRIVALS_WITHOUT_CURSOR_MAX = 256
BACKOFF_SECONDS_MIN = 0.05
BACKOFF_SECONDS_MAX = 5.0

log = logging.getLogger(__name__)

Reading: TypeAlias = Callable[[Callable[[View], Awaitable[Sequence[Outgoing]]]], Awaitable[Sequence[Outgoing]]]
"""Runs a function on a view and returns its result once what it saw is known to be true."""


@dataclass(slots=True)
class _Pending:
    """An arrival on its way; `items` of it have not arrived yet."""

    arrival: Arrival
    items: int
    carries: int = 0
    """How much was sent with it, as its reaction says."""
    trace_parent: str = ""
    """For what it causes."""
    span: Span | None = None
    """Of an arrival that is traced and causes something; ends once that has arrived."""
    sent: int = 0


class Reactor:
    """One reaction on one source partition."""

    def __init__(
        self, *, reaction: Reaction, service: str, partition: int, partitions: int,
        open_source: Callable[[Cursor | None], EventSource], read: Reading, store: Store, targets: Targets,
        clock: Clock, measures: Measures, tracer: Tracer = NO_TRACER,
    ) -> None:  # fmt: skip
        self.name = f"reactor/{reaction.name}"
        self._reaction = reaction
        self._service = service
        self._partition = partition
        self._partitions = partitions
        self._open_source = open_source
        self._read = read
        self._store = store
        self._targets = targets
        self._clock = clock
        self._measures = measures
        self._tracer = tracer
        self._refused: dict[int, set[Position]] = {}
        """Creations that their targets refused for good: passed over, and named as the previous one by none."""
        self._begin({})

    def _begin(self, cursors: dict[str, Cursor]) -> None:
        """Forgets what is under way and stands where the cursors stand."""
        prefix = f"{self.name}/"
        chains = {int(name.removeprefix(prefix)): c for name, c in cursors.items() if name.startswith(prefix)}
        self._sent = {target: cursor.last for target, cursor in chains.items()}
        """The last creation handed to each lane."""
        base = cursors.get(self.name)
        behind = NOWHERE if base is None else base.position if self._reaction.topic is None else base.last
        kept = {
            target: {place for place in places if place > max(behind, self._sent.get(target, NOWHERE))}
            for target, places in self._refused.items()
        }
        self._refused = {target: places for target, places in kept.items() if places}
        self._arrived: dict[int, Cursor] = {}
        """Cursors of creations that have arrived and are not written yet."""
        self._order: deque[_Pending] = deque()
        self._items = 0
        self._lanes: dict[int, Lane] = {}
        self._moved = Pulse()

    @property
    def items(self) -> int:
        """Commands and advances under way."""
        return self._items

    def age_seconds(self, now_ms: int) -> float:
        """Since when the oldest event that is under way has been in its log; 0 when none is."""
        source = self._order[0].arrival.source if self._order else None
        return 0.0 if source is None else max(0.0, (now_ms - source.time_ms) / 1000)

    def carried(self, now_ms: int, older_seconds: float = 0.0) -> int:
        """How much is under way, in the reaction's own unit, of events that are older than so much."""
        before_ms = now_ms - older_seconds * 1000
        under_way = ((one.carries, one.arrival.source) for one in self._order if one.items)
        return sum(carries for carries, source in under_way if source is not None and source.time_ms <= before_ms)

    async def run(self) -> None:
        """Reacts from the cursors on, until cancelled. Raises `LogDamaged`, `Unavailable`, `ChainBroken`."""
        cursors = dict(await self._store.read_cursors(self._partition))
        self._begin(cursors)
        source = self._open_source(cursors.get(self.name))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write_cursors(), name=f"{self.name}-cursors-{self._partition}")
                await self._feed(source, tasks)
        except BaseExceptionGroup as group:
            expected, others = group.split((LogDamaged, Unavailable, ChainBroken))
            if expected is None or others is not None:
                raise
            raise _worst(expected) from None

    # ---- from events to lanes

    async def _feed(self, source: EventSource, tasks: asyncio.TaskGroup) -> None:
        while True:
            for arrival in await source.next():
                began_ns = self._tracer.now_ns()
                outgoing = await self._react(arrival)
                await self._moved.until(lambda: len(self._order) < EVENTS_MAX and self._items < ITEMS_MAX)
                pending = self._pending(arrival, began_ns) if outgoing else _Pending(arrival, 0)
                self._order.append(pending)
                for ordinal, one in enumerate(outgoing):
                    self._dispatch(pending, ordinal, one, tasks)
                if not pending.items:
                    self._moved.beat()

    def _pending(self, arrival: Arrival, began_ns: int) -> _Pending:
        """An arrival that causes something, with its trace where that is followed."""
        source = arrival.source
        if source is None or not is_followed(source.trace_parent, source.time_ms, self._clock.now_ms()):
            return _Pending(arrival, 0)
        span = self._tracer.begin(
            REACT, source.trace_parent, began_ns=began_ns, partition=self._partition, reaction=self._reaction.name
        )
        parent = source.trace_parent if span is None else span.trace_parent
        return _Pending(arrival, 0, trace_parent=parent, span=span)

    async def _react(self, arrival: Arrival) -> Sequence[Outgoing]:
        """Asks the reaction until it has an answer: an event is never skipped."""
        event, source = arrival.event, arrival.source
        if event is None or source is None:
            return ()
        backoff = BACKOFF_SECONDS_MIN
        while True:
            try:
                outgoing = await self._read(lambda view: self._reaction.react(event, source, view))
                _check_creations(outgoing, self._partitions)
            except (Unavailable, EngineRefused) as error:
                self._measures.count("reactor_waits", reactor=self.name)
                if backoff == BACKOFF_SECONDS_MAX:
                    log.warning("%s waits at %s/%s: %s", self.name, source.topic, source.position, error)
            except Exception:
                self._measures.count("reactor_failures", reactor=self.name)
                log.exception("%s fails at %s/%s", self.name, source.topic, source.position)
            else:
                return outgoing
            await self._clock.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_SECONDS_MAX)

    def _dispatch(self, pending: _Pending, ordinal: int, one: Outgoing, tasks: asyncio.TaskGroup) -> None:
        source = pending.arrival.source
        assert source is not None, "only events cause something"
        target = partition_of_id(one.key, self._partitions)
        chain: Cursor | None = None
        if isinstance(one, Advance):
            parcel: Parcel = peer.Advance(
                key=one.key, row=one.row, fields=one.fields, hint=one.hint, trace_parent=pending.trace_parent
            )
        else:
            if one.creation:
                if source.position <= self._sent.get(target, NOWHERE):
                    return  # the target has it: its cursor says so
                if source.position in self._refused.get(target, ()):
                    return
                chain = self._chain(one, target, source, pending.arrival.hash)
            parcel = self._command(one, ordinal, source, pending.trace_parent)
            pending.carries += one.carries
        pending.items += 1
        pending.sent += 1
        self._items += 1
        refused = None if chain is None else lambda: self._refused.setdefault(target, set()).add(source.position)
        self._lane(target, tasks).put(Item(parcel, lambda: self._done(pending, target, chain), refused))

    def _chain(self, one: Submit, target: int, source: Source, digest: bytes) -> Cursor:
        """Names a creation and the one before it for this target; says where the target's cursor stands after it."""
        creation = journal.Creation(
            source=f"{source.topic}/{self._reaction.name}",
            source_partition=source.partition,
            position=_place(source.position),
        )
        previous = self._sent.get(target, NOWHERE)
        if previous != NOWHERE:
            creation.previous.CopyFrom(_place(previous))
        one.command.creation.CopyFrom(creation)  # type: ignore[attr-defined]
        self._sent[target] = source.position
        return Cursor(source.position, digest, source.position)

    def _command(self, one: Submit, ordinal: int, source: Source, trace_parent: str) -> peer.SubmittedCommand:
        place = (str(source.partition), str(source.position.offset), str(source.position.event_index), str(ordinal))
        return peer.SubmittedCommand(
            request_id=derived_request_id(source.time_ms, self._reaction.name, source.topic, *place),
            source=f"{self._service}/{self._partition}",
            command=one.command.SerializeToString(),
            trace_parent=trace_parent,
        )

    def _lane(self, target: int, tasks: asyncio.TaskGroup) -> Lane:
        lane = self._lanes.get(target)
        if lane is None:
            lane = self._lanes[target] = Lane(
                name=self.name, target=target, targets=self._targets, clock=self._clock, measures=self._measures
            )
            tasks.create_task(lane.run(), name=f"{self.name}-{self._partition}-to-{target}")
        return lane

    # ---- from lanes to cursors

    def _done(self, pending: _Pending, target: int, chain: Cursor | None) -> None:
        pending.items -= 1
        self._items -= 1
        if chain is not None:
            self._arrived[target] = chain
        if not pending.items and pending.span is not None:
            pending.span.end(sent=pending.sent)
        self._moved.beat()

    async def _write_cursors(self) -> None:
        """Writes how far everything has arrived: creations first, then the base."""
        unwritten = 0
        while True:
            await self._moved.until(lambda: bool(self._order) and not self._order[0].items)
            done: Cursor | None = None
            worth = False
            while self._order and not self._order[0].items:
                arrival = self._order.popleft().arrival
                unwritten += 1
                worth = worth or arrival.event is not None
                done = arrival.done or done
            self._moved.beat()
            arrived, self._arrived = self._arrived, {}
            for target, cursor in arrived.items():
                await self._write_cursor(f"{self.name}/{target}", cursor)
            if done is not None and (worth or unwritten >= ARRIVALS_WITHOUT_CURSOR_MAX):
                await self._write_cursor(self.name, done)
                unwritten = 0

    async def _write_cursor(self, name: str, cursor: Cursor) -> None:
        """Writes until it is written: what is on its way meanwhile goes on."""
        backoff = BACKOFF_SECONDS_MIN
        while True:
            try:
                return await self._store.write_cursor(self._partition, name, cursor)
            except Unavailable:
                await self._clock.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_SECONDS_MAX)


def _check_creations(outgoing: Sequence[Outgoing], partitions: int) -> None:
    """An event makes at most one thing at each target partition: its position is what tells creations apart."""
    targets = [partition_of_id(o.key, partitions) for o in outgoing if isinstance(o, Submit) and o.creation]
    if len(set(targets)) != len(targets):
        raise ValueError("a reaction makes two creations of one event at the same partition")


def _worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception that decides what happens next: damage before everything else."""
    damage = group.subgroup(LogDamaged)
    return (damage or group).exceptions[0]


def _place(position: Position) -> journal.SourcePosition:
    return journal.SourcePosition(offset=position.offset, index=position.event_index)
