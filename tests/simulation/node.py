"""A simulated process: a real `Owner`, the shell's duties, a projector."""

from __future__ import annotations

from dataclasses import replace

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key
from chapar_sourcing.owner import (
    Alarm,
    Append,
    Applied,
    Bounds,
    Confirmed,
    Effect,
    Flush,
    Input,
    Load,
    LoadTimers,
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
)
from tests.simulation.desk import Desk
from tests.simulation.loads import Loads
from tests.simulation.model import scope_of
from tests.simulation.playing import Violation
from tests.simulation.process import Process
from tests.simulation.projector import Projector
from tests.simulation.steps import OwnerSteps
from tests.simulation.toy import Registers
from tests.simulation.world import World

READ_RECORDS_MAX = 7
SKEWS_MS = (-20_000, -1_500, 1_500, 20_000)
HEARTBEAT_FRESH_MS = 5_000
CUT_OFF_MS = 7_000
CLOCK_OFF_MS = (300, 3_000)
BOUNDS = Bounds(timers_under_way_max=2, documents_max=4)
"""So small that turns matter, and that documents leave memory all the time."""
TIMERS_PAGE = (1, 2)
"""So small that pages matter, and that not all timers are remembered."""
ANSWERS_MAX = (0, 20)
ENTRIES_MAX = (1, 1_000)


