"""Simulated clients: they put items and read registers, with retries, doubles and crooked clocks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Document, Key
from chapar_sourcing.owner import Command, Outcome, OwnerPhase
from chapar_sourcing.requests import FUTURE_MS_MAX, make_request_id
from tests.simulation.node import Node
from tests.simulation.playing import Violation
from tests.simulation.toy import Register, mark, put
from tests.simulation.world import World

REGISTERS = ("a", "b", "c")
TRY_MS = 400
PATIENT_MS = 4_000
"""How long a try waits, and one of somebody patient."""
DOUBLES_MS = (40, 300)
REPEATS_MS = (1_500, 20_000)
"""How late the double of a try, and the repetition of what was answered, may be."""
NUMBER_MAX = 14
"""Marks are of items up to this number."""
REACTOR_SKEWS_MS = (0, -40 * 24 * 3_600_000, 3_600_000)
RETRIED = frozenset(
    {"REASON_NOT_OWNER", "REASON_OUTCOME_UNKNOWN", "REASON_OVERLOADED", "REASON_DEADLINE_PASSED", "REASON_LOG_DAMAGED"}
)


@dataclass(slots=True)
class Put:
    """One put, or a mark of the item `marks`, from its first try to its answer."""

    actor: journal.Actor
    request_id: bytes
    register: str
    tag: str
    only_if_even: bool
    marks: int | None
    started_ms: int
    answered_ms: int | None = None
    answers: list[Outcome] = field(default_factory=list)
    tries: int = 0
    """How often it was sent under its present id."""
    given_up: bool = False

    @property
    def done(self) -> bool:
        """Whether it was answered, or given up."""
        return self.answered_ms is not None or self.given_up


@dataclass(slots=True)
class Get:
    """One read that was confirmed."""

    register: str
    started_ms: int
    answered_ms: int
    count: int


class Client:
    """Does one thing after the other. A reactor is one whose ids have the time of what it reacts to."""

    def __init__(self, world: World, name: str, nodes: Sequence[Node], wishes: int, *, reactor: bool = False) -> None:
        self.world = world
        self.name = name
        self._nodes = nodes
        self._left = wishes
        self._actor = journal.Actor(service=name) if reactor else journal.Actor(user=name)
        self._skews_ms = REACTOR_SKEWS_MS if reactor else (0, 0, 0, -3_600_000, 4_000, 3_600_000)
        self.random = world.stream(name)
        self._skew_ms = self.random.choice(self._skews_ms)
        self.puts: list[Put] = []
        self.gets: list[Get] = []
        self.reuses = 0
        self._current: Put | None = None

    @property
    def done(self) -> bool:
        """Whether everything it wished for was answered."""
        return self._left == 0 and (self._current is None or self._current.done)

    def next(self) -> None:
        """Begins the next wish, if there is one."""
        if self._left == 0:
            return
        self._left -= 1
        self.random = self.world.stream(f"{self.name}/{self._left}")
        if not self.world.faults.wished():
            self.world.soon(0, 200, self.next, self.random)
        elif self.random.random() < 0.3:
            self._get(self.random.choice(REGISTERS), self.world.now_ms)
        else:
            self._put()

    # ---- putting

    def _put(self) -> None:
        world = self.world
        if self._actor.HasField("service"):
            self._skew_ms = self.random.choice(self._skews_ms)
        wish = Put(
            actor=self._actor,
            request_id=self._new_id(),
            register=self.random.choice(REGISTERS),
            tag=f"{self.name}/{len(self.puts)}",
            only_if_even=self.random.random() < 0.2,
            marks=self.random.randint(1, NUMBER_MAX) if self.random.random() < 0.3 else None,
            started_ms=world.now_ms,
        )
        self.puts.append(wish)
        self._current = wish
        self._try(wish)

    def _new_id(self) -> bytes:
        made_ms = self.world.now_ms + self._skew_ms
        clocks_ms = [node.decision_ms for node in self._nodes if node.up and node.owner.phase is OwnerPhase.OWNING]
        if clocks_ms and self._actor.HasField("user") and self.world.faults.happens("youngest_id"):
            made_ms = self.random.choice(clocks_ms) + FUTURE_MS_MAX
        return make_request_id(made_ms, self.random.randbytes(10))

    def _try(self, wish: Put) -> None:
        if wish.done:
            return
        self._send(wish, wish.tag)
        if self.world.faults.happens("duplicate_try"):
            self.world.soon(0, self.random.choice(DOUBLES_MS), lambda: self._send(wish, wish.tag), self.random)
        self.world.soon(TRY_MS, TRY_MS * 3, lambda: self._try(wish), self.random)

    def _send(self, wish: Put, tag: str) -> None:
        candidates = [node for node in self._nodes if node.up]
        if not candidates:
            return
        node = self.random.choice(candidates)
        wish.tries += 1
        if wish.marks is None:
            body = put(wish.register, tag, only_if_even=wish.only_if_even)
        else:
            body = mark(wish.register, wish.marks, tag)
        request_id = wish.request_id
        waits_ms = PATIENT_MS if self.world.faults.happens("patient_try") else TRY_MS

        def command(ticket: int, now_ms: int) -> Command:
            return Command(
                ticket,
                wish.actor,
                request_id,
                hashlib.sha256(body.SerializeToString()).digest(),
                "key",
                body,
                now_ms + waits_ms,
            )

        if tag == wish.tag:
            node.desk.submit(command, lambda outcome: self._told(wish, request_id, outcome))
        else:
            node.desk.submit(command, lambda outcome: self._told_of_reuse(outcome))

    def _told(self, wish: Put, request_id: bytes, outcome: Outcome) -> None:
        self.world.note(f"{self.name} told {outcome.reason or outcome.position} {outcome.replayed}")
        if request_id != wish.request_id or wish.given_up or outcome.reason in RETRIED:
            return
        if self.world.faults.happens("answer_lost"):
            return
        if outcome.reason == "REASON_REQUEST_ID_IN_FUTURE" and wish.actor.HasField("user"):
            assert outcome.detail is not None, "the server's time comes with it"
            self._skew_ms = int(outcome.detail["server_time_ms"]) - self.world.now_ms
            self._sent_too_early(wish)
            return
        if outcome.reason not in ("", "REASON_ODD", "REASON_NO_ITEM"):
            raise Violation(f"{self.name} got {outcome.reason}")
        wish.answers.append(outcome)
        if not wish.done:
            wish.answered_ms = self.world.now_ms
            if outcome.entry is not None and self.world.faults.happens("reused_id"):
                self._send(wish, wish.tag + "!")
            if self.world.faults.happens("late_repeat"):
                self.world.soon(100, self.random.choice(REPEATS_MS), lambda: self._send(wish, wish.tag), self.random)
            self.world.soon(0, 200, self.next, self.random)

    def _sent_too_early(self, wish: Put) -> None:
        """A first and only try takes a new id. Another one may still be on its way, and be in time when it arrives:
        then nobody knows how the wish ends."""
        if wish.tries == 1:
            wish.request_id, wish.tries = self._new_id(), 0
        elif not wish.done:
            wish.given_up = True
            self.world.soon(0, 200, self.next, self.random)

    def _told_of_reuse(self, outcome: Outcome) -> None:
        if outcome.reason in RETRIED:
            return
        if outcome.reason != "REASON_REQUEST_ID_REUSED":
            raise Violation(f"{self.name} used an id for something else and was told {outcome.reason or 'yes'}")
        self.reuses += 1

    # ---- reading

    def _get(self, register: str, started_ms: int) -> None:
        candidates = [node for node in self._nodes if node.up]
        answered = False

        def told(document: Document | None, valid: bool) -> None:
            nonlocal answered
            if valid and not answered:
                answered = True
                count = document.count if isinstance(document, Register) else 0
                self.world.note(f"{self.name} read {register} {count}")
                self.gets.append(Get(register, started_ms, self.world.now_ms, count))
                self.world.soon(0, 100, self.next, self.random)

        def again() -> None:
            nonlocal answered
            if not answered:
                answered = True
                self._get(register, self.world.now_ms)

        if candidates:
            self.random.choice(candidates).desk.read(Key("register", register), told)
        self.world.soon(TRY_MS, TRY_MS * 3, again, self.random)
