"""Runs one partition's owner on asyncio: inputs in, effects done.

Flows in: requests, confirmations, answers of the journal and the store. Flows out: outcomes to whoever waits, applied
blocks to `on_applied`. Decisions are the owner's alone; here is only waiting, and the bounds of waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from chapar_sourcing.admission import Admission
from chapar_sourcing.ahead import Ahead
from chapar_sourcing.clock import OwnerClock
from chapar_sourcing.errands import Errands
from chapar_sourcing.heartbeat import FRESH_MS, Heartbeat
from chapar_sourcing.hosting import ReadPolicy, Request
from chapar_sourcing.measures import Measures
from chapar_sourcing.owner import (
    Alarm,
    AlarmRaised,
    Append,
    AppendFailed,
    Applied,
    Command,
    CommandReceived,
    Confirmed,
    ConfirmRequested,
    Effect,
    Flush,
    HeartbeatLapsed,
    Input,
    Load,
    LoadTimers,
    Outcome,
    Owner,
    OwnerPhase,
    PhaseChanged,
    Read,
    Replied,
    Started,
    Tick,
    TimerFailed,
)
from chapar_sourcing.ports import Checkpoint, Journal, Store, Unavailable
from chapar_sourcing.pulse import Pulse
from chapar_sourcing.refusing import (
    LOG_DAMAGED,
    NOT_OWNER,
    OUTCOME_UNKNOWN,
    OVERLOADED,
    UNAVAILABLE,
    EngineRefused,
)
from chapar_sourcing.tickets import Tickets

TURN_INPUTS_MAX = 256
"""Inputs taken in before what has gathered is sent and others get their turn."""
RETRY_SECONDS = 0.2
COMPARE_CLOCKS_MS = 1_000
_NOBODY = 0
"""A ticket that nobody has."""


class OwnerShell:
    """Feeds one owner."""

    def __init__(
        self, *, owner: Owner, partition: int, ahead: Ahead, journal: Journal, store: Store,
        clock: OwnerClock, heartbeat: Heartbeat, read_policy: ReadPolicy, measures: Measures,
        may_claim: Callable[[int, bool], Awaitable[None]], on_started: Callable[[Checkpoint | None], None],
        on_applied: Callable[[Applied], None], on_phase: Callable[[PhaseChanged], None], waiting_max: int = 4_000,
        now_ns: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        """`may_claim` is given the epoch of the last claim folded, and whether this owner has not owned yet; it returns
        as soon as a claim over that may be sent. `now_ns` is the time that traces are told in."""
        self.owner = owner
        self.partition = partition
        self.alarm = ""
        """Why nothing is decided any more; empty when all is well."""
        self.edition: int | None = None
        """The store's edition whose checkpoint it began with."""
        self.phase_changed = Pulse()
        self.applied = Pulse()
        self._store = store
        self._errands = Errands(partition, journal, store, ahead, clock, measures)
        self._clock = clock
        self._heartbeat = heartbeat
        self._read_policy = read_policy
        self._may_claim = may_claim
        self._owned_from = 0
        """The epoch by which it owned first; 0 before."""
        self._measures = measures
        self._on_started = on_started
        self._on_applied = on_applied
        self._on_phase = on_phase
        self._waiting_max = waiting_max
        self._inbox: deque[Input] = deque()
        self._taken = 0
        self._time_passed = self._told_off = False
        """Whether the owner is to be told that time has passed, and whether it was told that the clock is off."""
        self._compared_ms = 0
        """When a block was asked for whose acknowledgement tells whether the clock is still off."""
        self._admission = Admission(owner.bounds.entries_max)
        self._now_ns = now_ns
        self.appended_ns = (0, 0)
        """When the latest append began and ended: of what is being applied, but where its fate was unknown first."""
        self._wake = asyncio.Event()
        self._replies: Tickets[Replied | None] = Tickets()
        self._confirms: Tickets[bool] = Tickets()
        self._handled = Pulse()
        self._claiming_lapses = self._claimed_lapses = 0
        """Lapses of the heartbeat when the latest claim was sent, and when that which it owns by was."""
        self._claiming_s = self._claimed_s = 0.0
        """When they were, by the monotonic clock."""
        self._announced_s: float | None = None
        """When all others could know that it owns; None before."""
        self._taking = True
        self._stopped = False
        """Nobody feeds the owner any more: what it holds grows old."""
        self._tasks: asyncio.TaskGroup | None = None

    # ---- what others ask

    @property
    def owning(self) -> bool:
        """Whether this owner decides, as far as it knows."""
        return self.owner.phase is OwnerPhase.OWNING and not self._stopped

    @property
    def ended(self) -> bool:
        """Whether this owner will never decide again."""
        return self.owner.ended or self._stopped

    @property
    def records_read(self) -> int:
        """How many records of the log were read for this owner."""
        return self._errands.records_read

    @property
    def confirmed_by_heartbeat(self) -> bool:
        """Whether an own heartbeat is fresh, and was never out since this owner claimed, and others know of it."""
        return self._heartbeat.is_fresh and self._is_known

    @property
    def _claimed_since_lapse(self) -> bool:
        """Whether no other can have been right to claim since this owner did: its heartbeat was never out, and it was
        announced before anybody took its claim for a dead one's, of which nobody says a word for five beats."""
        in_time = self._announced_s is None or (self._announced_s - self._claimed_s) * 1000 <= FRESH_MS
        return self.owning and self._heartbeat.lapses == self._claimed_lapses and in_time

    @property
    def _is_known(self) -> bool:
        return self._announced_s is not None and self._claimed_since_lapse

    @property
    def needs_tick(self) -> bool:
        """Whether something waits for time to pass."""
        if self.ended:
            return False
        owner = self.owner
        busy = not self.owning or owner.undurable or owner.waiting > 0 or owner.eviction.crowded
        return busy or self.clock_is_off or (self._taking and self._timer_is_due())

    @property
    def clock_is_off(self) -> bool:
        """Whether nothing is decided because the clock cannot be believed."""
        return self._clock.off_ms != 0

    def tick(self) -> None:
        """Tells the owner that time has passed."""
        self._time_passed = True
        self._wake.set()
        now_ms = self._clock.now_ms()
        if self.clock_is_off and self.owning and now_ms >= self._compared_ms + COMPARE_CLOCKS_MS:
            self._compared_ms = now_ms
            self._put(ConfirmRequested(_NOBODY, append=True))

    def _timer_is_due(self) -> bool:
        next_ms = self.owner.next_timer_ms
        return next_ms is not None and next_ms <= max(self._clock.now_ms(), self.owner.fold.time_ms)

    async def submit(self, request: Request) -> Outcome:
        """Has a command decided; the outcome is durable and confirmed when this returns.

        Reasons of the engine: `OVERLOADED`, `UNAVAILABLE` while shutting down or while the clock is off,
        `DEADLINE_PASSED` before a decision, `OUTCOME_UNKNOWN` after it, `NOT_OWNER`, `LOG_DAMAGED`, `SEALED_TOO_EARLY`
        where it is to be made again. Raises what the domain raised, where it failed.
        """
        if self.alarm or not self._taking or self.clock_is_off:
            return Outcome(reason=LOG_DAMAGED if self.alarm else UNAVAILABLE)
        if len(self._replies) >= self._waiting_max:
            self._measures.count("commands_overloaded")
            return Outcome(reason=OVERLOADED)
        if self._is_too_late(request.deadline_ms):
            self._measures.count("commands_too_late")
            return Outcome(reason=OVERLOADED)
        replied = await self._ask(request)
        if replied is None:
            return Outcome(reason=OUTCOME_UNKNOWN)
        if replied.outcome.bug is not None:
            raise replied.outcome.bug
        if replied.needs_confirmation:
            try:
                confirmed = await self.confirm(request.deadline_ms)
            except EngineRefused as refused:
                return Outcome(reason=refused.reason)
            if not confirmed:
                return Outcome(reason=NOT_OWNER)
        return replied.outcome

    def _is_too_late(self, deadline_ms: int) -> bool:
        """Whether a command would not make its deadline, as things have gone lately: it is refused before it costs
        anything. One that has passed its deadline already is told so by the owner."""
        now_ms = self._clock.now_ms()
        if not self.owning or deadline_ms <= now_ms:
            return False
        return now_ms + self._admission.expected_ms(self.owner.waiting + len(self._inbox), now_ms) > deadline_ms

    async def _ask(self, request: Request) -> Replied | None:
        ticket = self._replies.take()
        self._put(
            CommandReceived(
                Command(
                    ticket=ticket,
                    actor=request.actor,
                    request_id=request.request_id,
                    content_hash=request.content_hash,
                    content_key_id=request.content_key_id,
                    body=request.body,
                    deadline_ms=request.deadline_ms,
                    trace_parent=request.trace_parent,
                    sealed_until_ms=request.sealed_until_ms,
                )
            )
        )
        seconds = self._seconds_until(request.deadline_ms) + 0.1
        # In place of `asyncio.timeout`, which costs a command three times as much.
        late = asyncio.get_running_loop().call_later(seconds, self._replies.tell, ticket, None)
        try:
            return await self._replies.wait(ticket)
        finally:
            late.cancel()

    async def confirm(self, deadline_ms: int) -> bool:
        """Whether everything read so far is durable and this owner still is one, as the read policy wants it known.

        False: it was undone, or another owns; read again. Raises `EngineRefused` when it cannot be known in time.
        """
        if self.alarm:
            raise EngineRefused(LOG_DAMAGED)
        try:
            async with asyncio.timeout(self._seconds_until(deadline_ms)):
                if self._read_policy == "append":
                    return await self._confirm_by_owner(append=True)
                epoch = self.owner.epoch
                if not await self._read_is_durable():
                    return False
                await self._heartbeat.wait_fresh()
                while not (self.ended or self._is_known):
                    changed = self.phase_changed.wait()
                    self.claim_after_lapse()
                    await changed
                return self.owning and self.owner.epoch == epoch
        except TimeoutError:
            raise EngineRefused(UNAVAILABLE) from None

    def announced(self, epoch: int) -> None:
        """All others can read by now that this process owns by its claim of an epoch, and go by its beats from then on,
        whatever it claims over that itself."""
        if self._announced_s is None and 0 < self._owned_from <= epoch:
            self._announced_s = self._clock.monotonic()
            self.phase_changed.beat()

    def doubt(self) -> None:
        """Has an owner read on and claim anew: somebody says that another owns the partition."""
        self._put(HeartbeatLapsed())

    def claim_after_lapse(self) -> None:
        """Has an owner claim anew whose heartbeat is fresh again and lapsed since its claim. Asked for by whoever needs
        it confirmed: partitions that nobody needs let the lapse be."""
        if self.owning and self._heartbeat.is_fresh and not self._claimed_since_lapse:
            self._put(HeartbeatLapsed())

    async def confirm_durable(self, deadline_ms: int) -> bool:
        """Whether everything read so far is durable, whoever owns by now; False: it was undone.

        Enough for reactors: what they do follows from the log. Raises `EngineRefused` when it cannot be known in time.
        """
        if self.alarm:
            raise EngineRefused(LOG_DAMAGED)
        try:
            async with asyncio.timeout(self._seconds_until(deadline_ms)):
                return await self._read_is_durable()
        except TimeoutError:
            raise EngineRefused(UNAVAILABLE) from None

    async def _read_is_durable(self) -> bool:
        return (self.owning and not self.owner.undurable) or await self._confirm_by_owner(append=False)

    async def _confirm_by_owner(self, *, append: bool) -> bool:
        if len(self._confirms) >= self._waiting_max:
            self._measures.count("confirmations_overloaded")
            raise EngineRefused(OVERLOADED)
        ticket = self._confirms.take()
        self._put(ConfirmRequested(ticket, append))
        return await self._confirms.wait(ticket)

    async def wait_owning(self, deadline_ms: int) -> None:
        """Returns when this owner decides. Raises `EngineRefused` when it never will, or not in time."""
        try:
            async with asyncio.timeout(self._seconds_until(deadline_ms)):
                await self.phase_changed.until(lambda: self.owning or self.ended)
        except TimeoutError:
            raise EngineRefused(UNAVAILABLE) from None
        if self.owner.ended:
            raise EngineRefused(LOG_DAMAGED if self.owner.phase is OwnerPhase.ALARMED else NOT_OWNER)
        if self._stopped:
            raise EngineRefused(UNAVAILABLE)

    async def durable(self) -> None:
        """Returns when memory shows nothing that is not durable; true until the caller waits again."""
        await self._handled.until(lambda: self.owning and not self.owner.undurable)

    async def tell(self, given: Input) -> None:
        """Gives the owner an input and returns once it was taken in."""
        number = self._put(given)
        await self._handled.until(lambda: self._taken >= number)

    def raise_alarm(self, reason: str) -> None:
        """The log or the store cannot be trusted: nothing more is decided, what waits and what is due included."""
        if not self.alarm:
            self.alarm = reason
            self._put(AlarmRaised(reason))

    async def drain(self) -> None:
        """Takes no more commands and returns when all that was taken is durable or refused."""
        self._taking = False
        await self._handled.until(
            lambda: self._replies.all_told and not (self.owning and self.owner.undurable) and not self._inbox
        )

    # ---- the loop

    async def run(self) -> None:
        """Runs the owner until cancelled; whoever still waits then is told that nothing is known."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                checkpoint = await self._checkpoint()
                self._on_started(checkpoint)
                self._put(Started(checkpoint))
                while True:
                    await self._wake.wait()
                    self._turn()
                    await asyncio.sleep(0)
        finally:
            self._taking, self._stopped = False, True
            self._replies.tell_all(None)
            self._confirms.tell_all(False)
            self.phase_changed.beat()

    async def _checkpoint(self) -> Checkpoint | None:
        while True:
            try:
                self.edition = (await self._store.editions(self.partition)).live
                return await self._store.at(self.edition).read_checkpoint(self.partition)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)

    def _put(self, given: Input) -> int:
        """Queues an input and says its number."""
        self._inbox.append(given)
        self._wake.set()
        return self._taken + len(self._inbox)

    def _turn(self) -> None:
        now_ms = self._clock.now_ms()
        if self._time_passed or self.clock_is_off is not self._told_off:
            # Told before what came with the news: by a clock that is off nothing is decided, not even once.
            self._time_passed, self._told_off = False, self.clock_is_off
            tick = Tick(self._heartbeat.sent_ms, draining=not self._taking, clock_is_off=self._told_off)
            self._perform(self.owner.handle(tick, now_ms))
        for _ in range(min(len(self._inbox), TURN_INPUTS_MAX)):
            given = self._inbox.popleft()
            self._taken += 1
            self._perform(self.owner.handle(given, now_ms))
        self._perform(self.owner.handle(Flush(), now_ms))
        if not self._inbox:
            self._wake.clear()
        self._handled.beat()

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Append() if self.owner.phase is OwnerPhase.CLAIMING:
                    self._spawn(self._claim(effect, self.owner.fold.epoch), "claim")
                case Append():
                    self._spawn(self._append(effect), "append")
                case Read():
                    self._spawn(self._errands.read(effect), "read")
                case Load():
                    self._spawn(self._errands.load(effect), "load")
                case LoadTimers():
                    self._spawn(self._errands.load_timers(effect), "load-timers")
                case TimerFailed():
                    self._timer_failed(effect)
                case Replied():
                    if effect.outcome.replayed:
                        self._measures.count("answers_repeated")
                    self._replies.tell(effect.ticket, effect)
                case Confirmed():
                    self._confirms.tell(effect.ticket, effect.valid)
                case Applied():
                    self._on_applied(effect)
                    self.applied.beat()
                case PhaseChanged():
                    if effect.phase is OwnerPhase.OWNING:
                        self._owned_from = self._owned_from or effect.epoch
                        self._claimed_lapses, self._claimed_s = self._claiming_lapses, self._claiming_s
                    self._on_phase(effect)
                    self.phase_changed.beat()
                case Alarm():
                    self._measures.count("alarms")
                    self.alarm = self.alarm or effect.reason

    def _timer_failed(self, effect: TimerFailed) -> None:
        """Loudly: nobody waits for a timer who could be told."""
        self._measures.count("timers_failed", reason=effect.reason)
        told = {"message": f"a timer of partition {self.partition} failed: {effect.reason}", "exception": effect.bug}
        asyncio.get_running_loop().call_exception_handler({k: v for k, v in told.items() if v is not None})

    def _spawn(self, errand: Coroutine[Any, Any, Input], name: str) -> None:
        assert self._tasks is not None, "effects come after the start"
        self._tasks.create_task(self._run(errand), name=f"{name}-{self.partition}")

    async def _claim(self, effect: Append, folded_epoch: int) -> Input:
        """Appends a claim once that is judged right: between the judgement and the append nothing is waited for."""
        await self._may_claim(folded_epoch, not self._owned_from)
        if self.ended:
            return AppendFailed(effect.append_id, certain=True)
        self._claiming_lapses, self._claiming_s = self._heartbeat.lapses, self._clock.monotonic()
        return await self._append(effect)

    async def _append(self, effect: Append) -> Input:
        sent_ms, began_ns = self._admission.sent(self._clock.now_ms()), self._now_ns()
        try:
            return await self._errands.append(effect)
        finally:
            self._admission.ended(sent_ms, self._clock.now_ms())
            self.appended_ns = began_ns, self._now_ns()

    async def _run(self, errand: Coroutine[Any, Any, Input]) -> None:
        self._put(await errand)

    def _seconds_until(self, deadline_ms: int) -> float:
        return max(0.0, (deadline_ms - self._clock.now_ms()) / 1000)
