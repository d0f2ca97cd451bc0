"""Reservations across partitions, with deliveries repeated and reordered at will: the end is consistent.

Each user's home and each username stand for a partition of their own. Every event's next steps go into a bag; steps
are taken from it in any order, and delivered steps may be delivered again, as if no request id were recognised.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.usernames.documents import USERNAME_KIND, Username
from chapar_identity.reactors.usernames import next_steps
from chapar_sourcing.domain import Refused

from .play import ARASH, BAHAR, CYRUS, kinds, set_username, signed_in

USERS = [ARASH, BAHAR, CYRUS]
USERNAMES = ["first", "second", "third"]


def commands_after(events: Sequence[pb.Event]) -> list[pb.Command]:
    commands = [step.command for event in events for step in next_steps(event)]
    return [command for command in commands if isinstance(command, pb.Command)]


class Reservations(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.play = signed_in(*USERS)
        self.waiting: list[pb.Command] = []
        self.delivered: list[pb.Command] = []

    def decide(self, command: pb.Command) -> None:
        decision = self.play.when(command)
        if not isinstance(decision, Refused):
            self.waiting += commands_after(decision)

    def deliver(self, place: int) -> None:
        command = self.waiting.pop(place % len(self.waiting))
        self.delivered.append(command)
        self.decide(command)

    @rule(user=st.sampled_from(USERS), username=st.sampled_from(USERNAMES))
    def wish(self, user: str, username: str) -> None:
        self.decide(set_username(username, user))

    @precondition(lambda self: self.waiting)
    @rule(place=st.integers(0, 1_000))
    def deliver_one(self, place: int) -> None:
        self.deliver(place)

    @precondition(lambda self: self.delivered)
    @rule(place=st.integers(0, 1_000))
    def deliver_again(self, place: int) -> None:
        self.decide(self.delivered[place % len(self.delivered)])

    @invariant()
    def what_a_user_holds_is_reserved_for_them(self) -> None:
        for user in USERS:
            naming = self.play.naming(user)
            if naming.username:
                assert self.reserved().get(naming.username) == Username(user, naming.username_wish)

    @invariant()
    def every_wish_is_decided_once_and_in_order(self) -> None:
        for user in USERS:
            wishes = [each.wish for each in self.play.naming(user).decided]
            assert wishes == sorted(set(wishes))

    def reserved(self) -> dict[str, Username]:
        return {
            key.parent: document
            for key, document in self.play.documents.items()
            if key.kind == USERNAME_KIND and isinstance(document, Username)
        }

    def teardown(self) -> None:
        steps = 0
        while self.waiting:
            self.deliver(steps)
            steps += 1
            assert steps < 10_000, "deliveries never come to rest"
        held = {self.play.naming(user).username: user for user in USERS if self.play.naming(user).username}
        assert {name: reservation.user_id for name, reservation in self.reserved().items()} == held
        assert not any(self.play.naming(user).pending for user in USERS)


TestReservations = Reservations.TestCase
TestReservations.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_a_wish_on_a_quiet_system_needs_three_steps() -> None:
    play = signed_in(ARASH)
    steps = [set_username("first")]
    seen: list[str] = []
    while steps:
        decision = play.when(steps.pop(0))
        seen += kinds(decision)
        assert not isinstance(decision, Refused)
        steps += commands_after(decision)
    assert seen == ["username_wished", "username_reserved", "username_set"]
