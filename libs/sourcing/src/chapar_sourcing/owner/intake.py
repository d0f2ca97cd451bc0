"""From a received command to a decided one: request ids, loading of documents, deciding.

Memory first, always: a command is judged anew each time it moves on, because an equal one may have been decided while
it waited. What belongs here: commands that are not in a block yet. What does not: the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import ANSWER_KIND, Domain, Key, Stored, decode
from chapar_sourcing.owner.answers import Answers
from chapar_sourcing.owner.blocks import Answer, AnswerId, Block, answer_key
from chapar_sourcing.owner.deciding import Decider
from chapar_sourcing.owner.memory import Memory, Slot
from chapar_sourcing.owner.messages import Bounds, Command, Load, Outcome, Replied
from chapar_sourcing.owner.timers import TIMER_GONE, TIMER_NOT_DURABLE, Timers
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.refusing import DEADLINE_PASSED, REQUEST_EXPIRED, REQUEST_ID_IN_FUTURE, SEALED_TOO_EARLY
from chapar_sourcing.requests import FUTURE_MS_MAX, ID_AGE_MS_MAX, request_time_ms, scope_of
from chapar_sourcing.timers import TIMER_KIND, due_ms_of


def answer_id_of(command: Command) -> AnswerId:
    """What repetitions of a command have in common."""
    return scope_of(command.actor), command.request_id


def refused(command: Command, reason: str, *, confirm: bool = False, **detail: str) -> Replied:
    """A reply that nothing was decided."""
    return Replied(command.ticket, Outcome(reason=reason, detail=detail), needs_confirmation=confirm)


class Waiting(msgspec.Struct):
    """A command on its way."""

    command: Command
    answer_id: AnswerId
    looked_up_at: int | None = None
    """The confirmed checkpoint at which the store was asked for its id, once that was answered."""
    found: Answer | None = None
    """What the store knew."""
    needs: Sequence[Key] = ()
    """The documents that it waits for or has waited for."""


class Intake:
    """The waiting rooms before the block, and the step into it."""

    def __init__(
        self, domain: Domain[Any, Any], partition: int, memory: Memory, timers: Timers, bounds: Bounds
    ) -> None:
        self._domain = domain
        self._memory = memory
        self._bounds = bounds
        self._timers = timers
        self._decider = Decider(domain, partition, memory, bounds)
        self.answers = Answers()
        self._ready: deque[Waiting] = deque()
        self._blocked: dict[Key, list[Waiting]] = {}
        self._loading: dict[int, Load] = {}
        self._on_the_way: set[Key] = set()
        self._failed_loads: list[int] = []
        self._next_load_id = 1

    def begin(self, level: int) -> None:
        """The log's schema level, from now on: events above it are refused."""
        self._decider.level = level

    # ---- waiting rooms

    @property
    def ready(self) -> bool:
        """Whether anybody can move on."""
        return bool(self._ready)

    def hold(self, command: Command) -> None:
        """Takes a command into the waiting room."""
        self._ready.append(Waiting(command, answer_id_of(command)))

    def put_back(self, commands: Sequence[Command]) -> None:
        """Takes commands back whose block was undone, before all others and in their order."""
        self._ready.extendleft(Waiting(command, answer_id_of(command)) for command in reversed(commands))

    def drop_late(self, now_ms: int) -> Iterator[Replied]:
        """Lets go of everybody whose deadline has passed."""
        for room in self._rooms():
            late = [w for w in room if w.command.deadline_ms <= now_ms]
            if late:
                kept = [w for w in room if w.command.deadline_ms > now_ms]
                room.clear()
                room.extend(kept)
            yield from (refused(waiting.command, DEADLINE_PASSED) for waiting in late)

    def empty(self) -> list[Command]:
        """Lets everybody go."""
        everybody = [w.command for room in self._rooms() for w in room]
        self._ready.clear()
        self._blocked.clear()
        self._loading.clear()
        self._on_the_way.clear()
        return everybody

    def _rooms(self) -> list[deque[Waiting] | list[Waiting]]:
        return [self._ready, *self._blocked.values()]

    # ---- what must stay in memory

    def asked_at(self) -> Iterator[int]:
        """The confirmed checkpoint of each question to the store that has an answer to come, or one not used yet."""
        for load in self._loading.values():
            yield load.at_least
        for room in self._rooms():
            yield from (waiting.looked_up_at for waiting in room if waiting.looked_up_at is not None)

    def wanted(self) -> Iterator[Key]:
        """The documents that commands wait for: a command whose documents leave before its turn might never have it."""
        for room in self._rooms():
            for waiting in room:
                yield from waiting.needs
                if waiting.command.timer:
                    yield Key(TIMER_KIND, "", waiting.command.timer)

    # ---- loading

    def load(self, keys: Sequence[Key], at_least: int) -> Load | None:
        """Asks for the keys that are neither known nor on their way."""
        missing = tuple(dict.fromkeys(k for k in keys if k not in self._memory and k not in self._on_the_way))
        if not missing:
            return None
        load_id = self._next_load_id
        self._next_load_id += 1
        self._loading[load_id] = Load(load_id, missing, at_least)
        self._on_the_way.update(missing)
        return self._loading[load_id]

    def loaded(self, load_id: int, documents: Mapping[Key, Stored]) -> None:
        """Takes in what the store has; whoever waited for it goes on."""
        load = self._loading.pop(load_id, None)
        if load is None:
            return
        self._on_the_way.difference_update(load.keys)
        for key in load.keys:
            stored = documents.get(key)
            waiting = self._blocked.pop(key, [])
            self._ready.extend(waiting)
            if key.kind == ANSWER_KIND:
                _looked_up(waiting, stored, load.at_least)
            elif key not in self._memory:
                self._memory.hold(key, self._slot(key, stored))

    def load_failed(self, load_id: int) -> None:
        """Remembers to ask again."""
        if load_id in self._loading:
            self._failed_loads.append(load_id)

    def load_again(self, at_least: int) -> Iterator[Load]:
        """Asks again for what could not be loaded."""
        for load_id in self._failed_loads:
            if load_id in self._loading:
                self._loading[load_id] = replace(self._loading[load_id], at_least=at_least)
                yield self._loading[load_id]
        self._failed_loads.clear()

    def _slot(self, key: Key, stored: Stored | None) -> Slot:
        if stored is None:
            return Slot(None)
        value = None if stored.data is None else decode(self._domain.documents, key, stored.data)
        return Slot(value, stored.position)

    # ---- deciding

    def advance(self, block: Block, now_ms: int, here_ms: int, at_least: int) -> Iterator[Replied | Load]:
        """Moves everybody on as far as possible: into the block, out with a reply, or to wait for a document.

        `now_ms` is the time of decisions, `here_ms` the own clock, which deadlines are of.
        """
        while self._ready and not block.full:
            waiting = self._ready.popleft()
            if waiting.command.deadline_ms <= here_ms:
                yield refused(waiting.command, DEADLINE_PASSED)
            elif _sealed_too_early(waiting.command, here_ms) and self._answer_to(waiting) is None:
                yield refused(waiting.command, SEALED_TOO_EARLY)
            else:
                yield from self._step(waiting, block, now_ms, at_least)

    def _step(self, waiting: Waiting, block: Block, now_ms: int, at_least: int) -> Iterator[Replied | Load]:
        if waiting.command.timer and not (yield from self._is_due(waiting, block, at_least)):
            return
        command = waiting.command
        known = self._answer_to(waiting)
        if known is not None and known.position is None:
            known.waiting.append((command, True))
            return
        if known is not None:
            yield known.reply(command, repeated=True, needs_confirmation=True)
            return
        refusal = self._refusal_of_age(command, now_ms)
        if refusal is not None:
            yield refusal
            return
        if self._made_after(command, block.time_ms):
            # The block has gathered since: only ids within the margin of its own clock are surely new later on.
            block.full = True
            self._ready.appendleft(waiting)
            return
        if waiting.looked_up_at is not None:
            assert self.answers.complete_after <= waiting.looked_up_at, "no answer left between the store and memory"
        elif not self._surely_new(command):
            yield from self._wait_for(waiting, [answer_key(waiting.answer_id)], at_least)
            return
        needs = self._decider.needs(command)
        if isinstance(needs, Outcome):
            yield Replied(command.ticket, needs)
            return
        missing = [key for key in needs if key not in self._memory]
        if missing:
            waiting.needs = needs
            yield from self._wait_for(waiting, missing, at_least)
            return
        yield from self._decide(waiting, needs, block)

    def _answer_to(self, waiting: Waiting) -> Answer | None:
        """The first answer, durable or not, as memory has it, or else as the store had it."""
        return self.answers.get(waiting.answer_id) or waiting.found

    def _is_due(self, waiting: Waiting, block: Block, at_least: int) -> Generator[Replied | Load, None, bool]:
        """Makes the command of a due timer, if the timer is there and the block's clock has reached it."""
        command = waiting.command
        key = Key(TIMER_KIND, "", command.timer)
        slot = self._memory.slot(key)
        if slot is None:
            yield from self._wait_for(waiting, [key], at_least)
        elif slot.value is None:
            yield refused(command, TIMER_GONE)
        elif slot.position == NOWHERE:
            yield refused(command, TIMER_NOT_DURABLE)
        elif block.time_ms < due_ms_of(command.timer):
            block.full = True
            self._ready.appendleft(waiting)
        else:
            made = self._decider.due(command, slot)
            if isinstance(made, Command):
                waiting.command, waiting.answer_id = made, answer_id_of(made)
                return True
            yield Replied(command.ticket, made)
        return False

    def _refusal_of_age(self, command: Command, now_ms: int) -> Replied | None:
        """Refuses ids that callers made too far from now. A reactor's id has the time of its source, a timer's that at
        which it was due: never refused."""
        if _of_reactor(command) or command.timer:
            return None
        if self._made_after(command, now_ms):
            return refused(command, REQUEST_ID_IN_FUTURE, confirm=True, server_time_ms=str(now_ms))
        if request_time_ms(command.request_id) < now_ms - ID_AGE_MS_MAX and not self._domain.keeps_answers:
            return refused(command, REQUEST_EXPIRED, confirm=True)
        return None

    def _made_after(self, command: Command, time_ms: int) -> bool:
        return not _of_reactor(command) and request_time_ms(command.request_id) > time_ms + FUTURE_MS_MAX

    def _surely_new(self, command: Command) -> bool:
        """Whether an id that memory does not know was never answered. A reactor's may be ahead of any clock here. That
        of a timer was not: the timer is still there."""
        after_ms = self.answers.surely_new_after_ms
        return after_ms is None or bool(command.timer) or self._made_after(command, after_ms)

    def _wait_for(self, waiting: Waiting, missing: Sequence[Key], at_least: int) -> Iterator[Load]:
        self._blocked.setdefault(missing[0], []).append(waiting)
        load = self.load(missing, at_least)
        if load is not None:
            yield load

    def _decide(self, waiting: Waiting, needs: Sequence[Key], block: Block) -> Iterator[Replied]:
        command = waiting.command
        decided = self._decider.decide(command, needs, block)
        if isinstance(decided, Outcome):
            if decided.bug is None:
                block.refusals.append((command, decided))
            else:
                yield Replied(command.ticket, decided)
            return
        if block.entries and block.size + decided.size > self._bounds.block_bytes_max:
            block.full = True
            self._ready.appendleft(waiting)
            return
        answer = Answer(decided.entry, block.time_ms, waiting=[(command, False)])
        self.answers.decided(waiting.answer_id, answer)
        block.add(self._memory, waiting.answer_id, answer, decided)
        block.full = len(block.entries) >= self._bounds.entries_max
        self._timers.note(decided.changes)


def _looked_up(waiting: Sequence[Waiting], stored: Stored | None, at_least: int) -> None:
    """The store was asked for an id: all its copies that waited know what it knew."""
    found = None
    if stored is not None and stored.data is not None:
        answer = journal.Answer.FromString(stored.data)
        found = Answer(answer.entry, answer.time_ms, Position(answer.position.offset, answer.position.index))
    for one in waiting:
        one.looked_up_at, one.found = at_least, found


def _of_reactor(command: Command) -> bool:
    """Whether the id was derived from an event's place, with the time of that event."""
    return command.actor.WhichOneof("kind") == "service"


def _sealed_too_early(command: Command, here_ms: int) -> bool:
    """Whether a key that sealed its content may be destroyed by now: it is to be made again."""
    return command.sealed_until_ms is not None and here_ms >= command.sealed_until_ms
