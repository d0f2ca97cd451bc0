"""From a received command to a decided one: request ids, loading of documents, deciding.

Memory first, always: a command is judged anew each time it moves on, because an equal one may have been decided while
it waited. What belongs here: commands that are not in a block yet. What does not: the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Domain, Key, Stored, decode
from chapar_sourcing.owner.blocks import ANSWER_KIND, Answer, AnswerId, Block, answer_key
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


@dataclass(slots=True)
class Waiting:
    """A command on its way; `looked_up`: the store was asked for its id and had no answer."""

    command: Command
    answer_id: AnswerId
    looked_up: bool = False


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
        self.answers: dict[AnswerId, Answer] = {}
        self.surely_new_after_ms: int | None = None
        """Ids of a later time than this plus the margin were never answered before memory began: F of the design.
        None: memory began with the log, so that every id that it does not know is new."""
        self._ready: deque[Waiting] = deque()
        self._blocked: dict[Key, list[Waiting]] = {}
        self._loading: dict[int, tuple[Key, ...]] = {}
        self._on_the_way: set[Key] = set()
        self._failed_loads: list[int] = []
        self._next_load_id = 1

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
        for room in [self._ready, *self._blocked.values()]:
            late = [w for w in room if w.command.deadline_ms <= now_ms]
            if late:
                kept = [w for w in room if w.command.deadline_ms > now_ms]
                room.clear()
                room.extend(kept)
            yield from (refused(waiting.command, DEADLINE_PASSED) for waiting in late)

    def empty(self) -> list[Command]:
        """Lets everybody go."""
        everybody = [w.command for room in [self._ready, *self._blocked.values()] for w in room]
        self._ready.clear()
        self._blocked.clear()
        self._loading.clear()
        self._on_the_way.clear()
        return everybody

    # ---- loading

    def load(self, keys: Sequence[Key], at_least: int) -> Load | None:
        """Asks for the keys that are neither known nor on their way."""
        missing = tuple(dict.fromkeys(k for k in keys if k not in self._memory and k not in self._on_the_way))
        if not missing:
            return None
        load_id = self._next_load_id
        self._next_load_id += 1
        self._loading[load_id] = missing
        self._on_the_way.update(missing)
        return Load(load_id, missing, at_least)

    def loaded(self, load_id: int, documents: Mapping[Key, Stored]) -> None:
        """Takes in what the store has; whoever waited for it goes on."""
        keys = self._loading.pop(load_id, ())
        self._on_the_way.difference_update(keys)
        for key in keys:
            stored = documents.get(key)
            waiting = self._blocked.pop(key, [])
            self._ready.extend(waiting)
            if key.kind == ANSWER_KIND:
                self._found(key, stored, waiting)
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
                yield Load(load_id, self._loading[load_id], at_least)
        self._failed_loads.clear()

    def _slot(self, key: Key, stored: Stored | None) -> Slot:
        if stored is None:
            return Slot(None)
        value = None if stored.data is None else decode(self._domain.documents, key, stored.data)
        return Slot(value, stored.position)

    def _found(self, key: Key, stored: Stored | None, waiting: Sequence[Waiting]) -> None:
        for one in waiting:
            one.looked_up = True
        if stored is None or stored.data is None:
            return
        answer = journal.Answer.FromString(stored.data)
        place = Position(answer.position.offset, answer.position.index)
        answer_id = (key.parent, bytes.fromhex(key.id))
        self.answers.setdefault(answer_id, Answer(answer.entry, answer.time_ms, place))

    # ---- deciding

    def advance(self, block: Block, now_ms: int, here_ms: int, at_least: int) -> Iterator[Replied | Load]:
        """Moves everybody on as far as possible: into the block, out with a reply, or to wait for a document.

        `now_ms` is the time of decisions, `here_ms` the own clock, which deadlines are of.
        """
        while self._ready and not block.full:
            waiting = self._ready.popleft()
            if waiting.command.deadline_ms <= here_ms:
                yield refused(waiting.command, DEADLINE_PASSED)
            elif _sealed_too_early(waiting.command, here_ms) and waiting.answer_id not in self.answers:
                yield refused(waiting.command, SEALED_TOO_EARLY)
            else:
                yield from self._step(waiting, block, now_ms, at_least)

    def _step(self, waiting: Waiting, block: Block, now_ms: int, at_least: int) -> Iterator[Replied | Load]:
        if waiting.command.timer and not (yield from self._is_due(waiting, block, at_least)):
            return
        command = waiting.command
        known = self.answers.get(waiting.answer_id)
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
        if not waiting.looked_up and not self._surely_new(command):
            yield from self._wait_for(waiting, [answer_key(waiting.answer_id)], at_least)
            return
        needs = self._decider.needs(command)
        if isinstance(needs, Outcome):
            yield Replied(command.ticket, needs)
            return
        missing = [key for key in needs if key not in self._memory]
        if missing:
            yield from self._wait_for(waiting, missing, at_least)
            return
        yield from self._decide(waiting, needs, block)

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
                # The timer is still there: so its id was never decided, and no store need be asked.
                waiting.command, waiting.answer_id, waiting.looked_up = made, answer_id_of(made), True
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
        """Whether an id that memory does not know was never answered. A reactor's may be ahead of any clock here."""
        if self.surely_new_after_ms is None:
            return True
        return not _of_reactor(command) and self._made_after(command, self.surely_new_after_ms)

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
        self.answers[waiting.answer_id] = answer
        block.add(self._memory, waiting.answer_id, answer, decided)
        block.full = len(block.entries) >= self._bounds.entries_max
        self._timers.note(decided.changes)


def _of_reactor(command: Command) -> bool:
    """Whether the id was derived from an event's place, with the time of that event."""
    return command.actor.WhichOneof("kind") == "service"


def _sealed_too_early(command: Command, here_ms: int) -> bool:
    """Whether a key that sealed its content may be destroyed by now: it is to be made again."""
    return command.sealed_until_ms is not None and here_ms >= command.sealed_until_ms
