"""A simulated process: a real `Owner`, the shell's duties, a projector. It can crash, sleep and wake."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from chapar_sourcing.domain import Document, Key, Stored, decode
from chapar_sourcing.owner import (
    Alarm,
    Append,
    Applied,
    Bounds,
    CheckpointConfirmed,
    Command,
    CommandReceived,
    Confirmed,
    ConfirmRequested,
    DocumentsLoaded,
    Effect,
    Flush,
    Input,
    Load,
    LoadFailed,
    LoadTimers,
    LoadTimersFailed,
    Outcome,
    Owner,
    OwnerPhase,
    PhaseChanged,
    Read,
    ReadFailed,
    RecordsRead,
    Replied,
    Started,
    Tick,
    TimerFailed,
    TimersLoaded,
)
from chapar_sourcing.ports import DocumentWrite
from tests.simulation.playing import Violation
from tests.simulation.toy import Registers
from tests.simulation.world import World

Tell = Callable[[Outcome], None]
READ_RECORDS_MAX = 7
SKEWS_MS = (-20_000, -1_500, 1_500, 20_000)
HEARTBEAT_FRESH_MS = 5_000
CUT_OFF_MS = 7_000
BOUNDS = Bounds(timers_page=2, timers_under_way_max=2, documents_max=4)
"""So small that pages, and turns, matter, and that documents leave memory all the time."""
ANSWERS_MAX = (0, 20)
ENTRIES_MAX = (1, 1_000)
RESTS_MS = (100, 1_500)
STALLS_MS = (100, 300, 1_000, 3_000)


@dataclass(slots=True)
class Reader:
    """Somebody who has read a register and waits to be told that it was true."""

    document: Document | None
    tell: Callable[[Document | None, bool], None]


class Node:
    """One process. After a crash it is a new one with nothing but the journal and the store."""

    def __init__(self, world: World, name: str, domain: Registers, owner_class: type[Owner] = Owner) -> None:
        self.world = world
        self.name = name
        self._domain = domain
        self._owner_class = owner_class
        self.up = False
        self.paused = False
        self._life = 0
        self.random = world.stream(name)
        self._held: list[Callable[[], None]] = []
        self._next_ticket = 0
        self._tells: dict[int, Tell] = {}
        self._readers: dict[int, Reader] = {}
        self._flush_planned = False
        self._projecting = False
        self._heartbeat_ms = 0
        self._cut_off_until_ms = 0
        self._rests_until_ms = 0
        self._skew_ms = 0
        self._claims = 0
        self.applied: list[Applied] = []
        """The blocks that this life was told of."""
        self.applied_from = -1
        """Offset of the checkpoint that this life began at."""
        self.owner = self._new_owner()

    @property
    def now_ms(self) -> int:
        """What this process takes for the time."""
        return self.world.now_ms + self._skew_ms

    # ---- life

    def start(self) -> None:
        """Comes up as a new process."""
        self._life += 1
        self.random = self.world.stream(f"{self.name}/{self._life}")
        self.up, self.paused = True, False
        self._held.clear()
        self._tells.clear()
        self._readers.clear()
        self._flush_planned = self._projecting = False
        crooked = self.world.faults.happens("crooked_clock")
        self._skew_ms = self.random.choice(SKEWS_MS) if crooked else 0
        self._heartbeat_ms, self._cut_off_until_ms, self._rests_until_ms = self.now_ms, 0, 0
        self._claims = 0
        checkpoint = self.world.store.checkpoint_of(self._writes_behind())
        self.applied, self.applied_from = [], checkpoint.fold.offset if checkpoint else -1
        self.owner = self._new_owner()
        self.world.note(f"{self.name} starts")
        self.give(Started(checkpoint))
        self._every(50, self._tick)
        self._every(300, self._beat)
        self._every(40, self._project)

    def crash(self) -> None:
        """Is gone at once."""
        self.up = False
        self._life += 1
        self.world.note(f"{self.name} crashes")

    def pause(self, for_ms: int) -> None:
        """Sleeps; what arrives meanwhile waits."""
        self.paused = True
        self.world.note(f"{self.name} sleeps")
        self._in_this_life(for_ms, self.resume)

    def resume(self) -> None:
        """Wakes and takes in what has arrived."""
        self.paused = False
        self.world.note(f"{self.name} wakes")
        held, self._held = self._held, []
        for act in held:
            act()

    def _new_owner(self) -> Owner:
        return self._owner_class(
            domain=self._domain,
            partition=0,
            journal_id="simulated",
            generation=1,
            address=self.name,
            new_writer=lambda: self.random.randbytes(16),
            bounds=replace(
                BOUNDS,
                answers_max=self.random.choice(ANSWERS_MAX),
                entries_max=self.random.choice(ENTRIES_MAX),
            ),
        )

    def _every(self, period_ms: int, act: Callable[[], None]) -> None:
        def again() -> None:
            act()
            self._in_this_life(period_ms, again)

        self._in_this_life(period_ms, again)

    def _in_this_life(self, delay_ms: int, act: Callable[[], None]) -> None:
        life = self._life
        awake = act == self.resume

        def later() -> None:
            if life != self._life:
                return
            if self.paused and not awake:
                self._held.append(later)
            else:
                act()

        self.world.after(delay_ms, later)

    # ---- inputs

    def give(self, given: Input) -> None:
        """Feeds the owner and does what it asks for."""
        evicted = self.owner.eviction.documents_evicted, self.owner.eviction.answers_evicted
        for effect in self.owner.handle(given, self.now_ms):
            self._do(effect)
        self.world.faults.fired["documents_evicted"] += self.owner.eviction.documents_evicted - evicted[0]
        self.world.faults.fired["answers_evicted"] += self.owner.eviction.answers_evicted - evicted[1]
        if self.owner.waiting < 0:
            raise Violation(f"{self.name} has answered more than it was asked")
        if not self._flush_planned and not isinstance(given, Flush):
            self._flush_planned = True
            self._in_this_life(self.random.randint(0, 3), self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        self.give(Flush())

    def _tick(self) -> None:
        self.give(Tick(self._heartbeat_ms))

    def _beat(self) -> None:
        if self._cut_off_until_ms > self.now_ms:
            return
        if self.world.faults.happens("cut_off"):
            self._cut_off_until_ms = self.now_ms + CUT_OFF_MS
        else:
            self._heartbeat_ms = self.now_ms

    def submit(self, command: Callable[[int, int], Command], tell: Tell) -> None:
        """A client's command, made for a ticket and the time here; `tell` hears the outcome, unless the process is
        gone by then."""
        life = self._life

        def arrive() -> None:
            if life != self._life or not self.up:
                return
            if self.paused:
                self._held.append(arrive)
                return
            self._next_ticket += 1
            self._tells[self._next_ticket] = tell
            self.give(CommandReceived(command(self._next_ticket, self.now_ms)))

        self.world.soon(0, 5, arrive, self.random)

    def read(self, key: Key, tell: Callable[[Document | None, bool], None]) -> None:
        """A client's query: `tell` hears the document and whether it may be believed."""
        life = self._life

        def arrive() -> None:
            if life != self._life or not self.up or self.owner.phase is not OwnerPhase.OWNING:
                return
            if self.paused:
                self._held.append(arrive)
                return
            pin = ExitStack()
            pin.enter_context(self.owner.pinned())
            found = self.world.store.load([key], self.owner.confirmed_checkpoint, self._writes_behind())
            if found is None:
                pin.close()
                return
            self._in_this_life(self._load_ms(30), lambda: self._merge(key, found.get(key), tell, pin))

        self.world.soon(0, 5, arrive, self.random)

    def _merge(
        self, key: Key, stored: Stored | None, tell: Callable[[Document | None, bool], None], pin: ExitStack
    ) -> None:
        """Memory is looked at after the store, and wins."""
        known, document = self.owner.peek(key)
        pin.close()
        if not known and stored is not None and stored.data is not None:
            document = decode(self._domain.documents, key, stored.data)
        self._next_ticket += 1
        self._readers[self._next_ticket] = Reader(document, tell)
        self.give(ConfirmRequested(self._next_ticket, append=True))

    def _writes_behind(self) -> int:
        """How far the server of the store that answers is behind."""
        return self.random.randint(1, 60) if self.world.faults.happens("server_behind") else 0

    # ---- effects

    def _do(self, effect: Effect) -> None:
        world = self.world
        match effect:
            case Append():
                self._check_claim()
                world.journal.append(effect, self._delivery())
            case Read():
                self._in_this_life(self.random.randint(1, 5), lambda: self._read(effect))
            case Load():
                self._in_this_life(self.random.randint(1, 30), lambda: self._load(effect))
            case LoadTimers():
                self._in_this_life(self.random.randint(1, 30), lambda: self._load_timers(effect))
            case TimerFailed():
                raise Violation(f"{self.name} failed with {effect.timer}: {effect.reason} {effect.bug!r}")
            case Replied():
                self._replied(effect)
            case Confirmed():
                self._confirmed(effect)
            case PhaseChanged(phase=OwnerPhase.DEPOSED):
                world.note(f"{self.name} deposed")
                self._in_this_life(0, self.crash)
            case PhaseChanged():
                world.note(f"{self.name} {effect.phase.value} {effect.epoch}")
            case Applied():
                if self.applied and self.applied[-1].offset >= effect.offset:
                    raise Violation(f"{self.name} tells of offset {effect.offset} after {self.applied[-1].offset}")
                self.applied.append(effect)
            case Alarm():
                raise Violation(f"{self.name} raised an alarm: {effect.reason}")

    def _check_claim(self) -> None:
        """A process that claims again, in doubt, has heard from the world lately."""
        if self.owner.phase is not OwnerPhase.CLAIMING:
            return
        self._claims += 1
        silent_ms = self.now_ms - self._heartbeat_ms
        if self._claims > 1 and silent_ms > HEARTBEAT_FRESH_MS:
            raise Violation(f"{self.name} claims again and was cut off for {silent_ms} ms")

    def _delivery(self) -> Callable[[Input], None]:
        """How an answer reaches this life of the process, and no later one."""
        life = self._life

        def deliver(given: Input) -> None:
            if life != self._life:
                return
            if self.paused:
                self._held.append(lambda: deliver(given))
            else:
                self.give(given)

        return deliver

    def _read(self, effect: Read) -> None:
        if self.world.faults.happens("read_fails"):
            self.give(ReadFailed(effect.read_id))
            return
        records, at_end = self.world.journal.read(effect.from_offset, READ_RECORDS_MAX)
        self._in_this_life(self.random.randint(0, 10), lambda: self.give(RecordsRead(effect.read_id, records, at_end)))

    def _load(self, effect: Load) -> None:
        if self.world.faults.happens("load_fails"):
            self.give(LoadFailed(effect.load_id))
            return
        found = self.world.store.load(effect.keys, effect.at_least, self._writes_behind())
        if found is None:
            self.give(LoadFailed(effect.load_id))
            return
        self._in_this_life(self._load_ms(60), lambda: self.give(DocumentsLoaded(effect.load_id, found)))

    def _load_ms(self, most_ms: int) -> int:
        """How long an answer of the store is under way."""
        stalls_ms = self.random.choice(STALLS_MS) if self.world.faults.happens("load_stalls") else 0
        return stalls_ms + self.random.randint(0, most_ms)

    def _load_timers(self, effect: LoadTimers) -> None:
        if self.world.faults.happens("load_fails"):
            self.give(LoadTimersFailed(effect.load_id))
            return
        found = self.world.store.timers(effect.after, effect.limit, effect.at_least, self._writes_behind())
        answer = LoadTimersFailed(effect.load_id) if found is None else TimersLoaded(effect.load_id, found)
        self._in_this_life(self._load_ms(60), lambda: self.give(answer))

    def _replied(self, effect: Replied) -> None:
        tell = self._tells.pop(effect.ticket)
        if effect.outcome.bug is not None:
            raise Violation(f"the domain failed: {effect.outcome.bug!r}") from effect.outcome.bug
        if not effect.needs_confirmation:
            tell(effect.outcome)
            return
        self._next_ticket += 1
        ticket = self._next_ticket

        def confirmed(_: Document | None, valid: bool) -> None:
            tell(effect.outcome if valid else Outcome(reason="REASON_NOT_OWNER"))

        self._readers[ticket] = Reader(None, confirmed)
        self._in_this_life(0, lambda: self.give(ConfirmRequested(ticket, append=True)))

    def _confirmed(self, effect: Confirmed) -> None:
        reader = self._readers.pop(effect.ticket)
        reader.tell(reader.document, effect.valid)

    # ---- projector

    def _project(self) -> None:
        if self._projecting or self.owner.phase in (OwnerPhase.STARTING, OwnerPhase.ALARMED):
            return
        if self._rests_until_ms > self.now_ms:
            return
        if self.world.faults.happens("projector_rests"):
            self._rests_until_ms = self.now_ms + self.random.randint(*RESTS_MS)
            return
        batch = self.owner.take_projection(self.random.choice((3, 1_000)))
        if batch is None:
            return
        self._projecting = True
        self._write(list(batch.documents), lambda: self._checkpoint(batch.checkpoint.fold.offset))

    def _write(self, writes: list[DocumentWrite], done: Callable[[], None]) -> None:
        """Writes document by document, so that a crash finds it half done."""
        if not writes:
            done()
            return
        if self.world.faults.happens("projector_stops"):
            self._in_this_life(500, lambda: self._write(writes, done))
            return
        self.world.store.write(writes[:1])
        self._in_this_life(self.random.randint(0, 2), lambda: self._write(writes[1:], done))

    def _checkpoint(self, offset: int) -> None:
        batch = self.owner.take_projection(1_000)
        assert batch is not None, "a batch stays until it is confirmed"
        self.world.store.write_checkpoint(batch.checkpoint)
        self._projecting = False
        self.give(CheckpointConfirmed(offset))
