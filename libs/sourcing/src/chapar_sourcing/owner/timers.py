"""Which timers are due next: ids of timers, read ahead from the store and kept up to date with memory.

Flows in: pages of the store, timers that decided commands set, time. Flows out: reads, and commands of due timers.
An id is but a hint: whether the timer is still there is looked at when its command is decided. What matters is that
none is missing: every timer up to `_read_to` is among the hints, being fired, or gone; one beyond it is in the store at
`at_least` or in memory, until a page moves that mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush, nsmallest
from itertools import count
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Domain, Key
from chapar_sourcing.owner.memory import Memory
from chapar_sourcing.owner.messages import Bounds, Command, Effect, LoadTimers, Outcome, TimerFailed, TimersLoaded
from chapar_sourcing.refusing import LOG_DAMAGED, NOT_OWNER, OUTCOME_UNKNOWN
from chapar_sourcing.timers import TIMER_KIND, TimedDomain, due_ms_of

RETRY_MS_MIN = 1_000
RETRY_MS_MAX = 60_000
NEVER_MS = 1 << 62
"""Deadline of own commands: nobody waits for them, and they have to be done."""

TIMER_GONE = "TIMER_GONE"
"""The timer was done or cancelled meanwhile: there is nothing to decide."""
TIMER_NOT_DURABLE = "TIMER_NOT_DURABLE"
"""The timer was set by a block that is not durable yet: it is looked at again."""
_UNFAILED = frozenset({TIMER_GONE, TIMER_NOT_DURABLE, NOT_OWNER, LOG_DAMAGED, OUTCOME_UNKNOWN})


class Timers:
    """The next timers of one partition."""

    def __init__(self, domain: Domain[Any, Any], memory: Memory, bounds: Bounds, say: Callable[[Effect], None]) -> None:
        self.used = TIMER_KIND in domain.documents
        """Whether the service has timers at all."""
        assert not self.used or isinstance(domain, TimedDomain), "a domain with timers says what they make"
        self._actor = journal.Actor(system=domain.service)
        self._memory = memory
        self._page = bounds.timers_page
        self._hints_max = 4 * bounds.timers_page
        self._under_way_max = bounds.timers_under_way_max
        self._say = say
        self._hints: list[str] = []
        """A heap of ids: their order is that of their times."""
        self._hinted: set[str] = set()
        self._under_way: dict[int, str] = {}
        """Ids by ticket of the command that was made of them."""
        self._fired: set[str] = set()
        """The same ids."""
        self._read_to: str | None = ""
        """Timers up to here are known; None: all are."""
        self._asked: LoadTimers | None = None
        self._ask_again = False
        self._next_number = 1
        self._tickets = count(-1, -1)
        """Below zero: the shell's are above."""
        self._retry_at_ms: int | None = None
        self._retry_ms = RETRY_MS_MIN
        self._failed_ms = 0
        """When a timer failed last."""

    # ---- what others may look at

    @property
    def reading_since(self) -> int | None:
        """The `at_least` of a page that is being read: what memory holds beyond it must stay until it was."""
        return None if self._asked is None else self._asked.at_least

    def next_ms(self) -> int | None:
        """When there is something to do; None for never, as far as is known. Due before now means at once."""
        if self._ask_again or self._wants_page():
            return 0
        times = [due_ms_of(self._hints[0])] if self._hints else []
        if self._retry_at_ms is not None:
            times.append(self._retry_at_ms)
        return min(times, default=None)

    # ---- reading ahead

    def begin(self) -> None:
        """Begins anew, with what the store and memory have now: after taking over, and whenever blocks were undone."""
        self._hints, self._hinted = [], set()
        self._read_to = ""
        self._asked, self._ask_again = None, False

    def _wants_page(self) -> bool:
        few = 2 * len(self._hints) < self._page
        return self.used and few and self._asked is None and self._read_to is not None

    def read_ahead(self, at_least: int) -> None:
        """Asks for the next page where few hints are left, or again for one that could not be read."""
        if self._asked is not None and self._ask_again:
            self._ask_again = False
            self._ask(self._asked.after, at_least)
        elif self._wants_page():
            assert self._read_to is not None, "a page is wanted"
            self._ask(self._read_to, at_least)

    def _ask(self, after: str, at_least: int) -> None:
        self._asked = LoadTimers(self._next_number, after, self._page, at_least)
        self._next_number += 1
        self._say(self._asked)

    def loaded(self, given: TimersLoaded) -> None:
        """Takes a page in, together with what memory has of the same times: it may be newer than the store."""
        asked = self._asked
        if asked is None or asked.load_id != given.load_id:
            return
        self._asked, self._ask_again = None, False
        self._read_to = None if len(given.ids) < asked.limit else given.ids[-1]
        for identity in given.ids:
            self._hint(identity)
        for identity in self._memory.ids_within(TIMER_KIND, "", asked.after, self._read_to):
            self._hint(identity)
        self._trim()

    def load_failed(self, load_id: int) -> None:
        """Remembers to ask again for the page that is waited for; one that was given up before may fail after it."""
        if self._asked is not None and self._asked.load_id == load_id:
            self._ask_again = True

    # ---- hints

    def note(self, changed: Iterable[Key]) -> None:
        """Documents that were just written in memory: timers among them that are within what was read."""
        if not self.used:
            return
        for key in changed:
            if key.kind == TIMER_KIND and (self._read_to is None or key.id <= self._read_to):
                self._hint(key.id)
        self._trim()

    def _hint(self, identity: str) -> None:
        if identity not in self._hinted and identity not in self._fired:
            self._hinted.add(identity)
            heappush(self._hints, identity)

    def _trim(self) -> None:
        """Forgets the latest hints where there are too many: pages will find them again."""
        if len(self._hints) <= self._hints_max:
            return
        self._hints = nsmallest(self._hints_max // 2, self._hints)
        self._hinted = set(self._hints)
        self._read_to = self._hints[-1]
        self._asked, self._ask_again = None, False

    # ---- firing

    def due(self, now_ms: int) -> Sequence[Command]:
        """Commands for timers whose time has come, oldest first, as many as there is room for."""
        if self._retry_at_ms is not None and self._retry_at_ms <= now_ms:
            self._retry_at_ms = None
            self.begin()
        commands: list[Command] = []
        while self._hints and len(self._under_way) < self._under_way_max and due_ms_of(self._hints[0]) <= now_ms:
            identity = heappop(self._hints)
            self._hinted.discard(identity)
            ticket = next(self._tickets)
            self._under_way[ticket] = identity
            self._fired.add(identity)
            commands.append(self._command(ticket, identity))
        return commands

    def _command(self, ticket: int, identity: str) -> Command:
        """What is decided is made of the timer's document, when it is its turn."""
        return Command(
            ticket=ticket, actor=self._actor, request_id=b"", content_hash=b"", content_key_id="", body=None,
            deadline_ms=NEVER_MS, timer=identity,
        )  # fmt: skip

    def answered(self, ticket: int, outcome: Outcome, now_ms: int) -> None:
        """How the command of a timer ended. One that failed is tried again later, with all others that did."""
        identity = self._under_way.pop(ticket)
        self._fired.discard(identity)
        if outcome.replayed or (outcome.reason and outcome.reason not in _UNFAILED):
            self._retry_later(now_ms)
            self._say(TimerFailed(identity, outcome.reason, outcome.bug))
            return
        slot = self._memory.slot(Key(TIMER_KIND, "", identity))
        if slot is not None and slot.value is not None:
            # Not durable yet, or set again since.
            self._hint(identity)

    def _retry_later(self, now_ms: int) -> None:
        if now_ms - self._failed_ms > 2 * RETRY_MS_MAX:
            self._retry_ms = RETRY_MS_MIN
        self._failed_ms = now_ms
        if self._retry_at_ms is None:
            self._retry_at_ms = now_ms + self._retry_ms
            self._retry_ms = min(2 * self._retry_ms, RETRY_MS_MAX)
