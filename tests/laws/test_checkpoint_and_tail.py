"""The law of take-overs: a checkpoint, fuzzy as it is, and the log after it give what the whole log gives.

The real owner lives through random commands of each domain, batches of which some never become durable, projections of
which some never reach their checkpoint, crashes, and records of the dead that land late. Then one owner takes over
from the store and one from nothing: both must hold what folding the log from its first record gives, document by
document with its position, give the same first answers, and decide the same from there on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.digest import Refolded, held_documents, refold
from chapar_sourcing.domain import ANSWER_KIND, Key, Stored, encode
from chapar_sourcing.owner import Bounds, Command, CommandReceived, Outcome
from chapar_sourcing.owner.blocks import answer_key
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.positions import Position
from chapar_sourcing.requests import FUTURE_MS_MAX, scope_of
from libs.sourcing.tests.owner import accounts
from libs.sourcing.tests.owner.rig import Log, Rig, Shelf, successor
from tests.laws.commands import SUBJECTS, Subject

pytestmark = pytest.mark.laws

SETTINGS = settings(stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
BOUNDS = Bounds(
    entries_max=4, documents_max=6, answers_max=6, answers_kept_ms=2 * FUTURE_MS_MAX, timers_page=4,
    timers_under_way_max=2,
)  # fmt: skip
"""Small, so that histories of a few commands fill blocks, memory and pages."""


class LogReader:
    """As much of a `Journal` as refolding asks for."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def read(self, _partition: int, from_offset: int) -> Sequence[JournalRecord]:
        return [record for record in self._log.records if record.offset >= from_offset]


