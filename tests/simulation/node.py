"""A simulated process: a real `Owner`, the shell's duties, a projector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from google.protobuf.wrappers_pb2 import StringValue

from chapar_sourcing.domain import Document, Key, Stored, decode
from chapar_sourcing.owner import (
    Alarm,
    Append,
    Applied,
    Bounds,
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
from tests.simulation.model import scope_of
from tests.simulation.playing import Violation
from tests.simulation.process import Process
from tests.simulation.projector import Projector
from tests.simulation.steps import OwnerSteps
from tests.simulation.toy import Registers
from tests.simulation.world import World

Tell = Callable[[Outcome], None]
READ_RECORDS_MAX = 7
SKEWS_MS = (-20_000, -1_500, 1_500, 20_000)
HEARTBEAT_FRESH_MS = 5_000
CUT_OFF_MS = 7_000
BOUNDS = Bounds(timers_under_way_max=2, documents_max=4)
"""So small that turns matter, and that documents leave memory all the time."""
TIMERS_PAGE = (1, 2)
"""So small that pages matter, and that not all timers are remembered."""
ANSWERS_MAX = (0, 20)
ENTRIES_MAX = (1, 1_000)
STALLS_MS = (100, 1_000, 3_000)


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who waits for the outcome of a command that came when the log reached up to `since`."""

    command: Command
    since: int
    tell: Tell


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who waits to be told that what was read is true; `tell` hears whether it is."""

    tell: Callable[[bool], None]


class Node(Process):
    """One process. After a crash it is a new one with nothing but the journal and the store."""

    projector_class = Projector

    def __init__(self, world: World, name: str, domain: Registers, owner_class: type[Owner] = Owner) -> None:
        super().__init__(world, name)
        self._domain = domain
        self._owner_class = owner_class
        self._next_ticket = 0
        self._askers: dict[int, Asker] = {}
        self._readers: dict[int, Reader] = {}
        self._flush_planned = False
        self._heartbeat_ms = 0
        self._cut_off_until_ms = 0
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
        self._askers.clear()
        self._readers.clear()
        self._flush_planned = False
        crooked = self.world.faults.happens("crooked_clock")
        self._skew_ms = self.random.choice(SKEWS_MS) if crooked else 0
        self._heartbeat_ms, self._cut_off_until_ms = self.now_ms, 0
        self._claims = 0
        checkpoint = self.world.store.checkpoint_of(self._writes_behind())
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
            made = command(self._next_ticket, self.now_ms)
            self._askers[self._next_ticket] = Asker(made, self.world.model.last_offset, tell)
            self.give(CommandReceived(made))

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
            since = self.world.model.last_offset
            pin = ExitStack()
            pin.enter_context(self.owner.pinned())
            found = self._stored([key], self.owner.confirmed_checkpoint)
            if found is None:
                pin.close()
                return
            self.in_this_life(self._load_ms(30), lambda: self._merge(key, found.get(key), since, tell, pin))

        self.world.soon(0, 5, arrive, self.random)

    def _merge(
        self,
        key: Key,
        stored: Stored | None,
        since: int,
        tell: Callable[[Document | None, bool], None],
        pin: ExitStack,
    ) -> None:
        """Memory is looked at after the store, and wins."""
        known, document = self.owner.peek(key)
        pin.close()
        if not known and stored is not None and stored.data is not None:
            document = decode(self._domain.documents, key, stored.data)

        def confirmed(valid: bool) -> None:
            if valid:
                self.steps.read(key, document, since)
            tell(document, valid)

        self._next_ticket += 1
        self._readers[self._next_ticket] = Reader(confirmed)
        self.give(ConfirmRequested(self._next_ticket, append=True))

    def _stored(self, keys: Sequence[Key], at_least: int) -> Mapping[Key, Stored] | None:
        """What the server of the store that answers has; None when it is behind."""
        return self.world.store.load(keys, at_least, self._writes_behind())

    def _writes_behind(self) -> int:
        """How far the server of the store that answers is behind."""
        return self.random.randint(1, 60) if self.world.faults.happens("server_behind") else 0

    # ---- effects

    def _do(self, effect: Effect) -> None:
        world = self.world
        match effect:
            case Append():
                self._check_claim()
                world.journal.append(effect, self.of_this_life(self.give))
            case Read():
                self.in_this_life(self.random.randint(1, 5), lambda: self._read(effect))
            case Load():
                self.in_this_life(self.random.randint(1, 30), lambda: self._load(effect))
            case LoadTimers():
                self.in_this_life(self.random.randint(1, 30), lambda: self._load_timers(effect))
            case TimerFailed():
                raise Violation(f"{self.name} failed with {effect.timer}: {effect.reason} {effect.bug!r}")
            case Replied():
                self._replied(effect)
            case Confirmed():
                self._confirmed(effect)
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
        return not self._askers and not self._readers and not waits

    def _give_up(self) -> None:
        """Another owns: whoever waited has been told so."""
        if self._askers:
            raise Violation(f"{self.name} was deposed and told {len(self._askers)} commands nothing")
        self.crash()

    def _check_claim(self) -> None:
        """A process that claims again, in doubt, has heard from the world lately."""
        if self.owner.phase is not OwnerPhase.CLAIMING:
            return
        self._claims += 1
        silent_ms = self.now_ms - self._heartbeat_ms
        if self._claims > 1 and silent_ms > HEARTBEAT_FRESH_MS:
            raise Violation(f"{self.name} claims again and was cut off for {silent_ms} ms")

    def _read(self, effect: Read) -> None:
        if self.world.journal.down or self.world.faults.happens("read_fails"):
            self.give(ReadFailed(effect.read_id))
            return
        if effect.from_offset > self.world.journal.end:
            self.give(ReadFailed(effect.read_id, out_of_range=True))
            return
        records, at_end = self.world.journal.read(effect.from_offset, READ_RECORDS_MAX)
        self.in_this_life(self.random.randint(0, 10), lambda: self.give(RecordsRead(effect.read_id, records, at_end)))

    def _load(self, effect: Load) -> None:
        if self.world.faults.happens("load_fails"):
            self.give(LoadFailed(effect.load_id))
            return
        found = self._stored(effect.keys, effect.at_least)
        if found is None:
            self.give(LoadFailed(effect.load_id))
            return
        self.in_this_life(self._load_ms(60), lambda: self.give(DocumentsLoaded(effect.load_id, found)))

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
        self.in_this_life(self._load_ms(60), lambda: self.give(answer))

    def _replied(self, effect: Replied) -> None:
        asker, outcome = self._askers.pop(effect.ticket), effect.outcome
        if outcome.bug is not None:
            raise Violation(f"the domain failed: {outcome.bug!r}") from outcome.bug
        command = asker.command
        self.steps.replied(outcome, scope_of(command.actor), command.request_id)

        def tell() -> None:
            if outcome.entry is None:
                assert isinstance(command.body, StringValue), "clients' commands are of the toy"
                self.steps.refused(command.body, outcome, asker.since)
            asker.tell(outcome)

        if not effect.needs_confirmation:
            tell()
            return
        self._next_ticket += 1
        ticket = self._next_ticket
        not_owner = Outcome(reason="REASON_NOT_OWNER")
        self._readers[ticket] = Reader(lambda valid: tell() if valid else asker.tell(not_owner))
        self.in_this_life(0, lambda: self.give(ConfirmRequested(ticket, append=True)))

    def _confirmed(self, effect: Confirmed) -> None:
        self._readers.pop(effect.ticket).tell(effect.valid)