class Node(Process):
    """One process. After a crash it is a new one with nothing but the journal and the store."""

    projector_class = Projector
    loads_class = Loads

    def __init__(self, world: World, name: str, domain: Registers, owner_class: type[Owner] = Owner) -> None:
        super().__init__(world, name)
        self._domain = domain
        self._owner_class = owner_class
        self.desk = Desk(self)
        self.loads = self.loads_class(self)
        self._flush_planned = False
        self._heartbeat_ms = 0
        self._cut_off_until_ms = 0
        self._clock_off_until_ms = 0
        self._off_since: int | None = None
        """The last ticket when the owner was told that its clock is off; None while it is right."""
        self._skew_ms = 0
        self._claims = 0
        self.owner = self._new_owner()
        self.steps = OwnerSteps(name, world.model, -1)

    @property
    def now_ms(self) -> int:
        """What this process takes for the time."""
        return self.world.now_ms + self._skew_ms

    @property
    def decision_ms(self) -> int:
        """The clock that its owner decides by."""
        return max(self.now_ms, self.owner.fold.time_ms)

    # ---- life

    def start(self) -> None:
        """Comes up as a new process."""
        self.begin_life()
        self.desk.clear()
        self._flush_planned = False
        crooked = self.world.faults.happens("crooked_clock")
        self._skew_ms = self.random.choice(SKEWS_MS) if crooked else 0
        self._heartbeat_ms, self._cut_off_until_ms = self.now_ms, 0
        self._clock_off_until_ms, self._off_since = 0, None
        self._claims = 0
        self.loads.begin()
        checkpoint = self.loads.checkpoint()
        self.owner = self._new_owner()
        self.steps = OwnerSteps(self.name, self.world.model, checkpoint.fold.offset if checkpoint else -1)
        self.give(Started(checkpoint))
        self.every(50, self._tick)
        self.every(300, self._beat)
        self.projector_class(self).begin()

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
                timers_page=self.random.choice(TIMERS_PAGE),
                answers_max=self.random.choice(ANSWERS_MAX),
                entries_max=self.random.choice(ENTRIES_MAX),
            ),
        )

    # ---- inputs

    def give(self, given: Input) -> None:
        """Feeds the owner and does what it asks for."""
        evicted = self.owner.eviction.documents_evicted, self.owner.eviction.answers_evicted
        for effect in self.owner.handle(given, self.now_ms):
            self._do(effect)
        self.world.faults.fired["documents_evicted"] += self.owner.eviction.documents_evicted - evicted[0]
        self.world.faults.fired["answers_evicted"] += self.owner.eviction.answers_evicted - evicted[1]
        self.steps.stepped(self.owner)
        if self.owner.waiting < 0:
            raise Violation(f"{self.name} has answered more than it was asked")
        if not self._flush_planned and not isinstance(given, Flush):
            self._flush_planned = True
            self.in_this_life(self.random.randint(0, 3), self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        self.give(Flush())

    def _tick(self) -> None:
        off = self._clock_off_until_ms > self.now_ms
        if off != (self._off_since is not None):
            self._off_since = self.desk.last_ticket if off else None
        self.give(Tick(self._heartbeat_ms, clock_is_off=off))

    def lose_clock(self) -> None:
        """Its clock cannot be believed for a while, as it knows."""
        self._clock_off_until_ms = self.now_ms + self.random.randint(*CLOCK_OFF_MS)
        self._tick()

    def askers_of(self, key: Key) -> int:
        """How many wait for the outcome of a command of this id."""
        return self.desk.askers_of(key)

    def _beat(self) -> None:
        if self.world.faults.happens("clock_off"):
            self.lose_clock()
        if self._cut_off_until_ms > self.now_ms:
            return
        if self.world.faults.happens("cut_off"):
            self._cut_off_until_ms = self.now_ms + CUT_OFF_MS
        else:
            self._heartbeat_ms = self.now_ms

    # ---- effects

    def _do(self, effect: Effect) -> None:
        world = self.world
        match effect:
            case Append():
                self._check_claim()
                self._check_clock(effect)
                world.journal.append(effect, self.of_this_life(self.give))
            case Read():
                self.in_this_life(self.random.randint(1, 5), lambda: self._read(effect))
            case Load():
                self.in_this_life(self.random.randint(1, 30), lambda: self.loads.documents(effect))
            case LoadTimers():
                self.in_this_life(self.random.randint(1, 30), lambda: self.loads.timers(effect))
            case TimerFailed():
                raise Violation(f"{self.name} failed with {effect.timer}: {effect.reason} {effect.bug!r}")
            case Replied():
                self.desk.replied(effect)
            case Confirmed():
                self.desk.confirmed(effect)
            case PhaseChanged(phase=OwnerPhase.DEPOSED):
                self.steps.entered(effect.phase)
                world.note(f"{self.name} deposed")
                self.in_this_life(0, self._give_up)
            case PhaseChanged():
                self.steps.entered(effect.phase)
                world.note(f"{self.name} {effect.phase.value} {effect.epoch}")
            case Applied():
                self.steps.applied(effect)
            case Alarm():
                if not world.damaged:
                    raise Violation(f"{self.name} raised an alarm: {effect.reason}")
                world.note(f"{self.name} raises an alarm: {effect.reason}")

    @property
    def rests(self) -> bool:
        """Whether everybody was told, and nothing is waited for."""
        waits = self.owner.eviction.floor() != self.owner.confirmed_checkpoint
        return self.desk.empty and not waits

    def _give_up(self) -> None:
        """Another owns: whoever waited has been told so."""
        if self.desk.askers:
            raise Violation(f"{self.name} was deposed and told {len(self.desk.askers)} commands nothing")
        self.crash()

    def _check_claim(self) -> None:
        """A process that claims again, in doubt, has heard from the world lately."""
        if self.owner.phase is not OwnerPhase.CLAIMING:
            return
        self._claims += 1
        silent_ms = self.now_ms - self._heartbeat_ms
        if self._claims > 1 and silent_ms > HEARTBEAT_FRESH_MS:
            raise Violation(f"{self.name} claims again and was cut off for {silent_ms} ms")

    def _check_clock(self, effect: Append) -> None:
        """By a clock that is off nothing is claimed, and nothing decided that was asked since it is."""
        if self._off_since is None:
            return
        if self.owner.phase is OwnerPhase.CLAIMING:
            raise Violation(f"{self.name} claims by a clock that is off")
        asked = self.desk.asked_until(self._off_since)
        for entry in journal.Record.FromString(effect.data).block.entries:
            if entry.actor.WhichOneof("kind") != "system" and (scope_of(entry.actor), entry.request_id) not in asked:
                raise Violation(f"{self.name} decides {entry.request_id.hex()} by a clock that is off")

    def _read(self, effect: Read) -> None:
        if self.world.journal.down or self.world.faults.happens("read_fails"):
            self.give(ReadFailed(effect.read_id))
            return
        if effect.from_offset > self.world.journal.end:
            self.give(ReadFailed(effect.read_id, out_of_range=True))
            return
        records, at_end = self.world.journal.read(effect.from_offset, READ_RECORDS_MAX)
        self.in_this_life(self.random.randint(0, 10), lambda: self.give(RecordsRead(effect.read_id, records, at_end)))