class Lives(RuleBasedStateMachine):
    """One partition through its owners' lives."""

    subject: Subject

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(domain=self.subject.domain, bounds=BOUNDS)
        self.rig.take_over()
        self.wanted: dict[bytes, Command] = {}
        """All that was ever asked, by request id."""
        self.late: list[bytes] = []
        """Records of the dead that may still land."""

    # ---- life

    @rule(data=st.data(), count=st.integers(1, 6))
    def ask(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            command = self.rig.command(data.draw(self.subject.commands))
            self.wanted[command.request_id] = command
            self.rig.give(CommandReceived(command))
        answer(self.rig)

    @rule(data=st.data(), count=st.integers(1, 6), batches=st.lists(st.integers(1, 6), max_size=3))
    def ask_and_store(self, data: st.DataObject, count: int, batches: list[int]) -> None:
        """Everything becomes durable, and some of it reaches the store."""
        self.ask(data, count)
        self.rig.flush()
        while self.rig.appends:
            self.land(known=True)
            self.rig.flush()
        for documents_max in batches:
            self.project(documents_max, checkpoint=True)

    @rule()
    def flush(self) -> None:
        self.rig.flush()

    @precondition(lambda self: self.rig.appends)
    @rule(known=st.booleans())
    def land(self, known: bool) -> None:
        self.rig.land(known=known)
        self.rig.finish_taking_over()
        answer(self.rig)

    @precondition(lambda self: self.rig.appends)
    @rule(lands=st.booleans())
    def doubt(self, lands: bool) -> None:
        """The owner does not hear of its append, which is there, or will land late: it claims anew."""
        data = self.rig.doubt().data
        if lands:
            self.rig.log.append(data)
        else:
            self.late.append(data)
        self.rig.finish_taking_over()
        answer(self.rig)

    @rule(ms=st.integers(1, 3_000) | st.integers(1, 12 * 3_600_000))
    def time_passes(self, ms: int) -> None:
        self.rig.now_ms += ms
        self.rig.heartbeat_ms = self.rig.now_ms
        self.rig.tick()
        answer(self.rig)

    @rule(documents_max=st.integers(1, 8), checkpoint=st.sampled_from([True, True, False]))
    def project(self, documents_max: int, checkpoint: bool) -> None:
        """A part of what the store lacks; without the checkpoint the store is ahead of it."""
        self.rig.project(documents_max=documents_max, checkpoint=checkpoint)

    @rule(landed=st.booleans(), between=st.booleans())
    def crash(self, landed: bool, between: bool) -> None:
        """What was in flight has landed untold, or will land late, perhaps between reading and claim."""
        if landed and self.rig.appends:
            self.rig.land(tell=False)
        self.late += [append.data for append in self.rig.appends]
        self.no_rule_failed()
        self.rig = successor(self.rig, domain=self.subject.domain, bounds=BOUNDS)
        self.rig.start()
        if between:
            self.rig.read()
            self.late_record_lands()
        self.rig.finish_taking_over()
        answer(self.rig)

    @rule()
    def late_record_lands(self) -> None:
        if self.late:
            self.rig.log.append(self.late.pop(0))

    # ---- the law

    @rule(data=st.data())
    def compare_and_go_on(self, data: st.DataObject) -> None:
        self.compare(data.draw(st.lists(self.subject.commands, max_size=4)))

    def compare(self, then: Sequence[Message]) -> None:
        now_ms = self.rig.now_ms
        from_store = taken_over(self.subject, self.rig.log, copied(self.rig.shelf), now_ms)
        from_zero = taken_over(self.subject, self.rig.log, Shelf(), now_ms)
        folded = refolded(self.subject, self.rig.log)
        for one in (from_store, from_zero):
            assert held(one, self.subject) == values(folded)
        for command in self.wanted.values():
            told = again(from_store, command)
            assert told == again(from_zero, command)
            first = folded.answers.get(answer_key((scope_of(command.actor), command.request_id)))
            assert told.replayed == (first is not None), command.body
            assert first is None or told == first_answer(first)
        for body in then:
            assert from_store.done(body) == from_zero.done(body)
        assert held(from_store, self.subject) == held(from_zero, self.subject)

    def teardown(self) -> None:
        self.no_rule_failed()
        self.compare([])

    def no_rule_failed(self) -> None:
        assert [reply.outcome.bug for reply in self.rig.replies.values() if reply.outcome.bug] == []


def answer(rig: Rig) -> None:
    """Answers all that was asked of log and store."""
    while rig.reads or rig.loads or rig.pages:
        while rig.reads:
            rig.read()
        rig.load_all()
        while rig.pages:
            rig.page()


def copied(shelf: Shelf) -> Shelf:
    """The same, apart."""
    return Shelf(dict(shelf.documents), shelf.checkpoint)


def taken_over(subject: Subject, log: Log, shelf: Shelf, now_ms: int) -> Rig:
    """A new owner over a copy of the log."""
    rig = Rig(log=Log(list(log.records)), shelf=shelf, domain=subject.domain, bounds=BOUNDS, writers="heir")
    rig.now_ms = rig.heartbeat_ms = now_ms
    rig.take_over()
    return rig


def refolded(subject: Subject, log: Log) -> Refolded:
    """The log from its first record."""
    return asyncio.run(refold(LogReader(log), 0, subject.domain))  # type: ignore[arg-type]


def first_answer(stored: Stored) -> Outcome:
    """A stored answer, told again."""
    assert stored.data is not None
    answer = journal.Answer.FromString(stored.data)
    place = Position(answer.position.offset, answer.position.index)
    return Outcome(entry=answer.entry, position=place, time_ms=answer.time_ms, replayed=True)


def values(folded: Refolded) -> Mapping[Key, Stored]:
    """Documents without answers."""
    return {key: stored for key, stored in folded.documents.items() if key.kind != ANSWER_KIND}


def held(rig: Rig, subject: Subject) -> Mapping[Key, Stored]:
    """What an owner has, memory over store: live documents without answers."""
    documents = {key: stored for key, stored in rig.shelf.documents.items() if key.kind != ANSWER_KIND}
    documents.update(held_documents(rig.owner, subject.domain))
    return {key: stored for key, stored in documents.items() if stored.data is not None}


def again(rig: Rig, command: Command) -> Outcome:
    """What an owner answers when a command comes once more."""
    assert command.body is not None
    return rig.done(command.body, request_id=command.request_id)


@pytest.mark.parametrize("name", SUBJECTS)
def test_checkpoint_and_tail_give_what_the_whole_log_gives(name: str) -> None:
    class LivesOfOne(Lives):
        subject = SUBJECTS[name]

    examples = max(40, settings().max_examples // 5)
    run_state_machine_as_test(LivesOfOne, settings=settings(SETTINGS, max_examples=examples))


ANY = settings(max_examples=2_000, phases=[Phase.generate], database=None, deadline=None)
"""The first that comes along will do."""
MADE_BY_TIMERS = {"go_offline", "forget_departure", "forget_attempts"}


@pytest.mark.parametrize("name", ["identity", "messaging", "payments", "presence"])
def test_each_command_of_a_service_is_among_those_played(name: str) -> None:
    subject = SUBJECTS[name]
    kinds = {field.name for field in subject.domain.command_type.DESCRIPTOR.oneofs_by_name["kind"].fields}
    wanted = kinds - MADE_BY_TIMERS

    def play(kind: str) -> Message:
        return find(subject.commands, lambda command: kind_of(command) == kind, settings=ANY)

    assert {kind_of(play(kind)) for kind in wanted} == wanted


def kind_of(command: Message) -> str:
    """Which command of its service it is."""
    return str(command.WhichOneof("kind"))


def test_a_store_that_holds_something_else_is_noticed() -> None:
    class LivesOfAccounts(Lives):
        subject = SUBJECTS["accounts"]

    lives = LivesOfAccounts()
    for _ in range(2):
        assert lives.rig.done(accounts.add("a")).reason == ""
        assert lives.rig.project()
    lives.compare([])
    key = accounts.account_key("a")
    true = lives.rig.shelf.documents[key]
    lives.rig.shelf.documents[key] = Stored(true.position, encode(accounts.Account(7, 0)))
    with pytest.raises(AssertionError):
        lives.compare([])
