"""Reads are released only once what they saw is durable and the owner still was one."""

from __future__ import annotations

from .accounts import add
from .rig import Rig, owning


def test_a_confirmation_by_append_writes_an_empty_block_for_all_that_wait() -> None:
    rig = owning()
    asked = [rig.ask(append=True) for _ in range(3)]
    assert not rig.confirmed
    rig.flush()
    assert len(rig.appends) == 1
    assert not rig.block().entries
    rig.land()
    assert [rig.confirmed[ticket] for ticket in asked] == [True, True, True]


def test_a_confirmation_by_append_does_not_trust_a_block_already_sent() -> None:
    rig = owning()
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    asked = rig.ask(append=True)
    rig.land()
    assert asked not in rig.confirmed
    rig.flush()
    rig.land()
    assert rig.confirmed[asked] is True


def test_a_confirmation_rides_on_the_next_block() -> None:
    rig = owning()
    asked = rig.ask(append=True)
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    assert len(rig.block().entries) == 1
    rig.land()
    assert rig.confirmed[asked] is True
    assert not rig.appends


def test_without_append_durable_state_is_confirmed_at_once() -> None:
    rig = owning()
    assert rig.confirmed[rig.ask(append=False)] is True
    assert not rig.owner.undurable


def test_without_append_undurable_state_is_waited_for() -> None:
    rig = owning()
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    in_flight = rig.ask(append=False)
    rig.send(add("a"))
    pending = rig.ask(append=False)
    assert not rig.confirmed
    rig.land()
    assert rig.confirmed == {in_flight: True}
    rig.flush()
    rig.land()
    assert rig.confirmed[pending] is True


def test_an_undone_read_is_told_so() -> None:
    rig = owning()
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    asked = [rig.ask(append=False), rig.ask(append=True)]
    rig.doubt()
    rig.tick()
    rig.finish_taking_over()
    assert [rig.confirmed[ticket] for ticket in asked] == [False, False]


def test_a_read_of_a_doubtful_block_that_landed_is_true() -> None:
    rig = owning()
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    seen, next_one = rig.ask(append=False), rig.ask(append=True)
    lost = rig.doubt()
    rig.log.append(lost.data)
    rig.tick()
    rig.finish_taking_over()
    assert rig.confirmed == {seen: True}
    rig.flush()
    rig.land()
    assert rig.confirmed[next_one] is True


def test_nothing_is_confirmed_by_who_does_not_own() -> None:
    rig = Rig()
    rig.start()
    assert rig.confirmed[rig.ask(append=False)] is False
    assert rig.confirmed[rig.ask(append=True)] is False


def test_an_empty_block_is_void_after_a_higher_claim() -> None:
    rig = owning()
    rig.log.claimed_by_another()
    asked = rig.ask(append=True)
    rig.flush()
    rig.land()
    rig.read()
    assert rig.confirmed[asked] is False
